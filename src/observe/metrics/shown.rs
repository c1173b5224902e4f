//! What the controller decided, as it showed it last of each service. Rendered when it is scraped: showing one
//! service costs the same beside a thousand others.

use super::parts::{description, family, gauge};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily, MetricType};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the controller shows of one service.
#[derive(Clone, Debug, Default)]
pub struct ServiceGauges {
    pub service: String,
    /// Pool and share of the traffic, 0–1.
    pub weights: Vec<(String, f64)>,
    /// Pool, upstream, and whether it is ready.
    pub upstreams: Vec<(String, String, bool)>,
    /// Of the running rollout, if any.
    pub phase: Option<&'static str>,
    /// Pool, name and the worst latest value of each signal that is scraped.
    pub signals: Vec<(String, String, f64)>,
    /// Candidate pool, metric, evidence and the evidence needed (ln) for each critical limit and comparison.
    pub evidence: Vec<(String, String, f64, f64)>,
}

type ByService = BTreeMap<String, ServiceGauges>;

/// The latest of every service. Locked by the controller and while metrics are rendered.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown(Arc<Mutex<ByService>>);

impl Shown {
    /// Shows one service; whether it is a new one.
    pub(super) fn show(&self, gauges: ServiceGauges) -> bool {
        self.all().insert(gauges.service.clone(), gauges).is_none()
    }

    /// Shows no services any more but these; those that it showed.
    pub(super) fn keep(&self, is_kept: impl Fn(&str) -> bool) -> Vec<String> {
        let mut all = self.all();
        let gone: Vec<String> = all.keys().filter(|service| !is_kept(service)).cloned().collect();
        gone.iter().for_each(|service| drop(all.remove(service)));
        gone
    }

    fn all(&self) -> MutexGuard<'_, ByService> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renders them.
pub(super) struct Gauges {
    shown: Shown,
    descriptions: Vec<Desc>,
}

impl Gauges {
    pub(super) fn new(shown: Shown) -> Result<Self, prometheus::Error> {
        let describe = |name: &str, help: &str, more: &[&str]| {
            let labels: Vec<_> = ["service"].iter().chain(more).copied().collect();
            description(name, help, &labels)
        };
        let descriptions = vec![
            describe("pointsman_pool_weight_ratio", "Share of the service's traffic, 0 to 1.", &["pool"])?,
            describe(
                "pointsman_upstream_up",
                "1 where the upstream is ready, else 0.",
                &["pool", "upstream"],
            )?,
            describe("pointsman_rollout_phase", "1 for the phase of the running rollout.", &["phase"])?,
            describe(
                "pointsman_verdict_evidence",
                "Evidence (ln) against the candidate for each critical limit and comparison with stable.",
                &["pool", "metric"],
            )?,
            describe(
                "pointsman_verdict_evidence_needed",
                "Evidence (ln) that breaks it.",
                &["pool", "metric"],
            )?,
            describe(
                "pointsman_signal",
                "What the upstreams of a pool say of themselves: the worst latest value of each signal.",
                &["pool", "signal"],
            )?,
        ];
        Ok(Gauges { shown, descriptions })
    }
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut metrics: [Vec<Metric>; 6] = Default::default();
        let [weights, upstreams, phases, evidence, needed, signals] = &mut metrics;
        for (service, shown) in self.shown.all().iter() {
            let service = ("service", service.as_str());
            for (pool, ratio) in &shown.weights {
                weights.push(gauge(&[("pool", pool), service], *ratio));
            }
            for (pool, upstream, up) in &shown.upstreams {
                let labels = [("pool", pool.as_str()), service, ("upstream", upstream)];
                upstreams.push(gauge(&labels, f64::from(u8::from(*up))));
            }
            if let Some(phase) = shown.phase {
                phases.push(gauge(&[("phase", phase), service], 1.0));
            }
            for (pool, metric, ln, enough) in &shown.evidence {
                let labels = [("metric", metric.as_str()), ("pool", pool), service];
                evidence.push(gauge(&labels, *ln));
                needed.push(gauge(&labels, *enough));
            }
            for (pool, signal, value) in &shown.signals {
                signals.push(gauge(&[("pool", pool.as_str()), service, ("signal", signal)], *value));
            }
        }
        let families = self.descriptions.iter().zip(metrics);
        families.map(|(description, metrics)| family(description, MetricType::GAUGE, metrics)).collect()
    }
}
