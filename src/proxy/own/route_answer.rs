//! The answer that a route gives by itself.

use super::answer::{OwnAnswer, away};
use super::{error_page, files};
use crate::core::route::{NO_ANSWER, Redirect, Reply, ReplyBody, Target};
use crate::core::template::Template;
use crate::core::variable::Variable;
use crate::proxy::decide::follow::Unanswered;
use crate::proxy::exchange::Request;
use crate::proxy::headers::rewrite;
use crate::proxy::wire::host::is_host;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

/// The answer that the request's route gives, or why another one has to.
///
/// # Errors
/// Why there is none.
pub(in crate::proxy) async fn of_route(request: &Request) -> Result<OwnAnswer, Unanswered> {
    match request.route().map(|route| &route.target) {
        Some(Target::Files(folder)) => files::answer(request, folder).await,
        Some(Target::Redirect(to)) => Ok(redirect(request, to)),
        Some(Target::Reply(fixed)) => Ok(reply(request, fixed)),
        _ => Ok(error_page::error(request, 404)),
    }
}

fn redirect(request: &Request, redirect: &Redirect) -> OwnAnswer {
    match location(request, &redirect.to) {
        Some(location) => away(redirect.status, location),
        None => error_page::error(request, 400),
    }
}

/// `None` where the request names no host that could be redirected to.
pub(in crate::proxy) fn location(request: &Request, to: &Template) -> Option<HeaderValue> {
    let facts = rewrite::facts(request);
    if to.uses(&Variable::Host) && !is_host(facts.host.as_bytes()) {
        return None;
    }
    let mut text = Vec::with_capacity(128);
    to.fill(&facts, &mut text);
    is_place(&text).then_some(())?;
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}

/// Whether a client can tell where to: a look-up that finds nothing says nothing, and two slashes name a host, with
/// tabs between them, too, which browsers take out.
pub(super) fn is_place(text: &[u8]) -> bool {
    match text {
        [b'/', rest @ ..] => !matches!(rest.iter().find(|byte| **byte > b' '), Some(b'/' | b'\\')),
        text => text.windows(3).any(|part| part == b"://"),
    }
}

/// A bare error has the page that any error of its status has, as with nginx.
fn reply(request: &Request, reply: &Reply) -> OwnAnswer {
    let body = match &reply.body {
        ReplyBody::Fixed(body) => body.clone(),
        ReplyBody::Template(template) => {
            let mut text = Vec::with_capacity(128);
            template.fill(&rewrite::facts(request), &mut text);
            Bytes::from(text)
        }
    };
    let is_empty = body.is_empty();
    let is_error = reply.status >= 400 && reply.status != NO_ANSWER;
    let is_bare = is_error && is_empty && !request.plan.answers_an_error();
    if is_bare && request.plan.table.routes.error_page(request.route(), reply.status).is_some() {
        return error_page::error(request, reply.status);
    }
    let mut answer = OwnAnswer::new(reply.status, body);
    if !is_empty {
        answer.set(CONTENT_TYPE, reply.content_type.clone());
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_or_names_its_scheme() {
        for place in [&b"/"[..], b"/a//b", b"/ a", b"https://a.example/", b"app://x"] {
            assert!(is_place(place), "{}", place.escape_ascii());
        }
        for none in [&b""[..], b"a", b"//evil", b"/\\evil", b"/\t/evil", b"/ \t\\evil", b"\t//evil"] {
            assert!(!is_place(none), "{}", none.escape_ascii());
        }
    }
}
