//! What a request asked for, where that is not what stands in its head.
//!
//! A head that the library below would not take never gets there: a stand-in does, or the same head in other
//! words, with one field of our own that says what came. That field is taken off before anybody looks at the
//! request, and a client's own of that name does not count: [`target`](crate::proxy::wire::target) and
//! [`blocks`](crate::proxy::wire::blocks) leave it out, and elsewhere it is dropped.

use http::{HeaderName, Method};
use pingora_http::RequestHeader;

/// What came, for the log and for the upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::proxy) struct AskedField {
    /// The status to refuse it with; `None` where only its target is written in another way.
    pub status: Option<u16>,
    /// Where it was refused: its method as far as there was one, and its host.
    pub method: Option<Method>,
    pub host: Option<Vec<u8>>,
    pub target: Vec<u8>,
}

const ASKED: HeaderName = HeaderName::from_static("x-pointsman-asked");
/// Bytes that are kept of what was refused.
const MOST_TARGET: usize = 8192;
const MOST_METHOD: usize = 32;
const MOST_HOST: usize = 300;

/// Our field, as HTTP/2 has it.
pub(super) const NAME: &[u8] = b"x-pointsman-asked";
/// One that was ours: clients have never sent it on.
const FORMER: &[u8] = b"x-pointsman-stream";

/// Whether a field is one of ours, which nobody else may send.
pub(in crate::proxy) fn is_own(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(NAME) || name.eq_ignore_ascii_case(FORMER)
}

/// The value that tells of a refused request: its bytes in hexadecimal digits, since they may be any.
pub(in crate::proxy) fn refusal(status: u16, method: &[u8], target: &[u8], host: &[u8]) -> Vec<u8> {
    let mut value = status.to_string().into_bytes();
    for (part, most) in [(method, MOST_METHOD), (target, MOST_TARGET), (host, MOST_HOST)] {
        value.push(b' ');
        for byte in part.iter().take(most) {
            value.extend([byte >> 4, byte & 15].map(digit));
        }
    }
    value
}

/// Takes our field off a head: what it says, if it is ours.
pub(in crate::proxy) fn take(head: &mut RequestHeader, is_ours: bool) -> Option<AskedField> {
    // Hardly any head has it; to go through its names costs less than a look-up.
    if !head.headers.keys().any(|name| *name == ASKED) {
        return None;
    }
    let value = head.remove_header(&ASKED).filter(|_| is_ours)?;
    let value = value.as_bytes();
    if value.starts_with(b"/") {
        return Some(AskedField { target: value.to_vec(), ..AskedField::default() });
    }
    let mut parts = value.split(|byte| *byte == b' ');
    let status = parts.next().and_then(|status| std::str::from_utf8(status).ok()?.parse().ok())?;
    let mut part = || parts.next().map(bytes_of).unwrap_or_default();
    let (method, target, host) = (part(), part(), part());
    let method = Method::from_bytes(&method).or_else(|_| Method::from_bytes(b"-")).ok();
    Some(AskedField { status: Some(status), method, host: Some(host), target })
}

/// Method, target and host of a head of which nothing is known to be as it should.
pub(super) fn parts(came: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let came = came.trim_ascii_start();
    let mut lines = came.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let line = lines.next().unwrap_or_default();
    let is_space = |byte: &u8| *byte == b' ';
    let Some(first) = line.iter().position(is_space) else { return (b"", line, b"") };
    let (method, rest) = line.split_at(first);
    let rest = rest.trim_ascii_start();
    let target = match rest.iter().rposition(is_space) {
        Some(last) if rest.get(last..).is_some_and(|word| word.starts_with(b" HTTP/")) => {
            rest.get(..last).unwrap_or_default()
        }
        _ => rest,
    };
    let host = lines.find_map(|line| {
        let (name, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
        name.trim_ascii()
            .eq_ignore_ascii_case(b"host")
            .then(|| value.get(1..).unwrap_or_default().trim_ascii())
    });
    (method, target, host.unwrap_or_default())
}

fn digit(value: u8) -> u8 {
    match value {
        0..=9 => b'0' + value,
        _ => b'a' + (value - 10),
    }
}

fn bytes_of(digits: &[u8]) -> Vec<u8> {
    let value = |digit: &u8| char::from(*digit).to_digit(16).unwrap_or_default() as u8;
    digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | value(digit))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_cannot_say_it() {
        let mut head = RequestHeader::build("GET", b"/", None).expect("a head");
        head.append_header(ASKED, "/forged").expect("a field");
        assert_eq!(take(&mut head, false), None);
        assert!(head.headers.is_empty(), "nor send it on");
    }
}
