//! `[error_pages]`, and pages in general: files that are read once and sent to many. What else may be shown for an
//! error is read here, too.

use super::reader::{Item, Section};
use super::route::target;
use crate::core::route::{ErrorPage, ErrorPages, PageSource, PageStatus, PathSpec, Replacement, RouteSpec};
use bytes::Bytes;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The largest page; it is held in memory and sent to everybody.
const LARGEST_PAGE: usize = 1 << 20;
const SOURCES: [&str; 4] = ["file", "path", "route", "redirect"];

/// What is shown for errors, by status.
pub(super) fn error_pages(section: &Section<'_>) -> ErrorPages {
    let mut pages = ErrorPages::new();
    for (text, item) in section.entries() {
        let statuses = statuses(&text);
        if statuses.is_none() {
            item.fault(&format!(
                "\"{text}\" is no status of an error; write 502 = \"50x.html\", or \"500-504\""
            ));
        }
        let page = error_page(&item).map(Arc::new);
        for status in statuses.into_iter().flatten().flatten() {
            if pages.contains_key(&status) {
                item.fault(&format!("{status} has a page already; let each status stand once"));
            }
            pages.extend(page.clone().map(|page| (status, page)));
        }
    }
    pages
}

/// `404`, `500-504`, or several of them: `403, 500-504`.
fn statuses(text: &str) -> Option<Vec<RangeInclusive<u16>>> {
    let one = |text: &str| text.trim().parse().ok().filter(|status| (300..=599).contains(status));
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        one(from).zip(one(to)).filter(|(from, to)| from <= to).map(|(from, to)| from..=to)
    };
    text.split(',').map(range).collect()
}

fn error_page(item: &Item<'_>) -> Option<ErrorPage> {
    if item.is_string() {
        let source = PageSource::File(page_or_built_in(item)?);
        return Some(ErrorPage { source, status: PageStatus::Kept });
    }
    let section = item.section()?;
    let given: Vec<_> = SOURCES.iter().filter_map(|key| Some((*key, section.item(key)?))).collect();
    let source = match given.as_slice() {
        [(key, item)] => source(key, item),
        [] => {
            section.fault(&format!("names no page; add one of {}", SOURCES.join(", ")));
            None
        }
        [(key, _), (other, item), ..] => {
            item.fault(&format!("a page comes from one place: {key} or {other}, not both"));
            None
        }
    };
    let status = status(&section, given.first().map_or("", |(key, _)| key));
    section.finish();
    Some(ErrorPage { source: source?, status })
}

fn source(key: &str, item: &Item<'_>) -> Option<PageSource> {
    match key {
        "file" => page_or_built_in(item).map(PageSource::File),
        "path" => item.worded(false, None, Replacement::fallback).map(PageSource::Path),
        "route" => item.parsed(target::name).map(PageSource::Route),
        _ => item.worded(false, None, target::location).map(PageSource::Redirect),
    }
}

/// The status that the page is shown with.
fn status(section: &Section<'_>, source: &str) -> PageStatus {
    let is_redirect = source == "redirect";
    let Some(item) = section.item("status") else {
        return if is_redirect { PageStatus::Fixed(302) } else { PageStatus::Kept };
    };
    if item.is_string() {
        let status = item.choice(&[("answer", PageStatus::OfAnswer)]);
        if matches!(source, "file" | "redirect") {
            item.fault("no other answer has a status here; write a number, or take it out");
        }
        return status.unwrap_or(PageStatus::Kept);
    }
    let Some(status) = item.integer(200..=599) else { return PageStatus::Kept };
    if is_redirect && ![301, 302, 303, 307, 308].contains(&status) {
        item.fault("is none of 301, 302, 303, 307, 308");
    }
    if !is_redirect && matches!(status, 204 | 205 | 304) {
        item.fault(&format!(
            "an answer with status {status} has no body, so that no page is shown; write another"
        ));
    }
    PageStatus::Fixed(status as u16)
}

/// Each route that a page names is there.
pub(super) fn lead_somewhere(section: &Section<'_>, pages: &ErrorPages, specs: &[Option<RouteSpec>]) {
    let is_there = |name: &String| {
        specs.iter().flatten().any(|spec| matches!(&spec.path, PathSpec::Named(known) if known == name))
    };
    for (status, page) in pages {
        if let PageSource::Route(name) = &page.source
            && !is_there(name)
            && let Some(item) = section.item("error_pages")
        {
            item.fault(&format!(
                "{status}: there is no route @{name}; add [[routes]] with path = \"@{name}\""
            ));
        }
    }
}

/// A page that is not there is no reason not to serve: another one is built in.
fn page_or_built_in(item: &Item<'_>) -> Option<Bytes> {
    let path = item.file()?;
    match std::fs::metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            item.warn(&format!(
                "there is no file {}: the built-in page is sent until there is one and the configuration is reloaded",
                path.display()
            ));
            None
        }
        _ => page(item),
    }
}

pub(super) fn page(item: &Item<'_>) -> Option<Bytes> {
    let path = item.file()?;
    match std::fs::read(&path) {
        Ok(page) if page.len() <= LARGEST_PAGE => {
            item.leads_to(&page);
            return Some(page.into());
        }
        Ok(_) => {
            item.fault(&format!("{} has more than {LARGEST_PAGE} bytes; make it smaller", path.display()))
        }
        Err(error) => item.fault(&format!("{}: {error}", path.display())),
    }
    None
}
