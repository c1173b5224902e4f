//! What is taken off a request before anybody looks at it.
//!
//! Names with an underscore go, as nginx does it by default: CGI-like servers read `X_Real_IP` and
//! `X-Real-IP` as one, so that a client could say what only the proxy may. A listener may have them pass; those that
//! stand for such a field go all the same, and so does `X.Real.IP`. An `Upgrade` goes that
//! `Connection` does not name, or that comes with a body or another method than GET: such a request asks
//! for no other protocol (RFC 9110, 7.8), and an upstream should not be able to think so.
//!
//! Of HTTP/2, the crumbs of a cookie become one line, and a length of 0 goes while the stream is open:
//! an upstream would take its word for it and read the request as whole, whatever body follows.

use super::claims;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, Method, Version};
use pingora_http::RequestHeader;

/// Takes them off; `underscores` says that names with one pass, unless they stand for what a proxy says, or frames
/// the message.
pub(in crate::proxy) fn tidy(request: &mut RequestHeader, underscores: bool) {
    while let Some(name) = underscored(&request.headers, underscores) {
        request.remove_header(&name);
    }
    if request.headers.contains_key(UPGRADE) && !asks_for_upgrade(&request.method, &request.headers) {
        request.remove_header(&UPGRADE);
    }
    if request.version == Version::HTTP_2 {
        join_crumbs(request);
    }
}

/// Takes the expectation off; whether its client waits for 100. One of HTTP/1.0 does not (RFC 9110, 10.1.1).
pub(in crate::proxy) fn take_expectation(request: &mut RequestHeader) -> bool {
    request.remove_header(&EXPECT).is_some() && request.version != Version::HTTP_10
}

/// Takes a length of 0 off a request whose stream is still open (HTTP/2): it may bring a body all the same.
pub(in crate::proxy) fn settle_length(request: &mut RequestHeader, is_whole: bool) {
    let says_none = request.headers.get(CONTENT_LENGTH).is_some_and(|length| length == "0");
    if says_none && !is_whole {
        request.remove_header(&CONTENT_LENGTH);
    }
}

/// One cookie line, as HTTP/1 has it (RFC 9113, 8.2.3).
fn join_crumbs(request: &mut RequestHeader) {
    let mut crumbs = request.headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut line = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        line.extend_from_slice(b"; ");
        line.extend_from_slice(crumb.as_bytes());
    }
    // Made of values, it is one.
    if let Ok(line) = HeaderValue::from_maybe_shared(bytes::Bytes::from(line)) {
        let _ = request.insert_header(COOKIE, line);
    }
}

fn underscored(headers: &HeaderMap, passes: bool) -> Option<HeaderName> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let is_one = |name: &&HeaderName| {
        let name = name.as_str();
        if name.as_bytes().iter().all(is_plain) {
            return false;
        }
        let read = || name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        (!passes && name.contains('_')) || !is_harmless(&read())
    };
    headers.keys().find(is_one).cloned()
}

/// Whether a name that a server may read another one as says nothing that clients may not say.
fn is_harmless(name: &str) -> bool {
    const FRAMING: [HeaderName; 6] = [CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE];
    !claims::is_proxys(name) && FRAMING.iter().all(|framing| framing.as_str() != name)
}

fn asks_for_upgrade(method: &Method, headers: &HeaderMap) -> bool {
    let mut options =
        headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    *method == Method::GET
        && options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
        && !headers.contains_key(TRANSFER_ENCODING)
        && headers.get(CONTENT_LENGTH).is_none_or(|length| length == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(method: &str, fields: &[(&'static str, &str)]) -> Vec<String> {
        tidied(method, fields, false)
    }

    fn tidied(method: &str, fields: &[(&'static str, &str)], passes: bool) -> Vec<String> {
        let mut request = RequestHeader::build(method, b"/", None).expect("a request");
        for (name, value) in fields {
            request.append_header(*name, *value).expect("a field");
        }
        tidy(&mut request, passes);
        request.headers.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn underscores_go() {
        assert_eq!(names("GET", &[("X_A", "1"), ("X-A", "2"), ("X_A", "3"), ("_", "4")]), ["x-a"]);
    }

    #[test]
    fn underscores_stay_where_they_may_but_for_what_a_proxy_says() {
        let fields =
            ["X_A", "api_key", "X_Real_IP", "x_forwarded-for", "X_Forwarded_Prefix", "content_length"];
        let fields = fields.map(|name| (name, "1"));
        let left = |fields: &[(&'static str, &str)]| {
            let mut names = tidied("GET", fields, true);
            names.sort_unstable();
            names
        };
        assert_eq!(left(&fields), ["api_key", "x_a"]);
        let others =
            ["X_Request_Id", "transfer_encoding", "Proxy_", "_Host", "x_pointsman_hops", "true_client_ip"];
        assert_eq!(left(&others.map(|name| (name, "1"))), ["_host", "proxy_"]);
    }

    #[test]
    fn only_a_whole_upgrade_stays() {
        let (up, named) = (("upgrade", "websocket"), ("connection", "keep-alive, Upgrade"));
        assert_eq!(names("GET", &[up, named]), ["upgrade", "connection"]);
        assert_eq!(names("GET", &[up]), [""; 0]);
        assert_eq!(names("POST", &[named, up]), ["connection"]);
        assert_eq!(names("GET", &[named, up, ("content-length", "3")]), ["connection", "content-length"]);
    }
}
