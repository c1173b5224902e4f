//! Chunked bodies, byte by byte and by the letter (RFC 9112, 7.1).
//!
//! The decoder finds the end of a body, so that what follows is never taken for a part of it, and stops at
//! whatever another parser might read as another length.

use crate::proxy::wire::head::{is_text, is_token};

/// Bytes of chunk extensions, and of trailer fields, in one body.
const MOST_EXTENSION: usize = 4 << 10;
const MOST_TRAILER: usize = 8 << 10;
/// Hexadecimal digits of a chunk's size.
const MOST_DIGITS: u8 = 15;

/// The body breaks the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct MalformedChunk;

/// How far a body has come.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Chunks {
    place: Place,
    /// Of the chunk under way: its size, then the bytes of it to come.
    left: u64,
    digits: u8,
    extension: usize,
    trailer: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Size,
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    End,
    Done,
}

impl Chunks {
    /// How many of the bytes belong to the body; `take` gets what they carry.
    ///
    /// # Errors
    /// [`MalformedChunk`] at the first byte that is not as it should be.
    pub(in crate::proxy) fn decode(
        &mut self,
        bytes: &[u8],
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, MalformedChunk> {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match self.place {
                Place::Done => break,
                Place::Data => {
                    let rest = bytes.get(at..).unwrap_or_default();
                    let count = usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
                    take(rest.get(..count).unwrap_or_default());
                    self.left -= count as u64;
                    at += count;
                    if self.left == 0 {
                        self.place = Place::DataReturn;
                    }
                }
                _ => {
                    self.place = self.step(*byte).ok_or(MalformedChunk)?;
                    at += 1;
                }
            }
        }
        Ok(at)
    }

    pub(in crate::proxy) fn is_done(&self) -> bool {
        self.place == Place::Done
    }

    fn step(&mut self, byte: u8) -> Option<Place> {
        Some(match (self.place, byte) {
            (Place::Size, b'\r') if self.digits > 0 => Place::SizeEnd,
            (Place::Size, b';') if self.digits > 0 => Place::Extension,
            (Place::Size, digit) => {
                let value = char::from(digit).to_digit(16)?;
                self.digits += 1;
                self.left = (self.left << 4) | u64::from(value);
                (self.digits <= MOST_DIGITS).then_some(Place::Size)?
            }
            (Place::Extension, b'\r') => Place::SizeEnd,
            (Place::Extension, byte) => {
                self.extension += 1;
                (is_text(byte) && self.extension <= MOST_EXTENSION).then_some(Place::Extension)?
            }
            (Place::SizeEnd, b'\n') => {
                self.digits = 0;
                if self.left == 0 { Place::TrailerStart } else { Place::Data }
            }
            (Place::DataReturn, b'\r') => Place::DataEnd,
            (Place::DataEnd, b'\n') => Place::Size,
            (Place::TrailerStart, b'\r') => Place::End,
            (Place::TrailerName, b':') => Place::TrailerValue,
            (Place::TrailerStart | Place::TrailerName, byte) => {
                self.trailer += 1;
                (is_token(byte) && self.trailer <= MOST_TRAILER).then_some(Place::TrailerName)?
            }
            (Place::TrailerValue, b'\r') => Place::TrailerEnd,
            (Place::TrailerValue, byte) => {
                self.trailer += 1;
                (is_text(byte) && self.trailer <= MOST_TRAILER).then_some(Place::TrailerValue)?
            }
            (Place::TrailerEnd, b'\n') => Place::TrailerStart,
            (Place::End, b'\n') => Place::Done,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pass(body: &[u8]) -> Result<(usize, bool), MalformedChunk> {
        let mut chunks = Chunks::default();
        let passed = chunks.decode(body, &mut |_| ())?;
        Ok((passed, chunks.is_done()))
    }

    #[test]
    fn a_body_ends_after_its_trailer() {
        assert_eq!(pass(b"5\r\nhello\r\n0\r\n\r\nGET"), Ok((15, true)));
        assert_eq!(pass(b"A;x=\"y\"\r\n0123456789\r\n00\r\nX: y\r\n\r\n"), Ok((33, true)));
        assert_eq!(pass(b"5\r\nhel"), Ok((6, false)));
    }

    #[test]
    fn what_others_might_read_otherwise_is_malformed() {
        for body in [
            &b"\r\n"[..],
            b"5\nhello\n0\n\n",
            b"5 \r\nhello",
            b" 5\r\nhello",
            b"0x5\r\nhello",
            b"+5\r\nhello",
            b"-1\r\n",
            b"5\r\nhelloX",
            b"5\r\nhello\n0",
            b"00000000000000005\r\n",
            b"5;\n\r\nhello",
            b"5\rX",
            b"0\r\nX y: z\r\n\r\n",
            b"0\r\n X: z\r\n\r\n",
            b"0\r\nX\r\n\r\n",
        ] {
            assert_eq!(pass(body), Err(MalformedChunk), "{}", body.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(sizes in prop::collection::vec(1usize..40, 0..6), cut in 1usize..20) {
            let mut body = Vec::new();
            for size in &sizes {
                body.extend(format!("{size:x};e\r\n{}\r\n", "d".repeat(*size)).bytes());
            }
            body.extend(b"0\r\nT: v\r\n\r\n");
            let length = body.len();
            body.extend(b"next");
            let (mut chunks, mut passed) = (Chunks::default(), 0);
            for piece in body.chunks(cut) {
                passed += chunks.decode(piece, &mut |_| ()).expect("well formed");
            }
            prop_assert_eq!((passed, chunks.is_done()), (length, true));
        }
    }
}
