//! The history as a stream: rows by id over all services, and word of new ones.

use super::store::{COLUMNS, Store, view};
use super::{Journal, JournalError, Message, Posted};
use crate::control::view::HistoryView;
use rusqlite::{Connection, params};
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

impl Store {
    pub(super) fn rows_after(
        &self,
        service: Option<&str>,
        after: u64,
        limit: usize,
    ) -> rusqlite::Result<Vec<HistoryView>> {
        let of = if service.is_some() { "service = ?1" } else { "?1 IS NULL" };
        let mut query = self
            .connection
            .prepare(&format!("SELECT {COLUMNS} FROM history WHERE {of} AND id > ?2 ORDER BY id LIMIT ?3"))?;
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let rows = query.query_map(params![service, after, limit as i64], view)?;
        rows.collect()
    }

    /// Tells of new rows, if there are any.
    pub(super) fn announce(&self, has_notice: bool, posted: &Posted) {
        if has_notice {
            posted.send_modify(|count| *count += 1);
        }
        match newest(&self.connection) {
            Ok(newest) => drop(self.newest.send_if_modified(|known| {
                let is_new = *known != newest;
                *known = newest;
                is_new
            })),
            Err(error) => tracing::error!("the newest row of history cannot be read: {error}"),
        }
    }
}

pub(super) fn newest(connection: &Connection) -> rusqlite::Result<u64> {
    let id = connection.query_row("SELECT max(id) FROM history", [], |row| row.get::<_, Option<i64>>(0))?;
    Ok(id.and_then(|id| u64::try_from(id).ok()).unwrap_or(0))
}
