//! What the proxy itself was short of, or did not allow.

use super::parts::{counter, description, family};
use crate::core::own_limit::OwnLimit;
use crate::observe::recorder::Recorder;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use std::sync::Arc;

/// Own limits that were met, by name; each from 0 on.
pub(super) struct Met {
    recorder: Arc<Recorder>,
    description: Desc,
}

impl Met {
    pub(super) fn new(recorder: Arc<Recorder>) -> Result<Self, prometheus::Error> {
        let help =
            "How often the proxy was short of something itself, or did not allow it; charged to no pool.";
        let description = description("pointsman_own_limit_total", help, &["limit"])?;
        Ok(Met { recorder, description })
    }
}

impl Collector for Met {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counts = OwnLimit::ALL.into_iter().zip(self.recorder.own_limits());
        let metrics = counts.map(|(limit, count)| counter(&[("limit", limit.label())], count)).collect();
        vec![family(&self.description, MetricType::COUNTER, metrics)]
    }
}
