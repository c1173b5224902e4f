//! The custom collector: merges the shards when it is scraped, and costs nothing in between.

use super::parts::{counter, description, family, gauge, histogram};
use crate::core::outcome::{Reason, SlowLimits, Totals};
use crate::core::table::{Pool, Table};
use crate::observe::clock::Clock;
use crate::observe::recorder::Recorder;
use arc_swap::ArcSwap;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily, MetricType};
use std::collections::BTreeMap;
use std::sync::Arc;

const REQUESTS: &str = "pointsman_requests_total";
const DURATION: &str = "pointsman_request_duration_seconds";
const FAILURES: &str = "pointsman_attempt_failures_total";
const IN_FLIGHT: &str = "pointsman_in_flight";
const WARMING: &str = "pointsman_attempts_warming_total";
const SHIELDED: &str = "pointsman_shielded_total";
const ABANDONED: &str = "pointsman_attempt_abandoned_total";
const UPSTREAM: &str = "pointsman_upstream_requests_total";

/// What the shards counted, of the pools that are there.
pub(super) struct Traffic {
    recorder: Arc<Recorder>,
    table: Arc<ArcSwap<Table>>,
    clock: Clock,
    descriptions: Vec<Desc>,
}

impl Traffic {
    pub(super) fn new(
        recorder: Arc<Recorder>,
        table: Arc<ArcSwap<Table>>,
        clock: Clock,
    ) -> Result<Self, prometheus::Error> {
        let describe = |name: &str, help: &str, more: &[&str]| {
            let labels: Vec<_> = ["service", "pool"].iter().chain(more).copied().collect();
            description(name, help, &labels)
        };
        let descriptions = vec![
            describe(
                REQUESTS,
                "Attempts on upstreams by class of the answer's status; none without an answer.",
                &["code"],
            )?,
            describe(DURATION, "Time from an attempt's start to the head of its answer.", &[])?,
            describe(FAILURES, "Failed attempts on upstreams.", &["reason"])?,
            describe(IN_FLIGHT, "Attempts that wait for the head of their answer.", &[])?,
            description(
                SHIELDED,
                "Failed attempts on a candidate that stable answered instead.",
                &["service"],
            )?,
            describe(ABANDONED, "Attempts whose clients left before the head of the answer.", &[])?,
            describe(WARMING, "Attempts on upstreams that warmed up, which are no evidence.", &[])?,
            describe(UPSTREAM, "Attempts on each upstream, whatever came of them.", &["upstream"])?,
        ];
        Ok(Traffic { recorder, table, clock, descriptions })
    }
}

impl Collector for Traffic {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let table = self.table.load();
        let mut kinds = Kinds::default();
        for service in &table.services {
            let mut shielded = 0;
            for pool in &service.pools {
                let totals = self.recorder.totals(pool.arm, self.clock.now_us(), &SlowLimits::default());
                shielded += totals.shielded;
                kinds.add(&service.name, pool, &totals);
            }
            kinds.shielded.push(counter(&[("service", &service.name)], shielded));
        }
        let families = self.descriptions.iter().zip(kinds.families());
        families.map(|(description, (kind, metrics))| family(description, kind, metrics)).collect()
    }
}

/// The metrics of each description.
#[derive(Default)]
struct Kinds {
    requests: Vec<Metric>,
    durations: Vec<Metric>,
    failures: Vec<Metric>,
    in_flight: Vec<Metric>,
    shielded: Vec<Metric>,
    abandoned: Vec<Metric>,
    warming: Vec<Metric>,
    upstreams: Vec<Metric>,
}

impl Kinds {
    fn add(&mut self, service: &str, pool: &Pool, totals: &Totals) {
        let labels = [("pool", &*pool.name), ("service", service)];
        self.requests.extend(by_code(labels, totals));
        self.failures.extend(by_reason(labels, totals));
        self.warming.push(counter(&labels, totals.warming));
        self.durations.push(histogram(&labels, totals));
        self.abandoned.push(counter(&labels, totals.abandoned));
        self.in_flight.push(gauge(&labels, totals.in_flight as f64));
        // A name may stand for several addresses, which have one count.
        let upstreams: BTreeMap<_, _> = pool.upstreams.iter().map(|u| (&*u.label, &u.requests)).collect();
        self.upstreams.extend(upstreams.into_iter().map(|(upstream, requests)| {
            counter(&[labels[0], labels[1], ("upstream", upstream)], requests.total())
        }));
    }

    /// In the order of the descriptions.
    fn families(self) -> [(MetricType, Vec<Metric>); 8] {
        [
            (MetricType::COUNTER, self.requests),
            (MetricType::HISTOGRAM, self.durations),
            (MetricType::COUNTER, self.failures),
            (MetricType::GAUGE, self.in_flight),
            (MetricType::COUNTER, self.shielded),
            (MetricType::COUNTER, self.abandoned),
            (MetricType::COUNTER, self.warming),
            (MetricType::COUNTER, self.upstreams),
        ]
    }
}

/// Attempts by the class of their answer's status; `labels` are pool and service.
pub(super) fn by_code<'a>(
    labels: [(&'a str, &'a str); 2],
    totals: &'a Totals,
) -> impl Iterator<Item = Metric> + 'a {
    let classes = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"].into_iter();
    let counts = totals.codes.iter().zip(&totals.past.codes).map(|(now, past)| now + past);
    let classes = classes.zip(counts);
    let some = classes.filter(|(_, count)| *count > 0);
    some.map(move |(code, count)| counter(&[("code", code), labels[0], labels[1]], count))
}

/// Failures by their reason; `labels` are pool and service.
pub(super) fn by_reason<'a>(
    labels: [(&'a str, &'a str); 2],
    totals: &'a Totals,
) -> impl Iterator<Item = Metric> + 'a {
    let reasons = totals.reasons.iter().zip(&totals.past.reasons).map(|(now, past)| now + past);
    let reasons = Reason::ALL.into_iter().zip(reasons);
    reasons.map(move |(reason, count)| counter(&[labels[0], ("reason", reason.label()), labels[1]], count))
}
