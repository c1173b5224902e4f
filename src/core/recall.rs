//! When requests that wait for an answer are taken back: their candidate has been aborted, or their upstream
//! was found to be down, and what would become of them is known too well.
//!
//! The controller compares each table with the one before and names whose requests go elsewhere at once;
//! the workers take back those that may be sent once more. An upstream that is drained, or that left the
//! configuration, finishes what it has, and so does a pool whose weight was moved by hand. Where nobody else
//! could serve, nothing is taken back: a late answer is better than none.

use super::outcome::ArmId;
use super::table::{self, Pool, Service, Table, Upstream, UpstreamState};
use super::upstream_address::UpstreamAddress;

/// Whose waiting requests go elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recall {
    pub arm: ArmId,
    /// All of the pool's where there is none.
    pub upstream: Option<UpstreamAddress>,
    /// The table that it came with: requests planned on a later one are meant to be there.
    pub revision: u64,
}

impl Recall {
    /// Whether it is for a request that was planned on the table of `revision` and goes to this upstream.
    pub fn is_for(&self, arm: ArmId, upstream: UpstreamAddress, revision: u64) -> bool {
        self.arm == arm && self.revision > revision && self.upstream.is_none_or(|named| named == upstream)
    }
}

/// What follows from a new table. `aborted` are the pools whose rollout has just been given up.
pub fn recalls(before: &Table, now: &Table, aborted: &[ArmId]) -> Vec<Recall> {
    let mut recalls = Vec::new();
    let revision = now.revision;
    for (old, service) in table::changes(before, now) {
        let Some(service) = service else { continue };
        for (index, pool) in service.pools.iter().enumerate() {
            let elsewhere = has_others(service, index);
            if aborted.contains(&pool.arm) {
                if elsewhere && pool.weight.get() == 0 {
                    recalls.push(Recall { arm: pool.arm, upstream: None, revision });
                }
                continue;
            }
            if !pool.is_ready() && !elsewhere {
                continue;
            }
            let Some(old) = old.and_then(|old| find(old, pool.arm)) else { continue };
            let fallen = pool.upstreams.iter().filter(|upstream| has_fallen(old, upstream));
            let recall = |u: &Upstream| Recall { arm: pool.arm, upstream: Some(u.address), revision };
            recalls.extend(fallen.map(recall));
        }
    }
    recalls
}

/// Whether another pool with weight can serve.
fn has_others(service: &Service, index: usize) -> bool {
    let mut others = service.pools.iter().enumerate().filter(|(other, _)| *other != index);
    others.any(|(_, pool)| pool.weight.get() > 0 && pool.is_ready())
}

fn find(service: &Service, arm: ArmId) -> Option<&Pool> {
    service.pools.iter().find(|pool| pool.arm == arm)
}

fn has_fallen(old: &Pool, upstream: &Upstream) -> bool {
    upstream.state == UpstreamState::Down
        && old.upstreams.iter().any(|u| u.address == upstream.address && u.state != UpstreamState::Down)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::weight::BasisPoints;
    use std::sync::Arc;

    fn pool(arm: u16, weight: u16, states: &[UpstreamState]) -> Pool {
        let upstream = |(port, state): (usize, &UpstreamState)| {
            let address = at(arm, port);
            Upstream { state: *state, ..Upstream::new(address.to_string().into(), address, 1) }
        };
        let upstreams: Box<[_]> = states.iter().enumerate().map(upstream).collect();
        let weight = BasisPoints::new(weight).expect("at most all");
        Pool {
            arm: ArmId(arm),
            weight,
            ..Pool::for_tests(if arm == 0 { "blue" } else { "green" }, upstreams)
        }
    }

    fn at(arm: u16, upstream: usize) -> UpstreamAddress {
        std::net::SocketAddr::from(([127, 0, 0, 1], arm * 10 + upstream as u16 + 1)).into()
    }

    fn table(pools: Vec<Pool>) -> Table {
        let service = Service::for_tests("web", pools);
        Table { services: [Arc::new(service)].into(), ..Table::default() }
    }

    use UpstreamState::{Down, Draining, Ready};

    #[test]
    fn an_aborted_pool_gives_back_all_and_one_that_lost_its_weight_by_hand_nothing() {
        let before = table(vec![pool(0, 5_000, &[Ready]), pool(1, 5_000, &[Ready])]);
        let now = table(vec![pool(0, 10_000, &[Ready]), pool(1, 0, &[Ready])]);
        assert_eq!(recalls(&before, &now, &[]), []);
        assert_eq!(
            recalls(&before, &now, &[ArmId(1)]),
            [Recall { arm: ArmId(1), upstream: None, revision: 0 }]
        );
        let down = table(vec![pool(0, 10_000, &[Down]), pool(1, 0, &[Ready])]);
        assert_eq!(recalls(&now, &down, &[ArmId(1)]), [], "nobody else could serve");
    }

    #[test]
    fn a_recall_is_for_those_planned_before_it() {
        let recall = Recall { arm: ArmId(1), upstream: Some(at(1, 0)), revision: 5 };
        assert!(recall.is_for(ArmId(1), at(1, 0), 4));
        assert!(!recall.is_for(ArmId(1), at(1, 0), 5), "sent there on purpose, afterwards");
        assert!(!recall.is_for(ArmId(1), at(1, 1), 4) && !recall.is_for(ArmId(0), at(1, 0), 4));
    }

    #[test]
    fn an_upstream_found_down_gives_back_what_others_can_serve() {
        let before = table(vec![pool(0, 10_000, &[Ready, Ready, Draining])]);
        let now = table(vec![pool(0, 10_000, &[Down, Ready, Down])]);
        let named = |upstream| Recall { arm: ArmId(0), upstream: Some(at(0, upstream)), revision: 0 };
        assert_eq!(recalls(&before, &now, &[]), [named(0), named(2)]);
        assert_eq!(recalls(&now, &now, &[]), [], "once");
        let drained = table(vec![pool(0, 10_000, &[Draining, Ready, Draining])]);
        assert_eq!(recalls(&before, &drained, &[]), [], "it finishes what it has");
        let alone = table(vec![pool(0, 10_000, &[Down, Down, Down])]);
        assert_eq!(recalls(&before, &alone, &[]), []);
        let others = table(vec![pool(0, 5_000, &[Down, Down, Down]), pool(1, 5_000, &[Ready])]);
        assert_eq!(recalls(&before, &others, &[]).len(), 3);
    }
}
