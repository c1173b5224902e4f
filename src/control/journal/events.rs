//! The history as a stream: rows by id over all services, and word of new ones.

use super::{Journal, JournalError, Message};
use crate::control::view::HistoryView;
use tokio::sync::{oneshot, watch};

impl Journal {
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
        let ended = || JournalError::Read("its thread has ended".into());
        let (answer, receiver) = oneshot::channel();
        self.messages.send(Message::RowsAfter { service, after, limit, answer }).map_err(|_| ended())?;
        receiver.await.map_err(|_| ended())?
    }
}
