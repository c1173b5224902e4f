//! `cookie_paths`, `cookie_domains` and `cookie_flags` of a route: what becomes of the cookies of its upstreams.

use super::reader::{Item, Section};
use crate::core::pattern::Pattern;
use crate::core::route::{CookieFlags, CookieName, CookiePath, CookieRules, SameSite, Target};
use crate::core::template::{Template, Vocabulary};
use http::HeaderValue;

const SAME_SITE: [(&str, SameSite); 3] =
    [("strict", SameSite::Strict), ("lax", SameSite::Lax), ("none", SameSite::None)];

pub(super) fn of_route(section: &Section<'_>, target: Option<&Target>) -> Option<Box<CookieRules>> {
    let items = ["cookie_paths", "cookie_domains", "cookie_flags"].map(|key| section.item(key));
    if !matches!(target, None | Some(Target::Service(_))) {
        let why = "has no effect on a route that leads to no service; take it out";
        items.iter().flatten().for_each(|item| item.fault(why));
    }
    let [paths, domains, flags] = items;
    let rules = CookieRules {
        paths: each(paths.as_ref(), path_rule),
        domains: each(domains.as_ref(), domain_rule),
        flags: flags.map(|item| all_flags(&item)).unwrap_or_default(),
    };
    (!rules.is_none()).then(|| Box::new(rules))
}

fn each<T>(item: Option<&Item<'_>>, rule: fn(&Section<'_>) -> Option<T>) -> Vec<T> {
    let rules = item.and_then(Item::array).unwrap_or_default();
    let read = |item: &Item<'_>| {
        let section = item.section()?;
        let rule = rule(&section);
        section.finish();
        rule
    };
    rules.iter().filter_map(read).collect()
}

const TO: &str = "what clients get in its place";

fn path_rule(section: &Section<'_>) -> Option<(CookiePath, Template)> {
    if let Some(item) = section.item("matches") {
        if let Some(from) = section.item("from") {
            from.fault("a path is known by from or by matches, not by both; take one out");
        }
        let pattern = item.parsed(|text| Pattern::new(text, false));
        let to = section.need("to", TO, |item| item.worded(false, pattern.as_ref(), path_template));
        return Some((CookiePath::Fits(pattern?), to?));
    }
    let Some(from) = section.item("from") else {
        section.fault("does not say which paths; add from = \"/app/\", or matches");
        return None;
    };
    let from = from.parsed(path);
    let to = section.need("to", TO, |item| item.worded(false, None, path_template));
    Some((CookiePath::Prefix(from?), to?))
}

fn domain_rule(section: &Section<'_>) -> Option<(String, Template)> {
    let from = section.need("from", "what the upstream says", |item| item.parsed(domain));
    let to = section.need("to", TO, |item| item.worded(false, None, domain_template));
    Some((from?, to?))
}

/// Those of all cookies, or a list of those of some.
fn all_flags(item: &Item<'_>) -> Vec<(CookieName, CookieFlags)> {
    if item.is_array() {
        return each(Some(item), |section| Some((cookie(section)?, flags(section))));
    }
    let Some(section) = item.section() else { return Vec::new() };
    let flags = (CookieName::Any, flags(&section));
    section.finish();
    if flags.1 == CookieFlags::default() { Vec::new() } else { vec![flags] }
}

fn cookie(section: &Section<'_>) -> Option<CookieName> {
    let [name, pattern] = ["name", "matches"].map(|key| section.item(key));
    match (name, pattern) {
        (None, None) => Some(CookieName::Any),
        (Some(name), None) => name.string().map(CookieName::Is),
        (None, Some(pattern)) => pattern.parsed(|text| Pattern::new(text, false)).map(CookieName::Fits),
        (Some(name), Some(_)) => {
            name.fault("a cookie is known by name or by matches, not by both; take one out");
            None
        }
    }
}

fn flags(section: &Section<'_>) -> CookieFlags {
    CookieFlags {
        secure: section.item("secure").and_then(|item| item.bool()),
        http_only: section.item("http_only").and_then(|item| item.bool()),
        same_site: section.item("same_site").and_then(|item| item.choice(&SAME_SITE)),
    }
}

fn path(text: &str) -> Result<String, String> {
    let wrong = || format!("\"{text}\" begins no path; write for example \"/app/\"");
    text.starts_with('/').then(|| text.to_owned()).ok_or_else(wrong)
}

fn path_template(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Template, String> {
    plain(text)?;
    path(text)?;
    Template::parse(text, vocabulary)
}

/// Without its leading dot, which says nothing any more (RFC 6265, 5.2.3).
fn domain(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('.').unwrap_or(text);
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if bare.is_empty() || !bare.chars().all(legal) {
        return Err(format!("\"{text}\" is no domain; write for example \"app.internal\""));
    }
    Ok(bare.to_ascii_lowercase())
}

fn domain_template(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Template, String> {
    plain(text)?;
    Template::parse(text, vocabulary)
}

fn plain(text: &str) -> Result<(), String> {
    let is_plain = HeaderValue::from_str(text).is_ok() && !text.contains([';', ' ', ',']);
    is_plain.then_some(()).ok_or_else(|| format!("\"{text}\" would end the attribute of a cookie"))
}

#[cfg(test)]
mod tests {
    use crate::config::{Faults, parse};
    use crate::core::route::{CookieName, CookiePath, SameSite};
    use crate::core::settings::Config;
    use std::path::Path;

    fn read(route: &str) -> Result<Config, Faults> {
        let text = format!(
            "[[listeners]]\naddress = \"127.0.0.1:80\"\n[[routes]]\n{route}\n\
             [services.web.pools.blue]\nupstreams = [\"10.0.0.1:80\"]\n"
        );
        parse(&text, "test.toml", &|_| None, Path::new("/nowhere"))
    }

    #[test]
    fn rules_are_read_and_none_is_none() {
        let route = "service = \"web\"\ncookie_paths = [{ from = \"/app/\", to = \"/\" }]\n\
                     cookie_domains = [{ from = \".App.internal\", to = \"$host\" }, { from = \"b\", to = \"\" }]\n\
                     cookie_flags = { secure = true, same_site = \"lax\" }";
        let config = read(route).expect("accepted");
        let rules = config.routes.specs()[0].cookies.as_deref().expect("some");
        assert_eq!(rules.paths[0].0, CookiePath::Prefix("/app/".to_owned()));
        assert_eq!(rules.domains[0].0, "app.internal");
        let (name, flags) = &rules.flags[0];
        assert_eq!((name, flags.secure, flags.http_only), (&CookieName::Any, Some(true), None));
        assert_eq!(flags.same_site, Some(SameSite::Lax));
        let some = read(
            "service = \"web\"\ncookie_flags = [{ name = \"sid\", secure = true }, { http_only = true }]",
        );
        let some = some.expect("accepted");
        let names: Vec<_> = some.routes.specs()[0].cookies.iter().flat_map(|rules| &rules.flags).collect();
        assert_eq!((names.len(), &names[0].0), (2, &CookieName::Is("sid".to_owned())));
        let none = read("service = \"web\"\ncookie_paths = []").expect("accepted");
        assert!(none.routes.specs()[0].cookies.is_none());
    }

    #[test]
    fn faults_name_the_key_and_the_remedy() {
        for (route, expected) in [
            (
                "deny = true\ncookie_flags = {}",
                "routes[0].cookie_flags: has no effect on a route that leads to no",
            ),
            ("service = \"web\"\ncookie_paths = [{ from = \"app\", to = \"/\" }]", "\"app\" begins no path"),
            ("service = \"web\"\ncookie_paths = [{ from = \"/a\" }]", "cookie_paths[0].to: is missing"),
            (
                "service = \"web\"\ncookie_paths = [{ from = \"/a\", to = \"/;x\" }]",
                "would end the attribute",
            ),
            ("service = \"web\"\ncookie_domains = [{ from = \"a b\", to = \"\" }]", "\"a b\" is no domain"),
            (
                "service = \"web\"\ncookie_flags = [{ name = \"a\", matches = \"^b\" }]",
                "cookie_flags[0].name: a cookie is known by name or by matches",
            ),
            (
                "service = \"web\"\ncookie_paths = [{ matches = \"^/a\", from = \"/\", to = \"/\" }]",
                "a path is known by from or by matches",
            ),
            (
                "service = \"web\"\ncookie_flags = { same_site = \"no\" }",
                "\"no\" is none of strict, lax, none",
            ),
        ] {
            let text = read(route).expect_err(expected).to_string();
            assert!(text.contains(expected), "missing: {expected}\nin:\n{text}");
        }
    }
}
