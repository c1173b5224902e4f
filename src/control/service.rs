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

#[cfg(test)]
mod tests;

use super::command::{Actor, Command, DOCKER, Fault, JobResult, Refusal, Reply, SELF, StartRollout};
use super::coverage::Outages;
use super::facts::{ServiceFacts, candidate_from};
use super::jobs::Jobs;
use super::journal::{HistoryRow, IdempotencyKey, RolloutRecord, Started};
use super::links::{Links, Written};
use super::notices::Reports;
use super::output::{Answer, Output, Outputs, ReplyTo};
use super::pools::{Pools, addresses, policy};
use super::saver::{Extra, Proposal, Saver, Settled};
use super::stretches::Stretch;
use super::upstreams::{CheckNews, CheckedUpstream, ResolvedUpstream};
use super::watch::{Seen, Watch};
use super::{commands, history, log, shown};
use crate::core::container::PoolContainers;
use crate::core::event::Event;
use crate::core::failed_attempt::FailedAttempt;
use crate::core::outcome::ArmId;
use crate::core::policy::readings::Source;
use crate::core::rollout::Note;
use crate::core::service::{Applied, Caution, Change, Order, ServiceState, SetMove};
use crate::core::settings;
use crate::observe::clock::wall;
use std::collections::{BTreeMap, VecDeque};
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

    /// Takes a command, now or after the change that is being written. Only an abort does not wait.
    pub(super) fn command(&mut self, waiting: Waiting, links: &Links) {
        if self.saver.is_pending() && !commands::aborts(&waiting.command, self.facts()) {
            self.queue.push_back(waiting);
        } else {
            self.obey(waiting, links);
        }
    }

    /// Grows with every change; what is shown as the revision.
    pub(super) fn revision(&self) -> u64 {
        self.state().seq + self.saver.news()
    }

    /// The refusal of what was decided on another revision.
    pub(super) fn stale(&self, if_match: Option<u64>) -> Option<Refusal> {
        let current = self.revision();
        if_match.is_some_and(|seen| seen != current).then_some(Refusal::Precondition { current })
    }

    /// Why it would refuse a command now, if it would.
    pub(super) fn objection(&self, command: &Command, links: &Links) -> Option<Refusal> {
        if let Command::Start { start, .. } = command
            && let Some(reply) = self.repeated(start, links)
        {
            return reply.err();
        }
        let down = self.pools.known_down();
        let wall = links.wall_text();
        let change = commands::change(command, SELF, &down, self.facts(), links);
        let applied = change.map(|change| self.state().apply(change, links.moment(&wall)));
        applied.map_or_else(Some, |applied| applied.err().map(commands::refusal))
    }

    /// Whether a change of it is on its way to the journal, or a command waits for that.
    pub(super) fn is_changing(&self) -> bool {
        self.saver.is_pending() || !self.queue.is_empty()
    }

    /// Does what the others of its set have led to.
    pub(super) fn move_with_set(&mut self, next: &SetMove, links: &Links) {
        let down = self.pools.known_down();
        let change = match next {
            SetMove::GoOn => Change::GoOn,
            SetMove::Undo(by) => Change::Undone { by, caution: Caution { down: &down, force: false } },
        };
        let wall = links.wall_text();
        if let Ok(applied) = self.state().apply(change, links.moment(&wall)) {
            self.decided(applied, None, links);
        }
    }

    fn obey(&mut self, waiting: Waiting, links: &Links) {
        let Waiting { actor, command, if_match, to } = waiting;
        let mut answer = Answer { to, rollout: None, detail: None };
        let mut key = None;
        match &command {
            Command::Start { start, .. } => {
                if let Some(reply) = self.repeated(start, links) {
                    return self.outputs.push(Output::Reply(answer.to, reply));
                }
                answer.rollout = Some(true);
                let asked = start.asked.clone();
                key = start.idempotency_key.clone().map(|key| IdempotencyKey { key, asked });
            }
            Command::Rollout { .. } => answer.rollout = Some(false),
            _ => (),
        }
        if let Some(refusal) = self.stale(if_match) {
            return self.outputs.refuse(answer, refusal);
        }
        let down = self.pools.known_down();
        match commands::change(&command, &actor.name, &down, self.facts(), links) {
            Ok(change) => self.ask(change, &actor, answer, key, links),
            Err(refusal) => self.outputs.refuse(answer, refusal),
        }
    }

    fn ask(
        &mut self,
        change: Change<'_>,
        actor: &Actor,
        mut answer: Answer,
        key: Option<IdempotencyKey>,
        links: &Links,
    ) {
        let wall = links.wall_text();
        let applied = match self.state().apply(change, links.moment(&wall)) {
            Ok(applied) => applied,
            Err(denied) => {
                let refusal = commands::refusal(denied);
                return self.outputs.refuse(answer, refusal);
            }
        };
        let texts: Vec<&str> = applied.notes.iter().map(|note| &*note.text).collect();
        answer.detail = (!texts.is_empty()).then(|| texts.join("; "));
        match applied.order {
            Order::Quiet => self.outputs.push(Output::Answer(answer)),
            Order::JournalFirst => {
                let extra = Extra { answer: Some(answer), key, ..Extra::default() };
                self.save(applied, actor, extra, links);
            }
            Order::EffectFirst => {
                self.take_effect(applied, actor, None, links);
                self.outputs.push(Output::Answer(answer));
            }
        }
    }

    /// The answer to a start that its key has asked for before.
    fn repeated(&self, start: &StartRollout, links: &Links) -> Option<Result<Reply, Refusal>> {
        let Started { id, asked } = self.saver.started_by(start.idempotency_key.as_ref()?)?;
        if asked.is_some() && start.asked.is_some() && *asked != start.asked {
            let detail = format!("has started the rollout {id} with another body; take a new key");
            let fault = Fault { path: "Idempotency-Key".into(), detail };
            return Some(Err(Refusal::Invalid(vec![fault])));
        }
        let current = shown::rollout(self.facts()).filter(|view| view.id == *id).map(Arc::new);
        let view = current.or_else(|| links.ended(id))?;
        Some(Ok(Reply::Rollout { view, created: false }))
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
        }
        self.go_on_with_jobs(links);
        while !self.saver.is_pending()
            && let Some(waiting) = self.queue.pop_front()
        {
            self.obey(waiting, links);
        }
    }

    /// An upstream has been checked; what was begun on a former version of its pool says nothing. `decides` is
    /// whether the state is ours to change.
    pub(super) fn checked(&mut self, checked: CheckedUpstream, decides: bool, links: &Links) -> CheckNews {
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
            self.judge(None, links);
        }
        news
    }

    /// The containers of its pools are others, elsewhere, or about to end. That is so whoever decides: it is stored by
    /// [`ServiceController::conclude`].
    pub(super) fn contain(&mut self, now: &BTreeMap<Arc<str>, PoolContainers>, links: &Links) {
        match self.pools.contain(now, self.saver.state(), links) {
            Ok(true) => {
                self.pools.drain_as_stored(self.saver.state());
                self.outputs.publish();
                self.outputs.watch();
                self.note_news();
            }
            Ok(false) => (),
            Err(why) => tracing::error!(service = self.name(), "{why}"),
        }
    }

    /// Has the containers that there are stored, with what follows for the version behind a pool.
    fn store_containers(&mut self, links: &Links) {
        let now = self.pools.containers();
        if self.state().knows_containers(now) {
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
    pub(super) fn resolved(&mut self, resolved: ResolvedUpstream, decides: bool, links: &Links) {
        let settings = self.pools.settings.clone();
        let Some(pool) = self.pools.get_mut(&resolved.pool) else { return };
        let Some(settings) = settings.pools.get(&resolved.pool) else { return };
        if pool.upstreams.resolved(settings, resolved, &links.own) {
            self.note_news();
        }
        if decides {
            self.judge(None, links);
        }
    }

    /// Takes in one round of signals of one upstream.
    pub(super) fn signals(&mut self, said: Said, links: &Links) {
        let now = links.clock.now();
        let policy = policy(self.saver.state(), &self.pools.settings, links).cloned();
        self.pools.expect_signals(policy.as_ref(), now);
        // What was asked for before the pool began from zero may be another version's word.
        if let Some(pool) = self.pools.get_mut(&said.pool).filter(|pool| said.asked >= pool.begun) {
            pool.readings.observe(&said.source, said.values, now);
        }
        self.judge(None, links);
    }

    pub(super) fn job_done(&mut self, ticket: u64, result: JobResult, links: &Links) {
        self.jobs.answered(ticket, result, links.clock.now());
        self.go_on_with_jobs(links);
    }

    /// Keeps a sample of a mirrored answer that differed in the history, unless there are enough.
    pub(super) fn differed(&mut self, arm: ArmId, text: &str, links: &Links) {
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
    pub(super) fn failed(&mut self, arm: ArmId, failed: FailedAttempt, links: &Links) {
        self.watch.keep_failed(arm, failed, &self.pools, links);
    }

    /// Takes in ejections and, once a second, the figures.
    pub(super) fn observe(&mut self, links: &Links) {
        if self.pools.observe(links.clock.now(), self.saver.state(), links) {
            self.saver.note_news(&mut self.outputs);
        }
    }

    /// Holds the pool that is watched against the policy by what it did. `rung_us` is when the bell was rung that this
    /// follows. Whether the pool had new failures.
    pub(super) fn judge(&mut self, rung_us: Option<u64>, links: &Links) -> bool {
        let seen = self.watch.look(self.saver.state(), &self.pools, links);
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

    /// What the controller decided by itself.
    fn decided(&mut self, applied: Applied, rung_us: Option<u64>, links: &Links) {
        self.decided_by(applied, &SELF.into(), rung_us, links);
    }

    fn decided_by(&mut self, applied: Applied, who: &Actor, rung_us: Option<u64>, links: &Links) {
        // What others are asked for is durable first, so that a restart asks for the same.
        let asks = applied.order == Order::Quiet && applied.state.work() != self.state().work();
        let order = if asks { Order::JournalFirst } else { applied.order };
        if !applied.takes_traffic_away() && !self.saver.takes(order, links.clock.now()) {
            // Nothing but an abort overtakes what is being written; the rest comes up again.
            return;
        }
        match order {
            Order::Quiet => self.saver.replace(applied.state),
            Order::JournalFirst => self.save(applied, who, Extra::default(), links),
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
        while self.saver.takes(Order::JournalFirst, links.clock.now())
            && let Some((id, work, result)) = self.jobs.next()
        {
            let wall = links.wall_text();
            let change = Change::Done { id: &id, work: &work, result: &result };
            let Ok(applied) = self.state().apply(change, links.moment(&wall)) else { continue };
            match applied.order {
                Order::Quiet => self.saver.replace(applied.state),
                Order::EffectFirst => self.take_effect(applied, &SELF.into(), None, links),
                Order::JournalFirst => {
                    let extra = Extra { job: Some((id, work, result)), ..Extra::default() };
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
        if !self.saver.is_pending() {
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
        if self.saver.is_pending() {
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
