//! What clients were answered, their connections, what bodies and unread answers hold, and the limits of those.

use super::parts::{counter, description, family, gauge};
use crate::core::memory::MemoryAccount;
use crate::core::table::Table;
use crate::observe::recorder::Recorder;
use arc_swap::ArcSwap;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{Metric, MetricFamily, MetricType};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// The route of requests that have none.
const NO_ROUTE: &str = "none";

/// Where the data plane counts its clients.
#[derive(Clone, Debug)]
pub struct ClientCounts {
    /// In the order in which their answers are counted.
    pub listeners: Vec<ListenerCounts>,
    /// How many connections there may be, over all listeners.
    pub most: Arc<AtomicU32>,
    pub memory: Arc<MemoryAccount>,
}

/// Those of one listener.
#[derive(Clone, Debug)]
pub struct ListenerCounts {
    pub address: String,
    /// Connections.
    pub open: Arc<AtomicU32>,
    /// `None` without TLS.
    pub failed_handshakes: Option<Arc<AtomicU64>>,
}

/// What is shown of them.
pub(super) struct Clients {
    counts: ClientCounts,
    /// Which routes there are.
    table: Arc<ArcSwap<Table>>,
    recorder: Arc<Recorder>,
    descriptions: [Desc; 6],
}

impl Clients {
    pub(super) fn new(
        counts: ClientCounts,
        table: Arc<ArcSwap<Table>>,
        recorder: Arc<Recorder>,
    ) -> Result<Self, prometheus::Error> {
        let descriptions = [
            description(
                "pointsman_http_requests_total",
                "Requests of clients by the status of their answer, no matter who made it, or its class; none without an answer.",
                &["listener", "route", "code"],
            )?,
            description("pointsman_client_connections", "Open connections of clients.", &["listener"])?,
            description(
                "pointsman_tls_handshake_failures_total",
                "TLS handshakes of clients that failed or took too long.",
                &["listener"],
            )?,
            description(
                "pointsman_client_connections_limit",
                "Connections that clients may have open, over all listeners.",
                &[],
            )?,
            description("pointsman_memory_held_bytes", "What bodies and unread answers hold together.", &[])?,
            description("pointsman_memory_limit_bytes", "What bodies and unread answers may hold.", &[])?,
        ];
        Ok(Clients { counts, table, recorder, descriptions })
    }

    /// By listener, route and status; of routes that are there.
    fn answers(&self) -> Vec<Metric> {
        let table = self.table.load();
        let specs = table.routes.specs().iter().zip(table.answers.iter());
        // Routes of one name have one count.
        let mut routes: BTreeMap<_, _> = specs.map(|(spec, answers)| (spec.label(), &**answers)).collect();
        routes.insert(NO_ROUTE.to_owned(), &self.recorder.unrouted);
        let mut metrics = Vec::new();
        for (place, listener) in self.counts.listeners.iter().enumerate() {
            for (route, answers) in &routes {
                metrics.extend(answers.at(place).map(|(code, count)| {
                    let labels = [("code", &*code), ("listener", &listener.address), ("route", route)];
                    counter(&labels, count)
                }));
            }
        }
        metrics
    }
}

impl Collector for Clients {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let ClientCounts { listeners, most, memory } = &self.counts;
        let open = |counts: &ListenerCounts| {
            gauge(&[("listener", &counts.address)], f64::from(counts.open.load(Relaxed)))
        };
        let failed = |counts: &ListenerCounts| {
            let failed = counts.failed_handshakes.as_ref()?;
            Some(counter(&[("listener", &counts.address)], failed.load(Relaxed)))
        };
        let metrics = [
            (MetricType::COUNTER, self.answers()),
            (MetricType::GAUGE, listeners.iter().map(open).collect()),
            (MetricType::COUNTER, listeners.iter().filter_map(failed).collect()),
            (MetricType::GAUGE, vec![gauge(&[], f64::from(most.load(Relaxed)))]),
            (MetricType::GAUGE, vec![gauge(&[], memory.held() as f64)]),
            (MetricType::GAUGE, vec![gauge(&[], memory.limit() as f64)]),
        ];
        let families = self.descriptions.iter().zip(metrics);
        families.map(|(description, (kind, metrics))| family(description, kind, metrics)).collect()
    }
}
