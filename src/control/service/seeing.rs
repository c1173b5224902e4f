//! What is seen of one service: checks, look-ups, containers, signals and attempts.

use super::{Said, ServiceController};
use crate::control::command::{DOCKER, JobResult, SELF};
use crate::control::links::Links;
use crate::control::pools::policy;
use crate::control::registered::addresses;
use crate::control::upstreams::{CheckNews, CheckedUpstream, ResolvedUpstream};
use crate::control::watch::Seen;
use crate::control::{history, log};
use crate::core::container::PoolContainers;
use crate::core::event::Event;
use crate::core::failed_attempt::FailedAttempt;
use crate::core::outcome::ArmId;
use crate::core::rollout::Note;
use crate::core::service::Change;
use crate::observe::clock::wall;
use std::collections::BTreeMap;
use std::sync::Arc;

impl ServiceController {
    /// An upstream has been checked; what was begun on a former version of its pool says nothing. `decides` is
    /// whether the state is ours to change.
    pub(in crate::control) fn checked(
        &mut self,
        checked: CheckedUpstream,
        decides: bool,
        links: &Links,
    ) -> CheckNews {
        let CheckedUpstream { pool: name, upstream, address, began, result } = checked;
        let pool = self.pools.get_mut(&name).filter(|pool| began >= pool.begun);
        let Some(upstreams) = pool.map(|pool| &mut pool.upstreams) else { return CheckNews::None };
        let said = result.as_ref().err().cloned();
        let news = upstreams.checked(&upstream, address, wall(), result);
        if let Some(proven) = upstreams.proven(&upstream).filter(|_| decides && said.is_none()) {
            self.saver.note_proven(&name, proven);
        }
        if news == CheckNews::State {
            self.saver.note_news(&mut self.outputs);
            if decides {
                let note = history::health_note(&name, &upstream, address, said.as_deref());
                let line = log::health(self.saver.state(), &name, &note, said.is_some(), SELF);
                self.outputs.log([line]);
                self.note(&[note], links);
            }
        }
        if decides {
            self.judge(links);
        }
        news
    }

    /// The containers of its pools are others, elsewhere, or about to end. That holds in a process that decides nothing,
    /// too; the state follows in [`ServiceController::conclude`].
    pub(in crate::control) fn contain(&mut self, now: &BTreeMap<Arc<str>, PoolContainers>, links: &Links) {
        match self.pools.contain(now, self.saver.state(), links) {
            Ok(true) => {
                self.outputs.publish();
                self.outputs.watch();
                self.note_news();
            }
            Ok(false) => (),
            Err(why) => tracing::error!(service = self.name(), "{why}"),
        }
    }

    /// Has the containers that there are stored, with what follows for the version behind a pool.
    pub(super) fn store_containers(&mut self, links: &Links) {
        let now = self.pools.containers();
        // In a fleet the leader's stand for all.
        if self.state().knows_containers(now) || !self.saver.leads() {
            return;
        }
        let sets = addresses(&self.pools.settings);
        let wall = links.wall_text();
        let change = Change::Containers { now: &now.clone(), sets: &sets };
        if let Ok(applied) = self.state().apply(change, links.moment(&wall)) {
            self.decided_by(applied, &DOCKER.into(), None, links);
        }
    }

    /// The name of an upstream has been looked up.
    pub(in crate::control) fn resolved(&mut self, resolved: ResolvedUpstream, decides: bool, links: &Links) {
        let settings = self.pools.settings.clone();
        let Some(pool) = self.pools.get_mut(&resolved.pool) else { return };
        let Some(settings) = settings.pools.get(&resolved.pool) else { return };
        if pool.upstreams.resolved(settings, resolved, &links.own) {
            self.note_news();
        }
        if decides {
            self.judge(links);
        }
    }

    /// Takes in one round of signals of one upstream.
    pub(in crate::control) fn signals(&mut self, said: Said, links: &Links) {
        let now = links.clock.now();
        let policy = policy(self.saver.state(), &self.pools.settings, links).cloned();
        self.pools.expect_signals(policy.as_ref(), now);
        // What was asked for before the pool began from zero may be another version's word.
        if let Some(pool) = self.pools.get_mut(&said.pool).filter(|pool| said.asked >= pool.begun) {
            pool.readings.observe(&said.source, said.values, now);
        }
        self.judge(links);
    }

    pub(in crate::control) fn job_done(&mut self, ticket: u64, result: JobResult, links: &Links) {
        self.jobs.answered(ticket, result, links.clock.now());
        self.go_on_with_jobs(links);
    }

    /// Keeps a sample of a mirrored answer that differed in the history, unless there are enough.
    pub(in crate::control) fn differed(&mut self, arm: ArmId, text: &str, links: &Links) {
        let mirrors = self.state().running().filter(|running| running.rollout.mirrors().is_some());
        let pool = mirrors.and_then(|running| self.pools.get(&running.to));
        let is_its = pool.and_then(|pool| pool.mirror.as_ref()).is_some_and(|mirror| mirror.arm == arm);
        if is_its && self.watch.keep_difference(text, links.clock.now()) {
            let note = [Note { event: Event::Difference, text: format!("mirrored {text}") }];
            self.outputs.log(log::lines(self.saver.state(), self.saver.state(), &note, SELF));
            self.note(&note, links);
        }
    }

    /// Keeps an attempt that failed, where it is one of the candidate's.
    pub(in crate::control) fn failed(&mut self, arm: ArmId, failed: FailedAttempt, links: &Links) {
        self.watch.keep_failed(arm, failed, &self.pools, links);
    }

    /// Takes in ejections and, once a second, the figures.
    pub(in crate::control) fn observe(&mut self, links: &Links) {
        if self.pools.observe(links.clock.now(), self.saver.state(), links) {
            self.saver.note_news(&mut self.outputs);
        }
    }

    /// Holds the pool that is watched against the policy by what it did, at any time: the bell for it may have
    /// been rung and not been heard yet.
    pub(in crate::control) fn judge(&mut self, links: &Links) {
        self.judge_at(links.wake.rung_us(), links);
    }

    /// The same at the bell: `rung_us` is when it was rung. Whether the pool had new failures.
    pub(in crate::control) fn judge_at(&mut self, rung_us: Option<u64>, links: &Links) -> bool {
        let seen = self.watch.look(self.saver.state(), &self.pools, links);
        let seen = if self.saver.fleet().is_some() { self.seen_in_fleet(seen, links) } else { seen };
        // Deadlines pass whether or not anything is known of the candidate.
        let (worse, change) = match &seen {
            Some(Seen { worse, observation }) => (*worse, Change::Observed(observation)),
            None if self.state().running().is_some() => (false, Change::Elapsed),
            None => return false,
        };
        let wall = links.wall_text();
        if let Ok(applied) = self.state().apply(change, links.moment(&wall)) {
            self.decided(applied, rung_us, links);
        }
        worse
    }
}
