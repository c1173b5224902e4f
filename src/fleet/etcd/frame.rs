//! How gRPC puts messages on a stream: a byte that says whether it is compressed, four of length, the message.
//!
//! A message is bounded before any of it is kept, and compressed ones are refused: none is asked for.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

const PREFIX_BYTES: usize = 5;

/// A message in its frame.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + length);
    framed.put_u8(0);
    // A request near 4 GiB has been refused long before: etcd takes 1.5 MiB.
    framed.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    framed.put_slice(&message.encode_to_vec());
    framed.freeze()
}

/// Takes the messages out of a stream.
#[derive(Debug)]
pub(super) struct MessageReader {
    read: BytesMut,
    /// The most of one message, in bytes.
    limit: usize,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameFault {
    /// The next message has so many bytes.
    TooLarge(usize),
    Compressed,
}

impl MessageReader {
    pub(super) fn new(limit: usize) -> Self {
        MessageReader { read: BytesMut::new(), limit }
    }

    /// Takes bytes in; [`next`](Self::next) is called until it has no more before others come.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.read.extend_from_slice(bytes);
    }

    /// The next message that is whole.
    ///
    /// # Errors
    /// [`FrameFault`]: nothing after it can be read.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, FrameFault> {
        let Some((&[is_compressed, ref length @ ..], _)) = self.read.split_first_chunk::<PREFIX_BYTES>()
        else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > self.limit {
            return Err(FrameFault::TooLarge(length));
        }
        if is_compressed != 0 {
            return Err(FrameFault::Compressed);
        }
        if self.read.len() < PREFIX_BYTES + length {
            return Ok(None);
        }
        self.read.advance(PREFIX_BYTES);
        Ok(Some(self.read.split_to(length).freeze()))
    }

    /// Whether a message has begun and is not whole.
    pub(super) fn is_within(&self) -> bool {
        !self.read.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::KeyValue;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_bounded_before_it_is_there() {
        let mut reader = MessageReader::new(10);
        reader.push(&[0, 0, 0, 0, 11]);
        assert_eq!(reader.next(), Err(FrameFault::TooLarge(11)));
        let mut reader = MessageReader::new(10);
        reader.push(&[1, 0, 0, 0, 1]);
        assert_eq!(reader.next(), Err(FrameFault::Compressed));
        let mut reader = MessageReader::new(10);
        assert!(!reader.is_within());
        reader.push(&[0, 0, 0, 0, 0, 0]);
        assert_eq!(reader.next(), Ok(Some(Bytes::new())));
        assert_eq!(reader.next(), Ok(None));
        assert!(reader.is_within());
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in(
            values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            cut in 1usize..50,
        ) {
            let messages: Vec<KeyValue> = values.into_iter()
                .map(|value| KeyValue { value: value.into(), mod_revision: -1, ..KeyValue::default() })
                .collect();
            let stream: Vec<u8> = messages.iter().flat_map(|message| framed(message).to_vec()).collect();
            let mut reader = MessageReader::new(64);
            let mut read = Vec::new();
            for piece in stream.chunks(cut) {
                reader.push(piece);
                while let Some(message) = reader.next().expect("within the limit") {
                    read.push(KeyValue::decode(message).expect("a message"));
                }
            }
            prop_assert_eq!(read, messages);
            prop_assert!(!reader.is_within());
        }
    }
}
