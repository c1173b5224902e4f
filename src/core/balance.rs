//! Which upstream of a pool serves an attempt.
//!
//! The choice is made over the ready upstreams of one immutable table; the only state it shares with
//! other requests is a rotating cursor and the upstreams' counts of requests in flight. An upstream
//! that the same request has tried before is passed over; backups serve only when no other can.

pub use super::hash::mix;
use super::table::upstream::Upstream;
use super::template::Template;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How a pool chooses among its upstreams.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Balance {
    #[default]
    RoundRobin,
    LeastConn,
    /// The less loaded of two drawn at random.
    P2c,
    /// The same key goes to the same upstream while the set stays.
    Hash(HashBy),
}

/// What is hashed.
#[derive(Clone, Debug, PartialEq)]
pub enum HashBy {
    ClientIp,
    Uri,
    /// A request header, by lower-case name; requests without it fall back to the client's address.
    Header(String),
    /// A text with variables.
    Text(Template),
}

/// The upstreams one request has tried already, by index. Those past 63 share the last place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried(u64);

impl Tried {
    pub fn add(&mut self, index: usize) {
        self.0 |= 1 << index.min(63);
    }

    pub fn remove(&mut self, index: usize) {
        self.0 &= !(1 << index.min(63));
    }

    pub fn has(self, index: usize) -> bool {
        self.0 & (1 << index.min(63)) != 0
    }
}

/// One tier of upstreams, primaries or backups, in the order in which turns come round.
#[derive(Debug, Default)]
struct Tier {
    /// Indexes of the ready upstreams.
    ready: Box<[u16]>,
    /// The same, each as often as its weight says, spread smoothly.
    schedule: Box<[u16]>,
}

/// Chooses upstreams of one pool; rebuilt with every table.
#[derive(Debug)]
pub struct Balancer {
    balance: Balance,
    tiers: [Tier; 2],
    cursor: Arc<AtomicU32>,
}

impl Balancer {
    /// Over the upstreams of a pool; `cursor` outlives tables, so that turns go on where they were.
    pub fn new(balance: Balance, upstreams: &[Upstream], cursor: Arc<AtomicU32>) -> Self {
        let tiers = [false, true].map(|backup| Tier::new(upstreams, backup));
        Balancer { balance, tiers, cursor }
    }

    pub fn balance(&self) -> &Balance {
        &self.balance
    }

    /// The index of the upstream for one attempt. `key` is what [`Balance::Hash`] hashes, `draw` a
    /// uniform random number. `None` when no ready upstream is left untried and below `max_conns`.
    pub fn choose(&self, upstreams: &[Upstream], key: u64, draw: u32, tried: Tried) -> Option<usize> {
        self.tiers.iter().find_map(|tier| self.choose_in(tier, upstreams, key, draw, tried))
    }

    /// Whether there is an upstream for one attempt more. It takes nobody's turn.
    pub fn has_another(&self, upstreams: &[Upstream], tried: Tried) -> bool {
        let ready = self.tiers.iter().flat_map(|tier| &tier.ready).map(|index| usize::from(*index));
        let mut untried = ready.filter(|index| !tried.has(*index));
        untried.any(|index| upstreams.get(index).is_some_and(|upstream| !upstream.is_full()))
    }

    fn choose_in(&self, tier: &Tier, all: &[Upstream], key: u64, draw: u32, tried: Tried) -> Option<usize> {
        let open = |index: &usize| !tried.has(*index) && all.get(*index).is_some_and(|u| !u.is_full());
        if tier.ready.is_empty() {
            return None;
        }
        match self.balance {
            Balance::RoundRobin => self.turns(&tier.schedule).find(open),
            Balance::LeastConn => {
                // Whose turn it is decides among those with equal load, so that weights count there, too.
                let turn = self.turn();
                let next = rotated(&tier.schedule, turn).next().filter(open);
                let others = rotated(&tier.ready, turn).filter(open);
                next.into_iter().chain(others).min_by_key(|i| load(all, *i))
            }
            Balance::P2c => {
                let [first, second] = tier.pair(draw);
                let best = [first, second].into_iter().filter(open).min_by_key(|i| load(all, *i));
                best.or_else(|| self.turns(&tier.ready).find(open))
            }
            Balance::Hash(_) => {
                let open = tier.ready.iter().map(|i| usize::from(*i)).filter(open);
                open.min_by(|a, b| rank(all, *a, key).total_cmp(&rank(all, *b, key)))
            }
        }
    }

    /// All entries of a schedule once, from the next turn on.
    fn turns<'a>(&self, schedule: &'a [u16]) -> impl Iterator<Item = usize> + 'a {
        rotated(schedule, self.turn())
    }

    fn turn(&self) -> usize {
        self.cursor.fetch_add(1, Ordering::Relaxed) as usize
    }
}

/// All entries once, from one of them on.
fn rotated(entries: &[u16], start: usize) -> impl Iterator<Item = usize> + '_ {
    let (before, after) = entries.split_at(start % entries.len().max(1));
    after.iter().chain(before).map(|index| usize::from(*index))
}

impl Tier {
    fn new(upstreams: &[Upstream], backup: bool) -> Self {
        let ready: Box<[u16]> = upstreams
            .iter()
            .enumerate()
            .filter(|(_, u)| u.backup == backup && u.is_ready())
            .map(|(index, _)| index as u16)
            .collect();
        let weights = ready.iter().map(|i| (*i, upstreams[usize::from(*i)].weight)).collect();
        Tier { schedule: smooth(&weights), ready }
    }

    /// One by weight, and another one, where there is one.
    fn pair(&self, draw: u32) -> [usize; 2] {
        let at = |places: &[u16], draw: u32, count: usize| {
            places.get(draw as usize % count.max(1)).map_or(0, |index| usize::from(*index))
        };
        let first = at(&self.schedule, draw & 0xffff, self.schedule.len());
        let second = at(&self.ready, draw >> 16, self.ready.len().saturating_sub(1));
        // The last one stands in for the first, so that all others are as likely.
        let last = self.ready.last().map_or(first, |index| usize::from(*index));
        [first, if second == first { last } else { second }]
    }
}

/// Requests in flight to the weight, scaled to compare as integers.
fn load(upstreams: &[Upstream], index: usize) -> u64 {
    upstreams
        .get(index)
        .map_or(u64::MAX, |u| (u64::from(u.live.in_flight()) << 16) / u64::from(u.weight.max(1)))
}

/// Weighted rendezvous hashing: every upstream draws a rank for the key, the least wins. When one
/// goes, only its keys move.
fn rank(upstreams: &[Upstream], index: usize, key: u64) -> f64 {
    upstreams.get(index).map_or(f64::INFINITY, |u| {
        let uniform = ((mix(key ^ u.hash) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        -uniform.ln() / f64::from(u.weight.max(1))
    })
}

/// nginx's smooth weighted round-robin, run once round: 5, 1, 1 gives `a a b a c a a`.
fn smooth(weights: &BTreeMap<u16, u16>) -> Box<[u16]> {
    let divisor = weights.values().fold(0, |a, b| gcd(a, *b)).max(1);
    let parts: Vec<(u16, i64)> = weights.iter().map(|(i, w)| (*i, i64::from(w / divisor))).collect();
    let total: i64 = parts.iter().map(|(_, weight)| weight).sum();
    let mut current = vec![0i64; parts.len()];
    let mut schedule = Vec::with_capacity(total as usize);
    for _ in 0..total {
        let mut best = 0;
        for (at, (_, weight)) in parts.iter().enumerate() {
            current[at] += weight;
            if current[at] > current[best] {
                best = at;
            }
        }
        current[best] -= total;
        schedule.push(parts[best].0);
    }
    schedule.into()
}

fn gcd(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::table::upstream::UpstreamState;
    use proptest::prelude::*;

    fn upstream(n: u8, weight: u16) -> Upstream {
        Upstream::new(
            format!("10.0.0.{n}:80").into(),
            std::net::SocketAddr::from(([10, 0, 0, n], 80)),
            weight,
        )
    }

    fn balancer(balance: Balance, upstreams: &[Upstream]) -> Balancer {
        Balancer::new(balance, upstreams, Arc::default())
    }

    #[test]
    fn turns_are_smooth_and_exact() {
        let set = [upstream(1, 5), upstream(2, 1), upstream(3, 1)];
        let b = balancer(Balance::RoundRobin, &set);
        let picks: Vec<_> = (0..7).filter_map(|_| b.choose(&set, 0, 0, Tried::default())).collect();
        assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn least_conn_takes_the_idle_one() {
        let set = [upstream(1, 1), upstream(2, 1)];
        let busy = set[0].live.clone().enter();
        let b = balancer(Balance::LeastConn, &set);
        assert!((0..10).all(|_| b.choose(&set, 0, 0, Tried::default()) == Some(1)));
        drop(busy);
        let both: std::collections::BTreeSet<_> =
            (0..10).filter_map(|_| b.choose(&set, 0, 0, Tried::default())).collect();
        assert_eq!(both.len(), 2, "with equal load, turns go round");
    }

    #[test]
    fn weights_count_where_nobody_is_busy() {
        let set = [upstream(1, 1), upstream(2, 10), upstream(3, 10)];
        for balance in [Balance::RoundRobin, Balance::LeastConn, Balance::P2c] {
            let b = balancer(balance.clone(), &set);
            let draws = (0..2100).map(|n| mix(n) as u32);
            let picks = draws.filter_map(|draw| b.choose(&set, 0, draw, Tried::default()));
            let light = picks.filter(|index| *index == 0).count();
            assert!((80..=120).contains(&light), "{balance:?} gave 1 of 21 {light} of 2100");
        }
    }

    #[test]
    fn backups_serve_only_when_no_other_can() {
        let mut set = [upstream(1, 1), upstream(2, 1)];
        set[1].backup = true;
        let b = balancer(Balance::RoundRobin, &set);
        assert!((0..5).all(|_| b.choose(&set, 0, 0, Tried::default()) == Some(0)));
        let mut tried = Tried::default();
        tried.add(0);
        assert_eq!(b.choose(&set, 0, 0, tried), Some(1));
        set[0].state = UpstreamState::Down;
        let b = balancer(Balance::RoundRobin, &set);
        assert_eq!(b.choose(&set, 0, 0, Tried::default()), Some(1));
    }

    #[test]
    fn a_full_upstream_is_passed_over() {
        let mut set = [upstream(1, 1)];
        set[0].max_conns = 1;
        let b = balancer(Balance::P2c, &set);
        let held = set[0].live.clone().enter();
        assert_eq!(b.choose(&set, 0, 7, Tried::default()), None);
        drop(held);
        assert_eq!(b.choose(&set, 0, 7, Tried::default()), Some(0));
    }

    #[test]
    fn only_the_keys_of_a_lost_upstream_move() {
        let mut set = [upstream(1, 1), upstream(2, 1), upstream(3, 2)];
        let before = balancer(Balance::Hash(HashBy::Uri), &set);
        let pick = |b: &Balancer, set: &[Upstream], key| b.choose(set, mix(key), 0, Tried::default());
        let old: Vec<_> = (0..4000).map(|key| pick(&before, &set, key)).collect();
        let heavy = old.iter().filter(|p| **p == Some(2)).count();
        assert!((1800..2200).contains(&heavy), "weight 2 of 4 got {heavy} of 4000");
        set[1].state = UpstreamState::Down;
        let after = balancer(Balance::Hash(HashBy::Uri), &set);
        for (key, was) in old.iter().enumerate() {
            let now = pick(&after, &set, key as u64);
            assert!(*was == Some(1) || now == *was, "key {key} moved from {was:?} to {now:?}");
        }
    }

    proptest! {
        #[test]
        fn a_choice_is_ready_and_untried(
            states in prop::collection::vec((0u8..3, 1u16..5, any::<bool>()), 1..12),
            kind in 0usize..4, key: u64, draw: u32, tried_bits in 0u64..4096,
        ) {
            let set: Vec<_> = states.iter().enumerate().map(|(n, (state, weight, backup))| {
                let mut u = upstream(n as u8, *weight);
                u.state = [UpstreamState::Ready, UpstreamState::Draining, UpstreamState::Down][usize::from(*state)];
                u.backup = *backup;
                u
            }).collect();
            let balance = [Balance::RoundRobin, Balance::LeastConn, Balance::P2c, Balance::Hash(HashBy::Uri)][kind].clone();
            let tried = Tried(tried_bits);
            let open = |i: usize| set[i].is_ready() && !tried.has(i);
            let balancer = balancer(balance, &set);
            prop_assert_eq!(balancer.has_another(&set, tried), (0..set.len()).any(open));
            match balancer.choose(&set, key, draw, tried) {
                Some(index) => prop_assert!(open(index)),
                None => prop_assert!((0..set.len()).all(|i| !open(i))),
            }
        }
    }
}
