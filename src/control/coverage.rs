//! Who serves in place of pools that cannot, and what the history and the receivers of notices hear of it.

use super::facts::ServiceFacts;
use crate::core::event::Event;
use crate::core::refuge::Refuge;
use crate::core::rollout::Note;
use crate::core::service::{Coverage, ServiceState};
use crate::core::weight::BasisPoints;
use std::collections::BTreeMap;
use std::time::Duration;

/// Receivers hear of an outage at most once in this time: a pool that goes up and down fills the history, and
/// nobody's inbox.
const QUIET: Duration = Duration::from_secs(300);

/// Who served when the history had it last.
#[derive(Debug, Default)]
pub(super) struct Outages {
    coverage: Coverage,
    /// When receivers heard last that others serve, or nobody.
    told_at: Option<Duration>,
}

impl Outages {
    /// The row of history, where another serves than before.
    pub(super) fn observe(&mut self, facts: ServiceFacts<'_>) -> Option<Note> {
        let coverage = facts.coverage();
        let down = facts.pools.known_down();
        // What is not known yet, as after a start, is no outage.
        let is_known =
            coverage == Coverage::Weights || weighted(facts.state).all(|pool| down.contains_key(pool));
        if !is_known || coverage == self.coverage {
            return None;
        }
        let text = text(facts, &coverage, &down);
        let event = if coverage == Coverage::Weights { Event::RefugeOver } else { Event::Refuge };
        self.coverage = coverage;
        Some(Note { event, text })
    }

    /// Receivers have heard of an outage.
    pub(super) fn note_told(&mut self, now: Duration) {
        if !self.was_told_lately(now) {
            self.told_at = Some(now);
        }
    }

    pub(super) fn was_told_lately(&self, now: Duration) -> bool {
        self.told_at.is_some_and(|at| now < at + QUIET)
    }
}

fn text(facts: ServiceFacts<'_>, coverage: &Coverage, down: &BTreeMap<String, String>) -> String {
    let state = facts.state;
    let named = |pool: &str| state.version_on(pool);
    let out = weighted(state).map(|pool| match down.get(pool) {
        Some(why) => format!("{} is down ({why})", named(pool)),
        None => named(pool),
    });
    match coverage {
        Coverage::Weights => {
            let pools: Vec<_> = weighted(state).map(named).collect();
            format!("traffic goes by the weights again, to {}", pools.join(", "))
        }
        Coverage::Refuge(pool) => {
            let out: Vec<_> = out.collect();
            format!("{} serves as a refuge: {}", named(pool), out.join(", "))
        }
        Coverage::Nobody => {
            let others = facts.pools.iter().map(|(name, _)| name).filter(|pool| facts.pools.is_up(pool));
            let why = |pool: &str| match facts.pools.settings.refuge {
                Refuge::None => Some(format!("{} is none (refuge = \"none\")", named(pool))),
                _ => state.unfit(pool),
            };
            let out: Vec<_> = out.chain(others.filter_map(|pool| why(pool))).collect();
            format!("nobody serves, users get 503: {}", out.join("; "))
        }
    }
}

fn weighted(state: &ServiceState) -> impl Iterator<Item = &str> {
    let weights = state.weights.iter();
    weights.filter(|(_, weight)| **weight > BasisPoints::ZERO).map(|(pool, _)| pool.as_str())
}
