//! The fleet: who belongs to it, whether this instance leads, and how soon what is decided is in effect here.

use super::parts::{description, family, gauge};
use crate::core::fleet::status::FleetView;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{Histogram, HistogramOpts};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Upper bounds, seconds: a change is in effect everywhere within 10 ms, and a call to the store is given up after 7 s.
const BOUNDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// How long the store and the own table take; cheap to clone.
#[derive(Clone, Debug)]
pub struct FleetTimes {
    store: Histogram,
    apply: Histogram,
}

impl FleetTimes {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let histogram = |name: &str, help: &str| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(BOUNDS.to_vec()))
        };
        Ok(FleetTimes {
            store: histogram(
                "pointsman_fleet_store_seconds",
                "Time until the store of the fleet had answered a transaction.",
            )?,
            apply: histogram(
                "pointsman_fleet_apply_seconds",
                "Time from hearing of a change in the fleet until it was in effect here.",
            )?,
        })
    }

    /// A transaction was answered, whatever the answer was.
    pub fn stored(&self, took: Duration) {
        self.store.observe(took.as_secs_f64());
    }

    /// What was heard of is in effect.
    pub fn applied(&self, took: Duration) {
        self.apply.observe(took.as_secs_f64());
    }

    pub(super) fn all(&self) -> [&Histogram; 2] {
        [&self.store, &self.apply]
    }
}

/// What the view of the fleet says, as gauges.
pub(super) struct FleetGauges {
    view: watch::Receiver<Arc<FleetView>>,
    /// Members, missing ones, leading, connected.
    descriptions: [Desc; 4],
}

impl FleetGauges {
    pub(super) fn new(view: watch::Receiver<Arc<FleetView>>) -> Result<Self, prometheus::Error> {
        let descriptions = [
            description("pointsman_fleet_members", "Members of the fleet, missing ones included.", &[])?,
            description("pointsman_fleet_missing", "Members of the fleet that are not there.", &[])?,
            description("pointsman_fleet_leading", "1 where this instance leads the fleet.", &[])?,
            description("pointsman_fleet_connected", "1 where changes of the store are heard.", &[])?,
        ];
        Ok(FleetGauges { view, descriptions })
    }
}

impl Collector for FleetGauges {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let view = self.view.borrow().clone();
        let leads = view.connected && view.leader().is_some_and(|leader| leader.name == view.name);
        let flag = |is_so: bool| usize::from(is_so);
        let values = [view.members.len(), view.missing().count(), flag(leads), flag(view.connected)];
        let families = self.descriptions.iter().zip(values).map(|(description, value)| {
            family(description, MetricType::GAUGE, vec![gauge(&[], value as f64)])
        });
        families.collect()
    }
}
