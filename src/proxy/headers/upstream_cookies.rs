//! Cookies of an upstream, as its route says that clients get them.

use super::rewrite;
use crate::proxy::exchange::Request;
use crate::proxy::wire::answer_head::AnswerHead;
use bytes::Bytes;
use http::HeaderValue;
use http::header::SET_COOKIE;

/// Rewrites them.
pub(in crate::proxy) fn rewrite(request: &Request, head: &mut AnswerHead) {
    let Some(rules) = request.route().and_then(|route| route.cookies.as_deref()) else { return };
    if !head.has(&SET_COOKIE) {
        return;
    }
    let facts = rewrite::facts(request);
    let lines: Vec<_> = head.values(&SET_COOKIE).map(|line| rules.rewritten(line, &facts)).collect();
    head.remove(&SET_COOKIE);
    // Made of a value and of plain text, each is one.
    for line in lines.into_iter().filter_map(|line| HeaderValue::from_maybe_shared(Bytes::from(line)).ok()) {
        head.add(SET_COOKIE, line);
    }
}
