//! Connections to upstreams that a worker keeps for its next requests.
//!
//! They belong to the worker's thread. The one that was used last is taken first, so that those that are too many
//! become old, and end.

use super::http1::Http1Connection;
use crate::core::balance::mix;
use crate::core::outcome::ArmId;
use crate::core::settings::UpstreamTls;
use crate::core::table::{Pool, Upstream};
use crate::core::upstream_address::UpstreamAddress;
use crate::observe::clock::Clock;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// How often connections are looked through for those that have ended.
const SWEEP: Duration = Duration::from_secs(1);

thread_local! {
    static KEPT: RefCell<KeptConnections> = RefCell::default();
}

#[derive(Default)]
struct KeptConnections {
    of: HashMap<u64, Vec<Kept>, BuildHasherDefault<IsHashed>>,
    count: usize,
}

/// What is looked up by is a hash already.
#[derive(Default)]
struct IsHashed(u64);

impl Hasher for IsHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = mix(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

fn place(pool: &Pool, upstream: &Upstream) -> u64 {
    mix(upstream.hash ^ u64::from(pool.arm.0))
}

struct Kept {
    connection: Box<Http1Connection>,
    arm: ArmId,
    address: UpstreamAddress,
    tls: Option<Arc<UpstreamTls>>,
    /// The name that it was made under.
    label: Arc<str>,
    until_us: u64,
}

/// A connection to this upstream that is still open, if one is kept.
pub(in crate::proxy) fn take(pool: &Pool, upstream: &Upstream, now_us: u64) -> Option<Box<Http1Connection>> {
    KEPT.with_borrow_mut(|kept| {
        let connections = kept.of.get_mut(&place(pool, upstream))?;
        while let Some(mut last) = connections.pop() {
            kept.count -= 1;
            let is_it = last.arm == pool.arm && last.address == upstream.address;
            let is_it = is_it && last.label == upstream.label && is_same(&last.tls, &pool.tls);
            if is_it && last.until_us > now_us && last.connection.is_quiet() {
                return Some(last.connection);
            }
        }
        None
    })
}

/// Keeps a connection that has served a request to its end; `most` are kept in all.
pub(in crate::proxy) fn keep(
    connection: Box<Http1Connection>,
    pool: &Pool,
    upstream: &Upstream,
    now_us: u64,
    most: usize,
) {
    let until_us = now_us.saturating_add(pool.keepalive.as_micros() as u64);
    if pool.keepalive.is_zero() {
        return;
    }
    let (arm, address) = (pool.arm, upstream.address);
    let kept =
        Kept { connection, arm, address, tls: pool.tls.clone(), label: upstream.label.clone(), until_us };
    KEPT.with_borrow_mut(|all| {
        if all.count < most {
            all.count += 1;
            all.of.entry(place(pool, upstream)).or_default().push(kept);
        }
    });
}

/// Ends connections that are too old, or that the other side has closed. To be run by the worker, for ever.
pub(in crate::proxy) async fn sweep(clock: Clock) {
    loop {
        sleep(SWEEP).await;
        let now_us = clock.now_us();
        KEPT.with_borrow_mut(|all| {
            all.of.retain(|_, connections| {
                connections.retain_mut(|kept| kept.until_us > now_us && kept.connection.is_quiet());
                !connections.is_empty()
            });
            all.count = all.of.values().map(Vec::len).sum();
        });
    }
}

/// Ends all of this worker's.
pub(in crate::proxy) fn clear() {
    KEPT.with_borrow_mut(|kept| *kept = KeptConnections::default());
}

fn is_same(one: &Option<Arc<UpstreamTls>>, other: &Option<Arc<UpstreamTls>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
        _ => false,
    }
}
