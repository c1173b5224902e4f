//! Mirrored requests, under names of their own: what sums over pools means users' requests.

use super::parts::{counter, description, family, histogram};
use super::traffic::{by_code, by_reason};
use crate::core::outcome::SlowLimits;
use crate::core::table::Table;
use crate::observe::clock::Clock;
use crate::observe::recorder::Recorder;
use arc_swap::ArcSwap;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily, MetricType};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the shards counted of copies, to the pools that are there.
pub(super) struct Mirrored {
    recorder: Arc<Recorder>,
    table: Arc<ArcSwap<Table>>,
    clock: Clock,
    descriptions: Vec<Desc>,
}

impl Mirrored {
    pub(super) fn new(
        recorder: Arc<Recorder>,
        table: Arc<ArcSwap<Table>>,
        clock: Clock,
    ) -> Result<Self, prometheus::Error> {
        let pool = ["service", "pool"];
        let descriptions = vec![
            description(
                "pointsman_mirror_requests_total",
                "Copies sent to a candidate by class of the answer's status; none without an answer.",
                &["service", "pool", "code"],
            )?,
            description(
                "pointsman_mirror_failures_total",
                "Copies that failed on a candidate; no user met these.",
                &["service", "pool", "reason"],
            )?,
            description(
                "pointsman_mirror_duration_seconds",
                "Time from a copy's start to the head of the candidate's answer.",
                &pool,
            )?,
            description(
                "pointsman_mirror_dropped_total",
                "Copies not sent, for want of room.",
                &["service"],
            )?,
            description(
                "pointsman_mirror_compared_total",
                "Answers to copies that were compared with stable's.",
                &["service"],
            )?,
            description(
                "pointsman_mirror_differences_total",
                "Compared answers that differ from stable's.",
                &["service"],
            )?,
        ];
        Ok(Mirrored { recorder, table, clock, descriptions })
    }

    fn family(&self, index: usize, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
        family(&self.descriptions[index], kind, metrics)
    }
}

impl Collector for Mirrored {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut sums: BTreeMap<Arc<str>, [u64; 3]> = BTreeMap::new();
        let (mut requests, mut failures, mut durations) = (vec![], vec![], vec![]);
        let table = self.table.load();
        let pools = table.services.iter().flat_map(|s| s.pools.iter().map(|pool| (&*s.name, &*pool.name)));
        let pools: BTreeSet<_> = pools.collect();
        let arms = self.recorder.mirror_arms().into_iter();
        for (arm, service, pool) in arms.filter(|(_, service, pool)| pools.contains(&(&**service, &**pool))) {
            let totals = self.recorder.totals(arm, self.clock.now_us(), &SlowLimits::default());
            let labels = [("pool", &*pool), ("service", &*service)];
            requests.extend(by_code(labels, &totals));
            failures.extend(by_reason(labels, &totals));
            durations.push(histogram(&labels, &totals));
            let sum = sums.entry(service.clone()).or_default();
            let counts = [totals.dropped, totals.compared, totals.differing];
            sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        let of = |index: usize| {
            let metric =
                |(service, sums): (&Arc<str>, &[u64; 3])| counter(&[("service", service)], sums[index]);
            self.family(3 + index, MetricType::COUNTER, sums.iter().map(metric).collect())
        };
        let families = [
            self.family(0, MetricType::COUNTER, requests),
            self.family(1, MetricType::COUNTER, failures),
            self.family(2, MetricType::HISTOGRAM, durations),
        ];
        families.into_iter().chain((0..3).map(of)).collect()
    }
}
