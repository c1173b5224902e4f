//! Where the body of a message ends, and what of its bytes is content.

use super::chunks::{Chunks, MalformedChunk};

/// What is to come of a body.
#[derive(Debug, Default)]
pub(in crate::proxy) enum BodyReader {
    #[default]
    Done,
    /// So many bytes.
    Length(u64),
    Chunked(Box<Chunks>),
    /// All that comes before the end of the connection (answers only).
    UntilClose,
}

impl BodyReader {
    pub(in crate::proxy) fn length(length: u64) -> Self {
        if length == 0 { BodyReader::Done } else { BodyReader::Length(length) }
    }

    pub(in crate::proxy) fn chunked() -> Self {
        BodyReader::Chunked(Box::default())
    }

    pub(in crate::proxy) fn is_done(&self) -> bool {
        matches!(self, BodyReader::Done)
    }

    /// How many of the next bytes are the body's; `take` gets their content.
    ///
    /// # Errors
    /// [`MalformedChunk`] where chunks are not as they should be.
    pub(in crate::proxy) fn read(
        &mut self,
        bytes: &[u8],
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, MalformedChunk> {
        let count = match self {
            BodyReader::Done => 0,
            BodyReader::UntilClose => {
                take(bytes);
                bytes.len()
            }
            BodyReader::Length(left) => {
                let count = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= count as u64;
                take(bytes.get(..count).unwrap_or_default());
                if *left == 0 {
                    *self = BodyReader::Done;
                }
                count
            }
            BodyReader::Chunked(chunks) => {
                let count = chunks.decode(bytes, take)?;
                if chunks.is_done() {
                    *self = BodyReader::Done;
                }
                count
            }
        };
        Ok(count)
    }
}

/// How the body of a message is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::proxy) enum BodyWriter {
    /// There is none, or its bytes go out as they are.
    #[default]
    Plain,
    Chunked,
}

impl BodyWriter {
    /// The line before a piece that is not empty, and what follows it.
    pub(in crate::proxy) fn begin(self, length: usize, out: &mut Vec<u8>) {
        if self == BodyWriter::Chunked {
            write_hex(length, out);
            out.extend_from_slice(b"\r\n");
        }
    }

    pub(in crate::proxy) fn end(self, out: &mut Vec<u8>) {
        if self == BodyWriter::Chunked {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// The end of the body.
    pub(in crate::proxy) fn finish(self, out: &mut Vec<u8>) {
        if self == BodyWriter::Chunked {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }
}

fn write_hex(number: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    out.extend((0..digits).rev().filter_map(|digit| DIGITS.get(number >> (digit * 4) & 15)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for size in [1, 9, 10, 15, 16, 255, 4096, 65535, 65536, 1 << 30] {
            let mut out = Vec::new();
            BodyWriter::Chunked.begin(size, &mut out);
            assert_eq!(out, format!("{size:x}\r\n").into_bytes());
        }
    }

    #[test]
    fn what_follows_a_body_is_left() {
        let mut content = Vec::new();
        let mut chunked = BodyReader::chunked();
        let bytes = b"3\r\nabc\r\n0\r\n\r\nGET";
        let count = chunked.read(bytes, &mut |piece| content.extend_from_slice(piece));
        assert_eq!((count, chunked.is_done(), &content[..]), (Ok(bytes.len() - 3), true, &b"abc"[..]));
        let mut length = BodyReader::length(2);
        assert_eq!(length.read(b"xyz", &mut |_| ()), Ok(2));
        assert!(length.is_done());
    }
}
