//! The header of the PROXY protocol.

use crate::proxy::listen::proxy_protocol::{LONGEST, MalformedProxyHeader, Parsed, parse};
use std::net::{IpAddr, SocketAddr};

/// The bytes of a connection.
pub fn proxy_protocol(bytes: &[u8]) {
    let whole = parse(bytes);
    match whole {
        Ok(Parsed::Whole { client, length }) => {
            let Some((header, _)) = bytes.split_at_checked(length) else {
                panic!("a header of {length} bytes in {}", bytes.len());
            };
            assert!(length <= LONGEST);
            assert_eq!(parse(header), whole, "what follows a header is not of it");
            assert_eq!(read(bytes), Some(length), "no byte beyond it is taken");
            assert!(client.is_none_or(|client| says(header, client)), "{client:?}");
        }
        Ok(Parsed::Wants(more)) => assert!(more > 0 && bytes.len() + more <= LONGEST),
        Err(MalformedProxyHeader) => {}
    }
    what_is_decided_stays_so(bytes);
}

/// How many bytes are taken from a socket; `None` where it ends before the header does.
fn read(bytes: &[u8]) -> Option<usize> {
    let mut had = 0;
    loop {
        match parse(bytes.get(..had)?) {
            Ok(Parsed::Whole { .. }) => return Some(had),
            Ok(Parsed::Wants(more)) => had += more,
            Err(MalformedProxyHeader) => return None,
        }
    }
}

fn what_is_decided_stays_so(bytes: &[u8]) {
    let mut decided = None;
    for end in 0..=bytes.len().min(300) {
        let now = parse(bytes.get(..end).unwrap_or_default());
        match decided {
            Some(before) => assert_eq!(now, before, "after {end} bytes"),
            None if matches!(now, Ok(Parsed::Wants(_))) => {}
            None => decided = Some(now),
        }
    }
}

/// Whether the header has the address where the specification puts it.
fn says(header: &[u8], client: SocketAddr) -> bool {
    if let Some(line) = header.strip_prefix(b"PROXY ") {
        let text = String::from_utf8_lossy(line);
        let words: Vec<&str> = text.trim_end().split(' ').collect();
        let [_, source, _, port, _] = words[..] else { return false };
        return source.parse() == Ok(client.ip()) && port == client.port().to_string();
    }
    let (octets, targets) = match client.ip() {
        IpAddr::V4(ip) => (ip.octets().to_vec(), 4),
        IpAddr::V6(ip) => (ip.octets().to_vec(), 16),
    };
    let source = header.get(16..).is_some_and(|body| body.starts_with(&octets));
    let ports = header.get(16 + octets.len() + targets..);
    source && ports.is_some_and(|ports| ports.starts_with(&client.port().to_be_bytes()))
}
