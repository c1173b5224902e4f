//! The custom collector: merges the shards when it is scraped, and costs nothing in between.

use crate::core::latency::{BUCKETS, upper_bound_us};
use crate::core::outcome::{Reason, SlowLimits, Totals};
use crate::observe::clock::Clock;
use crate::observe::recorder::Recorder;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Upper bounds of the histogram's buckets, seconds.
const BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

const REQUESTS: &str = "pointsman_requests_total";
const DURATION: &str = "pointsman_request_duration_seconds";
const FAILURES: &str = "pointsman_attempt_failures_total";
const IN_FLIGHT: &str = "pointsman_in_flight";
const WARMING: &str = "pointsman_attempts_warming_total";
const SHIELDED: &str = "pointsman_shielded_total";
const ABANDONED: &str = "pointsman_attempt_abandoned_total";

/// What the shards counted.
pub(super) struct Traffic {
    recorder: Arc<Recorder>,
    clock: Clock,
    descriptions: Vec<Desc>,
}

impl Traffic {
    pub(super) fn new(recorder: Arc<Recorder>, clock: Clock) -> Result<Self, prometheus::Error> {
        let describe = |name: &str, help: &str, more: &[&str]| {
            let labels = ["service", "pool"].iter().chain(more).map(|label| (*label).to_owned()).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
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
            Desc::new(
                SHIELDED.to_owned(),
                "Failed attempts on a candidate that stable answered instead.".to_owned(),
                vec!["service".to_owned()],
                HashMap::new(),
            )?,
            describe(ABANDONED, "Attempts whose clients left before the head of the answer.", &[])?,
            describe(WARMING, "Attempts on upstreams that warmed up, which are no evidence.", &[])?,
        ];
        Ok(Traffic { recorder, clock, descriptions })
    }

    fn family(&self, index: usize, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
        family(&self.descriptions[index], kind, metrics)
    }
}

impl Collector for Traffic {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut shielded: BTreeMap<Arc<str>, u64> = BTreeMap::new();
        let (mut requests, mut durations, mut failures) = (vec![], vec![], vec![]);
        let (mut in_flight, mut abandoned, mut warming) = (vec![], vec![], vec![]);
        for (arm, service, pool) in self.recorder.arms() {
            let totals = self.recorder.totals(arm, self.clock.now_us(), &SlowLimits::default());
            let labels = [("pool", &*pool), ("service", &*service)];
            requests.extend(by_code(labels, &totals));
            failures.extend(by_reason(labels, &totals));
            warming.push(counter(&labels, totals.warming));
            durations.push(histogram(&labels, &totals));
            abandoned.push(counter(&labels, totals.abandoned));
            *shielded.entry(service.clone()).or_default() += totals.shielded;
            let mut gauge = Gauge::default();
            gauge.set_value(totals.in_flight as f64);
            let mut metric = labelled(&labels);
            metric.set_gauge(gauge);
            in_flight.push(metric);
        }
        let shielded = shielded.iter().map(|(service, count)| counter(&[("service", service)], *count));
        vec![
            self.family(0, MetricType::COUNTER, requests),
            self.family(1, MetricType::HISTOGRAM, durations),
            self.family(2, MetricType::COUNTER, failures),
            self.family(3, MetricType::GAUGE, in_flight),
            self.family(4, MetricType::COUNTER, shielded.collect()),
            self.family(5, MetricType::COUNTER, abandoned),
            self.family(6, MetricType::COUNTER, warming),
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

/// The metrics of one description.
pub(super) fn family(description: &Desc, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(description.fq_name.clone());
    family.set_help(description.help.clone());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

pub(super) fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    Metric::from_label(pairs.collect())
}

pub(super) fn counter(labels: &[(&str, &str)], count: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(count as f64);
    let mut metric = labelled(labels);
    metric.set_counter(counter);
    metric
}

/// From the fine buckets: each is counted under the first bound that holds all of it.
pub(super) fn histogram(labels: &[(&str, &str)], totals: &Totals) -> Metric {
    let within = |seconds: f64| -> u64 {
        let fits = |bucket: &usize| upper_bound_us(*bucket) as f64 <= seconds * 1e6 * 1.0001;
        (0..BUCKETS).take_while(fits).map(|bucket| totals.latency[bucket]).sum()
    };
    let buckets = BOUNDS.map(|bound| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(within(bound));
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_sample_count(totals.latency.iter().sum());
    histogram.set_sample_sum(totals.latency_sum_us as f64 / 1e6);
    histogram.set_bucket(buckets.to_vec());
    let mut metric = labelled(labels);
    metric.set_histogram(histogram);
    metric
}
