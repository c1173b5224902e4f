//! What an answer has of the one that it takes the place of.

use crate::proxy::exchange::Request;
use crate::proxy::wire::answer_head::AnswerHead;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderValue, StatusCode};

/// Whose answer it is that takes the place of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum InPlace {
    /// Made here, as the route says.
    Own,
    /// An error, made here.
    Error,
    OfUpstream,
}

/// Gives an answer the status and the fields that it has of the one before; most answers have none.
pub(in crate::proxy) fn dress(request: &Request, head: &mut AnswerHead, whose: InPlace) {
    let Some(replaced) = &request.plan.replaced else { return };
    let is_bare = matches!(head.status.as_u16(), 204 | 304);
    let status = replaced.status.and_then(|status| StatusCode::from_u16(status).ok());
    // A page with 200 is one like any other: a client may have it already, or ask for a part.
    let is_of_its_own = |status: &StatusCode| *status == 200 && matches!(head.status.as_u16(), 206 | 304);
    if let Some(status) = status.filter(|status| whose != InPlace::Error && !is_of_its_own(status)) {
        head.set_status(status);
        if is_bare && !matches!(status.as_u16(), 204 | 304) {
            head.set(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
    }
    let is_kept = |name: &http::HeaderName| match whose {
        // What was said of a file is not said of an error.
        InPlace::Error => replaced.error.is_some() || *name == SET_COOKIE,
        InPlace::OfUpstream if *name == CONTENT_TYPE => !head.has(name),
        _ => !(is_bare && matches!(*name, CONTENT_TYPE | ACCEPT_RANGES)),
    };
    let fields: Vec<_> = replaced.fields.iter().filter(|(name, _)| is_kept(name)).collect();
    for (name, _) in fields.iter().filter(|(name, _)| *name != SET_COOKIE) {
        head.remove(name);
    }
    fields.into_iter().for_each(|(name, value)| head.add(name.clone(), value.clone()));
}
