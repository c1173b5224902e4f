//! What an instance keeps of its fleet: the last documents and its own aborts, and an archive of the common history.

use super::{HistoryRow, JournalError, Message, ask, rows};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::sync::mpsc;

/// Keys of rows that are known to be archived. The store of the fleet keeps fewer.
const KEYS: i64 = 20_000;

/// What was kept of a fleet.
#[derive(Debug, Default)]
pub struct FleetKept {
    /// By service: the document and the marks of own aborts, as JSON.
    pub services: BTreeMap<String, (String, String)>,
    /// The number of the last process of this member.
    pub incarnation: u64,
}

/// Rows of history of one change, with the key that they have in the store of the fleet.
#[derive(Debug)]
pub struct ArchivedRows {
    pub key: String,
    pub service: String,
    pub rows: Vec<HistoryRow>,
}

/// The way to what is kept of the fleet; cheap to clone.
#[derive(Clone, Debug)]
pub struct FleetArchive {
    pub(super) messages: mpsc::Sender<Message>,
}

impl FleetArchive {
    /// What was kept, with the number of this process, which is the next one from now on.
    ///
    /// # Errors
    /// [`JournalError::Write`].
    pub async fn kept(&self) -> Result<FleetKept, JournalError> {
        ask(&self.messages, JournalError::Write, |connection| {
            let mut kept = FleetKept::default();
            let mut query = connection.prepare("SELECT service, document, marks FROM fleet_kept")?;
            for row in query.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))? {
                let (service, of): (String, (String, String)) = row?;
                kept.services.insert(service, of);
            }
            let sql = "UPDATE fleet_member SET incarnation = incarnation + 1 RETURNING incarnation";
            kept.incarnation = connection.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs();
            Ok(kept)
        })
        .await
    }

    /// Keeps what a service has come to. Never blocks.
    pub fn keep(&self, service: &str, document: String, marks: String) {
        let service = service.to_owned();
        let errand = move |connection: &mut Connection| {
            let sql = "INSERT OR REPLACE INTO fleet_kept VALUES (?1, ?2, ?3)";
            if let Err(error) = connection.execute(sql, params![service, document, marks]) {
                tracing::error!(service, "what the fleet has of it is not kept here: {error}");
            }
        };
        // Without its thread there is nobody to tell any more.
        drop(self.messages.send(Message::Errand(Box::new(errand))));
    }

    /// Adds rows of the common history that are not there yet, or rows of this instance alone (without a key). Never
    /// blocks.
    pub fn add(&self, archived: Vec<ArchivedRows>) {
        drop(self.messages.send(Message::Archive(archived)));
    }
}

/// In one transaction.
pub(super) fn archive(connection: &mut Connection, archived: &[ArchivedRows]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for ArchivedRows { key, service, rows: all } in archived {
        let known = "INSERT OR IGNORE INTO fleet_log (key) VALUES (?1)";
        if !key.is_empty() && transaction.execute(known, [key])? == 0 {
            continue;
        }
        for row in all {
            rows::insert(&transaction, service, row)?;
        }
    }
    let old = "DELETE FROM fleet_log WHERE id <= (SELECT max(id) FROM fleet_log) - ?1";
    transaction.execute(old, [KEYS])?;
    transaction.commit()
}
