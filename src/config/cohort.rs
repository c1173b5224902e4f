//! `cohort`, `testers` and `expose_pool`: by whom a service's users keep their pool, who may choose another,
//! and whether answers name the one that gave them.

use super::front::networks;
use super::headers;
use super::reader::{Item, Section};
use crate::core::cohort::Cohort;
use crate::core::tester::Testers;
use http::HeaderName;
use std::time::Duration;

/// What both cookies and headers of testers are called, and the parameter.
const TESTERS: &str = "pointsman-pool";
const COOKIE: &str = "pointsman";
const TTL: Duration = Duration::from_secs(3600);
/// Browsers keep no cookie longer.
const LONGEST: Duration = Duration::from_secs(400 * 86_400);

pub(super) fn of_service(section: &Section<'_>) -> (Cohort, Option<Testers>) {
    let cohort = section.read("cohort", Cohort::Request, |item| cohort(&item.section()?));
    let testers = section.item("testers").and_then(|item| testers(&item.section()?, &cohort));
    (cohort, testers)
}

pub(super) fn expose_pool(section: &Section<'_>) -> Option<HeaderName> {
    section.item("expose_pool").and_then(|item| headers::of_answers(&item))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Request,
    Cookie,
    ClientIp,
    Header,
    Text,
}

fn cohort(section: &Section<'_>) -> Option<Cohort> {
    let kinds = [
        ("request", By::Request),
        ("cookie", By::Cookie),
        ("client_ip", By::ClientIp),
        ("header", By::Header),
        ("text", By::Text),
    ];
    let by =
        section.need("by", "write request, cookie, client_ip, header or text", |item| item.choice(&kinds));
    let cohort = match by {
        Some(By::Cookie) => Some(Cohort::Cookie {
            name: section.read("name", COOKIE.into(), cookie_name),
            ttl: section.read("ttl", TTL, |item| item.duration(Duration::from_secs(1)..=LONGEST)),
        }),
        Some(By::Header) => {
            let remedy = "which header names the user? for example \"X-User\"";
            section.need("name", remedy, |item| item.parsed(header_name)).map(Cohort::Header)
        }
        Some(By::Text) => {
            let remedy = "which text names the user? for example \"$cookie_session\"";
            section.need("of", remedy, |item| item.template(false, None)).map(Cohort::Text)
        }
        Some(By::ClientIp) => Some(Cohort::ClientIp),
        Some(By::Request) => Some(Cohort::Request),
        None => None,
    };
    without_effect(section, "name", by, &[By::Cookie, By::Header], "by = \"cookie\" or \"header\"");
    without_effect(section, "of", by, &[By::Text], "by = \"text\"");
    without_effect(section, "ttl", by, &[By::Cookie], "by = \"cookie\"");
    section.finish();
    cohort
}

fn without_effect(section: &Section<'_>, key: &'static str, by: Option<By>, with: &[By], remedy: &str) {
    let item = section.item(key);
    if let Some(item) = item.filter(|_| by.is_some_and(|by| !with.contains(&by))) {
        item.fault(&format!("has no effect without {remedy}; take it out"));
    }
}

fn testers(section: &Section<'_>, cohort: &Cohort) -> Option<Testers> {
    let testers = Testers {
        networks: networks(section, "networks"),
        header: section
            .read("header", HeaderName::from_static("x-pointsman-pool"), |item| item.parsed(header_name)),
        cookie: section.read("cookie", TESTERS.into(), cookie_name),
        query: section.read("query", TESTERS.into(), |item| item.parsed(not_empty)),
    };
    if let Cohort::Cookie { name, .. } = cohort
        && *name == testers.cookie
    {
        section.fault(&format!("cookie is {name}, which is the cohort's; give it another name"));
    }
    section.finish();
    Some(testers)
}

pub(super) fn header_name(text: &str) -> Result<HeaderName, String> {
    HeaderName::try_from(text)
        .map_err(|_| format!("\"{text}\" is no name of a header field; write for example X-User"))
}

/// A token (RFC 6265, 4.1.1).
pub(super) fn cookie_name(item: &Item<'_>) -> Option<Box<str>> {
    item.parsed(|text| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        match !text.is_empty() && text.bytes().all(legal) {
            true => Ok(text.into()),
            false => Err(format!("\"{text}\" is no name of a cookie: letters, digits and -_. have to do")),
        }
    })
}

pub(super) fn not_empty(text: &str) -> Result<Box<str>, String> {
    if text.is_empty() { Err("is empty; name it, or take it out".into()) } else { Ok(text.into()) }
}
