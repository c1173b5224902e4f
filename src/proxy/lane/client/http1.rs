//! A client's connection of HTTP/1: one request after the other.
//!
//! What comes after the end of a request waits here for its turn. An idle connection holds no buffer.

use super::faults::{left, malformed, unread, unwritten};
use crate::core::settings::Listener;
use crate::proxy::lane::closing::Closing;
use crate::proxy::listen::seats::Seat;
use crate::proxy::wire::alarm::{Alarm, after_us};
use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::body::{BodyReader, BodyWriter};
use crate::proxy::wire::date;
use crate::proxy::wire::head::{BodyFraming, Head, HeadLimits, Scan};
use crate::proxy::wire::interim;
use crate::proxy::wire::outbox::Outbox;
use crate::proxy::wire::refused::RefusedHead;
use crate::proxy::wire::remains::ClosingConnection;
use crate::proxy::wire::request_head::{self, ParsedRequest};
use crate::proxy::wire::scratch::{self, SCRATCH_BYTES};
use crate::proxy::wire::socket::ClientSocket;
use bytes::Bytes;
use http::StatusCode;
use http::header::TRANSFER_ENCODING;
use http::response::Parts;
use pingora_error::{Error, Result};
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

/// Bytes that are read ahead of a request that waits for its answer.
const AHEAD_BYTES: usize = 4 << 10;

/// The connection.
pub(in crate::proxy::lane) struct Http1Client {
    socket: ClientSocket,
    /// What has come and was not read yet.
    inbox: Vec<u8>,
    outbox: Outbox,
    reader: BodyReader,
    writer: BodyWriter,
    /// The client sends nothing more.
    has_ended: bool,
    /// The client cannot be written to.
    broken: Option<io::Error>,
    is_broken: bool,
    /// The head under way was refused, or what follows it is another protocol.
    is_spoilt: bool,
}

/// What came instead of, or as, a request.
pub(in crate::proxy::lane) enum HeadRead {
    Request(Box<ParsedRequest>),
    Refused(Box<RefusedHead>),
    /// The connection is over.
    End,
}

impl Http1Client {
    pub(in crate::proxy::lane) fn new(socket: ClientSocket) -> Self {
        Http1Client {
            socket,
            inbox: Vec::new(),
            outbox: Outbox::default(),
            reader: BodyReader::Done,
            writer: BodyWriter::Plain,
            has_ended: false,
            broken: None,
            is_broken: false,
            is_spoilt: false,
        }
    }

    /// The next head, which is waited for since `since_us`. One that does not come in time, or is not as it should be,
    /// is refused. The deadline of the first begins with the connection: a client that connects is expected to speak.
    pub(in crate::proxy::lane) async fn next_head(
        &mut self,
        settings: &Listener,
        alarm: &mut Alarm,
        (since_us, is_first): (u64, bool),
        (closing, seat): (&mut Closing, &Seat),
    ) -> HeadRead {
        let limits = HeadLimits { size: settings.max_header_size, fields: settings.max_headers };
        let mut reading = Reading { head: Head::default(), limits, since_us, has_begun: is_first };
        reading.has_begun |= !self.inbox.is_empty();
        poll_fn(|cx| {
            let read = self.poll_head(settings, alarm, &mut reading, cx);
            // A head that has begun is read to its end.
            if read.is_ready() {
                return read;
            }
            if !self.inbox.is_empty() {
                // It is in use, whether or not this has to be its last request.
                seat.work();
                return Poll::Pending;
            }
            let has_to_end = closing.poll(cx).is_ready() || seat.poll_pressed(cx).is_ready();
            if has_to_end { Poll::Ready(HeadRead::End) } else { Poll::Pending }
        })
        .await
    }

    fn poll_head(
        &mut self,
        settings: &Listener,
        alarm: &mut Alarm,
        reading: &mut Reading,
        cx: &mut Context<'_>,
    ) -> Poll<HeadRead> {
        loop {
            if !self.inbox.is_empty() {
                match reading.head.scan(&self.inbox, reading.limits) {
                    Scan::More => {}
                    Scan::Refused(status) => return Poll::Ready(self.refuse(status)),
                    Scan::Whole { end, body, .. } => {
                        let rest = self.inbox.split_off(end);
                        let raw = Bytes::from(std::mem::replace(&mut self.inbox, rest));
                        return Poll::Ready(self.begin(&raw, body));
                    }
                }
            }
            let limit = if reading.has_begun { settings.header_timeout } else { settings.keepalive };
            let deadline_us = after_us(reading.since_us, limit);
            // A dripping client may always have a byte ready: the deadline is asked first.
            if reading.has_begun && !self.inbox.is_empty() && alarm.poll(deadline_us, cx).is_ready() {
                return Poll::Ready(self.refuse(408));
            }
            let (inbox, head, limits) = (&mut self.inbox, &mut reading.head, reading.limits);
            let read = scratch::poll_read(&mut self.socket, cx, SCRATCH_BYTES, |bytes| {
                // A head that comes in one piece is taken from where it lies.
                if inbox.is_empty()
                    && let Scan::Whole { end, body, .. } = head.scan(bytes, limits)
                {
                    inbox.extend_from_slice(bytes.get(end..).unwrap_or_default());
                    return Some((Bytes::copy_from_slice(bytes.get(..end).unwrap_or_default()), body));
                }
                if inbox.is_empty() {
                    *head = Head::default();
                }
                inbox.extend_from_slice(bytes);
                (bytes.is_empty()).then(|| (Bytes::new(), BodyFraming::Length(0)))
            });
            match read {
                Poll::Ready(Ok(Some((raw, _)))) if raw.is_empty() => {
                    self.has_ended = true;
                    return Poll::Ready(HeadRead::End);
                }
                Poll::Ready(Ok(Some((raw, body)))) => return Poll::Ready(self.begin(&raw, body)),
                Poll::Ready(Ok(None)) => {
                    if !reading.has_begun {
                        (reading.has_begun, reading.since_us) = (true, alarm.now_us());
                    }
                }
                Poll::Ready(Err(_)) => {
                    self.is_broken = true;
                    return Poll::Ready(HeadRead::End);
                }
                Poll::Pending => {
                    ready!(alarm.poll(deadline_us, cx));
                    // Where nothing was sent, the connection just ends.
                    return Poll::Ready(if self.inbox.is_empty() { HeadRead::End } else { self.refuse(408) });
                }
            }
        }
    }

    fn begin(&mut self, raw: &Bytes, body: BodyFraming) -> HeadRead {
        self.reader = match body {
            BodyFraming::Length(length) => BodyReader::length(length),
            BodyFraming::Chunked => BodyReader::chunked(),
        };
        match request_head::parse(raw) {
            Ok(parsed) => HeadRead::Request(Box::new(parsed)),
            Err(refused) => {
                self.is_spoilt = true;
                HeadRead::Refused(Box::new(refused))
            }
        }
    }

    fn refuse(&mut self, status: u16) -> HeadRead {
        self.is_spoilt = true;
        self.reader = BodyReader::Done;
        HeadRead::Refused(Box::new(RefusedHead::new(status, &self.inbox)))
    }

    pub(super) fn is_whole(&self) -> bool {
        self.reader.is_done()
    }

    pub(super) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut dyn FnMut(&mut Context<'_>, &[u8]),
    ) -> Poll<Result<bool>> {
        if self.reader.is_done() {
            return Poll::Ready(Ok(true));
        }
        if !self.inbox.is_empty() {
            let mut bytes = std::mem::take(&mut self.inbox);
            let read = self.reader.read(&bytes, &mut |piece| take(cx, piece));
            let Ok(used) = read else { return Poll::Ready(Err(malformed())) };
            if used < bytes.len() {
                bytes.drain(..used);
                self.inbox = bytes;
            }
            return Poll::Ready(Ok(self.reader.is_done()));
        }
        let (reader, mut rest, mut is_end) = (&mut self.reader, Vec::new(), false);
        let mut again = Context::from_waker(cx.waker());
        let read = scratch::poll_read(&mut self.socket, cx, SCRATCH_BYTES, |bytes| {
            is_end = bytes.is_empty();
            let used = reader.read(bytes, &mut |piece| take(&mut again, piece))?;
            rest.extend_from_slice(bytes.get(used..).unwrap_or_default());
            Ok::<_, crate::proxy::wire::chunks::MalformedChunk>(())
        });
        match ready!(read) {
            Ok(Ok(())) if is_end => {
                self.has_ended = true;
                Poll::Ready(Err(left()))
            }
            Ok(Ok(())) => {
                self.inbox = rest;
                Poll::Ready(Ok(self.reader.is_done()))
            }
            Ok(Err(_)) => Poll::Ready(Err(malformed())),
            Err(error) => {
                self.is_broken = true;
                Poll::Ready(Err(unread(error)))
            }
        }
    }

    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Box<Error>> {
        // What else comes waits for its turn.
        if !self.inbox.is_empty() {
            return Poll::Pending;
        }
        let inbox = &mut self.inbox;
        let read = scratch::poll_read(&mut self.socket, cx, AHEAD_BYTES, |bytes| {
            inbox.extend_from_slice(bytes);
            !bytes.is_empty()
        });
        match ready!(read) {
            Ok(true) => Poll::Pending,
            Ok(false) => {
                self.has_ended = true;
                Poll::Ready(left())
            }
            Err(error) => {
                self.is_broken = true;
                Poll::Ready(unread(error))
            }
        }
    }

    pub(super) fn send_interim(&mut self, answer: &Parts) {
        interim::write_http1(answer, self.outbox.buffer());
    }

    /// Sends a head; how its body is framed stands in it.
    pub(super) fn send_head(&mut self, head: &AnswerHead, keeps: bool, now_us: u64) {
        let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
        self.is_spoilt |= switches;
        self.writer = if head.has(&TRANSFER_ENCODING) { BodyWriter::Chunked } else { BodyWriter::Plain };
        let out = self.outbox.buffer();
        out.reserve(1024);
        let is_ours = |name: &[u8]| {
            name.eq_ignore_ascii_case(b"date") || !switches && name.eq_ignore_ascii_case(b"connection")
        };
        head.write(is_ours, out);
        out.extend_from_slice(b"Date: ");
        date::write(now_us, out);
        out.extend_from_slice(match (switches, keeps) {
            (true, _) => b"\r\n\r\n",
            (false, true) => b"\r\nConnection: keep-alive\r\n\r\n",
            (false, false) => b"\r\nConnection: close\r\n\r\n",
        });
    }

    pub(super) fn has_room(&self) -> bool {
        self.outbox.is_empty() && self.socket.is_flushed()
    }

    pub(super) fn waiting(&self) -> usize {
        self.outbox.waiting()
    }

    pub(super) fn put(&mut self, cx: &mut Context<'_>, piece: &[u8]) {
        if piece.is_empty() || self.is_broken {
            return;
        }
        self.writer.begin(piece.len(), self.outbox.buffer());
        match self.outbox.pass(&mut self.socket, cx, piece) {
            Ok(()) => self.writer.end(self.outbox.buffer()),
            Err(error) => (self.broken, self.is_broken) = (Some(error), true),
        }
    }

    pub(super) fn finish(&mut self) {
        self.writer.finish(self.outbox.buffer());
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Err(unwritten(error)));
        }
        let flushed = ready!(self.outbox.poll_flush(&mut self.socket, cx));
        self.is_broken |= flushed.is_err();
        Poll::Ready(flushed.map_err(unwritten))
    }

    /// Whether another request may come: this one is whole, and answered.
    pub(in crate::proxy::lane) fn is_between(&self) -> bool {
        let is_over = self.has_ended || self.is_broken || self.is_spoilt;
        self.reader.is_done() && self.outbox.is_empty() && !is_over
    }

    /// Gives back the memory of the exchange that is over.
    pub(in crate::proxy::lane) fn release(&mut self) {
        self.outbox.release();
        if self.inbox.is_empty() {
            self.inbox = Vec::new();
        }
    }

    /// What is to be closed; nothing where the client is gone.
    pub(in crate::proxy::lane) fn remains(self) -> Option<ClosingConnection<ClientSocket>> {
        let is_amid = !self.reader.is_done() || !self.inbox.is_empty();
        let is_sending = (is_amid || self.is_spoilt) && !self.has_ended;
        (!self.is_broken).then_some(ClosingConnection { stream: self.socket, out: self.outbox, is_sending })
    }

    /// The connection itself, with what has come of another protocol, after a 101.
    pub(in crate::proxy::lane) fn open(&mut self) -> (&mut ClientSocket, &mut Vec<u8>, &mut Outbox) {
        (&mut self.socket, &mut self.inbox, &mut self.outbox)
    }
}

/// A head that is being read.
struct Reading {
    head: Head,
    limits: HeadLimits,
    /// Since when it is waited for, µs on the process clock.
    since_us: u64,
    has_begun: bool,
}
