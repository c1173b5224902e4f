//! `[services.*.rollout]`: the defaults of a service's rollouts, its smoke tests and hooks.

use super::reader::{Item, Section};
use super::smoke::smoke_tests;
use crate::core::rollout::{After, HookPoint, Idle, Plan, Rolling, Step, Strategy};
use crate::core::settings::{Hook, SmokeTest};
use crate::core::warm_up::WarmUp;
use crate::core::weight::BasisPoints;
use std::collections::BTreeMap;
use std::time::Duration;

/// A rollout's plan, with what it needs that is no part of the stored plan, since it holds secrets.
pub(super) struct Read {
    pub plan: Plan,
    pub warm_up: Option<WarmUp>,
    pub smoke: Vec<SmokeTest>,
    pub hooks: BTreeMap<HookPoint, Hook>,
    pub update: Option<Hook>,
}

pub(super) fn read(section: &Section<'_>) -> Read {
    let strategies = Strategy::ALL.map(|strategy| (strategy.label(), strategy));
    let idle = [("hold", Idle::Hold), ("advance", Idle::Advance)];
    let default = Plan::default();
    let smoke = smoke_tests(section);
    let hooks = hooks(section);
    let warm_up = section.item("warmup").and_then(|item| warm_up(&item.section()?));
    let (rolling, update) = rolling(&section.section("rolling"));
    let plan = Plan {
        strategy: section.read("strategy", Strategy::Canary, |item| item.choice(&strategies)),
        steps: section.read("steps", default.steps, steps),
        gate: section.read("gate", false, Item::bool),
        bake: section.read("bake", default.bake, hold),
        min_attempts: section
            .read("min_attempts", default.min_attempts, |item| item.integer(0..=1_000_000_000)),
        idle: section.read("idle", Idle::Hold, |item| item.choice(&idle)),
        prepare: section.duration("prepare", default.prepare),
        deadline: section.item("deadline").and_then(|item| hold(&item)),
        gate_timeout: section.item("gate_timeout").and_then(|item| hold(&item)),
        smoke: !smoke.is_empty(),
        hooks: hooks.keys().copied().collect(),
        rolling,
        after: after(&section.section("after")),
        dry_run: false,
        together: false,
    };
    for (index, detail) in plan.faults() {
        section.fault(&format!("steps[{index}]: {detail}"));
    }
    for (key, detail) in plan.time_faults() {
        section.item(key).into_iter().for_each(|item| item.fault(&detail));
    }
    section.finish();
    Read { plan, warm_up, smoke, hooks, update }
}

/// Each of its two ends by itself would leave a rollout without evidence, or a busy upstream hardly warmed.
fn warm_up(section: &Section<'_>) -> Option<WarmUp> {
    let requests = section
        .need("requests", "so many attempts end it, for example 100", |item| item.integer(1..=1_000_000));
    let range = Duration::from_millis(1)..=Duration::from_secs(3600);
    let time = section.need("for", "so long after the first of them it ends, for example \"30s\"", |item| {
        item.duration(range.clone())
    });
    section.finish();
    Some(WarmUp { requests: requests? as u32, for_us: u64::try_from(time?.as_micros()).ok()? })
}

fn rolling(section: &Section<'_>) -> (Rolling, Option<Hook>) {
    let default = Rolling::default();
    let update = section.item("hook").and_then(|item| {
        let section = item.section()?;
        let hook = hook(&section);
        section.finish();
        hook
    });
    let rolling = Rolling {
        max_unavailable: section
            .read("max_unavailable", default.max_unavailable as u64, |item| item.integer(1..=1000))
            as usize,
        drain: section.duration("drain", default.drain),
        update: section.duration("update", default.update),
        watch: section.read("watch", default.watch, hold),
        hook: update.is_some(),
    };
    section.finish();
    (rolling, update)
}

fn after(section: &Section<'_>) -> After {
    let default = After::default();
    let after = After {
        watch: section.read("watch", default.watch, hold),
        rollback: section.read("rollback", default.rollback, Item::bool),
    };
    section.finish();
    after
}

fn hooks(section: &Section<'_>) -> BTreeMap<HookPoint, Hook> {
    let mut hooks = BTreeMap::new();
    for section in section.tables("hooks") {
        let point = section.need("at", "for example \"before-shifting\"", |item| {
            let point = item.choice(&HookPoint::ALL.map(|point| (point.to_string(), point)))?;
            if hooks.contains_key(&point) {
                item.fault(&format!("there is a hook {point} already"));
            }
            Some(point)
        });
        let hook = hook(&section);
        section.finish();
        hooks.extend(point.zip(hook));
    }
    hooks
}

/// The keys of a hook, in a section that has others too.
fn hook(section: &Section<'_>) -> Option<Hook> {
    let url = section.need("url", "where it is asked, with POST", |item| {
        item.parsed(|text| match text.parse::<http::Uri>() {
            Ok(uri) if matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() => {
                Ok(text.to_owned())
            }
            _ => Err("is no URL; write http://127.0.0.1:8000/hook or https://…".to_owned()),
        })
    });
    let timeout = section.duration("timeout", Duration::from_secs(10));
    let secret = section.item("secret").and_then(|item| item.string());
    Some(Hook { url: url?, timeout, secret })
}

fn steps(item: &Item<'_>) -> Option<Vec<Step>> {
    let steps = item.array()?;
    let steps = steps.iter().map(|item| {
        let section = item.section()?;
        let mirror = section.item("mirror");
        let mirror = match &mirror {
            Some(item) => Some(percent(item)?),
            None => None,
        };
        let weight = match section.item("weight").filter(|_| mirror.is_some()) {
            Some(weight) => {
                weight.fault("stands beside mirror: a step does the one or the other; take one out");
                None
            }
            None if mirror.is_some() => Some(BasisPoints::ZERO),
            None => {
                section.need("weight", "percent of the traffic; or mirror, of stable's requests", percent)
            }
        };
        let hold = section.read("hold", Duration::ZERO, hold);
        let gate = section.read("gate", false, Item::bool);
        section.finish();
        Some(Step { weight: weight?, mirror, hold, gate })
    });
    steps.collect()
}

fn percent(item: &Item<'_>) -> Option<BasisPoints> {
    let remedy = "must be from 0 to 100, with at most two decimals";
    let percent = BasisPoints::from_percent(item.number(0.0..=100.0, remedy)?);
    if percent.is_none() {
        item.wrong(remedy);
    }
    percent
}

fn hold(item: &Item<'_>) -> Option<Duration> {
    item.any_duration()
}
