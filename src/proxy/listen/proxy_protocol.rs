//! The PROXY protocol (haproxy's, versions 1 and 2): a header before all else in which a balancer of
//! connections says whom it speaks for.
//!
//! [`parse`] is pure, and strict: what is not exactly such a header ends the connection, since taking half
//! of it for the start of a request would let a client speak as anybody. [`read`] takes from the socket no
//! byte beyond the header, so that TLS and HTTP find theirs untouched.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Shortest (`PROXY UNKNOWN`) and longest header of version 1, with its line break.
const SHORTEST_LINE: usize = 15;
const LONGEST_LINE: usize = 107;
/// What version 2 begins with; it says how long the rest is.
const SHORTEST: usize = 16;
/// Longest header of version 2: addresses and what is appended to them (TLVs, which are skipped).
pub(in crate::proxy) const LONGEST: usize = 4096;

/// A header, or how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Parsed {
    /// It has `length` bytes, and speaks for a client, or for the balancer itself (`LOCAL`, `UNKNOWN`).
    Whole { client: Option<SocketAddr>, length: usize },
    /// It goes on for at least so many bytes.
    Wants(usize),
}

/// The connection does not begin with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no PROXY protocol header")]
pub(in crate::proxy) struct MalformedProxyHeader;

/// Reads the header of a fresh connection; the client it names, if it names one.
///
/// # Errors
/// When the connection breaks off, or does not begin with a header.
pub(in crate::proxy) async fn read(socket: &mut TcpStream) -> std::io::Result<Option<SocketAddr>> {
    let mut header = Vec::with_capacity(LONGEST_LINE);
    loop {
        match parse(&header).map_err(std::io::Error::other)? {
            Parsed::Whole { client, .. } => return Ok(client),
            Parsed::Wants(more) => {
                let had = header.len();
                header.resize(had + more, 0);
                socket.read_exact(header.get_mut(had..).unwrap_or_default()).await?;
            }
        }
    }
}

/// # Errors
/// [`MalformedProxyHeader`] as soon as the bytes cannot become a header.
pub(in crate::proxy) fn parse(bytes: &[u8]) -> Result<Parsed, MalformedProxyHeader> {
    let signed = bytes.len().min(SIGNATURE.len());
    if bytes.starts_with(SIGNATURE.get(..signed).unwrap_or_default()) && signed > 0 {
        return version_2(bytes);
    }
    version_1(bytes)
}

fn version_1(bytes: &[u8]) -> Result<Parsed, MalformedProxyHeader> {
    const START: &[u8] = b"PROXY ";
    let begun = bytes.len().min(START.len());
    if bytes.get(..begun) != START.get(..begun) {
        return Err(MalformedProxyHeader);
    }
    let line = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return match bytes.len() {
            LONGEST_LINE.. => Err(MalformedProxyHeader),
            had @ 0..SHORTEST_LINE => Ok(Parsed::Wants(SHORTEST_LINE - had)),
            _ => Ok(Parsed::Wants(1)),
        };
    };
    let text = line
        .get(START.len()..end)
        .and_then(|text| std::str::from_utf8(text).ok())
        .ok_or(MalformedProxyHeader)?;
    let length = end + 2;
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Ok(Parsed::Whole { client: None, length });
    }
    let mut words = text.split(' ');
    let mut word = || words.next().ok_or(MalformedProxyHeader);
    let (family, source, target) = (word()?, word()?, word()?);
    let (source_port, target_port) = (word()?, word()?);
    if words.next().is_some() {
        return Err(MalformedProxyHeader);
    }
    let address = |text: &str| match family {
        "TCP4" => text.parse::<Ipv4Addr>().map(IpAddr::from).map_err(|_| MalformedProxyHeader),
        "TCP6" => text.parse::<Ipv6Addr>().map(IpAddr::from).map_err(|_| MalformedProxyHeader),
        _ => Err(MalformedProxyHeader),
    };
    let _target = (address(target)?, port(target_port)?);
    let client = Some(SocketAddr::new(address(source)?, port(source_port)?));
    Ok(Parsed::Whole { client, length })
}

/// Digits only, without zeros before them.
fn port(text: &str) -> Result<u16, MalformedProxyHeader> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(MalformedProxyHeader)
}

fn version_2(bytes: &[u8]) -> Result<Parsed, MalformedProxyHeader> {
    let Some((head, rest)) = bytes.split_at_checked(SHORTEST) else {
        return Ok(Parsed::Wants(SHORTEST - bytes.len()));
    };
    let [.., command, family, high, low] = *head else { return Err(MalformedProxyHeader) };
    let body = usize::from(u16::from_be_bytes([high, low]));
    let length = SHORTEST + body;
    if length > LONGEST || !matches!(command, 0x20 | 0x21) {
        return Err(MalformedProxyHeader);
    }
    let needed = match family {
        // TCP over IPv4, over IPv6; anything else says nothing of an address that we could use.
        0x11 => 12,
        0x21 => 36,
        _ => 0,
    };
    if command == 0x21 && body < needed {
        return Err(MalformedProxyHeader);
    }
    let Some(body) = rest.get(..body) else { return Ok(Parsed::Wants(length - bytes.len())) };
    let client = if command == 0x20 { None } else { source(body, needed) };
    Ok(Parsed::Whole { client, length })
}

/// The source address of version 2: both addresses, then both ports.
fn source(body: &[u8], needed: usize) -> Option<SocketAddr> {
    let (ip, port_at): (IpAddr, usize) = match needed {
        12 => (<[u8; 4]>::try_from(body.get(..4)?).ok()?.into(), 8),
        36 => (<[u8; 16]>::try_from(body.get(..16)?).ok()?.into(), 32),
        _ => return None,
    };
    let port = <[u8; 2]>::try_from(body.get(port_at..port_at + 2)?).ok()?;
    Some(SocketAddr::new(ip, u16::from_be_bytes(port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn client(bytes: &[u8]) -> Result<Option<SocketAddr>, MalformedProxyHeader> {
        parse(bytes).map(|parsed| match parsed {
            Parsed::Whole { client, length } => {
                assert_eq!(length, bytes.len());
                client
            }
            Parsed::Wants(_) => panic!("{bytes:?} is whole"),
        })
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn v2_of(source: SocketAddr, tlvs: &[u8]) -> Vec<u8> {
        let mut body = match source.ip() {
            IpAddr::V4(ip) => [ip.octets(), [10, 0, 0, 1]].concat(),
            IpAddr::V6(ip) => [ip.octets(), [7; 16]].concat(),
        };
        body.extend(source.port().to_be_bytes());
        body.extend(443u16.to_be_bytes());
        body.extend(tlvs);
        v2(0x21, if source.is_ipv4() { 0x11 } else { 0x21 }, &body)
    }

    fn v1_of(source: SocketAddr) -> Vec<u8> {
        let (family, target) = if source.is_ipv4() { ("TCP4", "10.0.0.1") } else { ("TCP6", "::1") };
        format!("PROXY {family} {} {target} {} 443\r\n", source.ip(), source.port()).into_bytes()
    }

    #[test]
    fn a_balancer_may_speak_for_itself() {
        for bytes in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN ffff::1 ::1 1 2\r\n"] {
            assert_eq!(client(bytes), Ok(None));
        }
        assert_eq!(client(&v2(0x20, 0, &[])), Ok(None));
        assert_eq!(client(&v2(0x20, 0x11, &[1; 12])), Ok(None));
        assert_eq!(client(&v2(0x21, 0x31, &[0; 216])), Ok(None), "a UNIX socket");
    }

    #[test]
    fn what_is_not_exactly_a_header_is_none() {
        for line in [
            "GET / HTTP/1.1\r\n",
            "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 70000\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.04 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY UNKNOWNX 1.2.3.4\r\n",
            "PROXY \r\n plus a bit\r\n",
        ] {
            assert_eq!(parse(line.as_bytes()), Err(MalformedProxyHeader), "{line:?}");
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
        assert_eq!(parse(long.as_bytes()), Err(MalformedProxyHeader));
        assert_eq!(parse(&v2(0x31, 0x11, &[0; 12])), Err(MalformedProxyHeader), "another version");
        assert_eq!(parse(&v2(0x22, 0x11, &[0; 12])), Err(MalformedProxyHeader), "another command");
        assert_eq!(
            parse(&v2(0x21, 0x11, &[0; 11])),
            Err(MalformedProxyHeader),
            "too short for its addresses"
        );
        assert_eq!(parse(&v2(0x21, 0x11, &[0; 5000])), Err(MalformedProxyHeader), "too long for anybody");
    }

    proptest! {
        #[test]
        fn every_address_comes_through(v4: [u8; 4], v6: [u8; 16], port: u16, tlvs in prop::collection::vec(any::<u8>(), 0..200)) {
            for ip in [IpAddr::from(v4), IpAddr::from(v6)] {
                let source = SocketAddr::new(ip, port);
                prop_assert_eq!(client(&v1_of(source)), Ok(Some(source)));
                prop_assert_eq!(client(&v2_of(source, &tlvs)), Ok(Some(source)));
            }
        }

        #[test]
        fn pieces_ask_for_no_byte_beyond_the_header(v6: bool, port: u16, second: bool, after in prop::collection::vec(any::<u8>(), 0..64)) {
            let ip = if v6 { IpAddr::from([3; 16]) } else { IpAddr::from([192, 0, 2, 7]) };
            let source = SocketAddr::new(ip, port);
            let header = if second { v2_of(source, &[]) } else { v1_of(source) };
            let whole = Parsed::Whole { client: Some(source), length: header.len() };
            for end in 0..header.len() {
                match parse(&header[..end]) {
                    Ok(Parsed::Wants(more)) => prop_assert!(more > 0 && end + more <= header.len()),
                    other => prop_assert!(false, "{:?} after {} bytes", other, end),
                }
            }
            prop_assert_eq!(parse(&[header, after].concat()), Ok(whole));
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), signed: bool) {
            let bytes = if signed { [&SIGNATURE[..], &bytes].concat() } else { bytes };
            let _ = parse(&bytes);
            let _ = parse(&[b"PROXY ", &bytes[..]].concat());
        }
    }
}
