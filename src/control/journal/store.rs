//! The database and the thread that owns it.

use super::directory::{self, Lock};
use super::outbox::{self, Posted};
use super::witness::Witness;
use super::{Change, HistoryRow, JournalError, Message, Recovered, Started, events, schema, unwritable};
use crate::control::view::HistoryView;
use crate::core::text;
use crate::observe::clock::wall;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tokio::sync::watch;

pub(super) const NAME: &str = "state.db";

pub(super) struct Store {
    pub(super) connection: Connection,
    pub(super) newest: watch::Sender<u64>,
    /// `None`, and a reason to refuse changes, where nothing can be written.
    pub(super) witness: Option<Witness>,
    pub(super) refuses: Option<String>,
    /// Held as long as the store is open: one process a directory.
    pub(super) _lock: Option<Lock>,
}

impl Store {
    /// Opens it and reads what is in it; `newest` is where new rows are told of. A store that is damaged is
    /// kept under another name, and a new one takes its place.
    pub(super) fn open(dir: &Path, newest: watch::Sender<u64>) -> Result<(Self, Recovered), JournalError> {
        let failed = |source| JournalError::Directory { path: dir.to_owned(), source };
        let lock = directory::take(dir)?;
        let witness = Witness::open(dir).map_err(failed)?;
        let path = dir.join(NAME);
        let is_new = std::fs::metadata(&path).map_or(true, |found| found.len() == 0);
        let mut damage = Vec::new();
        if is_new && witness.existed() {
            // SQLite drops the log of a database that is not there.
            let log = keep_log(dir).map(|log| format!("; its log is kept as {log}")).unwrap_or_default();
            damage.push(format!("the state store {} is gone{log}", path.display()));
        }
        let opened = match opened(&path) {
            Err(JournalError::Damaged { detail, .. }) => {
                let aside = set_aside(dir).map_err(failed)?;
                let (store, detail) = (path.display(), text::plain(&detail));
                damage.push(format!("the state store {store} was damaged ({detail}) and is kept as {aside}"));
                opened(&path)?
            }
            opened => opened?,
        };
        let (connection, mut recovered) = opened;
        let count = commits(&connection).map_err(|error| JournalError::Read(error.to_string()))?;
        let missing = witness.missing(count);
        if missing > 0 && damage.is_empty() {
            let log = keep_log(dir).map(|log| format!(", the log is kept as {log}")).unwrap_or_default();
            damage.push(format!(
                "the state store {} lacks the last {missing} changes: its write-ahead log was lost or damaged{log}",
                path.display()
            ));
        }
        recovered.stable = witness.stable().clone();
        recovered.lost = (!damage.is_empty()).then(|| damage.join("; "));
        recovered.damage = damage;
        newest.send_replace(events::newest(&connection).map_err(|e| JournalError::Read(e.to_string()))?);
        Ok((
            Store { connection, newest, witness: Some(witness), refuses: None, _lock: Some(lock) },
            recovered,
        ))
    }

    /// The same at a start: one that cannot be written is read.
    pub(super) fn open_or_read(
        dir: &Path,
        newest: watch::Sender<u64>,
    ) -> Result<(Self, Recovered), JournalError> {
        Store::open(dir, newest.clone()).or_else(|why| unwritable::open(dir, newest, why))
    }

    /// Writes all that the log holds into the database, so that this one file is the state.
    pub(super) fn checkpoint(&mut self) {
        if let Some(witness) = &mut self.witness {
            witness.checkpoint();
        }
        let checkpoint = |row: &Row<'_>| row.get::<_, i64>(0);
        match self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], checkpoint) {
            Ok(0) => (),
            Ok(_) => tracing::warn!("the state store could not be written together: it is being read"),
            Err(error) => tracing::warn!("the state store could not be written together: {error}"),
        }
    }

    /// Does what a message asks for. Whoever no longer waits for an answer does without.
    pub(super) fn serve(&mut self, message: Message, posted: &Posted) {
        match message {
            Message::Append(change, answer) => {
                let result = self.writable().and_then(|()| self.append(&change).map_err(|e| unwritten(&e)));
                self.announce(result.is_ok() && change.history.iter().any(is_posted), posted);
                let _ = answer.send(result);
            }
            Message::Site(change, answer) => {
                let result =
                    self.writable().and_then(|()| self.append_site(&change).map_err(|e| unwritten(&e)));
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
                let rows = self.history(service.as_deref(), before, limit);
                let _ = answer.send(rows.map_err(|error| JournalError::Read(error.to_string())));
            }
            // Whether it is open is not the store's own business.
            Message::Close(_) | Message::Reopen(_) => (),
        }
    }

    fn writable(&self) -> Result<(), JournalError> {
        self.refuses.as_ref().map_or(Ok(()), |why| Err(JournalError::Refused(why.clone())))
    }

    fn append(&mut self, change: &Change) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction
            .prepare("INSERT OR REPLACE INTO services VALUES (?1, ?2)")?
            .execute(params![change.service, change.state])?;
        if let Some(rollout) = &change.rollout {
            let key = rollout.key.as_ref().map(|key| &key.key);
            let asked = rollout.key.as_ref().and_then(|key| key.asked.as_ref());
            transaction
                .prepare(
                    "INSERT INTO rollouts (id, service, idempotency_key, record, asked) \
                     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET record = ?4",
                )?
                .execute(params![rollout.id, change.service, key, rollout.record, asked])?;
        }
        for row in &change.history {
            insert_row(&transaction, &change.service, row)?;
        }
        let count = count(&transaction)?;
        transaction.commit()?;
        if let Some(witness) = &mut self.witness {
            witness.committed(count, &change.service, &change.state);
        }
        Ok(())
    }

    fn history(
        &self,
        service: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> rusqlite::Result<Vec<HistoryView>> {
        let of = if service.is_some() { "service = ?1" } else { "?1 IS NULL" };
        let mut query = self.connection.prepare(&format!(
            "SELECT {COLUMNS} FROM history WHERE {of} AND id < ?2 ORDER BY id DESC LIMIT ?3"
        ))?;
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

/// What is read of a row of history, in the order of [`view`].
pub(super) const COLUMNS: &str = "id, at, service, actor, action, text, figures, rollout, address";

/// A row of [`COLUMNS`].
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
        address: row.get(8)?,
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

/// A connection to a sound store, with what it holds.
fn opened(path: &Path) -> Result<(Connection, Recovered), JournalError> {
    let damaged = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(
            rusqlite::ErrorCode::DiskFull
            | rusqlite::ErrorCode::ReadOnly
            | rusqlite::ErrorCode::CannotOpen
            | rusqlite::ErrorCode::PermissionDenied
            | rusqlite::ErrorCode::SystemIoFailure
            | rusqlite::ErrorCode::DatabaseBusy,
        ) => JournalError::Write(plain(&error)),
        _ => JournalError::Damaged { path: path.to_owned(), detail: error.to_string() },
    };
    // SQLite gives its log and index the mode of the database.
    let mut options = OpenOptions::new();
    let made = options.write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map_err(|source| JournalError::Directory { path: path.to_owned(), source })?;
    let connection = Connection::open(path).map_err(damaged)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(damaged)?;
    connection.pragma_update(None, "synchronous", "FULL").map_err(damaged)?;
    let check: String = connection.query_row("PRAGMA quick_check", [], |row| row.get(0)).map_err(damaged)?;
    if check != "ok" {
        return Err(JournalError::Damaged { path: path.to_owned(), detail: check });
    }
    let found = schema::version(&connection).map_err(damaged)?;
    if found > schema::VERSION {
        return Err(JournalError::Newer { path: path.to_owned(), found, known: schema::VERSION });
    }
    schema::migrate(&connection, found).map_err(|error| JournalError::Write(plain(&error)))?;
    let recovered = recover(&connection, schema::VERSION).map_err(damaged)?;
    Ok((connection, recovered))
}

/// What a store of a version holds.
pub(super) fn recover(connection: &Connection, version: i64) -> rusqlite::Result<Recovered> {
    let mut recovered = Recovered::default();
    let mut services = connection.prepare("SELECT name, state FROM services")?;
    for row in services.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (name, state) = row?;
        recovered.services.insert(name, state);
    }
    let asked = if version < 3 { "NULL" } else { "asked" };
    let query = format!("SELECT id, service, idempotency_key, record, {asked} FROM rollouts");
    let mut rollouts = connection.prepare(&query)?;
    let mut rows = rollouts.query([])?;
    while let Some(row) = rows.next()? {
        let (id, service): (String, String) = (row.get(0)?, row.get(1)?);
        if let Some(key) = row.get(2)? {
            let started = Started { id: id.clone(), asked: row.get(4)? };
            recovered.keys.insert((service, key), started);
        }
        recovered.rollouts.insert(id, row.get(3)?);
    }
    Ok(recovered)
}

fn commits(connection: &Connection) -> rusqlite::Result<u64> {
    let count: i64 = connection.query_row("SELECT count FROM commits", [], |row| row.get(0))?;
    Ok(count.unsigned_abs())
}

/// One more change, as a part of its transaction.
pub(super) fn count(transaction: &Transaction<'_>) -> rusqlite::Result<u64> {
    let sql = "UPDATE commits SET count = count + 1 RETURNING count";
    Ok(transaction.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// Gives a damaged store another name, with its log and index.
fn set_aside(dir: &Path) -> std::io::Result<String> {
    let aside = format!("{NAME}.damaged-{}", wall().strftime("%Y%m%dT%H%M%S"));
    for part in ["", "-wal", "-shm"] {
        match std::fs::rename(dir.join(format!("{NAME}{part}")), dir.join(format!("{aside}{part}"))) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => (),
        }
    }
    Ok(aside)
}

/// Keeps a copy of the log, before anything overwrites it; `None` where there is none.
fn keep_log(dir: &Path) -> Option<String> {
    let aside = format!("{NAME}-wal.damaged-{}", wall().strftime("%Y%m%dT%H%M%S"));
    let log = std::fs::read(dir.join(format!("{NAME}-wal"))).ok().filter(|log| !log.is_empty())?;
    put_file(dir, &aside, &log).ok().map(|()| aside)
}

/// Writes a file that nobody else may read: whole, or not at all.
pub(super) fn put_file(dir: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let next = dir.join(format!("{name}.next"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(next, dir.join(name))?;
    File::open(dir)?.sync_all()
}

fn unwritten(error: &rusqlite::Error) -> JournalError {
    JournalError::Write(plain(error))
}

fn plain(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => "the disk is full".to_owned(),
        _ => error.to_string(),
    }
}
