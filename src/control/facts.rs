//! What is so of one service now, for those who only read it: views, rows of history, notices, checks, the table.

use super::links::Links;
use super::pools::{LivePool, Pools, policy};
use super::stretches::Stretch;
use super::view::MirrorView;
use super::watch::{Subject, Watch};
use crate::core::mirror::Mirroring;
use crate::core::outcome::SlowLimits;
use crate::core::service::{Coverage, Running, ServiceState};
use crate::core::table::GroupCounting;
use crate::core::weight::BasisPoints;
use crate::core::window::Figures;
use std::collections::BTreeMap;

/// The parts of a service, to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServiceFacts<'a> {
    pub state: &'a ServiceState,
    /// Changes beside the state, in this process ([`super::saver::Saver::news`]): with the number of the state they
    /// make the revision that is shown, which streams wait for.
    pub news: u64,
    pub pools: &'a Pools,
    pub watch: &'a Watch,
    /// Its maintenance, or the site's.
    pub stretch: Option<&'a Stretch>,
}

impl<'a> ServiceFacts<'a> {
    pub(super) fn name(&self) -> &'a str {
        &self.pools.settings.name
    }

    pub(super) fn slow_limits(&self, links: &Links) -> SlowLimits {
        policy(self.state, &self.pools.settings, links)
            .map(|policy| policy.thresholds(false).slow)
            .unwrap_or_default()
    }

    /// The weights that traffic is split by now.
    pub(super) fn effective(&self) -> BTreeMap<&'a str, BasisPoints> {
        self.state.effective_weights(|pool| self.pools.is_up(pool), self.pools.settings.refuge)
    }

    /// Who serves now.
    pub(super) fn coverage(&self) -> Coverage {
        self.state.coverage(|pool| self.pools.is_up(pool), self.pools.settings.refuge)
    }

    /// The figures of a pool over its window.
    pub(super) fn figures(&self, pool: &LivePool, links: &Links) -> Figures {
        pool.figures(&self.slow_limits(links), links)
    }

    /// The same beside a state that is about to be entered: nothing, where the pool begins from zero with it.
    pub(super) fn figures_in(&self, next: &ServiceState, name: &str, links: &Links) -> Figures {
        let begins = candidate_from(self.state, next) == Some(name)
            || self.state.upstreams.get(name) != next.upstreams.get(name);
        let pool = self.pools.get(name).filter(|_| !begins);
        pool.map(|pool| self.figures(pool, links)).unwrap_or_default()
    }

    /// The pools that own limits have kept requests from lately.
    pub(super) fn kept_out(&self, links: &Links) -> Vec<String> {
        let is_kept_out = |pool: &LivePool| self.figures(pool, links).own_limits > 0;
        let pools = self.pools.iter().filter(|(_, pool)| is_kept_out(pool));
        pools.map(|(name, _)| format!("{}/{name}", self.name())).collect()
    }

    /// The worst latest value of each signal over the upstreams of a pool, by name.
    pub(super) fn worst_signals(&self, pool: &LivePool, links: &Links) -> BTreeMap<String, f64> {
        let policy = policy(self.state, &self.pools.settings, links);
        policy.map(|p| pool.readings.highest(&p.signals, links.clock.now())).unwrap_or_default()
    }

    /// The rollout that mirrors now, and what share.
    fn mirrors(&self) -> Option<(&'a Running, BasisPoints)> {
        let running = self.state.running()?;
        running.rollout.mirrors().map(|share| (running, share))
    }

    /// What the table says of a mirror step.
    pub(super) fn mirroring(&self) -> Option<Mirroring> {
        let (running, share) = self.mirrors()?;
        let mirror = self.pools.get(&running.to)?.mirror.clone()?;
        let (stable, candidate) = (self.pools.index(&self.state.stable)?, self.pools.index(&running.to)?);
        (stable != candidate).then(|| Mirroring {
            stable,
            candidate,
            arm: mirror.arm,
            share,
            mirror: self.pools.settings.mirror.clone(),
            under_way: mirror.under_way,
        })
    }

    /// How requests are counted by group: while nothing is rolled out, a sample of stable's.
    pub(super) fn group_counting(&self) -> Option<GroupCounting> {
        let groups = self.pools.grouping.as_ref()?.groups.clone();
        let subject = Subject::of(self.state, self.pools);
        let (candidate, stable) = match &subject {
            Some(subject) => (subject.candidate(), subject.compared()),
            None => (None, Some(self.state.stable.as_str())),
        };
        let index = |pool: Option<&str>| pool.and_then(|pool| self.pools.index(pool));
        let (candidate, stable) = (index(candidate), index(stable));
        Some(GroupCounting { groups, candidate, stable, is_sampled: subject.is_none() })
    }

    /// Whether a pool is compared with another one now, or another one with it.
    pub(super) fn is_compared(&self, pool: &str) -> bool {
        if let Some(hand) = self.pools.by_hand(self.state) {
            return hand.pool == pool || self.state.stable == pool;
        }
        // The watch after a promotion holds it against what the pool before did.
        if let Some(guard) = &self.state.guard {
            return guard.pool == pool;
        }
        let running = self.state.running().filter(|running| running.from != running.to);
        running.is_some_and(|running| running.from == pool || running.to == pool)
    }

    /// What is shown of the mirror step under way.
    pub(super) fn mirrored(&self) -> Option<MirrorView> {
        let (_, share) = self.mirrors()?;
        self.watch.mirrored(share)
    }
}

/// The pool that becomes a candidate between two states.
pub(super) fn candidate_from<'a>(before: &ServiceState, after: &'a ServiceState) -> Option<&'a str> {
    let running = after.running()?;
    let is_new = before.rollout.as_ref().is_none_or(|last| last.id != running.id);
    is_new.then_some(running.to.as_str())
}
