//! The state store: SQLite, written by one thread.
//!
//! A change of state and its history rows are one transaction, durable when its answer comes (WAL,
//! synchronous FULL). A store that cannot write says so and changes nothing; it recovers by itself when
//! it can again. Beside the database lies a small file of [`marks`], into which an abort is written in
//! the microseconds after it took effect, long before its row is durable. What is to be told to others
//! waits in the [`outbox`].

mod custody;
mod events;
pub mod marks;
pub mod outbox;
mod schema;
mod site;
mod store;
#[cfg(test)]
mod tests;

use super::view::HistoryView;
use custody::Keeper;
use jiff::Timestamp;
use marks::Marks;
use outbox::{Errand, Outgoing, Posted};
pub use site::SiteChange;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use store::Store;
use tokio::sync::{oneshot, watch};

/// Where the whole site's state is stored among those of the services; no service can have this name.
pub const SITE: &str = "@site";

/// Why the state store cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("the state directory {path}: {source}")]
    Directory { path: PathBuf, source: std::io::Error },
    #[error(
        "the state directory {path} is in use by another process{owner}; give each its own server.state_dir"
    )]
    InUse { path: PathBuf, owner: String },
    #[error(
        "the state store {path} was written by a newer version (schema {found}, known is {known}); use that version"
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error(
        "the state store {path} is damaged ({detail}); move it away to start with the configuration's weights"
    )]
    Damaged { path: PathBuf, detail: String },
    #[error("the state store cannot write: {0}")]
    Write(String),
    #[error("the state store cannot read: {0}")]
    Read(String),
}

/// One transaction.
#[derive(Clone, Debug)]
pub struct Change {
    pub service: String,
    /// The service's whole state, as the controller stores it.
    pub state: String,
    /// A rollout that was started or changed.
    pub rollout: Option<RolloutRecord>,
    pub history: Vec<HistoryRow>,
}

/// One rollout, with the key that its start was asked for by.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutRecord {
    pub id: String,
    pub idempotency_key: Option<String>,
    /// The view of it, as JSON.
    pub record: String,
}

/// One row of history, not yet numbered.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub text: String,
    pub figures: serde_json::Value,
    pub rollout: Option<String>,
    /// Whom it is told to, and how.
    pub notice: Option<Outgoing>,
}

/// What was found when the store was opened.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The stored state by service; the whole site's under [`SITE`].
    pub services: BTreeMap<String, String>,
    /// Rollout ids by service and idempotency key.
    pub keys: HashMap<(String, String), String>,
    /// All rollouts' records by id.
    pub rollouts: BTreeMap<String, String>,
    /// Ids of rollouts whose abort took effect but may not have become durable.
    pub aborted: Vec<String>,
}

pub(super) enum Message {
    Append(Box<Change>, oneshot::Sender<Result<(), JournalError>>),
    Site(SiteChange, oneshot::Sender<Result<(), JournalError>>),
    RowsAfter {
        service: Option<String>,
        after: u64,
        limit: usize,
        answer: oneshot::Sender<Result<Vec<HistoryView>, JournalError>>,
    },
    History {
        service: String,
        before: Option<u64>,
        limit: usize,
        answer: oneshot::Sender<Result<Vec<HistoryView>, JournalError>>,
    },
    Errand(Errand),
    /// Closes the store and gives its directory up.
    Close(oneshot::Sender<()>),
    /// Opens it again, with what another process may have left in it.
    Reopen(oneshot::Sender<Result<Recovered, JournalError>>),
}

/// The way to the store's thread; cheap to clone. The thread ends when the last handle is gone.
#[derive(Clone, Debug)]
pub struct Journal {
    messages: mpsc::Sender<Message>,
    /// The id of the newest durable row of history, 0 before the first.
    newest: watch::Receiver<u64>,
    pub(super) marks: Arc<Marks>,
    posted: Posted,
}

impl Journal {
    /// Opens the store in a directory, which is made if need be, and starts its thread.
    ///
    /// # Errors
    /// [`JournalError`] when the directory is not writable or in use, or the store newer or damaged. A
    /// damaged store is never replaced silently.
    pub fn open(dir: &Path) -> Result<(Journal, Recovered), JournalError> {
        let mut store = Store::open(dir, watch::Sender::new(0))?;
        let mut recovered = store.recover()?;
        let (marks, aborted) = Marks::open(dir)?;
        recovered.aborted = aborted;
        let newest = store.newest.subscribe();
        let keeper = Keeper::of(store, dir);
        let (messages, inbox) = mpsc::channel();
        let failed = |source| JournalError::Directory { path: dir.to_owned(), source };
        let posted = watch::Sender::new(0);
        let journal = Journal { messages, newest, marks: Arc::new(marks), posted: posted.clone() };
        let run = move || keeper.run(inbox, &posted);
        std::thread::Builder::new().name("journal".into()).spawn(run).map_err(failed)?;
        Ok((journal, recovered))
    }

    /// Makes a change durable. Never blocks; the answer comes when it is on disk, or was refused whole.
    pub fn append(&self, change: Change) -> oneshot::Receiver<Result<(), JournalError>> {
        let (answer, receiver) = oneshot::channel();
        if let Err(mpsc::SendError(Message::Append(_, answer))) =
            self.messages.send(Message::Append(Box::new(change), answer))
        {
            // The receiver is in our hands, so it is there.
            let _ = answer.send(Err(JournalError::Write("its thread has ended".into())));
        }
        receiver
    }

    /// A service's history, newest first: at most `limit` rows with an id below `before`.
    ///
    /// # Errors
    /// [`JournalError::Read`].
    pub async fn history(
        &self,
        service: String,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<HistoryView>, JournalError> {
        let ended = || JournalError::Read("its thread has ended".into());
        let (answer, receiver) = oneshot::channel();
        self.messages.send(Message::History { service, before, limit, answer }).map_err(|_| ended())?;
        receiver.await.map_err(|_| ended())?
    }
}
