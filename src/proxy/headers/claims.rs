//! What only a proxy may say of a request, taken off where a stranger says it.
//!
//! An application that is used to a proxy in front believes these fields: who the client is, by which scheme,
//! host and path it came, which certificate it showed. `X-Forwarded-For`, `-Proto`, `-Host`, `-Port`,
//! `X-Real-IP` and `X-Request-Id` are not among them: [`crate::proxy::headers::forward`] sets those. What a trusted proxy says
//! passes, but for `Proxy`, which CGI-like servers read as the variable `HTTP_PROXY` (httpoxy, CVE-2016-5385).

use super::grant::is_same;
use http::HeaderMap;
use http::header::HeaderName;
use pingora_http::RequestHeader;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROXY: HeaderName = HeaderName::from_static("proxy");

/// Everything of that family, by its beginning.
const FAMILIES: [&str; 4] = ["x-forwarded", "x-original-forwarded", "ssl-client-", "x-ssl-client-"];
/// The members of the first that are set here in any case.
const OURS: [&str; 4] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"];

/// Sorted, to be searched.
const NAMES: [&str; 42] = [
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "cf-visitor",
    "client-cert",
    "client-cert-chain",
    "client-ip",
    "fastly-client-ip",
    "fastly-ssl",
    "fly-client-ip",
    "forwarded",
    "forwarded-for",
    "front-end-https",
    "proxy-client-ip",
    "true-client-ip",
    "wl-proxy-client-ip",
    "wl-proxy-ssl",
    "x-accel-mapping",
    "x-appengine-user-ip",
    "x-arr-ssl",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-envoy-internal",
    "x-envoy-original-path",
    "x-host",
    "x-http-host-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-proxyuser-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-scheme",
    "x-sendfile-type",
    "x-url-scheme",
];

/// Takes them off, where the peer is not `believed`; `client` is what else says who the client is, whose other spellings
/// nobody may send.
pub(in crate::proxy) fn remove(request: &mut RequestHeader, believed: bool, client: &HeaderName) {
    while let Some(name) = first(&request.headers, believed) {
        request.remove_header(&name);
    }
    // That one is set here.
    if *client == FORWARDED_FOR {
        return;
    }
    let is_claim =
        |name: &&HeaderName| is_same(name.as_str(), client.as_str()) && !(believed && *name == client);
    while let Some(name) = request.headers.keys().find(is_claim).cloned() {
        request.remove_header(&name);
    }
}

fn first(headers: &HeaderMap, believed: bool) -> Option<HeaderName> {
    headers.keys().find(|name| **name == PROXY || !believed && is_claim(name.as_str())).cloned()
}

/// Whether a field is a proxy's to set, be it another one or this; the name is in lower case.
pub(super) fn is_proxys(name: &str) -> bool {
    let is_set_here = ["proxy", "x-real-ip", "x-request-id", "traceparent", "tracestate"].contains(&name);
    is_set_here || OURS.contains(&name) || name.starts_with("x-pointsman-") || is_claim(name)
}

/// Whether it is one; the name is in lower case.
fn is_claim(name: &str) -> bool {
    // Of the fields that every request has, hardly any begins like these.
    if !matches!(name.as_bytes().first(), Some(b'c' | b'f' | b'p' | b's' | b't' | b'w' | b'x')) {
        return false;
    }
    let is_ours = || OURS.contains(&name);
    NAMES.binary_search(&name).is_ok() || FAMILIES.iter().any(|family| name.starts_with(family)) && !is_ours()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(believed: bool, names: &[&'static str]) -> Vec<String> {
        let mut request = RequestHeader::build("GET", b"/", None).expect("a request");
        for name in names {
            request.append_header(*name, "1").expect("a field");
            request.append_header(*name, "2").expect("a field");
        }
        remove(&mut request, believed, &HeaderName::from_static("x-client"));
        request.headers.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn the_names_can_be_searched() {
        assert!(NAMES.is_sorted());
        let seen = |name: &&str| is_claim(name);
        assert!(NAMES.iter().all(seen), "the first byte lets each of them through");
        assert!(FAMILIES.iter().all(|family| is_claim(&format!("{family}-x"))));
    }

    #[test]
    fn a_stranger_says_nothing_of_it_and_a_trusted_proxy_all_but_one() {
        let claims =
            ["Forwarded", "X-Forwarded-Prefix", "X-Forwarded-Ssl", "True-Client-IP", "X-Original-URL"];
        assert_eq!(left(false, &claims), [""; 0]);
        let clients = ["X-Client", "X_Client", "x.client"];
        assert_eq!((left(false, &clients), left(true, &clients)), (vec![], vec!["x-client".to_owned()]));
        assert_eq!(left(true, &claims).len(), claims.len());
        for believed in [false, true] {
            assert_eq!(left(believed, &["Proxy", "Proxy-Connection"]), ["proxy-connection"]);
        }
        let others = ["Cookie", "X-Forwarded-For", "X-Real-IP", "X-Original-Filename", "X-Scheme-Id", "Via"];
        assert_eq!(left(false, &others).len(), others.len());
    }
}
