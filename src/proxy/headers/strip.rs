//! What is taken off a request: cookies of the proxy, and what testers send, in `Referer` too.
//!
//! They are read, and end here: so no upstream, and no log, ever holds a signed value, and no application's
//! cache varies by them.

use crate::core::cohort::Cohort;
use crate::core::fields;
use crate::core::table::Service;
use http::header::{COOKIE, REFERER};
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use pingora_http::RequestHeader;

/// Takes off the request what is ours.
pub(in crate::proxy) fn strip(head: &mut RequestHeader, service: &Service) {
    if service.choice.is_by_chance() {
        return;
    }
    if let Some(Cohort::Cookie { name, .. }) = service.choice.users.as_ref().map(|users| &users.cohort) {
        strip_cookie(head, name);
    }
    if let Some((testers, _)) = &service.choice.testers {
        head.remove_header(&testers.header);
        strip_cookie(head, &testers.cookie);
        strip_parameter(head, &testers.query);
        strip_referer(head, &testers.query);
    }
}

fn strip_cookie(head: &mut RequestHeader, name: &str) {
    if fields::cookies(&head.headers, name).next().is_none() {
        return;
    }
    let lines: Vec<_> = head
        .headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| without_cookie(line.as_bytes(), name))
        .collect();
    head.remove_header(&COOKIE);
    for line in lines {
        // Made of a value, it is one.
        if let Ok(line) = HeaderValue::from_maybe_shared(bytes::Bytes::from(line)) {
            let _ = head.append_header(COOKIE, line);
        }
    }
}

/// The other cookies of a line, if there are any.
fn without_cookie(line: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut kept = Vec::with_capacity(line.len());
    for pair in line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
        if pair.is_empty() || fields::value_of(pair, name).is_some() {
            continue;
        }
        if !kept.is_empty() {
            kept.extend_from_slice(b"; ");
        }
        kept.extend_from_slice(pair);
    }
    (!kept.is_empty()).then_some(kept)
}

fn strip_parameter(head: &mut RequestHeader, name: &str) {
    if fields::parameters(head.uri.query().unwrap_or_default(), name).next().is_none() {
        return;
    }
    let target = without_parameter(head.raw_path(), name);
    if head.uri.authority().is_none() {
        // A part of a legal target is one.
        let _ = head.set_raw_path(&target);
        return;
    }
    let mut parts = head.uri.clone().into_parts();
    parts.path_and_query = PathAndQuery::from_maybe_shared(bytes::Bytes::from(target)).ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        head.set_uri(uri);
    }
}

/// A browser says from which page it comes, with the whole query of that page's link.
fn strip_referer(head: &mut RequestHeader, name: &str) {
    let Some(from) = head.headers.get(REFERER).map(HeaderValue::as_bytes) else { return };
    let query = from.splitn(2, |byte| *byte == b'?').nth(1).unwrap_or_default();
    if !form_urlencoded::parse(query).any(|(key, _)| key == name) {
        return;
    }
    // A part of a value is one.
    if let Ok(left) = HeaderValue::from_maybe_shared(bytes::Bytes::from(without_parameter(from, name))) {
        let _ = head.insert_header(REFERER, left);
    }
}

/// The target with all else as it was.
fn without_parameter(target: &[u8], name: &str) -> Vec<u8> {
    let mut halves = target.splitn(2, |byte| *byte == b'?');
    let mut kept = halves.next().unwrap_or_default().to_vec();
    let mut separator = b'?';
    for pair in halves.next().unwrap_or_default().split(|byte| *byte == b'&') {
        if form_urlencoded::parse(pair).next().is_some_and(|(key, _)| key == name) {
            continue;
        }
        kept.push(separator);
        kept.extend_from_slice(pair);
        separator = b'&';
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_cookies_stay_as_they_are() {
        let left = |line: &str| {
            without_cookie(line.as_bytes(), "p").map(|line| String::from_utf8(line).expect("text"))
        };
        assert_eq!(left("a=1; p=x; pp=2;p=y; b=\"3\""), Some("a=1; pp=2; b=\"3\"".into()));
        assert_eq!(left("p=x"), None);
        assert_eq!(left(" ;p=x; "), None);
    }

    #[test]
    fn only_the_one_parameter_goes() {
        for (target, expected) in [
            ("/a?x=1&p=v&y=%20&p", "/a?x=1&y=%20"),
            ("/a?p=v", "/a"),
            ("/a?%70=v&&q=?p=1", "/a?&q=?p=1"),
            ("http://a/b?p=1&c", "http://a/b?c"),
        ] {
            assert_eq!(without_parameter(target.as_bytes(), "p"), expected.as_bytes(), "{target}");
        }
        let mut head = RequestHeader::build("GET", b"/a?p=1&b=2", None).expect("a head");
        strip_parameter(&mut head, "p");
        assert_eq!((head.raw_path(), head.uri.query()), (&b"/a?b=2"[..], Some("b=2")));
        for (from, expected) in
            [("https://a/b?p=1&c=d", "https://a/b?c=d"), ("https://a/b?pp=1", "https://a/b?pp=1")]
        {
            head.insert_header(REFERER, from).expect("a field");
            strip_referer(&mut head, "p");
            assert_eq!(head.headers[REFERER], expected);
        }
        head.set_uri(Uri::from_static("https://shop.example/a?p=1&b=2"));
        strip_parameter(&mut head, "p");
        assert_eq!(head.uri, "https://shop.example/a?b=2");
    }
}
