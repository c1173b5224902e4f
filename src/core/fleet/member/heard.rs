//! What reaches a member: the store as it reads it, its changes, its answers, and time.

use super::{CommitOutcome, FleetMember, FleetOutput, READ_AGAIN, Waiting, Wanted};
use crate::core::fleet::store::{StoreContents, StoreEvent, StoreRevision};
use crate::core::service::Moment;

impl FleetMember {
    /// There is a connection to the store.
    pub fn connected(&mut self) -> Vec<FleetOutput> {
        self.is_reading = false;
        self.read_all()
    }

    /// There is none any more, nothing was heard on it for too long, or a read has failed. What was sent on it and has no
    /// answer may take effect all the same. What is read next comes on another connection, by which a leader calls the roll.
    pub fn lost(&mut self) {
        (self.heard, self.is_reading, self.has_joined) = (None, false, false);
        self.connection += 1;
        self.reads_again = false;
        self.waiting.clear();
    }

    /// Everything was read.
    pub fn read(&mut self, contents: StoreContents, moment: Moment<'_>) -> Vec<FleetOutput> {
        let mut out = Vec::new();
        if contents.revision < self.highest {
            let (was, is) = (self.highest, contents.revision);
            self.connection += 1;
            out.push(FleetOutput::Say(format!(
                "the store was put back to revision {is}, and had been at {was}: what is in effect stays, and is put \
                 back into it"
            )));
        }
        self.highest = contents.revision;
        self.view.replace(contents);
        self.waiting.retain(|_, waiting| matches!(waiting, Waiting::Answer(_)));
        (self.heard, self.has_heard, self.is_reading) = (Some(moment.now), true, false);
        if std::mem::take(&mut self.reads_again) {
            out.extend(self.read_all());
        }
        out.extend(self.settle(moment));
        out
    }

    /// Keys have changed, all those of one revision at once. What was read already is left out.
    pub fn changed(
        &mut self,
        events: Vec<StoreEvent>,
        revision: StoreRevision,
        moment: Moment<'_>,
    ) -> Vec<FleetOutput> {
        if self.heard.is_none() || revision <= self.view.revision() {
            return Vec::new();
        }
        self.view.apply(events, revision);
        self.highest = self.highest.max(revision);
        let seen = self.view.revision();
        self.waiting.retain(|_, waiting| !matches!(waiting, Waiting::Seen(at) if *at <= seen));
        self.settle(moment)
    }

    /// An answer of the store, to anything, came with this revision: a lower one than before is another past.
    pub fn answered_at(&mut self, revision: StoreRevision) -> Vec<FleetOutput> {
        if revision < self.highest { self.read_all() } else { Vec::new() }
    }

    /// The watch cannot go on from where it was: what happened meanwhile is gone.
    pub fn compacted(&mut self) -> Vec<FleetOutput> {
        // A read under way may have been answered before what is gone.
        self.reads_again = self.is_reading;
        self.read_all()
    }

    /// A transaction of [`FleetOutput::Commit`] has come to its end.
    pub fn committed(&mut self, id: &str, outcome: CommitOutcome, moment: Moment<'_>) -> Vec<FleetOutput> {
        let is_it = |waiting: &Waiting| matches!(waiting, Waiting::Answer(of) if of == id);
        let Some(wanted) = self.waiting.iter().find(|(_, waiting)| is_it(waiting)).map(|(w, _)| w.clone())
        else {
            return Vec::new();
        };
        self.has_no_space = outcome == CommitOutcome::NoSpace;
        match outcome {
            CommitOutcome::Done(revision) if revision <= self.view.revision() => {
                self.waiting.remove(&wanted);
                self.settle(moment)
            }
            CommitOutcome::Done(revision) => {
                self.waiting.insert(wanted, Waiting::Seen(revision));
                Vec::new()
            }
            CommitOutcome::NoSpace => {
                self.waiting.remove(&wanted);
                match wanted {
                    // A delete passes.
                    Wanted::Tombstone(_) => self.settle(moment),
                    _ => Vec::new(),
                }
            }
            CommitOutcome::Overtaken | CommitOutcome::Unknown => {
                self.waiting.insert(wanted, Waiting::Read);
                self.read_all()
            }
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, moment: Moment<'_>) -> Vec<FleetOutput> {
        let is_old = self.heard.is_some_and(|heard| moment.now >= heard + READ_AGAIN);
        let mut out = if is_old { self.read_all() } else { Vec::new() };
        out.extend(self.settle(moment));
        out
    }

    pub(super) fn read_all(&mut self) -> Vec<FleetOutput> {
        match std::mem::replace(&mut self.is_reading, true) {
            true => Vec::new(),
            false => vec![FleetOutput::ReadAll],
        }
    }
}
