//! One instance is cut off from etcd, aborts for itself, and is back.

use super::harness::{Network, Relay};
use super::options::Options;
use super::report::Report;
use super::site::{Fleet, HALF, abort, start_rollout};
use super::watchers::Watchers;
use std::time::{Duration, Instant};

/// Longer than a connection is believed in, and than the longest pause.
const CUT_OFF: Duration = Duration::from_secs(3);

pub(super) fn run(options: &Options, report: &mut Report) {
    for &count in &options.sizes {
        for (what, network) in [
            ("cut off in silence, back: aborted everywhere", Network::Silent),
            ("cut off, back: aborted everywhere", Network::Cut),
        ] {
            let mut fleet = Fleet::start(count - 1);
            let relays: Vec<_> =
                fleet.cluster.members.iter().map(|member| Relay::to(member.client)).collect();
            let endpoints: Vec<_> =
                relays.iter().map(|relay| fleet.cluster.endpoint(relay.address())).collect();
            let far = fleet.member(&format!("edge-{count}"), &endpoints);
            fleet.members.push(far);
            fleet.in_step();
            let took: Vec<Duration> =
                (0..options.runs(5)).map(|_| healed(&fleet, &relays, network)).collect();
            report.longest(what, count, &took, 1.0);
        }
    }
}

/// From the healing to the last table.
fn healed(fleet: &Fleet, relays: &[Relay], network: Network) -> Duration {
    let watchers = Watchers::of(&fleet.members);
    let id = start_rollout(&fleet.members[0], HALF);
    watchers.all(50.0);
    relays.iter().for_each(|relay| relay.set(network));
    std::thread::sleep(CUT_OFF);
    watchers.forget();
    abort(&fleet.members[fleet.members.len() - 1], &id);
    let since = Instant::now();
    relays.iter().for_each(|relay| relay.set(Network::Whole));
    let took = watchers.all(0.0).saturating_duration_since(since);
    fleet.in_step();
    took
}
