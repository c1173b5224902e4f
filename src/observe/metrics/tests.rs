//! What is exposed.

use super::*;
use crate::core::client::ClientKey;
use crate::core::counter::WorkerCounts;
use crate::core::headers::Headers;
use crate::core::memory::MemoryAccount;
use crate::core::outcome::{ArmId, Outcome, Reason};
use crate::core::own_limit::OwnLimit;
use crate::core::route::{PathSpec, RouteSpec, Routes, Target};
use crate::core::table::{Pool, Service, Upstream};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// One route, to a service with one pool of two addresses under one name.
fn table(arm: ArmId, recorder: &Recorder) -> Arc<ArcSwap<Table>> {
    let upstream = |port: u16, requests: &Arc<WorkerCounts>| Upstream {
        requests: requests.clone(),
        ..Upstream::new("10.0.0.3:3000".into(), SocketAddr::from(([10, 0, 0, 3], port)), 1)
    };
    let requests = Arc::new(WorkerCounts::new(1));
    (0..3).for_each(|_| requests.add(0));
    let upstreams = [upstream(3000, &requests), upstream(3001, &requests)];
    let pool = Pool { arm, ..Pool::for_tests("green", upstreams.into()) };
    let path = PathSpec::Prefix { prefix: "/".into(), is_final: false };
    let target = Target::Service("web".into());
    let spec = RouteSpec { hosts: vec!["web.example".into()], ..RouteSpec::new(path, target) };
    let answers = recorder.answers();
    (0..2).for_each(|_| answers.count(0, 0, 200));
    recorder.unrouted.count(0, 0, 400);
    Arc::new(ArcSwap::from_pointee(Table {
        routes: Arc::new(Routes::new(vec![spec], Headers::default(), BTreeMap::new())),
        answers: [answers].into(),
        services: [Arc::new(Service::for_tests("web", vec![pool]))].into(),
        ..Table::default()
    }))
}

/// What must be in the text.
const LINES: &[&str] = &[
    "pointsman_requests_total{code=\"5xx\",pool=\"green\",service=\"web\"} 3",
    "pointsman_requests_total{code=\"2xx\",pool=\"green\",service=\"web\"} 7",
    "pointsman_attempt_failures_total{pool=\"green\",reason=\"status\",service=\"web\"} 3",
    "pointsman_attempt_abandoned_total{pool=\"green\",service=\"web\"} 1",
    "pointsman_request_duration_seconds_count{pool=\"green\",service=\"web\"} 10",
    "pointsman_request_duration_seconds_bucket{pool=\"green\",service=\"web\",le=\"0.05\"} 10",
    "pointsman_request_duration_seconds_bucket{pool=\"green\",service=\"web\",le=\"0.01\"} 0",
    "pointsman_in_flight{pool=\"green\",service=\"web\"} 0",
    "pointsman_pool_weight_ratio{pool=\"green\",service=\"web\"} 0.05",
    "pointsman_upstream_up{pool=\"green\",service=\"web\",upstream=\"10.0.0.3:3000\"} 1",
    "pointsman_rollout_phase{phase=\"shifting\",service=\"web\"} 1",
    "pointsman_rollouts_total{outcome=\"aborted\",service=\"web\"} 1",
    "pointsman_rollouts_total{outcome=\"promoted\",service=\"web\"} 0",
    "pointsman_verdict_evidence{metric=\"error_rate\",pool=\"green\",service=\"web\"} 3.5",
    "pointsman_signal{pool=\"green\",service=\"web\",signal=\"database_connections\"} 7",
    "pointsman_own_limit_total{limit=\"max_conns\"} 2",
    "pointsman_own_limit_total{limit=\"ports\"} 0",
    "pointsman_build_info{version=",
    "pointsman_client_connections{listener=\"127.0.0.1:80\"} 3",
    "pointsman_client_connections_limit 500",
    "pointsman_http_requests_total{code=\"200\",listener=\"127.0.0.1:80\",route=\"web.example/\"} 2",
    "pointsman_http_requests_total{code=\"400\",listener=\"127.0.0.1:80\",route=\"none\"} 1",
    "pointsman_upstream_requests_total{pool=\"green\",service=\"web\",upstream=\"10.0.0.3:3000\"} 3",
    "pointsman_tls_handshake_failures_total{listener=\"127.0.0.1:80\"} 2",
    "pointsman_certificate_expiry_timestamp_seconds{name=\"a.example\"} 1700000000",
    "pointsman_certificate_expiry_timestamp_seconds{name=\"b.example\"} 1800000000",
    "pointsman_config_last_reload_successful 1",
    "process_resident_memory_bytes ",
    "pointsman_memory_held_bytes 0",
    "pointsman_memory_limit_bytes 4096",
];

/// Ten attempts of which three failed, one that was abandoned, and an own limit that was met twice.
fn recorded() -> (Arc<Recorder>, ArmId) {
    let recorder = Arc::new(Recorder::new(1));
    let arm = recorder.arm("web", "green").expect("a free arm");
    let shard = recorder.shard(0);
    for n in 0..10 {
        let started = shard.start(arm, 0, ClientKey::NAMELESS);
        let (outcome, code) =
            if n < 3 { (Outcome::Failure(Reason::Status), 500) } else { (Outcome::Success, 200) };
        shard.answered(arm, started, 30_000, (outcome, code), &SlowLimits::default().into());
    }
    let started = shard.start(arm, 0, ClientKey::NAMELESS);
    shard.answered(arm, started, 60_000, (Outcome::Abandoned, 0), &SlowLimits::default().into());
    shard.kept_out(arm, OwnLimit::MaxConns);
    recorder.own_limit(OwnLimit::MaxConns);
    (recorder, arm)
}

/// Shows what others than the recorder say.
fn show(metrics: &Metrics) {
    metrics.show(ServiceGauges {
        service: "web".into(),
        weights: vec![("green".into(), 0.05)],
        upstreams: vec![("green".into(), "10.0.0.3:3000".into(), true)],
        phase: Some("shifting"),
        signals: vec![("green".into(), "database_connections".into(), 7.0)],
        evidence: vec![("green".into(), "error_rate".into(), 3.5, 20.7)],
    });
    metrics.rollout_ended("web", "aborted");
    metrics
        .show_clients(ClientCounts {
            listeners: vec![ListenerCounts {
                address: "127.0.0.1:80".to_owned(),
                open: Arc::new(3.into()),
                failed_handshakes: Some(Arc::new(2.into())),
            }],
            most: Arc::new(500.into()),
            memory: Arc::new(MemoryAccount::new(4096)),
        })
        .expect("shown once");
    let ends = || [("a.example", 1_900_000_000), ("b.example", 1_800_000_000), ("a.example", 1_700_000_000)];
    let ends = move || ends().map(|(name, end)| (name.to_owned(), end)).to_vec();
    metrics.show_certificates(CertificateEnds(Box::new(ends))).expect("shown once");
}

#[test]
fn the_names_of_the_contract_are_there_with_their_counts() {
    let (recorder, arm) = recorded();
    let table = table(arm, &recorder);
    let metrics = Metrics::new(recorder, table.clone(), Clock::start()).expect("metrics");
    show(&metrics);
    assert_eq!(["web", "api"].map(|name| metrics.attempts(|service| service == name)), [(10, 3), (0, 0)]);
    let text = metrics.render();
    for line in LINES {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    table.store(Arc::default());
    metrics.keep(|service| service != "web");
    let text = metrics.render();
    assert!(!text.contains("\"web\"") && !text.contains("\"web.example/\""), "stale series in\n{text}");
    assert!(text.contains("route=\"none\""));
}
