//! The target of a request: in which form it came, and how the library below can carry it.
//!
//! That library knows fewer bytes than nginx takes: no `<`, `>`, `` ` ``, no `"` in a query, nothing that is no
//! UTF-8. Such bytes are escaped for as long as a request is inside (routes go by the decoded path, so that
//! both ways of writing are one), and what came is kept beside it (`asked`) for the upstream
//! and for the log. A whole address becomes its path, and its host the request's (RFC 9112, 3.2.2). Later
//! minor versions are read as HTTP/1.1 (RFC 9110, 2.5).

/// Longest target, escaped: the library below counts in 16 bits.
pub(in crate::proxy) const LONGEST: usize = 65_000;

/// Whether the library below takes a path and a query as they are.
pub(in crate::proxy) fn is_carried(target: &[u8]) -> bool {
    fits(target) && (target.is_ascii() || std::str::from_utf8(target).is_ok())
}

/// Whether it takes them at least towards an HTTP/1 upstream, where they need not be UTF-8.
pub(in crate::proxy) fn fits(target: &[u8]) -> bool {
    // Most targets have none of these bytes.
    if !target.iter().any(|byte| ODD.get(usize::from(*byte)).is_some_and(|is_odd| *is_odd)) {
        return true;
    }
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

/// By byte: a look costs less than to compare.
#[expect(clippy::indexing_slicing, reason = "when it is compiled")]
const ODD: [bool; 256] = {
    let (mut odd, others, mut at) = ([false; 256], b"<>`\"", 0);
    while at < others.len() {
        odd[others[at] as usize] = true;
        at += 1;
    }
    odd
};

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

/// The path and the query of a whole address. Without either, OPTIONS asks the server itself (RFC 9112, 3.2.4).
pub(super) fn path_of(rest: &[u8], method: &[u8]) -> Vec<u8> {
    match rest.first() {
        Some(b'/') => rest.to_vec(),
        Some(_) => [b"/", rest].concat(),
        None if method == b"OPTIONS" => b"*".to_vec(),
        None => b"/".to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora_http::RequestHeader;
    use proptest::prelude::*;

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
