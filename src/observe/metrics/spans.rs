//! What became of sampled requests.

use super::parts::{counter, description, family};
use crate::observe::access_log::SpanCounts;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Each result from 0 on.
pub(super) struct Exported {
    counts: Arc<SpanCounts>,
    description: Desc,
}

impl Exported {
    pub(super) fn new(counts: Arc<SpanCounts>) -> Result<Self, prometheus::Error> {
        let help = "Sampled requests whose spans the collector took, or refused, or that were dropped for want of room.";
        Ok(Exported { counts, description: description("pointsman_otlp_requests_total", help, &["result"])? })
    }
}

impl Collector for Exported {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let SpanCounts { sent, dropped, refused } = &*self.counts;
        let results = [("dropped", dropped), ("refused", refused), ("sent", sent)];
        let metrics = results.map(|(result, count)| counter(&[("result", result)], count.load(Relaxed)));
        vec![family(&self.description, MetricType::COUNTER, metrics.to_vec())]
    }
}
