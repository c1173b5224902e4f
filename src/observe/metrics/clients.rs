//! Connections of clients, what bodies and unread answers hold, and the limits of both.

use super::shown::gauge;
use super::traffic::family;
use crate::core::memory::MemoryAccount;
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Where the data plane counts its clients.
#[derive(Clone, Debug)]
pub struct ClientCounts {
    /// By the address of the listener.
    pub listeners: Vec<(String, Arc<AtomicU32>)>,
    /// How many there may be, over all listeners.
    pub most: Arc<AtomicU32>,
    pub memory: Arc<MemoryAccount>,
}

/// What is shown of them.
pub(super) struct Clients {
    counts: ClientCounts,
    descriptions: [Desc; 4],
}

impl Clients {
    pub(super) fn new(counts: ClientCounts) -> Result<Self, prometheus::Error> {
        let describe = |name: &str, help: &str, labels: &[&str]| {
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        };
        let descriptions = [
            describe("pointsman_client_connections", "Open connections of clients.", &["listener"])?,
            describe(
                "pointsman_client_connections_limit",
                "Connections that clients may have open, over all listeners.",
                &[],
            )?,
            describe("pointsman_memory_held_bytes", "What bodies and unread answers hold together.", &[])?,
            describe("pointsman_memory_limit_bytes", "What bodies and unread answers may hold.", &[])?,
        ];
        Ok(Clients { counts, descriptions })
    }
}

impl Collector for Clients {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let ClientCounts { listeners, most, memory } = &self.counts;
        let of = |(listener, count): &(String, Arc<AtomicU32>)| {
            gauge(&[("listener", listener)], f64::from(count.load(Relaxed)))
        };
        let metrics = [
            listeners.iter().map(of).collect(),
            vec![gauge(&[], f64::from(most.load(Relaxed)))],
            vec![gauge(&[], memory.held() as f64)],
            vec![gauge(&[], memory.limit() as f64)],
        ];
        let families = self.descriptions.iter().zip(metrics);
        families.map(|(description, metrics)| family(description, MetricType::GAUGE, metrics)).collect()
    }
}
