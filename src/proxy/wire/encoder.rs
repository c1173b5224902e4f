//! The body of an answer, compressed piece by piece.

use super::holding::HeldMemory;
use crate::core::compression::{Algorithm, Compression};
use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use flate2::write::GzEncoder;
use std::io::{self, Write};

/// Base-2 logarithms of brotli's smallest and of our largest window (256 KiB), in bytes.
const WINDOWS: std::ops::RangeInclusive<u32> = 10..=18;
pub(in crate::proxy) const BROTLI_BUFFER: usize = 4096;
/// What an encoder holds, about.
const ENCODER_BYTES: usize = 256 << 10;

/// Compresses one body.
pub(in crate::proxy) struct Encoder {
    kind: Kind,
    /// Whether every piece is to be of use to the client by itself.
    flushes: bool,
    _held: HeldMemory,
}

enum Kind {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Ended,
}

impl Encoder {
    /// `length` is the body's, where it is known.
    pub(in crate::proxy) fn new(
        algorithm: Algorithm,
        compression: &Compression,
        length: Option<u64>,
    ) -> Self {
        let kind = match algorithm {
            Algorithm::Gzip => {
                Kind::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(compression.gzip_level)))
            }
            Algorithm::Brotli => {
                let bits = length.map_or(*WINDOWS.end(), |length| 64 - length.leading_zeros());
                let params = BrotliEncoderParams {
                    quality: compression.br_level as i32,
                    lgwin: bits.clamp(*WINDOWS.start(), *WINDOWS.end()) as i32,
                    size_hint: length.unwrap_or(0) as usize,
                    ..BrotliEncoderParams::default()
                };
                Kind::Brotli(Box::new(CompressorWriter::with_params(Vec::new(), BROTLI_BUFFER, &params)))
            }
        };
        Encoder { kind, flushes: length.is_none(), _held: HeldMemory::of(ENCODER_BYTES) }
    }

    /// What goes to the client for a piece of the body; it may be empty. Nothing comes after the end.
    ///
    /// # Errors
    /// No write fails: memory takes all that is written.
    pub(in crate::proxy) fn encode(&mut self, piece: &[u8], end: bool) -> io::Result<Bytes> {
        let out = match &mut self.kind {
            Kind::Gzip(gzip) => {
                gzip.write_all(piece)?;
                if self.flushes && !end && !piece.is_empty() {
                    gzip.flush()?;
                }
                std::mem::take(gzip.get_mut())
            }
            Kind::Brotli(brotli) => {
                brotli.write_all(piece)?;
                if self.flushes && !end && !piece.is_empty() {
                    brotli.flush()?;
                }
                std::mem::take(brotli.get_mut())
            }
            Kind::Ended => return Ok(Bytes::new()),
        };
        if !end {
            return Ok(out.into());
        }
        let rest = match std::mem::replace(&mut self.kind, Kind::Ended) {
            Kind::Gzip(gzip) => gzip.finish()?,
            Kind::Brotli(brotli) => brotli.into_inner(),
            Kind::Ended => Vec::new(),
        };
        Ok(if out.is_empty() { rest } else { [out, rest].concat() }.into())
    }
}
