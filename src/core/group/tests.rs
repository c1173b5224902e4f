use super::*;
use crate::core::outcome::MAX_LIMITS;
use proptest::prelude::*;
use std::collections::HashSet;

fn shape(path: &str) -> Shape {
    Shape::of(0, b"GET", path.as_bytes())
}

fn named(path: &str) -> String {
    name("GET", path.as_bytes())
}

#[test]
fn identifiers_are_folded_and_names_are_not() {
    for (path, expected) in [
        ("/", "GET /"),
        ("/?page=2", "GET /"),
        ("/checkout", "GET /checkout"),
        ("//checkout/", "GET /checkout"),
        ("/users/17", "GET /users/*"),
        ("/users/17/orders/5?x=1", "GET /users/*"),
        ("/v2/orders", "GET /v2/orders"),
        ("/o/550e8400-e29b-41d4-a716-446655440000", "GET /o/*"),
        ("/commit/3f2a9c81", "GET /commit/*"),
        ("/assets/app.3f2a9c.js", "GET /assets/*"),
        ("/feedback/facade", "GET /feedback/facade"),
        ("/a-very-long-title-that-nobody-would-take-for-a-route", "GET /*"),
    ] {
        assert_eq!(named(path), expected, "{path}");
    }
}

#[test]
fn route_and_method_tell_groups_apart() {
    let shapes = [
        Shape::of(0, b"GET", b"/a"),
        Shape::of(1, b"GET", b"/a"),
        Shape::of(0, b"POST", b"/a"),
        Shape::of(0, b"GET", b"/a/b"),
        Shape::of(0, b"GET", b"/b"),
    ];
    let different: HashSet<u64> = shapes.iter().map(|shape| shape.key()).collect();
    assert_eq!(different.len(), shapes.len());
    assert_eq!(shape("/users/17"), shape("/users/18?x"));
}

#[test]
fn a_group_is_found_by_its_second_request_and_counted_on_all_workers() {
    let groups = Groups::new(MAX_GROUPS, 2);
    let find = |path: &str, may_claim| groups.of(shape(path), may_claim, || named(path));
    assert_eq!(find("/checkout", false), GroupId::REST);
    assert_eq!(find("/checkout", false), GroupId::REST, "a client's mistake takes no place");
    assert_eq!(find("/checkout", true), GroupId::REST, "met once");
    let checkout = find("/checkout", true);
    assert_ne!(checkout, GroupId::REST);
    assert_eq!(find("/checkout", false), checkout);
    let mut late = 0b10;
    for worker in [0, 1, 1] {
        let event = GroupEvent::Decided { failed: true, late: Some(late) };
        groups.count(worker, Side::Candidate, checkout, event);
        late = 0;
    }
    groups.count(0, Side::Stable, checkout, GroupEvent::Decided { failed: false, late: Some(0) });
    groups.count(0, Side::Stable, checkout, GroupEvent::Broken);
    groups.count(0, Side::Candidate, checkout, GroupEvent::Abandoned { late: 1 });
    groups.count(0, Side::Candidate, checkout, GroupEvent::Finished { long: 0 });
    groups.count(0, Side::Candidate, checkout, GroupEvent::Cut { long: 1 });
    let snapshot = groups.snapshot();
    let of = |name: &str| snapshot.iter().find(|group| &*group.name == name).expect("a group");
    let (candidate, stable) = (of("GET /checkout").candidate, of("GET /checkout").stable);
    assert_eq!((candidate.attempts, candidate.failures, candidate.abandoned), (3, 3, 1));
    assert_eq!((candidate.slow[..2].to_vec(), candidate.fast[..2].to_vec()), (vec![1, 1], vec![3, 2]));
    assert_eq!((candidate.long[0], candidate.brief[0]), (1, 1));
    assert_eq!((stable.attempts, stable.failures), (1, 1));
    assert_eq!(of("other requests").candidate, KindCounts::default());
}

#[test]
fn what_nobody_serves_takes_no_place_and_the_rest_is_counted_together() {
    let groups = Groups::new(4, 1);
    for n in 0..1000 {
        let path = format!("/wp-{}", ["a", "b", "c"][n % 3].repeat(1 + n / 3 % 30));
        groups.of(shape(&path), false, || named(&path));
    }
    assert!(!groups.is_full());
    for path in ["/a", "/b", "/c", "/d", "/e"] {
        for _ in 0..3 {
            groups.of(shape(path), true, || named(path));
        }
    }
    assert!(groups.is_full());
    assert_eq!(groups.of(shape("/e"), true, String::new), GroupId::REST);
    assert_eq!(groups.snapshot().len(), 5, "four and the rest");
}

#[test]
fn workers_that_meet_a_shape_together_give_it_one_group() {
    for round in 0..50 {
        let groups = Groups::new(MAX_GROUPS, 4);
        let paths: Vec<String> = (0..20).map(|n| format!("/{}", "x".repeat(1 + n))).collect();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (groups, paths) = (&groups, &paths);
                scope.spawn(move || {
                    for path in paths.iter().cycle().take(200) {
                        let group = groups.of(shape(path), true, || named(path));
                        let event = GroupEvent::Decided { failed: false, late: None };
                        groups.count(worker, Side::Stable, group, event);
                    }
                });
            }
        });
        let snapshot = groups.snapshot();
        let names: HashSet<&str> = snapshot.iter().map(|group| &*group.name).collect();
        assert_eq!(names.len(), snapshot.len(), "round {round}");
        assert_eq!(snapshot.iter().map(|group| group.stable.attempts).sum::<u64>(), 800);
    }
}

proptest! {
    #[test]
    fn any_path_has_a_shape(path in prop::collection::vec(any::<u8>(), 0..200), method in "[A-Z]{1,9}") {
        let shape = Shape::of(0, method.as_bytes(), &path);
        prop_assert!(shape.key() != 0);
        prop_assert!(name(&method, &path).len() <= method.len() + 2 + 3 * 2 * (LONGEST_SHOWN + 1));
    }
}

/// Bytes of a segment that is shown by its name.
const LONGEST_SHOWN: usize = 32;
const _: () = assert!(MAX_LIMITS <= 8, "limits fit the bits of an event");
