//! The mirror: which requests are copied, and what a copy is made of.
//!
//! A copy is what stable is sent, and a task of the same worker sends it ([`sending`]) while the original waits
//! for its answer; the original waits for nothing of it. Only what is safe is copied (RFC 9110, 9.2.1), has
//! no body, and ends: no upgrade and no stream of events.

mod evidence;
mod sending;

pub(in crate::proxy) use sending::{Sender, sender};

use crate::core::balance::Tried;
use crate::core::mirror::Place;
use crate::core::own_limit::OwnLimit;
use crate::core::table::Pool;
use crate::proxy::decide::plan;
use crate::proxy::exchange::request::host;
use crate::proxy::exchange::{Original, Request};
use crate::proxy::headers::hops::HopMark;
use crate::proxy::headers::to_upstream;
use crate::proxy::listen::places::Places;
use crate::proxy::measure::meter::Meter;
use crate::proxy::upstream::keyring::Keyring;
use crate::proxy::upstream::peer::{self, PeerNeeds};
use crate::proxy::wire::changes::Changes;
use evidence::MirrorEvidence;
use http::header::{ACCEPT, CONNECTION, HOST, HeaderName, UPGRADE};
use http::{HeaderValue, Method, Uri, Version};
use pingora_http::RequestHeader;
use sending::Copy;

/// Says to the candidate that nobody waits for its answer.
const MARK: HeaderName = HeaderName::from_static("x-pointsman-mirror");

/// What copies are sent with.
#[derive(Clone, Copy)]
pub(in crate::proxy) struct MirrorTools<'a> {
    pub meter: &'a Meter,
    pub sender: &'a Sender,
    pub places: &'a Places,
    pub hop_mark: &'a HopMark,
    pub keyring: &'a Keyring,
}

/// Sends a copy of a request that is on its way to stable, where one is wanted; what is kept of the original's
/// answer, where the two are compared. `sent` is what stable gets; `draw` is random.
pub(in crate::proxy) fn copy(
    with: &MirrorTools<'_>,
    request: &Request,
    sent: &mut Changes<'_>,
    draw: u64,
) -> Option<Box<Original>> {
    if !request.inbound.believed {
        sent.remove(&MARK);
    }
    let target = request.plan.target;
    let service = target.and_then(|target| target.service(&request.plan.table));
    let mirroring = service.and_then(|service| service.mirroring.as_ref())?;
    let is_first = target.is_some_and(|target| target.pool == mirroring.stable) && request.attempts.made == 1;
    // A copy that comes back here by way of others is not copied again.
    let has_returned = with.hop_mark.is_known(&request.head.headers);
    if !is_first
        || has_returned
        || !request.is_measured()
        || !mirroring.takes(draw as u32)
        || !is_plain(request, sent)
    {
        return None;
    }
    let pool = service.and_then(|service| service.pools.get(mirroring.candidate))?;
    let Some(place) = mirroring.under_way.enter(mirroring.mirror.in_flight) else {
        with.meter.shard.dropped(mirroring.arm);
        return None;
    };
    send(with, request, sent, pool, mirroring, place, draw)
}

/// Sends it; what is kept of the original's answer, where the two are compared.
fn send(
    with: &MirrorTools<'_>,
    request: &Request,
    sent: &Changes<'_>,
    pool: &Pool,
    mirroring: &crate::core::mirror::Mirroring,
    place: Place,
    draw: u64,
) -> Option<Box<Original>> {
    let shard = &with.meter.shard;
    let chosen = plan::upstream(pool, request, (draw >> 32) as u32, Tried::default());
    let (arm, client) = (mirroring.arm, request.client_key());
    let evidence = MirrorEvidence {
        meter: with.meter.clone(),
        arm,
        thresholds: pool.thresholds,
        failures: pool.failures,
        client,
        counts: true,
    };
    let Some(upstream) = chosen.and_then(|index| pool.upstreams.get(index)) else {
        if pool.is_ready() {
            // Full: an own limit, as any other that copies meet.
            shard.own_limit(OwnLimit::MaxConns);
            shard.dropped(arm);
        } else {
            evidence.unavailable();
        }
        return None;
    };
    let counts = with.meter.is_evidence(pool, upstream, arm, request.inbound.started_us);
    let evidence = MirrorEvidence { counts, ..evidence };
    let descriptor = with.places.upstream();
    if descriptor.is_none() && !pool.http2 {
        shard.own_limit(OwnLimit::Descriptors);
        shard.dropped(arm);
        return None;
    }
    let timeouts = request.timeouts(pool);
    let needs = PeerNeeds { timeouts, is_alone: false, is_repeatable: true };
    let peer = Box::new(peer::peer(with.keyring, pool, upstream, needs, draw).ok()?);
    let mut whole = to_upstream::whole(request, sent);
    if let Some(host) = to_upstream::own_host(pool, upstream) {
        whole.insert_header(HOST, host).ok()?;
    }
    let head = copied(&request.head, whole, pool)?;
    let (original, stable) =
        mirroring.mirror.compare.as_ref().map(|_| Original::new(&mirroring.mirror)).unzip();
    let live = upstream.live.clone();
    let copy = Copy {
        evidence,
        sender: with.sender.clone(),
        read: timeouts.read,
        live: upstream.live.clone(),
        _in_flight: if counts { live.enter() } else { live.enter_aside() },
        _place: place,
        _descriptor: descriptor.filter(|_| !pool.http2),
        head,
        peer,
        mirror: mirroring.mirror.clone(),
        stable,
    };
    tokio::spawn(copy.send());
    original.map(Box::new)
}

/// Whether a request may be made twice, and its answer ends.
fn is_plain(request: &Request, sent: &Changes<'_>) -> bool {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&request.head.method);
    let streams =
        |value: &[u8]| value.to_ascii_lowercase().windows(17).any(|part| part == b"text/event-stream");
    safe && !sent.has(&UPGRADE)
        && !sent.has(&MARK)
        && !sent.values(&ACCEPT).any(streams)
        && request.inbound.body.is_empty
}

/// The head of a copy; `None` where it cannot be said in the pool's protocol.
fn copied(asked: &RequestHeader, sent: RequestHeader, pool: &Pool) -> Option<Box<RequestHeader>> {
    let mut copy = Box::new(sent);
    copy.remove_header(&CONNECTION);
    copy.insert_header(MARK, HeaderValue::from_static("1")).ok()?;
    let host = match copy.headers.get(HOST) {
        Some(host) => host.clone(),
        None => HeaderValue::from_str(host(asked)).ok()?,
    };
    if !pool.http2 {
        copy.set_version(Version::HTTP_11);
        copy.insert_header(HOST, host).ok()?;
        return Some(copy);
    }
    // Bytes that are no UTF-8 stand in there as something else.
    let carried = if copy.raw_path_is_utf8() { &copy.uri } else { &asked.uri };
    let target = carried.path_and_query().cloned()?;
    let scheme = if pool.tls.is_some() { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(host.as_bytes()).path_and_query(target);
    copy.set_uri(uri.build().ok()?);
    copy.remove_header(&HOST);
    copy.set_version(Version::HTTP_2);
    Some(copy)
}
