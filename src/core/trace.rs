//! The trace that a request belongs to, as W3C's Trace Context (level 1) has it: `traceparent`.
//!
//! The text is made once for a request and lent to every attempt on an upstream. The span of the request is the parent of
//! those of its attempts, which differ in the last byte of their ids: what is left to chance are the seven before it.

use super::hex;

/// Bytes of a `traceparent`: `00-TRACE ID-SPAN ID-FLAGS`.
const LENGTH: usize = 55;
const TRACE: std::ops::Range<usize> = 3..35;
const SPAN: std::ops::Range<usize> = 36..52;
const FLAGS: std::ops::Range<usize> = 53..55;
/// The flag that somebody may have recorded the span before: the only one of level 1.
const SAMPLED: u8 = 1;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// How requests are traced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TraceMode {
    /// The trace of a trusted peer goes on, anybody else's request begins one.
    Propagate,
    /// Every request begins one.
    Inject,
    /// Nothing is read or changed.
    #[default]
    Off,
}

/// How requests are traced, and which of the traces that begin here are sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracing {
    pub mode: TraceMode,
    /// Of [`Tracing::ALL`] parts so many.
    pub sampled: u32,
}

impl Tracing {
    pub const ALL: u32 = 1 << 31;

    /// Whether a trace is sampled that begins with this draw.
    pub fn samples(self, draw: u64) -> bool {
        (draw >> 33) < u64::from(self.sampled)
    }
}

impl Default for Tracing {
    fn default() -> Self {
        Tracing { mode: TraceMode::default(), sampled: Tracing::ALL }
    }
}

/// The trace of one request, and the span that the request is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// As the attempt under way passes it on.
    text: [u8; LENGTH],
    /// The span that it came from, where it goes on.
    parent: Option<[u8; 16]>,
}

impl TraceContext {
    /// A trace begins, under an id of 32 hexadecimal digits. `draw` is chance.
    pub fn begin(id: &[u8; 32], draw: u64, is_sampled: bool) -> Self {
        let mut context =
            TraceContext { text: *b"00-00000000000000000000000000000000-0000000000000000-00", parent: None };
        context.text[TRACE].copy_from_slice(id);
        context.text[SPAN].copy_from_slice(&span(draw));
        context.text[FLAGS.end - 1] = b'0' + u8::from(is_sampled);
        context
    }

    /// The trace of this `traceparent` goes on; `None` where it says nothing. Of a later version counts what this one
    /// knows of, as its specification asks.
    pub fn go_on(sent: &[u8], draw: u64) -> Option<Self> {
        let mut text: [u8; LENGTH] = *sent.first_chunk()?;
        let is_whole = sent.len() == LENGTH || sent.get(LENGTH) == Some(&b'-') && &text[..2] != b"00";
        let is_hex = |range: std::ops::Range<usize>| {
            text[range].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_nothing = |range: std::ops::Range<usize>| text[range].iter().all(|byte| *byte == b'0');
        let has_dashes = [2, 35, 52].iter().all(|at| text[*at] == b'-');
        let is_legal = is_whole && has_dashes && [0..2, TRACE, SPAN, FLAGS].into_iter().all(is_hex);
        if !is_legal || &text[..2] == b"ff" || is_nothing(TRACE) || is_nothing(SPAN) {
            return None;
        }
        let mut parent = [b'0'; 16];
        parent.copy_from_slice(&text[SPAN]);
        let is_sampled = digit(text[FLAGS.end - 1]) & SAMPLED;
        text[..2].copy_from_slice(b"00");
        text[SPAN].copy_from_slice(&span(draw));
        text[FLAGS].copy_from_slice(&[b'0', b'0' + is_sampled]);
        Some(TraceContext { text, parent: Some(parent) })
    }

    /// The attempt with this number passes it on from here; the first has 1, and is what it begins with.
    pub fn attempt(&mut self, number: u8) {
        self.text[SPAN.end - 2] = DIGITS[usize::from(number >> 4)];
        self.text[SPAN.end - 1] = DIGITS[usize::from(number & 15)];
    }

    /// What the attempt under way passes on.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The id of the trace: 32 digits.
    pub fn id(&self) -> &[u8; 32] {
        self.text[TRACE].first_chunk().unwrap_or(&[b'0'; 32])
    }

    /// The id of the span of an attempt, or with 0 of the request's own: 16 digits.
    pub fn span(&self, number: u8) -> [u8; 16] {
        let mut of_attempt = *self;
        of_attempt.attempt(number);
        let mut span = [b'0'; 16];
        span.copy_from_slice(&of_attempt.text[SPAN]);
        span
    }

    /// The span that it came from; `None` where it began here.
    pub fn parent(&self) -> Option<&[u8; 16]> {
        self.parent.as_ref()
    }

    pub fn is_sampled(&self) -> bool {
        self.text[FLAGS.end - 1] & SAMPLED != 0
    }
}

/// The id of a first attempt's span: never zero.
fn span(draw: u64) -> [u8; 16] {
    hex::digits(draw & !0xff | 1)
}

fn digit(byte: u8) -> u8 {
    if byte.is_ascii_digit() { byte - b'0' } else { byte - b'a' + 10 }
}

#[cfg(test)]
mod tests;
