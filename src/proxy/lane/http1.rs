//! One client connection of HTTP/1: one request after the other, until it is closed in stages.

use super::client::{Client, HeadRead, Http1Client};
use super::closing::Closing;
use super::exchange;
use super::line::{self, Line, Peer};
use crate::proxy::exchange::Request;
use crate::proxy::listen::linger;
use crate::proxy::listen::seats::Seat;
use crate::proxy::wire::alarm::Alarm;
use crate::proxy::wire::refused::RefusedHead;
use crate::proxy::wire::socket::ClientSocket;
use http::header::CONNECTION;
use http::{HeaderMap, Version};
use pingora_http::RequestHeader;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;

/// Serves a connection to its end.
pub(super) async fn serve(socket: ClientSocket, peer: SocketAddr, seat: &Seat, line: Line) {
    let listener = line.listener.clone();
    let mut closing = Closing::new(line.closing.clone());
    let (peer, mut alarm) = (Peer::new(peer.ip()), Alarm::new(line.worker.shared.clock));
    let mut client = Box::new(Http1Client::new(socket));
    let (mut is_first, mut left) = (true, listener.settings.requests_per_connection.max(1));
    loop {
        let since_us = alarm.now_us();
        seat.rest(since_us, !is_first);
        let since = (since_us, is_first);
        let read = client.next_head(&listener.settings, &mut alarm, since, (&mut closing, seat)).await;
        is_first = false;
        left = if seat.work() { 0 } else { left - 1 };
        let started_us = alarm.now_us();
        let request = match read {
            HeadRead::End => break,
            HeadRead::Request(parsed) => {
                let keeps = left > 0 && !*line.shutdown.borrow() && keeps(&parsed.head);
                let mut request = line::request(&line, &peer, parsed.head, started_us);
                (request.inbound.spelling, request.inbound.target) = (parsed.spelling, parsed.target);
                request.delivery.keeps = keeps;
                request
            }
            HeadRead::Refused(refused) => match refused_request(&line, &peer, refused, started_us) {
                Some(request) => request,
                None => break,
            },
        };
        let mut side = Client::Http1(client);
        // An idle connection does not hold the memory of an exchange.
        let keeps = Box::pin(exchange(&line, &mut side, request, &mut alarm)).await;
        let Client::Http1(back) = side else { return };
        client = back;
        client.release();
        if !keeps || !client.is_between() {
            break;
        }
    }
    let Some(mut remains) = client.remains() else { return };
    if !poll_fn(|cx| Poll::Ready(remains.is_nothing(cx))).await {
        // Most connections never come here: they need not be larger for it.
        Box::pin(linger::close(remains, &listener.door, line.closing.clone())).await;
    }
}

async fn exchange(line: &Line, client: &mut Client, request: Box<Request>, alarm: &mut Alarm) -> bool {
    let mut request = request;
    request.inbound.body.is_whole = client.is_whole();
    request.inbound.body.is_empty = client.is_whole();
    let _under_way = line.worker.request();
    exchange::serve(&line.worker, client, request, alarm).await
}

fn refused_request(
    line: &Line,
    peer: &Peer,
    refused: Box<RefusedHead>,
    started_us: u64,
) -> Option<Box<Request>> {
    let mut request = line::request(line, peer, refused.stand_in()?, started_us);
    request.head.set_version(Version::HTTP_11);
    request.delivery.keeps = false;
    if refused.status == 408 {
        request.delivery.cut = Some(crate::observe::access_log::Cut::SlowHead);
    }
    request.inbound.refused = Some(refused);
    Some(request)
}

/// Whether the client wants to keep its connection (RFC 9112, 9.3).
fn keeps(head: &RequestHeader) -> bool {
    let has = |headers: &HeaderMap, wanted: &[u8]| {
        let mut options = headers.get_all(CONNECTION).iter().flat_map(|v| v.as_bytes().split(|b| *b == b','));
        options.any(|option| option.trim_ascii().eq_ignore_ascii_case(wanted))
    };
    let is_old = head.version == Version::HTTP_10;
    if is_old { has(&head.headers, b"keep-alive") } else { !has(&head.headers, b"close") }
}
