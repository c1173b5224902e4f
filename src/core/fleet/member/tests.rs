//! One member, and what the store may do to it.

use super::*;
use crate::core::fleet::documents::{FleetIdentity, FleetRoster, LeaderDocument, RosterEntry, text};
use crate::core::fleet::ground::Missing;
use crate::core::fleet::store::{StoreContents, StoreEvent, StoredValue, TransactionKind};
use crate::core::rollout::Action;
use crate::core::service::tests::{canary, start};
use crate::core::service::{Change, Moment};

const NOW: Moment<'static> = Moment { now: Duration::ZERO, wall: "10:00:00" };

fn keys() -> StoreKeys {
    StoreKeys::under("/p/")
}

fn identity(name: &str) -> MemberIdentity {
    MemberIdentity {
        name: name.into(),
        process: format!("{name}-a"),
        incarnation: Incarnation(1),
        version: "0.1.0".into(),
        config: "c".into(),
        secret: "s".into(),
        missing: Missing::Hold,
        forget: FORGET,
        takes_over: None,
    }
}

/// A service whose candidate has 25 % in a rollout, or is promoted.
fn document(is_promoted: bool) -> ServiceDocument {
    let begun = ServiceState::new("blue", ["blue", "green"]);
    let mut state = begun.apply(start("r1", "green", canary()), NOW).expect("a start").state;
    if is_promoted {
        let running = state.rollout.as_mut().expect("it runs");
        running.rollout.phase = crate::core::rollout::Phase::Shifting;
        let promote = Change::Asked { id: "r1", action: Action::Promote, who: "ci" };
        state = state.apply(promote, NOW).expect("a promotion").state;
    } else {
        let quarter = crate::core::service::tests::bp(2_500);
        state.weights = [("blue".to_owned(), quarter.rest()), ("green".to_owned(), quarter)].into();
    }
    ServiceDocument { format: FORMAT, epoch: 1, txn: "t".into(), state, undone: None, put_back: None }
}

/// A store in which these members are there, and the first of them leads.
fn contents(document: &ServiceDocument, members: &[&str], missing: &[&str]) -> StoreContents {
    let mut store = StoreContents { revision: 10, ..StoreContents::default() };
    let mut put = |key: String, value: String| {
        store.entries.insert(key, StoredValue { value, created: 5, modified: 9 });
    };
    let mut roster = FleetRoster { format: FORMAT, ..FleetRoster::default() };
    for name in members.iter().chain(missing) {
        let (incarnation, process) = (Incarnation(1), format!("{name}-a"));
        let entry = RosterEntry { incarnation, process, joined_at: String::new() };
        roster.members.insert((*name).to_owned(), entry);
    }
    for name in members {
        let kept = BTreeMap::from([("web".to_owned(), (Some(document.clone()), BTreeMap::new()))]);
        let mut member = FleetMember::new(identity(name), keys(), kept);
        member.tick(NOW);
        let answers = Some(RollCall { process: format!("{}-a", members[0]), connection: 1 });
        put(keys().alive(name), text(&AliveDocument { answers, ..member.alive() }));
    }
    let leader =
        LeaderDocument { format: FORMAT, member: members[0].into(), process: format!("{}-a", members[0]) };
    put(keys().members(), text(&roster));
    put(keys().leader(), text(&leader));
    put(keys().identity(), text(&FleetIdentity { format: FORMAT, secret: "s".into() }));
    put(keys().service("web"), text(document));
    put(keys().permit("r1"), String::new());
    store
}

fn member(name: &str, kept: Option<ServiceDocument>) -> FleetMember {
    FleetMember::new(identity(name), keys(), BTreeMap::from([("web".to_owned(), (kept, BTreeMap::new()))]))
}

/// What a member says of itself by a transaction of these.
fn said(out: &[FleetOutput]) -> Option<AliveDocument> {
    let put = out.iter().find_map(|output| match output {
        FleetOutput::Commit(transaction) if transaction.kind == TransactionKind::Report => {
            transaction.puts.first()
        }
        _ => None,
    })?;
    serde_json::from_str(&put.value).ok()
}

fn green(member: &FleetMember) -> u16 {
    member.state("web").expect("known").weights["green"].get()
}

fn kinds(out: &[FleetOutput]) -> Vec<TransactionKind> {
    let kind = |output: &FleetOutput| match output {
        FleetOutput::Commit(transaction) => Some(transaction.kind),
        _ => None,
    };
    out.iter().filter_map(kind).collect()
}

#[test]
fn without_the_store_candidates_wait_and_nothing_known_is_not_ready() {
    let mut known = member("a", Some(document(false)));
    known.tick(NOW);
    assert_eq!(green(&known), 0, "an abort may have happened that it has not heard of");
    known.connected();
    known.read(contents(&document(false), &["a"], &[]), NOW);
    assert_eq!(green(&known), 2_500);
    known.lost();
    known.tick(NOW);
    assert_eq!(green(&known), 2_500, "losing the store changes nothing");
    assert!(known.ground("web").is_err() && known.writable("web").is_err());
    let mut unknown = member("a", None);
    unknown.tick(NOW);
    assert!(unknown.state("web").is_none());
}

#[test]
fn an_abort_while_cut_off_is_in_effect_at_once_and_told_later() {
    let mut cut = member("a", None);
    cut.read(contents(&document(false), &["a"], &[]), NOW);
    cut.lost();
    let out = cut.abort("web", "r1", "errors", NOW);
    assert_eq!(green(&cut), 0);
    assert!(out.contains(&FleetOutput::Keep("web".into())) && kinds(&out).is_empty());
    // Meanwhile the others have promoted it.
    let out = cut.read(contents(&document(true), &["a"], &[]), NOW);
    assert_eq!(green(&cut), 0, "the promotion is taken back");
    let (said, kinds) = (said(&out).expect("another connection"), kinds(&out));
    assert_eq!(kinds, [TransactionKind::Tombstone, TransactionKind::Abort, TransactionKind::Report]);
    assert_eq!(said.answers, None, "it has an abort that the store lacks");
}

#[test]
fn the_leader_stands_still_while_a_member_is_missing() {
    let mut leader = member("a", None);
    leader.read(contents(&document(false), &["a", "b"], &[]), NOW);
    assert!(leader.ground("web").is_ok());
    leader.read(contents(&document(false), &["a"], &["b"]), NOW);
    assert_eq!(leader.ground("web"), Err(vec!["b has not been heard of since 10:00:00".to_owned()]));
    let mut other = identity("a");
    other.config = "d".into();
    let mut other =
        FleetMember::new(other, keys(), BTreeMap::from([("web".to_owned(), (None, BTreeMap::new()))]));
    other.read(contents(&document(false), &["a", "b"], &[]), NOW);
    let why = other.ground("web").expect_err("another configuration");
    assert!(why.iter().any(|why| why.starts_with("b has another configuration")), "{why:?}");
    let mut follower = member("b", None);
    follower.read(contents(&document(false), &["a", "b"], &[]), NOW);
    assert_eq!(follower.ground("web"), Err(Vec::new()), "it does not lead");
}

#[test]
fn a_newer_format_is_served_on_and_an_abort_still_passes() {
    let mut old = member("b", None);
    old.read(contents(&document(false), &["a", "b"], &[]), NOW);
    let mut newer = contents(&document(false), &["a", "b"], &[]);
    newer.revision = 20;
    let service = newer.entries.get_mut(&keys().service("web")).expect("it is there");
    service.value = r#"{"format": 9}"#.into();
    newer.entries.remove(&keys().leader());
    let out = old.read(newer, NOW);
    assert!(matches!(&out[0], FleetOutput::Say(why) if why.contains("format 9")), "{out:?}");
    assert_eq!(green(&old), 2_500);
    assert!(old.writable("web").is_err(), "it writes no document");
    let out = old.abort("web", "r1", "errors", NOW);
    assert_eq!((green(&old), kinds(&out)), (0, vec![TransactionKind::Tombstone]));
}

#[test]
fn another_secret_neither_joins_nor_leads() {
    let mut foreign = identity("c");
    foreign.secret = "other".into();
    let mut foreign = FleetMember::new(foreign, keys(), BTreeMap::new());
    let out = foreign.read(contents(&document(false), &["a"], &[]), NOW);
    assert!(
        kinds(&out).is_empty() && matches!(&out[0], FleetOutput::Say(why) if why.contains("another secret"))
    );
    assert_eq!(foreign.tick(NOW), [], "it is said once");
}

#[test]
fn what_a_watch_tells_late_changes_nothing() {
    let mut one = member("a", None);
    one.read(contents(&document(false), &["a"], &[]), NOW);
    let stale = StoreEvent { key: keys().service("web"), value: None };
    assert_eq!(one.changed(vec![stale], 10, NOW), []);
    assert_eq!(green(&one), 2_500);
    assert_eq!(one.answered_at(11), []);
    assert_eq!(one.answered_at(3), [FleetOutput::ReadAll], "the store has another past");
}

/// A store in which `name` says this of itself.
fn with_word(mut store: StoreContents, name: &str, word: &AliveDocument) -> StoreContents {
    store.revision += 1;
    store.entries.get_mut(&keys().alive(name)).expect("it is there").value = text(word);
    store
}

/// The leader had not heard of an abort, and a backup from before it is restored.
#[test]
fn a_leader_that_comes_back_waits_until_all_have_read_the_store() {
    let backup = || contents(&document(false), &["a", "b"], &[]);
    let mut leader = member("a", None);
    leader.read(backup(), NOW);
    assert!(leader.ground("web").is_ok());
    leader.lost();
    leader.connected();
    let own = said(&leader.read(backup(), NOW)).expect("another connection");
    assert_eq!(own.connection, 2);
    let unread = |name: &str| format!("{name} has not read the store since the leader connected to it");
    assert_eq!(leader.ground("web"), Err(vec![unread("a"), unread("b")]));

    // The other one has the abort.
    let mut aborted = document(false);
    aborted.state = aborted
        .state
        .apply(aborted.state.undone_again("r1", "b").expect("it runs"), NOW)
        .expect("an abort")
        .state;
    aborted.undone = Some("r1".into());
    let mut other = member("b", Some(aborted));
    let asked = with_word(backup(), "a", &own);
    let out = other.read(asked.clone(), NOW);
    assert_eq!(kinds(&out), [TransactionKind::PutBack, TransactionKind::Report]);
    assert_eq!(said(&out).and_then(|word| word.answers), None, "it has more than the store");
    // One that has no more answers.
    let mut same = member("b", Some(document(false)));
    let answer = said(&same.read(asked.clone(), NOW)).expect("an answer");
    assert_eq!(answer.answers, Some(RollCall { process: "a-a".into(), connection: 2 }));
    let own = said(&leader.read(asked.clone(), NOW)).unwrap_or(own);
    leader.read(with_word(with_word(asked, "a", &own), "b", &answer), NOW);
    assert_eq!(leader.ground("web").map(|_| ()), Ok(()));
}

#[test]
fn an_abort_that_a_restored_store_has_lost_is_written_again() {
    let mut aborted = document(false);
    aborted.undone = Some("r1".into());
    let mut late = member("b", Some(aborted));
    let mut promoted = document(true);
    promoted.state.seq += 10;
    let out = late.read(contents(&promoted, &["a", "b"], &[]), NOW);
    assert_eq!(green(&late), 0, "the promotion is taken back");
    let kinds = kinds(&out);
    assert_eq!(kinds[..2], [TransactionKind::Tombstone, TransactionKind::Abort]);
}
