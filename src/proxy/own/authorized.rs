//! What the answer of a service means that was asked about a request.
//!
//! Only 2xx lets it pass. 401, 403 and redirects are the client's answer, but for the body where the site has a page of
//! its own for that error. Whatever else comes says nothing of the
//! client, and nobody gets in by it: 500.

use super::answer::{OwnAnswer, away};
use super::error_page;
use super::route_answer::is_place;
use crate::core::route::{Authorize, SignIn};
use crate::core::variable::{Facts, Variable};
use crate::proxy::exchange::Request;
use crate::proxy::headers::rewrite;
use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::host::is_host;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, LOCATION, RETRY_AFTER, SET_COOKIE, VARY,
    WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue};

/// Fields of the service's answer that its client gets.
const PASSED: [HeaderName; 8] = [
    LOCATION,
    SET_COOKIE,
    WWW_AUTHENTICATE,
    CONTENT_TYPE,
    CONTENT_LANGUAGE,
    CACHE_CONTROL,
    VARY,
    RETRY_AFTER,
];

/// The answer of a service.
pub(in crate::proxy) struct AuthorityAnswer {
    pub head: AnswerHead,
    /// `None` where it is larger than what is passed on.
    pub body: Option<Vec<u8>>,
}

impl AuthorityAnswer {
    /// Whether it lets the request pass.
    pub(in crate::proxy) fn lets_pass(&self) -> bool {
        self.head.status.is_success()
    }
}

/// What a client gets that may not pass.
pub(in crate::proxy) fn refused(request: &Request, by: &Authorize, answer: AuthorityAnswer) -> OwnAnswer {
    let status = answer.head.status.as_u16();
    match status {
        401 if error_page::is_browser(&request.head.headers) && by.signin.is_some() => by
            .signin
            .as_ref()
            .map_or_else(|| error_page::error(request, 500), |to| sign_in(request, to, &answer.head)),
        300..=303 | 305..=399 | 401 | 403 => passed_on(request, answer),
        _ => {
            tracing::debug!("a service that was asked about a request answered {status}");
            error_page::error(request, 500)
        }
    }
}

fn passed_on(request: &Request, answer: AuthorityAnswer) -> OwnAnswer {
    let status = answer.head.status.as_u16();
    let page = request.plan.table.routes.error_page(request.route(), status);
    let has_page = status >= 400 && page.is_some() && !request.plan.answers_an_error();
    let mut own = match answer.body {
        Some(body) if !body.is_empty() && !has_page => {
            let mut own = OwnAnswer::new(status, body.into());
            add(&mut own, &answer.head, &CONTENT_ENCODING);
            own
        }
        _ if status < 400 => OwnAnswer::new(status, Bytes::new()),
        _ => {
            let mut own = error_page::error(request, status);
            PASSED
                .iter()
                .filter(|name| **name != CONTENT_TYPE)
                .for_each(|name| add(&mut own, &answer.head, name));
            return own;
        }
    };
    PASSED.iter().for_each(|name| add(&mut own, &answer.head, name));
    if !own.head.has(&CACHE_CONTROL) {
        own.set(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    own
}

fn add(own: &mut OwnAnswer, head: &AnswerHead, name: &HeaderName) {
    for value in head.values(name).filter_map(|value| HeaderValue::from_bytes(value).ok()) {
        own.head.add(name.clone(), value);
    }
}

fn sign_in(request: &Request, to: &SignIn, head: &AnswerHead) -> OwnAnswer {
    let Some(place) = place(&rewrite::facts(request), to) else { return error_page::error(request, 400) };
    let mut answer = away(302, place);
    answer.set(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    add(&mut answer, head, &SET_COOKIE);
    answer
}

/// `None` where the request names no host that it could be redirected to.
fn place(facts: &Facts<'_>, to: &SignIn) -> Option<HeaderValue> {
    if to.place.uses(&Variable::Host) && !is_host(facts.host.as_bytes()) {
        return None;
    }
    let mut place = Vec::with_capacity(256);
    to.place.fill(facts, &mut place);
    is_place(&place).then_some(())?;
    if let Some(query) = &to.query {
        place.push(b'?');
        let encoded = |value: &[u8], out: &mut Vec<u8>| {
            form_urlencoded::byte_serialize(value).for_each(|piece| out.extend_from_slice(piece.as_bytes()));
        };
        query.fill_by(facts, &encoded, &mut place);
    }
    HeaderValue::from_maybe_shared(Bytes::from(place)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::template::{Template, Vocabulary};

    #[test]
    fn a_place_says_where_the_client_came_from() {
        let parse = |text: &str| Template::parse(text, &Vocabulary::of_requests()).expect("a template");
        let to =
            SignIn { place: parse("$scheme://$host/start"), query: Some(parse("rd=$request_uri&x=$host")) };
        let facts = Facts { host: "shop.example", scheme: "https", uri: b"/a%20b?c=d&e=//f", ..Facts::NONE };
        let expected = "https://shop.example/start?rd=%2Fa%2520b%3Fc%3Dd%26e%3D%2F%2Ff&x=shop.example";
        assert_eq!(place(&facts, &to).expect("a place"), expected);
        assert_eq!(place(&Facts { host: "a/b", ..facts }, &to), None);
        let to = SignIn { place: parse("/$arg_to"), query: None };
        assert_eq!(place(&Facts { args: "to=/evil.example", ..facts }, &to), None);
    }
}
