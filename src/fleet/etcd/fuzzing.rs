//! What must hold of any bytes that a member of etcd may send.

use super::frame::{MessageReader, framed};
use super::messages::*;
use bytes::Bytes;
use prost::Message;
use std::fmt::Debug;

/// Smaller than what is read of a member, so that inputs reach it.
const LIMIT: usize = 4096;

/// The frames of a stream, and the messages in them.
pub fn etcd_answers(data: &[u8]) {
    let whole = messages(std::iter::once(data));
    assert_eq!(whole, messages(data.chunks(3)), "pieces make no difference");
    for message in &whole.0 {
        assert!(message.len() <= LIMIT);
        same::<RangeResponse>(message);
        same::<TxnResponse>(message);
        same::<WatchResponse>(message);
        same::<LeaseKeepAliveResponse>(message);
        same::<LeaseGrantResponse>(message);
        same::<MemberListResponse>(message);
        same::<StatusResponse>(message);
        same::<AuthenticateResponse>(message);
    }
}

/// All messages of a stream, and whether it can be read on.
fn messages<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Bytes>, bool) {
    let mut reader = MessageReader::new(LIMIT);
    let mut read = Vec::new();
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.next() {
                Ok(Some(message)) => read.push(message),
                Ok(None) => break,
                Err(_) => return (read, false),
            }
        }
    }
    (read, true)
}

/// What can be read is read the same once it is written.
fn same<M: Message + Default + PartialEq + Debug>(message: &Bytes) {
    let Ok(read) = M::decode(message.clone()) else { return };
    let mut again = MessageReader::new(usize::MAX);
    again.push(&framed(&read));
    let written = again.next().ok().flatten().unwrap_or_default();
    assert_eq!(M::decode(written).ok(), Some(read));
}
