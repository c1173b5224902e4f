//! The worker's buffer for reading: lent while bytes move, so that a connection that waits holds none.

use super::holding;
use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// Bytes that are read at a time, and so the most of an answer that is read ahead of its client.
pub(in crate::proxy) const SCRATCH_BYTES: usize = 64 << 10;
/// Bytes that are read at a time while memory is short.
const SHORT_BYTES: usize = 4 << 10;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// Reads what has come, at most `most` bytes, and hands it to `take`; empty at the end of the stream. What is not
/// used is the taker's to keep.
pub(in crate::proxy) fn poll_read<S: AsyncRead + Unpin, T>(
    stream: &mut S,
    cx: &mut Context<'_>,
    most: usize,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    let most = if holding::is_full() { most.min(SHORT_BYTES) } else { most };
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => poll_into(stream, cx, scratch.get_mut(..most).unwrap_or_default(), take),
        // The taker reads from another stream.
        Err(_) => poll_into(stream, cx, &mut vec![0; most.min(SCRATCH_BYTES)], take),
    })
}

fn poll_into<S: AsyncRead + Unpin, T>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>> {
    let mut buffer = ReadBuf::new(buffer);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(take(buffer.filled())))
}
