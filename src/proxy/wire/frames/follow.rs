//! Where the frames of a client begin and end, and which of them are trailers.

use super::allowance::of_client;
use super::fields::Fields;

const PREFACE: u32 = 24;
/// Bytes of a frame's header.
const HEADER: u8 = 9;
/// Where in it a frame says what it is, how, and on which stream.
const KIND: u8 = 3;
const FLAGS: u8 = 4;
const LAST_OF_STREAM: u8 = 8;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;

const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// How far the frames of a client have come.
#[derive(Debug)]
pub(super) struct Follow {
    /// The header under way, as far as it has come, and how many bytes that is.
    header: u128,
    seen: u8,
    /// Bytes to come of the payload under way, or of the preface.
    left: u32,
    /// Whether that payload is a part of trailers.
    part: Option<Part>,
    /// The trailers under way; they go on in the next frame where their end was not told.
    fields: Fields,
    unfinished: bool,
    /// Highest stream that was opened: fields for it, or for one below, are trailers.
    highest: u32,
    beginning: Beginning,
    acknowledged: bool,
    /// The fields of a request, or of trailers, that are under way: which they are, and whether the frame
    /// under way is their last.
    block: Option<u32>,
    blocks: u32,
    is_last: bool,
    /// What the frames have brought and cost since that was asked.
    earned: u32,
    spent: u32,
}

/// The first frame, by which a connection is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beginning {
    Awaited,
    /// It is an acknowledgement, of which there is nothing to acknowledge.
    Wrong,
    Over,
}

/// Where in the payload of a frame a piece of the trailers lies.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    /// The length of the padding is to come first.
    is_padded: bool,
    /// Bytes before the piece, and behind it.
    before: u32,
    padding: u32,
}

impl Default for Follow {
    fn default() -> Self {
        Follow {
            header: 0,
            seen: 0,
            left: PREFACE,
            part: None,
            fields: Fields::default(),
            unfinished: false,
            highest: 0,
            beginning: Beginning::Awaited,
            acknowledged: false,
            block: None,
            blocks: 0,
            is_last: false,
            earned: 0,
            spent: 0,
        }
    }
}

impl Follow {
    /// Whether the client has acknowledged the server's settings.
    pub(super) fn has_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// The block of fields that is under way, by a number of its own.
    pub(super) fn block(&self) -> Option<u32> {
        self.block
    }

    /// What the frames have brought and cost.
    pub(super) fn take_costs(&mut self) -> (u32, u32) {
        (std::mem::take(&mut self.earned), std::mem::take(&mut self.spent))
    }

    /// Looks at the next bytes, and changes those that must not be.
    pub(super) fn pass(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while let Some(rest) = bytes.get_mut(at..).filter(|rest| !rest.is_empty()) {
            at += if self.left > 0 { self.payload(rest) } else { self.header(rest) };
        }
    }

    /// How many of the bytes, one at least, are of the payload, or of a part of it.
    fn payload(&mut self, bytes: &mut [u8]) -> usize {
        let most = self.left.min(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        let count =
            self.part.as_mut().map_or(most, |part| part.pass(bytes, most, self.left, &mut self.fields));
        self.left -= count;
        self.end_block();
        count as usize
    }

    fn end_block(&mut self) {
        if self.left == 0 && self.is_last {
            self.block = None;
        }
    }

    /// How many of the bytes, one at least, are of the header.
    fn header(&mut self, bytes: &mut [u8]) -> usize {
        let mut count = 0;
        for byte in bytes.iter_mut().take(usize::from(HEADER - self.seen)) {
            if self.beginning != Beginning::Over {
                self.begin(byte);
            }
            self.header = self.header << 8 | u128::from(*byte);
            self.seen += 1;
            count += 1;
        }
        if self.seen == HEADER {
            self.seen = 0;
            self.frame();
        }
        count
    }

    /// The header of the first frame: any but SETTINGS becomes a CONTINUATION of nothing, and an
    /// acknowledgement one on a stream.
    fn begin(&mut self, byte: &mut u8) {
        match self.seen {
            KIND if *byte != SETTINGS => *byte = CONTINUATION,
            FLAGS if *byte & ACK != 0 => self.beginning = Beginning::Wrong,
            LAST_OF_STREAM => {
                *byte |= u8::from(self.beginning == Beginning::Wrong);
                self.beginning = Beginning::Over;
            }
            _ => {}
        }
    }

    /// A frame's header is complete.
    fn frame(&mut self) {
        // 24 bits of length, 8 of kind, 8 of flags, a reserved one, 31 of the stream.
        self.left = (self.header >> 48) as u32 & 0x00ff_ffff;
        let (kind, flags) = ((self.header >> 40) as u8, (self.header >> 32) as u8);
        let stream = self.header as u32 & 0x7fff_ffff;
        let is_last = flags & END_HEADERS != 0;
        self.part = None;
        self.acknowledged |= kind == SETTINGS && flags & ACK != 0;
        let (earned, spent) = of_client(kind, flags, self.left);
        self.earned = self.earned.saturating_add(earned);
        self.spent = self.spent.saturating_add(spent);
        if kind == HEADERS {
            self.blocks = self.blocks.wrapping_add(1);
            self.block = Some(self.blocks);
        }
        self.is_last = is_last && matches!(kind, HEADERS | CONTINUATION);
        self.end_block();
        if kind == HEADERS {
            let is_late = stream <= self.highest;
            self.highest = self.highest.max(stream);
            self.unfinished = is_late && !is_last;
            if is_late {
                self.fields = Fields::default();
                let before = if flags & PRIORITY != 0 { 5 } else { 0 };
                self.part = Some(Part { is_padded: flags & PADDED != 0, before, padding: 0 });
            }
        } else if kind == CONTINUATION && self.unfinished {
            self.unfinished = !is_last;
            self.part = Some(Part::default());
        }
    }
}

impl Part {
    /// How many of the next `most` bytes were passed; `left` are to come of the frame.
    fn pass(&mut self, bytes: &mut [u8], most: u32, left: u32, fields: &mut Fields) -> u32 {
        if self.is_padded {
            self.is_padded = false;
            self.padding = bytes.first().copied().map_or(0, u32::from);
            return 1;
        }
        if self.before > 0 {
            let count = self.before.min(most);
            self.before -= count;
            return count;
        }
        match left.saturating_sub(self.padding).min(most) {
            0 => most,
            count => {
                fields.pass(bytes.get_mut(..count as usize).unwrap_or_default());
                count
            }
        }
    }
}
