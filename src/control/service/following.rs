//! What a service hears of its fleet: the state that all have, who leads, and what became of its own writes.

use super::{ServiceController, Waiting};
use crate::control::command::Refusal;
use crate::control::fleet::{FleetNews, FleetOrder, FleetState, WriteOutcome};
use crate::control::jobs::Jobs;
use crate::control::links::Links;
use crate::control::output::{Output, Outputs};
use crate::control::registered::addresses;
use crate::control::saver::{AskedCommand, OvertakenWrite, Settled};
use crate::control::watch::Seen;
use crate::control::{facts, shown};
use crate::core::fleet::evidence::held;
use crate::core::service::ServiceState;
use crate::core::verdict::State;

/// Why a rollout stands still whose candidate some members say nothing of.
const AWAITED: &str = "the counts of all members are awaited";
/// How often a command is tried that others are faster than.
const TRIES: u32 = 5;

impl ServiceController {
    /// Takes in what the task of the fleet says of this service.
    pub(in crate::control) fn hear(&mut self, news: FleetNews, links: &Links) {
        match news {
            FleetNews::State(state) => self.follow_fleet(&state, links),
            FleetNews::Unknown(_) => self.saver.write_now(),
            FleetNews::Key { key, started, .. } => self.saver.note_key(key, started),
            FleetNews::Standing { leads, holds, .. } => {
                if self.saver.stand(leads, holds) {
                    // Who leads no more asks for nothing; who leads now asks for what is wanted.
                    self.jobs = Jobs::default();
                    self.note_news();
                    self.note_configured(links);
                }
            }
            FleetNews::Count(_) => self.count(links),
            FleetNews::Observed { rollout, observation, .. } => {
                self.gathered.pool(links.clock.now(), rollout, *observation);
                self.judge(links);
            }
            FleetNews::Written { serial, outcome, .. } => self.written_in_fleet(serial, outcome, links),
            // The site's.
            FleetNews::Site { .. } | FleetNews::SiteWritten { .. } => (),
        }
    }

    /// Puts the state that the fleet has into effect.
    fn follow_fleet(&mut self, news: &FleetState, links: &Links) {
        let fitted = self.fitted(&news.state, links);
        if let Some(before) = self.saver.follow(news, fitted, &mut self.outputs) {
            self.entered(&before, links);
            self.copy();
        }
    }

    /// What a running rollout is judged by: anybody aborts by what is seen here; all else is the leader's, by what all see
    /// together.
    pub(super) fn seen_in_fleet(&mut self, seen: Option<Seen>, links: &Links) -> Option<Seen> {
        let Some(running) = self.saver.state().running() else { return seen };
        self.gathered.note(seen.as_ref().map(|seen| &seen.observation));
        let Seen { worse, observation } = seen?;
        if worse {
            let service = self.pools.settings.name.clone();
            self.outputs.push(Output::Order(Box::new(FleetOrder::Rang(service))));
        }
        if observation.verdict.state == State::Fail || !self.saver.leads() {
            return Some(Seen { worse, observation });
        }
        let now = links.clock.now();
        match self.gathered.pooled(now, &running.id) {
            Some(pooled) => Some(Seen { worse, observation: held(pooled, self.saver.holds()) }),
            None if self.saver.holds().is_empty() && !self.gathered.is_awaited_long(now) => None,
            None => {
                let whys = [self.saver.holds(), &[AWAITED.to_owned()]].concat();
                Some(Seen { worse, observation: held(observation, &whys) })
            }
        }
    }

    /// Counts for the fleet, after a look of its own.
    fn count(&mut self, links: &Links) {
        self.judge(links);
        let tally = self.watch.tally(self.saver.state(), &self.pools, links);
        let report = self.gathered.report().cloned();
        let report = report.map(|report| self.watch.witnessed(report, &self.pools, links));
        let counted = tally.zip(report).map(Box::new);
        let service = self.pools.settings.name.clone();
        self.outputs.push(Output::Order(Box::new(FleetOrder::Counted { service, counted })));
    }

    /// For the pools that this instance has, and on its clock.
    fn fitted(&self, state: &ServiceState, links: &Links) -> ServiceState {
        let settings = &self.pools.configured;
        let pools = || settings.pools.keys().map(|name| &**name);
        let mut fitted = state.reconcile(pools()).unwrap_or_else(|_| state.fitted(pools(), &settings.stable));
        if let Some(running) = &mut fitted.rollout {
            running.rollout.come_back(links.clock.now(), &links.wall_text());
        }
        fitted
    }

    /// What the leader's configuration has in its pools is what lies there: another version, where it is another than before.
    fn note_configured(&mut self, links: &Links) {
        if !self.saver.leads() || self.saver.fleet().is_none_or(|fleet| !fleet.is_known()) {
            return;
        }
        let mut state = self.state().clone();
        let notes = state.note_upstreams(&addresses(&self.pools.settings), false, &links.wall_text());
        if state.pools != self.state().pools {
            self.saver.replace(state);
            self.note(&notes, links);
            self.saver.write_now();
            self.outputs.publish();
        }
    }

    /// A copy for the own disk.
    fn copy(&mut self) {
        let ServiceController { pools, watch, saver, outputs, .. } = self;
        let record =
            |state: &_| shown::record(facts::ServiceFacts { state, news: 0, pools, watch, stretch: None });
        outputs.push(Output::Copy(Box::new(saver.copy(&record))));
    }

    fn written_in_fleet(&mut self, serial: u64, outcome: WriteOutcome, links: &Links) {
        let now = links.clock.now();
        match self.saver.written_in_fleet(serial, outcome, now, &mut self.outputs) {
            Settled::Nothing => (),
            Settled::InEffect(before) => {
                self.entered(&before, links);
                self.copy();
            }
            Settled::Refused(job) => self.jobs.again(job),
            Settled::Again(retry) => self.retry(*retry, links),
        }
        self.go_on_after_write(links);
    }

    /// Another member has changed the service: a command is applied to what there is now.
    fn retry(&mut self, retry: OvertakenWrite, links: &Links) {
        let OvertakenWrite { answer, asked, job } = retry;
        self.jobs.again(job);
        match (answer, asked) {
            (Some(answer), Some(AskedCommand { actor, command, if_match, tries })) if tries < TRIES => {
                let waiting = Waiting { actor, command, if_match, to: answer.to };
                self.obey_again(waiting, tries + 1, links);
            }
            (Some(answer), _) => refuse(answer, &mut self.outputs),
            (None, _) => (),
        }
    }
}

fn refuse(answer: crate::control::output::Answer, out: &mut Outputs) {
    let detail = format!(
        "other members of the fleet changed the service at the same time, {TRIES} times in a row; look at it and ask again"
    );
    out.refuse(answer, Refusal::Conflict { detail, rollout: None });
}
