//! How many streams the server's first frame allows.
//!
//! The library refuses those beyond what it announces from the start, also of a client that cannot have read it.
//! So it is asked to take a hundred, and what the client reads is the listener's limit, which is kept by
//! the turns of the lane.

const HEADER: u32 = 9;
const KIND: u32 = 3;
const SETTINGS: u8 = 4;
/// A setting is two bytes of what it is, and four of its value.
const SETTING: u32 = 6;
const MAX_CONCURRENT_STREAMS: u16 = 3;

/// How far the first frame has been written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announce {
    streams: [u8; 4],
    at: u32,
    length: u32,
    setting: u16,
    is_over: bool,
}

impl Announce {
    pub(super) fn new(streams: u32) -> Self {
        Announce { streams: streams.to_be_bytes(), at: 0, length: 0, setting: 0, is_over: false }
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Changes the number among the next bytes.
    pub(super) fn pass(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.is_over {
                return;
            }
            self.step(byte);
            self.at += 1;
            self.is_over |= self.at >= HEADER && self.at - HEADER == self.length;
        }
    }

    fn step(&mut self, byte: &mut u8) {
        let Some(place) = self.at.checked_sub(HEADER).map(|at| at % SETTING) else {
            match self.at {
                KIND => self.is_over = *byte != SETTINGS,
                0..KIND => self.length = self.length << 8 | u32::from(*byte),
                _ => {}
            }
            return;
        };
        let value = place.checked_sub(2).and_then(|place| self.streams.get(place as usize));
        match value {
            None => self.setting = self.setting << 8 | u16::from(*byte),
            Some(value) if self.setting == MAX_CONCURRENT_STREAMS => *byte = *value,
            Some(_) => {}
        }
    }
}
