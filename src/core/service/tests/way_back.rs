//! Where a rollback, a flip, weights and an outage may lead, and where not.

use super::*;

/// A state whose pools have one upstream each, named after them.
fn recorded() -> ServiceState {
    let mut state = service();
    let sets = ["blue", "green", "red"].map(|pool| (pool.to_owned(), BTreeSet::from([format!("{pool}:1")])));
    assert_eq!(state.note_upstreams(&sets.into(), false, "then"), []);
    state
}

fn versioned<'a>(id: &str, to: &'a str, version: &str, plan: Plan) -> Change<'a> {
    let upstreams = UPSTREAMS.map(str::to_owned).to_vec();
    let (id, version) = (id.to_owned(), Some(version.to_owned()));
    Change::Start { id, to, version, policy: None, plan, upstreams, set: None, who: "ci" }
}

fn change(state: &ServiceState, change: Change<'_>) -> ServiceState {
    state.apply(change, at(9)).expect("accepted").state
}

fn act(state: &ServiceState, id: &str, action: Action) -> ServiceState {
    change(state, Change::Asked { id, action, who: "op" })
}

fn begun(state: &ServiceState, id: &str, to: &str, version: &str) -> ServiceState {
    let state = change(state, versioned(id, to, version, canary()));
    observe(&state, &super::seen(State::Pass, 0), 0).state
}

fn promoted(state: &ServiceState, id: &str, to: &str, version: &str) -> ServiceState {
    act(&begun(state, id, to, version), id, Action::Promote)
}

fn aborted(state: &ServiceState, id: &str, to: &str, version: &str) -> ServiceState {
    act(&begun(state, id, to, version), id, Action::Abort)
}

fn upstreams<'a>(pool: &'a str, set: Option<&[&str]>, addresses: &[&str]) -> Change<'a> {
    let upstream = |address: &&str| {
        let (address, host) = Upstream::place(address).expect("a place");
        Upstream::plain(address, host)
    };
    let set = set.map(|set| set.iter().map(upstream).collect());
    let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
    Change::Upstreams { pool, set, addresses, who: "ci" }
}

#[track_caller]
fn denied(state: &ServiceState, change: Change<'_>) -> String {
    match state.apply(change, at(9)).expect_err("denied") {
        Denied::Conflict { detail, .. } => detail,
        other => panic!("{other:?}"),
    }
}

fn rollback(caution: Caution<'_>) -> Change<'_> {
    Change::Rollback { caution, who: "op" }
}

#[test]
fn an_aborted_version_is_no_way_back_and_force_goes_there() {
    let state = aborted(&promoted(&recorded(), "r1", "green", "v2"), "r2", "blue", "v3");
    assert_eq!((state.stable.as_str(), state.previous.as_deref()), ("green", None));
    let detail = denied(&state, rollback(CAREFUL));
    assert!(detail.contains("v3 on blue was aborted: aborted by op"), "{detail}");
    denied(&state, Change::Flip { to: "blue", caution: CAREFUL, who: "op" });
    let forced = state.apply(rollback(FORCED), at(9)).expect("forced");
    assert_eq!((forced.state.stable.as_str(), forced.state.quarantine("blue")), ("blue", None));
    assert!(
        forced.notes[0].text.starts_with("rolled back to v3 on blue by op, forced: v3 on blue"),
        "{forced:?}"
    );
    // A rollout that passes lifts it, too.
    let passed = promoted(&state, "r3", "blue", "v4");
    assert_eq!((passed.stable.as_str(), passed.version_on("blue").as_str()), ("blue", "v4 on blue"));
    let back = state_of_flip(&passed, "green");
    assert_eq!(back.stable, "green");
}

fn state_of_flip(state: &ServiceState, to: &str) -> ServiceState {
    change(state, Change::Flip { to, caution: CAREFUL, who: "op" })
}

#[test]
fn a_rollback_during_a_rollout_aborts_it_and_says_where_that_leads() {
    let state = begun(&promoted(&recorded(), "r1", "green", "v2"), "r2", "red", "v3");
    let applied = state.apply(rollback(CAREFUL), at(9)).expect("aborted");
    assert_eq!((applied.order, applied.state.stable.as_str()), (Order::EffectFirst, "green"));
    assert_eq!(applied.notes[0].text, "the rollout r2 was aborted by op; back to v2 on green");
    assert_eq!(applied.state.weights["green"], bp(10_000));
    // Of a dry run users have met nothing; what was promoted before it is taken back all the same.
    let dry = Plan { dry_run: true, ..canary() };
    let state =
        change(&promoted(&recorded(), "r1", "green", "v2"), versioned("r2", "red", "v3", dry.clone()));
    let back = state.apply(rollback(CAREFUL), at(9)).expect("back");
    let events: Vec<_> = back.notes.iter().map(|note| note.event).collect();
    assert_eq!((events, back.state.stable.as_str()), (vec![Event::Aborted, Event::Rollback], "blue"));
    let state = change(&recorded(), versioned("r2", "red", "v3", dry));
    let only = state.apply(rollback(CAREFUL), at(9)).expect("there is nothing to go back to");
    assert_eq!((phase(&only.state), only.state.stable.as_str()), (Phase::Aborted, "blue"));
    assert_eq!(only.state.quarantine("red"), None, "a dry run says nothing of its version");
}

fn set<'a>(weights: &'a BTreeMap<String, BasisPoints>, caution: Caution<'a>) -> Change<'a> {
    Change::Weights { weights, caution, who: "op" }
}

#[test]
fn weights_refuse_to_give_an_aborted_pool_more_and_flips_a_pool_that_is_down() {
    let state = aborted(&recorded(), "r1", "green", "v2");
    let weights =
        |green: u16| BTreeMap::from([("blue".to_owned(), bp(green).rest()), ("green".to_owned(), bp(green))]);
    let some = weights(1_000);
    denied(&state, set(&some, CAREFUL));
    let forced = change(&state, set(&some, FORCED));
    denied(&forced, set(&weights(1_001), CAREFUL));
    let down = BTreeMap::from([("red".to_owned(), "red:1: status 503".to_owned())]);
    let caution = |force| Caution { down: &down, force };
    let detail = denied(&state, Change::Flip { to: "red", caution: caution(false), who: "op" });
    assert!(detail.starts_with("red is down: red:1: status 503"), "{detail}");
    change(&state, Change::Flip { to: "red", caution: caution(true), who: "op" });
    // An outage gives it no more than what was forced: the rest is refused, or goes to a refuge.
    let up = |pools: &'static [&'static str]| move |pool: &str| pools.contains(&pool);
    let alone = forced.effective_weights(up(&["green"]), Refuge::Healthy);
    assert_eq!((alone["blue"], alone["green"]), (bp(9_000), bp(1_000)));
    let helped = forced.effective_weights(up(&["green", "red"]), Refuge::Healthy);
    assert_eq!((helped["blue"], helped["green"], helped["red"]), (bp(0), bp(1_000), bp(9_000)));
    change(&forced, set(&weights(500), CAREFUL));
}

#[test]
fn other_upstreams_lift_the_bar_and_the_former_ones_bring_it_back() {
    let state = aborted(&recorded(), "r1", "green", "v2");
    let more = change(&state, upstreams("green", Some(&["green:1", "green:2"]), &["green:1", "green:2"]));
    assert!(more.quarantine("green").is_some(), "the version still lies there");
    let other = change(&state, upstreams("green", Some(&["new:1"]), &["new:1"]));
    assert_eq!((other.quarantine("green"), other.version_on("green").as_str()), (None, "green"));
    let reset = change(&other, upstreams("green", None, &["green:1"]));
    assert!(reset.quarantine("green").is_some() && reset.version_on("green") == "v2 on green");
    let named = change(&other, upstreams("green", Some(&["green:1"]), &["green:1"]));
    assert_eq!(named.quarantine("green"), None, "a deploy of its own");
    // The configuration's, by a reload or a restart; and under another name.
    let mut renamed = state.reconcile(["blue", "azure"]).expect("it has no weight");
    let sets = [("blue", "blue:1"), ("azure", "green:1")];
    let sets = sets.map(|(pool, address)| (pool.to_owned(), BTreeSet::from([address.to_owned()])));
    renamed.note_upstreams(&sets.into(), false, "later");
    assert!(renamed.quarantine("azure").is_some_and(|q| q.version.as_deref() == Some("v2")));
}

#[test]
fn previous_is_void_once_another_version_lies_there() {
    let state = promoted(&recorded(), "r1", "green", "v2");
    let fewer = change(&state, upstreams("blue", Some(&["blue:1", "blue:2"]), &["blue:1", "blue:2"]));
    assert!(denied(&fewer, rollback(CAREFUL)).contains("blue got other upstreams"));
    let running = begun(&state, "r2", "blue", "v3");
    assert_eq!(running.previous, None);
    let mut moved = state.clone();
    let sets = BTreeMap::from([("blue".to_owned(), BTreeSet::from(["new:1".to_owned()]))]);
    moved.note_upstreams(&sets, false, "later");
    denied(&moved, rollback(CAREFUL));
}

#[test]
fn a_rolling_update_of_stable_leaves_no_way_back() {
    let state = promoted(&recorded(), "r1", "green", "v2");
    let mut rolled = change(&state, versioned("r2", "green", "v3", rolling()));
    assert_eq!(rolled.previous.as_deref(), Some("blue"), "nothing is touched yet");
    assert_eq!(act(&rolled, "r2", Action::Abort).previous.as_deref(), Some("blue"));
    for second in 0..200 {
        rolled = roll(&rolled, State::Pass, second);
        if let Some(index) = stages(&rolled).iter().position(|stage| *stage == Stage::Updating) {
            rolled = say_updated(&rolled, UPSTREAMS[index]);
        }
    }
    assert_eq!((phase(&rolled), rolled.version_on("green").as_str()), (Phase::Promoted, "v3 on green"));
    assert!(denied(&rolled, rollback(CAREFUL)).contains("v3 on green took the place"));
}

#[test]
fn nobody_who_was_aborted_or_waits_is_a_refuge() {
    let only = |pool: &'static str| move |other: &str| other == pool;
    let serves = |state: &ServiceState, refuge| state.coverage(only("green"), refuge);
    let gate = change(&recorded(), versioned("r1", "green", "v2", Plan { gate: true, ..canary() }));
    let gate = observe(&gate, &super::seen(State::Pass, 0), 0).state;
    let aborted = aborted(&recorded(), "r1", "green", "v2");
    let back = change(&promoted(&recorded(), "r1", "green", "v2"), rollback(CAREFUL));
    let dry = change(&recorded(), versioned("r1", "green", "v2", Plan { dry_run: true, ..canary() }));
    for state in [&gate, &aborted, &back, &dry, &act(&dry, "r1", Action::Abort)] {
        assert_eq!(serves(state, Refuge::Healthy), Coverage::Nobody, "{state:?}");
        assert_eq!(state.effective_weights(only("green"), Refuge::Healthy)["blue"], bp(10_000));
        assert_eq!(serves(state, Refuge::Any), Coverage::Refuge("green".into()));
    }
    assert_eq!(serves(&recorded(), Refuge::Healthy), Coverage::Refuge("green".into()));
    assert_eq!(serves(&recorded(), Refuge::None), Coverage::Nobody);
}

#[test]
fn a_return_by_itself_bars_what_it_left() {
    let after = After { watch: Duration::from_secs(100), rollback: true };
    let state = change(&recorded(), versioned("r1", "green", "v2", Plan { after, ..canary() }));
    let state = act(&observe(&state, &super::seen(State::Pass, 0), 0).state, "r1", Action::Promote);
    let back = observe(&state, &super::seen(State::Fail, 9), 5);
    assert_eq!(back.notes[0].text, "back to blue by itself: error rate 100 %");
    let detail = denied(&back.state, rollback(CAREFUL));
    assert!(detail.contains("v2 on green was taken back after its promotion: error rate 100 %"), "{detail}");
    denied(&back.state, Change::Flip { to: "green", caution: CAREFUL, who: "op" });
    let moved = change(&state, upstreams("blue", Some(&["new:1"]), &["new:1"]));
    let stays = observe(&moved, &super::seen(State::Fail, 9), 5);
    assert_eq!((stays.notes[0].event, stays.state.stable.as_str()), (Event::Degraded, "green"));
}

#[test]
fn a_state_of_the_version_before_is_read_and_says_what_it_knows() {
    let state = aborted(&promoted(&service(), "r1", "green", "v2"), "r2", "blue", "v3");
    let mut stored = serde_json::to_value(&state).expect("JSON");
    let fields = stored.as_object_mut().expect("an object");
    fields.remove("pools");
    fields.remove("void");
    fields.insert("previous".into(), "blue".into());
    let mut read: ServiceState = serde_json::from_value(stored).expect("read");
    let sets = ["blue", "green"].map(|pool| (pool.to_owned(), BTreeSet::from([format!("{pool}:1")])));
    read.note_upstreams(&sets.into(), false, "now");
    read.adopt_records("now");
    assert!(denied(&read, rollback(CAREFUL)).contains("v3 on blue was aborted"));
}

#[test]
fn a_start_without_the_stable_pool_does_not_choose_an_aborted_one() {
    let state = aborted(&promoted(&recorded(), "r1", "green", "v2"), "r2", "blue", "v3");
    let fitted = state.fitted(["blue", "red"], "blue");
    assert_eq!((fitted.stable.as_str(), fitted.weights["red"]), ("red", bp(10_000)));
    let only = state.fitted(["blue"], "blue");
    assert_eq!(
        (only.stable.as_str(), only.quarantine("blue")),
        ("blue", None),
        "the file leaves nobody else"
    );
}
