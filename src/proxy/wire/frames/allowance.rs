//! What a client may make a connection do beside its requests.
//!
//! Frames that carry no request and no body (window updates, priorities, settings, pings, resets, empty data,
//! continuations, unknown ones) cost little each, and nothing bounds their number: a client can send millions.
//! So each is paid for. A connection begins with an allowance, time adds a little, and the work of the
//! connection adds what clients need for it: one of them that updates both of its windows for each piece
//! it reads, of a frame of any size, pays less than the frame has brought.
//!
//! What work has brought is kept without a bound: a client may read for minutes before it says so.

use std::time::Duration;

/// At the start, and what time alone brings back.
const AT_FIRST: i64 = 1000;
const A_SECOND: u32 = 20;
/// What each frame of an answer brings, and every so many bytes of it; the answer's head alone.
const DATA_SENT: u32 = 8;
const BYTES_SENT: u32 = 256;
const HEAD_SENT: u32 = 16;
/// A frame of a request's body, whatever its length.
const DATA_CAME: u32 = 2;
/// A request that was served for some time, though its client has reset it before its answer.
pub(super) const SERVED: u32 = 8;
/// Settings change every stream that is open.
const SETTINGS_COST: u32 = 8;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const HEADER: u8 = 9;
const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const PADDED: u8 = 0x8;
/// The most that padding takes, its length included.
const PADDING: u32 = 256;

/// What is left of it.
#[derive(Debug)]
pub(super) struct Allowance {
    left: i64,
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance { left: AT_FIRST }
    }
}

impl Allowance {
    /// Adds and takes; whether it holds.
    pub(super) fn settle(&mut self, earned: u32, spent: u32) -> bool {
        self.left = self.left.saturating_add(i64::from(earned)).saturating_sub(i64::from(spent));
        self.left >= 0
    }

    /// Adds what time brings, since it was asked last; whether it holds.
    pub(super) fn wait(&mut self, passed: Duration) -> bool {
        let brought = passed.saturating_mul(A_SECOND).as_secs().min(AT_FIRST as u64) as i64;
        self.left = self.left.saturating_add(brought);
        self.left >= 0
    }
}

/// What a frame of the client brings, and what it costs.
pub(super) fn of_client(kind: u8, flags: u8, length: u32) -> (u32, u32) {
    match kind {
        DATA if length > PADDING || (length > 0 && flags & PADDED == 0) => (DATA_CAME, 0),
        DATA => (0, u32::from(flags & END_STREAM == 0)),
        // The requests themselves are bounded by others.
        HEADERS => (0, 0),
        SETTINGS if flags & ACK == 0 => (0, SETTINGS_COST),
        _ => (0, 1),
    }
}

/// How far the frames that are sent have come.
#[derive(Debug, Default)]
pub(super) struct OutgoingFrames {
    header: [u8; 4],
    seen: u8,
    left: u32,
}

impl OutgoingFrames {
    /// What the next bytes bring.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> u32 {
        let (mut bytes, mut earned) = (bytes, 0_u32);
        while let Some((first, rest)) = bytes.split_first() {
            if self.left > 0 {
                let count = bytes.len().min(self.left as usize);
                self.left -= count as u32;
                bytes = bytes.get(count..).unwrap_or_default();
                continue;
            }
            if let Some(byte) = self.header.get_mut(usize::from(self.seen)) {
                *byte = *first;
            }
            self.seen += 1;
            bytes = rest;
            if self.seen == HEADER {
                earned = earned.saturating_add(self.frame());
            }
        }
        earned
    }

    fn frame(&mut self) -> u32 {
        let [high, middle, low, kind] = self.header;
        self.seen = 0;
        self.left = u32::from_be_bytes([0, high, middle, low]);
        match kind {
            DATA if self.left > 0 => DATA_SENT + self.left / BYTES_SENT,
            HEADERS => HEAD_SENT,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW_UPDATE: u8 = 8;
    const PING: u8 = 6;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let mut bytes = (length as u32).to_be_bytes()[1..].to_vec();
        bytes.extend_from_slice(&[kind, 0, 0, 0, 0, 1]);
        bytes.extend(vec![7; length]);
        bytes
    }

    #[test]
    fn a_download_pays_for_two_updates_of_each_kilobyte_however_it_is_cut() {
        for (length, cut) in [(16_384, 1000), (1, 3), (100, 7), (3000, 1)] {
            let (mut outgoing, mut allowance) = (OutgoingFrames::default(), Allowance::default());
            for _ in 0..2000 {
                let earned = frame(DATA, length).chunks(cut).map(|piece| outgoing.pass(piece)).sum();
                let updates = 2 * (1 + length / 1024);
                let spent = (0..updates).map(|_| of_client(WINDOW_UPDATE, 0, 4).1).sum();
                assert!(allowance.settle(earned, spent), "frames of {length}");
            }
        }
    }

    #[test]
    fn what_is_answered_without_work_brings_nothing() {
        let (mut outgoing, mut allowance) = (OutgoingFrames::default(), Allowance::default());
        let mut pings = 0;
        while allowance.settle(outgoing.pass(&frame(PING, 8)), of_client(PING, 0, 8).1) {
            pings += 1;
        }
        assert_eq!(pings, AT_FIRST);
        assert!(allowance.wait(Duration::from_secs(1)));
        assert!(!Allowance { left: -5 }.wait(Duration::from_millis(100)));
    }

    #[test]
    fn empty_data_and_bare_padding_cost_and_content_does_not() {
        assert_eq!(of_client(DATA, 0, 0), (0, 1));
        assert_eq!(of_client(DATA, PADDED, 256), (0, 1));
        assert_eq!(of_client(DATA, END_STREAM, 0), (0, 0));
        assert_eq!(of_client(DATA, 0, 1).1, 0);
        assert_eq!(of_client(SETTINGS, 0, 6).1, SETTINGS_COST);
        assert_eq!(of_client(0x42, 0, 500).1, 1);
    }
}
