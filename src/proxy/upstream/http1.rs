//! One connection to an upstream that speaks HTTP/1, and the exchange on it.

use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::body::{BodyReader, BodyWriter};
use crate::proxy::wire::changes::Changes;
use crate::proxy::wire::outbox::Outbox;
use crate::proxy::wire::response_head::{self, HeadMarks, MOST_HEAD_BYTES};
use crate::proxy::wire::scratch::{self, SCRATCH_BYTES};
use crate::proxy::wire::socket::UpstreamSocket;
use crate::proxy::wire::spelling::{Spelling, write_spelled, write_value};
use bytes::Bytes;
use http::Method;
use pingora_error::{Error, ErrorType, Result};
use std::io;
use std::os::fd::RawFd;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes of a request that wait before its client is asked for more.
const FULL_BYTES: usize = 64 << 10;

/// A connection.
#[derive(Debug)]
pub(in crate::proxy) struct Http1Connection {
    socket: UpstreamSocket,
    /// What has come and was not read yet; the first `seen` bytes are no whole head.
    inbox: Vec<u8>,
    seen: usize,
    outbox: Outbox,
    writer: BodyWriter,
    reader: BodyReader,
    /// Requests that it has carried.
    uses: u16,
    /// Whether the head under way has left.
    is_head_sent: bool,
    /// Whether the request, and the answer, are over, and another may follow.
    is_sent: bool,
    keeps: bool,
    /// Why nothing more can be written, though an answer may still come.
    broken: Option<Box<Error>>,
}

impl Http1Connection {
    pub(in crate::proxy) fn new(socket: UpstreamSocket) -> Self {
        Http1Connection {
            socket,
            inbox: Vec::new(),
            seen: 0,
            outbox: Outbox::default(),
            writer: BodyWriter::Plain,
            reader: BodyReader::Done,
            uses: 0,
            is_head_sent: true,
            is_sent: true,
            keeps: true,
            broken: None,
        }
    }

    pub(in crate::proxy) fn fd(&self) -> RawFd {
        self.socket.fd()
    }

    /// Counts a request; how many it has carried, this one included.
    pub(in crate::proxy) fn count_use(&mut self) -> u16 {
        self.uses = self.uses.saturating_add(1);
        self.uses
    }

    /// Whether nothing has come while it was not used: neither bytes nor its end.
    pub(in crate::proxy) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut self.socket).poll_read(&mut context, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// Writes the head of a request. `closes` says that no other request follows.
    pub(in crate::proxy) fn begin(
        &mut self,
        (method, target): (&Method, &[u8]),
        fields: &Changes<'_>,
        spelling: &Spelling,
        (writer, closes): (BodyWriter, bool),
    ) {
        let out = self.outbox.buffer();
        out.reserve(1024);
        out.extend_from_slice(method.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(target);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        write_spelled(fields.kept(), spelling, out);
        for (name, value) in fields.set_here() {
            name.write(out);
            write_value(value, out);
        }
        out.extend_from_slice(b"\r\n");
        (self.writer, self.is_head_sent, self.is_sent, self.seen) = (writer, false, false, 0);
        self.keeps = !closes;
    }

    /// Whether more of the body can be taken.
    pub(in crate::proxy) fn has_room(&self) -> bool {
        self.outbox.waiting() < FULL_BYTES
    }

    /// Sends a piece of the body.
    pub(in crate::proxy) fn put_body(&mut self, cx: &mut Context<'_>, piece: &[u8]) {
        if piece.is_empty() || self.broken.is_some() {
            return;
        }
        self.writer.begin(piece.len(), self.outbox.buffer());
        match self.outbox.pass(&mut self.socket, cx, piece) {
            Ok(()) => self.writer.end(self.outbox.buffer()),
            Err(error) => self.note_broken(error),
        }
    }

    /// The body is whole.
    pub(in crate::proxy) fn finish_body(&mut self) {
        self.writer.finish(self.outbox.buffer());
        self.is_sent = true;
    }

    /// Ready once all that was put is written.
    pub(in crate::proxy) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.broken.is_some() {
            return Poll::Ready(Ok(()));
        }
        match ready!(self.outbox.poll_flush(&mut self.socket, cx)) {
            Ok(()) => self.is_head_sent = true,
            Err(error) if !self.is_head_sent => {
                let error = Error::because(ErrorType::WriteError, "while writing request headers", error);
                return Poll::Ready(Err(error.into_up()));
            }
            // Its answer may have come before.
            Err(error) => self.note_broken(error),
        }
        Poll::Ready(Ok(()))
    }

    fn note_broken(&mut self, error: io::Error) {
        self.keeps = false;
        self.outbox = Outbox::default();
        self.broken = Some(Error::because(ErrorType::WriteError, "writing the body", error).into_up());
    }

    /// How many bytes wait to be written.
    pub(in crate::proxy) fn waiting(&self) -> usize {
        self.outbox.waiting()
    }

    /// The head of the answer, once it is whole.
    pub(in crate::proxy) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
    ) -> Poll<Result<AnswerHead>> {
        loop {
            if self.inbox.len() > self.seen {
                let is_new = self.inbox.get(self.seen..).is_some_and(|new| new.contains(&b'\n'));
                self.seen = self.inbox.len();
                if (is_new || self.seen > MOST_HEAD_BYTES)
                    && let Some(marks) = malformed(response_head::read(&self.inbox))?
                {
                    let rest = self.inbox.split_off(marks.end);
                    let raw = Bytes::from(std::mem::replace(&mut self.inbox, rest));
                    return Poll::Ready(self.begin_answer(raw, marks, method));
                }
            }
            let inbox = &mut self.inbox;
            let read = scratch::poll_read(&mut self.socket, cx, SCRATCH_BYTES, |bytes| {
                if bytes.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                // A head that comes in one piece is taken from where it lies.
                if inbox.is_empty()
                    && let Ok(Some(marks)) = response_head::read(bytes)
                {
                    let (head, rest) = bytes.split_at(marks.end);
                    inbox.extend_from_slice(rest);
                    return Ok(Some((Bytes::copy_from_slice(head), marks)));
                }
                inbox.extend_from_slice(bytes);
                Ok(None)
            });
            match ready!(read).and_then(|read: io::Result<_>| read) {
                Ok(Some((raw, marks))) => return Poll::Ready(self.begin_answer(raw, marks, method)),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Err(self.lost(error))),
            }
        }
    }

    fn begin_answer(&mut self, raw: Bytes, marks: HeadMarks, method: &Method) -> Result<AnswerHead> {
        self.seen = 0;
        let parsed = malformed(response_head::parse(raw, marks, method))?;
        self.reader = parsed.body;
        self.keeps &= parsed.keeps;
        Ok(parsed.head)
    }

    /// Whether the answer has ended with its head.
    pub(in crate::proxy) fn is_answered(&self) -> bool {
        self.reader.is_done()
    }

    /// Reads what has come of the answer's body, at most `most` bytes; whether that was all.
    pub(in crate::proxy) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        take: &mut dyn FnMut(&mut Context<'_>, &[u8]),
    ) -> Poll<Result<bool>> {
        if self.reader.is_done() {
            return Poll::Ready(Ok(true));
        }
        if !self.inbox.is_empty() {
            let bytes = std::mem::take(&mut self.inbox);
            let used = malformed(self.reader.read(&bytes, &mut |piece| take(cx, piece)).map_err(|_| CHUNKS))?;
            self.keep_rest(&bytes, used);
            return Poll::Ready(Ok(self.reader.is_done()));
        }
        let (reader, mut rest, mut is_end) = (&mut self.reader, Vec::new(), false);
        let mut again = Context::from_waker(cx.waker());
        let read = scratch::poll_read(&mut self.socket, cx, most, |bytes| {
            is_end = bytes.is_empty();
            let used = reader.read(bytes, &mut |piece| take(&mut again, piece))?;
            rest.extend_from_slice(bytes.get(used..).unwrap_or_default());
            Ok::<_, crate::proxy::wire::chunks::MalformedChunk>(())
        });
        match ready!(read) {
            Ok(Ok(())) if is_end => self.ended(),
            Ok(Ok(())) => {
                self.inbox = rest;
                Poll::Ready(Ok(self.reader.is_done()))
            }
            Ok(Err(_)) => Poll::Ready(malformed(Err(CHUNKS))),
            Err(error) => Poll::Ready(Err(self.lost(error))),
        }
    }

    fn keep_rest(&mut self, bytes: &[u8], used: usize) {
        self.inbox.extend_from_slice(bytes.get(used..).unwrap_or_default());
    }

    /// The upstream has closed.
    fn ended(&mut self) -> Poll<Result<bool>> {
        self.keeps = false;
        match self.reader {
            BodyReader::UntilClose => {
                self.reader = BodyReader::Done;
                Poll::Ready(Ok(true))
            }
            _ => Poll::Ready(Err(self.lost(io::ErrorKind::UnexpectedEof.into()))),
        }
    }

    /// The connection broke; what could not be written before explains it better.
    fn lost(&mut self, error: io::Error) -> Box<Error> {
        if let Some(broken) = self.broken.take() {
            return broken;
        }
        let kind = match error.kind() {
            io::ErrorKind::UnexpectedEof => ErrorType::ConnectionClosed,
            _ => ErrorType::ReadError,
        };
        Error::because(kind, "reading the answer", error).into_up()
    }

    /// Whether another request may follow.
    pub(in crate::proxy) fn is_reusable(&self) -> bool {
        let is_over = self.is_sent && self.reader.is_done() && self.outbox.is_empty();
        self.keeps && is_over && self.inbox.is_empty() && self.broken.is_none()
    }

    /// Gives back the memory of the exchange that is over.
    pub(in crate::proxy) fn rest(&mut self) {
        self.outbox.release();
        self.inbox = Vec::new();
    }

    /// The connection itself, with what has come of another protocol, after a 101.
    pub(in crate::proxy) fn open(&mut self) -> (&mut UpstreamSocket, &mut Vec<u8>, &mut Outbox) {
        // What the upstream still says of the other protocol is no answer to anybody.
        self.keeps = false;
        (&mut self.socket, &mut self.inbox, &mut self.outbox)
    }
}

const CHUNKS: &str = "its chunks are malformed";

fn malformed<T>(read: std::result::Result<T, &'static str>) -> Result<T> {
    read.map_err(|fault| Error::explain(ErrorType::InvalidHTTPHeader, fault).into_up())
}
