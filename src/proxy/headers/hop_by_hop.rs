//! Fields that are meant for one connection only, taken off on the way to an upstream and back (RFC 9110, 7.6.1).

use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::changes::Changes;
use crate::proxy::wire::head::is_name;
use crate::proxy::wire::name_set::NameSet;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};

pub(in crate::proxy) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
pub(in crate::proxy) const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
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
        let is_protected = || PROTECTED.iter().any(|name| token.eq_ignore_ascii_case(name.as_bytes()));
        count < MOST_NOMINATED && is_name(token) && !is_protected()
    })
}

/// What a request has for one connection only.
static OF_REQUESTS: [HeaderName; 10] = [
    CONNECTION,
    TE,
    UPGRADE,
    TRANSFER_ENCODING,
    TRAILER,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    HTTP2_SETTINGS,
];

/// Takes them off a request; whether it asks for a WebSocket.
pub(in crate::proxy) fn strip_request(changes: &mut Changes<'_>) -> bool {
    let sent = changes.sent();
    // Most requests have none.
    if !sent.keys().any(|name| OF_REQUESTS.contains(name)) {
        return false;
    }
    let is_websocket =
        sent.get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    for token in nominated(sent) {
        // Most of what is named there is no field: `close`.
        let name = sent.keys().find(|name| name.as_str().as_bytes().eq_ignore_ascii_case(token));
        if let Some(name) = name.filter(|name| ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)) {
            changes.remove(name);
        }
    }
    sent.keys().filter(|name| OF_REQUESTS.contains(name)).for_each(|name| changes.remove(name));
    is_websocket
}

/// Takes off what the upstream meant for its connection only. What frames the body stays, whatever
/// `Connection` says of it.
pub(in crate::proxy) fn strip_response(response: &mut AnswerHead) {
    // What most answers say, if they say anything.
    let is_usual =
        |value: &[u8]| value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close");
    if response.first(&CONNECTION).is_some_and(|(value, is_only)| !is_only || !is_usual(value)) {
        strip_nominated(response);
    }
    response.remove_all(&OF_ANSWERS);
}

/// What an upstream says to a proxy in front of it, as nginx has it. It never passes to clients.
static ACCEL: NameSet = NameSet::new(&[
    "x-accel-redirect",
    "x-accel-buffering",
    "x-accel-charset",
    "x-accel-expires",
    "x-accel-limit-rate",
]);

/// Takes off what is for the proxy alone.
pub(in crate::proxy) fn strip_accel(response: &mut AnswerHead) {
    response.remove_all(&ACCEL);
}

/// What is for one connection only, beside what frames a body and what `Connection` names.
static OF_ANSWERS: NameSet = NameSet::new(&["keep-alive", "proxy-connection", "te", "trailer", "upgrade"]);

fn strip_nominated(response: &mut AnswerHead) {
    let options = response.values(&CONNECTION).flat_map(|value| value.split(|byte| *byte == b','));
    let usual =
        [&b"keep-alive"[..], b"close", b"content-length", b"transfer-encoding", b"connection", b"upgrade"];
    let other = |option: &&[u8]| usual.iter().all(|kept| !option.eq_ignore_ascii_case(kept));
    let others = options.map(<[u8]>::trim_ascii).filter(other);
    let others: Vec<_> = others.filter_map(|option| HeaderName::from_bytes(option).ok()).collect();
    others.iter().for_each(|name| response.remove(name));
}

fn nominated(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let values = headers.get_all(CONNECTION).iter().map(HeaderValue::as_bytes);
    let tokens = values.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    tokens.filter(|token| !token.is_empty())
}
