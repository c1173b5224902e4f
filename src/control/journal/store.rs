//! The database and the thread that owns it.

use super::outbox::{self, Posted};
use super::{Change, HistoryRow, JournalError, Message, Recovered, events, schema};
use crate::control::view::HistoryView;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use tokio::sync::watch;

pub(super) struct Store {
    pub(super) connection: Connection,
    path: PathBuf,
    pub(super) newest: watch::Sender<u64>,
    /// Held as long as the store is open: one process a directory.
    _lock: File,
}

impl Store {
    /// Opens it; `newest` is where new rows are told of.
    pub(super) fn open(dir: &Path, newest: watch::Sender<u64>) -> Result<Self, JournalError> {
        let failed = |source| JournalError::Directory { path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(failed)?;
        let lock = lock(dir)?;
        let path = dir.join("state.db");
        let damaged = |error: rusqlite::Error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => JournalError::Write(plain(&error)),
            _ => JournalError::Damaged { path: path.clone(), detail: error.to_string() },
        };
        let connection = Connection::open(&path).map_err(damaged)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(damaged)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(damaged)?;
        let check: String =
            connection.query_row("PRAGMA quick_check", [], |row| row.get(0)).map_err(damaged)?;
        if check != "ok" {
            return Err(JournalError::Damaged { path, detail: check });
        }
        let found = schema::version(&connection).map_err(damaged)?;
        if found > schema::VERSION {
            return Err(JournalError::Newer { path, found, known: schema::VERSION });
        }
        schema::migrate(&connection, found).map_err(|error| JournalError::Write(plain(&error)))?;
        newest.send_replace(events::newest(&connection).map_err(damaged)?);
        Ok(Store { connection, path, newest, _lock: lock })
    }

    pub(super) fn recover(&mut self) -> Result<Recovered, JournalError> {
        let damaged = |error: rusqlite::Error| JournalError::Damaged {
            path: self.path.clone(),
            detail: error.to_string(),
        };
        let read = || -> rusqlite::Result<Recovered> {
            let mut recovered = Recovered::default();
            let mut services = self.connection.prepare("SELECT name, state FROM services")?;
            for row in services.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
                let (name, state) = row?;
                recovered.services.insert(name, state);
            }
            let mut rollouts =
                self.connection.prepare("SELECT id, service, idempotency_key, record FROM rollouts")?;
            let mut rows = rollouts.query([])?;
            while let Some(row) = rows.next()? {
                let (id, service): (String, String) = (row.get(0)?, row.get(1)?);
                if let Some(key) = row.get(2)? {
                    recovered.keys.insert((service, key), id.clone());
                }
                recovered.rollouts.insert(id, row.get(3)?);
            }
            Ok(recovered)
        };
        read().map_err(damaged)
    }

    /// Does what a message asks for. Whoever no longer waits for an answer does without.
    pub(super) fn serve(&mut self, message: Message, posted: &Posted) {
        match message {
            Message::Append(change, answer) => {
                let result = self.append(&change).map_err(|error| JournalError::Write(plain(&error)));
                self.announce(result.is_ok() && change.history.iter().any(is_posted), posted);
                let _ = answer.send(result);
            }
            Message::Site(change, answer) => {
                let result = self.append_site(&change).map_err(|error| JournalError::Write(plain(&error)));
                let mut rows = change.history.iter().map(|(_, row)| row);
                self.announce(result.is_ok() && rows.any(is_posted), posted);
                let _ = answer.send(result);
            }
            Message::RowsAfter { service, after, limit, answer } => {
                let rows = self.rows_after(service.as_deref(), after, limit);
                let _ = answer.send(rows.map_err(|error| JournalError::Read(error.to_string())));
            }
            Message::Errand(errand) => errand(&mut self.connection),
            Message::History { service, before, limit, answer } => {
                let rows = self.history(&service, before, limit);
                let _ = answer.send(rows.map_err(|error| JournalError::Read(error.to_string())));
            }
            // Whether it is open is not the store's own business.
            Message::Close(_) | Message::Reopen(_) => (),
        }
    }

    fn append(&mut self, change: &Change) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction
            .prepare("INSERT OR REPLACE INTO services VALUES (?1, ?2)")?
            .execute(params![change.service, change.state])?;
        if let Some(rollout) = &change.rollout {
            transaction
                .prepare(
                    "INSERT INTO rollouts VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE SET record = ?4",
                )?
                .execute(params![rollout.id, change.service, rollout.idempotency_key, rollout.record])?;
        }
        for row in &change.history {
            insert_row(&transaction, &change.service, row)?;
        }
        transaction.commit()
    }

    fn history(
        &self,
        service: &str,
        before: Option<u64>,
        limit: usize,
    ) -> rusqlite::Result<Vec<HistoryView>> {
        let mut query = self.connection.prepare(
            "SELECT id, at, service, actor, action, text, figures, rollout FROM history \
             WHERE service = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
        )?;
        let before = before.and_then(|id| i64::try_from(id).ok()).unwrap_or(i64::MAX);
        let rows = query.query_map(params![service, before, limit as i64], view)?;
        rows.collect()
    }

    /// Lets the database grow by so many pages only, as a full disk would.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, more: i64) -> rusqlite::Result<()> {
        let pages: i64 = self.connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        self.connection.pragma_update(None, "max_page_count", pages + more)
    }
}

/// A row of `id, at, service, actor, action, text, figures, rollout`.
pub(super) fn view(row: &Row<'_>) -> rusqlite::Result<HistoryView> {
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
    })
}

fn is_posted(row: &HistoryRow) -> bool {
    row.notice.is_some()
}

/// A row with its notice, if somebody is to be told.
pub(super) fn insert_row(
    transaction: &Transaction<'_>,
    service: &str,
    row: &HistoryRow,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO history (at, service, actor, action, text, figures, rollout) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let (at, figures) = (format!("{:.3}", row.at), row.figures.to_string());
    let values = params![at, service, row.actor, row.action, row.text, figures, row.rollout];
    transaction.prepare(sql)?.execute(values)?;
    match &row.notice {
        Some(outgoing) => outbox::put(transaction, row.at, outgoing),
        None => Ok(()),
    }
}

fn lock(dir: &Path) -> Result<File, JournalError> {
    let failed = |source| JournalError::Directory { path: dir.to_owned(), source };
    let path = dir.join("lock");
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    if file.try_lock().is_err() {
        let mut owner = String::new();
        // Without a pid the message is still right.
        let _ = file.read_to_string(&mut owner);
        let owner = owner.trim().parse::<u32>().map_or(String::new(), |pid| format!(" (pid {pid})"));
        return Err(JournalError::InUse { path: dir.to_owned(), owner });
    }
    // It is only told to others; a full disk must not keep us from coming back.
    let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(file)
}

fn plain(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => "the disk is full".to_owned(),
        _ => error.to_string(),
    }
}
