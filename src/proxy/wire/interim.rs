//! Interim answers (1xx) on their way to the client.
//!
//! The HTTP/2 library sends none. So they pass it by: they are put here, in the client's protocol, and the client's
//! stream sends them before anything that is written later.

use crate::proxy::wire::hpack::text;
use atomic_waker::AtomicWaker;
use http::HeaderName;
use http::response::Parts;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// Bytes of one in HTTP/2: the largest frame that every client takes.
const MOST_BYTES: usize = 16 << 10;
/// What waits of them; a client that takes nothing gets no more.
const MOST_WAITING: usize = 64 << 10;

/// Interim answers that wait to be sent on a connection.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Interim {
    is_waiting: AtomicBool,
    waiting: Mutex<Vec<u8>>,
    sender: AtomicWaker,
}

impl Interim {
    /// Sends one on a stream of HTTP/2: one frame of fields that change no table.
    pub(in crate::proxy) fn send_on(&self, stream: u32, answer: &Parts) {
        const HEADERS: u8 = 1;
        const END_HEADERS: u8 = 4;
        // A literal for the name `:status`.
        let mut block = vec![0x08, 3];
        block.extend(answer.status.as_str().bytes());
        for (name, value) in fields(answer) {
            block.push(0);
            text(name.as_str().as_bytes(), &mut block);
            text(value, &mut block);
        }
        let Some(length) = u32::try_from(block.len()).ok().filter(|_| block.len() <= MOST_BYTES) else {
            return;
        };
        let mut frame = length.to_be_bytes().get(1..).unwrap_or_default().to_vec();
        frame.extend([HEADERS, END_HEADERS]);
        frame.extend(stream.to_be_bytes());
        frame.extend(block);
        self.put(&frame);
    }

    fn put(&self, bytes: &[u8]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len().saturating_add(bytes.len()) > MOST_WAITING {
            return;
        }
        waiting.extend_from_slice(bytes);
        self.is_waiting.store(true, Ordering::Release);
        drop(waiting);
        self.sender.wake();
    }

    pub(in crate::proxy) fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Acquire)
    }

    /// What is to be sent.
    pub(in crate::proxy) fn take(&self) -> Option<Vec<u8>> {
        if !self.is_waiting() {
            return None;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_waiting.store(false, Ordering::Release);
        Some(std::mem::take(&mut *waiting))
    }

    /// Their sender is to be woken once there is one.
    pub(in crate::proxy) fn register(&self, sender: &Waker) {
        self.sender.register(sender);
    }
}

/// Writes one in HTTP/1.
pub(in crate::proxy) fn write_http1(answer: &Parts, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(answer.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(answer.status.canonical_reason().unwrap_or("Interim").as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in fields(answer) {
        for part in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// What may be said in one: nothing that frames a body, and nothing for one hop only.
fn fields(answer: &Parts) -> impl Iterator<Item = (&HeaderName, &[u8])> {
    let is_kept = |name: &HeaderName| {
        !matches!(
            name.as_str(),
            "connection"
                | "content-length"
                | "keep-alive"
                | "proxy-connection"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        )
    };
    let all = answer.headers.iter().filter(move |(name, _)| is_kept(name));
    all.map(|(name, value)| (name, value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;

    fn hints() -> Parts {
        let answer = Response::builder().status(103).header("link", "</a>").header("content-length", "3");
        answer.header("connection", "close").body(()).expect("a head").into_parts().0
    }

    #[test]
    fn it_is_said_in_the_clients_protocol_and_without_framing() {
        let interim = Interim::default();
        assert_eq!((interim.is_waiting(), interim.take()), (false, None));
        let mut said = Vec::new();
        write_http1(&hints(), &mut said);
        assert_eq!(String::from_utf8_lossy(&said), "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
        interim.send_on(5, &hints());
        let frame = interim.take().expect("one waits");
        assert_eq!(frame[..9], [0, 0, 16, 1, 4, 0, 0, 0, 5]);
        assert_eq!(&frame[9..], b"\x08\x03103\x00\x04link\x04</a>");
        assert!(!interim.is_waiting());
    }

    #[test]
    fn a_client_that_takes_nothing_fills_no_memory() {
        let interim = Interim::default();
        (0..100_000).for_each(|_| interim.send_on(1, &hints()));
        assert!(interim.take().expect("some wait").len() <= MOST_WAITING);
    }
}
