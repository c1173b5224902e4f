//! Names of upstreams: looked up at start and again, since containers come back with new addresses.

use super::targets::{Probes, Target};
use crate::control::command::{Controller, Input};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::{interval, timeout};

/// Time between two look-ups, and the longest one may take.
const EVERY: Duration = Duration::from_secs(5);

/// Tells the controller whenever the answer changes, and keeps every address under check.
pub(super) async fn run(controller: Controller, target: Target, host: Arc<str>, port: u16) {
    let mut probes = Probes::default();
    let mut last = None;
    let mut ticks = interval(EVERY);
    loop {
        ticks.tick().await;
        let result = look_up(&host, port).await;
        if last.as_ref() == Some(&result) {
            continue;
        }
        let input = Input::Resolved {
            service: target.service.clone(),
            pool: target.pool.clone(),
            upstream: target.upstream.clone(),
            result: result.clone(),
        };
        if !controller.tell(input).await {
            return;
        }
        if let Ok(addresses) = &result
            && target.health.is_some()
        {
            probes.follow(&controller, &target, addresses);
        }
        last = Some(result);
    }
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
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
