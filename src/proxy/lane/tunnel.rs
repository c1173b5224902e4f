//! Bytes of another protocol, after a 101: both ways as they come, until one side ends.

use crate::proxy::wire::alarm::{Alarm, after_us};
use crate::proxy::wire::outbox::Outbox;
use crate::proxy::wire::scratch::{self, SCRATCH_BYTES};
use crate::proxy::wire::socket::{ClientSocket, UpstreamSocket};
use crate::proxy::wire::websocket::{self, FrameScan};
use pingora_error::{Error, ErrorType, Result};
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// Both ends, with what has come from them already and what is still to be written.
pub(super) struct Tunnel<'a> {
    client: (&'a mut ClientSocket, &'a mut Outbox),
    upstream: (&'a mut UpstreamSocket, &'a mut Outbox),
    /// How long both may be silent, and since when they are.
    silence: Duration,
    heard_us: Option<u64>,
    /// Whether one of them has ended.
    ends: bool,
    /// Bytes towards the client.
    pub sent: u64,
    /// What is looked for in a WebSocket: how each side closes it.
    closings: Option<Box<Closings>>,
    /// Whether it was the upstream that ended first.
    upstream_ended: bool,
}

/// The frames of both sides.
#[derive(Default)]
struct Closings {
    client: FrameScan,
    upstream: FrameScan,
}

impl<'a> Tunnel<'a> {
    pub(super) fn new(
        (client, from_client, to_client): (&'a mut ClientSocket, &'a mut Vec<u8>, &'a mut Outbox),
        (upstream, from_upstream, to_upstream): (&'a mut UpstreamSocket, &'a mut Vec<u8>, &'a mut Outbox),
        silence: Duration,
        is_websocket: bool,
    ) -> Self {
        let sent = from_upstream.len() as u64;
        let mut closings = is_websocket.then(Box::<Closings>::default);
        if let Some(closings) = &mut closings {
            closings.client.take(from_client);
            closings.upstream.take(from_upstream);
        }
        to_upstream.put(&std::mem::take(from_client));
        to_client.put(&std::mem::take(from_upstream));
        let (client, upstream) = ((client, to_client), (upstream, to_upstream));
        Tunnel {
            client,
            upstream,
            silence,
            heard_us: None,
            ends: false,
            sent,
            closings,
            upstream_ended: false,
        }
    }

    /// Whether its upstream ended it with a fault: by status 1011, or without a word.
    pub(super) fn died(&self) -> bool {
        let Some(closings) = &self.closings else { return false };
        let silently =
            self.upstream_ended && !closings.client.has_closed() && !closings.upstream.has_closed();
        silently || closings.upstream.status() == Some(websocket::INTERNAL_ERROR)
    }

    /// Ready once it is over.
    pub(super) fn poll(&mut self, alarm: &mut Alarm, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut has_moved = self.heard_us.is_none();
        let flushed = loop {
            let (client, upstream) = (&mut self.client, &mut self.upstream);
            let waited = (!client.1.is_empty(), !upstream.1.is_empty());
            let up = if self.ends {
                None
            } else {
                let scan = self.closings.as_mut().map(|closings| &mut closings.client);
                pump(client.0, upstream.0, upstream.1, scan, cx)
                    .map_err(|broken| broken.between(of_client, of_upstream))?
            };
            let down = if self.ends {
                None
            } else {
                let scan = self.closings.as_mut().map(|closings| &mut closings.upstream);
                let moved = pump(upstream.0, client.0, client.1, scan, cx);
                self.upstream_ended |= matches!(moved, Ok(Some(0)) | Err(Broken::Read(_))) && up != Some(0);
                moved.map_err(|broken| broken.between(of_upstream, of_client))?
            };
            self.sent += down.unwrap_or_default() as u64;
            self.ends |= up == Some(0) || down == Some(0);
            let to_upstream = upstream.1.poll_flush(upstream.0, cx).map_err(of_upstream)?;
            let to_client = client.1.poll_flush(client.0, cx).map_err(of_client)?;
            let has_come = up.is_some() || down.is_some();
            has_moved |= has_come;
            // Where all that waited has left, the other side is read again: its task sleeps without a waker else.
            let has_room = waited.0 && client.1.is_empty() || waited.1 && upstream.1.is_empty();
            if !has_come && !has_room {
                break to_upstream.is_ready() && to_client.is_ready();
            }
        };
        if has_moved {
            self.heard_us = Some(alarm.now_us());
        }
        if self.ends && flushed {
            return Poll::Ready(Ok(()));
        }
        alarm.poll(after_us(self.heard_us.unwrap_or_default(), self.silence), cx).map(Ok)
    }
}

/// Moves what has come, where the other side has room; how much it was, 0 at the end.
fn pump<F: AsyncRead + Unpin, T: AsyncWrite + Unpin>(
    from: &mut F,
    to: &mut T,
    out: &mut Outbox,
    scan: Option<&mut FrameScan>,
    cx: &mut Context<'_>,
) -> std::result::Result<Option<usize>, Broken> {
    if !out.is_empty() {
        return Ok(None);
    }
    let mut again = Context::from_waker(cx.waker());
    let read = scratch::poll_read(from, cx, SCRATCH_BYTES, |bytes| {
        if let Some(scan) = scan {
            scan.take(bytes);
        }
        out.pass(to, &mut again, bytes).map(|()| bytes.len())
    });
    match read {
        Poll::Ready(moved) => moved.map_err(Broken::Read)?.map(Some).map_err(Broken::Write),
        Poll::Pending => Ok(None),
    }
}

/// Which side of a move has failed.
enum Broken {
    Read(io::Error),
    Write(io::Error),
}

impl Broken {
    fn between(
        self,
        from: impl FnOnce(io::Error) -> Box<Error>,
        to: impl FnOnce(io::Error) -> Box<Error>,
    ) -> Box<Error> {
        match self {
            Broken::Read(error) => from(error),
            Broken::Write(error) => to(error),
        }
    }
}

fn of_client(error: io::Error) -> Box<Error> {
    Error::because(ErrorType::ReadError, "the client's side of a switched protocol", error).into_down()
}

fn of_upstream(error: io::Error) -> Box<Error> {
    Error::because(ErrorType::ReadError, "the upstream's side of a switched protocol", error).into_up()
}
