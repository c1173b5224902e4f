//! Fields that are meant for one connection only, taken off on the way to an upstream and back (RFC 9110, 7.6.1).

use super::changes::Changes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};
use pingora_http::ResponseHeader;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Names that `Connection` may list. A client that lists more means no good.
const MOST_NOMINATED: usize = 32;

/// What `Connection` may not name: who takes them off changes whom the request is for, or who asks.
const PROTECTED: [&str; 4] = ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

/// Whether the `Connection` of a request names nothing that it may not.
pub(in crate::proxy) fn is_sound(headers: &HeaderMap) -> bool {
    let mut count = 0;
    nominated(headers).all(|token| {
        count += 1;
        let name = HeaderName::from_bytes(token);
        count < MOST_NOMINATED && name.is_ok_and(|name| !PROTECTED.contains(&name.as_str()))
    })
}

/// Takes them off a request; whether it asks for a WebSocket.
pub(in crate::proxy) fn strip_request(changes: &mut Changes<'_>) -> bool {
    let sent = changes.sent();
    let is_websocket =
        sent.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    for name in nominated(sent).filter_map(|token| HeaderName::from_bytes(token).ok()) {
        if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            changes.remove(&name);
        }
    }
    for name in [
        KEEP_ALIVE,
        PROXY_CONNECTION,
        PROXY_AUTHENTICATE,
        PROXY_AUTHORIZATION,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        CONNECTION,
        UPGRADE,
        HTTP2_SETTINGS,
    ] {
        changes.remove(&name);
    }
    is_websocket
}

/// Takes off what the upstream meant for its connection only. What frames the body stays, whatever
/// `Connection` says of it.
pub(in crate::proxy) fn strip_response(response: &mut ResponseHeader) {
    if let Some(options) = response.headers.get(CONNECTION).cloned() {
        for option in options.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            let framing = [&b"content-length"[..], b"transfer-encoding", b"connection", b"upgrade"];
            if framing.iter().all(|kept| !option.eq_ignore_ascii_case(kept))
                && let Ok(name) = HeaderName::from_bytes(option)
            {
                response.remove_header(&name);
            }
        }
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TE, TRAILER, UPGRADE] {
        if response.headers.contains_key(&name) {
            response.remove_header(&name);
        }
    }
}

fn nominated(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    let tokens = values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    tokens.filter(|token| !token.is_empty())
}
