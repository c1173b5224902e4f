//! `smoke` of `[services.*.rollout]`: the requests that a candidate must answer.

use super::headers;
use super::reader::{Item, Section};
use super::request;
use crate::core::settings::SmokeTest;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use serde::de::IgnoredAny;
use std::time::Duration;

pub(super) fn smoke_tests(rollout: &Section<'_>) -> Vec<SmokeTest> {
    rollout.tables("smoke").iter().filter_map(test).collect()
}

fn test(section: &Section<'_>) -> Option<SmokeTest> {
    let path = section.need("path", "for example \"/api/health\"", |item| item.parsed(request::path));
    let body_item = section.item("body");
    let body = body_item.as_ref().and_then(Item::string).unwrap_or_default();
    let method = request::method(section, if body.is_empty() { Method::GET } else { Method::POST });
    if let Some(item) = body_item.filter(|_| [Method::HEAD, Method::TRACE].contains(&method)) {
        item.fault(&format!(
            "cannot be sent with method = \"{method}\"; leave the method out, which is POST then"
        ));
    }
    let mut headers = headers::of_own_requests(section);
    if is_json(&body) {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    }
    let test = SmokeTest {
        matches: request::pattern(section, &method),
        method,
        path: path.clone().unwrap_or_default(),
        host: request::host(section),
        headers,
        body: Bytes::from(body),
        expect: request::expected(section),
        timeout: section.duration("timeout", Duration::from_secs(5)),
        http2: false,
        tls: None,
    };
    section.finish();
    path.map(|_| test)
}

/// Whether a body is a JSON document, and not only a number or a word that would be one.
fn is_json(body: &str) -> bool {
    body.trim_start().starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(body).is_ok()
}
