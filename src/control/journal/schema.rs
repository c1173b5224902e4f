//! The tables, and how a store of an older version is brought up to date.

use rusqlite::Connection;

/// Each brings the store one version further; what has been released is never changed.
const MIGRATIONS: [&str; 4] = [
    "
CREATE TABLE services (name TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT;
CREATE TABLE rollouts (
    id TEXT PRIMARY KEY, service TEXT NOT NULL, idempotency_key TEXT, record TEXT NOT NULL,
    UNIQUE (service, idempotency_key)) STRICT;
CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, service TEXT NOT NULL, actor TEXT NOT NULL,
    action TEXT NOT NULL, text TEXT NOT NULL, figures TEXT NOT NULL, rollout TEXT) STRICT;
CREATE INDEX history_by_service ON history (service, id);
",
    "
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, receiver TEXT NOT NULL, at INTEGER NOT NULL, notice TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, due INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX outbox_by_receiver ON outbox (receiver, id);
CREATE TABLE remembered (
    receiver TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (receiver, key)) STRICT;
",
    "
ALTER TABLE history ADD COLUMN address TEXT;
ALTER TABLE rollouts ADD COLUMN asked TEXT;
CREATE TABLE commits (id INTEGER PRIMARY KEY CHECK (id = 1), count INTEGER NOT NULL) STRICT;
INSERT INTO commits VALUES (1, 0);
",
    "
CREATE TABLE fleet_kept (service TEXT PRIMARY KEY, document TEXT NOT NULL, marks TEXT NOT NULL) STRICT;
CREATE TABLE fleet_log (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE fleet_member (id INTEGER PRIMARY KEY CHECK (id = 1), incarnation INTEGER NOT NULL) STRICT;
INSERT INTO fleet_member VALUES (1, 0);
",
];

/// The version this program knows.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// From the version found to the newest, each step whole or not at all.
pub(super) fn migrate(connection: &Connection, found: i64) -> rusqlite::Result<()> {
    for (version, tables) in (1..).zip(MIGRATIONS).skip(usize::try_from(found).unwrap_or(0)) {
        let step = format!("BEGIN; {tables} PRAGMA user_version = {version}; COMMIT;");
        if let Err(error) = connection.execute_batch(&step) {
            // The first error is the one that counts.
            let _ = connection.execute_batch("ROLLBACK");
            return Err(error);
        }
    }
    Ok(())
}
