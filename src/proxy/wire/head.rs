//! One pass over the bytes of an HTTP/1 request head, strict where parsers differ from each other.
//!
//! It runs before the head is parsed, while the bytes are still as they were sent. What has two
//! readings somewhere (a bare line feed, a folded line, a space before a colon, two lengths, a sign in a
//! length) is refused here, so that no server behind can take it otherwise than this one. What is decided on
//! the meaning of fields is left to `refuse`, which HTTP/2 shares; a head that has one reading, but other words
//! than the library below takes, is marked as odd, and [`target`] has them.

use crate::proxy::wire::host::is_host;
use crate::proxy::wire::target;

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct HeadLimits {
    /// Bytes in all, and of the request line alone.
    pub size: usize,
    pub fields: usize,
}

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum BodyFraming {
    Length(u64),
    Chunked,
}

/// What is known of a head so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Scan {
    More,
    /// The head ends before `end`.
    Whole {
        end: usize,
        body: BodyFraming,
        /// Whether it has to be put into other words before it is passed on.
        is_odd: bool,
    },
    /// The status to refuse it with.
    Refused(u16),
}

/// The head under way.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Head {
    /// All before has been looked at.
    seen: usize,
    /// Where the line under way begins.
    line: usize,
    /// The minor version, 0 or 1, once the request line is known.
    minor: Option<u8>,
    is_odd: bool,
    fields: usize,
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
}

/// Longest name of a method.
const LONGEST_METHOD: usize = 32;
/// Digits of a length: more would not fit into what lengths are counted with.
const LENGTH_DIGITS: usize = 18;

impl Head {
    /// Looks at a head: `bytes` is all of it so far.
    pub(in crate::proxy) fn scan(&mut self, bytes: &[u8], limits: HeadLimits) -> Scan {
        if let Some(first) = bytes.first()
            && !is_token(*first)
            && *first != b'\r'
        {
            return Scan::Refused(400);
        }
        while let Some(feed) = bytes.get(self.seen..).and_then(|new| memchr::memchr(b'\n', new)) {
            let feed = self.seen + feed;
            self.seen = feed + 1;
            if self.seen > limits.size {
                return Scan::Refused(431);
            }
            let Some(line) = bytes.get(self.line..feed).and_then(|line| line.strip_suffix(b"\r")) else {
                return Scan::Refused(400);
            };
            self.line = self.seen;
            match self.take(line, limits) {
                Ok(false) => {}
                Ok(true) => return self.whole(),
                Err(status) => return Scan::Refused(status),
            }
        }
        self.seen = bytes.len();
        if bytes.len() <= limits.size {
            return Scan::More;
        }
        Scan::Refused(if self.minor.is_none() { 414 } else { 431 })
    }

    /// Whether a line ends the head.
    fn take(&mut self, line: &[u8], limits: HeadLimits) -> Result<bool, u16> {
        match self.minor {
            // Empty lines before a request are skipped (RFC 9112, 2.2).
            None if line.is_empty() => Ok(false),
            None => {
                let (minor, is_odd) = request_line(line)?;
                (self.minor, self.is_odd) = (Some(minor), is_odd);
                Ok(false)
            }
            Some(_) if line.is_empty() => Ok(true),
            Some(_) => {
                self.fields += 1;
                if self.fields > limits.fields {
                    return Err(431);
                }
                self.field(line).ok_or(400).map(|()| false)
            }
        }
    }

    fn field(&mut self, line: &[u8]) -> Option<()> {
        // The first byte that no name has is the colon, or else this is no field.
        let colon = line.iter().position(|byte| !is_token(*byte)).filter(|colon| *colon > 0)?;
        let (name, rest) = (line.get(..colon)?, line.get(colon..)?.strip_prefix(b":")?);
        let value = trim(rest);
        if !is_value(value) {
            return None;
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                self.hosts += 1;
                (self.hosts == 1 && is_host(value)).then_some(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let first = self.length.is_none();
                self.length = Some(length(value)?);
                first.then_some(())
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let first = !self.chunked;
                self.chunked = true;
                (first && value.eq_ignore_ascii_case(b"chunked")).then_some(())
            }
            _ => Some(()),
        }
    }

    fn whole(&self) -> Scan {
        let body = match (self.chunked, self.length) {
            // HTTP/1.1 names its host (RFC 9112, 3.2).
            _ if self.hosts == 0 && self.minor == Some(1) => return Scan::Refused(400),
            (false, length) => BodyFraming::Length(length.unwrap_or(0)),
            (true, None) if self.minor == Some(1) => BodyFraming::Chunked,
            _ => return Scan::Refused(400),
        };
        Scan::Whole { end: self.seen, body, is_odd: self.is_odd }
    }
}

/// The minor version of a request line, and whether the line has to be put into other words.
fn request_line(line: &[u8]) -> Result<(u8, bool), u16> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(400);
    };
    if !is_method(method) {
        return Err(400);
    }
    if !is_target(target, method) {
        return Err(400);
    }
    let is_odd = !target.starts_with(b"/") && target != b"*" || !target::is_carried(target);
    match version {
        // Tunnels are none of our business.
        b"HTTP/1.1" | b"HTTP/1.0" if method == b"CONNECT" => Err(405),
        _ if target.len() > target::LONGEST => Err(414),
        b"HTTP/1.1" => Ok((1, is_odd)),
        b"HTTP/1.0" => Ok((0, is_odd)),
        // A later one is understood as the one that is known (RFC 9110, 2.5).
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ ..] if is_minor(minor) => Ok((1, true)),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(505)
        }
        _ => Err(400),
    }
}

/// One digit or two, as nginx takes them.
fn is_minor(digits: &[u8]) -> bool {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    is_number && (digits.len() == 1 || digits.len() == 2 && digits.first() != Some(&b'0'))
}

/// A path, a whole address, or `*` for OPTIONS. A fragment never belongs there: who cuts it and who does
/// not would see two targets. CONNECT is refused later, with its own status.
fn is_target(target: &[u8], method: &[u8]) -> bool {
    let form = target.starts_with(b"/")
        || target::whole_address(target).is_some()
        || (target == b"*" && method == b"OPTIONS")
        || (method == b"CONNECT" && !target.is_empty());
    form && is_target_text(target)
}

/// What a target is made of: no control byte, no space, no fragment.
pub(in crate::proxy) fn is_target_text(target: &[u8]) -> bool {
    target.iter().all(|byte| *byte > b' ' && !matches!(*byte, 0x7f | b'#'))
}

/// Whether a word can be a method.
pub(in crate::proxy) fn is_method(method: &[u8]) -> bool {
    // Methods are in upper case (nginx takes no others), so that `get` is not another method behind.
    let legal = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    !method.is_empty() && method.len() <= LONGEST_METHOD && method.iter().all(legal)
}

/// Digits alone: no sign, no list, and no zero in front, which some read as octal.
pub(in crate::proxy) fn length(value: &[u8]) -> Option<u64> {
    let plain = value == b"0" || value.first().is_some_and(|first| *first != b'0');
    if !plain || value.len() > LENGTH_DIGITS || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

pub(in crate::proxy) fn trim(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

/// A byte of a name (RFC 9110, 5.6.2).
#[expect(clippy::indexing_slicing, reason = "there is a value for each byte")]
pub(in crate::proxy) const fn is_token(byte: u8) -> bool {
    TOKENS[byte as usize]
}

/// By byte: a look costs less than to compare.
#[expect(clippy::indexing_slicing, reason = "when it is compiled")]
const TOKENS: [bool; 256] = {
    let mut tokens = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        tokens[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let (others, mut at) = (b"!#$%&'*+-.^_`|~", 0);
    while at < others.len() {
        tokens[others[at] as usize] = true;
        at += 1;
    }
    tokens
};

/// Whether bytes can be a name.
pub(in crate::proxy) fn is_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| is_token(*byte))
}

/// Whether bytes can be a value: all are looked at, which takes many at a time.
pub(in crate::proxy) fn is_value(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |so_far, byte| so_far & is_text(*byte))
}

/// Where a value ends: at the first byte that is none of a value. Eight bytes are looked at at a time, for any below the
/// space, and for `0x7f`; a tab, which is one of a value, has the rest looked at one by one.
pub(in crate::proxy) fn value_end(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let mut at = 0;
    for word in bytes.as_chunks().0 {
        let word = u64::from_le_bytes(*word);
        let deletes = word ^ (ONES * 0x7f);
        let odd = word.wrapping_sub(ONES * 0x20) & !word | deletes.wrapping_sub(ONES) & !deletes;
        let odd = odd & (ONES << 7);
        if odd != 0 {
            at += (odd.trailing_zeros() / 8) as usize;
            break;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !is_text(*byte)).unwrap_or(rest.len())
}

/// A byte of a value: anything visible, spaces and tabs; no other control byte.
pub(in crate::proxy) fn is_text(byte: u8) -> bool {
    (byte >= b' ') & (byte != 0x7f) | (byte == b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: HeadLimits = HeadLimits { size: 1000, fields: 10 };

    fn scan(text: &[u8]) -> Scan {
        Head::default().scan(text, LIMITS)
    }

    #[test]
    fn a_head_ends_where_it_ends_and_says_what_follows() {
        let head = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\nGET /y";
        assert_eq!(scan(head), Scan::Whole { end: 28, body: BodyFraming::Length(0), is_odd: false });
        let head = b"\r\nPOST * HTTP/1.0\r\n\r\n";
        assert_eq!(scan(head), Scan::Refused(400));
        assert_eq!(scan(b"CONNECT  HTTP/1.1\r\n\r\n"), Scan::Refused(400));
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\t 17 \r\n\r\n";
        assert_eq!(scan(head), Scan::Whole { end: head.len(), body: BodyFraming::Length(17), is_odd: false });
        let head = b"POST / HTTP/1.1\r\nHost: a\r\ntransfer-ENCODING: Chunked\r\n\r\n";
        assert_eq!(scan(head), Scan::Whole { end: head.len(), body: BodyFraming::Chunked, is_odd: false });
    }

    #[test]
    fn other_words_and_other_versions_are_odd_or_refused() {
        let line = |line: &str| scan(format!("{line}\r\nHost: a\r\n\r\n").as_bytes());
        for odd in ["GET /< HTTP/1.1", "GET HTTP://a/ HTTP/1.1", "GET / HTTP/1.2", "GET / HTTP/1.99"] {
            assert!(matches!(line(odd), Scan::Whole { is_odd: true, .. }), "{odd}");
        }
        for (refused, status) in [
            ("GET / HTTP/1.01", 400),
            ("GET / HTTP/1.100", 400),
            ("GET / HTTP/2.0", 505),
            ("CONNECT a:1 HTTP/1.1", 405),
            ("GET a:1 HTTP/1.1", 400),
            ("GET /# HTTP/1.1", 400),
        ] {
            assert_eq!(line(refused), Scan::Refused(status), "{refused}");
        }
        assert_eq!(scan(b"GET / HTTP/1.1\r\n\r\n"), Scan::Refused(400), "no host");
    }

    #[test]
    fn limits_hold_before_the_end_is_there() {
        assert_eq!(scan(&[b'A'; 1001]), Scan::Refused(414));
        let fields = |count: usize, value: usize| {
            let field = format!("X: {}\r\n", "y".repeat(value));
            format!("GET / HTTP/1.1\r\n{}", field.repeat(count)).into_bytes()
        };
        assert_eq!(scan(&fields(11, 1)), Scan::Refused(431));
        assert_eq!(scan(&fields(9, 200)), Scan::Refused(431));
        assert_eq!(scan(&fields(10, 1)), Scan::More);
    }

    proptest! {
        #[test]
        fn a_value_ends_where_its_bytes_do(
            bytes in prop::collection::vec(prop::sample::select(&b"ab ~\t\x1f\r\n\0\x7f\x80\xff"[..]), 0..40),
            plain in 0usize..40,
        ) {
            let bytes = [&b"x".repeat(plain)[..], &bytes].concat();
            let expected = bytes.iter().position(|byte| !is_text(*byte)).unwrap_or(bytes.len());
            prop_assert_eq!(value_end(&bytes), expected);
        }

        #[test]
        fn pieces_are_read_as_the_whole_is(bytes in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(0usize..300, 0..5)) {
            let mut head = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
            head.extend(&bytes);
            head.extend(b"\r\n\r\n");
            let whole = scan(&head);
            let mut pieces = Head::default();
            let mut cuts = cuts;
            cuts.sort_unstable();
            let early = cuts.iter().map(|cut| pieces.scan(&head[..(*cut).min(head.len())], LIMITS));
            let early: Vec<_> = early.take_while(|scan| *scan == Scan::More).collect();
            if early.len() == cuts.len() {
                prop_assert_eq!(pieces.scan(&head, LIMITS), whole);
            }
        }
    }
}
