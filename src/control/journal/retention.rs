//! What the store forgets: rows of history beyond a number or an age, and rollouts that the controller no
//! longer keeps.
//!
//! It is done a few rows at a time, each few a transaction of its own with other work between them, so
//! that no change waits for it.

use super::Message;
use rusqlite::{Connection, params};
use std::sync::mpsc;

/// Rows or rollouts a transaction.
const BATCH: usize = 200;

/// What is to be forgotten.
#[derive(Clone, Debug, Default)]
pub struct Forgotten {
    /// Rows that each of these services keeps at most; 0 for all.
    pub keep: u64,
    pub services: Vec<String>,
    /// Rows of before this time (RFC 3339, UTC, milliseconds) go, too.
    pub before: Option<String>,
    /// Ids of rollouts.
    pub rollouts: Vec<String>,
}

/// Has one batch deleted, and sees to the next.
pub(super) fn forget(messages: mpsc::Sender<Message>, mut forgotten: Forgotten) {
    let next = messages.clone();
    let errand = move |connection: &mut Connection| match batch(connection, &mut forgotten) {
        Ok(true) => forget(next, forgotten),
        Ok(false) => (),
        Err(error) => tracing::warn!("the history keeps more than it should, it is tried again: {error}"),
    };
    // Without its thread there is nothing to forget.
    drop(messages.send(Message::Errand(Box::new(errand))));
}

/// Deletes one batch; whether there is more to do.
fn batch(connection: &mut Connection, forgotten: &mut Forgotten) -> rusqlite::Result<bool> {
    let transaction = connection.transaction()?;
    if !forgotten.rollouts.is_empty() {
        let rest = forgotten.rollouts.split_off(forgotten.rollouts.len().min(BATCH));
        for id in &forgotten.rollouts {
            transaction.execute("DELETE FROM rollouts WHERE id = ?1", [id])?;
        }
        transaction.commit()?;
        forgotten.rollouts = rest;
        return Ok(true);
    }
    let Some(service) = forgotten.services.last() else { return Ok(false) };
    let nth = "SELECT id FROM history WHERE service = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2";
    let surplus: i64 = match forgotten.keep {
        0 => 0,
        keep => transaction
            .query_row(nth, params![service, i64::try_from(keep).unwrap_or(i64::MAX)], |row| row.get(0))
            .or_else(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => Ok(0),
                error => Err(error),
            })?,
    };
    // Rows are in the order of time: the first that stays ends the search.
    let oldest = "SELECT id, at FROM history WHERE service = ?1 ORDER BY id LIMIT ?2";
    let mut query = transaction.prepare(oldest)?;
    let rows = query.query_map(params![service, BATCH as i64], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut last = None;
    let mut found = 0;
    for row in rows {
        let (id, at): (i64, String) = row?;
        let is_old = forgotten.before.as_ref().is_some_and(|before| at < *before);
        if id > surplus && !is_old {
            break;
        }
        (last, found) = (Some(id), found + 1);
    }
    drop(query);
    if let Some(last) = last {
        transaction.execute("DELETE FROM history WHERE service = ?1 AND id <= ?2", params![service, last])?;
    }
    transaction.commit()?;
    if found < BATCH {
        forgotten.services.pop();
    }
    Ok(true)
}
