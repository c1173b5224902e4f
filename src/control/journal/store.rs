//! The database and the thread that owns it.

use super::directory::{self, Lock, put_file};
use super::outbox::Posted;
use super::witness::Witness;
use super::{Change, JournalError, Message, Recovered, SITE, SiteChange, Started, fleet, rows, schema};
use crate::control::answer::answer;
use crate::core::text;
use crate::observe::clock::wall;
use rusqlite::{Connection, Row, Transaction, params};
use std::fs::OpenOptions;
use std::io::ErrorKind;
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
    /// Opens it and reads what is in it; `newest` has the id of the newest row. A store that is damaged is
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
        newest.send_replace(rows::newest(&connection).map_err(|e| JournalError::Read(e.to_string()))?);
        Ok((
            Store { connection, newest, witness: Some(witness), refuses: None, _lock: Some(lock) },
            recovered,
        ))
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

    /// Does what a message asks for.
    pub(super) fn serve(&mut self, message: Message, posted: &Posted) {
        match message {
            Message::Append(change, to) => {
                let result = self.writable().and_then(|()| self.append(&change).map_err(|e| unwritten(&e)));
                self.announce(result.is_ok() && change.history.iter().any(rows::is_posted), posted);
                answer(to, result);
            }
            Message::Site(change, to) => {
                let result =
                    self.writable().and_then(|()| self.append_site(&change).map_err(|e| unwritten(&e)));
                let mut rows = change.history.iter().map(|(_, row)| row);
                self.announce(result.is_ok() && rows.any(rows::is_posted), posted);
                answer(to, result);
            }
            Message::RowsAfter { service, after, limit, answer: to } => {
                let rows = rows::after(&self.connection, service.as_deref(), after, limit);
                answer(to, rows.map_err(|error| JournalError::Read(error.to_string())));
            }
            Message::Errand(errand) => errand(&mut self.connection),
            Message::Archive(archived) => {
                let result = fleet::archive(&mut self.connection, &archived);
                let posted_one = archived.iter().flat_map(|of| &of.rows).any(rows::is_posted);
                self.announce(result.is_ok() && posted_one, posted);
                if let Err(error) = result {
                    tracing::error!("rows of history are lost, the state store cannot write: {error}");
                }
            }
            Message::History { service, before, limit, answer: to } => {
                let rows = rows::before(&self.connection, service.as_deref(), before, limit);
                answer(to, rows.map_err(|error| JournalError::Read(error.to_string())));
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
            rows::insert(&transaction, &change.service, row)?;
        }
        let count = count(&transaction)?;
        transaction.commit()?;
        if let Some(witness) = &mut self.witness {
            witness.committed(count, &change.service, &change.state);
        }
        Ok(())
    }

    /// Changes the whole site's state, with rows in the histories of several services.
    fn append_site(&mut self, change: &SiteChange) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        transaction
            .prepare("INSERT OR REPLACE INTO services VALUES (?1, ?2)")?
            .execute(params![SITE, change.state])?;
        for (service, row) in &change.history {
            rows::insert(&transaction, service, row)?;
        }
        let count = count(&transaction)?;
        transaction.commit()?;
        if let Some(witness) = &mut self.witness {
            witness.committed(count, SITE, &change.state);
        }
        Ok(())
    }

    /// Says that there are new rows, if there are any.
    fn announce(&self, has_notice: bool, posted: &Posted) {
        if has_notice {
            posted.send_modify(|count| *count += 1);
        }
        match rows::newest(&self.connection) {
            Ok(newest) => drop(self.newest.send_if_modified(|known| {
                let is_new = *known != newest;
                *known = newest;
                is_new
            })),
            Err(error) => tracing::error!("the newest row of history cannot be read: {error}"),
        }
    }

    /// Lets the database grow by so many pages only, as a full disk would.
    #[cfg(test)]
    pub(super) fn limit_pages(&self, more: i64) -> rusqlite::Result<()> {
        let pages: i64 = self.connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        self.connection.pragma_update(None, "max_page_count", pages + more)
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

fn unwritten(error: &rusqlite::Error) -> JournalError {
    JournalError::Write(plain(error))
}

fn plain(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => "the disk is full".to_owned(),
        _ => error.to_string(),
    }
}
