//! How a WebSocket ends: its frames are followed as far as their heads, for the one that closes it (RFC 6455, 5.2 and
//! 7.4). Nothing of what passes is kept or changed.

use http::HeaderMap;
use http::header::UPGRADE;

/// The status of an upstream that failed.
pub(in crate::proxy) const INTERNAL_ERROR: u16 = 1011;
const CLOSE: u8 = 8;
/// The longest head: two bytes, eight of length, four of mask; and the status that follows it.
const LONGEST: usize = 14 + 2;

/// Whether a request asks for a WebSocket, rather than for another protocol.
pub(in crate::proxy) fn is_asked_for(headers: &HeaderMap) -> bool {
    headers.get(UPGRADE).is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// The frames of one side.
#[derive(Debug, Default)]
pub(in crate::proxy) struct FrameScan {
    /// The head of the frame that has begun, with the status of one that closes.
    head: [u8; LONGEST],
    len: usize,
    /// Bytes of the frame's payload that are still to come.
    payload: u64,
    closed: Option<Option<u16>>,
}

impl FrameScan {
    /// Follows what has come.
    pub(in crate::proxy) fn take(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        while !bytes.is_empty() && self.closed.is_none() {
            if self.payload > 0 {
                let passed = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= passed as u64;
                bytes = bytes.get(passed..).unwrap_or_default();
                continue;
            }
            let Some((byte, rest)) = bytes.split_first() else { return };
            if let Some(place) = self.head.get_mut(self.len) {
                *place = *byte;
            }
            (self.len, bytes) = (self.len + 1, rest);
            self.read_head();
        }
    }

    /// Whether a frame has come that closes it.
    pub(in crate::proxy) fn has_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// The status of that frame, if it has one.
    pub(in crate::proxy) fn status(&self) -> Option<u16> {
        self.closed.flatten()
    }

    /// Looks at the head of a frame, once it is whole.
    fn read_head(&mut self) {
        let [first, second, ..] = self.head;
        let (is_masked, short) = (second & 0x80 != 0, second & 0x7f);
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask_at = 2 + extended;
        let whole = mask_at + if is_masked { 4 } else { 0 };
        if self.len < 2 || self.len < whole {
            return;
        }
        let byte = |at: usize| self.head.get(at).copied().unwrap_or_default();
        let length = match extended {
            0 => u64::from(short),
            _ => (2..mask_at).fold(0, |length, at| length << 8 | u64::from(byte(at))),
        };
        if first & 0x0f != CLOSE {
            (self.payload, self.len) = (length, 0);
        } else if length < 2 {
            self.closed = Some(None);
        } else if self.len >= whole + 2 {
            let mask = |at: usize| if is_masked { byte(mask_at + at) } else { 0 };
            let status = [byte(whole) ^ mask(0), byte(whole + 1) ^ mask(1)];
            self.closed = Some(Some(u16::from_be_bytes(status)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
        let mut frame = vec![0x80 | opcode];
        let masked = if mask.is_some() { 0x80 } else { 0 };
        match payload.len() {
            short @ 0..126 => frame.push(masked | short as u8),
            middle @ 126..0x1_0000 => {
                frame.push(masked | 126);
                frame.extend((middle as u16).to_be_bytes());
            }
            long => {
                frame.push(masked | 127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        let key = mask.unwrap_or_default();
        frame.extend(mask.into_iter().flatten());
        frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        frame
    }

    proptest! {
        #[test]
        fn the_frame_that_closes_is_found_however_it_comes(
            lengths in prop::collection::vec(prop_oneof![0usize..200, 60_000usize..70_000], 0..5),
            mask in prop::option::of(any::<[u8; 4]>()),
            status in prop::option::of(1000u16..5000),
            pieces in prop::collection::vec(1usize..5_000, 1..8),
        ) {
            let mut bytes = Vec::new();
            for length in &lengths {
                // What looks like a closing frame inside a payload is none.
                bytes.extend(frame(2, &[0x88; 70_000][..*length], mask));
            }
            let before = bytes.len();
            let payload = status.map(|status| [&status.to_be_bytes()[..], b"why"].concat()).unwrap_or_default();
            bytes.extend(frame(CLOSE, &payload, mask));
            let (mut scan, mut at, mut sizes) = (FrameScan::default(), 0, pieces.iter().cycle());
            while at < bytes.len() {
                let next = (at + sizes.next().expect("a size")).min(bytes.len());
                scan.take(&bytes[at..next]);
                at = next;
                prop_assert!(at > before || !scan.has_closed());
            }
            prop_assert!(scan.has_closed());
            prop_assert_eq!(scan.status(), status);
        }
    }
}
