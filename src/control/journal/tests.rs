use super::outbox::Letter;
use super::*;
use crate::core::event::Event;
use crate::core::notice::{Kind, Notice};
use serde_json::json;

fn change(service: &str, n: u64) -> Change {
    Change {
        service: service.into(),
        state: format!("{{\"n\":{n}}}"),
        rollout: Some(RolloutRecord {
            id: format!("{service}-r"),
            key: Some(IdempotencyKey { key: "key".into(), asked: Some("asked".into()) }),
            record: format!("{{\"n\":{n}}}"),
        }),
        history: vec![HistoryRow {
            at: Timestamp::UNIX_EPOCH,
            actor: "ci".into(),
            event: Event::Weights,
            text: format!("change {n}"),
            address: Some("10.0.0.1".into()),
            figures: json!({ "n": n }),
            rollout: None,
            notice: None,
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
    runtime().block_on(journal.history(Some("web".into()), before, limit)).expect("history")
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
    let started = &recovered.keys[&("web".to_owned(), "key".to_owned())];
    assert_eq!((started.id.as_str(), started.asked.as_deref()), ("web-r", Some("asked")));
    assert_eq!(recovered.rollouts["web-r"], "{\"n\":5}");
    assert_eq!(recovered.aborted, ["web-r"]);
    let page = history(&journal, None, 2);
    assert_eq!(page.iter().map(|row| &*row.text).collect::<Vec<_>>(), ["change 5", "change 4"]);
    let rest = history(&journal, Some(page[1].id), 10);
    assert_eq!(rest.iter().map(|row| &*row.text).collect::<Vec<_>>(), ["change 3", "change 2", "change 1"]);
    assert_eq!((&rest[0].figures, rest[0].address.as_deref()), (&json!({ "n": 3 }), Some("10.0.0.1")));
}

#[test]
fn a_directory_belongs_to_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let (_journal, _) = Journal::open(dir.path()).expect("opened");
    let error = Journal::open(dir.path()).expect_err("refused").to_string();
    assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
}

#[test]
fn a_closed_store_is_another_process_s_and_what_is_asked_meanwhile_waits() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, _) = Journal::open(dir.path()).expect("opened");
    append(&journal, change("web", 1)).expect("written");
    runtime().block_on(journal.close());
    let asked = journal.clone();
    let waiting = std::thread::spawn(move || history(&asked, None, 10));
    let (other, recovered) = Journal::open(dir.path()).expect("it is free");
    assert_eq!(recovered.services["web"], "{\"n\":1}");
    append(&other, change("web", 2)).expect("written");
    other.marks.set(0, "web-r");
    let error = runtime().block_on(journal.reopen()).expect_err("the other one has it").to_string();
    assert!(error.contains("in use by another process"), "{error}");
    runtime().block_on(other.close());
    let recovered = runtime().block_on(journal.reopen()).expect("free again");
    assert_eq!(
        (recovered.services["web"].as_str(), recovered.aborted),
        ("{\"n\":2}", vec!["web-r".to_owned()])
    );
    let rows = waiting.join().expect("an answer");
    assert_eq!(rows.iter().map(|row| &*row.text).collect::<Vec<_>>(), ["change 2", "change 1"]);
    append(&journal, change("web", 3)).expect("written");
}

#[test]
fn a_damaged_store_is_kept_aside_and_told_and_a_newer_one_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("state.db"), vec![7; 8192]).expect("written");
    let (journal, recovered) = Journal::open(dir.path()).expect("a new one");
    assert!(recovered.lost.expect("told").contains("was damaged"));
    append(&journal, change("web", 1)).expect("written");
    let kept = std::fs::read_dir(dir.path()).expect("a directory").flatten();
    let mut kept = kept.filter(|entry| entry.file_name().to_string_lossy().contains("damaged"));
    assert_eq!(std::fs::read(kept.next().expect("kept").path()).expect("a file"), vec![7; 8192]);
    let dir = tempfile::tempdir().expect("a directory");
    let newer = rusqlite::Connection::open(dir.path().join("state.db")).expect("a database");
    newer.pragma_update(None, "user_version", 99).expect("set");
    drop(newer);
    let error = Journal::open(dir.path()).expect_err("refused").to_string();
    assert!(error.contains("newer version (schema 99"), "{error}");
}

/// Every place in turn: whatever is broken, a store opens, and either it is whole or it says that it is not.
#[test]
fn no_byte_of_a_store_can_be_changed_unnoticed_in_what_counts() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, _) = Journal::open(dir.path()).expect("opened");
    for n in 1..=20 {
        append(&journal, change("web", n)).expect("written");
    }
    runtime().block_on(journal.close());
    let names = ["state.db", "commits", "aborts", "stable.json"];
    let files = names.map(|name| std::fs::read(dir.path().join(name)).unwrap_or_default());
    let whole = &files[0];
    let mut told = 0;
    for at in (0..whole.len()).step_by(whole.len() / 61) {
        let copy = tempfile::tempdir().expect("a directory");
        for (name, bytes) in names.iter().zip(&files) {
            std::fs::write(copy.path().join(name), bytes).expect("written");
        }
        let mut broken = whole.clone();
        broken.get_mut(at..).into_iter().flatten().take(64).for_each(|byte| *byte ^= 0xA5);
        std::fs::write(copy.path().join("state.db"), broken).expect("written");
        let (_journal, recovered) = Journal::open(copy.path()).expect("it opens");
        told += usize::from(recovered.lost.is_some());
        let is_whole = recovered.services.get("web").is_some_and(|state| state.contains("20"));
        assert!(recovered.lost.is_some() || is_whole || !recovered.services.contains_key("web"), "at {at}");
    }
    println!("61 places broken, {told} told");
    assert!(told > 0);
}

#[test]
fn a_lost_log_and_a_lost_store_are_told_with_what_was_stable() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, _) = Journal::open(dir.path()).expect("opened");
    let mut flip = change("web", 1);
    flip.state = r#"{"state": {"stable": "green", "upstreams": {}}}"#.into();
    append(&journal, flip.clone()).expect("written");
    runtime().block_on(journal.close());
    drop(journal);
    let (journal, recovered) = reopen(dir.path());
    assert_eq!((recovered.lost, recovered.damage), (None, vec![]), "a checkpoint at the end");
    let log = dir.path().join("state.db-wal");
    let aside = tempfile::tempdir().expect("a directory");
    let copy = |name: &str| std::fs::copy(dir.path().join(name), aside.path().join(name)).expect("copied");
    copy("state.db");
    append(&journal, flip).expect("written");
    assert!(std::fs::metadata(&log).expect("a log").len() > 0);
    for name in ["commits", "aborts", "stable.json"] {
        copy(name);
    }
    // The log is not there.
    let (lacking, recovered) = Journal::open(aside.path()).expect("opened");
    assert!(recovered.lost.expect("told").contains("lacks the last 1 changes"));
    assert_eq!(recovered.stable["web"]["stable"], "green");
    append(&lacking, change("web", 3)).expect("written");
    drop(lacking);
    assert_eq!(reopen(aside.path()).1.lost, None, "what is written after is the state");
    std::fs::remove_file(aside.path().join("state.db")).expect("removed");
    let (_, recovered) = reopen(aside.path());
    assert!(recovered.lost.expect("told").contains("is gone"));
}

#[test]
fn the_past_is_forgotten_by_number_and_age_in_small_pieces() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, _) = Journal::open(dir.path()).expect("opened");
    for n in 1..=700 {
        append(&journal, change("web", n)).expect("written");
    }
    append(&journal, change("api", 1)).expect("written");
    let services = vec!["web".to_owned(), "api".to_owned()];
    journal.forget(retention::Forgotten { keep: 50, services: services.clone(), ..Default::default() });
    let is_done = |left: usize| {
        let clock = crate::observe::clock::Clock::start();
        while history(&journal, None, 1000).len() != left && clock.now().as_secs() < 20 {
            std::thread::yield_now();
        }
        history(&journal, None, 1000).len() == left
    };
    assert!(is_done(50));
    assert_eq!(history(&journal, None, 1)[0].text, "change 700");
    let before = Some("2000-01-01T00:00:00.000Z".to_owned());
    let rollouts = vec!["web-r".to_owned()];
    journal.forget(retention::Forgotten { keep: 0, services, before, rollouts });
    assert!(is_done(0), "all are of 1970");
    drop(journal);
    let (_, recovered) = reopen(dir.path());
    assert!(!recovered.rollouts.contains_key("web-r") && recovered.services.contains_key("web"));
}

#[test]
fn a_full_disk_refuses_whole_changes_and_spoils_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (store, _) = Store::open(dir.path(), watch::Sender::new(0)).expect("opened");
    store.limit_pages(2).expect("limited");
    let (messages, inbox) = mpsc::channel();
    let marks = Arc::new(Marks::open(dir.path()).expect("marks").marks);
    let newest = store.newest.subscribe();
    let posted = watch::Sender::new(0);
    let journal = Journal { messages, newest, marks, posted: posted.clone() };
    let keeper = Keeper::of(store, dir.path());
    let thread = std::thread::spawn(move || keeper.run(inbox, &posted));
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
        let pending = journal.append(telling(n, Kind::Step, &["slack"]));
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
            let waiting = runtime().block_on(copied.outbox().keep_only(Vec::new())).expect("read");
            assert_eq!(waiting, [("slack".to_owned(), rows.len() as u64)], "history and outbox agree");
        }
        pending.blocking_recv().expect("an answer").expect("written");
    }
}

fn notice(kind: Kind) -> Notice {
    Notice {
        at: "2026-01-02T03:04:05Z".into(),
        actor: "ci".into(),
        detail: "a sentence".into(),
        ..Notice::new(kind, "web")
    }
}

fn telling(n: u64, kind: Kind, receivers: &[&str]) -> Change {
    let mut change = change("web", n);
    let receivers = receivers.iter().map(|name| (*name).to_owned()).collect();
    change.history[0].notice = Some(Outgoing { notice: notice(kind), receivers });
    change
}

#[test]
fn letters_wait_in_order_for_each_receiver_until_they_are_taken_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, _) = Journal::open(dir.path()).expect("opened");
    let posted = journal.outbox().posted();
    append(&journal, telling(1, Kind::Started, &["slack", "ops"])).expect("written");
    journal.outbox().post(Outgoing { notice: notice(Kind::Progress), receivers: vec!["slack".into()] });
    append(&journal, telling(2, Kind::Aborted, &["slack", "ops"])).expect("written");
    assert!(posted.has_changed().expect("the journal is there"));
    drop(journal);
    let (journal, _) = reopen(dir.path());
    let runtime = runtime();
    let mut kinds = Vec::new();
    while let Some(letter) = runtime.block_on(journal.outbox().next_letter("slack")).expect("read") {
        kinds.push(letter.notice.expect("a notice").kind);
        runtime.block_on(journal.outbox().take_out(letter.id)).expect("taken out");
    }
    assert_eq!(kinds, [Kind::Started, Kind::Progress, Kind::Aborted]);
    let first = runtime.block_on(journal.outbox().next_letter("ops")).expect("read").expect("a letter");
    assert_eq!((first.tries, first.due), (0, Timestamp::UNIX_EPOCH));
    let due = Timestamp::from_millisecond(1_900_000_000_000).expect("a time");
    runtime.block_on(journal.outbox().put_off(first.id, 3, due)).expect("put off");
    drop(journal);
    let (journal, _) = reopen(dir.path());
    let again = runtime.block_on(journal.outbox().next_letter("ops")).expect("read").expect("a letter");
    assert_eq!(again, Letter { tries: 3, due, ..first }, "it keeps its place, its tries and its time");
    let gone = runtime.block_on(journal.outbox().keep_only(vec!["slack".into()])).expect("cleared");
    assert_eq!(gone, [("ops".to_owned(), 2)]);
    assert_eq!(runtime.block_on(journal.outbox().next_letter("ops")).expect("read"), None);
}

#[test]
fn values_are_kept_for_each_receiver() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, _) = Journal::open(dir.path()).expect("opened");
    let runtime = runtime();
    runtime.block_on(journal.outbox().remember("github", "web-1", "17")).expect("kept");
    runtime.block_on(journal.outbox().remember("github", "web-1", "18")).expect("kept");
    assert_eq!(
        runtime.block_on(journal.outbox().recall("github", "web-1")).expect("read").as_deref(),
        Some("18")
    );
    assert_eq!(runtime.block_on(journal.outbox().recall("other", "web-1")).expect("read"), None);
}

/// The tables as the first version made them.
const FIRST: &str = "
CREATE TABLE services (name TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT;
CREATE TABLE rollouts (
    id TEXT PRIMARY KEY, service TEXT NOT NULL, idempotency_key TEXT, record TEXT NOT NULL,
    UNIQUE (service, idempotency_key)) STRICT;
CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, service TEXT NOT NULL, actor TEXT NOT NULL,
    action TEXT NOT NULL, text TEXT NOT NULL, figures TEXT NOT NULL, rollout TEXT) STRICT;
INSERT INTO services VALUES ('web', '{\"n\":7}');
INSERT INTO rollouts VALUES ('web-r', 'web', 'key', '{}');
INSERT INTO history VALUES (1, '2026-01-02T03:04:05Z', 'web', 'ci', 'flip', 'flipped', '{}', NULL);
PRAGMA user_version = 1;
";

#[test]
fn a_store_of_the_first_version_is_brought_up_to_date_with_all_it_holds() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = rusqlite::Connection::open(dir.path().join("state.db")).expect("a database");
    old.execute_batch(FIRST).expect("made");
    drop(old);
    let (journal, recovered) = Journal::open(dir.path()).expect("opened");
    assert_eq!(recovered.services["web"], "{\"n\":7}");
    assert_eq!(recovered.keys[&("web".to_owned(), "key".to_owned())].asked, None);
    append(&journal, telling(8, Kind::Started, &["slack"])).expect("written");
    let rows = history(&journal, None, 10);
    assert_eq!(rows.iter().map(|row| &*row.action).collect::<Vec<_>>(), ["weights", "flip"]);
    assert!(runtime().block_on(journal.outbox().next_letter("slack")).expect("read").is_some());
    drop(journal);
    assert_eq!(reopen(dir.path()).1.services["web"], "{\"n\":8}", "and is so at the next start");
}

#[tokio::test]
async fn rows_of_the_fleet_are_archived_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let (journal, _) = Journal::open(dir.path()).expect("a store");
    let first = journal.fleet().kept().await.expect("read");
    assert_eq!((first.incarnation, first.services.len()), (1, 0));
    journal.fleet().keep("web", "{}".to_owned(), "[]".to_owned());
    let row = HistoryRow {
        at: "2026-03-04T05:06:07Z".parse().expect("a time"),
        actor: "ci".to_owned(),
        event: Event::Flip,
        text: "flipped".to_owned(),
        address: Some("10.0.0.1".to_owned()),
        figures: json!({ "n": 1 }),
        rollout: None,
        notice: None,
    };
    let shared = HistoryRow::of_shared(&row.shared()).expect("a row");
    assert_eq!(shared, row);
    let tombstone = json!({ "event": "aborted", "rollout": "r", "text": "why", "by": "edge-1", "at": "?" });
    assert_eq!(HistoryRow::of_shared(&tombstone).map(|row| row.actor).as_deref(), Some("edge-1"));
    assert_eq!(
        HistoryRow::of_shared(&json!({ "event": "of a newer version", "actor": "", "text": "" })),
        None
    );
    for key in ["p/log/web/1", "p/log/web/1", "", ""] {
        let (key, service) = (key.to_owned(), "web".to_owned());
        journal.fleet().add(vec![ArchivedRows { key, service, rows: vec![row.clone()] }]);
    }
    let history = journal.history(None, None, 10).await.expect("rows");
    assert_eq!(history.len(), 3, "one of the fleet, and two of this instance");
    let again = journal.fleet().kept().await.expect("read");
    assert_eq!((again.incarnation, again.services["web"].0.as_str()), (2, "{}"));
}
