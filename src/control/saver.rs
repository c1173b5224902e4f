//! The state of one service that is in effect, what of it is on its way to the journal, and in which order a change
//! takes effect and becomes durable.
//!
//! A change that gives somebody traffic waits for its write ([`Saver::save`]); meanwhile the service takes no other
//! command, and only an abort overtakes it. An abort takes effect first ([`Saver::take_effect`]); its rows follow,
//! and are tried again until they are written. Nothing is written here: the controller, and the simulation of
//! rollouts, carry out what is put out and say what became of it ([`Saver::written`]). In a fleet `in_fleet` has what is
//! otherwise.

mod in_fleet;

use super::command::{Actor, Command, Refusal};
use super::fleet::{FleetPart, WritePurpose};
use super::jobs::JobAnswer;
use super::journal::outbox::Outgoing;
use super::journal::{HistoryRow, IdempotencyKey, JournalError, RolloutRecord, Started};
use super::links::unwritten;
use super::log::LogLine;
use super::output::{Answer, Durable, FleetAsk, Output, Outputs, Stored};
use crate::core::event::Event;
use crate::core::service::{Order, ServiceState};
use crate::core::settings::Upstream;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Pause after a write that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Rows that may wait for the disk before mere observations are left out.
const MOST_NOTED: usize = 1000;
/// How often the progress of a rollout is written, beside its changes.
const PROGRESS: Duration = Duration::from_secs(5);

/// A change with all that goes along with it into the journal and the log.
#[derive(Debug)]
pub(super) struct Proposal {
    pub state: ServiceState,
    pub rows: Vec<HistoryRow>,
    pub log: Vec<LogLine>,
}

/// What may go along with a change that is written first.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// The rollout as it is then.
    pub rollout: Option<RolloutRecord>,
    pub answer: Option<Answer>,
    pub key: Option<IdempotencyKey>,
    /// The answer of a job that led to it.
    pub job: Option<JobAnswer>,
    /// Whether a rollout goes on by itself with it.
    pub advances: bool,
}

/// A command that is carried out once more where somebody else was first.
#[derive(Debug)]
pub(super) struct AskedCommand {
    pub actor: Actor,
    pub command: Command,
    pub if_match: Option<u64>,
    /// How often it was tried.
    pub tries: u32,
}

/// What somebody else in the fleet was faster than.
#[derive(Debug)]
pub(super) struct OvertakenWrite {
    pub answer: Option<Answer>,
    pub asked: Option<AskedCommand>,
    pub job: Option<JobAnswer>,
}

/// What the end of a write has led to.
#[derive(Debug)]
pub(super) enum Settled {
    Nothing,
    /// A change is in effect now; the state before it.
    InEffect(Box<ServiceState>),
    /// A change could not be written. The answer of a job that led to it is to be tried again.
    Refused(Option<JobAnswer>),
    /// Another member has changed the service meanwhile.
    Again(Box<OvertakenWrite>),
}

/// Makes the record of a state's rollout, as the journal keeps it.
pub(super) type Recording<'a> = &'a dyn Fn(&ServiceState) -> Option<RolloutRecord>;

#[derive(Debug)]
pub(super) struct Saver {
    service: Arc<str>,
    /// What is in effect.
    state: ServiceState,
    /// Changes beside those of the state, such as of an upstream's health, in this process.
    news: u64,
    /// Rollouts by idempotency key.
    keys: HashMap<String, Started>,
    serial: u64,
    /// The change that takes effect once it is written.
    pending: Option<Pending>,
    /// Rows of what is in effect but not yet durable.
    late: Vec<HistoryRow>,
    late_rollout: Option<RolloutRecord>,
    /// The pools that lost a weight set by hand by what is not durable yet.
    late_taken: Vec<String>,
    /// The write that carries so many of them.
    late_sent: Option<(u64, usize)>,
    retry_at: Duration,
    /// Not before then is another decision of our own written, after one that could not be.
    decide_at: Duration,
    /// When the state was last written, or the write tried.
    saved_at: Duration,
    /// Whether it is to be written whether or not its time has come.
    due: bool,
    /// Of one that is in a fleet.
    fleet: Option<Box<FleetPart>>,
    /// The state that is on its way to the fleet with late rows.
    late_state: Option<Box<ServiceState>>,
    /// Notices that wait for the end of a write to the fleet, by its number.
    notices: HashMap<u64, Vec<Outgoing>>,
}

#[derive(Debug)]
struct Pending {
    serial: u64,
    state: ServiceState,
    key: Option<IdempotencyKey>,
    answer: Option<Answer>,
    job: Option<JobAnswer>,
    /// What the log says once it has taken effect.
    log: Vec<LogLine>,
    asked: Option<Box<AskedCommand>>,
}

impl Saver {
    pub(super) fn new(service: Arc<str>, state: ServiceState) -> Self {
        Saver {
            service,
            state,
            news: 0,
            keys: HashMap::new(),
            serial: 0,
            pending: None,
            late: Vec::new(),
            late_rollout: None,
            late_taken: Vec::new(),
            late_sent: None,
            retry_at: Duration::ZERO,
            decide_at: Duration::ZERO,
            saved_at: Duration::ZERO,
            due: false,
            fleet: None,
            late_state: None,
            notices: HashMap::new(),
        }
    }

    /// What is in effect.
    pub(super) fn state(&self) -> &ServiceState {
        &self.state
    }

    /// Puts a state in the place of the one in effect, that no history tells of: the clock went on, or a reload has
    /// fitted it to a configuration.
    pub(super) fn replace(&mut self, state: ServiceState) {
        self.state = state;
    }

    /// How often something has changed that is no change of the state. A fleet has one revision, so none there.
    pub(super) fn news(&self) -> u64 {
        if self.fleet.is_some() { 0 } else { self.news }
    }

    /// Something has changed that readers wait for and no write goes with, such as whether an upstream is up.
    pub(super) fn note_news(&mut self, out: &mut Outputs) {
        self.news += 1;
        out.publish();
    }

    /// The rollout that a key has started.
    pub(super) fn started_by(&self, key: &str) -> Option<&Started> {
        self.keys.get(key)
    }

    pub(super) fn set_keys(&mut self, keys: HashMap<String, Started>) {
        self.keys = keys;
    }

    /// Forgets the keys of rollouts that are kept no longer.
    pub(super) fn forget(&mut self, rollouts: &[String]) {
        self.keys.retain(|_, started| !rollouts.contains(&started.id));
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// Whether a decision of our own can be carried out in this order now.
    pub(super) fn takes(&self, order: Order, now: Duration) -> bool {
        !self.is_pending() && (order != Order::JournalFirst || now >= self.decide_at)
    }

    /// Whether anything is not durable yet, and a write is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.pending.is_some() || self.late_sent.is_some()
    }

    /// Has the state written even if nothing has changed: until it is, nobody knows that it can be.
    pub(super) fn write_now(&mut self) {
        self.due = true;
    }

    /// Takes [`Saver::write_now`] back.
    pub(super) fn write_later(&mut self) {
        self.due = false;
    }

    /// Whether everything that is in effect is durable.
    pub(super) fn is_all_written(&self) -> bool {
        !self.is_busy() && !self.due && self.late.is_empty()
    }

    /// Remembers that a registered upstream, or a container, has passed a check.
    pub(super) fn note_proven(&mut self, pool: &str, upstream: &Upstream) {
        if upstream.container.is_none() && !self.state.upstreams.contains_key(pool) {
            return;
        }
        let record = self.state.pools.entry(pool.to_owned()).or_default();
        self.due |= record.proven.insert(upstream.identity()) && self.fleet.is_none();
    }

    /// Writes a change with all that goes along; it takes effect once it is durable.
    pub(super) fn save(
        &mut self,
        proposal: Proposal,
        extra: Extra,
        record: Recording<'_>,
        now: Duration,
        out: &mut Outputs,
    ) {
        let Proposal { state, rows, log } = proposal;
        let Extra { rollout, answer, key, job, advances } = extra;
        // What happened before comes before it in the history, too. A fleet takes one change at a time.
        if !self.late.is_empty() && self.late_sent.is_none() && self.fleet.is_none() {
            self.send_late(record, now, out);
        }
        let change = self.change(&state, rollout, rows);
        let purpose = if advances { WritePurpose::Advance } else { WritePurpose::Command };
        let serial = self.send(change, purpose, now, out);
        self.pending = Some(Pending { serial, state, key, answer, job, log, asked: None });
    }

    /// Puts a change into effect at once; its rows are written after. `rung_us` is when the bell was rung that led
    /// to it. The state before it.
    pub(super) fn take_effect(
        &mut self,
        proposal: Proposal,
        rung_us: Option<u64>,
        out: &mut Outputs,
    ) -> ServiceState {
        let Proposal { state, rows, log } = proposal;
        if let Some((mark, pool)) = self.mark(&state, &rows) {
            let rollout = state.rollout.as_ref().filter(|last| last.id == mark).map(|last| last.id.clone());
            if let (Some(fleet), Some(rollout)) = (&mut self.fleet, rollout) {
                fleet.aborted(rollout);
            }
            out.push(Output::Mark { mark, pool, rung_us });
        }
        self.late.extend(rows);
        out.log(log);
        if let Some(answer) = self.pending.take().and_then(|overtaken| overtaken.answer) {
            let detail = "a version lost its traffic at the same time; see the history".to_owned();
            out.refuse(answer, Refusal::Conflict { detail, rollout: None });
        }
        self.enter(state, out)
    }

    /// What is marked of a change that takes traffic away from a pool's version, and the pool: the id of its rollout, or
    /// the number of the state by which a weight set by hand was taken back, with the pools of all that are not durable.
    /// Their names come last, since a mark has room for so many letters only.
    fn mark(&mut self, state: &ServiceState, rows: &[HistoryRow]) -> Option<(String, String)> {
        let has = |takes: fn(Event) -> bool| rows.iter().any(|row| takes(row.event));
        if has(|event| event == Event::TakenBack) {
            let taken = state.taken.as_ref()?;
            for pool in taken.also.iter().chain([&taken.pool]) {
                if !self.late_taken.contains(pool) {
                    self.late_taken.push(pool.clone());
                }
            }
            let mark = format!("{}/{}/{}", self.service, taken.seq, self.late_taken.join(","));
            return Some((mark, taken.pool.clone()));
        }
        let last = state.rollout.as_ref().filter(|_| has(Event::takes_traffic_away))?;
        Some((last.id.clone(), last.to.clone()))
    }

    /// The rollout that goes along with the rows that are not durable yet.
    pub(super) fn keep_rollout(&mut self, rollout: Option<RolloutRecord>) {
        self.late_rollout = rollout;
    }

    /// Adds rows about what is so already; they are written as soon as may be. A disk that stays full must not fill
    /// the memory, too: the log has what is left out.
    pub(super) fn note(&mut self, rows: Vec<HistoryRow>) {
        if self.late.len() >= MOST_NOTED {
            let texts: Vec<_> = rows.iter().map(|row| &*row.text).collect();
            tracing::warn!(service = %self.service, "not kept for the history: {}", texts.join("; "));
            return;
        }
        self.late.extend(rows);
    }

    /// How long it took from the bell to the table, into the row of the abort that was just published.
    pub(super) fn note_reaction(&mut self, took_us: u64) {
        let aborted = |row: &&mut HistoryRow| matches!(row.event, Event::Aborted | Event::TakenBack);
        let aborted = self.late.iter_mut().rfind(aborted);
        if let Some(figures) = aborted.and_then(|row| row.figures.as_object_mut()) {
            figures.insert("reaction_ms".into(), (took_us as f64 / 1000.0).into());
        }
    }

    /// Writes what is in effect and not yet durable, and from time to time a rollout's progress.
    pub(super) fn catch_up(&mut self, record: Recording<'_>, now: Duration, out: &mut Outputs) {
        if self.fleet.is_some() {
            return self.catch_up_in_fleet(record, now, out);
        }
        if self.is_busy() || now < self.retry_at {
            return;
        }
        let progress = self.state.running().is_some() && now >= self.saved_at + PROGRESS;
        if !self.late.is_empty() || progress || self.due {
            self.send_late(record, now, out);
        }
    }

    fn send_late(&mut self, record: Recording<'_>, now: Duration, out: &mut Outputs) {
        let (rows, sent) = (self.late.clone(), self.late.len());
        let rollout = self.late_rollout.clone().or_else(|| record(&self.state));
        let change = self.change(&self.state, rollout, rows);
        self.late_sent = Some((self.send(change, WritePurpose::Command, now, out), sent));
    }

    fn send(&mut self, mut change: Durable, purpose: WritePurpose, now: Duration, out: &mut Outputs) -> u64 {
        self.serial += 1;
        self.saved_at = now;
        let ask = self.fleet.as_ref().map(|fleet| {
            let is_known = |id: &String| self.state.rollout.as_ref().is_some_and(|last| last.id == *id);
            let running = change.stored.state.running().map(|running| running.id.clone());
            let begins = running.filter(|id| fleet.base().is_none() || !is_known(id));
            FleetAsk { purpose, base: fleet.base().cloned(), begins }
        });
        if ask.is_some() {
            self.keep_notices(self.serial, &mut change);
        }
        out.push(Output::Write { serial: self.serial, change: Box::new(change), ask });
        self.serial
    }

    /// A write has come to its end.
    pub(super) fn written(
        &mut self,
        serial: u64,
        result: &Result<(), JournalError>,
        now: Duration,
        out: &mut Outputs,
    ) -> Settled {
        if let Some((_, rows)) = self.late_sent.take_if(|(sent, _)| *sent == serial) {
            self.late_written(rows, result.is_ok(), now, out);
            return Settled::Nothing;
        }
        let Some(pending) = self.pending.take_if(|pending| pending.serial == serial) else {
            return Settled::Nothing;
        };
        match result {
            Ok(()) => Settled::InEffect(Box::new(self.commit(pending, out))),
            Err(error) => Settled::Refused(self.not_written(pending, error, now, out)),
        }
    }

    fn late_written(&mut self, rows: usize, ok: bool, now: Duration, out: &mut Outputs) {
        if !ok {
            self.retry_at = now + RETRY;
            return;
        }
        self.due = false;
        self.late.drain(..rows.min(self.late.len()));
        if self.late.is_empty() {
            self.late_rollout = None;
            self.late_taken.clear();
            if rows > 0 && self.fleet.as_ref().is_none_or(|fleet| !fleet.is_marked()) {
                out.push(Output::Unmark);
            }
        }
    }

    fn commit(&mut self, pending: Pending, out: &mut Outputs) -> ServiceState {
        if let (Some(IdempotencyKey { key, asked }), Some(running)) = (pending.key, pending.state.running()) {
            self.keys.insert(key, Started { id: running.id.clone(), asked });
        }
        let before = self.enter(pending.state, out);
        out.log(pending.log);
        pending.answer.into_iter().for_each(|answer| out.push(Output::Answer(answer)));
        before
    }

    /// Somebody who asked for it gets a refusal; what we decided ourselves is tried again, and meanwhile the
    /// rollout says what it waits for.
    fn not_written(
        &mut self,
        pending: Pending,
        error: &JournalError,
        now: Duration,
        out: &mut Outputs,
    ) -> Option<JobAnswer> {
        let running = pending.state.rollout.as_ref();
        let (rollout, pool) = running.map(|running| (running.id.as_str(), running.to.as_str())).unzip();
        let promotes = self.state.stable != pending.state.stable;
        let what = if promotes {
            "not promoted, the state cannot be written"
        } else {
            "not done, the state cannot be written"
        };
        tracing::warn!(service = &*self.service, rollout, pool, "{what}: {error}");
        if let Some(answer) = pending.answer {
            out.refuse(answer, unwritten(error));
            return None;
        }
        self.decide_at = now + RETRY;
        let why = format!("cannot go on, it is tried again: {error}");
        if let Some(running) = self.state.rollout.as_mut().filter(|running| !running.rollout.has_ended())
            && running.rollout.reason.as_ref() != Some(&why)
        {
            running.rollout.reason = Some(why);
            self.note_news(out);
        }
        pending.job
    }

    /// Puts a state into effect: the table follows with the next publication. The state before it.
    fn enter(&mut self, state: ServiceState, out: &mut Outputs) -> ServiceState {
        // Numbers never repeat. In a fleet they are its documents'.
        let seq = if self.fleet.is_some() { state.seq } else { state.seq.max(self.state.seq + 1) };
        out.publish();
        std::mem::replace(&mut self.state, ServiceState { seq, ..state })
    }

    fn change(
        &self,
        state: &ServiceState,
        rollout: Option<RolloutRecord>,
        history: Vec<HistoryRow>,
    ) -> Durable {
        // What was shown must never be shown again for something else, by the next process either.
        let state = ServiceState { seq: state.seq + self.news(), ..state.clone() };
        Durable { stored: Stored { state }, rollout, history }
    }
}

/// The weights of a service that are marked as taken back: the number of the state, and the pools, with commas between
/// them.
pub(super) fn marked_weights<'a>(service: &str, marks: &'a [String]) -> Option<(u64, &'a str)> {
    marks.iter().find_map(|mark| {
        let (seq, pools) = mark.strip_prefix(service)?.strip_prefix('/')?.split_once('/')?;
        Some((seq.parse().ok()?, pools))
    })
}
