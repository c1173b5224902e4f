//! The errors that the proxy answers itself: plain text, JSON or HTML, as the client accepts, or a page of
//! the site's own for everybody but those who ask for JSON.

use crate::core::own_limit::OwnLimit;
use crate::proxy::decide::plan::Refusal;
use crate::proxy::exchange::request::Request;
use crate::proxy::own::answer;
use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

const HTML: &str = "text/html; charset=utf-8";
/// Seconds after which a client may try again when no upstream was ready.
const RETRY_AFTER_SECONDS: u64 = 5;
const MAINTENANCE: &str = "The site is under maintenance. Please try again later.";

/// Answers a request that goes nowhere.
///
/// # Errors
/// When the client cannot be written to.
pub(in crate::proxy) async fn refuse(
    session: &mut Session,
    request: &Request,
    refusal: Refusal,
) -> Result<()> {
    match refusal {
        Refusal::BadPath => {
            // Whoever writes so may mean anything with what follows.
            session.set_keepalive(None);
            send(session, request, 400).await
        }
        Refusal::NoRoute => send(session, request, 404).await,
        Refusal::Denied => send(session, request, 403).await,
        Refusal::TooLarge => {
            // The body will not be read.
            session.set_keepalive(None);
            send(session, request, 413).await
        }
        Refusal::TooMany { status, retry_after_s } => {
            request.met(OwnLimit::Rate);
            let field = (RETRY_AFTER, HeaderValue::from(retry_after_s));
            send_with(session, request, status, Some(field)).await
        }
        Refusal::Endless => send(session, request, 500).await,
        Refusal::NoUpstream => send(session, request, 503).await,
        Refusal::Maintenance { retry_after_s } => maintenance(session, request, retry_after_s).await,
    }
}

/// Answers with an error and a short body that says what it means, or the site's own page for it.
///
/// # Errors
/// When the client cannot be written to.
pub(in crate::proxy) async fn send(session: &mut Session, request: &Request, status: u16) -> Result<()> {
    if let Some(limit) = OwnLimit::of_status(status) {
        request.met(limit);
    }
    let field = match status {
        405 => Some((ALLOW, answer::ALLOWED)),
        503 => Some((RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))),
        _ => None,
    };
    send_with(session, request, status, field).await
}

/// The same with one more header field.
///
/// # Errors
/// When the client cannot be written to.
pub(in crate::proxy) async fn send_with(
    session: &mut Session,
    request: &Request,
    status: u16,
    field: Option<(HeaderName, HeaderValue)>,
) -> Result<()> {
    let format = preferred(&session.req_header().headers);
    let own = request.table.routes.error_page(request.route(), status).filter(|_| format != Format::Json);
    let page = match own {
        Some(own) => (HTML, own.clone()),
        None => page(status, explanation(status), format),
    };
    send_page(session, request, status, field, page).await
}

/// The service is under maintenance; browsers get the site's own page, where there is one.
async fn maintenance(session: &mut Session, request: &Request, retry_after_s: u64) -> Result<()> {
    let format = preferred(&session.req_header().headers);
    let page = match request.table.maintenance.page.as_ref().filter(|_| format == Format::Html) {
        Some(own) => (HTML, own.clone()),
        None => page(503, MAINTENANCE, format),
    };
    let field = (RETRY_AFTER, HeaderValue::from(retry_after_s));
    send_page(session, request, 503, Some(field), page).await
}

async fn send_page(
    session: &mut Session,
    request: &Request,
    status: u16,
    field: Option<(HeaderName, HeaderValue)>,
    (content_type, body): (&'static str, Bytes),
) -> Result<()> {
    let mut head = ResponseHeader::build(status, Some(4))?;
    head.insert_header(CONTENT_TYPE, HeaderValue::from_static(content_type))?;
    head.insert_header(CACHE_CONTROL, HeaderValue::from_static("no-store"))?;
    if let Some((name, value)) = field {
        head.insert_header(name, value)?;
    }
    answer::send(session, request, head, body).await
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
        403 => "Access to this address is not allowed.",
        404 => "Nothing is served under this address.",
        405 => "This address does not take that method.",
        408 => "The request did not arrive in time.",
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
