//! Who has the store: one process at a time, also while one hands over to another.
//!
//! The thread of the store outlives the store. While it is closed, what is asked of it waits: it is
//! answered once the store is open again, or never, when another process has it for good.

use super::marks::Marks;
use super::outbox::Posted;
use super::store::Store;
use super::{JournalError, Message, Recovered};
use crate::control::answer::answer;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use tokio::sync::watch;

/// The store, while it is ours, and what to open it by again.
pub(super) struct Keeper {
    store: Option<Store>,
    dir: PathBuf,
    newest: watch::Sender<u64>,
    /// What was asked while it was closed.
    waiting: Vec<Message>,
}

impl Keeper {
    pub(super) fn of(store: Store, dir: &Path) -> Self {
        let newest = store.newest.clone();
        Keeper { store: Some(store), dir: dir.to_owned(), newest, waiting: Vec::new() }
    }

    /// Serves messages until every handle is gone.
    pub(super) fn run(mut self, inbox: Receiver<Message>, posted: &Posted) {
        for message in inbox {
            match (message, &mut self.store) {
                (Message::Close(to), _) => {
                    if let Some(mut store) = self.store.take() {
                        store.checkpoint();
                    }
                    answer(to, ());
                }
                (Message::Reopen(to), _) => {
                    let reopened = self.reopen(posted);
                    answer(to, reopened);
                }
                (message, Some(store)) => store.serve(message, posted),
                (message, None) => self.waiting.push(message),
            }
        }
    }

    fn reopen(&mut self, posted: &Posted) -> Result<Recovered, JournalError> {
        // One that is open is closed first.
        self.store = None;
        let (mut store, mut recovered) = Store::open(&self.dir, self.newest.clone())?;
        recovered.aborted = Marks::open(&self.dir)?.ids;
        for message in self.waiting.drain(..) {
            store.serve(message, posted);
        }
        self.store = Some(store);
        Ok(recovered)
    }
}
