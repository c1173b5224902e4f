use super::*;
use crate::core::secret::Secret;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use std::collections::BTreeMap;

fn bp(n: u16) -> BasisPoints {
    BasisPoints::new(n).expect("at most 10 000")
}

fn key() -> [u8; 16] {
    *b"a service's key."
}

/// A table's two ways of splitting, with everything up.
fn split(weights: &[u16], stable: usize) -> (Split, Picker) {
    let weights: Vec<_> = weights.iter().map(|weight| bp(*weight)).collect();
    (Split::new(&weights, &weights, stable), Picker::new(&weights))
}

fn pool((split, picker): &(Split, Picker), point: u64) -> usize {
    split.pick(point, picker).expect("a pool")
}

/// Weights that go 0 → 5 → 25 → 100 → abort, with two requests of each user at each: ten in all.
#[test]
fn a_user_changes_the_version_only_by_the_weight_that_passes_them() {
    const USERS: usize = 100_000;
    let mut rng = SmallRng::seed_from_u64(11);
    let names: Vec<_> = (0..USERS).map(|n| format!("user-{n}@shop.example")).collect();
    let ids: Vec<u64> = (0..USERS).map(|_| rng.random()).collect();
    let addresses = |n: usize| IpAddr::from((0x0a00_0000 + n as u32).to_be_bytes());
    walk("cookie", 0, USERS, |n| CohortIdentity::User(ids[n]));
    walk("client_ip", 0, USERS, |n| CohortIdentity::Address(addresses(n)));
    walk("header", 1, USERS, |n| CohortIdentity::Named(names[n].as_bytes()));
}

fn walk<'a>(kind: &str, stable: usize, users: usize, identity: impl Fn(usize) -> CohortIdentity<'a>) {
    let mut before = vec![stable; users];
    let mut last = 0;
    for weight in [0, 500, 2500, 10_000, 0] {
        let mut weights = [10_000 - weight; 2];
        weights[1 - stable] = weight;
        let table = split(&weights, stable);
        let (mut on_candidate, mut moved) = (0u32, 0u32);
        for (n, before) in before.iter_mut().enumerate() {
            let point = identity(n).point(&key());
            let now = pool(&table, point);
            assert_eq!(now, pool(&table, point), "the second goes where the first did");
            on_candidate += u32::from(now != stable);
            moved += u32::from(now != *before);
            assert!(now == *before || (now != stable) == (weight > last), "user {n} went against the weight");
            *before = now;
        }
        let share = f64::from(weight) / 10_000.0;
        let sd = (users as f64 * share * (1.0 - share)).sqrt();
        let off = f64::from(on_candidate) - users as f64 * share;
        let off = if sd > 0.0 { off / sd } else { off };
        println!(
            "by {kind}: candidate at {} %: {on_candidate} of {users} users, {off:+.2} standard deviations; \
             {moved} moved, 0 against the weight",
            share * 100.0
        );
        assert!(off.abs() <= 4.0);
        last = weight;
    }
}

#[test]
fn addresses_are_people_as_limits_see_them() {
    let point = |text: &str| CohortIdentity::Address(text.parse().expect("an address")).point(&key());
    assert_eq!(point("2001:db8::1"), point("2001:db8::ffff:2"));
    assert_ne!(point("2001:db8::1"), point("2001:db8:0:1::1"));
    assert_eq!(point("::ffff:10.0.0.1"), point("10.0.0.1"));
    assert_ne!(point("10.0.0.1"), CohortIdentity::Named(&[10, 0, 0, 1]).point(&key()));
    let other = Secret::new([3; 32]).short_key("draw", "api");
    assert_ne!(point("10.0.0.1"), CohortIdentity::Address([10, 0, 0, 1].into()).point(&other), "by service");
}

#[test]
fn a_pool_that_is_down_gives_its_own_users_away_and_gets_them_back() {
    let set = [bp(2000), bp(5000), bp(3000)];
    let all_up = split(&[2000, 5000, 3000], 1);
    let effective = [bp(2000), bp(5000), bp(0)];
    let down = (Split::new(&set, &effective, 1), Picker::new(&effective));
    let (mut stood_in, mut moved) = ([0u32; 3], 0);
    for n in 0..20_000u64 {
        let point = CohortIdentity::User(n).point(&key());
        let (before, now) = (pool(&all_up, point), pool(&down, point));
        if before == 2 {
            stood_in[now] += 1;
        } else {
            moved += u32::from(now != before);
        }
    }
    println!(
        "of {} users of the pool that is down, {stood_in:?} go to the others",
        stood_in.iter().sum::<u32>()
    );
    assert_eq!((moved, stood_in[2]), (0, 0));
    let share = f64::from(stood_in[0]) / f64::from(stood_in[0] + stood_in[1]);
    assert!((share - 2.0 / 7.0).abs() < 0.03, "in proportion: {share}");
}

/// Weights of pools, the index of stable, and a second set that differs by what goes from one pool to another.
fn exchange(pools: usize) -> impl Strategy<Value = (Vec<u16>, usize, usize, usize, u16)> {
    let cuts = prop::collection::vec(0u16..=10_000, pools - 1);
    (cuts, 0..pools, 0..pools, 1..pools, 0u16..=10_000).prop_map(
        move |(mut cuts, stable, from, step, part)| {
            cuts.sort_unstable();
            let ends = cuts.iter().copied().chain([10_000]);
            let weights: Vec<u16> =
                ends.scan(0, |before, end| Some(end - std::mem::replace(before, end))).collect();
            let amount = (u32::from(weights[from]) * u32::from(part) / 10_000) as u16;
            (weights, stable, from, (from + step) % pools, amount)
        },
    )
}

fn moves(
    weights: &[u16],
    stable: usize,
    from: usize,
    to: usize,
    amount: u16,
) -> BTreeMap<(usize, usize), u32> {
    let mut after = weights.to_vec();
    after[from] -= amount;
    after[to] += amount;
    let (before, after) = (split(weights, stable), split(&after, stable));
    let mut moves = BTreeMap::new();
    for n in 0..300u64 {
        let point = CohortIdentity::User(n).point(&key());
        let step = (pool(&before, point), pool(&after, point));
        if step.0 != step.1 {
            *moves.entry(step).or_default() += 1;
        }
    }
    moves
}

proptest! {
    #[test]
    fn between_two_pools_users_go_where_the_weight_goes(
        (weights, stable, from, to, amount) in exchange(2),
        role in 0usize..2,
    ) {
        let moves = moves(&weights, stable, from, to, amount);
        prop_assert!(moves.keys().all(|step| *step == (from, to)), "{moves:?}");
        // Nor does anybody move when the roles change.
        let tables = [split(&weights, stable), split(&weights, role)];
        for n in 0..50u64 {
            let point = CohortIdentity::User(n).point(&key());
            prop_assert_eq!(pool(&tables[0], point), pool(&tables[1], point));
        }
    }

    #[test]
    fn between_stable_and_one_of_two_others_too((weights, stable, from, to, amount) in exchange(3)) {
        prop_assume!(from == stable || to == stable);
        let moves = moves(&weights, stable, from, to, amount);
        prop_assert!(moves.keys().all(|step| *step == (from, to)), "{moves:?}");
    }

    #[test]
    fn a_pool_without_weight_has_no_users(weights in prop::collection::vec(0u16..=10_000, 1..9), stable in 0usize..9, point: u64) {
        let table = split(&weights, stable);
        if weights.iter().any(|weight| *weight > 0) {
            prop_assert!(weights[pool(&table, point)] > 0);
        } else {
            prop_assert_eq!(table.0.pick(point, &table.1), None);
        }
    }
}
