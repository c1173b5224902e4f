//! What every collector makes its families of. Labels are in the order of their names.

use crate::core::latency::{BUCKETS, upper_bound_us};
use crate::core::outcome::Totals;
use prometheus::core::Desc;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use std::collections::HashMap;

/// Upper bounds of the histogram's buckets, seconds.
const BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

pub(super) fn description(name: &str, help: &str, labels: &[&str]) -> Result<Desc, prometheus::Error> {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
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

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    Metric::from_label(pairs.collect())
}

pub(super) fn gauge(labels: &[(&str, &str)], value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = labelled(labels);
    metric.set_gauge(gauge);
    metric
}

pub(super) fn counter(labels: &[(&str, &str)], count: u64) -> Metric {
    sum(labels, count as f64)
}

/// A counter of what comes in parts.
pub(super) fn sum(labels: &[(&str, &str)], value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
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
