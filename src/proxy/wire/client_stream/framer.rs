//! Where a message ends: its head, then its body.

use crate::proxy::wire::chunks::Chunks;
use crate::proxy::wire::head::{Body, Head, HeadLimits, Scan};

/// The message under way on a connection.
#[derive(Debug)]
pub(super) enum Framer {
    Head(Head),
    /// So many bytes of the body are to come.
    Length(u64),
    Chunked(Chunks),
    Done,
}

/// What looking at more bytes came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// The head is not complete.
    More,
    /// So many bytes from the front are of this message.
    Of(usize),
    /// The same; the first of them are a head that has to be put into other words.
    Odd { head: usize, count: usize },
    /// The status to refuse the message with.
    Refused(u16),
}

impl Framer {
    /// Looks at the head, of which `bytes` is all so far, and at what has come of the body with it: a body
    /// that is broken from the start has its request refused before anything of it is passed on.
    pub(super) fn head(&mut self, bytes: &[u8], limits: HeadLimits) -> Look {
        let Framer::Head(head) = self else { return Look::Of(0) };
        let (end, body, is_odd) = match head.scan(bytes, limits) {
            Scan::More => return Look::More,
            Scan::Refused(status) => return Look::Refused(status),
            Scan::Whole { end, body, is_odd } => (end, body, is_odd),
        };
        *self = match body {
            Body::Length(0) => Framer::Done,
            Body::Length(length) => Framer::Length(length),
            Body::Chunked => Framer::Chunked(Chunks::default()),
        };
        match self.body(bytes.get(end..).unwrap_or_default()) {
            Look::Of(count) if is_odd => Look::Odd { head: end, count: end + count },
            Look::Of(count) => Look::Of(end + count),
            refused => refused,
        }
    }

    /// How many of the next bytes are of the body.
    pub(super) fn body(&mut self, bytes: &[u8]) -> Look {
        let (count, done) = match self {
            Framer::Head(_) | Framer::Done => (0, false),
            Framer::Length(left) => {
                let count = (bytes.len() as u64).min(*left);
                *left -= count;
                (count as usize, *left == 0)
            }
            Framer::Chunked(chunks) => match chunks.pass(bytes) {
                Ok(count) => (count, chunks.is_done()),
                Err(_) => return Look::Refused(400),
            },
        };
        if done {
            *self = Framer::Done;
        }
        Look::Of(count)
    }
}
