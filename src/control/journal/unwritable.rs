//! A store that cannot be written when a process starts: a disk that is full or read-only, a directory or
//! files of another user.
//!
//! What is in it is read and served; every change is refused with the reason, until a start that can write.
//! Before the first change was ever written there is nothing to serve by, and the start fails instead.

use super::store::{NAME, Store, recover};
use super::witness::Witness;
use super::{JournalError, Recovered, rows, schema};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use tokio::sync::watch;

/// Opens what is there, for reading alone; `why` is what opening it for writing said.
pub(super) fn open(
    dir: &Path,
    newest: watch::Sender<u64>,
    why: JournalError,
) -> Result<(Store, Recovered), JournalError> {
    let path = dir.join(NAME);
    if !is_for_want_of_writing(&why) || !std::fs::metadata(&path).is_ok_and(|found| found.len() > 0) {
        return Err(why);
    }
    let memory = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_in_memory()?;
        schema::migrate(&connection, 0)?;
        Ok(connection)
    };
    let connection = memory().map_err(|error| JournalError::Read(error.to_string()))?;
    let (mut recovered, count) = match read(&path) {
        Ok(read) => read,
        Err(error) => {
            let lost = format!("the state store {} cannot be read: {error}", path.display());
            (Recovered { lost: Some(lost), ..Recovered::default() }, u64::MAX)
        }
    };
    let witness = Witness::read_only(dir);
    let missing = witness.as_ref().map_or(0, |witness| witness.missing(count));
    if missing > 0 {
        recovered.lost = Some(format!("the last {missing} changes are in a log that cannot be read"));
    }
    recovered.stable = witness.map(|witness| witness.stable().clone()).unwrap_or_default();
    let refuses = format!("{why}, since the start; restart once it can be written");
    recovered.damage.push(format!("no change can be made: {why}"));
    recovered.damage.extend(recovered.lost.clone());
    recovered.is_unwritable = true;
    newest.send_replace(rows::newest(&connection).unwrap_or(0));
    Ok((Store { connection, newest, witness: None, refuses: Some(refuses), _lock: None }, recovered))
}

fn is_for_want_of_writing(why: &JournalError) -> bool {
    use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match why {
        JournalError::Directory { source, .. } => {
            matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem | StorageFull | QuotaExceeded)
        }
        JournalError::Write(_) => true,
        _ => false,
    }
}

/// What the database holds without its log, and how many changes those are.
fn read(path: &Path) -> rusqlite::Result<(Recovered, u64)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    // Neither a lock nor an index of the log can be made here.
    let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let connection = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)?;
    let version = schema::version(&connection)?;
    let count = match version {
        0..3 => 0,
        _ => connection.query_row("SELECT count FROM commits", [], |row| row.get::<_, i64>(0))?,
    };
    Ok((recover(&connection, version)?, count.unsigned_abs()))
}
