//! `[[routes]]`: what a request is matched by, and what holds for it. Where it leads is read by
//! [`target`], what becomes of its path by [`rewriting`].

mod rewriting;
pub(super) mod target;
#[cfg(test)]
mod tests;

use super::front::networks;
use super::headers::headers;
use super::listener::addresses;
use super::pages;
use super::reader::{Item, Section};
use super::{access, condition, cookies, limits};
use crate::core::condition::Condition;
use crate::core::expires::ExpiryRule;
use crate::core::pattern::Pattern;
use crate::core::route::{Clients, ErrorPages, Fallback, OwnTimeouts, PathSpec, RouteSpec, Target};
use crate::core::settings::{Admin, Forwarded};
use std::net::SocketAddr;
use std::time::Duration;

/// What else the file has, as far as routes refer to it, whether or not it is without fault.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub services: &'a [String],
    pub rates: &'a [String],
    pub listeners: &'a [SocketAddr],
    /// Says whether a route to the admin API would be protected.
    pub admin: Option<&'a Admin>,
}

/// All of them, and what is shown for errors where they say nothing else.
pub(super) fn routes(root: &Section<'_>, known: &Known<'_>) -> (Vec<RouteSpec>, ErrorPages) {
    let sections = root.tables("routes");
    if sections.is_empty() {
        let name = known.services.first().map_or("web", String::as_str);
        root.fault(&format!("there is no route; add [[routes]] with service = \"{name}\""));
    }
    let specs: Vec<_> = sections.iter().map(|section| route(section, known)).collect();
    sections.iter().zip(&specs).for_each(|(section, spec)| names(section, spec.as_ref(), &specs));
    let pages = pages::error_pages(&root.section("error_pages"));
    pages::lead_somewhere(root, &pages, &specs);
    (specs.into_iter().flatten().collect(), pages)
}

/// A name stands for one route, a fallback for one that there is, and `within` for the path of another.
fn names(section: &Section<'_>, spec: Option<&RouteSpec>, specs: &[Option<RouteSpec>]) {
    let Some(spec) = spec else { return };
    let named = |name: &String| {
        let same = |other: &&RouteSpec| matches!(&other.path, PathSpec::Named(known) if known == name);
        specs.iter().flatten().filter(same).count()
    };
    if let (PathSpec::Named(name), Some(item)) = (&spec.path, section.item("path"))
        && named(name) > 1
    {
        item.fault(&format!("several routes are called @{name}; give each a name of its own"));
    }
    if let Some(pages) = &spec.error_pages {
        pages::lead_somewhere(section, pages, specs);
    }
    let leads_in = |other: &RouteSpec| match &other.path {
        PathSpec::Prefix { prefix, .. } => Some(prefix) == spec.within.as_ref(),
        _ => false,
    };
    if let Some(item) = section.item("within").filter(|_| spec.within.is_some())
        && !specs.iter().flatten().any(leads_in)
    {
        item.fault("there is no route whose path is this prefix; add [[routes]] with that path");
    }
    if let Target::Files(files) = &spec.target
        && let Some(Fallback::Route(name)) = &files.fallback
        && named(name) == 0
        && let Some(item) = section.section("files").item("fallback")
    {
        item.fault(&format!("there is no route @{name}; add [[routes]] with path = \"@{name}\""));
    }
}

fn route(section: &Section<'_>, known: &Known<'_>) -> Option<RouteSpec> {
    let hosts = section.item("hosts").and_then(|item| item.array()).unwrap_or_default();
    let everything = PathSpec::Prefix { prefix: "/".into(), is_final: false };
    let path = section.read("path", everything, |item| item.parsed(path));
    let target = target::read(section, &path, known);
    let mut spec = RouteSpec {
        hosts: hosts.iter().filter_map(|item| item.parsed(host)).collect(),
        within: within(section, &path),
        is_first: is_first(section, &path),
        when: when(section, &path),
        listeners: listeners(section, known),
        clients: Clients { allow: networks(section, "allow"), deny: networks(section, "deny_from") },
        access: access::of_route(section, target.as_ref(), known.services),
        access_log: section.read("access_log", true, Item::bool),
        measure: measure(section, target.as_ref()),
        timeouts: timeouts(section, target.as_ref()),
        compression: section.read("compression", true, Item::bool),
        forwarded: forwarded(section, target.as_ref()),
        headers: headers(&section.section("headers")),
        expires: section
            .item("expires")
            .and_then(|item| item.worded(true, None, ExpiryRule::parse))
            .flatten(),
        error_pages: section.item("error_pages").and_then(|item| Some(pages::error_pages(&item.section()?))),
        intercept: intercept(section, target.as_ref()),
        internal: section.read("internal", false, Item::bool),
        rewriting: rewriting::read(section, &path, target.as_ref()),
        relocations: rewriting::relocations(section, target.as_ref()),
        cookies: cookies::of_route(section, target.as_ref()),
        ..RouteSpec::new(path, Target::Deny)
    };
    limits::of_route(&section.section("limits"), known.rates, &mut spec);
    only_named(section, &spec);
    onward(section, &spec, target.as_ref());
    section.finish();
    Some(RouteSpec { target: target?, ..spec })
}

/// Whether it comes before all others of its hosts.
fn is_first(section: &Section<'_>, path: &PathSpec) -> bool {
    let Some(item) = section.item("first") else { return false };
    if matches!(path, PathSpec::Named(_)) || section.item("within").is_some() {
        item.fault("has no effect on a route with a name, or within another; take it out");
    }
    item.bool().unwrap_or_default()
}

/// What must hold of its requests beside host and path.
fn when(section: &Section<'_>, path: &PathSpec) -> Option<Condition> {
    let item = section.item("when")?;
    if matches!(path, PathSpec::Named(_)) {
        item.fault("has no effect on a route with a name, which a fallback leads to; take it out");
    }
    let inner = item.section()?;
    let when = condition::read(&inner);
    inner.finish();
    Some(when)
}

/// The prefix that a regex is tried within.
fn within(section: &Section<'_>, path: &PathSpec) -> Option<String> {
    let item = section.item("within")?;
    if !matches!(path, PathSpec::Regex { .. }) {
        item.fault("is for a path that is a regular expression; take it out, or write path = \"~ …\"");
        return None;
    }
    item.parsed(|text| match text.starts_with('/') {
        true => Ok(text.to_owned()),
        false => Err(format!("\"{text}\" must begin with /, as the path of the route that it is within")),
    })
}

/// A route with a name is led to after another one was chosen, and has counted the request.
fn only_named(section: &Section<'_>, spec: &RouteSpec) {
    if !matches!(spec.path, PathSpec::Named(_)) {
        return;
    }
    for item in [section.item("hosts"), section.item("listeners")].into_iter().flatten() {
        item.fault("has no effect on a route with a name, which a fallback leads to; take it out");
    }
    if !spec.rates.is_empty() || spec.connections_per_client > 0 {
        section.fault(
            "limits by client count once, on the route that falls back; put rates and \
             connections_per_client there",
        );
    }
}

/// What leads onward comes first: behind it others answer.
fn onward(section: &Section<'_>, spec: &RouteSpec, target: Option<&Target>) {
    if target == Some(&Target::Onward) && !spec.is_first {
        section.fault(
            "onward leads to the routes behind it, so that it has to come before them; add first = true",
        );
    }
}

/// Addresses as they stand under `[[listeners]]`.
fn listeners(section: &Section<'_>, known: &Known<'_>) -> Vec<SocketAddr> {
    let items = section.item("listeners").and_then(|item| item.array()).unwrap_or_default();
    let listener = |item: &Item<'_>| {
        let mut named = addresses(item)?;
        let typed: Vec<_> = named.iter().map(SocketAddr::to_string).collect();
        named.retain(|address| known.listeners.contains(address));
        if named.is_empty() {
            let all: Vec<_> = known.listeners.iter().map(SocketAddr::to_string).collect();
            item.fault(&format!("there is no listener {}; there are: {}", typed.join(", "), all.join(", ")));
        }
        Some(named)
    };
    items.iter().filter_map(listener).flatten().collect()
}

fn timeouts(section: &Section<'_>, target: Option<&Target>) -> OwnTimeouts {
    let item = section.item("timeouts");
    let Some(inner) = item.as_ref().and_then(Item::section) else { return OwnTimeouts::default() };
    if !matches!(target, None | Some(Target::Service(_))) {
        inner.fault("has no effect on a route that leads to no service; take it out");
    }
    let range = Duration::from_millis(1)..=Duration::from_secs(86_400 * 30);
    let read = |key| inner.item(key).and_then(|item| item.duration(range.clone()));
    let body = inner.item("body").and_then(|item| item.duration_or_off(range.clone(), Duration::MAX));
    let timeouts = OwnTimeouts { connect: read("connect"), read: read("read"), write: read("write"), body };
    inner.finish();
    timeouts
}

fn measure(section: &Section<'_>, target: Option<&Target>) -> bool {
    let Some(item) = section.item("measure") else { return true };
    if !matches!(target, None | Some(Target::Service(_))) {
        item.fault("has no effect on a route that leads to no service; take it out");
    }
    item.bool().unwrap_or(true)
}

fn intercept(section: &Section<'_>, target: Option<&Target>) -> bool {
    let Some(item) = section.item("intercept") else { return false };
    if !matches!(target, None | Some(Target::Service(_))) {
        item.fault("has no effect on a route that leads to no service; take it out");
    }
    item.bool().unwrap_or(false)
}

fn forwarded(section: &Section<'_>, target: Option<&Target>) -> Option<Forwarded> {
    let item = section.item("forwarded")?;
    if !matches!(target, None | Some(Target::Service(_))) {
        item.fault("has no effect on a route that leads to no service; take it out");
    }
    super::forwarded::read(&item)
}

fn host(text: &str) -> Result<String, String> {
    if let Some(pattern) = text.strip_prefix('~') {
        let pattern = pattern.trim_start_matches('*').trim_start();
        return Pattern::new(pattern, true).map(|_| format!("~{pattern}"));
    }
    let name = text.strip_prefix("*.").or_else(|| text.strip_suffix(".*")).unwrap_or(text);
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    if name.is_empty() || !name.chars().all(legal) {
        return Err(format!(
            "\"{text}\" is no host name; write example.org, *.example.org, shop.* or ~^shop[0-9]+[.]example$"
        ));
    }
    Ok(text.to_ascii_lowercase())
}

/// `/x`, `= /x`, `^~ /x`, `~ regex`, `~* regex`, `@name`.
fn path(text: &str) -> Result<PathSpec, String> {
    let absolute = |path: &str| match path.trim() {
        path if path.starts_with('/') => Ok(path.to_owned()),
        path => Err(format!("\"{path}\" must begin with /")),
    };
    let regex = |pattern: &str, ignore_case| {
        let pattern = pattern.trim().to_owned();
        Pattern::new(&pattern, ignore_case)?;
        Ok(PathSpec::Regex { pattern, ignore_case })
    };
    match text {
        text if text.starts_with("~*") => regex(&text[2..], true),
        text if text.starts_with('~') => regex(&text[1..], false),
        text if text.starts_with("^~") => {
            Ok(PathSpec::Prefix { prefix: absolute(&text[2..])?, is_final: true })
        }
        text if text.starts_with('@') => target::name(text).map(PathSpec::Named),
        text if text.starts_with('=') => Ok(PathSpec::Exact(absolute(&text[1..])?)),
        text => Ok(PathSpec::Prefix { prefix: absolute(text)?, is_final: false }),
    }
}
