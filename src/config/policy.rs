//! `[policies.*]`.

pub(super) mod failures;

use super::reader::{Item, Section};
use super::signals;
use crate::core::policy::{Limit, MAX_CLIENTS, MAX_GROUPS, Mode, Policy, Reaction, RelativeReactions};
use crate::core::verdict::Level;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// Above this, an allowed share of failures leaves the test no room.
const MAX_SHARE: f64 = 0.4;
const QUANTILES: [(&str, &str, f64); 4] = [
    ("latency_p50", "duration_p50", 0.50),
    ("latency_p90", "duration_p90", 0.90),
    ("latency_p95", "duration_p95", 0.95),
    ("latency_p99", "duration_p99", 0.99),
];

const REACTIONS: [(&str, Reaction); 3] =
    [("hold", Reaction::Hold), ("abort", Reaction::Abort), ("off", Reaction::Off)];

/// All policies by name; `default` is there even when the file has none.
pub(super) fn policies(root: &Section<'_>) -> BTreeMap<String, Arc<Policy>> {
    let mut policies = BTreeMap::from([("default".to_owned(), Arc::new(built_in()))]);
    for (name, item) in root.section("policies").entries() {
        if let Some(section) = item.section() {
            let policy = policy(&name, &section);
            section.finish();
            policies.insert(name, Arc::new(policy));
        }
    }
    policies
}

/// The policies of a file that need not be a whole configuration.
pub(super) fn alone(root: &Section<'_>) -> BTreeMap<String, Arc<Policy>> {
    let is_whole =
        ["listeners", "services", "routes", "server", "admin"].iter().any(|key| root.item(key).is_some());
    let named: Vec<String> = root.section("policies").entries().into_iter().map(|(name, _)| name).collect();
    if !named.is_empty() || is_whole {
        let mut policies = policies(root);
        policies.retain(|name, _| named.is_empty() || named.contains(name));
        if !is_whole {
            root.finish();
        }
        return policies;
    }
    let policy = policy("default", root);
    root.finish();
    BTreeMap::from([("default".to_owned(), Arc::new(policy))])
}

fn built_in() -> Policy {
    let seconds = |n| Some(Duration::from_secs(n));
    Policy {
        name: "default".into(),
        limits: vec![
            Limit::ErrorRate { warning: Some(0.005), critical: Some(0.01) },
            Limit::Latency { quantile: 0.95, warning: seconds(1), critical: seconds(2) },
        ],
        health: Some(Level::Critical),
        ..Policy::default()
    }
}

fn policy(name: &str, section: &Section<'_>) -> Policy {
    let default = Policy::default();
    let modes = [("evidence", Mode::Evidence), ("window", Mode::Window)];
    let (limits, health, signals) = (limits(section), health(section), signals::read(section));
    if limits.is_empty() && health.is_none() && signals.is_empty() {
        section.fault("sets no limit; add error_rate = { critical = \"1%\" }");
    }
    Policy {
        name: name.to_owned(),
        mode: section.read("mode", default.mode, |item| item.choice(&modes)),
        alpha: section.read("alpha", default.alpha, alpha),
        horizon: section.read("horizon", default.horizon, |item| item.integer(1000..=1_000_000_000_000)),
        window: section.read("window", default.window, |item| {
            item.duration(Duration::from_secs(1)..=Duration::from_secs(3600))
        }),
        min_sample: section.read("min_sample", default.min_sample, |item| item.integer(1..=1_000_000)),
        limits,
        failures: section.read("failures", default.failures, failures::read),
        groups: section.read("groups", default.groups, |item| {
            item.integer(0..=MAX_GROUPS as u64).map(|groups| groups as usize)
        }),
        relative: section.read("relative", default.relative, relative),
        relative_ratio: section.read("relative_ratio", default.relative_ratio, ratio),
        on_shared_outage: section
            .read("on_shared_outage", default.on_shared_outage, |item| item.choice(&REACTIONS[..2])),
        min_clients: section.read("min_clients", default.min_clients, |item| {
            item.integer(1..=MAX_CLIENTS as u64).map(|clients| clients as usize)
        }),
        health,
        signals,
    }
}

fn limits(section: &Section<'_>) -> Vec<Limit> {
    let mut limits = Vec::new();
    if let Some((warning, critical)) = section.item("error_rate").and_then(|item| levels(&item, share)) {
        limits.push(Limit::ErrorRate { warning, critical });
    }
    if let Some((warning, critical)) = section.item("abandoned").and_then(|item| levels(&item, share)) {
        limits.push(Limit::Abandoned { warning, critical });
    }
    if let Some((warning, critical)) = section.item("differences").and_then(|item| levels(&item, share)) {
        limits.push(Limit::Differences { warning, critical });
    }
    for (latency, duration, quantile) in QUANTILES {
        if let Some((warning, critical)) = section.item(latency).and_then(|item| levels(&item, time)) {
            limits.push(Limit::Latency { quantile, warning, critical });
        }
        if let Some((warning, critical)) = section.item(duration).and_then(|item| levels(&item, long_time)) {
            limits.push(Limit::Duration { quantile, warning, critical });
        }
    }
    limits
}

/// What becomes of an upstream that is found down; left out, nothing.
fn health(section: &Section<'_>) -> Option<Level> {
    let item = section.item("health")?;
    let section = item.section()?;
    let warning = section.read("warning", false, Item::bool);
    let critical = section.read("critical", false, Item::bool);
    section.finish();
    match (warning, critical) {
        (_, true) => Some(Level::Critical),
        (true, false) => Some(Level::Warning),
        (false, false) => None,
    }
}

/// Warning and critical level; at least one, and the warning below the critical.
fn levels<T: PartialOrd>(
    item: &Item<'_>,
    read: impl Fn(&Item<'_>) -> Option<T>,
) -> Option<(Option<T>, Option<T>)> {
    let section = item.section()?;
    let warning = section.item("warning").map(|item| read(&item));
    let critical = section.item("critical").map(|item| read(&item));
    section.finish();
    ordered(item, warning, critical)
}

/// The same, of what has been read.
pub(super) fn ordered<T: PartialOrd>(
    item: &Item<'_>,
    warning: Option<Option<T>>,
    critical: Option<Option<T>>,
) -> Option<(Option<T>, Option<T>)> {
    match (warning, critical) {
        (None, None) => {
            item.fault("sets neither warning nor critical");
            None
        }
        (Some(None), _) | (_, Some(None)) => None,
        (warning, critical) => {
            let (warning, critical) = (warning.flatten(), critical.flatten());
            if warning.as_ref().zip(critical.as_ref()).is_some_and(|(warning, critical)| warning >= critical)
            {
                item.fault("warning must be below critical");
            }
            Some((warning, critical))
        }
    }
}

fn share(item: &Item<'_>) -> Option<f64> {
    item.share((Bound::Excluded(0.0), Bound::Included(MAX_SHARE)), "must be above 0 % and at most 40 %")
}

fn time(item: &Item<'_>) -> Option<Duration> {
    item.duration(Duration::from_millis(1)..=Duration::from_secs(90))
}

/// To the last byte: a download may take a while.
fn long_time(item: &Item<'_>) -> Option<Duration> {
    item.duration(Duration::from_millis(1)..=Duration::from_secs(3600))
}

/// One word for all kinds, or a table of kinds.
fn relative(item: &Item<'_>) -> Option<RelativeReactions> {
    if item.is_string() {
        return item.choice(&REACTIONS).map(RelativeReactions::all);
    }
    let section = item.section()?;
    let default = RelativeReactions::default();
    let read = |key, default| section.read(key, default, |item: &Item<'_>| item.choice(&REACTIONS));
    let reactions = RelativeReactions {
        errors: read("errors", default.errors),
        abandoned: read("abandoned", default.abandoned),
        latency: read("latency", default.latency),
        duration: read("duration", default.duration),
        statuses: read("statuses", default.statuses),
    };
    section.finish();
    Some(reactions)
}

fn ratio(item: &Item<'_>) -> Option<f64> {
    let remedy = "must be from 1 to 100: how many times as often as stable the candidate may fail";
    item.number(1.0..=100.0, remedy)
}

fn alpha(item: &Item<'_>) -> Option<f64> {
    let remedy = "must be above 0 and at most 0.5: the chance of a false abort within the horizon";
    item.number((Bound::Excluded(0.0), Bound::Included(0.5)), remedy)
}
