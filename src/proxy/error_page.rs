//! The replies that the proxy makes itself: plain text, JSON or HTML, as the client accepts.

use super::hsts;
use super::listen::Bound;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

const HTML: &str = "text/html; charset=utf-8";
/// Seconds after which a client may try again when no upstream was ready.
const RETRY_AFTER_SECONDS: u64 = 5;
const MAINTENANCE: &str = "The site is under maintenance. Please try again later.";

/// Answers with an error and a short body that says what it means.
///
/// # Errors
/// When the client cannot be written to.
pub(super) async fn send(session: &mut Session, listener: Option<&Bound>, status: u16) -> Result<()> {
    let page = page(status, explanation(status), preferred(&session.req_header().headers));
    let retry_after_s = (status == 503).then_some(RETRY_AFTER_SECONDS);
    send_page(session, listener, status, retry_after_s, page).await
}

/// Answers that the service is under maintenance; browsers get `own_page`, where there is one.
///
/// # Errors
/// When the client cannot be written to.
pub(super) async fn send_maintenance(
    session: &mut Session,
    listener: Option<&Bound>,
    retry_after_s: u64,
    own_page: Option<&Bytes>,
) -> Result<()> {
    let format = preferred(&session.req_header().headers);
    let page = match own_page.filter(|_| format == Format::Html) {
        Some(own) => (HTML, own.clone()),
        None => page(503, MAINTENANCE, format),
    };
    send_page(session, listener, 503, Some(retry_after_s), page).await
}

async fn send_page(
    session: &mut Session,
    listener: Option<&Bound>,
    status: u16,
    retry_after_s: Option<u64>,
    (content_type, body): (&'static str, Bytes),
) -> Result<()> {
    let mut response = ResponseHeader::build(status, Some(4))?;
    response.insert_header(CONTENT_TYPE, content_type)?;
    response.insert_header(CONTENT_LENGTH, body.len())?;
    response.insert_header(CACHE_CONTROL, "no-store")?;
    if let Some(seconds) = retry_after_s {
        response.insert_header(RETRY_AFTER, seconds)?;
    }
    hsts::set(listener, &mut response)?;
    if session.req_header().method == http::Method::HEAD {
        return session.write_response_header(Box::new(response), true).await;
    }
    session.write_response_header(Box::new(response), false).await?;
    session.write_response_body(Some(body), true).await
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
        404 => "Nothing is served under this address.",
        408 => "The request did not arrive in time.",
        413 => "The request body is too large.",
        431 => "The request header is too large.",
        502 => "The server behind this site did not answer properly.",
        503 => "The service is not available at the moment. Please try again shortly.",
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
