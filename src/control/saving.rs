//! What is on its way to the journal, and in which order changes take effect and become durable.
//!
//! A change that gives somebody traffic waits for its write ([`Live::save`]); meanwhile the service
//! takes no other command, and only an abort overtakes it. An abort takes effect first
//! ([`Live::take_effect`]); its rows follow, and are tried again until they are written.

use super::command::{Actor, Command, Refusal, Reply};
use super::jobs::JobAnswer;
use super::journal::{Change, HistoryRow, IdempotencyKey, JournalError, RolloutRecord, Started};
use super::links::{Links, Written, unwritten};
use super::live::{Live, SELF};
use super::log::LogLine;
use super::notices::{Reports, told};
use super::shown;
use crate::core::event::Event;
use crate::core::rollout::Note;
use crate::core::service::{Applied, Order, ServiceState};
use crate::observe::clock::wall;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::oneshot;

/// Pause after a write that failed.
const RETRY: Duration = Duration::from_secs(1);
/// Rows that may wait for the disk before mere observations are left out.
const MOST_NOTED: usize = 1000;
/// How often the progress of a rollout is written, beside its changes.
const PROGRESS: Duration = Duration::from_secs(5);

/// A service's state as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    pub state: ServiceState,
}

/// Somebody who waits for an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub to: oneshot::Sender<Result<Reply, Refusal>>,
    /// Whether the answer is the rollout, and if so, whether it is a new one.
    pub rollout: Option<bool>,
    /// What was done, for people.
    pub detail: Option<String>,
}

/// A command that waits for its turn.
#[derive(Debug)]
pub(super) struct Waiting {
    pub actor: Actor,
    pub command: Command,
    pub to: oneshot::Sender<Result<Reply, Refusal>>,
}

/// The writes of one service.
#[derive(Debug, Default)]
pub(super) struct Saving {
    serial: u64,
    /// The change that takes effect once it is written.
    pending: Option<Pending>,
    /// Commands that came meanwhile.
    pub queue: VecDeque<Waiting>,
    /// Rows of what is in effect but not yet durable.
    late: Vec<HistoryRow>,
    late_rollout: Option<RolloutRecord>,
    /// The write that carries so many of them.
    late_sent: Option<(u64, usize)>,
    retry_at: Duration,
    /// Not before then is another decision of our own written, after one that could not be.
    decide_at: Duration,
    /// When the state was last written, or the write tried.
    saved_at: Duration,
    /// Whether it is to be written whether or not its time has come.
    due: bool,
    pub reports: Reports,
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
}

impl Saving {
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

    /// Takes [`Saving::write_now`] back.
    pub(super) fn write_later(&mut self) {
        self.due = false;
    }

    /// Whether everything that is in effect is durable, and nothing waits to be.
    pub(super) fn is_all_written(&self) -> bool {
        !self.is_busy() && !self.due && self.late.is_empty() && self.queue.is_empty()
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }
}

impl Live {
    /// Writes a change with all that goes along; it takes effect once it is durable.
    pub(super) fn save(
        &mut self,
        state: ServiceState,
        notes: &[Note],
        actor: &str,
        extra: Extra,
        links: &Links,
    ) {
        let history = self.rows(&state, notes, actor, links);
        let rollout =
            shown::rollout_of(&self.settings.name, &state).map(|view| record(&view, extra.key.clone()));
        let change = self.change(&state, rollout, history);
        // What happened before comes before it in the history, too.
        if !self.saving.late.is_empty() && self.saving.late_sent.is_none() {
            self.send_late(links);
        }
        let serial = self.saving.next_serial();
        self.saving.saved_at = links.clock.now();
        let Extra { answer, key, job } = extra;
        let log = self.log_lines(&state, notes, actor);
        self.saving.pending = Some(Pending { serial, state, key, answer, job, log });
        links.write(self.settings.name.clone(), serial, change);
    }

    /// Puts a change into effect at once; its rows are written after.
    pub(super) fn take_effect(&mut self, applied: Applied, actor: &str, links: &Links) {
        let rows = self.rows(&applied.state, &applied.notes, actor, links);
        self.saving.late.extend(rows);
        let lines = self.log_lines(&applied.state, &applied.notes, actor);
        self.todo.log.extend(lines);
        if applied.takes_traffic_away() {
            self.todo.mark = applied.state.rollout.as_ref().map(|running| running.id.clone());
        }
        if let Some(overtaken) = self.saving.pending.take()
            && let Some(answer) = overtaken.answer
        {
            let detail = "the rollout was aborted at the same time".to_owned();
            self.todo.refusals.push((answer, Refusal::Conflict { detail, rollout: None }));
        }
        self.enter(applied.state, links);
        self.saving.late_rollout = shown::rollout(self).map(|view| record(&view, None));
    }

    /// Adds lines of history about what is so already; they are written as soon as may be. What the log says of
    /// it is the caller's.
    pub(super) fn note(&mut self, notes: &[Note], links: &Links) {
        if self.saving.late.len() >= MOST_NOTED {
            // A disk that stays full must not fill the memory, too; the log has it.
            let texts: Vec<_> = notes.iter().map(|note| &*note.text).collect();
            tracing::warn!(service = %self.settings.name, "not kept for the history: {}", texts.join("; "));
            return;
        }
        let rows = self.rows(&self.state, notes, SELF, links);
        self.saving.late.extend(rows);
    }

    /// The time from the bell to the table, into the rows of what was just published.
    pub(super) fn published(&mut self, links: &Links) {
        let rung_us = self.todo.rung_us.take();
        let Some(id) = self.todo.mark.take() else { return };
        links.journal.marks.set(self.slot, &id);
        let Some(rung_us) = rung_us else { return };
        let took_us = links.clock.now_us().saturating_sub(rung_us);
        tracing::info!(service = %self.settings.name, took_us, "from the deciding outcome to the table");
        let aborted = self.saving.late.iter_mut().rfind(|row| row.event == Event::Aborted);
        if let Some(figures) = aborted.and_then(|row| row.figures.as_object_mut()) {
            figures.insert("reaction_ms".into(), (took_us as f64 / 1000.0).into());
        }
    }

    /// Writes what is in effect and not yet durable, and from time to time a rollout's progress.
    pub(super) fn catch_up(&mut self, links: &Links) {
        let now = links.clock.now();
        let saving = &self.saving;
        if saving.pending.is_some() || saving.late_sent.is_some() || now < saving.retry_at {
            return;
        }
        let progress = self.state.running().is_some() && now >= saving.saved_at + PROGRESS;
        if saving.late.is_empty() && !progress && !saving.due {
            return;
        }
        self.send_late(links);
    }

    fn send_late(&mut self, links: &Links) {
        let rows = self.saving.late.clone();
        let serial = self.saving.next_serial();
        (self.saving.late_sent, self.saving.saved_at) = (Some((serial, rows.len())), links.clock.now());
        let current = || shown::rollout(self).map(|view| record(&view, None));
        let rollout = self.saving.late_rollout.clone().or_else(current);
        let change = self.change(&self.state, rollout, rows);
        links.write(self.settings.name.clone(), serial, change);
    }

    /// A write has come to its end.
    pub(super) fn written(&mut self, written: Written, links: &Links) {
        if let Err(error) = &written.result {
            tracing::error!(service = %self.settings.name, "{error}");
        }
        if let Some((_, rows)) = self.saving.late_sent.take_if(|(serial, _)| *serial == written.serial) {
            self.late_written(rows, written.result.is_ok(), links);
        } else if let Some(pending) = self.saving.pending.take_if(|p| p.serial == written.serial) {
            match &written.result {
                Ok(()) => self.commit(pending, links),
                Err(error) => self.not_written(pending, error, links),
            }
        }
    }

    /// Whoever asked for it is told; what we decided ourselves is tried again, and meanwhile the rollout says
    /// what it waits for.
    fn not_written(&mut self, pending: Pending, error: &JournalError, links: &Links) {
        let running = pending.state.rollout.as_ref();
        let (rollout, pool) = running.map(|running| (running.id.as_str(), running.to.as_str())).unzip();
        let service = &*self.settings.name;
        let promotes = self.state.stable != pending.state.stable;
        let what = if promotes {
            "not promoted, the state cannot be written"
        } else {
            "not done, the state cannot be written"
        };
        tracing::warn!(service, rollout, pool, "{what}: {error}");
        if let Some(answer) = pending.answer {
            return self.todo.refusals.push((answer, unwritten(error)));
        }
        self.saving.decide_at = links.clock.now() + RETRY;
        self.jobs.again(pending.job);
        let why = format!("cannot go on, it is tried again: {error}");
        if let Some(running) = self.state.rollout.as_mut().filter(|running| !running.rollout.has_ended())
            && running.rollout.reason.as_ref() != Some(&why)
        {
            running.rollout.reason = Some(why);
            self.upstreams_changed();
        }
    }

    fn late_written(&mut self, rows: usize, ok: bool, links: &Links) {
        if !ok {
            self.saving.retry_at = links.clock.now() + RETRY;
            return;
        }
        self.saving.due = false;
        self.saving.late.drain(..rows.min(self.saving.late.len()));
        if self.saving.late.is_empty() {
            self.saving.late_rollout = None;
            if rows > 0 {
                links.journal.marks.clear(self.slot);
            }
        }
    }

    fn commit(&mut self, pending: Pending, links: &Links) {
        if let (Some(IdempotencyKey { key, asked }), Some(running)) = (pending.key, pending.state.running()) {
            self.keys.insert(key, Started { id: running.id.clone(), asked });
        }
        self.enter(pending.state, links);
        self.todo.log.extend(pending.log);
        self.todo.answers.extend(pending.answer);
    }

    fn change(
        &self,
        state: &ServiceState,
        rollout: Option<RolloutRecord>,
        history: Vec<HistoryRow>,
    ) -> Change {
        let stored = Stored { state: state.clone() };
        // Maps with text keys, numbers and texts: there is nothing JSON cannot hold.
        let state = serde_json::to_string(&stored).unwrap_or_default();
        Change { service: self.settings.name.to_string(), state, rollout, history }
    }

    fn rows(&self, state: &ServiceState, notes: &[Note], actor: &str, links: &Links) -> Vec<HistoryRow> {
        if notes.is_empty() {
            return Vec::new();
        }
        let at = wall();
        let figures = shown::history_figures(self, state, links);
        let rollout =
            state.rollout.as_ref().filter(|r| !r.rollout.has_ended() || self.state.running().is_some());
        let row = |note: &Note| HistoryRow {
            at,
            actor: actor.to_owned(),
            event: note.event,
            text: note.text.clone(),
            address: self.asked_from.clone().filter(|_| actor != SELF),
            figures: figures.clone(),
            rollout: rollout.map(|running| running.id.clone()),
            notice: told(self, state, note, actor, at, links),
        };
        notes.iter().map(row).collect()
    }
}

/// What may go along with a change.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub answer: Option<Answer>,
    pub key: Option<IdempotencyKey>,
    /// The answer of a job that led to it.
    pub job: Option<JobAnswer>,
}

fn record(view: &super::view::RolloutView, key: Option<IdempotencyKey>) -> RolloutRecord {
    let record = serde_json::to_string(view).unwrap_or_default();
    RolloutRecord { id: view.id.clone(), key, record }
}
