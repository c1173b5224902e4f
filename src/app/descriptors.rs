//! File descriptors: as many as the system allows, and who may take how many of them.

use crate::core::settings::Config;
use crate::proxy::Shares;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Fewer are worth a warning.
const FEW: u64 = 4096;
/// Where nobody says how many there are.
const UNLIMITED: u64 = 1 << 20;
/// Kept back for the state, logs, look-ups and what else is opened for a moment.
const OTHERS: u64 = 48;
/// Connections of the admin API at a time.
const ADMIN: u64 = 512;
/// Idle connections to upstreams that one worker keeps at most, and those of its mirror.
const KEPT: u64 = 1024;
const KEPT_BY_MIRROR: u64 = 128;
/// Descriptors that are open at a start where the system does not say how many.
const OPEN: u64 = 64;

/// Raises the soft limit to the hard one, and says what it is.
pub(super) fn raise_limit() {
    let before = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
    if before.current != before.maximum
        && let Err(error) = setrlimit(Resource::Nofile, wanted)
    {
        tracing::warn!("the limit of file descriptors cannot be raised: {error}");
    }
    let limit = getrlimit(Resource::Nofile).current;
    let text = limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
    if limit.is_some_and(|limit| limit < FEW) {
        tracing::warn!(
            "only {text} file descriptors may be open; raise the limit (LimitNOFILE=, ulimits.nofile) to serve more clients"
        );
    } else {
        tracing::info!("file descriptors: {text} may be open");
    }
}

/// Who may take how many; `wanted` is how many clients there shall be.
pub(super) fn shares(demand: &Demand, wanted: Option<u32>) -> Shares {
    let (shares, limit) = (shared_out(demand, wanted), demand.limit);
    if let Some(wanted) = wanted.filter(|wanted| *wanted > shares.clients) {
        tracing::warn!(
            "limits.connections = {wanted} needs more file descriptors than the {limit} that may be open: {} clients \
             at a time; raise the limit (LimitNOFILE=, ulimits.nofile)",
            shares.clients
        );
    }
    tracing::info!("connections of clients: {} at a time, over all listeners", shares.clients);
    shares
}

/// What wants descriptors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand {
    limit: u64,
    open: u64,
    workers: u64,
    listeners: u64,
    upstreams: u64,
}

impl Demand {
    /// By what is open now, when all but clients and upstreams are.
    pub(super) fn of(config: &Config) -> Self {
        let upstreams = config.services.values().flat_map(|service| service.pools.values());
        Demand {
            limit: getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED),
            open: std::fs::read_dir("/proc/self/fd").map_or(OPEN, |all| all.count() as u64),
            workers: config.server.threads as u64,
            listeners: config.listeners.len() as u64,
            upstreams: upstreams.map(|pool| pool.upstreams.len() as u64).sum(),
        }
    }
}

fn shared_out(demand: &Demand, wanted: Option<u32>) -> Shares {
    let Demand { limit, open, workers, listeners, upstreams } = *demand;
    let left = limit.saturating_sub(open);
    // A handle of each listener and one client that waits for a place, and an event loop, for each worker.
    let serving = workers * (listeners * 2 + 4);
    // A check and a scrape at a time.
    let checks = (upstreams * 2).min(left / 8);
    let kept_back = OTHERS + ADMIN.min(left / 8) + serving + checks;
    let free = left.saturating_sub(kept_back).max(8);
    let kept = (workers * KEPT).min(free / 8);
    let kept_by_mirror = (workers * KEPT_BY_MIRROR).min(free / 32);
    let together = free - kept - kept_by_mirror;
    // A client needs an upstream at times, and with HTTP/2 several.
    let most = together - (together / 4).max(1);
    let clients = wanted.map_or(together * 2 / 3, |wanted| u64::from(wanted).min(most));
    let number = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let of_worker = |count: u64| (count / workers.max(1)) as usize;
    Shares {
        clients: number(clients.max(1)),
        together: number(together),
        kept: of_worker(kept),
        kept_by_mirror: of_worker(kept_by_mirror),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(limit: u64, wanted: Option<u32>) -> Shares {
        shared_out(&Demand { limit, open: 60, workers: 2, listeners: 2, upstreams: 4 }, wanted)
    }

    #[test]
    fn clients_have_most_of_what_is_not_kept_back() {
        let shares = of(20_000, None);
        assert!((10_000..14_000).contains(&shares.clients), "{shares:?}");
        assert_eq!((shares.kept, shares.kept_by_mirror), (1024, 128));
        let few = of(1024, None);
        assert!((300..600).contains(&few.clients), "{few:?}");
        assert!(of(256, None).clients >= 40, "{:?}", of(256, None));
        assert_eq!(of(20_000, Some(5)).clients, 5);
        assert!(of(1024, Some(100_000)).clients < 700);
    }

    proptest! {
        #[test]
        fn what_is_kept_back_is_never_given_away(
            limit in 200u64..2_000_000, open in 20u64..150, workers in 1u64..17, upstreams in 0u64..500,
            wanted in prop::option::of(1u32..2_000_000),
        ) {
            let demand = Demand { limit, open, workers, listeners: 2, upstreams };
            let shares = shared_out(&demand, wanted);
            let kept = (shares.kept + shares.kept_by_mirror) as u64 * workers;
            let taken = open + u64::from(shares.together) + kept;
            prop_assert!(shares.clients >= 1 && shares.clients < shares.together);
            // Too few for anything at all are no case.
            if limit >= open + 300 + workers * 10 {
                prop_assert!(taken + OTHERS + ADMIN.min((limit - open) / 8) <= limit, "{shares:?}");
            }
        }
    }
}
