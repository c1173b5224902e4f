//! The stream of one watch at one member.

use super::{KeyChange, WatchEvent, WatchSpec};
use crate::fleet::etcd::base::Base;
use crate::fleet::etcd::call::{CallFault, Streamed};
use crate::fleet::etcd::connection::EtcdConnection;
use crate::fleet::etcd::fault::{EtcdFault, EtcdRefusal};
use crate::fleet::etcd::frame::framed;
use crate::fleet::etcd::judged::Judged;
use crate::fleet::etcd::messages::*;
use crate::fleet::etcd::status::GrpcStatus;
use crate::fleet::etcd::times::EtcdTimes;
use bytes::Bytes;
use h2::SendStream;
use http::HeaderValue;
use prost::Message;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until, timeout};

const WATCH: &str = "/etcdserverpb.Watch/Watch";
/// The most of one revision that comes in pieces, in bytes. What is larger is read, not watched.
const PIECES_BYTES: usize = 32 << 20;

/// Why a stream brings nothing more.
#[derive(Debug)]
pub(super) enum StreamEnd {
    /// Another member can go on.
    Lost(EtcdFault),
    /// No member can.
    Last(WatchEvent),
    /// Nobody reads.
    Unread,
}

/// A watch that a member serves.
#[derive(Debug)]
pub(super) struct Stream<'a> {
    /// The store's at this member, when it began.
    pub revision: i64,
    connection: &'a EtcdConnection,
    /// Open for as long as the watch is.
    orders: SendStream<Bytes>,
    answers: Streamed,
    /// The first pieces of an answer that is not whole.
    pieces: Vec<KeyChange>,
    pieces_bytes: usize,
    /// When the member last said something here.
    heard: Instant,
    /// When it is asked whether it still serves this.
    look: Instant,
    times: EtcdTimes,
}

impl<'a> Stream<'a> {
    /// Waits until the member serves it.
    pub(super) async fn open(
        connection: &'a EtcdConnection,
        token: Option<HeaderValue>,
        spec: &WatchSpec,
        times: EtcdTimes,
    ) -> Result<Self, StreamEnd> {
        let opening = async {
            let head = connection.head(WATCH, token, None);
            let (answer, mut orders) = head.open(&connection.sender).await?;
            let order = WatchOrder::Create(created(spec));
            order_to(&mut orders, order);
            let answers = Streamed::of(answer).await?;
            let now = Instant::now();
            let (heard, look, pieces) = (now, now + times.progress, Vec::new());
            let mut stream = Stream {
                revision: 0,
                connection,
                orders,
                answers,
                pieces,
                pieces_bytes: 0,
                heard,
                look,
                times,
            };
            Ok((stream.read().await?, stream))
        };
        let late = |_| Err(CallFault::Broken(format!("no watch within {} ms", times.call.as_millis())));
        let (first, mut stream) = match timeout(times.call, opening).await.unwrap_or_else(late) {
            Ok(opened) => opened,
            Err(fault) => return Err(lost(connection, &fault)),
        };
        stream.revision = first.header.as_ref().map(|header| header.revision).unwrap_or_default();
        if first.canceled || !first.created {
            return Err(stream.refused(&first));
        }
        Ok(stream)
    }

    pub(super) fn endpoint(&self) -> Arc<str> {
        self.connection.endpoint.name.clone()
    }

    /// The next changes, as one answer has them; none where an answer has none.
    pub(super) async fn next(&mut self, base: &Base) -> Result<Vec<KeyChange>, StreamEnd> {
        let connection = self.connection;
        let answer = tokio::select! {
            answer = self.read() => answer.map_err(|fault| lost(connection, &fault))?,
            why = connection.ended() => return Err(lost(connection, &CallFault::Broken(why.to_string()))),
        };
        if let Some(header) = &answer.header {
            let other = |fault: super::super::seen::OtherCluster| CallFault::Broken(fault.to_string());
            base.seen.hear(header, None).map_err(|fault| lost(connection, &other(fault)))?;
        }
        // Old members have left `canceled` out.
        if answer.canceled || answer.compact_revision > 0 {
            return Err(self.refused(&answer));
        }
        self.pieces_bytes += answer.encoded_len();
        let is_piece = answer.fragment;
        let revision = answer.header.map(|header| header.revision).unwrap_or_default();
        self.pieces.extend(answer.events.into_iter().filter_map(KeyChange::of));
        if is_piece && self.pieces_bytes > PIECES_BYTES {
            return Err(StreamEnd::Last(WatchEvent::Compacted { revision }));
        }
        if is_piece {
            return Ok(Vec::new());
        }
        self.pieces_bytes = 0;
        Ok(std::mem::take(&mut self.pieces))
    }

    /// The next answer. From time to time the member is asked for one: a stream may hang on a connection that does not.
    async fn read(&mut self) -> Result<WatchResponse, CallFault> {
        loop {
            tokio::select! {
                message = self.answers.next() => {
                    let message = message?.ok_or_else(|| CallFault::Broken("the member ended the watch".to_owned()))?;
                    self.heard = Instant::now();
                    return WatchResponse::decode(message)
                        .map_err(|error| CallFault::Broken(format!("no answer of etcd: {error}")));
                }
                () = sleep_until(self.look) => {
                    let silent = self.heard.elapsed();
                    if silent > self.times.progress * 3 {
                        let why = format!("the watch has been silent for {} ms", silent.as_millis());
                        return Err(CallFault::Broken(why));
                    }
                    self.look = Instant::now() + self.times.progress;
                    order_to(&mut self.orders, WatchOrder::Progress(WatchProgressRequest {}));
                }
            }
        }
    }

    fn refused(&self, answer: &WatchResponse) -> StreamEnd {
        if answer.compact_revision > 0 {
            return StreamEnd::Last(WatchEvent::Compacted { revision: answer.compact_revision });
        }
        let message = answer.cancel_reason.clone();
        let code = if message.contains("permission denied") { 7 } else { 2 };
        lost(self.connection, &CallFault::Status(GrpcStatus { code, message }))
    }
}

fn created(spec: &WatchSpec) -> WatchCreateRequest {
    let (key, range_end) = spec.scope.bounds();
    let WatchSpec { from: start_revision, with_previous: prev_kv, .. } = *spec;
    WatchCreateRequest { key, range_end, start_revision, prev_kv, fragment: true }
}

/// What a member does not take in any more, it has answered: that is read next.
fn order_to(orders: &mut SendStream<Bytes>, order: WatchOrder) {
    let _ = orders.send_data(framed(&WatchRequest { order: Some(order) }), false);
}

/// A fault of a stream: refused for good reason, or the member is not there.
fn lost(connection: &EtcdConnection, fault: &CallFault) -> StreamEnd {
    let endpoint = connection.endpoint.name.clone();
    let said = fault.to_string();
    if let CallFault::Status(status) = fault
        && let Judged::Refused(reason) = status.judged(connection.user.as_ref())
    {
        return StreamEnd::Lost(EtcdFault::Refused(EtcdRefusal { endpoint, reason, said }));
    }
    StreamEnd::Lost(EtcdFault::NotConnected(format!("{endpoint}: {said}")))
}
