//! Prometheus: what the shards counted, merged when scraped, and what the controller decided.

mod clients;
mod mirrored;
mod own_limits;
mod shown;
mod traffic;

pub use clients::ClientCounts;
pub use shown::ServiceGauges;

use super::clock::Clock;
use super::recorder::Recorder;
use crate::core::outcome::SlowLimits;
use clients::Clients;
use mirrored::Mirrored;
use own_limits::Met;
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use shown::{Gauges, Shown};
use std::sync::Arc;
use traffic::Traffic;

/// How rollouts end.
const OUTCOMES: [&str; 2] = ["promoted", "aborted"];

/// The process's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    recorder: Arc<Recorder>,
    clock: Clock,
    shown: Shown,
    rollouts: IntCounterVec,
    log_dropped: IntGauge,
    notifications: IntCounterVec,
    admin_closed: IntCounterVec,
    refused_tokens: IntCounter,
    degraded: IntGauge,
}

impl Metrics {
    /// # Errors
    /// Only if two metrics had one name.
    pub fn new(recorder: Arc<Recorder>, clock: Clock) -> Result<Self, prometheus::Error> {
        let counters =
            |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let metrics = Metrics {
            registry: Registry::new(),
            recorder,
            clock,
            shown: Shown::default(),
            rollouts: counters(
                "pointsman_rollouts_total",
                "Rollouts ended in this process, by outcome.",
                &["service", "outcome"],
            )?,
            log_dropped: IntGauge::new(
                "pointsman_access_log_dropped_total",
                "Access log entries dropped because the log could not keep up.",
            )?,
            notifications: counters(
                "pointsman_notifications_total",
                "Tries to notify: sent, failed or dropped.",
                &["receiver", "result"],
            )?,
            admin_closed: counters(
                "pointsman_admin_connections_closed_total",
                "Connections that the admin API closed by itself, by what they took too long for, or for room.",
                &["reason"],
            )?,
            degraded: IntGauge::new(
                "pointsman_state_degraded",
                "What was found wrong with the state at the start; 0 where it was whole.",
            )?,
            refused_tokens: IntCounter::new(
                "pointsman_admin_refused_tokens_total",
                "Requests to the admin API with a token that is not known.",
            )?,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        let (registry, recorder) = (&self.registry, &self.recorder);
        let build = Opts::new("pointsman_build_info", "1, labelled with the version.");
        let build = IntGaugeVec::new(build, &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        registry.register(Box::new(Traffic::new(recorder.clone(), self.clock)?))?;
        registry.register(Box::new(Met::new(recorder.clone())?))?;
        registry.register(Box::new(Mirrored::new(recorder.clone(), self.clock)?))?;
        registry.register(Box::new(Gauges::new(self.shown.clone())?))?;
        registry.register(Box::new(self.rollouts.clone()))?;
        registry.register(Box::new(self.log_dropped.clone()))?;
        registry.register(Box::new(self.notifications.clone()))?;
        registry.register(Box::new(self.admin_closed.clone()))?;
        registry.register(Box::new(self.refused_tokens.clone()))?;
        registry.register(Box::new(self.degraded.clone()))?;
        Ok(())
    }

    /// What the counters are read from.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Shows the clients of the data plane, from now on.
    ///
    /// # Errors
    /// When it is called twice.
    pub fn show_clients(&self, counts: ClientCounts) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(Clients::new(counts)?))
    }

    /// Shows the controller's state of one service.
    pub fn show(&self, gauges: ServiceGauges) {
        let service = gauges.service.clone();
        if self.shown.show(gauges) {
            for outcome in OUTCOMES {
                // From 0 on: a counter that begins at 1 has not increased, for those who alert on it.
                self.rollouts.with_label_values(&[service.as_str(), outcome]);
            }
        }
    }

    /// Shows no state of services that are gone.
    pub fn keep(&self, is_kept: impl Fn(&str) -> bool) {
        self.shown.keep(is_kept);
    }

    /// Counts a rollout that ended: `promoted` or `aborted`.
    pub fn rollout_ended(&self, service: &str, outcome: &str) {
        self.rollouts.with_label_values(&[service, outcome]).inc();
    }

    /// Counts a try to notify: `sent`, `failed` (it is tried again) or `dropped`.
    pub fn notified(&self, receiver: &str, result: &str) {
        self.notifications.with_label_values(&[receiver, result]).inc();
    }

    /// Counts a connection that the admin API closed by itself.
    pub fn admin_closed(&self, reason: &str) {
        self.admin_closed.with_label_values(&[reason]).inc();
    }

    /// How much was wrong with the state at the start.
    pub fn started_degraded(&self, reasons: usize) {
        self.degraded.set(i64::try_from(reasons).unwrap_or(i64::MAX));
    }

    /// Counts a token that is not known.
    pub fn token_refused(&self) {
        self.refused_tokens.inc();
    }

    pub fn log_dropped(&self, total: u64) {
        self.log_dropped.set(total.min(i64::MAX as u64) as i64);
    }

    /// Attempts and failures of some services together since the process started.
    pub fn attempts(&self, is_meant: impl Fn(&str) -> bool) -> (u64, u64) {
        let arms = self.recorder.arms().into_iter().filter(|(_, service, _)| is_meant(service));
        let totals =
            arms.map(|(arm, ..)| self.recorder.totals(arm, self.clock.now_us(), &SlowLimits::default()));
        totals.fold((0, 0), |sum, totals| (sum.0 + totals.attempts, sum.1 + totals.failures))
    }

    /// The text exposition.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!("metrics cannot be rendered: {error}");
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::client::ClientKey;
    use crate::core::memory::MemoryAccount;
    use crate::core::outcome::{Outcome, Reason};
    use crate::core::own_limit::OwnLimit;

    #[test]
    fn the_names_of_the_contract_are_there_with_their_counts() {
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
        let metrics = Metrics::new(recorder, Clock::start()).expect("metrics");
        metrics.show(ServiceGauges {
            service: "web".into(),
            weights: vec![("green".into(), 0.05)],
            upstreams: vec![("green".into(), "10.0.0.3:3000".into(), true)],
            phase: Some("shifting"),
            signals: vec![("green".into(), "database_connections".into(), 7.0)],
            evidence: vec![("green".into(), "error_rate".into(), 3.5, 20.7)],
        });
        metrics.rollout_ended("web", "aborted");
        assert_eq!(["web", "api"].map(|name| metrics.attempts(|service| service == name)), [(10, 3), (0, 0)]);
        metrics
            .show_clients(ClientCounts {
                listeners: vec![("127.0.0.1:80".to_owned(), Arc::new(3.into()))],
                most: Arc::new(500.into()),
                memory: Arc::new(MemoryAccount::new(4096)),
            })
            .expect("shown once");
        let text = metrics.render();
        for line in [
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
            "pointsman_memory_held_bytes 0",
            "pointsman_memory_limit_bytes 4096",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        metrics.keep(|service| service != "web");
        assert!(!metrics.render().contains("pointsman_pool_weight_ratio{"), "stale labels are gone");
    }
}
