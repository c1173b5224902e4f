//! Several instances over etcd: its client and sessions against the real one, and processes that act as one.

mod faces;
mod failover;
mod hostile;
mod instances;
mod keys;
mod network;
mod sessions;
mod users;
mod watches;

use crate::harness::EtcdCluster;
use pointsman::core::settings::{EtcdSettings, UpstreamTls};
use pointsman::fleet::etcd::{Etcd, EtcdTimes, KeyChange, KeyScope, KeyWatch, WatchEvent, WatchSpec};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Longest wait for anything that will surely happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs a test with a client in it.
fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(test)
}

fn settings(endpoints: &[String]) -> EtcdSettings {
    let endpoints = endpoints.iter().map(|text| text.parse().expect("an endpoint")).collect();
    EtcdSettings { endpoints, tls: UpstreamTls::default(), authority: None, user: None }
}

/// A client as the product has it.
fn client_of(settings: EtcdSettings) -> Etcd {
    Etcd::new(settings, EtcdTimes::default()).expect("a client")
}

/// One that bears a machine with more to do than it can, for tests that are not about time.
fn patient(settings: EtcdSettings) -> Etcd {
    let long = Duration::from_secs(10);
    let times = EtcdTimes { call: long, connect: long, silence: long, login: long, ..EtcdTimes::default() };
    Etcd::new(settings, times).expect("a client")
}

/// A patient client that may ask all members, once one answers.
async fn client(cluster: &EtcdCluster) -> Etcd {
    let etcd = patient(settings(&cluster.endpoints()));
    eventually("etcd answers", async || etcd.range(&KeyScope::key("x").into()).await.is_ok()).await;
    etcd
}

/// Waits until something is so.
async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !is_so().await {
        assert!(since.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn all_from(prefix: &'static str, from: i64) -> WatchSpec {
    WatchSpec { scope: KeyScope::prefix(prefix), from, with_previous: true }
}

async fn next(watch: &mut KeyWatch) -> WatchEvent {
    timeout(PATIENCE, watch.next()).await.expect("an event in time").expect("an event")
}

/// Waits until a member serves a watch; which.
async fn began(watch: &mut KeyWatch) -> String {
    loop {
        match next(watch).await {
            WatchEvent::Began { endpoint, .. } => return endpoint.to_string(),
            WatchEvent::Lost(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// The next changes, at least so many, through all members.
async fn changes(watch: &mut KeyWatch, count: usize) -> Vec<KeyChange> {
    let mut all = Vec::new();
    while all.len() < count {
        match next(watch).await {
            WatchEvent::Changes(changes) => all.extend(changes),
            WatchEvent::Began { .. } | WatchEvent::Lost(_) => {}
            other => panic!("{other:?}"),
        }
    }
    all
}
