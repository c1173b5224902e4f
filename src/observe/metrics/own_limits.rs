//! What the proxy itself was short of, or did not allow.

use super::traffic::{counter, family};
use crate::core::own_limit::OwnLimit;
use crate::observe::recorder::Recorder;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use std::collections::HashMap;
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
        let (name, labels) = ("pointsman_own_limit_total".to_owned(), vec!["limit".to_owned()]);
        Ok(Met { recorder, description: Desc::new(name, help.to_owned(), labels, HashMap::new())? })
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
