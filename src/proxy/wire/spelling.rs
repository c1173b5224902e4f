//! How the names of a head's fields were spelled, and how a head is written in HTTP/1.
//!
//! Names mean the same in every case, but some clients and servers do not know that: a name that passes
//! keeps its spelling, one that is set here gets capitals.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use memchr::memchr;

/// How the names of a head were spelled: its bytes, as they came.
#[derive(Clone, Debug, Default)]
pub(in crate::proxy) struct Spelling(Bytes);

impl Spelling {
    pub(in crate::proxy) fn new(raw: Bytes) -> Self {
        Spelling(raw)
    }

    /// To be asked for one name after the other.
    fn cursor(&self) -> Cursor<'_> {
        let start = self.0.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
        let first = line_after(&self.0, start);
        Cursor { raw: &self.0, first, next: first }
    }
}

/// Where the next name is probably found.
struct Cursor<'a> {
    raw: &'a [u8],
    first: usize,
    next: usize,
}

impl<'a> Cursor<'a> {
    fn of(&mut self, name: &str) -> Option<&'a [u8]> {
        if let Some(spelled) = self.at(self.next, name) {
            self.next = line_after(self.raw, self.next);
            return Some(spelled);
        }
        let mut at = self.first;
        while at < self.raw.len() {
            let next = line_after(self.raw, at);
            if let Some(spelled) = self.at(at, name) {
                self.next = next;
                return Some(spelled);
            }
            at = next;
        }
        None
    }

    fn at(&self, start: usize, name: &str) -> Option<&'a [u8]> {
        let spelled = self.raw.get(start..start + name.len())?;
        let is_it = self.raw.get(start + name.len()) == Some(&b':') && is_same(spelled, name.as_bytes());
        is_it.then_some(spelled)
    }
}

/// Where the line after this one begins.
fn line_after(raw: &[u8], at: usize) -> usize {
    let feed = raw.get(at..).and_then(|rest| memchr(b'\n', rest));
    feed.map_or(raw.len(), |feed| at + feed + 1)
}

/// Writes fields that came with a head.
pub(in crate::proxy) fn write_spelled<'a>(
    fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    spelling: &Spelling,
    out: &mut Vec<u8>,
) {
    let mut cursor = spelling.cursor();
    for (name, value) in fields {
        match cursor.of(name.as_str()) {
            Some(spelled) => {
                out.extend_from_slice(spelled);
                write_value(value.as_bytes(), out);
            }
            None => write_field(name, value.as_bytes(), out),
        }
    }
}

/// Writes a field of our own.
pub(in crate::proxy) fn write_field(name: &HeaderName, value: &[u8], out: &mut Vec<u8>) {
    write_name(name, out);
    write_value(value, out);
}

/// With capitals.
pub(super) fn write_name(name: &HeaderName, out: &mut Vec<u8>) {
    let mut begins = true;
    out.extend(name.as_str().bytes().map(|byte| {
        let written = if begins { byte.to_ascii_uppercase() } else { byte };
        begins = byte == b'-';
        written
    }));
}

pub(in crate::proxy) fn write_value(value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Whether two names of one length are the same but for their case. The first and the last eight bytes are compared
/// at a time, with the bit set that tells capitals from small letters; of the other bytes of names, it tells `^` from `~`
/// alone, which are looked at by the letter.
pub(super) fn is_same(sent: &[u8], wanted: &[u8]) -> bool {
    const CASE: u64 = u64::from_ne_bytes([0x20; 8]);
    let ends = |name: &[u8]| {
        let (first, last) = (name.first_chunk()?, name.last_chunk()?);
        Some((u64::from_ne_bytes(*first) | CASE, u64::from_ne_bytes(*last) | CASE))
    };
    let (Some(one), Some(other)) = (ends(sent), ends(wanted)) else {
        return sent.eq_ignore_ascii_case(wanted);
    };
    if one != other {
        return false;
    }
    let is_short = wanted.len() <= 16;
    is_short && !has_tilde(one.0) && !has_tilde(one.1) || sent.eq_ignore_ascii_case(wanted)
}

/// Whether one of eight bytes is `~`.
fn has_tilde(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    let others = word ^ (ONES * b'~' as u64);
    others.wrapping_sub(ONES) & !others & (ONES << 7) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_are_compared_as_the_standard_library_does(
            one in "[-A-Za-f0-9^~_]{0,20}", changed in any::<bool>(), other in "[-A-Za-f0-9^~_]{20}",
        ) {
            let mut second = one.to_ascii_lowercase().into_bytes();
            if changed && !second.is_empty() {
                let at = second.len() / 2;
                second[at] = other.as_bytes()[at];
            }
            let expected = one.as_bytes().eq_ignore_ascii_case(&second);
            prop_assert_eq!(is_same(one.as_bytes(), &second), expected, "{} {:?}", one, second);
        }
    }

    #[test]
    fn names_keep_their_spelling_and_new_ones_get_capitals() {
        let raw = b"\r\nGET / HTTP/1.1\r\nhOST: a\r\nSOAPAction: b\r\nx-one: 1\r\nX-ONE: 2\r\n\r\n";
        let spelling = Spelling::new(Bytes::from_static(raw));
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", "a"), ("soapaction", "b"), ("x-one", "1"), ("x-one", "2")] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.append("x-real-ip", HeaderValue::from_static("::1"));
        let mut out = Vec::new();
        write_spelled(headers.iter(), &spelling, &mut out);
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "hOST: a\r\nSOAPAction: b\r\nx-one: 1\r\nX-ONE: 2\r\nX-Real-Ip: ::1\r\n");
    }
}
