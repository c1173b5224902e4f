//! When long streams (WebSockets, server-sent events, gRPC streams) leave: a pool that has lost its weight,
//! or an upstream that is drained or gone, has them still, and a rollback would be none for their users.
//!
//! The controller compares each table with the one before and gives orders by pool. A stream obeys an order
//! that is younger than the table it was planned on; each waits for its own part of the time that the
//! operator gives, so that they do not all come back at once.

use super::table::{Pool, UpstreamState};
use super::upstream_address::UpstreamAddress;
use std::collections::BTreeMap;
use std::time::Duration;

/// An order to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    /// When it was given, µs on the process clock.
    pub at_us: u64,
    /// The table that it came with.
    pub revision: u64,
    /// By when the last has gone.
    pub within: Duration,
}

/// What the streams of one pool hear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    pool: Option<Leave>,
    upstreams: BTreeMap<UpstreamAddress, Leave>,
}

impl Orders {
    /// The orders after one table (`before`) has been followed by another (`now`); `at_us` and `revision`
    /// are those of the new one. `None` is a pool that the table has not.
    pub fn next(&self, before: Option<&Pool>, now: Option<&Pool>, at_us: u64, revision: u64) -> Orders {
        let within = now.or(before).and_then(|pool| pool.close_streams);
        let Some(within) = within else { return Orders::default() };
        let leave = Leave { at_us, revision, within };
        let has_weight = |pool: Option<&Pool>| pool.is_some_and(|pool| pool.weight.get() > 0);
        let pool = match (has_weight(before), has_weight(now)) {
            (_, true) => None,
            (true, false) => Some(leave),
            (false, false) => self.pool,
        };
        let mut upstreams = self.upstreams.clone();
        // An order has been carried out once its time is over.
        upstreams.retain(|_, leave| at_us < leave.at_us.saturating_add(leave.within.as_micros() as u64));
        let served = before.map(serving).unwrap_or_default();
        let serves = now.map(serving).unwrap_or_default();
        upstreams.extend(served.iter().filter(|one| !serves.contains(one)).map(|one| (*one, leave)));
        upstreams.retain(|upstream, _| !serves.contains(upstream));
        Orders { pool, upstreams }
    }

    /// The order for a stream on an upstream that was planned on the table of `revision`.
    pub fn for_stream(&self, upstream: UpstreamAddress, revision: u64) -> Option<Leave> {
        let orders = [self.pool, self.upstreams.get(&upstream).copied()];
        let due = orders.into_iter().flatten().filter(|leave| leave.revision > revision);
        due.min_by_key(|leave| leave.at_us)
    }
}

impl Leave {
    /// When a stream goes whose lot, drawn once, is `draw`: µs on the process clock.
    pub fn due_us(&self, draw: u32) -> u64 {
        let part = self.within.as_micros() as u64 / 1024 * (u64::from(draw) >> 16) / 64;
        self.at_us.saturating_add(part)
    }
}

/// The addresses that are not told to finish. One that is down may come back.
fn serving(pool: &Pool) -> Vec<UpstreamAddress> {
    let stays = pool.upstreams.iter().filter(|upstream| upstream.state != UpstreamState::Draining);
    stays.map(|upstream| upstream.address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::table::Upstream;
    use crate::core::weight::BasisPoints;

    const WITHIN: Duration = Duration::from_secs(10);

    fn pool(weight: u16, upstreams: &[(u16, UpstreamState)]) -> Pool {
        let upstream = |(port, state): &(u16, UpstreamState)| {
            let address = at(*port);
            Upstream { state: *state, ..Upstream::new(address.to_string().into(), address, 1) }
        };
        let upstreams: Box<[_]> = upstreams.iter().map(upstream).collect();
        let weight = BasisPoints::new(weight).expect("at most all");
        Pool { weight, close_streams: Some(WITHIN), ..Pool::for_tests("blue", upstreams) }
    }

    fn at(port: u16) -> UpstreamAddress {
        std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()
    }

    #[test]
    fn streams_leave_a_pool_that_has_lost_its_weight_and_stay_when_it_comes_back() {
        use UpstreamState::Ready;
        let (full, none) = (pool(10_000, &[(1, Ready)]), pool(0, &[(1, Ready)]));
        let orders = Orders::default().next(Some(&full), Some(&full), 0, 1);
        assert_eq!(orders.for_stream(at(1), 0), None);
        let orders = orders.next(Some(&full), Some(&none), 5, 2);
        let leave = Leave { at_us: 5, revision: 2, within: WITHIN };
        assert_eq!(orders.for_stream(at(1), 1), Some(leave));
        assert_eq!(orders.for_stream(at(1), 2), None, "opened there on purpose, afterwards");
        let later = orders.next(Some(&none), Some(&none), 9, 3);
        assert_eq!(later.for_stream(at(1), 1), Some(leave), "the same order");
        assert_eq!(later.next(Some(&none), Some(&full), 10, 4), Orders::default());
        assert_eq!(
            later.next(Some(&none), None, 10, 4).for_stream(at(1), 1),
            Some(leave),
            "the pool is gone"
        );
    }

    #[test]
    fn streams_leave_an_upstream_that_is_drained_or_gone_but_not_one_that_is_down() {
        use UpstreamState::{Down, Draining, Ready};
        let before = pool(10_000, &[(1, Ready), (2, Ready), (3, Ready)]);
        let now = pool(10_000, &[(1, Draining), (2, Down)]);
        let orders = Orders::default().next(Some(&before), Some(&now), 7, 2);
        let leaves = |orders: &Orders| [1, 2, 3].map(|port| orders.for_stream(at(port), 1).is_some());
        assert_eq!(leaves(&orders), [true, false, true]);
        let same = orders.next(Some(&now), Some(&now), 8, 3);
        assert_eq!(leaves(&same), [true, false, true]);
        assert_eq!(leaves(&same.next(Some(&now), Some(&before), 9, 4)), [false; 3], "taken back");
        let over = same.next(Some(&now), Some(&now), 7 + WITHIN.as_micros() as u64, 4);
        assert_eq!(over, Orders::default(), "carried out");
    }

    #[test]
    fn without_a_limit_nobody_leaves() {
        let stays = |weight| Pool { close_streams: None, ..pool(weight, &[]) };
        let orders = Orders::default().next(Some(&stays(10_000)), Some(&stays(0)), 5, 2);
        assert_eq!(orders, Orders::default());
    }

    #[test]
    fn they_go_spread_over_the_time() {
        let leave = Leave { at_us: 100, revision: 1, within: WITHIN };
        assert_eq!(leave.due_us(0), 100);
        assert!(leave.due_us(u32::MAX) <= 100 + WITHIN.as_micros() as u64);
        let half = leave.due_us(u32::MAX / 2);
        assert!((4_900_000..5_100_000).contains(&half), "{half}");
    }
}
