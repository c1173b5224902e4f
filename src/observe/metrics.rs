//! Prometheus: what the shards counted, merged when scraped, and what the controller decided.

mod certificates;
mod clients;
mod docker;
mod fleet;
mod mirrored;
mod own_limits;
mod parts;
mod process;
mod shown;
mod spans;
mod traffic;

pub use certificates::CertificateEnds;
pub use clients::{ClientCounts, ListenerCounts};
pub use docker::DockerGauge;
pub use fleet::FleetTimes;
pub use shown::ServiceGauges;

use super::access_log::SpanCounts;
use super::clock::Clock;
use super::recorder::Recorder;
use crate::core::fleet::status::FleetView;
use crate::core::outcome::SlowLimits;
use crate::core::table::Table;
use arc_swap::ArcSwap;
use certificates::Ends;
use clients::Clients;
use docker::DockerUp;
use fleet::FleetGauges;
use mirrored::Mirrored;
use own_limits::Met;
use process::Process;
use prometheus::{Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use shown::{Gauges, Shown};
use spans::Exported;
use std::sync::Arc;
use tokio::sync::watch;
use traffic::Traffic;

/// How rollouts end.
const OUTCOMES: [&str; 2] = ["promoted", "aborted"];

/// The process's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    recorder: Arc<Recorder>,
    /// What there is; of what is gone, nothing is shown.
    table: Arc<ArcSwap<Table>>,
    clock: Clock,
    shown: Shown,
    rollouts: IntCounterVec,
    log_dropped: IntCounter,
    notifications: IntCounterVec,
    admin_closed: IntCounterVec,
    refused_tokens: IntCounter,
    degraded: IntGauge,
    reloaded: IntGauge,
    fleet_times: FleetTimes,
}

impl Metrics {
    /// # Errors
    /// Only if two metrics had one name.
    pub fn new(
        recorder: Arc<Recorder>,
        table: Arc<ArcSwap<Table>>,
        clock: Clock,
    ) -> Result<Self, prometheus::Error> {
        let counters =
            |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let metrics = Metrics {
            registry: Registry::new(),
            recorder,
            table,
            clock,
            shown: Shown::default(),
            rollouts: counters(
                "pointsman_rollouts_total",
                "Rollouts ended in this process, by outcome.",
                &["service", "outcome"],
            )?,
            log_dropped: IntCounter::new(
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
            reloaded: IntGauge::new(
                "pointsman_config_last_reload_successful",
                "1 where the newest configuration that was read is in effect, 0 where it was refused.",
            )?,
            fleet_times: FleetTimes::new()?,
            refused_tokens: IntCounter::new(
                "pointsman_admin_refused_tokens_total",
                "Requests to the admin API with a token that is not known.",
            )?,
        };
        metrics.reloaded.set(1);
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> Result<(), prometheus::Error> {
        let (registry, recorder, table) = (&self.registry, &self.recorder, &self.table);
        let build = Opts::new("pointsman_build_info", "1, labelled with the version.");
        let build = IntGaugeVec::new(build, &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        registry.register(Box::new(Traffic::new(recorder.clone(), table.clone(), self.clock)?))?;
        registry.register(Box::new(Met::new(recorder.clone())?))?;
        registry.register(Box::new(Mirrored::new(recorder.clone(), table.clone(), self.clock)?))?;
        registry.register(Box::new(Gauges::new(self.shown.clone())?))?;
        registry.register(Box::new(self.rollouts.clone()))?;
        registry.register(Box::new(self.log_dropped.clone()))?;
        registry.register(Box::new(self.notifications.clone()))?;
        registry.register(Box::new(self.admin_closed.clone()))?;
        registry.register(Box::new(self.refused_tokens.clone()))?;
        registry.register(Box::new(self.degraded.clone()))?;
        registry.register(Box::new(self.reloaded.clone()))?;
        registry.register(Box::new(Process::new()?))?;
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
        let (table, recorder) = (self.table.clone(), self.recorder.clone());
        self.registry.register(Box::new(Clients::new(counts, table, recorder)?))
    }

    /// Shows what becomes of sampled requests, from now on.
    ///
    /// # Errors
    /// When it is called twice.
    pub fn show_spans(&self, counts: Arc<SpanCounts>) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(Exported::new(counts)?))
    }

    /// Shows whether Docker is followed, from now on.
    ///
    /// # Errors
    /// When it is shown already.
    pub fn show_docker(&self, gauge: Arc<DockerGauge>) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(DockerUp::new(gauge)?))
    }

    /// How soon what is decided in the fleet is in effect; shown where there is one.
    pub fn fleet_times(&self) -> &FleetTimes {
        &self.fleet_times
    }

    /// Shows the fleet, from now on.
    ///
    /// # Errors
    /// When it is shown already.
    pub fn show_fleet(&self, view: watch::Receiver<Arc<FleetView>>) -> Result<(), prometheus::Error> {
        for histogram in self.fleet_times.all() {
            self.registry.register(Box::new(histogram.clone()))?;
        }
        self.registry.register(Box::new(FleetGauges::new(view)?))
    }

    /// Shows when certificates end, from now on.
    ///
    /// # Errors
    /// When it is called twice.
    pub fn show_certificates(&self, ends: CertificateEnds) -> Result<(), prometheus::Error> {
        self.registry.register(Box::new(Ends::new(ends)?))
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
        for service in self.shown.keep(is_kept) {
            for outcome in OUTCOMES {
                // Where none was shown, there is none to take away.
                let _ = self.rollouts.remove_label_values(&[&*service, outcome]);
            }
        }
    }

    /// Whether a new configuration that was read is in effect.
    pub fn reloaded(&self, is_in_effect: bool) {
        self.reloaded.set(i64::from(is_in_effect));
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

    /// Lines of the access log lost so far. One call at a time.
    pub fn log_dropped(&self, total: u64) {
        self.log_dropped.inc_by(total.saturating_sub(self.log_dropped.get()));
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
mod tests;
