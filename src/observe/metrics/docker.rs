//! Whether Docker is followed.

use super::parts::{description, family, gauge};
use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

const NONE: u8 = 0;
const DOWN: u8 = 1;
const UP: u8 = 2;

/// How it stands with Docker, where one is configured.
#[derive(Debug, Default)]
pub struct DockerGauge(AtomicU8);

impl DockerGauge {
    /// `None` where the configuration names none.
    pub fn set(&self, is_up: Option<bool>) {
        let state = is_up.map_or(NONE, |is_up| if is_up { UP } else { DOWN });
        self.0.store(state, Ordering::Relaxed);
    }
}

pub(super) struct DockerUp {
    gauge: Arc<DockerGauge>,
    description: Desc,
}

impl DockerUp {
    pub(super) fn new(gauge: Arc<DockerGauge>) -> Result<Self, prometheus::Error> {
        let help = "Whether Docker's events are followed; absent without [docker].";
        Ok(DockerUp { gauge, description: description("pointsman_docker_up", help, &[])? })
    }
}

impl Collector for DockerUp {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.description]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        match self.gauge.0.load(Ordering::Relaxed) {
            NONE => Vec::new(),
            state => {
                let metric = gauge(&[], f64::from(u8::from(state == UP)));
                vec![family(&self.description, MetricType::GAUGE, vec![metric])]
            }
        }
    }
}
