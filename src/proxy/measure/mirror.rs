//! The mirror: which requests are copied, and what a copy is made of.
//!
//! A copy is what stable is sent, and a task of the same worker sends it ([`copy`]) while the original waits
//! for its answer; the original waits for nothing of it. Only what is safe is copied (RFC 9110, 9.2.1), has
//! no body, and ends: no upgrade and no stream of events.

mod copy;
mod evidence;
mod original;

pub(in crate::proxy) use copy::{Sender, sender};
pub(in crate::proxy) use original::Original;

use crate::core::balance::Tried;
use crate::core::mirror::{Mirroring, Place};
use crate::core::own_limit::OwnLimit;
use crate::core::table::Pool;
use crate::proxy::decide::plan;
use crate::proxy::exchange::request::Request;
use crate::proxy::lane::gate::Gate;
use crate::proxy::upstream::peer::PeerNeeds;
use copy::Copy;
use evidence::Evidence;
use http::header::{ACCEPT, CONNECTION, HOST, HeaderName};
use http::{HeaderValue, Method, Uri, Version};
use pingora_http::RequestHeader;
use pingora_proxy::Session;

/// Says to the candidate that nobody waits for its answer.
const MARK: HeaderName = HeaderName::from_static("x-pointsman-mirror");

impl Gate {
    /// Sends a copy of a request that is on its way to stable, where one is wanted. `sent` is what stable
    /// gets.
    pub(in crate::proxy) fn mirror(
        &self,
        session: &mut Session,
        request: &mut Request,
        sent: &mut RequestHeader,
    ) {
        if !request.believed {
            sent.remove_header(&MARK);
        }
        let service = request.target.and_then(|target| target.service(&request.table));
        let Some(mirroring) = service.and_then(|service| service.mirroring.as_ref()) else { return };
        let first =
            request.target.is_some_and(|target| target.pool == mirroring.stable) && request.attempts == 1;
        // A copy that comes back here by way of others is not copied again.
        let returned = self.shared.hop_mark.is_known(&session.req_header().headers);
        if !first || returned || !mirroring.takes(self.draw() as u32) || !is_plain(session, sent) {
            return;
        }
        let pool = service.and_then(|service| service.pools.get(mirroring.candidate));
        let Some(pool) = pool else { return };
        let Some(place) = mirroring.under_way.enter(mirroring.mirror.in_flight) else {
            return self.shard.dropped(mirroring.arm);
        };
        let original = self.copy(session, request, sent, pool, mirroring, place);
        request.original = original;
    }

    /// Sends it; what is kept of the original's answer, where the two are compared.
    fn copy(
        &self,
        session: &Session,
        request: &Request,
        sent: &RequestHeader,
        pool: &Pool,
        mirroring: &Mirroring,
        place: Place,
    ) -> Option<Box<Original>> {
        let header = session.req_header();
        let chosen = plan::upstream(pool, header, request.client, self.draw() as u32, Tried::default());
        let evidence = Evidence {
            shared: self.shared.clone(),
            shard: self.shard.clone(),
            arm: mirroring.arm,
            slow: pool.slow,
            client: request.client_key(),
        };
        let Some(upstream) = chosen.and_then(|index| pool.upstreams.get(index)) else {
            if pool.is_ready() {
                // Full: an own limit, as any other that copies meet.
                self.shard.own_limit(OwnLimit::MaxConns);
                self.shard.dropped(mirroring.arm);
            } else {
                evidence.unavailable();
            }
            return None;
        };
        let descriptor = self.shared.places.upstream();
        if descriptor.is_none() && !pool.http2 {
            self.shard.own_limit(OwnLimit::Descriptors);
            self.shard.dropped(mirroring.arm);
            return None;
        }
        let timeouts = request.timeouts(pool);
        let needs = PeerNeeds { timeouts, is_alone: false, is_repeatable: true };
        let peer = Box::new(self.peer(pool, upstream, needs));
        let head = copied(header, sent, pool)?;
        let (original, stable) =
            mirroring.mirror.compare.as_ref().map(|_| Original::new(&mirroring.mirror)).unzip();
        let copy = Copy {
            evidence,
            sender: self.sender.clone(),
            read: timeouts.read,
            live: upstream.live.clone(),
            _in_flight: upstream.live.clone().enter(),
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
}

/// Whether a request may be made twice, and its answer ends.
fn is_plain(session: &mut Session, sent: &RequestHeader) -> bool {
    let safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&sent.method);
    let streams = |value: &HeaderValue| {
        value.as_bytes().to_ascii_lowercase().windows(17).any(|part| part == b"text/event-stream")
    };
    safe && !session.is_upgrade_req()
        && !sent.headers.contains_key(&MARK)
        && !sent.headers.get_all(ACCEPT).iter().any(streams)
        && session.is_body_empty()
}

/// The head of a copy; `None` where it cannot be said in the pool's protocol.
fn copied(asked: &RequestHeader, sent: &RequestHeader, pool: &Pool) -> Option<Box<RequestHeader>> {
    let mut copy = Box::new(sent.clone());
    copy.remove_header(&CONNECTION);
    copy.insert_header(MARK, HeaderValue::from_static("1")).ok()?;
    let host = match sent.headers.get(HOST) {
        Some(host) => host.clone(),
        None => HeaderValue::from_str(plan::host(asked)).ok()?,
    };
    if !pool.http2 {
        copy.set_version(Version::HTTP_11);
        copy.insert_header(HOST, host).ok()?;
        return Some(copy);
    }
    // Bytes that are no UTF-8 stand in there as something else.
    let carried = if sent.raw_path_is_utf8() { &copy.uri } else { &asked.uri };
    let target = carried.path_and_query().cloned()?;
    let scheme = if pool.tls.is_some() { "https" } else { "http" };
    let uri = Uri::builder().scheme(scheme).authority(host.as_bytes()).path_and_query(target);
    copy.set_uri(uri.build().ok()?);
    copy.remove_header(&HOST);
    copy.set_version(Version::HTTP_2);
    Some(copy)
}
