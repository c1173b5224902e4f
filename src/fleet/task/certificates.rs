//! What members share of the certificate that is ordered for the site: sealed texts under `acme/`.
//!
//! The leader writes them, fenced, so that one which has been succeeded changes nothing any more. Each member opens them,
//! hands them on, and says under its lease which order's answers it shows.

use super::{Finished, FleetTask};
use crate::core::fleet::store::StoreRevision;
use crate::core::secret::Secret;
use crate::fleet::etcd::{KeyCondition, KeyOp, KeyScope, Relation, Txn};
use crate::fleet::sealed::Sealing;
use crate::tls::acme::{AcmeItem, AcmeRequest, AcmeSeam, AcmeShared, AcmeWrite};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// Bytes of a text: far more than a certificate for a hundred names has, and less than etcd takes in one call (1.5 MiB).
const LARGEST_TEXT: usize = 512 * 1024;
/// Requests that may wait.
const REQUESTS: usize = 16;

/// Where the answer to a write goes.
pub(super) type WriteAnswer = oneshot::Sender<Result<u64, String>>;

/// A text, as it was opened last.
struct OpenedText {
    modified: StoreRevision,
    text: Option<Arc<str>>,
    is_newer: bool,
}

/// This task's ends of the channels, and what was opened.
pub(in crate::fleet) struct AcmeSharing {
    sealing: Sealing,
    shared: watch::Sender<Arc<AcmeShared>>,
    requests: mpsc::Receiver<AcmeRequest>,
    opened: BTreeMap<AcmeItem, OpenedText>,
    /// Writes that the store has taken, until they are seen.
    taken: Vec<(StoreRevision, WriteAnswer)>,
}

impl AcmeSharing {
    /// With the fleet's secret.
    pub(in crate::fleet) fn new(secret: &Secret) -> (Self, AcmeSeam) {
        let (shared, seen) = watch::channel(Arc::default());
        let (asking, requests) = mpsc::channel(REQUESTS);
        let (opened, taken) = Default::default();
        let sharing = AcmeSharing { sealing: Sealing::new(secret), shared, requests, opened, taken };
        (sharing, AcmeSeam { shared: seen, requests: asking })
    }

    /// Who asks may have ended already.
    pub(super) async fn next(&mut self) -> AcmeRequest {
        match self.requests.recv().await {
            Some(request) => request,
            None => std::future::pending().await,
        }
    }
}

impl FleetTask {
    /// After each input: what is shared now.
    pub(super) fn look_at_acme(&mut self) {
        AcmeItem::ALL.into_iter().for_each(|item| self.open_acme(item));
        let shared = self.acme_shared();
        self.acme.shared.send_if_modified(|before| {
            let is_new = **before != shared;
            if is_new {
                *before = Arc::new(shared);
            }
            is_new
        });
        let (seen, is_connected) = (self.member.view().revision(), self.member.is_connected());
        for (revision, to) in std::mem::take(&mut self.acme.taken) {
            match revision <= seen {
                true => drop(to.send(Ok(revision))),
                false if is_connected => self.acme.taken.push((revision, to)),
                false => drop(to.send(Err("it is not heard any more".to_owned()))),
            }
        }
    }

    /// Opens a text that has changed.
    fn open_acme(&mut self, item: AcmeItem) {
        let view = self.member.view();
        let key = view.keys.acme(item.name());
        let Some(entry) = view.entry(&key) else { return drop(self.acme.opened.remove(&item)) };
        if self.acme.opened.get(&item).is_some_and(|opened| opened.modified == entry.modified) {
            return;
        }
        let opened = self.acme.sealing.open(&key, &entry.value);
        if let Err(fault) = &opened {
            tracing::error!("the fleet's certificate cannot be shared with this member: {fault}");
        }
        let is_newer = opened.as_ref().is_err_and(|fault| fault.is_newer());
        let opened = OpenedText { modified: entry.modified, text: opened.ok().map(Into::into), is_newer };
        self.acme.opened.insert(item, opened);
    }

    fn acme_shared(&self) -> AcmeShared {
        let opened = &self.acme.opened;
        let text = |(item, opened): (&AcmeItem, &OpenedText)| Some((*item, opened.text.clone()?));
        let is_newer = opened.values().any(|opened| opened.is_newer);
        let order = opened.get(&AcmeItem::Order).filter(|order| order.text.is_some());
        let order_revision = order.map_or(0, |order| order.modified);
        AcmeShared {
            term: self.member.leads().filter(|_| self.member.has_joined() && !is_newer),
            texts: opened.iter().filter_map(text).collect(),
            order_revision,
            shown: self.acme_shown(self.member.name()),
            behind: if order_revision > 0 { self.behind(order_revision) } else { Vec::new() },
        }
    }

    /// The order whose answers a member shows.
    fn acme_shown(&self, member: &str) -> StoreRevision {
        let view = self.member.view();
        let said = view.entry(&view.keys.acme_shown(member)).and_then(|entry| entry.value.parse().ok());
        said.unwrap_or(0)
    }

    /// The other members that are there and do not show the answers of the order.
    fn behind(&self, order: StoreRevision) -> Vec<String> {
        let view = self.member.view();
        let is_behind = |name: &&String| {
            let is_there = matches!(view.alive(name), Ok(Some(_)));
            name.as_str() != self.member.name() && is_there && self.acme_shown(name) < order
        };
        let (roster, _) = view.roster().unwrap_or_default();
        roster.members.keys().filter(is_behind).cloned().collect()
    }

    pub(super) fn acme_request(&mut self, request: AcmeRequest) {
        match request {
            AcmeRequest::Write(AcmeWrite { term, texts, to }) => match self.acme_txn(term, texts) {
                Ok(txn) => self.write_acme(txn, to),
                // Who asked may have ended.
                Err(why) => drop(to.send(Err(why))),
            },
            AcmeRequest::Shown(revision) => self.say_shown(revision),
        }
    }

    /// The texts in one transaction that only this term's leader can carry out.
    fn acme_txn(&self, term: u64, texts: Vec<(AcmeItem, Option<String>)>) -> Result<Txn, String> {
        if self.member.leads() != Some(term) {
            return Err("this member does not lead any more".to_owned());
        }
        let keys = &self.member.view().keys;
        let fence = i64::try_from(term).map_err(|error| error.to_string())?;
        let leader = KeyScope::key(keys.leader().into_bytes());
        let mut txn = Txn {
            conditions: vec![KeyCondition::create_revision(&leader, Relation::Equal, fence)],
            ..Txn::default()
        };
        for (item, text) in texts {
            let key = keys.acme(item.name());
            txn.then.push(match text {
                None => KeyOp::delete(&KeyScope::key(key.into_bytes())),
                Some(text) if text.len() > LARGEST_TEXT => {
                    return Err(format!("the {} has more than {LARGEST_TEXT} bytes", item.name()));
                }
                Some(text) => {
                    let sealed = self.acme.sealing.seal(&key, &text).ok_or("it cannot be sealed")?;
                    KeyOp::put(key.into_bytes(), sealed.into_bytes(), 0)
                }
            });
        }
        Ok(txn)
    }

    fn write_acme(&mut self, txn: Txn, to: WriteAnswer) {
        let Some(session) = &self.session else {
            return drop(to.send(Err("this process has left the fleet".to_owned())));
        };
        let store = session.store().clone();
        self.calls.spawn(async move {
            let written = match store.txn(&txn).await {
                Ok(done) if done.has_succeeded => Ok(u64::try_from(done.revision).unwrap_or_default()),
                Ok(_) => Err("this member does not lead any more".to_owned()),
                Err(fault) => Err(fault.to_string()),
            };
            Finished::Shared(written, to)
        });
    }

    /// A write has come to its end; it is answered once it is seen.
    pub(super) fn acme_written(&mut self, written: Result<u64, String>, to: WriteAnswer) {
        match written {
            Ok(revision) => self.acme.taken.push((revision, to)),
            Err(why) => drop(to.send(Err(why))),
        }
    }

    /// Under the lease: what a member that is gone has shown is of no use.
    fn say_shown(&mut self, revision: u64) {
        let (Some(session), Some(lease)) = (&self.session, self.tenure.lease) else { return };
        let key = self.member.view().keys.acme_shown(self.member.name());
        let op = KeyOp::put(key.into_bytes(), revision.to_string().into_bytes(), lease);
        let txn = Txn { then: vec![op], ..Txn::default() };
        let store = session.store().clone();
        self.calls.spawn(async move {
            // It is said again at the next news, unless the leader has stopped waiting.
            drop(store.txn(&txn).await);
            Finished::PutAway
        });
    }
}
