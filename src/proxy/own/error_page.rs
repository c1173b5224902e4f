//! The errors that the proxy answers itself: plain text, JSON or HTML, as the client accepts, or a page of
//! the site's own for everybody but those who ask for JSON.

use crate::core::own_limit::OwnLimit;
use crate::core::route::PageSource;
use crate::proxy::decide::plan::PlanRefusal;
use crate::proxy::exchange::Request;
use crate::proxy::own::answer::{self, OwnAnswer};
use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};

pub(super) const HTML: &str = "text/html; charset=utf-8";
/// Seconds after which a client may try again when no upstream was ready.
const RETRY_AFTER_SECONDS: u64 = 5;
const MAINTENANCE: &str = "The site is under maintenance. Please try again later.";

/// The answer to a request that goes nowhere.
pub(in crate::proxy) fn refusal(request: &Request, refusal: PlanRefusal) -> OwnAnswer {
    match refusal {
        // Whoever writes so may mean anything with what follows.
        PlanRefusal::BadPath => OwnAnswer { closes: true, ..error(request, 400) },
        PlanRefusal::NoRoute => error(request, 404),
        PlanRefusal::Denied => error(request, 403),
        // The body will not be read.
        PlanRefusal::TooLarge => OwnAnswer { closes: true, ..error(request, 413) },
        PlanRefusal::TooMany { status, retry_after_s } => {
            let field = (RETRY_AFTER, HeaderValue::from(retry_after_s));
            OwnAnswer { limit: Some(OwnLimit::Rate), ..error_with(request, status, Some(field)) }
        }
        PlanRefusal::Endless | PlanRefusal::Undecided => error(request, 500),
        PlanRefusal::NoUpstream => error(request, 503),
        PlanRefusal::Maintenance { retry_after_s } => maintenance(request, retry_after_s),
    }
}

/// An error with a short body that says what it means, or the site's own page for it.
pub(in crate::proxy) fn error(request: &Request, status: u16) -> OwnAnswer {
    let field = match status {
        405 => Some((ALLOW, answer::ALLOWED)),
        503 => Some((RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))),
        _ => None,
    };
    OwnAnswer { limit: OwnLimit::of_status(status), ..error_with(request, status, field) }
}

/// The same with one more header field.
pub(in crate::proxy) fn error_with(
    request: &Request,
    status: u16,
    field: Option<(HeaderName, HeaderValue)>,
) -> OwnAnswer {
    let format = preferred(&request.head.headers);
    let is_second = request.plan.answers_an_error();
    let page = request.plan.table.routes.error_page(request.route(), status).filter(|_| !is_second);
    if let Some(PageSource::File(own)) = page.map(|page| &page.source).filter(|_| format != Format::Json) {
        let shown = page.and_then(|page| page.status.shown(status)).unwrap_or(status);
        let page = with_page(shown, field.filter(|_| shown == status), (HTML, own.clone()));
        return OwnAnswer { error: Some(status), ..page };
    }
    // The first error says more than the one that its page met.
    let first = request.plan.replaced.as_ref().and_then(|replaced| replaced.status);
    let status = first.filter(|first| is_second && *first >= 400).unwrap_or(status);
    let built_in = self::page(status, explanation(status), format);
    OwnAnswer { error: Some(status), ..with_page(status, field, built_in) }
}

/// The service is under maintenance; browsers get the site's own page, where there is one.
fn maintenance(request: &Request, retry_after_s: u64) -> OwnAnswer {
    if request.plan.answers_an_error() {
        return error(request, 503);
    }
    let format = preferred(&request.head.headers);
    let page = match request.plan.table.maintenance.page.as_ref().filter(|_| format == Format::Html) {
        Some(own) => (HTML, own.clone()),
        None => page(503, MAINTENANCE, format),
    };
    with_page(503, Some((RETRY_AFTER, HeaderValue::from(retry_after_s))), page)
}

fn with_page(
    status: u16,
    field: Option<(HeaderName, HeaderValue)>,
    (content_type, body): (&'static str, Bytes),
) -> OwnAnswer {
    let mut answer = OwnAnswer::new(status, body);
    answer.set(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.set(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some((name, value)) = field {
        answer.set(name, value);
    }
    answer
}

fn page(status: u16, text: &str, format: Format) -> (&'static str, Bytes) {
    let title = http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Error");
    match format {
        Format::Json => (
            "application/problem+json",
            format!("{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{status},\"detail\":\"{text}\"}}\n")
                .into(),
        ),
        Format::Html => (
            HTML,
            format!(
                "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{status} {title}</title></head>\
                 <body><h1>{title}</h1><p>{text}</p></body></html>\n"
            )
            .into(),
        ),
        Format::Plain => ("text/plain; charset=utf-8", format!("{status} {title}\n{text}\n").into()),
    }
}

fn explanation(status: u16) -> &'static str {
    match status {
        400 => "The request could not be understood.",
        401 => "This address asks who you are.",
        403 => "Access to this address is not allowed.",
        404 => "Nothing is served under this address.",
        405 => "This address does not take that method.",
        408 => "The request did not arrive in time.",
        412 => "The file is another by now.",
        413 => "The request body is too large.",
        414 => "The address is too long.",
        416 => "The file has no such range.",
        429 => "There have been too many requests. Please try again shortly.",
        431 => "The request header is too large.",
        502 => "The server behind this site did not answer properly.",
        503 => "The service is not available at the moment. Please try again shortly.",
        508 => "The request leads back to this server again and again.",
        504 => "The server behind this site did not answer in time.",
        _ => "The request could not be served.",
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Plain,
    Json,
    Html,
}

/// Whether a client asks for a page.
pub(super) fn is_browser(headers: &HeaderMap) -> bool {
    preferred(headers) == Format::Html
}

/// Whether a client asks for JSON before any other format.
pub(super) fn prefers_json(headers: &HeaderMap) -> bool {
    preferred(headers) == Format::Json
}

/// The first of the client's accepted types that there is a page for; browsers list HTML first, API
/// clients JSON. Quality values are not weighed: the order says enough for three formats.
fn preferred(headers: &HeaderMap) -> Format {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = accept.split(',').find_map(|part| {
        let kind = part.split(';').next().unwrap_or_default().trim();
        match kind {
            "application/json" | "application/problem+json" => Some(Format::Json),
            "text/html" | "application/xhtml+xml" => Some(Format::Html),
            "text/plain" => Some(Format::Plain),
            _ => None,
        }
    });
    known.unwrap_or(Format::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn accept(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_format_follows_the_client() {
        assert_eq!(preferred(&HeaderMap::new()), Format::Plain);
        assert_eq!(preferred(&accept("*/*")), Format::Plain);
        assert_eq!(preferred(&accept("application/json")), Format::Json);
        assert_eq!(preferred(&accept("text/html,application/xhtml+xml,*/*;q=0.8")), Format::Html);
        assert_eq!(preferred(&accept("image/png, text/plain;q=0.5")), Format::Plain);
    }

    #[test]
    fn json_pages_are_json() {
        let (_, body) = page(503, MAINTENANCE, preferred(&accept("application/json")));
        let value: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(value["status"], 503);
    }
}
