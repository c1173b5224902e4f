//! Rows of history in the database: written with their notices, read by page and by number.

use super::HistoryRow;
use super::outbox;
use crate::control::view::HistoryView;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

/// What is read of a row of history, in the order of [`view`].
const COLUMNS: &str = "id, at, service, actor, action, text, figures, rollout, address";

/// A row of [`COLUMNS`].
fn view(row: &Row<'_>) -> rusqlite::Result<HistoryView> {
    let figures: String = row.get(6)?;
    Ok(HistoryView {
        id: row.get::<_, i64>(0)? as u64,
        at: row.get(1)?,
        service: row.get(2)?,
        actor: row.get(3)?,
        action: row.get(4)?,
        text: row.get(5)?,
        figures: serde_json::from_str(&figures).unwrap_or_default(),
        rollout: row.get::<_, Option<String>>(7).optional()?.flatten(),
        address: row.get(8)?,
    })
}

/// Whether a notice goes with it.
pub(super) fn is_posted(row: &HistoryRow) -> bool {
    row.notice.is_some()
}

/// A row with its notice, if somebody is to be told.
pub(super) fn insert(transaction: &Transaction<'_>, service: &str, row: &HistoryRow) -> rusqlite::Result<()> {
    let sql = "INSERT INTO history (at, service, actor, action, text, figures, rollout, address) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let (at, figures) = (format!("{:.3}", row.at), row.figures.to_string());
    let values =
        params![at, service, row.actor, row.event.label(), row.text, figures, row.rollout, row.address];
    transaction.prepare(sql)?.execute(values)?;
    match &row.notice {
        Some(outgoing) => outbox::put(transaction, row.at, outgoing),
        None => Ok(()),
    }
}

/// Rows with an id above `after`: the oldest first.
pub(super) fn after(
    connection: &Connection,
    service: Option<&str>,
    after: u64,
    limit: usize,
) -> rusqlite::Result<Vec<HistoryView>> {
    let of = if service.is_some() { "service = ?1" } else { "?1 IS NULL" };
    let mut query = connection
        .prepare(&format!("SELECT {COLUMNS} FROM history WHERE {of} AND id > ?2 ORDER BY id LIMIT ?3"))?;
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = query.query_map(params![service, after, limit as i64], view)?;
    rows.collect()
}

/// Rows with an id below `before`: the newest first.
pub(super) fn before(
    connection: &Connection,
    service: Option<&str>,
    before: Option<u64>,
    limit: usize,
) -> rusqlite::Result<Vec<HistoryView>> {
    let of = if service.is_some() { "service = ?1" } else { "?1 IS NULL" };
    let mut query = connection.prepare(&format!(
        "SELECT {COLUMNS} FROM history WHERE {of} AND id < ?2 ORDER BY id DESC LIMIT ?3"
    ))?;
    let before = before.and_then(|id| i64::try_from(id).ok()).unwrap_or(i64::MAX);
    let rows = query.query_map(params![service, before, limit as i64], view)?;
    rows.collect()
}

/// The id of the newest row, 0 before the first.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<u64> {
    let id = connection.query_row("SELECT max(id) FROM history", [], |row| row.get::<_, Option<i64>>(0))?;
    Ok(id.and_then(|id| u64::try_from(id).ok()).unwrap_or(0))
}
