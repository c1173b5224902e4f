//! What a service that a route asks says of a request: fields for its upstream, which no client can send.

use crate::core::route::GrantedField;
use crate::proxy::exchange::{Granted, Request};
use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::changes::Changes;
use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use http::{HeaderName, HeaderValue};
use pingora_http::RequestHeader;

/// Takes these fields off what a client sent, in every spelling that CGI-like servers read as theirs.
pub(in crate::proxy) fn forget(head: &mut RequestHeader, fields: &[GrantedField]) {
    take_off(head, &|sent| fields.iter().any(|field| is_same(sent, field.name.as_str())));
}

/// The same but for credentials.
pub(in crate::proxy) fn forget_claims(head: &mut RequestHeader, fields: &[GrantedField]) {
    let claims = || fields.iter().filter(|field| ![AUTHORIZATION, COOKIE].contains(&field.name));
    take_off(head, &|sent| claims().any(|field| is_same(sent, field.name.as_str())));
}

fn take_off(head: &mut RequestHeader, is_its: &dyn Fn(&str) -> bool) {
    let is_one = |sent: &&HeaderName| is_its(sent.as_str());
    while let Some(sent) = head.headers.keys().find(is_one).cloned() {
        head.remove_header(&sent);
    }
}

/// Whether two names are one for servers that read signs as hyphens.
pub(super) fn is_same(sent: &str, name: &str) -> bool {
    let plain = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
    sent.len() == name.len() && sent.bytes().map(plain).eq(name.bytes().map(plain))
}

/// What an answer grants: these fields, and its cookies.
pub(in crate::proxy) fn of(head: &AnswerHead, fields: &[GrantedField]) -> Granted {
    let value = |value: &[u8]| HeaderValue::from_bytes(value).ok();
    let each = |field: &GrantedField| {
        let name = field.name.clone();
        let values = head.values(&field.of).filter_map(value);
        values.map(move |value| (name.clone(), value)).collect::<Vec<_>>()
    };
    Granted {
        fields: fields.iter().flat_map(each).collect(),
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
        let field = |name| GrantedField {
            of: HeaderName::from_static("x-auth"),
            name: HeaderName::from_static(name),
        };
        forget(&mut head, &[field("x-user"), field("x_group")]);
        let mut left: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["x-use", "x-users"]);
    }
}
