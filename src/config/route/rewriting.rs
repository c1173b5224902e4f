//! `rewrite`, `strip_prefix` and `path_to` of a route: what becomes of the path; and `relocate`: what becomes
//! of the places that the upstream redirects to.

use super::target::location;
use crate::config::reader::{Item, Section};
use crate::core::pattern::Pattern;
use crate::core::route::{
    Base, PathSpec, Relocation, Replacement, RewriteRule, Rewriting, Rewritten, Target, Then, decoded,
};
use crate::core::template::Template;

/// As many groups as a text can refer to by number.
const ANY_GROUPS: &str = "()()()()()()()()()";

pub(super) fn read(section: &Section<'_>, path: &PathSpec, target: Option<&Target>) -> Rewriting {
    let rules = section.item("rewrite");
    if let Some(item) = rules.as_ref().filter(|_| matches!(target, Some(Target::Deny | Target::Admin))) {
        item.fault("has no effect on a route that denies, or leads to the admin API; take it out");
    }
    let rules = rules.and_then(|item| item.array()).unwrap_or_default();
    let (strip, to) = (section.item("strip_prefix"), section.item("path_to"));
    if !matches!(target, None | Some(Target::Service(_))) {
        let why = "has no effect on a route that leads to no service; take it out";
        strip.iter().chain(&to).for_each(|item| item.fault(why));
    }
    if let Some(to) = to.as_ref().filter(|_| strip.is_some()) {
        to.fault("strip_prefix says already what becomes of the path; keep one of the two");
    }
    let stripped = strip.and_then(|item| stripped(&item, path));
    let replaced = to.and_then(|item| replaced(&item, path));
    Rewriting {
        rules: rules.iter().filter_map(|item| rule(&item.section()?)).collect(),
        base: stripped.or(replaced).unwrap_or_default(),
    }
}

pub(super) fn relocations(section: &Section<'_>, target: Option<&Target>) -> Vec<Relocation> {
    let Some(list) = section.item("relocate") else { return Vec::new() };
    if !matches!(target, None | Some(Target::Service(_))) {
        list.fault("has no effect on a route that leads to no service; take it out");
    }
    list.array().unwrap_or_default().iter().filter_map(|item| relocation(&item.section()?)).collect()
}

fn relocation(section: &Section<'_>) -> Option<Relocation> {
    let begins = |text: &str| match ["/", "http://", "https://"].iter().any(|start| text.starts_with(start)) {
        true => Ok(text.to_owned()),
        false => Err(format!("\"{text}\" begins no place; write for example \"http://app/\"")),
    };
    let from = section.need("from", "for example \"http://app/\"", |item| item.parsed(begins));
    // A scheme alone in place of another leaves the host alone.
    let is_scheme = |text: &str| matches!(text, "http://" | "https://" | "$scheme://");
    let of_scheme = from.as_deref().is_some_and(is_scheme);
    let to = section.need("to", "for example \"/\"", |item| {
        item.worded(false, None, |text, vocabulary| match of_scheme && is_scheme(text) {
            true => Template::parse(text, vocabulary),
            false => location(text, vocabulary),
        })
    });
    section.finish();
    Some(Relocation { from: from?, to: to? })
}

fn rule(section: &Section<'_>) -> Option<RewriteRule> {
    let remedy = "a regular expression, for example '^/old/(.*)$'";
    let pattern = section.need("match", remedy, |item| item.parsed(|text| Pattern::new(text, false)));
    let status = section.item("status").and_then(|item| redirection(&item));
    let then = section.item("then");
    if let Some(item) = then.as_ref().filter(|_| status.is_some()) {
        item.fault("status sends the client away, so that nothing follows; keep one of the two");
    }
    let choices = [("stay", Then::Stay), ("next", Then::Next), ("route", Then::Route)];
    let then = then.and_then(|item| item.choice(&choices)).unwrap_or(Then::Stay);
    let to = section.need("to", "for example \"/new/$1\"", |item| {
        // Without a pattern nobody knows its groups.
        let any = Pattern::new(ANY_GROUPS, false).ok();
        item.worded(false, pattern.as_ref().or(any.as_ref()), |text, vocabulary| match status {
            Some(_) => Replacement::place(text, vocabulary),
            None => Replacement::path(text, vocabulary),
        })
    });
    section.finish();
    Some(RewriteRule { pattern: pattern?, to: to?, then: status.map_or(then, Then::Redirect) })
}

/// The status of a redirect.
pub(super) fn redirection(item: &Item<'_>) -> Option<u16> {
    let status = item.integer(300..=399)?;
    if ![301, 302, 303, 307, 308].contains(&status) {
        item.fault("is none of 301, 302, 303, 307, 308");
    }
    u16::try_from(status).ok()
}

fn stripped(item: &Item<'_>, path: &PathSpec) -> Option<Base> {
    let prefix = item.string()?;
    let name = prefix.trim_end_matches('/');
    if !name.starts_with('/') {
        item.fault(&format!("\"{prefix}\" is no prefix of a path; write for example \"/api\""));
        return None;
    }
    let (PathSpec::Exact(own) | PathSpec::Prefix { prefix: own, .. }) = path else {
        return Some(Base::Stripped(name.as_bytes().into()));
    };
    let begins = own.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if !begins && !name.starts_with(own.as_str()) {
        item.fault(&format!("no path of this route begins with it: they begin with {own}"));
    }
    Some(Base::Stripped(name.as_bytes().into()))
}

fn replaced(item: &Item<'_>, path: &PathSpec) -> Option<Base> {
    let by = item.parsed(|text| {
        let plain = decoded(text).ok().filter(|plain| Rewritten::new(plain, b"").is_ok());
        plain.filter(|_| text.starts_with('/') && !text.contains(['?', '#'])).ok_or_else(|| {
            format!("\"{text}\" is no path; begin with / and leave out queries and dot segments")
        })
    })?;
    let matched = match path {
        PathSpec::Exact(own) | PathSpec::Prefix { prefix: own, .. } => own.len(),
        PathSpec::Regex { .. } | PathSpec::Named(_) => {
            item.fault(
                "takes the place of the route's own path, so that needs to be a prefix or exact; for others \
                 write rewrite = [{ match = \"^/old/(.*)$\", to = \"/new/$1\" }]",
            );
            return None;
        }
    };
    Some(Base::Replaced { matched, by: by.into() })
}
