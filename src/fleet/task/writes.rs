//! Changes of the controller on their way to the store, until it is known what became of them.
//!
//! A change is done once the store is seen with it, so that what it leads to is known before; that also finds out what
//! became of one whose answer was lost. One that is known not to be there is sent once more as it is: its compares keep it
//! from taking effect twice.

use super::FleetTask;
use crate::control::fleet::{FleetNews, FleetWrite, WriteOutcome, WritePurpose};
use crate::core::fleet::member::CommitOutcome;
use crate::core::fleet::store::{StoreRevision, StoreTransaction};
use crate::core::fleet::transactions::Accompanying;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// After so long somebody who asked gets an answer, whatever is known.
const PATIENCE: Duration = Duration::from_secs(3);
pub(super) const UNREACHED: &str = "the fleet's store cannot be reached; what is in effect stays";
pub(super) const UNKNOWN: &str = "the fleet's store did not answer in time: whether the change was taken shows once it is heard; \
                       what is in effect stays until then";

const NOT_JOINED: &str = "this instance has not joined the fleet yet: the lease of its former process must end first; what \
                          is in effect stays";

#[derive(Debug, Default)]
pub(super) struct Writes(BTreeMap<String, InFlight>);

#[derive(Debug)]
struct InFlight {
    service: Arc<str>,
    serial: u64,
    transaction: StoreTransaction,
    /// When the document was changed last that it was made of.
    modified: Option<StoreRevision>,
    began: Duration,
    outcome: Option<CommitOutcome>,
    /// The reading after which it shows whether it is there.
    shows_after: u64,
}

impl Writes {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a transaction was one of these; `reads` is the number of the next reading.
    pub(super) fn answered(&mut self, id: &str, outcome: CommitOutcome, reads: u64) -> bool {
        let Some(of) = self.0.get_mut(id) else { return false };
        (of.outcome, of.shows_after) = (Some(outcome), reads);
        true
    }
}

impl FleetTask {
    /// Has a change written.
    pub(super) fn write(&mut self, write: FleetWrite) {
        let (service, serial) = (write.service.clone(), write.serial);
        match self.transaction(write) {
            Ok((transaction, modified)) => {
                let of = InFlight {
                    service,
                    serial,
                    transaction: transaction.clone(),
                    modified,
                    began: self.clock.now(),
                    outcome: None,
                    shows_after: 0,
                };
                self.writes.0.insert(transaction.id.clone(), of);
                self.commit(transaction);
            }
            Err(outcome) => {
                if outcome == WriteOutcome::Overtaken {
                    self.publish(&service);
                }
                self.tell(FleetNews::Written { service, serial, outcome });
            }
        }
    }

    /// The transaction of a change, with the revision of the document that it changes.
    fn transaction(
        &mut self,
        write: FleetWrite,
    ) -> Result<(StoreTransaction, Option<StoreRevision>), WriteOutcome> {
        let FleetWrite { service, purpose, base, state, rows, rollout, begins, idempotency, .. } = write;
        let held = self.member.writable(&service).map_err(|why| WriteOutcome::Refused(self.why_not(why)))?;
        let is_current = held.as_ref().map(|held| held.document.txn.as_str()) == base.as_deref();
        let view = self.member.view();
        let is_repeated = idempotency
            .as_ref()
            .is_some_and(|(key, _)| view.entry(&view.keys.idempotency(&service, key)).is_some());
        if !is_current || is_repeated {
            return Err(WriteOutcome::Overtaken);
        }
        let with = Accompanying { rows, rollout, begins, idempotency };
        let modified = held.map(|held| held.modified);
        let transaction = match purpose {
            WritePurpose::Command => {
                self.member.command(&service, state, with).map_err(WriteOutcome::Refused)?
            }
            WritePurpose::Advance => {
                // What is no news yet comes up again at once, as does what another leader does.
                let (held, ground) =
                    self.member.ground(&service).map_err(|why| match self.standings.is_news(&service) {
                        true => WriteOutcome::Refused(why.join("; ")),
                        false => WriteOutcome::Overtaken,
                    })?;
                self.member.advance(&service, (&held, &ground), state, with)
            }
        };
        Ok((transaction, modified))
    }

    /// Why nothing can be written, where it is not the connection.
    pub(super) fn why_not(&self, why: String) -> String {
        match self.member.foreign() {
            Some(foreign) => foreign.to_owned(),
            None if self.member.is_connected() && !self.member.has_joined() => NOT_JOINED.to_owned(),
            None => why,
        }
    }

    /// Says what became of changes, as far as the store shows it.
    pub(super) fn settle_writes(&mut self) {
        let ids: Vec<String> = self.writes.0.keys().cloned().collect();
        for id in ids {
            let Some(of) = self.writes.0.get(&id) else { continue };
            match self.became(&id, of) {
                Became::Open => {}
                Became::Lost => {
                    let transaction = of.transaction.clone();
                    self.writes.0.entry(id).and_modify(|of| of.outcome = None);
                    self.commit(transaction);
                }
                Became::Over(outcome) => {
                    let Some(InFlight { service, serial, .. }) = self.writes.0.remove(&id) else { continue };
                    if outcome == WriteOutcome::Overtaken {
                        self.publish(&service);
                    }
                    self.tell(FleetNews::Written { service, serial, outcome });
                }
            }
        }
    }

    fn became(&self, id: &str, of: &InFlight) -> Became {
        let view = self.member.view();
        let held = self.member.held(&of.service);
        let log = view.keys.log(&of.service, &id.replace('/', "-"));
        let is_there = held.is_some_and(|held| held.document.txn == id) || view.entry(&log).is_some();
        let is_late = self.clock.now() >= of.began + PATIENCE;
        let is_read = of.outcome.is_some() && self.reads.done >= of.shows_after;
        match of.outcome {
            _ if is_there => Became::Over(WriteOutcome::Done(id.into())),
            // Somebody has followed it at once, and it had no rows.
            Some(CommitOutcome::Done(revision)) if view.revision() >= revision => {
                Became::Over(WriteOutcome::Done(id.into()))
            }
            Some(CommitOutcome::NoSpace) => {
                let why =
                    "the fleet's store has no room: compact and defragment etcd; what is in effect stays";
                Became::Over(WriteOutcome::Refused(why.to_owned()))
            }
            Some(CommitOutcome::Overtaken | CommitOutcome::Unknown)
                if held.map(|held| held.modified) != of.modified =>
            {
                Became::Over(WriteOutcome::Overtaken)
            }
            Some(CommitOutcome::Overtaken) if is_read => Became::Over(WriteOutcome::Overtaken),
            Some(CommitOutcome::Unknown) if is_read && !is_late && self.member.is_connected() => Became::Lost,
            None if is_late && self.session.is_none() => {
                Became::Over(WriteOutcome::Refused(UNREACHED.into()))
            }
            _ if is_late => Became::Over(WriteOutcome::Refused(UNKNOWN.to_owned())),
            _ => Became::Open,
        }
    }
}

enum Became {
    Open,
    /// It is not there, and may be sent once more.
    Lost,
    Over(WriteOutcome),
}
