//! Telling others: what waits in the outbox is brought to its receivers.
//!
//! Each receiver has a task of its own that delivers in order, the oldest first, and tries again for
//! days. One that is down delays nobody: not the other receivers, and not the controller, which has
//! written the notice and gone on. A new configuration takes effect with the next letter.

mod courier;
mod github;
mod outcome;
mod text;
mod webhook;

use crate::control::journal::outbox::Outbox;
use crate::core::settings::{Config, Notify};
use crate::observe::metrics::Metrics;
use courier::Courier;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);

/// Places at the desk: a courier has one for as long as it is busy with a letter. Whoever holds them all
/// knows that no letter is on its way.
pub const PLACES: u32 = 1 << 16;

/// Delivers until the controller has stopped. `desk` has [`PLACES`] permits.
pub async fn deliver(
    outbox: Outbox,
    mut configs: watch::Receiver<Arc<Config>>,
    metrics: Arc<Metrics>,
    desk: Arc<Semaphore>,
) {
    let client = match client() {
        Ok(client) => client,
        Err(error) => return tracing::error!("nobody can be notified, there is no HTTP client: {error}"),
    };
    let mut office = Office { outbox, metrics, client, desk, couriers: BTreeMap::new() };
    loop {
        let config = configs.borrow_and_update().clone();
        office.appoint(&config.notify);
        office.clear(&config.notify).await;
        if configs.changed().await.is_err() {
            return;
        }
    }
}

/// Proxies are the environment's. No redirects: a receiver is the one that is configured.
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .timeout(TIMEOUT)
        .connect_timeout(CONNECT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("pointsman/", env!("CARGO_PKG_VERSION")))
        .build()
}

struct Office {
    outbox: Outbox,
    metrics: Arc<Metrics>,
    client: reqwest::Client,
    desk: Arc<Semaphore>,
    couriers: BTreeMap<String, Appointed>,
}

/// A receiver's task.
struct Appointed {
    task: JoinHandle<()>,
    /// `None` once it has been told to stop; it still finishes the letter at hand.
    at_work: Option<(Notify, oneshot::Sender<()>)>,
}

impl Office {
    /// One task for each receiver, a new one where its settings have changed.
    fn appoint(&mut self, receivers: &[Notify]) {
        for courier in self.couriers.values_mut() {
            courier.at_work.take_if(|(settings, _)| !receivers.contains(settings));
        }
        self.couriers.retain(|_, courier| courier.at_work.is_some() || !courier.task.is_finished());
        for settings in receivers {
            let before = self.couriers.remove(&settings.name);
            let appointed = match before {
                Some(same) if same.at_work.is_some() => same,
                before => self.start(settings.clone(), before.map(|old| old.task)),
            };
            self.couriers.insert(settings.name.clone(), appointed);
        }
    }

    /// Never two at once for one receiver: letters would overtake each other.
    fn start(&self, settings: Notify, before: Option<JoinHandle<()>>) -> Appointed {
        let (stop, stopped) = oneshot::channel();
        let courier = Courier {
            settings: settings.clone(),
            outbox: self.outbox.clone(),
            metrics: self.metrics.clone(),
            client: self.client.clone(),
            desk: self.desk.clone(),
        };
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                // A task that panicked is not there any more either.
                let _ = before.await;
            }
            courier.run(stopped).await;
        });
        Appointed { task, at_work: Some((settings, stop)) }
    }

    /// Takes out what waits for receivers that are no longer configured.
    async fn clear(&self, receivers: &[Notify]) {
        let names = receivers.iter().map(|settings| settings.name.clone()).collect();
        match self.outbox.keep_only(names).await {
            Ok(gone) => {
                for (receiver, count) in gone {
                    tracing::warn!(receiver, count, "undelivered notices dropped: no longer configured");
                }
            }
            Err(error) => tracing::error!("{error}"),
        }
    }
}
