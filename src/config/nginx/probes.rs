//! Requests that a configuration of nginx is about: for each host of a server, the path of each of its
//! locations and one that only begins or fits like it. What they are for is to ask nginx and Pointsman the same.
//!
//! Only safe methods, so that they can be asked of servers that serve. A host or path that is a pattern is
//! asked for by a text that fits it, where there is a short one.

use super::SyntaxError;
use super::include::{self, Tree};
use super::patterns::translated;
use super::tree::Directive;
use regex_syntax::hir::{Class, Hir, HirKind};
use std::path::Path;

/// Most of them; a configuration with more is asked for a part of it.
const MOST: usize = 2000;
/// Of a repetition.
const LONGEST: u32 = 64;

/// A request without a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub method: String,
    pub host: String,
    /// Path and query.
    pub target: String,
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.method, self.host, self.target)
    }
}

/// The requests of a configuration, at most 2,000.
///
/// # Errors
/// [`SyntaxError`]: nginx would refuse the file, too.
pub fn probes(path: &Path) -> Result<Vec<Probe>, SyntaxError> {
    Ok(of_tree(&include::read(path)?))
}

pub(super) fn of_tree(tree: &Tree) -> Vec<Probe> {
    let mut servers = Vec::new();
    for directive in &tree.directives {
        directive.visit(&mut |inner| {
            if inner.name == "server" && inner.block.is_some() {
                servers.push(inner);
            }
        });
    }
    let mut probes: Vec<Probe> = Vec::new();
    for server in servers {
        let targets = targets(server);
        for host in hosts(server) {
            for target in &targets {
                let methods: &[&str] =
                    if target.ends_with("probe") { &["GET"] } else { &["GET", "HEAD", "OPTIONS"] };
                for method in methods {
                    let probe =
                        Probe { method: (*method).into(), host: host.clone(), target: target.clone() };
                    if probes.len() < MOST && !probes.contains(&probe) {
                        probes.push(probe);
                    }
                }
            }
        }
    }
    probes
}

fn hosts(server: &Directive) -> Vec<String> {
    let names = server.block().iter().filter(|line| line.name == "server_name").flat_map(|line| &line.args);
    let host = |name: &String| match name.strip_prefix('~') {
        Some(pattern) => sample(pattern),
        None if name.starts_with("*.") => Some(name.replacen('*', "probe", 1)),
        None if name.ends_with(".*") => Some(name.replace(".*", ".example")),
        None => Some(name.trim_start_matches('.').to_owned()),
    };
    let legal = |name: &String| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c))
    };
    let mut hosts: Vec<String> = names.filter_map(host).filter(legal).collect();
    if hosts.is_empty() {
        hosts.push("unlisted.invalid".to_owned());
    }
    hosts
}

fn targets(server: &Directive) -> Vec<String> {
    let mut targets: Vec<String> =
        ["/", "/probe", "/?probe=1", "/index.html", "/.probe"].map(str::to_owned).to_vec();
    server.visit(&mut |location| {
        if location.name == "location" {
            targets.extend(of_location(location));
        }
    });
    let is_legal = |target: &String| target.starts_with('/') && target.chars().all(|c| c.is_ascii_graphic());
    let mut fresh: Vec<String> = Vec::new();
    for target in targets.into_iter().filter(is_legal) {
        if !fresh.contains(&target) {
            fresh.push(target);
        }
    }
    fresh
}

fn of_location(location: &Directive) -> Vec<String> {
    let (sign, path) = match location.args.as_slice() {
        [path] => ("", path.as_str()),
        [sign, path] => (sign.as_str(), path.as_str()),
        _ => return Vec::new(),
    };
    match sign {
        "~" | "~*" => sample(path).into_iter().collect(),
        "=" => vec![path.to_owned(), format!("{path}probe")],
        _ if path.starts_with('@') => Vec::new(),
        _ if path.ends_with('/') => {
            vec![path.to_owned(), format!("{path}probe"), path.trim_end_matches('/').to_owned()]
        }
        _ => vec![path.to_owned(), format!("{path}/probe"), format!("{path}probe")],
    }
}

/// A short text that fits a pattern; that of a path begins with a slash.
fn sample(pattern: &str) -> Option<String> {
    let found = translated(pattern);
    let hir = regex_syntax::parse(&found.pattern).ok().filter(|_| found.is_exact)?;
    let mut text = String::new();
    write(&hir, &mut text);
    let fits = |text: &str| regex::Regex::new(&found.pattern).is_ok_and(|regex| regex.is_match(text));
    let with_slash = if text.starts_with('/') { text.clone() } else { format!("/probe{text}") };
    [with_slash, text].into_iter().find(|text| fits(text))
}

fn write(hir: &Hir, text: &mut String) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(class) => text.extend(one_of(class)),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(LONGEST);
            for _ in 0..repetition.min.max(1).min(most).min(LONGEST) {
                write(&repetition.sub, text);
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, text)),
        HirKind::Alternation(parts) => parts.iter().take(1).for_each(|part| write(part, text)),
    }
}

fn one_of(class: &Class) -> Option<char> {
    let fits = |c: &char| match class {
        Class::Unicode(class) => class.iter().any(|range| (range.start()..=range.end()).contains(c)),
        Class::Bytes(class) => u8::try_from(*c)
            .is_ok_and(|c| class.iter().any(|range| (range.start()..=range.end()).contains(&c))),
    };
    let usual = ['a', '1', 'A', '-', '/'];
    usual.into_iter().chain('!'..='~').find(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_location_is_asked_for() {
        let text = "http { server { server_name a.example *.b.example ~^(?<t>\\w+)\\.c\\.example$;
            location / { } location /api/ { location = /api/x { } } location = /health { } location @n { }
            location ~* \\.(png|jpg)$ { } location ~ ^/v\\d+/(.*)$ { } location ~ (?<!x)y { } }
            server { listen 80 default_server; return 444; } }";
        let probes = of_tree(&include::read_text(text, "n").expect("it parses"));
        let has = |line: &str| probes.iter().any(|probe| probe.to_string() == line);
        for line in [
            "GET a.example /",
            "HEAD a.example /api/",
            "GET a.example /api/probe",
            "OPTIONS a.example /api",
            "GET probe.b.example /api/x",
            "GET a.example /health",
            "GET a.example /healthprobe",
            "GET a.example /probe.png",
            "GET a.example /v1/a",
            "GET a.c.example /",
            "GET unlisted.invalid /",
        ] {
            assert!(has(line), "{line} is not in {probes:#?}");
        }
        let safe = ["GET", "HEAD", "OPTIONS"];
        assert!(probes.iter().all(|probe| safe.contains(&probe.method.as_str())));
    }
}
