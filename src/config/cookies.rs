//! `cookie_paths`, `cookie_domains` and `cookie_flags` of a route: what becomes of the cookies of its upstreams.

use super::reader::{Item, Section};
use crate::core::route::{CookieFlags, CookieRules, SameSite, Target};
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
        paths: paths.map(|item| rules(&item, path, path_template)).unwrap_or_default(),
        domains: domains.map(|item| rules(&item, domain, domain_template)).unwrap_or_default(),
        flags: flags.and_then(|item| self::flags(&item.section()?)).unwrap_or_default(),
    };
    (!rules.is_none()).then(|| Box::new(rules))
}

fn rules(
    item: &Item<'_>,
    from: fn(&str) -> Result<String, String>,
    to: fn(&str, &Vocabulary<'_>) -> Result<Template, String>,
) -> Vec<(String, Template)> {
    let rule = |item: &Item<'_>| {
        let section = item.section()?;
        let from = section.need("from", "what the upstream says", |item| item.parsed(from));
        let to = section.need("to", "what clients get in its place", |item| item.worded(false, None, to));
        section.finish();
        Some((from?, to?))
    };
    item.array().unwrap_or_default().iter().filter_map(rule).collect()
}

fn flags(section: &Section<'_>) -> Option<CookieFlags> {
    let flags = CookieFlags {
        secure: section.item("secure").and_then(|item| item.bool()),
        http_only: section.item("http_only").and_then(|item| item.bool()),
        same_site: section.item("same_site").and_then(|item| item.choice(&SAME_SITE)),
    };
    section.finish();
    Some(flags)
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
    use crate::core::route::SameSite;
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
        assert_eq!((rules.paths[0].0.as_str(), rules.domains[0].0.as_str()), ("/app/", "app.internal"));
        assert_eq!((rules.flags.secure, rules.flags.http_only), (Some(true), None));
        assert_eq!(rules.flags.same_site, Some(SameSite::Lax));
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
                "service = \"web\"\ncookie_flags = { same_site = \"no\" }",
                "\"no\" is none of strict, lax, none",
            ),
        ] {
            let text = read(route).expect_err(expected).to_string();
            assert!(text.contains(expected), "missing: {expected}\nin:\n{text}");
        }
    }
}
