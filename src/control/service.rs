//! The controller of one service: its parts, and what an input makes of them.
//!
//! | part | owns |
//! |---|---|
//! | [`Pools`] | settings, upstreams, counters and windows of the pools |
//! | [`Watch`] | the evidence against the candidate, what was promoted, or what was given weight by hand |
//! | [`Saver`] | the state in effect, and what of it is on its way to the journal |
//! | [`Jobs`] | smoke tests and hooks under way |
//!
//! Nothing is carried out here. What is to be done is put out ([`Outputs`]), and the controller does it for all
//! services together, in its order.

mod following;
mod obeying;
mod seeing;
#[cfg(test)]
mod tests;

use super::command::{Actor, Command, SELF};
use super::coverage::Outages;
use super::facts::{ServiceFacts, candidate_from};
use super::fleet::FleetObservation;
use super::jobs::Jobs;
use super::journal::{HistoryRow, RolloutRecord};
use super::links::{Links, Written};
use super::notices::Reports;
use super::output::{Output, Outputs, ReplyTo};
use super::pools::{Pools, policy};
use super::saver::{Extra, Proposal, Saver, Settled};
use super::stretches::Stretch;
use super::watch::Watch;
use super::{history, log, shown};
use crate::core::event::Event;
use crate::core::policy::readings::Source;
use crate::core::rollout::Note;
use crate::core::service::{Applied, Change, Order, ServiceState};
use crate::core::settings;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct ServiceController {
    /// Its place in the file of marks.
    pub slot: usize,
    pub pools: Pools,
    watch: Watch,
    pub saver: Saver,
    jobs: Jobs,
    outages: Outages,
    reports: Reports,
    /// Its maintenance, or the site's.
    pub stretch: Option<Stretch>,
    /// What its rollout is judged by in a fleet.
    gathered: FleetObservation,
    /// Commands that came while a change was being written.
    queue: VecDeque<Waiting>,
    pub outputs: Outputs,
}

/// A command that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    pub actor: Actor,
    pub command: Command,
    /// The revision that it is for.
    pub if_match: Option<u64>,
    pub to: ReplyTo,
}

/// The signals that one upstream said of itself in one round.
pub(super) struct Said {
    pub pool: Arc<str>,
    pub source: Source,
    /// When it was asked.
    pub asked: Duration,
    pub values: Vec<(Arc<str>, Result<f64, String>)>,
}

impl ServiceController {
    /// Without pools yet: [`ServiceController::fit`] brings them.
    pub(super) fn new(settings: Arc<settings::Service>, slot: usize, state: ServiceState) -> Self {
        let mut outputs = Outputs::default();
        outputs.publish();
        outputs.watch();
        ServiceController {
            slot,
            pools: Pools::new(settings.clone(), &state, slot),
            watch: Watch::default(),
            saver: Saver::new(settings.name.clone(), state),
            jobs: Jobs::default(),
            outages: Outages::default(),
            reports: Reports::default(),
            stretch: None,
            gathered: FleetObservation::default(),
            queue: VecDeque::new(),
            outputs,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.pools.settings.name
    }

    pub(super) fn state(&self) -> &ServiceState {
        self.saver.state()
    }

    pub(super) fn facts(&self) -> ServiceFacts<'_> {
        facts_of(&self.saver, &self.pools, &self.watch, self.stretch.as_ref())
    }

    /// Whether something is going on that wants frequent looks.
    pub(super) fn is_watchful(&self) -> bool {
        self.state().running().is_some() || self.state().guard.is_some()
    }

    /// Whether everything that is in effect is durable, and nothing waits to be.
    pub(super) fn is_all_written(&self) -> bool {
        self.saver.is_all_written() && self.queue.is_empty()
    }

    /// Whether time alone changes nothing of it.
    pub(super) fn is_asleep(&self) -> bool {
        let is_done = self.outputs.is_empty() && self.is_all_written() && self.jobs.are_done();
        is_done && !self.is_watchful() && self.pools.rest()
    }

    /// What is to be checked and scraped for this service. While a pool is tried, the checks that nobody has asked for,
    /// and that are rare for their number, are made as often as those of a single service.
    pub(super) fn watched(&self, links: &Links) -> Arc<settings::Service> {
        let mut settings = self.pools.settings.clone();
        let policy = policy(self.state(), &settings, links);
        if policy != settings.policy.as_ref() {
            let policy = policy.cloned();
            Arc::make_mut(&mut settings).policy = policy;
        }
        for name in tried(self.state()) {
            let is_rare = |pool: &settings::Pool| pool.health.as_ref().is_some_and(settings::Health::is_rare);
            if !settings.pools.get(name).is_some_and(is_rare) {
                continue;
            }
            let pool = Arc::make_mut(&mut settings).pools.get_mut(name);
            if let Some(health) = pool.and_then(|pool| pool.health.as_mut()) {
                health.interval = settings::Health::connect(health.http2).interval;
            }
        }
        settings
    }

    /// Brings the pools at a start.
    ///
    /// # Errors
    /// A sentence, when there are more pools than can be measured.
    pub(super) fn fit(&mut self, links: &Links) -> Result<(), String> {
        self.pools.fit(None, self.saver.state(), links)
    }

    /// Takes over the settings of a reload, with the state and the rows of history that go with them.
    pub(super) fn reload(
        &mut self,
        settings: &Arc<settings::Service>,
        state: ServiceState,
        notes: &[Note],
        links: &Links,
    ) {
        self.saver.replace(state);
        self.reconfigure(Some(settings), links);
        self.follow_rollout(links);
        self.note(notes, links);
    }

    fn reconfigure(&mut self, configured: Option<&Arc<settings::Service>>, links: &Links) {
        match self.pools.reconfigure(configured, self.saver.state(), links) {
            Ok(()) => {
                self.outputs.publish();
                self.outputs.watch();
            }
            Err(why) => tracing::error!(service = self.name(), "{why}"),
        }
    }

    /// A write has come to its end; what waited for that goes on.
    pub(super) fn written(&mut self, written: &Written, links: &Links) {
        if let Err(error) = &written.result {
            tracing::error!(service = self.name(), "{error}");
        }
        let now = links.clock.now();
        match self.saver.written(written.serial, &written.result, now, &mut self.outputs) {
            Settled::Nothing => (),
            Settled::InEffect(before) => self.entered(&before, links),
            Settled::Refused(job) => self.jobs.again(job),
            // Of a fleet's writes.
            Settled::Again(_) => (),
        }
        self.go_on_after_write(links);
    }

    fn go_on_after_write(&mut self, links: &Links) {
        self.go_on_with_jobs(links);
        while !self.saver.is_pending()
            && let Some(waiting) = self.queue.pop_front()
        {
            self.obey(waiting, links);
        }
    }

    /// What the controller decided by itself.
    fn decided(&mut self, applied: Applied, rung_us: Option<u64>, links: &Links) {
        self.decided_by(applied, &SELF.into(), rung_us, links);
    }

    fn decided_by(&mut self, applied: Applied, who: &Actor, rung_us: Option<u64>, links: &Links) {
        // What others are asked for is durable first, so that a restart asks for the same.
        let asks = applied.order == Order::Quiet && applied.state.work() != self.state().work();
        let order = if asks { Order::JournalFirst } else { applied.order };
        let is_held = !self.saver.leads() || order == Order::JournalFirst && !self.saver.holds().is_empty();
        if !applied.takes_traffic_away() && (is_held || !self.saver.takes(order, links.clock.now())) {
            // Nothing but an abort overtakes what is being written, or is anybody's in a fleet; the rest comes up again.
            return self.saver.say_held(&mut self.outputs);
        }
        let advances = self.is_watchful() && *who == SELF.into();
        match order {
            Order::Quiet => self.saver.replace(applied.state),
            Order::JournalFirst => self.save(applied, who, Extra { advances, ..Extra::default() }, links),
            Order::EffectFirst => self.take_effect(applied, who, rung_us, links),
        }
    }

    /// Writes a change; it takes effect once it is durable.
    fn save(&mut self, applied: Applied, actor: &Actor, extra: Extra, links: &Links) {
        let rollout = shown::record_of(self.facts(), &applied.state);
        let rollout = rollout.map(|record| RolloutRecord { key: extra.key.clone(), ..record });
        let proposal = self.proposal(applied, actor, links);
        let extra = Extra { rollout, ..extra };
        let ServiceController { pools, watch, saver, outputs, .. } = self;
        let news = saver.news();
        let record = |state: &_| shown::record(ServiceFacts { state, news, pools, watch, stretch: None });
        saver.save(proposal, extra, &record, links.clock.now(), outputs);
    }

    /// Puts a change into effect at once; its rows are written after.
    pub(super) fn take_effect(
        &mut self,
        applied: Applied,
        actor: &Actor,
        rung_us: Option<u64>,
        links: &Links,
    ) {
        let proposal = self.proposal(applied, actor, links);
        let before = self.saver.take_effect(proposal, rung_us, &mut self.outputs);
        self.entered(&before, links);
        let record = shown::record(self.facts());
        self.saver.keep_rollout(record);
    }

    /// Writes what is in effect and not yet durable, and from time to time a rollout's progress.
    pub(super) fn catch_up(&mut self, links: &Links) {
        let ServiceController { pools, watch, saver, outputs, .. } = self;
        let news = saver.news();
        let record = |state: &_| shown::record(ServiceFacts { state, news, pools, watch, stretch: None });
        saver.catch_up(&record, links.clock.now(), outputs);
    }

    /// Another state is in effect: the parts follow it.
    fn entered(&mut self, before: &ServiceState, links: &Links) {
        if before.upstreams != self.state().upstreams {
            self.reconfigure(None, links);
        }
        let state = self.saver.state();
        self.pools.drain_as_stored(state);
        if let Some(candidate) = candidate_from(before, state) {
            self.pools.begin(candidate, state, links);
        }
        let ends =
            |last: &&str| state.rollout.as_ref().is_some_and(|r| r.id == **last && r.rollout.has_ended());
        let has_ended = before.running().map(|running| running.id.as_str()).filter(ends).is_some();
        if tried(before) != tried(self.state()) {
            self.outputs.watch();
        }
        self.follow_rollout(links);
        if let Some(view) = shown::rollout(self.facts()).filter(|_| has_ended) {
            self.outputs.push(Output::Ended(Box::new(view)));
        }
    }

    fn follow_rollout(&mut self, links: &Links) {
        self.pools.ready_mirror(self.saver.state(), links);
        if self.pools.fit_groups(self.saver.state(), links) {
            self.outputs.publish();
        }
        self.watch.follow(self.saver.state(), &self.pools, links);
    }

    /// Adds rows of history about what is so already. What the log says of it is the caller's.
    pub(super) fn note(&mut self, notes: &[Note], links: &Links) {
        let rows = self.rows(self.state(), notes, &SELF.into(), links);
        self.saver.note(rows);
    }

    fn proposal(&self, applied: Applied, actor: &Actor, links: &Links) -> Proposal {
        let Applied { state, notes, .. } = applied;
        let rows = self.rows(&state, &notes, actor, links);
        let log = log::lines(self.state(), &state, &notes, &actor.name);
        Proposal { state, rows, log }
    }

    fn rows(&self, next: &ServiceState, notes: &[Note], actor: &Actor, links: &Links) -> Vec<HistoryRow> {
        let is_quiet = self.outages.was_told_lately(links.clock.now());
        history::rows(self.facts(), next, notes, actor, is_quiet, links)
    }

    /// The answers of jobs that waited, once nothing is being written any more.
    fn go_on_with_jobs(&mut self, links: &Links) {
        while self.saver.leads()
            && self.saver.takes(Order::JournalFirst, links.clock.now())
            && let Some((id, work, result)) = self.jobs.next()
        {
            let wall = links.wall_text();
            let change = Change::Done { id: &id, work: &work, result: &result };
            let Ok(applied) = self.state().apply(change, links.moment(&wall)) else { continue };
            match applied.order {
                Order::Quiet => self.saver.replace(applied.state),
                Order::EffectFirst => self.take_effect(applied, &SELF.into(), None, links),
                Order::JournalFirst => {
                    let extra = Extra { job: Some((id, work, result)), advances: true, ..Extra::default() };
                    self.save(applied, &SELF.into(), extra, links);
                }
            }
        }
    }

    /// What follows from the inputs, before the table is published: answers of jobs that could not take effect
    /// before, work that is wanted now, and who serves.
    pub(super) fn conclude(&mut self, links: &Links) {
        self.store_containers(links);
        self.go_on_with_jobs(links);
        // What is being written may be the answer to it.
        if !self.saver.is_pending() && self.saver.leads() {
            let ServiceController { saver, pools, watch, stretch, jobs, outputs, .. } = self;
            let facts = facts_of(saver, pools, watch, stretch.as_ref());
            jobs.want(facts, links.clock.now(), outputs);
            self.go_on_with_jobs(links);
        }
        self.note_coverage(links);
    }

    /// Writes into the history who serves, where that is another than before the last change.
    fn note_coverage(&mut self, links: &Links) {
        if !self.outputs.publishes() {
            return;
        }
        let ServiceController { saver, pools, watch, stretch, outages, .. } = self;
        let facts = facts_of(saver, pools, watch, stretch.as_ref());
        let Some(note) = outages.observe(facts) else { return };
        let is_outage = note.event == Event::Refuge;
        self.note(&[note], links);
        if is_outage {
            self.outages.note_told(links.clock.now());
        }
    }

    /// Puts out a notice of how the running rollout stands, for each receiver whose time has come.
    pub(super) fn report_progress(&mut self, links: &Links) {
        // What ends it may be on its way to the journal.
        if self.saver.is_pending() || !self.saver.leads() {
            return;
        }
        let ServiceController { saver, pools, watch, stretch, reports, outputs, .. } = self;
        let facts = facts_of(saver, pools, watch, stretch.as_ref());
        if let Some(outgoing) = reports.progress(facts, links) {
            outputs.push(Output::Post(Box::new(outgoing)));
        }
    }

    /// Something has changed that readers wait for and no write goes with.
    pub(super) fn note_news(&mut self) {
        self.saver.note_news(&mut self.outputs);
    }

    /// The state was another process's meanwhile: what was asked for before is asked for again.
    pub(super) fn decide_again(&mut self) {
        self.jobs = Jobs::default();
        self.saver.write_later();
        self.saver.note_news(&mut self.outputs);
    }
}

/// The facts, while another part is changed by them.
fn facts_of<'a>(
    saver: &'a Saver,
    pools: &'a Pools,
    watch: &'a Watch,
    stretch: Option<&'a Stretch>,
) -> ServiceFacts<'a> {
    ServiceFacts { state: saver.state(), news: saver.news(), pools, watch, stretch }
}

/// The pools that a rollout, or the watch after one, is about.
fn tried(state: &ServiceState) -> Vec<&str> {
    let rollout = state.running().into_iter().flat_map(|running| [&*running.to, &*running.from]);
    rollout.chain(state.guard.iter().map(|guard| &*guard.pool)).collect()
}
