//! Changes that belong to no one service: the whole site's state, with rows in several histories.

use super::store::{Store, count, insert_row};
use super::{HistoryRow, Journal, JournalError, Message, SITE};
use rusqlite::params;
use std::sync::mpsc;
use tokio::sync::oneshot;

/// One transaction.
#[derive(Clone, Debug)]
pub struct SiteChange {
    /// The whole site's state, as the controller stores it.
    pub state: String,
    /// Each with the service whose history it belongs to.
    pub history: Vec<(String, HistoryRow)>,
}

impl Journal {
    /// Makes a change durable, as [`Journal::append`] does.
    pub fn append_site(&self, change: SiteChange) -> oneshot::Receiver<Result<(), JournalError>> {
        let (answer, receiver) = oneshot::channel();
        if let Err(mpsc::SendError(Message::Site(_, answer))) =
            self.messages.send(Message::Site(change, answer))
        {
            // The receiver is in our hands, so it is there.
            let _ = answer.send(Err(JournalError::Write("its thread has ended".into())));
        }
        receiver
    }
}

impl Store {
    pub(super) fn append_site(&mut self, change: &SiteChange) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction
            .prepare("INSERT OR REPLACE INTO services VALUES (?1, ?2)")?
            .execute(params![SITE, change.state])?;
        for (service, row) in &change.history {
            insert_row(&transaction, service, row)?;
        }
        let count = count(&transaction)?;
        transaction.commit()?;
        if let Some(witness) = &mut self.witness {
            witness.committed(count, SITE, &change.state);
        }
        Ok(())
    }
}
