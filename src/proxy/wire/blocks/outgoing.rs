//! Where the frames of the server begin and end: an interim answer may stand between two of them, but not
//! between the parts of one block of fields.

const HEADER: usize = 9;
const HEADERS: u8 = 1;
const PUSH_PROMISE: u8 = 5;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// How far the server's frames have come.
#[derive(Debug, Default)]
pub(super) struct OutgoingBlocks {
    header: [u8; HEADER],
    seen: usize,
    /// Bytes to come of the payload under way.
    left: usize,
    /// Whether a block of fields goes on in the next frame.
    is_open: bool,
}

impl OutgoingBlocks {
    /// Follows bytes that are written.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.left > 0 {
                let count = self.left.min(rest.len());
                self.left -= count;
                rest = rest.get(count..).unwrap_or_default();
                continue;
            }
            let Some((byte, behind)) = rest.split_first() else { return };
            rest = behind;
            if let Some(place) = self.header.get_mut(self.seen) {
                *place = *byte;
            }
            self.seen += 1;
            if self.seen == HEADER {
                self.frame();
            }
        }
    }

    /// Whether a frame of somebody else's may follow here.
    pub(super) fn is_between(&self) -> bool {
        self.seen == 0 && self.left == 0 && !self.is_open
    }

    /// Bytes to the next place where one might, as far as they are known; one at least.
    pub(super) fn left(&self) -> usize {
        if self.left > 0 { self.left } else { HEADER.saturating_sub(self.seen).max(1) }
    }

    fn frame(&mut self) {
        let [one, two, three, kind, flags, ..] = self.header;
        self.left = usize::from(one) << 16 | usize::from(two) << 8 | usize::from(three);
        self.seen = 0;
        if matches!(kind, HEADERS | PUSH_PROMISE | CONTINUATION) {
            self.is_open = flags & END_HEADERS == 0;
        }
    }
}
