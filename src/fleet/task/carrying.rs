//! What a member wants done: transactions, readings, news for the controller, and what the own disk keeps.

use super::{Finished, FleetTask};
use crate::control::fleet::{FleetNews, FleetState};
use crate::control::journal::{ArchivedRows, HistoryRow, Started};
use crate::core::fleet::documents::{IdempotencyDocument, LogDocument, read};
use crate::core::fleet::member::{CommitOutcome, FleetOutput};
use crate::core::fleet::store::{StoreContents, StoreTransaction, StoredValue};
use crate::fleet::convert;
use crate::fleet::etcd::RefusalReason;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

/// Before a reading that follows a failed one.
const READ_PAUSE: Duration = Duration::from_millis(200);

/// Keys whose values never change, and that were taken in.
#[derive(Debug, Default)]
pub(super) struct Known(BTreeSet<String>);

impl Known {
    /// Lets go of keys that are not there any more.
    pub(super) fn keep(&mut self, contents: &StoreContents) {
        self.0.retain(|key| contents.entries.contains_key(key));
    }
}

impl FleetTask {
    pub(super) fn carry_out(&mut self, outputs: Vec<FleetOutput>) {
        for output in outputs {
            match output {
                FleetOutput::ReadAll => self.begin_read(),
                FleetOutput::Commit(transaction) => self.commit(transaction),
                FleetOutput::Keep(service) => self.keep(&service),
                FleetOutput::Publish(service) => self.publish(&service),
                FleetOutput::Say(text) => tracing::warn!("fleet: {text}"),
                FleetOutput::Refuse(why) => {
                    tracing::error!("fleet: {why}");
                    self.refused.send_replace(Some(why));
                }
            }
        }
    }

    /// Asks the store for a transaction, once there is the lease that it needs.
    pub(super) fn commit(&mut self, transaction: StoreTransaction) {
        let Some(session) = &self.session else { return };
        let lease = self.tenure.lease.unwrap_or_default();
        if lease == 0 && convert::needs_lease(&transaction) {
            return self.deferred.push(transaction);
        }
        let (store, txn, id) = (session.store().clone(), convert::txn(&transaction, lease), transaction.id);
        let (times, clock, since) = (self.times.clone(), self.clock, self.clock.now());
        self.calls.spawn(async move {
            let answer = store.txn(&txn).await;
            times.stored(clock.now().saturating_sub(since));
            let outcome = match answer {
                Ok(done) if done.has_succeeded => {
                    CommitOutcome::Done(u64::try_from(done.revision).unwrap_or_default())
                }
                Ok(_) => CommitOutcome::Overtaken,
                Err(fault) if fault.refusal() == Some(&RefusalReason::NoSpace) => CommitOutcome::NoSpace,
                Err(fault) => {
                    tracing::warn!("the fleet's store: {fault}");
                    CommitOutcome::Unknown
                }
            };
            Finished::Commit(id, outcome)
        });
    }

    /// Reads everything, after the reading that is under way.
    pub(super) fn begin_read(&mut self) {
        let Some(session) = &self.session else { return };
        if self.reads.begun > self.reads.done {
            self.reads.again = true;
            return;
        }
        let is_first = self.reads.begun == 0;
        self.reads.begun += 1;
        let (store, number) = (session.store().clone(), self.reads.begun);
        self.calls.spawn(async move {
            let mut read = store.etcd().read_all(&store.scope()).await;
            if read.is_err() && !is_first {
                sleep(READ_PAUSE).await;
                read = store.etcd().read_all(&store.scope()).await;
            }
            Finished::Read(number, read)
        });
    }

    /// Keeps what a service has come to on the own disk.
    fn keep(&self, service: &str) {
        let Some((document, marks)) = self.member.kept(service) else { return };
        // Maps with text keys, numbers and texts: there is nothing JSON cannot hold.
        let text = serde_json::to_string(document).unwrap_or_default();
        let marks = serde_json::to_string(marks).unwrap_or_default();
        self.journal.fleet().keep(service, text, marks);
    }

    /// Tells the controller what is in effect of a service.
    pub(super) fn publish(&self, service: &str) {
        let (Some(state), Some((Some(document), marks))) =
            (self.member.state(service), self.member.kept(service))
        else {
            return;
        };
        self.tell(FleetNews::State(Box::new(FleetState {
            service: service.into(),
            state: state.clone(),
            txn: document.txn.as_str().into(),
            undone: self.member.undone_in_effect(service),
            is_heard: self.member.has_heard(),
            is_settled: marks.is_empty(),
            heard_at: self.heard_at,
        })));
    }

    pub(super) fn publish_all(&self) {
        self.member.services().for_each(|service| self.publish(service));
    }

    /// Its reader may have stopped already.
    pub(super) fn tell(&self, news: FleetNews) {
        drop(self.news.send(news));
    }

    /// Takes in what is written once and never changed: rows of history, and the keys of starts.
    pub(super) fn note<'a>(&mut self, entries: impl Iterator<Item = (&'a String, &'a StoredValue)>) {
        let keys = self.member.view().keys.clone();
        let (log, idempotency) = (keys.log_of_all(), keys.idempotency_of_all());
        let mut logs = Vec::new();
        for (key, entry) in entries {
            let of_log = key.strip_prefix(&log);
            let Some((service, rest)) =
                of_log.or_else(|| key.strip_prefix(&idempotency)).and_then(|rest| rest.split_once('/'))
            else {
                continue;
            };
            if !self.known.0.insert(key.clone()) {
                continue;
            }
            if of_log.is_some() {
                logs.push((entry.modified, archived(key, service, &entry.value)));
            } else if let Ok(IdempotencyDocument { rollout, asked, .. }) = read(key, &entry.value) {
                let (service, key) = (service.into(), rest.to_owned());
                self.tell(FleetNews::Key { service, key, started: Started { id: rollout, asked } });
            }
        }
        logs.sort_by_key(|(revision, _)| *revision);
        if !logs.is_empty() {
            self.journal.fleet().add(logs.into_iter().map(|(_, rows)| rows).collect());
        }
    }
}

/// Rows of history; of a newer version, none.
fn archived(key: &str, service: &str, text: &str) -> ArchivedRows {
    let rows = match read::<LogDocument>(key, text) {
        Ok(log) => log.rows.iter().filter_map(HistoryRow::of_shared).collect(),
        Err(fault) => {
            tracing::warn!("{fault}");
            Vec::new()
        }
    };
    ArchivedRows { key: key.to_owned(), service: service.to_owned(), rows }
}
