//! `[[routes]]`.

use super::reader::{Item, Section};
use crate::core::route::{PathSpec, RouteSpec};
use crate::core::settings::{ADMIN_MAINTENANCE, ADMIN_SERVICE, Admin, Role};

/// `services` are the names of the services in the file, whether or not they are without fault; `admin`
/// says whether a route to the admin API would be protected.
pub(super) fn routes(root: &Section<'_>, services: &[String], admin: Option<&Admin>) -> Vec<RouteSpec> {
    let sections = root.tables("routes");
    if sections.is_empty() {
        let name = services.first().map_or("web", String::as_str);
        root.fault(&format!("there is no route; add [[routes]] with service = \"{name}\""));
    }
    sections.iter().filter_map(|section| route(section, services, admin)).collect()
}

fn route(section: &Section<'_>, services: &[String], admin: Option<&Admin>) -> Option<RouteSpec> {
    let hosts = section.item("hosts").and_then(|item| item.array()).unwrap_or_default();
    let hosts = hosts.iter().filter_map(|item| item.parsed(host)).collect();
    let everything = PathSpec::Prefix { prefix: "/".into(), is_final: false };
    let path = section.read("path", everything, |item| item.parsed(path));
    if let Some(item) = section.item("admin") {
        let service = to_admin(section, &item, &path, admin);
        section.finish();
        return Some(RouteSpec { hosts, path, service: service? });
    }
    let service = section.need("service", "name the service it leads to", |item| {
        let name = item.string()?;
        if !services.contains(&name) {
            item.fault(&format!("there is no service {name}; there are: {}", services.join(", ")));
        }
        Some(name)
    });
    section.finish();
    Some(RouteSpec { hosts, path, service: service? })
}

/// `admin = "maintenance"`: only that call of the admin API, and only where a token protects it.
fn to_admin(
    section: &Section<'_>,
    item: &Item<'_>,
    path: &PathSpec,
    admin: Option<&Admin>,
) -> Option<String> {
    item.choice(&[("maintenance", ())])?;
    if section.item("service").is_some() {
        item.fault("a route leads to a service or to the admin API, not to both");
    }
    if *path != PathSpec::Exact(ADMIN_MAINTENANCE.into()) {
        item.fault(&format!("opens one call only, so it needs path = \"= {ADMIN_MAINTENANCE}\""));
    }
    if admin.is_some_and(|admin| admin.tokens.iter().all(|token| token.role < Role::Deploy)) {
        item.fault(
            "opens the admin API to clients of the site, so it needs a token in admin.tokens with the \
             role deploy or admin; `pointsman token new` makes one",
        );
    }
    if admin.is_some_and(|admin| admin.tls.is_some()) {
        item.fault(
            "leads to the admin API in plain HTTP, which admin.tls has switched off; switch maintenance by \
             `pointsman maintenance` or at the admin API itself, or leave out admin.tls",
        );
    }
    Some(ADMIN_SERVICE.to_owned())
}

fn host(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    if name.is_empty() || !name.chars().all(legal) {
        return Err(format!("\"{text}\" is no host name; write example.org or *.example.org"));
    }
    Ok(text.to_ascii_lowercase())
}

/// `/x`, `= /x`, `^~ /x`, `~ regex`, `~* regex`.
fn path(text: &str) -> Result<PathSpec, String> {
    let absolute = |path: &str| match path.trim() {
        path if path.starts_with('/') => Ok(path.to_owned()),
        path => Err(format!("\"{path}\" must begin with /")),
    };
    let regex = |pattern: &str, ignore_case| {
        let pattern = pattern.trim().to_owned();
        let compiled = regex::RegexBuilder::new(&pattern).case_insensitive(ignore_case).build();
        compiled.map_err(|error| error.to_string())?;
        Ok(PathSpec::Regex { pattern, ignore_case })
    };
    match text {
        text if text.starts_with("~*") => regex(&text[2..], true),
        text if text.starts_with('~') => regex(&text[1..], false),
        text if text.starts_with("^~") => {
            Ok(PathSpec::Prefix { prefix: absolute(&text[2..])?, is_final: true })
        }
        text if text.starts_with('=') => Ok(PathSpec::Exact(absolute(&text[1..])?)),
        text => Ok(PathSpec::Prefix { prefix: absolute(text)?, is_final: false }),
    }
}
