//! What the members of a fleet share of their certificate, and how a member asks for it to be written.
//!
//! What is shared are three texts: the account, the certificate with its key, and the order that is under way. How they
//! reach the others is the fleet's business; here they are values in a channel.

use super::AcmeError;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

/// How long the leader waits for members to show the answers of an order. One that is not heard of does not keep it back.
const SHOWING: Duration = Duration::from_secs(8);
/// Tries to write, and the pause between two of them.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(300);

/// A text that all members have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AcmeItem {
    Account,
    Certificate,
    Order,
}

impl AcmeItem {
    pub const ALL: [AcmeItem; 3] = [AcmeItem::Account, AcmeItem::Certificate, AcmeItem::Order];

    /// The name of its place in the store.
    pub fn name(self) -> &'static str {
        match self {
            AcmeItem::Account => "account",
            AcmeItem::Certificate => "certificate",
            AcmeItem::Order => "order",
        }
    }
}

/// What is shared, as this member knows it. Its texts are secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AcmeShared {
    /// While this member leads: the number of its term, which no other has.
    pub term: Option<u64>,
    pub texts: BTreeMap<AcmeItem, Arc<str>>,
    /// The revision of the order's text; 0 without one.
    pub order_revision: u64,
    /// The revision of the order whose answers this member has said it shows.
    pub shown: u64,
    /// The other members that are there and have not said so of this one.
    pub behind: Vec<String>,
}

/// Texts that a leader wants written, all of them or none; `None` deletes one.
pub struct AcmeWrite {
    pub term: u64,
    pub texts: Vec<(AcmeItem, Option<String>)>,
    /// Answered once the store has it and [`AcmeShared`] shows it: with the revision, or with why not.
    pub to: oneshot::Sender<Result<u64, String>>,
}

/// What a member asks of its fleet.
#[derive(Debug)]
pub enum AcmeRequest {
    Write(AcmeWrite),
    /// The answers of the order of this revision are shown by this member.
    Shown(u64),
}

/// A member's ends of the channels; cheap to clone.
#[derive(Clone, Debug)]
pub struct AcmeSeam {
    pub shared: watch::Receiver<Arc<AcmeShared>>,
    pub requests: mpsc::Sender<AcmeRequest>,
}

impl AcmeSeam {
    pub(super) fn current(&mut self) -> Arc<AcmeShared> {
        self.shared.borrow_and_update().clone()
    }

    /// Returns when what is shared has changed; not any more once the fleet has ended.
    pub(super) async fn news(&mut self) {
        if self.shared.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Returns once a term has ended.
    pub(super) async fn end_of(mut self, term: u64) {
        // Without a fleet there is no term.
        let _ = self.shared.wait_for(|shared| shared.term != Some(term)).await;
    }

    /// Writes texts, and returns the revision once that is so.
    ///
    /// # Errors
    /// [`AcmeError::Unshared`].
    pub(super) async fn write(
        &self,
        term: u64,
        texts: Vec<(AcmeItem, Option<String>)>,
    ) -> Result<u64, AcmeError> {
        let mut fault = "the fleet has ended".to_owned();
        for _ in 0..TRIES {
            let (to, answer) = oneshot::channel();
            let write = AcmeWrite { term, texts: texts.clone(), to };
            if self.requests.send(AcmeRequest::Write(write)).await.is_err() {
                break;
            }
            match answer.await {
                Ok(Ok(revision)) => return Ok(revision),
                Ok(Err(why)) => fault = why,
                Err(_) => break,
            }
            sleep(PAUSE).await;
        }
        Err(AcmeError::Unshared(fault))
    }

    /// Says that this member shows the answers of an order. Where nobody takes it now, it is said again at the next news.
    pub(super) fn show(&self, revision: u64) {
        drop(self.requests.try_send(AcmeRequest::Shown(revision)));
    }

    /// Waits until all members that are there show the answers of the order, for a while.
    pub(super) async fn all_show(&self, revision: u64) {
        let mut shared = self.shared.clone();
        let all = shared.wait_for(|shared| shared.order_revision != revision || shared.behind.is_empty());
        if timeout(SHOWING, all).await.is_err() {
            let behind = self.shared.borrow().behind.join(" ");
            tracing::warn!(behind, "not all members answer the authority's challenges; the order goes on");
        }
    }
}

impl fmt::Debug for AcmeShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AcmeShared({:?}, {:?})", self.term, self.texts.keys())
    }
}

impl fmt::Debug for AcmeWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items: Vec<AcmeItem> = self.texts.iter().map(|(item, _)| *item).collect();
        write!(f, "AcmeWrite({}, {items:?})", self.term)
    }
}
