//! Who serves in place of pools that cannot: what the table says of it, and what the history and the receivers
//! of notices are told when it changes.

use super::links::Links;
use super::live::Live;
use crate::core::event::Event;
use crate::core::rollout::Note;
use crate::core::service::{Coverage, Refuge};
use crate::core::weight::BasisPoints;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Receivers are told of an outage at most once in this time.
const QUIET: Duration = Duration::from_secs(300);

/// The address of every upstream, by pool.
pub(super) type Sets = BTreeMap<String, BTreeSet<String>>;

impl Live {
    /// The weights that traffic is split by now.
    pub(super) fn effective(&self) -> BTreeMap<&str, BasisPoints> {
        self.state.effective_weights(|pool| self.is_up(pool), self.settings.refuge)
    }

    pub(super) fn current_coverage(&self) -> Coverage {
        self.state.coverage(|pool| self.is_up(pool), self.settings.refuge)
    }

    /// The pools that are known to be down, and why.
    pub(super) fn known_down(&self) -> BTreeMap<String, String> {
        let down = self.pools.iter().filter_map(|(name, pool)| {
            let why = pool.upstreams.serves()?.err()?;
            Some((name.to_string(), why))
        });
        down.collect()
    }

    /// Writes into the history who serves, where that is another than before the last change.
    pub(super) fn note_coverage(&mut self, links: &Links) {
        if !self.todo.publish {
            return;
        }
        let coverage = self.current_coverage();
        let down = self.known_down();
        // What is not known yet, as after a start, is no outage.
        let is_known = coverage == Coverage::Weights || self.weighted().all(|pool| down.contains_key(pool));
        if !is_known || coverage == self.coverage {
            return;
        }
        let text = self.coverage_text(&coverage, &down);
        let event = if coverage == Coverage::Weights { Event::RefugeOver } else { Event::Refuge };
        self.coverage = coverage;
        self.note(&[Note { event, text }], links);
        if event == Event::Refuge && !self.was_told_lately(links) {
            self.outage_told_at = Some(links.clock.now());
        }
    }

    /// A pool that goes up and down fills the history, and nobody's inbox.
    pub(super) fn was_told_lately(&self, links: &Links) -> bool {
        self.outage_told_at.is_some_and(|at| links.clock.now() < at + QUIET)
    }

    fn coverage_text(&self, coverage: &Coverage, down: &BTreeMap<String, String>) -> String {
        let state = &self.state;
        let named = |pool: &str| state.version_on(pool);
        let out = self.weighted().map(|pool| match down.get(pool) {
            Some(why) => format!("{} is down ({why})", named(pool)),
            None => named(pool),
        });
        match coverage {
            Coverage::Weights => {
                let pools: Vec<_> = self.weighted().map(named).collect();
                format!("traffic goes by the weights again, to {}", pools.join(", "))
            }
            Coverage::Refuge(pool) => {
                let out: Vec<_> = out.collect();
                format!("{} serves as a refuge: {}", named(pool), out.join(", "))
            }
            Coverage::Nobody => {
                let others = self.pools.keys().filter(|pool| self.is_up(pool));
                let why = |pool: &str| match self.settings.refuge {
                    Refuge::None => Some(format!("{} is none (refuge = \"none\")", named(pool))),
                    _ => state.unfit(pool),
                };
                let out: Vec<_> = out.chain(others.filter_map(|pool| why(pool))).collect();
                format!("nobody serves, users get 503: {}", out.join("; "))
            }
        }
    }

    fn weighted(&self) -> impl Iterator<Item = &str> {
        let weights = self.state.weights.iter();
        weights.filter(|(_, weight)| **weight > BasisPoints::ZERO).map(|(pool, _)| pool.as_str())
    }
}

/// The addresses that the pools of a service have.
pub(super) fn sets(settings: &crate::core::settings::Service) -> Sets {
    let set = |pool: &crate::core::settings::Pool| {
        pool.upstreams.iter().map(|upstream| upstream.address.to_string()).collect()
    };
    settings.pools.iter().map(|(name, pool)| (name.to_string(), set(pool))).collect()
}
