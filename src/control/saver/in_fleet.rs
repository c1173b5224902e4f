//! The same in a fleet: what is written goes to the store that all share, and what others write there is followed.
//!
//! What is in effect here is never older than an abort of our own, and never waits for the store. Rows about what one
//! instance sees stay with it; an abort's rows go along with its tombstone; all others are the leader's to write.

use super::{OvertakenWrite, PROGRESS, Pending, Recording, Saver, Settled};
use crate::control::fleet::{FleetPart, FleetState, WriteOutcome};
use crate::control::journal::{IdempotencyKey, JournalError, Started};
use crate::control::output::{Durable, Output, Outputs, Stored};
use crate::core::event::Event;
use crate::core::service::ServiceState;
use std::sync::Arc;
use std::time::Duration;

impl Saver {
    /// It is one of a fleet, of which nothing is known yet.
    pub(in crate::control) fn join_fleet(&mut self) {
        self.fleet = Some(Box::default());
    }

    pub(in crate::control) fn fleet(&self) -> Option<&FleetPart> {
        self.fleet.as_deref()
    }

    /// Whether this process may go on by itself: alone, or as the leader. Anybody aborts.
    pub(in crate::control) fn leads(&self) -> bool {
        self.fleet().is_none_or(FleetPart::leads)
    }

    /// Why nothing goes on that is not an abort.
    pub(in crate::control) fn holds(&self) -> &[String] {
        self.fleet().map_or(&[], FleetPart::holds)
    }

    /// While members are missing, the rollout says what it waits for.
    pub(in crate::control) fn say_held(&mut self, out: &mut Outputs) {
        if self.holds().is_empty() {
            return;
        }
        let why = format!("waits for the fleet: {}", self.holds().join("; "));
        if let Some(running) = self.state.rollout.as_mut().filter(|running| !running.rollout.has_ended())
            && running.rollout.reason.as_ref() != Some(&why)
        {
            running.rollout.reason = Some(why);
            self.note_news(out);
        }
    }

    /// Whether this process leads, and why it holds; whether that is news.
    pub(in crate::control) fn stand(&mut self, leads: bool, holds: Vec<String>) -> bool {
        self.fleet.as_mut().is_some_and(|fleet| fleet.stand(leads, holds))
    }

    /// The state as the fleet has it; `fitted` is the same for the pools here. The one before, if it is entered.
    pub(in crate::control) fn follow(
        &mut self,
        news: &FleetState,
        fitted: ServiceState,
        out: &mut Outputs,
    ) -> Option<ServiceState> {
        let fleet = self.fleet.as_mut()?;
        let is_new = fleet.follows(&news.state, (&news.txn, &news.undone, news.is_heard));
        if news.is_settled && fleet.take_mark() {
            out.push(Output::Unmark);
        }
        if !is_new {
            return None;
        }
        // What was kept meanwhile is in effect already; the clock has gone on since.
        if self.late_state.take_if(|sent| **sent == news.state).is_some() {
            return None;
        }
        // Of an own change all is known that its document does not tell.
        let own = self.pending.as_ref().map(|pending| &pending.state).filter(|own| **own == news.state);
        let next = own.cloned().unwrap_or(fitted);
        out.publish();
        Some(std::mem::replace(&mut self.state, next))
    }

    /// A rollout was started by a key, at any member.
    pub(in crate::control) fn note_key(&mut self, key: String, started: Started) {
        self.keys.insert(key, started);
    }

    /// What was asked for, should somebody else be first.
    pub(in crate::control) fn keep_asked(&mut self, asked: super::AskedCommand) {
        if let Some(pending) = self.pending.as_mut().filter(|_| self.fleet.is_some()) {
            pending.asked = Some(Box::new(asked));
        }
    }

    /// Hands on what is in effect and not written yet.
    pub(super) fn catch_up_in_fleet(&mut self, record: Recording<'_>, now: Duration, out: &mut Outputs) {
        let is_sent = |sent: Option<(u64, usize)>| sent.is_some();
        if is_sent(self.late_sent) {
            return;
        }
        let own: Vec<_> = self.late.extract_if(.., |row| row.event.is_of_one_instance()).collect();
        if !own.is_empty() {
            out.push(Output::Archive(own));
        }
        let Some(fleet) = &mut self.fleet else { return };
        if let Some(rollout) = fleet.take_to_tell() {
            let mut rows = std::mem::take(&mut self.late);
            let aborts = |row: &&crate::control::journal::HistoryRow| row.event.takes_traffic_away();
            let why = rows.iter().find(aborts).map(|row| row.text.clone()).unwrap_or_default();
            let posted = rows.iter_mut().filter_map(|row| row.notice.take());
            posted.for_each(|notice| out.push(Output::Post(Box::new(notice))));
            out.push(Output::Abort { rollout, why, rows });
        }
        let (leads, is_known) = (fleet.leads(), fleet.is_known());
        if !leads && is_known {
            // The leader has seen the same; only a weight that was taken back is anybody's.
            self.late.retain(|row| row.event == Event::TakenBack);
            self.due &= !self.late.is_empty();
        }
        let progress = leads && self.state.running().is_some() && now >= self.saved_at + PROGRESS;
        let has_late = !self.late.is_empty() && (is_known || self.due);
        if !self.is_busy() && now >= self.retry_at && (has_late || self.due || progress) {
            self.late_state = Some(Box::new(self.state.clone()));
            self.send_late(record, now, out);
        }
    }

    /// The change as it goes to the fleet: its notices wait for its end.
    pub(super) fn keep_notices(&mut self, serial: u64, change: &mut Durable) {
        let notices = change.history.iter_mut().filter_map(|row| row.notice.take());
        let notices: Vec<_> = notices.collect();
        if !notices.is_empty() {
            self.notices.insert(serial, notices);
        }
    }

    /// A write has come to its end.
    pub(in crate::control) fn written_in_fleet(
        &mut self,
        serial: u64,
        outcome: WriteOutcome,
        now: Duration,
        out: &mut Outputs,
    ) -> Settled {
        let notices = self.notices.remove(&serial).unwrap_or_default();
        if matches!(outcome, WriteOutcome::Done(_)) {
            notices.into_iter().for_each(|notice| out.push(Output::Post(Box::new(notice))));
        }
        if let Some((_, rows)) = self.late_sent.take_if(|(sent, _)| *sent == serial) {
            match outcome {
                WriteOutcome::Done(txn) => {
                    self.fleet.iter_mut().for_each(|fleet| fleet.wrote(txn.clone()));
                    self.late_written(rows, true, now, out);
                }
                // What is not written yet is made of the other state again.
                WriteOutcome::Overtaken => self.due = false,
                WriteOutcome::Refused(_) => self.late_written(rows, false, now, out),
            }
            return Settled::Nothing;
        }
        let Some(pending) = self.pending.take_if(|pending| pending.serial == serial) else {
            return Settled::Nothing;
        };
        match outcome {
            WriteOutcome::Done(txn) => self.commit_in_fleet(pending, txn, out),
            WriteOutcome::Overtaken => {
                let Pending { answer, asked, job, .. } = pending;
                Settled::Again(Box::new(OvertakenWrite { answer, asked: asked.map(|asked| *asked), job }))
            }
            WriteOutcome::Refused(why) => {
                Settled::Refused(self.not_written(pending, &JournalError::Fleet(why), now, out))
            }
        }
    }

    fn commit_in_fleet(&mut self, pending: Pending, txn: Arc<str>, out: &mut Outputs) -> Settled {
        let is_there = self.fleet().and_then(FleetPart::base) == Some(&txn);
        if !is_there && self.state.seq <= pending.state.seq {
            self.fleet.iter_mut().for_each(|fleet| fleet.wrote(txn.clone()));
            return Settled::InEffect(Box::new(self.commit(pending, out)));
        }
        // It came by the store before its answer, or has been followed by another one already.
        if let (Some(IdempotencyKey { key, asked }), Some(running)) = (pending.key, pending.state.running()) {
            self.keys.insert(key, Started { id: running.id.clone(), asked });
        }
        out.log(pending.log);
        pending.answer.into_iter().for_each(|answer| out.push(Output::Answer(answer)));
        Settled::Nothing
    }

    /// The state as it is, for the own disk.
    pub(in crate::control) fn copy(&self, record: Recording<'_>) -> Durable {
        let stored = Stored { state: self.state.clone() };
        Durable { stored, rollout: record(&self.state), history: Vec::new() }
    }
}
