//! What may stand as the name of a host.

use std::net::Ipv6Addr;

/// Longest name of a host, with its port.
const LONGEST_HOST: usize = 255 + 6;

/// A name or an address, and perhaps a port.
pub(in crate::proxy) fn is_host(bytes: &[u8]) -> bool {
    if bytes.len() > LONGEST_HOST {
        return false;
    }
    let Some(rest) = bytes.strip_prefix(b"[") else {
        let end = name_end(bytes);
        return end > 0 && bytes.get(end..).is_some_and(is_port);
    };
    let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
    let (address, behind) = rest.split_at(end);
    std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
        && is_port(behind.get(1..).unwrap_or_default())
}

/// Where a name ends: labels, of which only the last may be empty. Every request's host is looked at, so this is one
/// pass.
fn name_end(bytes: &[u8]) -> usize {
    let mut is_dot = true;
    let is_end = |byte: &u8| {
        let was_dot = std::mem::replace(&mut is_dot, *byte == b'.');
        !OF_NAMES.get(usize::from(*byte)).is_some_and(|is_of_names| *is_of_names) || was_dot && is_dot
    };
    bytes.iter().position(is_end).unwrap_or(bytes.len())
}

/// By byte: a look costs less than to compare.
#[expect(clippy::indexing_slicing, reason = "when it is compiled")]
const OF_NAMES: [bool; 256] = {
    let (mut names, mut byte) = ([false; 256], 0);
    while byte < 256 {
        names[byte] = (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'-' | b'.' | b'_');
        byte += 1;
    }
    names
};

/// Nothing, or a colon and a number that is one of a port.
fn is_port(port: &[u8]) -> bool {
    let Some(digits) = port.strip_prefix(b":") else { return port.is_empty() };
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let number = digits.iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'));
    (1..=u32::from(u16::MAX)).contains(&number)
}
