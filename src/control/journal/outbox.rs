//! The outbox: notices that wait for their receivers.
//!
//! A notice is written in the transaction of the row of history it is about, once for each receiver, and
//! stays until that receiver has it: nothing is lost or told twice for a crash of ours. Only where we
//! stop between a receiver's answer and our note of it, the same letter goes out again, under the same id.

use super::{JournalError, Message, ask};
use crate::core::notice::Notice;
use crate::observe::clock::wall;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use std::sync::mpsc;
use tokio::sync::watch;

/// A notice, and who gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    pub notice: Notice,
    pub receivers: Vec<String>,
}

/// A notice on its way to one receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// Ascending in the order of what happened.
    pub id: i64,
    /// When it was written.
    pub at: Timestamp,
    /// `None` where it was written by a version that knows other notices.
    pub notice: Option<Notice>,
    /// Tries that have failed.
    pub tries: u32,
    /// Not before then.
    pub due: Timestamp,
}

/// Work for the store's thread.
pub(super) type Errand = Box<dyn FnOnce(&mut Connection) + Send>;

/// How many rows have been put in, for receivers that wait for some.
pub(super) type Posted = watch::Sender<u64>;

/// The way to the notices that wait; cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    pub(super) messages: mpsc::Sender<Message>,
    pub(super) posted: Posted,
}

impl Outbox {
    /// Changes whenever something was put into the outbox.
    pub fn posted(&self) -> watch::Receiver<u64> {
        self.posted.subscribe()
    }

    /// Puts a notice in that no row of history goes with. Never blocks.
    pub fn post(&self, outgoing: Outgoing) {
        let posted = self.posted.clone();
        let errand = move |connection: &mut Connection| {
            let written = connection.transaction().and_then(|transaction| {
                put(&transaction, wall(), &outgoing)?;
                transaction.commit()
            });
            match written {
                Ok(()) => posted.send_modify(|count| *count += 1),
                Err(error) => tracing::error!("a notice is lost, the state store cannot write: {error}"),
            }
        };
        // Without its thread there is nobody to tell any more.
        drop(self.messages.send(Message::Errand(Box::new(errand))));
    }

    /// The oldest letter that waits for a receiver.
    ///
    /// # Errors
    /// [`JournalError`], here and below, when the store cannot be read or written.
    pub async fn next_letter(&self, receiver: &str) -> Result<Option<Letter>, JournalError> {
        let receiver = receiver.to_owned();
        ask(&self.messages, JournalError::Read, move |connection| next(connection, &receiver)).await
    }

    /// The letter has arrived, or is given up.
    pub async fn take_out(&self, letter: i64) -> Result<(), JournalError> {
        let delete = "DELETE FROM outbox WHERE id = ?1";
        ask(&self.messages, JournalError::Write, move |c| c.execute(delete, [letter]).map(drop)).await
    }

    /// A try has failed; the next one comes later.
    pub async fn put_off(&self, letter: i64, tries: u32, due: Timestamp) -> Result<(), JournalError> {
        ask(&self.messages, JournalError::Write, move |connection| {
            let row = params![letter, tries, due.as_millisecond()];
            connection.execute("UPDATE outbox SET tries = ?2, due = ?3 WHERE id = ?1", row).map(drop)
        })
        .await
    }

    /// Takes out what waits for receivers that are not among these: each with its number of letters.
    pub async fn keep_only(&self, receivers: Vec<String>) -> Result<Vec<(String, u64)>, JournalError> {
        ask(&self.messages, JournalError::Write, move |connection| keep_only(connection, &receivers)).await
    }

    /// Keeps a value for a receiver.
    pub async fn remember(&self, receiver: &str, key: &str, value: &str) -> Result<(), JournalError> {
        let (receiver, key, value) = (receiver.to_owned(), key.to_owned(), value.to_owned());
        ask(&self.messages, JournalError::Write, move |connection| {
            let statement = "INSERT OR REPLACE INTO remembered VALUES (?1, ?2, ?3)";
            connection.execute(statement, params![receiver, key, value]).map(drop)
        })
        .await
    }

    /// What was kept for a receiver under a key.
    pub async fn recall(&self, receiver: &str, key: &str) -> Result<Option<String>, JournalError> {
        let (receiver, key) = (receiver.to_owned(), key.to_owned());
        ask(&self.messages, JournalError::Read, move |connection| {
            let query = "SELECT value FROM remembered WHERE receiver = ?1 AND key = ?2";
            connection.query_row(query, params![receiver, key], |row| row.get(0)).optional()
        })
        .await
    }
}

/// Puts a notice in, once for each receiver.
pub(super) fn put(connection: &Connection, at: Timestamp, outgoing: &Outgoing) -> rusqlite::Result<()> {
    // Texts and numbers: there is nothing JSON cannot hold.
    let notice = serde_json::to_string(&outgoing.notice).unwrap_or_default();
    let mut insert = connection.prepare("INSERT INTO outbox (receiver, at, notice) VALUES (?1, ?2, ?3)")?;
    for receiver in &outgoing.receivers {
        insert.execute(params![receiver, at.as_millisecond(), notice])?;
    }
    Ok(())
}

fn next(connection: &Connection, receiver: &str) -> rusqlite::Result<Option<Letter>> {
    let query = "SELECT id, at, notice, tries, due FROM outbox WHERE receiver = ?1 ORDER BY id LIMIT 1";
    let time = |ms: i64| Timestamp::from_millisecond(ms).unwrap_or_default();
    let letter = connection.query_row(query, [receiver], |row| {
        let notice: String = row.get(2)?;
        Ok(Letter {
            id: row.get(0)?,
            at: time(row.get(1)?),
            notice: serde_json::from_str(&notice).ok(),
            tries: row.get(3)?,
            due: time(row.get(4)?),
        })
    });
    letter.optional()
}

fn keep_only(connection: &mut Connection, receivers: &[String]) -> rusqlite::Result<Vec<(String, u64)>> {
    let transaction = connection.transaction()?;
    let mut gone = Vec::new();
    {
        let mut counts = transaction.prepare("SELECT receiver, count(*) FROM outbox GROUP BY receiver")?;
        for row in counts.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))? {
            let (receiver, count) = row?;
            if !receivers.contains(&receiver) {
                transaction.execute("DELETE FROM outbox WHERE receiver = ?1", [&receiver])?;
                gone.push((receiver, count.unsigned_abs()));
            }
        }
    }
    transaction.commit()?;
    Ok(gone)
}
