//! What belongs to no one service, maintenance: one document for all.

use super::FleetTask;
use crate::control::fleet::{FleetNews, SiteWrite, WriteOutcome};
use crate::core::fleet::documents::{SiteDocument, Stand, read};
use crate::core::fleet::member::CommitOutcome;
use crate::core::fleet::store::StoreRevision;
use std::time::Duration;

/// How long somebody who switches it waits.
const PATIENCE: Duration = Duration::from_secs(3);

/// The site's document as it was seen last, and the change of it that is under way.
#[derive(Debug, Default)]
pub(super) struct Site {
    seen: Option<(StoreRevision, SiteDocument)>,
    under_way: Option<(String, u64, Duration)>,
    /// The transaction that puts it back into a store which has lost it.
    put_back: Option<String>,
}

impl FleetTask {
    pub(super) fn write_site(&mut self, write: SiteWrite) {
        let SiteWrite { serial, base, state, rows } = write;
        let refusal = match self.site.seen.as_ref().map(|(_, document)| document.txn.as_str()) {
            _ if !self.member.is_connected() || !self.member.has_joined() => {
                Some(WriteOutcome::Refused(self.why_not(super::writes::UNREACHED.to_owned())))
            }
            current if current != base.as_deref() || self.site.under_way.is_some() => {
                Some(WriteOutcome::Overtaken)
            }
            _ => None,
        };
        if let Some(outcome) = refusal {
            self.tell_site();
            return self.tell(FleetNews::SiteWritten { serial, outcome });
        }
        let stand = self.site.seen.as_ref().map(|(_, document)| (document.epoch, document.seq));
        let (epoch, seq) = stand.unwrap_or((1, 0));
        let held = self.site.seen.as_ref().map(|(revision, _)| *revision);
        let transaction = self.member.site(held, Stand { epoch, seq: seq + 1 }, state, rows);
        self.site.under_way = Some((transaction.id.clone(), serial, self.clock.now()));
        self.commit(transaction);
    }

    /// After each input: whether the document is another one, or is gone.
    pub(super) fn look_at_site(&mut self) {
        if !self.member.is_connected() {
            return self.give_site_up();
        }
        let view = self.member.view();
        let key = view.keys.site();
        let found = view.entry(&key).map(|entry| (entry.modified, read::<SiteDocument>(&key, &entry.value)));
        match found {
            Some((modified, Ok(document))) => {
                let is_seen = self.site.seen.as_ref().is_some_and(|(seen, _)| *seen == modified);
                let is_older = |seen: &SiteDocument| (document.epoch, document.seq) < (seen.epoch, seen.seq);
                if !is_seen && self.site.seen.as_ref().is_some_and(|(_, seen)| is_older(seen)) {
                    self.put_site_back(Some(modified), document.epoch);
                } else if !is_seen {
                    self.see_site(modified, document);
                }
            }
            Some((_, Err(fault))) => tracing::warn!("{fault}"),
            None => self.put_site_back(None, 0),
        }
        self.give_site_up();
    }

    /// Another document stands there: our own change, or one that was first.
    fn see_site(&mut self, modified: StoreRevision, document: SiteDocument) {
        let txn = document.txn.clone();
        self.site.seen = Some((modified, document));
        self.site.put_back = None;
        self.tell_site();
        if let Some((id, serial, _)) = self.site.under_way.take() {
            let outcome = if id == txn { WriteOutcome::Done(txn.into()) } else { WriteOutcome::Overtaken };
            self.tell(FleetNews::SiteWritten { serial, outcome });
        }
    }

    /// What the store has lost is put back, under the next epoch.
    fn put_site_back(&mut self, modified: Option<StoreRevision>, epoch: u64) {
        let Some((_, seen)) = self.site.seen.clone() else { return };
        if self.site.put_back.is_none() && self.member.has_joined() {
            let stand = Stand { epoch: seen.epoch.max(epoch) + 1, seq: seen.seq };
            let transaction = self.member.site(modified, stand, seen.state, Vec::new());
            self.site.put_back = Some(transaction.id.clone());
            self.commit(transaction);
        }
    }

    /// A change that has not become so in time.
    fn give_site_up(&mut self) {
        let now = self.clock.now();
        if let Some((_, serial, _)) = self.site.under_way.take_if(|(_, _, began)| now >= *began + PATIENCE) {
            let outcome = WriteOutcome::Refused(super::writes::UNKNOWN.to_owned());
            self.tell(FleetNews::SiteWritten { serial, outcome });
        }
    }

    /// Whether a transaction was about the site.
    pub(super) fn site_answered(&mut self, id: &str, outcome: CommitOutcome) -> bool {
        if self.site.put_back.as_deref() == Some(id) {
            self.site.put_back = None;
            return true;
        }
        let is_its = self.site.under_way.as_ref().is_some_and(|(of, ..)| of == id);
        if is_its && !matches!(outcome, CommitOutcome::Done(_)) {
            // What became of it is seen.
            self.begin_read();
        }
        is_its
    }

    pub(super) fn tell_site(&self) {
        if let Some((_, document)) = &self.site.seen {
            let (state, txn) = (document.state.to_string(), document.txn.as_str().into());
            self.tell(FleetNews::Site { state, txn });
        }
    }
}
