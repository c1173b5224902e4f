//! Sends the spans of sampled requests to a collector: OTLP over HTTP, in JSON.
//!
//! The workers hand over lines, many at a time; this makes spans of them and sends them, one request after the other. A
//! collector that is slow or gone costs spans alone: what waits is bounded, and workers drop what has no room. What a
//! collector may take later is tried again a few times.

mod document;
mod line;
mod span;

use crate::core::settings::{Otlp, Trust};
use crate::observe::access_log::{SpanBatch, SpanCounts};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Certificate, Client, StatusCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::sleep;

const CONNECT: Duration = Duration::from_secs(5);
/// Batches are put together up to so many bytes.
const SENT_BYTES: usize = 512 << 10;
/// How often the same spans are sent, and the pause after the first time; it doubles.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that a collector may ask for.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Sends spans until it is stopped.
#[derive(Debug)]
pub struct Exporter {
    settings: Otlp,
    client: Client,
    batches: Receiver<SpanBatch>,
    counts: Arc<SpanCounts>,
    /// Whether the last spans were not taken, which the log has once.
    is_failing: bool,
}

/// Why spans were not taken.
#[derive(Debug)]
enum Untaken {
    Now(String),
    /// They may be taken later, after the pause that was asked for.
    Later(String, Option<Duration>),
}

impl Exporter {
    /// # Errors
    /// When the system's authorities cannot be read.
    pub fn new(
        settings: &Otlp,
        batches: Receiver<SpanBatch>,
        counts: Arc<SpanCounts>,
    ) -> reqwest::Result<Self> {
        let builder = Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("pointsman/", env!("CARGO_PKG_VERSION")));
        let builder = match &settings.trust {
            Trust::Authorities(authorities) => {
                let certificates = authorities.iter().map(|der| Certificate::from_der(der));
                builder.tls_certs_only(certificates.collect::<reqwest::Result<Vec<_>>>()?)
            }
            Trust::System | Trust::Anybody => builder,
        };
        let (settings, client) = (settings.clone(), builder.build()?);
        Ok(Exporter { settings, client, batches, counts, is_failing: false })
    }

    /// Sends what comes; once `stopped`, what waits, each once.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        loop {
            let first = tokio::select! {
                biased;
                first = self.batches.recv() => first,
                _ = stopped.wait_for(|stopped| *stopped) => self.batches.try_recv().ok(),
            };
            let Some(batch) = first else { return };
            let batch = self.gathered(batch);
            self.send(&batch, &mut stopped).await;
        }
    }

    /// With what else waits.
    fn gathered(&mut self, mut batch: SpanBatch) -> SpanBatch {
        while batch.text.len() < SENT_BYTES {
            let Ok(next) = self.batches.try_recv() else { break };
            batch.text.extend_from_slice(&next.text);
            batch.requests += next.requests;
        }
        batch
    }

    async fn send(&mut self, batch: &SpanBatch, stopped: &mut watch::Receiver<bool>) {
        let body = document::of(&self.settings.service, &batch.text);
        let mut pause = PAUSE;
        for tries in 1..=TRIES {
            let why = match self.post(body.clone()).await {
                Ok(()) => {
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!("the collector takes spans again");
                    }
                    return count(&self.counts.sent, batch.requests);
                }
                Err(Untaken::Later(_, asked)) if tries < TRIES && !*stopped.borrow() => {
                    let until = asked.unwrap_or_default().max(pause).min(MAX_PAUSE);
                    tokio::select! {
                        () = sleep(until) => {}
                        _ = stopped.wait_for(|stopped| *stopped) => {}
                    }
                    pause *= 2;
                    continue;
                }
                Err(Untaken::Now(why) | Untaken::Later(why, _)) => why,
            };
            if !std::mem::replace(&mut self.is_failing, true) {
                tracing::warn!(endpoint = self.settings.endpoint, "the collector takes no spans: {why}");
            }
            return count(&self.counts.refused, batch.requests);
        }
    }

    async fn post(&self, body: String) -> Result<(), Untaken> {
        let request = self.client.post(&self.settings.endpoint).headers(self.settings.headers.clone());
        let answer = request.header(CONTENT_TYPE, "application/json").body(body).send().await;
        // The address may hold a secret in its query.
        let answer = answer.map_err(|error| Untaken::Later(root(&error.without_url()), None))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let why = format!("it answered {status}");
        let asked =
            answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.trim().parse().ok());
        // As the protocol's specification lists them.
        let is_passing = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        match is_passing.contains(&status) {
            true => Err(Untaken::Later(why, asked.map(Duration::from_secs))),
            false => Err(Untaken::Now(why)),
        }
    }
}

/// The innermost error, which says what has happened.
fn root(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn count(counter: &AtomicU64, requests: u64) {
    counter.fetch_add(requests, Relaxed);
}
