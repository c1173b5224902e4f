//! The verification of a service: what has to hold after a deployment or a rollback.
//!
//! Only pools that traffic goes to, or should go to, are looked at. Each check says what it found, whether it holds or
//! not; none of them decides anything, that is the policy's business.

use super::facts::ServiceFacts;
use super::links::Links;
use super::pools::LivePool;
use super::view::CheckView;
use crate::core::policy::Limit;
use crate::core::signal::Signal;
use crate::core::table::UpstreamState;
use crate::core::weight::BasisPoints;
use crate::core::window::Figures;
use std::sync::Arc;

/// The share of attempts that may fail where no policy says otherwise.
const ERRORS: f64 = 0.01;

/// A pool that serves, with its figures.
struct Serving<'a> {
    name: &'a Arc<str>,
    pool: &'a LivePool,
    figures: &'a Figures,
}

/// In the order of the runbook. `figures` are those of the pools, in their order.
pub(super) fn of(facts: ServiceFacts<'_>, figures: &[Figures], links: &Links) -> Vec<CheckView> {
    let effective = facts.effective();
    let has = |weight: Option<&BasisPoints>| weight.is_some_and(|weight| *weight > BasisPoints::ZERO);
    let serves = |name: &Arc<str>| has(effective.get(&**name)) || has(facts.state.weights.get(&**name));
    let pools = facts.pools.iter().zip(figures).filter(|((name, _), _)| serves(name));
    let pools: Vec<_> = pools.map(|((name, pool), figures)| Serving { name, pool, figures }).collect();
    let mut checks = vec![health(&pools), errors(&pools, error_limit(facts)), timeouts(&pools)];
    let policy = facts.pools.settings.policy.as_ref();
    let signals = policy.iter().flat_map(|policy| &policy.signals);
    checks.extend(signals.map(|signal| self::signal(facts, &pools, signal, links)));
    checks.push(running(&pools));
    checks
}

/// What the application says of itself, such as its database connections, is known and not critical.
fn signal(facts: ServiceFacts<'_>, pools: &[Serving<'_>], signal: &Signal, links: &Links) -> CheckView {
    let values = pools.iter().map(|Serving { name, pool, .. }| {
        (name, facts.worst_signals(pool, links).get(&*signal.name).copied())
    });
    let mut told = Vec::new();
    let mut wrong = Vec::new();
    for (name, value) in values {
        match (value, signal.critical) {
            (None, _) => wrong.push(format!("{name} does not say")),
            (Some(value), Some(limit)) if value >= limit => {
                wrong.push(format!("{value} on {name}, the limit is {limit}"));
            }
            (Some(value), _) => told.push(format!("{value} on {name}")),
        }
    }
    check(&signal.name, wrong, || told.join(", "))
}

fn check(name: &str, wrong: Vec<String>, well: impl FnOnce() -> String) -> CheckView {
    let ok = wrong.is_empty();
    CheckView { name: name.to_owned(), ok, detail: if ok { well() } else { wrong.join("; ") } }
}

/// The last check of every upstream went well.
fn health(pools: &[Serving<'_>]) -> CheckView {
    let wrong = pools.iter().flat_map(|Serving { name, pool, .. }| {
        let open = pool.upstreams.slots.iter().filter(|slot| !slot.draining);
        let failing = open.flat_map(|slot| {
            let label = &slot.settings.address;
            slot.endpoints.iter().filter_map(move |e| Some(format!("{label}: {}", e.failing.as_ref()?)))
        });
        let failing: Vec<_> = failing.collect();
        let unproven = pool.upstreams.verified().err().filter(|_| failing.is_empty());
        let of_pool = move |why: String| format!("{name} {why}");
        failing.into_iter().chain(unproven).map(of_pool)
    });
    check("health", wrong.collect(), || "every upstream with traffic passes its checks".into())
}

fn errors(pools: &[Serving<'_>], limit: f64) -> CheckView {
    let (requests, failures) = (sum(pools, |f| f.requests), sum(pools, |f| f.failures));
    let rate = if requests == 0 { 0.0 } else { failures as f64 / requests as f64 };
    let percent = |share: f64| format!("{} %", (share * 10_000.0).round() / 100.0);
    let found = format!("{failures} of {requests} requests failed ({})", percent(rate));
    let wrong = (rate >= limit && failures > 0).then(|| format!("{found}, the limit is {}", percent(limit)));
    check("errors", wrong.into_iter().collect(), || format!("{found}, below {}", percent(limit)))
}

fn timeouts(pools: &[Serving<'_>]) -> CheckView {
    let timeouts = sum(pools, |figures| figures.timeouts);
    let wrong = (timeouts > 0).then(|| format!("{timeouts} requests timed out"));
    check("timeouts", wrong.into_iter().collect(), || "no request timed out".into())
}

/// Every upstream that is not draining on purpose is ready.
fn running(pools: &[Serving<'_>]) -> CheckView {
    let mut ready = 0;
    let mut wrong = Vec::new();
    for Serving { name, pool, .. } in pools {
        let eject = pool.upstreams.ejects();
        for slot in pool.upstreams.slots.iter().filter(|slot| !slot.draining) {
            if slot
                .endpoints
                .iter()
                .any(|endpoint| endpoint.state(slot.draining, eject) == UpstreamState::Ready)
            {
                ready += 1;
            } else {
                let is = if slot.is_unknown() && !slot.is_up() { "is not checked yet" } else { "is down" };
                wrong.push(format!("{name} {} {is}", slot.settings.address));
            }
        }
    }
    if ready == 0 && wrong.is_empty() {
        wrong.push("no upstream is there to serve".to_owned());
    }
    check("running", wrong, || match ready {
        1 => "the one upstream with traffic is ready".into(),
        _ => format!("all {ready} upstreams with traffic are ready"),
    })
}

fn error_limit(facts: ServiceFacts<'_>) -> f64 {
    let limits = facts.pools.settings.policy.iter().flat_map(|policy| &policy.limits);
    let critical = limits.filter_map(|limit| match limit {
        Limit::ErrorRate { critical, .. } => *critical,
        _ => None,
    });
    critical.reduce(f64::min).unwrap_or(ERRORS)
}

fn sum(pools: &[Serving<'_>], of: impl Fn(&Figures) -> u64) -> u64 {
    pools.iter().map(|serving| of(serving.figures)).sum()
}
