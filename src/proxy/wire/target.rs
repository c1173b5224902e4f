//! The target of a request: in which form it came, and how the library below can carry it.
//!
//! That library knows fewer bytes than nginx takes: no `<`, `>`, `` ` ``, no `"` in a query, nothing that is no
//! UTF-8. Such bytes are escaped for as long as a request is inside (routes go by the decoded path, so that
//! both ways of writing are one), and what came is kept beside it ([`asked`]) for the upstream
//! and for the log. A whole address becomes its path, and its host the request's (RFC 9112, 3.2.2). Later
//! minor versions are read as HTTP/1.1 (RFC 9110, 2.5).

use crate::proxy::decide::refuse::is_host;
use crate::proxy::wire::asked;
use std::ops::Range;

/// Longest target, escaped: the library below counts in 16 bits.
pub(in crate::proxy) const LONGEST: usize = 65_000;

/// Whether the library below takes a path and a query as they are.
pub(in crate::proxy) fn is_carried(target: &[u8]) -> bool {
    fits(target) && (target.is_ascii() || std::str::from_utf8(target).is_ok())
}

/// Whether it takes them at least towards an HTTP/1 upstream, where they need not be UTF-8.
pub(in crate::proxy) fn fits(target: &[u8]) -> bool {
    let mut in_query = false;
    target.iter().all(|byte| match byte {
        b'<' | b'>' => false,
        b'`' => in_query,
        b'"' => !in_query,
        b'?' => {
            in_query = true;
            true
        }
        _ => true,
    })
}

/// A path and a query with those bytes escaped that are not taken as they are.
pub(in crate::proxy) fn carried(target: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |value: u8| DIGITS.get(usize::from(value & 15)).copied().unwrap_or(b'0');
    let keeps_high = std::str::from_utf8(target).is_ok();
    let mut out = Vec::with_capacity(target.len().saturating_add(32));
    for byte in target {
        match byte {
            b'<' | b'>' | b'`' | b'"' => out.extend([b'%', digit(byte >> 4), digit(*byte)]),
            0x80.. if !keeps_high => out.extend([b'%', digit(byte >> 4), digit(*byte)]),
            _ => out.push(*byte),
        }
    }
    out
}

/// The parts of a target that is a whole address: its host with its port, and what follows. `None` where it
/// is none.
pub(in crate::proxy) fn whole_address(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let starts = |scheme: &[u8]| target.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme));
    let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| starts(scheme))?;
    let rest = target.get(scheme.len()..)?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    Some(rest.split_at(end))
}

/// Puts a head into the words that the library below takes. `head` is a whole one that
/// [`Head`](crate::proxy::wire::head::Head) has let pass.
///
/// # Errors
/// The status to refuse it with.
pub(in crate::proxy) fn settled(head: &[u8]) -> Result<Vec<u8>, u16> {
    let start = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).ok_or(400_u16)?;
    let end =
        head.windows(2).skip(start).position(|two| two == b"\r\n").ok_or(400_u16)?.saturating_add(start);
    let mut words = head.get(start..end).unwrap_or_default().split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(400);
    };
    let fields = head.get(end.saturating_add(2)..).unwrap_or_default();
    let is_old = version == b"HTTP/1.0";
    let (host, path) = match whole_address(target) {
        Some((host, rest)) => {
            // HTTP/1.1 names its host in a field too (RFC 9112, 3.2).
            if !is_host(host) || !(is_old || lines(fields).any(|line| is_named(line, b"host"))) {
                return Err(400);
            }
            (Some(host), path_of(rest, method))
        }
        None => (None, target.to_vec()),
    };
    let carried = if is_carried(&path) { path.clone() } else { carried(&path) };
    if carried.len() > LONGEST {
        return Err(414);
    }
    let mut out = Vec::with_capacity(head.len().saturating_add(carried.len()).saturating_add(64));
    let minor: &[u8] = if is_old { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" };
    out.extend([method, b" ", &carried, minor].concat());
    for line in lines(fields) {
        let is_replaced = host.is_some() && is_named(line, b"host");
        if !is_replaced && !asked::is_own(name(line)) {
            out.extend([line, b"\r\n"].concat());
        }
    }
    if let Some(host) = host {
        out.extend([b"Host: ", host, b"\r\n"].concat());
    }
    if carried != path {
        asked::tell_target(&path, &mut out);
    }
    out.extend(b"\r\n");
    Ok(out)
}

/// The path and the query of a whole address. Without either, OPTIONS asks the server itself (RFC 9112, 3.2.4).
fn path_of(rest: &[u8], method: &[u8]) -> Vec<u8> {
    match rest.first() {
        Some(b'/') => rest.to_vec(),
        Some(_) => [b"/", rest].concat(),
        None if method == b"OPTIONS" => b"*".to_vec(),
        None => b"/".to_vec(),
    }
}

/// The lines of fields, without their ends.
fn lines(fields: &[u8]) -> impl Iterator<Item = &[u8]> {
    let line = |line: &[u8]| -> Range<usize> { 0..line.len().saturating_sub(1) };
    let all = fields.split(|byte| *byte == b'\n').map(move |text| text.get(line(text)).unwrap_or_default());
    all.filter(|line| !line.is_empty())
}

fn name(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b':').next().unwrap_or_default()
}

fn is_named(line: &[u8], wanted: &[u8]) -> bool {
    name(line).eq_ignore_ascii_case(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora_http::RequestHeader;
    use proptest::prelude::*;

    fn words(head: &str) -> Result<String, u16> {
        settled(head.as_bytes()).map(|head| String::from_utf8_lossy(&head).into_owned())
    }

    #[test]
    fn a_whole_address_becomes_its_path_and_its_host() {
        for (target, path, host) in [
            ("http://b/x?y", "/x?y", "b"),
            ("HTTPS://B.example:8443", "/", "B.example:8443"),
            ("http://b?y", "/?y", "b"),
            ("http://[::1]:80/", "/", "[::1]:80"),
        ] {
            let head = format!("\r\nGET {target} HTTP/1.1\r\nX: y\r\nHost: a\r\nZ: \r\n\r\n");
            let expected = format!("GET {path} HTTP/1.1\r\nX: y\r\nZ: \r\nHost: {host}\r\n\r\n");
            assert_eq!(words(&head), Ok(expected), "{target}");
        }
        assert_eq!(
            words("OPTIONS http://b HTTP/1.0\r\n\r\n").as_deref(),
            Ok("OPTIONS * HTTP/1.0\r\nHost: b\r\n\r\n")
        );
        for target in ["http://", "http:///x", "http://u@b/", "http://b:99999/", "http://b\\c/"] {
            assert_eq!(words(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")), Err(400), "{target}");
        }
        assert_eq!(words("GET http://b/ HTTP/1.1\r\n\r\n"), Err(400), "HTTP/1.1 without Host");
    }

    #[test]
    fn what_is_not_carried_is_told_beside_it() {
        let head = "GET /<a>?\"`' HTTP/1.7\r\nHost: a\r\nX-Pointsman-Asked: /forged\r\n\r\n";
        let expected = "GET /%3Ca%3E?%22%60' HTTP/1.1\r\nHost: a\r\nX-Pointsman-Asked: /<a>?\"`'\r\n\r\n";
        assert_eq!(words(head).as_deref(), Ok(expected));
        assert_eq!(words(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "<".repeat(30_000))), Err(414));
    }

    proptest! {
        #[test]
        fn the_library_below_takes_what_is_said_to_be_carried(path in prop::collection::vec(0x21_u8..=0xff, 0..30)) {
            let path: Vec<u8> = std::iter::once(b'/').chain(path).filter(|b| !matches!(b, b'#' | 0x7f)).collect();
            let build = |path: &[u8]| RequestHeader::build("GET", path, None);
            if is_carried(&path) {
                let built = build(&path).expect("taken");
                prop_assert_eq!(built.raw_path(), &path[..]);
                prop_assert!(built.raw_path_is_utf8());
            }
            prop_assert_eq!(build(&path).is_ok(), fits(&path));
            let carried = carried(&path);
            prop_assert!(is_carried(&carried));
            let built = build(&carried).expect("taken");
            prop_assert_eq!(built.raw_path(), &carried[..]);
        }
    }
}
