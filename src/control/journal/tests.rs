use super::*;
use serde_json::json;

fn change(service: &str, n: u64) -> Change {
    Change {
        service: service.into(),
        state: format!("{{\"n\":{n}}}"),
        rollout: Some(RolloutRecord {
            id: format!("{service}-r"),
            idempotency_key: Some("key".into()),
            record: format!("{{\"n\":{n}}}"),
        }),
        history: vec![HistoryRow {
            at: Timestamp::UNIX_EPOCH,
            actor: "ci".into(),
            action: "weights".into(),
            text: format!("change {n}"),
            figures: json!({ "n": n }),
            rollout: None,
        }],
    }
}

fn append(journal: &Journal, change: Change) -> Result<(), JournalError> {
    journal.append(change).blocking_recv().expect("an answer")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

fn history(journal: &Journal, before: Option<u64>, limit: usize) -> Vec<HistoryView> {
    runtime().block_on(journal.history("web".into(), before, limit)).expect("history")
}

/// Opens once the thread of the handle before has let go of the lock.
fn reopen(dir: &Path) -> (Journal, Recovered) {
    let deadline = crate::observe::clock::Clock::start();
    loop {
        match Journal::open(dir) {
            Err(JournalError::InUse { .. }) if deadline.now().as_secs() < 10 => std::thread::yield_now(),
            opened => return opened.expect("opened again"),
        }
    }
}

#[test]
fn what_was_answered_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, recovered) = Journal::open(dir.path()).expect("opened");
    assert!(recovered.services.is_empty());
    for n in 1..=5 {
        append(&journal, change("web", n)).expect("written");
    }
    journal.marks.set(0, "web-r");
    drop(journal);
    let (journal, recovered) = reopen(dir.path());
    assert_eq!(recovered.services["web"], "{\"n\":5}");
    assert_eq!(recovered.keys[&("web".to_owned(), "key".to_owned())], "web-r");
    assert_eq!(recovered.rollouts["web-r"], "{\"n\":5}");
    assert_eq!(recovered.aborted, ["web-r"]);
    let page = history(&journal, None, 2);
    assert_eq!(page.iter().map(|row| &*row.text).collect::<Vec<_>>(), ["change 5", "change 4"]);
    let rest = history(&journal, Some(page[1].id), 10);
    assert_eq!(rest.iter().map(|row| &*row.text).collect::<Vec<_>>(), ["change 3", "change 2", "change 1"]);
    assert_eq!(rest[0].figures, json!({ "n": 3 }));
}

#[test]
fn a_directory_belongs_to_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_journal, _) = Journal::open(dir.path()).expect("opened");
    let error = Journal::open(dir.path()).expect_err("refused").to_string();
    assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
}

#[test]
fn damage_and_newer_versions_are_told_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("state.db"), vec![7; 8192]).expect("written");
    let error = Journal::open(dir.path()).expect_err("refused");
    assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    let dir = tempfile::tempdir().expect("a directory");
    let newer = rusqlite::Connection::open(dir.path().join("state.db")).expect("a database");
    newer.pragma_update(None, "user_version", 99).expect("set");
    drop(newer);
    let error = Journal::open(dir.path()).expect_err("refused").to_string();
    assert!(error.contains("newer version (schema 99"), "{error}");
}

#[test]
fn a_full_disk_refuses_whole_changes_and_spoils_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path()).expect("opened");
    store.limit_pages(2).expect("limited");
    let (messages, inbox) = mpsc::channel();
    let marks = Arc::new(Marks::open(dir.path()).expect("marks").0);
    let newest = store.newest.subscribe();
    let thread = std::thread::spawn(move || store.run(inbox));
    let journal = Journal { messages, newest, marks };
    let mut last = 0;
    let error = (1..).find_map(|n| {
        let mut change = change("web", n);
        change.history[0].text = format!("change {n} {}", "x".repeat(2000));
        match append(&journal, change) {
            Ok(()) => {
                last = n;
                None
            }
            Err(error) => Some(error),
        }
    });
    assert_eq!(error.expect("it fills up").to_string(), "the state store cannot write: the disk is full");
    drop(journal);
    thread.join().expect("no panic");
    let (journal, recovered) = reopen(dir.path());
    assert_eq!(recovered.services["web"], format!("{{\"n\":{last}}}"));
    assert_eq!(history(&journal, None, 1000).len() as u64, last, "state and history agree");
    append(&journal, change("web", 99)).expect("there is space again");
}

#[test]
fn a_copy_taken_at_any_moment_holds_whole_changes() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, _) = Journal::open(dir.path()).expect("opened");
    for n in 1..=40u64 {
        let pending = journal.append(change("web", n));
        if n % 4 == 0 {
            let copy = tempfile::tempdir().expect("a directory");
            // The log last: a crash cannot leave a log older than the database.
            for name in ["state.db", "state.db-wal"] {
                std::fs::copy(dir.path().join(name), copy.path().join(name)).expect("copied");
            }
            let (copied, recovered) = Journal::open(copy.path()).expect("a copy can be opened");
            let state: serde_json::Value = serde_json::from_str(&recovered.services["web"]).expect("JSON");
            let rows = history(&copied, None, 1000);
            assert_eq!(state["n"].as_u64(), Some(rows.len() as u64), "state and history agree");
            assert!(rows.len() as u64 >= n - 1, "what was answered is there");
        }
        pending.blocking_recv().expect("an answer").expect("written");
    }
}
