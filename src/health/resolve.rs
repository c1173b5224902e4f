//! Names of upstreams: looked up at start and again, since containers come back with new addresses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::{Interval, interval, timeout};

/// Time between two look-ups, and the longest one may take.
const EVERY: Duration = Duration::from_secs(5);

/// What a name resolves to (sorted), or why it does not.
pub(super) type Found = Result<Vec<SocketAddr>, String>;

/// One name under watch.
#[derive(Debug)]
pub(super) struct Names {
    host: Arc<str>,
    port: u16,
    ticks: Interval,
    last: Option<Found>,
}

impl Names {
    pub(super) fn of(host: Arc<str>, port: u16) -> Self {
        Names { host, port, ticks: interval(EVERY), last: None }
    }

    /// The answer of the first look-up, and then the next one that differs.
    pub(super) async fn changed(&mut self) -> Found {
        loop {
            self.ticks.tick().await;
            let found = look_up(&self.host, self.port).await;
            if self.last.as_ref() != Some(&found) {
                self.last = Some(found.clone());
                return found;
            }
        }
    }
}

async fn look_up(host: &str, port: u16) -> Found {
    match timeout(EVERY, lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let mut addresses: Vec<_> = found.collect();
            addresses.sort_unstable();
            addresses.dedup();
            if addresses.is_empty() { Err("the name has no address".into()) } else { Ok(addresses) }
        }
        Ok(Err(error)) => Err(format!("the name does not resolve: {error}")),
        Err(_) => Err(format!("the name does not resolve within {EVERY:?}")),
    }
}
