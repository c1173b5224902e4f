//! What a service that a route asks says of a request: fields for its upstream, which no client can send.

use crate::proxy::exchange::{Granted, Request};
use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::changes::Changes;
use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use http::{HeaderName, HeaderValue};
use pingora_http::RequestHeader;

/// Takes these fields off what a client sent, in every spelling that CGI-like servers read as theirs.
pub(in crate::proxy) fn forget(head: &mut RequestHeader, names: &[HeaderName]) {
    let is_one = |sent: &&HeaderName| names.iter().any(|name| is_same(sent.as_str(), name.as_str()));
    while let Some(sent) = head.headers.keys().find(is_one).cloned() {
        head.remove_header(&sent);
    }
}

/// The same but for credentials.
pub(in crate::proxy) fn forget_claims(head: &mut RequestHeader, names: &[HeaderName]) {
    let claims = names.iter().filter(|name| ![AUTHORIZATION, COOKIE].contains(name));
    let claims: Vec<_> = claims.cloned().collect();
    forget(head, &claims);
}

fn is_same(sent: &str, name: &str) -> bool {
    let plain = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    sent.len() == name.len() && sent.bytes().map(plain).eq(name.bytes().map(plain))
}

/// What an answer grants: these fields, and its cookies.
pub(in crate::proxy) fn of(head: &AnswerHead, names: &[HeaderName]) -> Granted {
    let value = |value: &[u8]| HeaderValue::from_bytes(value).ok();
    let of_name = |name| head.values(name).filter_map(value).map(|value| (HeaderName::clone(name), value));
    Granted {
        fields: names.iter().flat_map(of_name).collect(),
        cookies: head.values(&SET_COOKIE).filter_map(value).collect(),
    }
}

/// Puts the fields on a request to an upstream. They come after what `Connection` names has gone, so that no client
/// can have them taken off.
pub(super) fn set<'a>(changes: &mut Changes<'a>, request: &'a Request) {
    let Some(granted) = &request.plan.granted else { return };
    granted.fields.iter().for_each(|(name, _)| changes.remove(name));
    for (name, value) in &granted.fields {
        changes.add(name.clone(), value.clone().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_comes_from_no_client_in_any_spelling() {
        let mut head = RequestHeader::build("GET", b"/", None).expect("a head");
        for name in ["X-User", "x_user", "x.user", "X-Users", "X-Use", "x-group"] {
            head.append_header(name, "1").expect("a field");
            head.append_header(name, "2").expect("a field");
        }
        forget(&mut head, &[HeaderName::from_static("x-user"), HeaderName::from_static("x_group")]);
        let mut left: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-use", "x-users"]);
    }
}
