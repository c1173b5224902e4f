//! The spans of sampled requests on their way to a collector, where one is configured.

use crate::core::settings::Config;
use crate::observe::access_log::SpanLog;
use crate::observe::clock::Clock;
use crate::otlp::Exporter;
use anyhow::Context;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long the last spans may take at the end.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// What sends them.
#[derive(Debug)]
pub(super) struct Exporting {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Where workers leave them, and who will send them.
///
/// # Errors
/// When the system's authorities cannot be read.
pub(super) fn prepare(config: &Config, clock: Clock) -> anyhow::Result<(Option<SpanLog>, Option<Exporter>)> {
    let Some(settings) = &config.otlp else { return Ok((None, None)) };
    let (log, batches) = SpanLog::new(clock);
    let exporter = Exporter::new(settings, batches, log.counts()).context("otlp")?;
    Ok((Some(log), Some(exporter)))
}

impl Exporting {
    pub(super) fn start(runtime: &Runtime, exporter: Exporter) -> Self {
        let (stop, stopped) = watch::channel(false);
        Exporting { stop, task: runtime.spawn(exporter.run(stopped)) }
    }

    /// Sends what waits, once the workers have ended. Blocks.
    pub(super) fn end(self, runtime: &Runtime) {
        self.stop.send_replace(true);
        let ended = async { tokio::time::timeout(LAST_SPANS, self.task).await };
        if runtime.block_on(ended).is_err() {
            tracing::warn!("the collector did not take the last spans in time");
        }
    }
}
