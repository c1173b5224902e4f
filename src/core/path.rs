//! The path that routes are matched against: decoded, without dot segments and doubled slashes.
//!
//! An upstream reads `/%61dmin`, `//admin` and `/x/../admin` as `/admin`; a route that denies `/admin`
//! must not be passed by writing it so. What goes to the upstream stays as the client sent it, unless a
//! route rewrites it: then it is the plain path, encoded again.

use std::borrow::Cow;

/// A path that means nothing: a broken escape, an escaped NUL, or `..` beyond the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPath;

/// The path in its plain form; allocates only where it differs. Bytes that are no UTF-8 are replaced.
///
/// # Errors
/// [`BadPath`]
pub fn normalized(path: &str) -> Result<Cow<'_, str>, BadPath> {
    if is_plain(path) {
        return Ok(Cow::Borrowed(path));
    }
    plain_of(path).map(|plain| Cow::Owned(String::from_utf8_lossy(&plain).into_owned()))
}

/// The path in its plain form, with the bytes that are no UTF-8 as they are.
///
/// # Errors
/// [`BadPath`]
pub fn plain(path: &str) -> Result<Cow<'_, [u8]>, BadPath> {
    if is_plain(path) { Ok(Cow::Borrowed(path.as_bytes())) } else { plain_of(path).map(Cow::Owned) }
}

fn plain_of(path: &str) -> Result<Vec<u8>, BadPath> {
    let decoded = decoded(path)?;
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut is_open = false;
    for segment in decoded.split(|byte| *byte == b'/').skip(1) {
        is_open = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => drop(segments.pop().ok_or(BadPath)?),
            segment => segments.push(segment),
        }
    }
    Ok(joined(&segments, is_open, decoded.len()))
}

/// A path made by a rewriting, in its plain form: doubled slashes are one, as everywhere. It may not have dot
/// segments, since one that comes of putting parts together would climb out of what the route names.
///
/// # Errors
/// [`BadPath`] for a dot segment and for NUL.
pub(in crate::core) fn settled(made: &[u8]) -> Result<Vec<u8>, BadPath> {
    let segments: Vec<&[u8]> =
        made.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty()).collect();
    if made.contains(&0) || segments.iter().any(|segment| matches!(*segment, b"." | b"..")) {
        return Err(BadPath);
    }
    Ok(joined(&segments, made.ends_with(b"/"), made.len()))
}

fn joined(segments: &[&[u8]], is_open: bool, length: usize) -> Vec<u8> {
    let mut plain = Vec::with_capacity(length.saturating_add(1));
    for segment in segments {
        plain.push(b'/');
        plain.extend_from_slice(segment);
    }
    if is_open || plain.is_empty() {
        plain.push(b'/');
    }
    plain
}

/// Appends bytes as they are written in the path of an address: what would end it, or begin anything else, is
/// escaped; the same bytes as with nginx.
pub(in crate::core) fn encode(plain: &[u8], out: &mut Vec<u8>) {
    escape(plain, b"\"#%<>?\\^`{|}", out);
}

/// The same for a value in a query.
pub(in crate::core) fn encode_value(plain: &[u8], out: &mut Vec<u8>) {
    escape(plain, b"\"#%&+;<>?\\^`{|}", out);
}

fn escape(plain: &[u8], odd: &[u8], out: &mut Vec<u8>) {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or(b'0');
    for byte in plain {
        if matches!(byte, b'!'..=b'~') && !odd.contains(byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(*byte)]);
        }
    }
}

/// The bytes that the escapes stand for.
///
/// # Errors
/// [`BadPath`] for a broken escape and for NUL.
pub fn decoded(path: &str) -> Result<Vec<u8>, BadPath> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte.unwrap_or_default()).to_digit(16).ok_or(BadPath);
            (digit(bytes.next())? << 4 | digit(bytes.next())?) as u8
        } else {
            byte
        };
        if byte == 0 {
            return Err(BadPath);
        }
        out.push(byte);
    }
    Ok(out)
}

/// `*` and the like are left alone.
fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return true;
    }
    let mut before = b' ';
    for (at, byte) in bytes.iter().enumerate() {
        let is_odd = match byte {
            b'%' | 0 => true,
            b'/' => before == b'/',
            b'.' => before == b'/' && starts_dot_segment(&bytes[at..]),
            _ => false,
        };
        if is_odd {
            return false;
        }
        before = *byte;
    }
    true
}

/// `.` or `..`, and then the end or a slash.
fn starts_dot_segment(rest: &[u8]) -> bool {
    let dots = rest.iter().take_while(|byte| **byte == b'.').count();
    dots <= 2 && rest.get(dots).is_none_or(|byte| *byte == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_form_for_every_way_to_write_it() {
        for (path, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/.hidden/b..c/...", "/a/.hidden/b..c/..."),
            ("/%61dmin", "/admin"),
            ("/%2Egit/config", "/.git/config"),
            ("//admin//x/", "/admin/x/"),
            ("/a/./b", "/a/b"),
            ("/x/../admin", "/admin"),
            ("/x/%2e%2e/admin", "/admin"),
            ("/x%2f..%2fadmin", "/admin"),
            ("/x/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/%ff", "/\u{fffd}"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(normalized(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for path in ["/..", "/a/../..", "/%2e%2e/etc", "/%00", "/%", "/%4", "/%zz", "/a%+1"] {
            assert_eq!(normalized(path), Err(BadPath), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_dot_segment_and_no_double_slash_is_left(path in "/[a./%2e]{0,20}") {
            if let Ok(plain) = normalized(&path) {
                prop_assert!(plain.starts_with('/') && !plain.contains("//"), "{}", plain);
                prop_assert!(plain.split('/').all(|segment| segment != "." && segment != ".."), "{}", plain);
            }
        }
    }
}
