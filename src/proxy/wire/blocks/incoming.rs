//! The frames of a client on their way to the library below: blocks of fields are gathered and put into other
//! words; what cannot be read ends the connection there, by its own refusal.

use super::{BlockLimits, KEPT, settle};
use crate::proxy::wire::hpack::HpackReader;

const PREFACE: usize = 24;
const HEADER: usize = 9;
/// Largest frame that is taken.
const LARGEST: usize = 16 << 10;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// Frames that go on with a block, at most.
const MOST_CONTINUATIONS: u32 = 64;
/// How much larger than the limit a block may be that is still read to its end, so that its request is
/// answered and the connection goes on.
const EXCESS: usize = 4;
/// Malformed requests on one connection.
const MOST_REFUSED: u32 = 64;

/// How far the frames of a client have come.
#[derive(Debug)]
pub(super) struct Incoming {
    at: At,
    /// The header of a frame under way, and the payload where it is of a block.
    held: Vec<u8>,
    block: Option<Block>,
    reader: HpackReader,
    limits: BlockLimits,
    /// Highest stream that was opened: a block for it, or for one below, is trailers.
    highest: u32,
    refused: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// So many bytes that pass as they are.
    Passing(usize),
    /// A frame, of which so many bytes are needed.
    Frame(usize),
    /// The connection is lost: nothing passes any more.
    Lost,
}

/// A block of fields under way.
#[derive(Debug)]
struct Block {
    stream: u32,
    ends_stream: bool,
    depends_on_itself: bool,
    bytes: Vec<u8>,
    continuations: u32,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug)]
struct Frame {
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
}

impl Frame {
    fn of(bytes: &[u8]) -> Option<Frame> {
        let [one, two, three, kind, flags, stream @ ..] = bytes.first_chunk::<HEADER>()?;
        let length = usize::from(*one) << 16 | usize::from(*two) << 8 | usize::from(*three);
        let stream = u32::from_be_bytes(*stream) & 0x7fff_ffff;
        Some(Frame { length, kind: *kind, flags: *flags, stream })
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend((self.length as u32).to_be_bytes().iter().skip(1));
        out.extend([self.kind, self.flags]);
        out.extend(self.stream.to_be_bytes());
    }
}

impl Incoming {
    pub(super) fn new(limits: BlockLimits) -> Self {
        Incoming {
            at: At::Passing(PREFACE),
            held: Vec::new(),
            block: None,
            reader: HpackReader::default(),
            limits,
            highest: 0,
            refused: 0,
        }
    }

    /// How many of the next bytes pass as they are; the others go to [`Incoming::turn`].
    pub(super) fn pass(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        loop {
            let rest = bytes.get(passed..).unwrap_or_default();
            match self.at {
                At::Passing(left) => {
                    let count = left.min(rest.len());
                    passed += count;
                    self.at = if count == left { At::Frame(HEADER) } else { At::Passing(left - count) };
                    if count < left {
                        return passed;
                    }
                }
                At::Frame(_) if self.held.is_empty() && self.block.is_none() => match Frame::of(rest) {
                    Some(frame) if frame.kind != HEADERS && frame.length <= LARGEST => {
                        passed += HEADER;
                        self.at = At::Passing(frame.length);
                    }
                    _ => return passed,
                },
                _ => return passed,
            }
        }
    }

    /// Takes the other bytes, and appends what is to be read for them.
    pub(super) fn turn(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.at {
                At::Lost => return,
                At::Passing(left) => {
                    let count = left.min(rest.len());
                    let (piece, behind) = rest.split_at(count);
                    out.extend_from_slice(piece);
                    rest = behind;
                    self.at = if count == left { At::Frame(HEADER) } else { At::Passing(left - count) };
                }
                At::Frame(needed) => {
                    let count = needed.saturating_sub(self.held.len()).min(rest.len());
                    let (piece, behind) = rest.split_at(count);
                    self.held.extend_from_slice(piece);
                    rest = behind;
                    if self.held.len() == needed {
                        self.at = self.frame(needed, out);
                    }
                }
            }
        }
    }

    /// A header is complete, or the frame of a block is: what comes next.
    fn frame(&mut self, seen: usize, out: &mut Vec<u8>) -> At {
        let Some(frame) = Frame::of(&self.held) else { return At::Lost };
        let of_block = match &self.block {
            Some(block) => frame.kind == CONTINUATION && frame.stream == block.stream,
            None => frame.kind == HEADERS && frame.stream != 0,
        };
        if seen == HEADER {
            if frame.length > LARGEST || !of_block {
                return self.strange(frame, out);
            }
            if frame.length > 0 {
                return At::Frame(HEADER + frame.length);
            }
        }
        let held = std::mem::take(&mut self.held);
        let payload = held.get(HEADER..).unwrap_or_default();
        let whole = self.gather(frame, payload);
        if held.capacity() <= KEPT {
            self.held = held;
            self.held.clear();
        }
        match whole {
            None => lost(out),
            Some(false) => At::Frame(HEADER),
            Some(true) => self.finish(out),
        }
    }

    /// A frame that is of no block. In the middle of one it is an error, and so are fields on no stream; what is
    /// too large is one that the library below finds by itself.
    fn strange(&mut self, frame: Frame, out: &mut Vec<u8>) -> At {
        let is_unfinished = self.block.take().is_some();
        let held = std::mem::take(&mut self.held);
        if is_unfinished || frame.kind == HEADERS && frame.length <= LARGEST {
            return lost(out);
        }
        out.extend_from_slice(&held);
        if frame.length > LARGEST { At::Lost } else { passing(frame.length) }
    }

    /// Takes a piece of a block; whether that was its last. `None` where it is none.
    fn gather(&mut self, frame: Frame, payload: &[u8]) -> Option<bool> {
        let ends = frame.flags & END_HEADERS != 0;
        if let Some(block) = &mut self.block {
            block.continuations += 1;
            let size = block.bytes.len().saturating_add(payload.len());
            let most = self.limits.size.saturating_mul(EXCESS).saturating_add(LARGEST);
            if block.continuations > MOST_CONTINUATIONS || size > most {
                return None;
            }
            block.bytes.extend_from_slice(payload);
            return Some(ends);
        }
        let mut piece = payload;
        let mut padding = 0;
        if frame.flags & PADDED != 0 {
            let (length, rest) = piece.split_first()?;
            (piece, padding) = (rest, usize::from(*length));
        }
        let mut depends_on_itself = false;
        if frame.flags & PRIORITY != 0 {
            let (priority, rest) = piece.split_first_chunk::<5>()?;
            let [one, two, three, four, _] = *priority;
            depends_on_itself = u32::from_be_bytes([one & 0x7f, two, three, four]) == frame.stream;
            piece = rest;
        }
        let piece = piece.get(..piece.len().checked_sub(padding)?)?;
        self.block = Some(Block {
            stream: frame.stream,
            ends_stream: frame.flags & END_STREAM != 0,
            depends_on_itself,
            bytes: piece.to_vec(),
            continuations: 0,
        });
        Some(ends)
    }

    /// A block is whole.
    fn finish(&mut self, out: &mut Vec<u8>) -> At {
        let Some(block) = self.block.take() else { return At::Frame(HEADER) };
        let is_late = block.stream <= self.highest;
        self.highest = self.highest.max(block.stream);
        let settled = match self.reader.read(&block.bytes, self.limits.size) {
            Ok(list) if is_late && settle::are_trailers(&list) => Vec::new(),
            Ok(list) if !is_late => {
                let settled = settle::request(&list, self.limits, block.depends_on_itself);
                self.refused += u32::from(settled.is_refused);
                settled.block
            }
            _ => {
                // An index that there is not: it is refused as what came would have been.
                write(&block, &[0x80], out);
                return At::Lost;
            }
        };
        if self.refused > MOST_REFUSED {
            return lost(out);
        }
        write(&block, &settled, out);
        At::Frame(HEADER)
    }
}

fn passing(length: usize) -> At {
    if length == 0 { At::Frame(HEADER) } else { At::Passing(length) }
}

/// Ends the connection by a frame that goes on with no block.
fn lost(out: &mut Vec<u8>) -> At {
    Frame { length: 0, kind: CONTINUATION, flags: END_HEADERS, stream: 1 }.write(out);
    At::Lost
}

/// Writes a block in as many frames as it takes.
fn write(block: &Block, bytes: &[u8], out: &mut Vec<u8>) {
    let mut pieces = bytes.chunks(LARGEST).peekable();
    let mut kind = HEADERS;
    let ends_stream = if block.ends_stream { END_STREAM } else { 0 };
    loop {
        let piece = pieces.next().unwrap_or_default();
        let is_last = pieces.peek().is_none();
        let flags = if is_last { END_HEADERS } else { 0 } | if kind == HEADERS { ends_stream } else { 0 };
        Frame { length: piece.len(), kind, flags, stream: block.stream }.write(out);
        out.extend_from_slice(piece);
        if is_last {
            return;
        }
        kind = CONTINUATION;
    }
}
