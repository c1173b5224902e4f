//! What may stand as the name of a host.

use std::net::Ipv6Addr;

/// Longest name of a host, with its port.
const LONGEST_HOST: usize = 255 + 6;

/// A name or an address, and perhaps a port.
pub(in crate::proxy) fn is_host(bytes: &[u8]) -> bool {
    let (name, port) = match bytes.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
            let (address, behind) = rest.split_at(end);
            if !std::str::from_utf8(address).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok()) {
                return false;
            }
            (None, behind.get(1..).unwrap_or_default())
        }
        None => {
            let (name, port) = bytes.split_at(bytes.iter().position(|b| *b == b':').unwrap_or(bytes.len()));
            (Some(name), port)
        }
    };
    bytes.len() <= LONGEST_HOST && name.is_none_or(is_name) && is_port(port)
}

/// Labels, of which only the last may be empty.
fn is_name(name: &[u8]) -> bool {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let is_dotted = name.starts_with(b".") || name.windows(2).any(|two| two == b"..");
    !name.is_empty() && !is_dotted && name.iter().all(legal)
}

/// Nothing, or a colon and a number that is one of a port.
fn is_port(port: &[u8]) -> bool {
    let Some(digits) = port.strip_prefix(b":") else { return port.is_empty() };
    let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<u16>().ok());
    digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit) && number.is_some_and(|number| number > 0)
}
