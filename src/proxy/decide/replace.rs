//! Which route answers in place of an answer that is not shown: an error with a page elsewhere, or the answer of an
//! application that names a place of this site (`X-Accel-Redirect`).
//!
//! Both are changes of the request like any other: at most as many as [`follow`](super::follow) allows. An error in
//! place of an error is the built-in one, so that nothing goes round.

use crate::core::route::{ErrorPage, PageSource, PageStatus, Rewritten, decoded};
use crate::proxy::decide::follow::{change, with_current};
use crate::proxy::decide::plan::PlanRefusal;
use crate::proxy::exchange::{Replaced, Request};
use crate::proxy::headers::rewrite;
use crate::proxy::wire::answer_head::AnswerHead;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
    EXPECT, EXPIRES, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
    RETRY_AFTER, SET_COOKIE, TRANSFER_ENCODING, UPGRADE, WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue, Method};
use std::sync::Arc;

/// Where the answer of an application sends its request.
pub(in crate::proxy) const ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");

/// What an application says of the file that is sent in place of its answer; nginx keeps the same.
const KEPT_OF_ACCEL: [HeaderName; 6] =
    [CONTENT_TYPE, CONTENT_DISPOSITION, ACCEPT_RANGES, SET_COOKIE, CACHE_CONTROL, EXPIRES];
/// What belongs to the status of an error.
const KEPT_OF_ERRORS: [HeaderName; 4] = [WWW_AUTHENTICATE, RETRY_AFTER, ALLOW, CONTENT_RANGE];
/// What asks for less than the whole answer: an error has no other.
const CONDITIONS: [HeaderName; 6] =
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];
/// What a request for a page has none of: a body, and another protocol.
const NOT_OF_PAGES: [HeaderName; 5] = [CONTENT_LENGTH, TRANSFER_ENCODING, CONTENT_TYPE, EXPECT, UPGRADE];

/// The page of an error, where it is no file.
pub(in crate::proxy) fn page_elsewhere(request: &Request, error: u16) -> Option<Arc<ErrorPage>> {
    if request.plan.answers_an_error() {
        return None;
    }
    let page = request.plan.table.routes.error_page(request.route(), error)?;
    page.leads_elsewhere().then(|| page.clone())
}

/// Whether the answer of an upstream is not shown.
pub(in crate::proxy) fn is_unshown(request: &Request, head: &AnswerHead) -> bool {
    if request.pool().is_some_and(|pool| pool.accel) && head.has(&ACCEL_REDIRECT) {
        return true;
    }
    let Some(route) = request.route().filter(|route| route.intercept) else { return false };
    let status = head.status.as_u16();
    status >= 300 && request.plan.table.routes.error_page(Some(route), status).is_some()
}

/// The request is answered for an error, by its page: the index of the page's route, where it has a name.
///
/// # Errors
/// Why the page leads nowhere.
pub(in crate::proxy) fn by_page(
    request: &mut Request,
    (error, answer): (u16, &AnswerHead),
    page: &ErrorPage,
) -> Result<Option<usize>, PlanRefusal> {
    let status = page.status.shown(error);
    let kept: &[HeaderName] = if page.status == PageStatus::Kept { &KEPT_OF_ERRORS } else { &[] };
    let mut fields = fields(answer, kept);
    if status.is_some_and(|status| status != 200) {
        CONDITIONS.iter().for_each(|name| drop(request.head.remove_header(name)));
    }
    let before = request.plan.replaced.take().map(|before| *before).unwrap_or_default();
    fields.extend(before.fields.into_iter().filter(|(name, _)| *name == SET_COOKIE));
    let replaced =
        Replaced { error: Some(error), status, fields, method: before.method, ..Replaced::default() };
    request.plan.replaced = Some(Box::new(replaced));
    match &page.source {
        PageSource::Path(to) => {
            let made = with_current(request, |at| to.rewrite(at, None, &rewrite::facts(request)));
            change(request, Some(made?.map_err(|_| PlanRefusal::BadPath)?))?;
            ask_as_get(request);
            Ok(None)
        }
        PageSource::Route(name) => named(request, name).map(Some),
        PageSource::File(_) | PageSource::Redirect(_) => Err(PlanRefusal::NoRoute),
    }
}

/// The request is answered by what an application names: the index of its route, where that has a name.
///
/// # Errors
/// Why nothing is there.
pub(in crate::proxy) fn by_accel(
    request: &mut Request,
    answer: &AnswerHead,
) -> Result<Option<usize>, PlanRefusal> {
    let place =
        answer.get(&ACCEL_REDIRECT).and_then(|place| std::str::from_utf8(place).ok()).unwrap_or_default();
    let before = request.plan.replaced.take().map(|before| *before).unwrap_or_default();
    let fields = fields(answer, &KEPT_OF_ACCEL);
    request.plan.replaced = Some(Box::new(Replaced { fields, ..before }));
    if let Some(name) = place.strip_prefix('@') {
        return named(request, name).map(Some);
    }
    let (path, query) = place.split_once('?').unwrap_or((place, ""));
    let plain = decoded(path).ok().filter(|plain| plain.starts_with(b"/"));
    let made = plain.and_then(|plain| Rewritten::new(&plain, query.as_bytes()).ok());
    change(request, Some(made.ok_or(PlanRefusal::NoRoute)?))?;
    ask_as_get(request);
    Ok(None)
}

fn named(request: &mut Request, name: &str) -> Result<usize, PlanRefusal> {
    change(request, None)?;
    request.plan.table.routes.named(name).ok_or(PlanRefusal::NoRoute)
}

fn fields(answer: &AnswerHead, kept: &[HeaderName]) -> Vec<(HeaderName, HeaderValue)> {
    let values = |name| answer.values(name).filter_map(|value| HeaderValue::from_bytes(value).ok());
    kept.iter().flat_map(|name| values(name).map(|value| (name.clone(), value))).collect()
}

/// The request goes on as one for a page, without its body.
fn ask_as_get(request: &mut Request) {
    let has_small_body = request.has_small_body();
    let is_page = matches!(request.head.method, Method::GET | Method::HEAD);
    let Some(replaced) = request.plan.replaced.as_mut() else { return };
    replaced.has_small_body = has_small_body;
    if !is_page {
        replaced.method.get_or_insert(request.head.method.clone());
        request.head.set_method(Method::GET);
    }
    NOT_OF_PAGES.iter().for_each(|name| drop(request.head.remove_header(name)));
    request.inbound.expects = false;
    request.inbound.body.leave_out();
}
