//! The state store: SQLite, written by one thread.
//!
//! A change of state and its history rows are one transaction, durable when its answer comes (WAL,
//! synchronous FULL). A store that cannot write says so and changes nothing; it recovers by itself when
//! it can again. Beside the database lies a small file of [`marks`], into which an abort is written in
//! the microseconds after it took effect, long before its row is durable. What is to be told to others
//! waits in the [`outbox`].

mod custody;
mod directory;
mod fleet;
pub mod marks;
pub mod outbox;
pub(super) mod retention;
mod rows;
mod schema;
mod shared;
mod store;
#[cfg(test)]
mod tests;
mod unwritable;
mod witness;

use super::answer::answer;
use super::view::HistoryView;
use crate::core::event::Event;
use custody::Keeper;
pub use fleet::{ArchivedRows, FleetArchive, FleetKept};
use jiff::Timestamp;
use marks::Marks;
use outbox::{Errand, NoticeOutbox, Outgoing, Posted};
use retention::Forgotten;
use rusqlite::Connection;
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
    /// It could not at the start.
    #[error("{0}")]
    Refused(String),
    #[error("the state store cannot read: {0}")]
    Read(String),
    /// The store of the fleet has not taken it: a sentence.
    #[error("{0}")]
    Fleet(String),
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
    pub key: Option<IdempotencyKey>,
    /// The view of it, as JSON.
    pub record: String,
}

/// What a start was asked for by, and a digest of what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    pub key: String,
    pub asked: Option<String>,
}

/// The rollout that a key has started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    pub id: String,
    /// A digest of what was asked for; `None` where a version wrote it that kept none.
    pub asked: Option<String>,
}

/// One row of history, not yet numbered.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryRow {
    pub at: Timestamp,
    pub actor: String,
    pub event: Event,
    pub text: String,
    /// Where it was asked for, where it was over the network.
    pub address: Option<String>,
    pub figures: serde_json::Value,
    pub rollout: Option<String>,
    /// The notice that goes with it, and its receivers.
    pub notice: Option<Outgoing>,
}

/// What was found when the store was opened.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The stored state by service; the whole site's under [`SITE`].
    pub services: BTreeMap<String, String>,
    /// Rollouts by service and idempotency key.
    pub keys: HashMap<(String, String), Started>,
    /// All rollouts' records by id.
    pub rollouts: BTreeMap<String, String>,
    /// Ids of rollouts whose abort took effect but may not have become durable.
    pub aborted: Vec<String>,
    /// By service: the pool that was stable last, and the upstreams registered then, as far as is known.
    pub stable: BTreeMap<String, serde_json::Value>,
    /// Why the stored states are not the last ones: they are not to be gone on with.
    pub lost: Option<String>,
    /// Why it is not known which rollouts were aborted last: none is to be gone on with.
    pub marks_lost: Option<String>,
    /// Everything that was found wrong, a sentence each.
    pub damage: Vec<String>,
    /// Whether no change can be written until the next start.
    pub is_unwritable: bool,
}

/// A change of the whole site's state, with rows in several histories: one transaction.
#[derive(Clone, Debug)]
pub struct SiteChange {
    /// The whole site's state, as the controller stores it.
    pub state: String,
    /// Each with the service whose history it belongs to.
    pub history: Vec<(String, HistoryRow)>,
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
        service: Option<String>,
        before: Option<u64>,
        limit: usize,
        answer: oneshot::Sender<Result<Vec<HistoryView>, JournalError>>,
    },
    Errand(Errand),
    Archive(Vec<ArchivedRows>),
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
    /// [`JournalError`] when the directory is in use, the store newer, or there is neither a store nor a way to
    /// make one. One that is damaged is kept under another name, one that cannot be written is read; both
    /// are said in what is recovered.
    pub fn open(dir: &Path) -> Result<(Journal, Recovered), JournalError> {
        let newest = watch::Sender::new(0);
        // One that cannot be written is read.
        let opened = Store::open(dir, newest.clone());
        let (store, mut recovered) = opened.or_else(|why| unwritable::open(dir, newest, why))?;
        let marks::Found { marks, ids, wrong } = match recovered.is_unwritable {
            true => Marks::read_only(dir),
            false => Marks::open(dir)?,
        };
        recovered.aborted = ids;
        // A store that nothing is known of has had no marks either.
        recovered.marks_lost = wrong.filter(|_| !recovered.services.is_empty() && recovered.lost.is_none());
        recovered.damage.extend(recovered.marks_lost.clone());
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
        let (to, receiver) = oneshot::channel();
        if let Err(mpsc::SendError(Message::Append(_, to))) =
            self.messages.send(Message::Append(Box::new(change), to))
        {
            answer(to, Err(JournalError::Write("its thread has ended".into())));
        }
        receiver
    }

    /// The history of a service, or of all, newest first: at most `limit` rows with an id below `before`.
    ///
    /// # Errors
    /// [`JournalError::Read`].
    pub async fn history(
        &self,
        service: Option<String>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<HistoryView>, JournalError> {
        self.answered(|answer| Message::History { service, before, limit, answer }).await
    }

    /// Makes a change of the site durable, as [`Journal::append`] does.
    pub fn append_site(&self, change: SiteChange) -> oneshot::Receiver<Result<(), JournalError>> {
        let (to, receiver) = oneshot::channel();
        if let Err(mpsc::SendError(Message::Site(_, to))) = self.messages.send(Message::Site(change, to)) {
            answer(to, Err(JournalError::Write("its thread has ended".into())));
        }
        receiver
    }

    /// The id of the newest durable row of history; changes whenever one is written.
    pub fn newest(&self) -> watch::Receiver<u64> {
        self.newest.clone()
    }

    /// Rows of one service, or all, with an id above `after`: the oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`JournalError::Read`].
    pub async fn rows_after(
        &self,
        service: Option<String>,
        after: u64,
        limit: usize,
    ) -> Result<Vec<HistoryView>, JournalError> {
        self.answered(|answer| Message::RowsAfter { service, after, limit, answer }).await
    }

    /// The notices that wait.
    pub fn outbox(&self) -> NoticeOutbox {
        NoticeOutbox { messages: self.messages.clone(), posted: self.posted.clone() }
    }

    /// What is kept of the fleet.
    pub fn fleet(&self) -> FleetArchive {
        FleetArchive { messages: self.messages.clone() }
    }

    /// Forgets it, soon. Never blocks.
    pub fn forget(&self, forgotten: Forgotten) {
        retention::forget(self.messages.clone(), forgotten);
    }

    /// Closes the store: another process may open it now. Nothing may be under way to it any more but
    /// questions, which wait.
    pub async fn close(&self) {
        let (answer, closed) = oneshot::channel();
        if self.messages.send(Message::Close(answer)).is_ok() {
            // Without its thread it is closed, too.
            drop(closed.await);
        }
    }

    /// Opens it again, after [`Journal::close`]; what is found may be another process's.
    ///
    /// # Errors
    /// As [`Journal::open`]; it stays closed then.
    pub async fn reopen(&self) -> Result<Recovered, JournalError> {
        self.answered(Message::Reopen).await
    }

    /// What the store's thread says to a message.
    async fn answered<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, JournalError>>) -> Message,
    ) -> Result<T, JournalError> {
        let ended = || JournalError::Read("its thread has ended".into());
        let (answer, receiver) = oneshot::channel();
        self.messages.send(message(answer)).map_err(|_| ended())?;
        receiver.await.map_err(|_| ended())?
    }
}

/// What the store's thread has found or done with its connection.
async fn ask<T: Send + 'static>(
    messages: &mpsc::Sender<Message>,
    failed: fn(String) -> JournalError,
    work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, JournalError> {
    let ended = || failed("its thread has ended".into());
    let (answer, receiver) = oneshot::channel();
    // A sender that waits no longer needs no answer.
    let errand = move |connection: &mut Connection| drop(answer.send(work(connection)));
    messages.send(Message::Errand(Box::new(errand))).map_err(|_| ended())?;
    let result = receiver.await.map_err(|_| ended())?;
    result.map_err(|error| failed(error.to_string()))
}
