//! `valid_referers` → `$invalid_referer`, a look-up of `$http_referer`.

use super::Import;
use super::patterns::translated;
use super::scope::Scope;
use super::site::LookupBlock;
use super::tree::Directive;
use regex::escape;

impl<'a> Import<'a> {
    /// What `$invalid_referer` is in a place, where that can be expressed.
    pub(super) fn referers(&mut self, scope: &Scope<'a>) {
        let lines = scope.all("valid_referers");
        let Some(pattern) = referer_pattern(&lines, self.bindings.names()) else { return };
        for line in &lines {
            self.ledger.carried(line);
            self.expressed.insert(line.id);
        }
        let block = LookupBlock {
            from: lines.first().map_or_else(|| self.place.clone(), |line| line.place.clone()),
            name: "invalid_referer".to_owned(),
            of: "$http_referer".to_owned(),
            values: vec![(format!("~{pattern}"), String::new())],
            default: "1".to_owned(),
        };
        let bound = self.lookups.add(block, Some(vec![String::new(), "1".to_owned()]));
        self.bindings.set("invalid_referer", Some(bound));
    }
}

/// What referers have to fit to be valid; `names` are those of the server. `None` where that cannot be expressed.
fn referer_pattern(lines: &[&Directive], names: &[String]) -> Option<String> {
    let mut fits = Vec::new();
    for word in lines.iter().flat_map(|line| &line.args) {
        match word.as_str() {
            "none" => fits.push("$".to_owned()),
            // Nothing of the two schemes, however short: nginx reads no more of them than that.
            "blocked" => fits.push("(?!https?://).".to_owned()),
            "server_names" => {
                let named = names.iter().filter(|name| !name.is_empty());
                fits.extend(named.map(|name| place(name)).collect::<Option<Vec<_>>>()?);
            }
            name => fits.push(place(name)?),
        }
    }
    (!fits.is_empty()).then(|| format!("(?i)^(?:{})", fits.join("|")))
}

/// A name, perhaps with the beginning of a path, or `~` and a pattern of what follows the scheme.
fn place(word: &str) -> Option<String> {
    if let Some(pattern) = word.strip_prefix('~') {
        return pattern_of(pattern);
    }
    let (host, path) = word.split_at(word.find('/').unwrap_or(word.len()));
    if host.is_empty() || host.contains(['$', '~']) {
        return None;
    }
    let some = "[^/:]+";
    let host = match host.strip_prefix('.') {
        Some(name) => format!(r"(?:{some}\.)?{}", escape(name)),
        None => match (host.strip_prefix("*."), host.strip_suffix(".*")) {
            (Some(name), None) => format!(r"{some}\.{}", escape(name)),
            (None, Some(name)) => format!(r"{}\.{some}", escape(name)),
            (None, None) if !host.contains('*') => escape(host),
            _ => return None,
        },
    };
    Some(match path {
        "" => format!("https?://{host}(?:[/:]|$)"),
        // nginx compares paths with regard to case.
        path => format!("https?://{host}(?::[^/]*)?(?-i:{})", escape(path)),
    })
}

fn pattern_of(pattern: &str) -> Option<String> {
    let found = translated(pattern);
    if !found.is_exact {
        return None;
    }
    match found.pattern.strip_prefix('^') {
        // The first of several alone would be bound to the beginning.
        Some(rest) if rest.contains(['|', '^']) => None,
        Some(rest) => Some(format!("https?://{rest}")),
        None if found.pattern.contains('^') && !found.pattern.contains("[^") => None,
        None => Some(format!("https?://.*(?:{})", found.pattern)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;
    use crate::core::pattern::Pattern;

    fn valid(words: &str, referer: &str) -> Option<bool> {
        let line = parse(&format!("valid_referers {words};"), "f").expect("it parses").remove(0);
        let names = ["shop.example".to_owned(), String::new(), "~^shop[0-9]$".to_owned()];
        let pattern = referer_pattern(&[&line], &names)?;
        Some(Pattern::new(&pattern, false).expect("a pattern").is_match(referer.as_bytes()))
    }

    #[test]
    fn what_is_valid_is_what_nginx_takes() {
        let words = r"none blocked server_names *.img.example www.partner.* .both.example pages.example/gallery/ ~\.google\.";
        for (referer, expected) in [
            ("", true),
            ("android-app://x", true),
            ("-", true),
            ("https://shop.example/page", true),
            ("http://SHOP.example:8080/", true),
            ("https://shop.example.evil.example/", false),
            ("https://evil.example/?shop.example", false),
            ("https://evil.example/https://shop.example/", false),
            ("https://shop7", true),
            ("https://www.img.example/page", true),
            ("https://img.example/page", false),
            ("https://evilimg.example/page", false),
            ("https://www.partner.org/", true),
            ("https://www.partner.", false),
            ("https://both.example", true),
            ("https://a.both.example", true),
            ("https://pages.example/gallery/1", true),
            ("https://pages.example/Gallery/1", false),
            ("https://pages.example/", false),
            ("https://www.google.com/search", true),
            ("https://google.com/", false),
            ("https://evil.example/page", false),
        ] {
            assert_eq!(valid(words, referer), Some(expected), "{referer}");
        }
        assert_eq!((valid("shop.example", ""), valid("shop.example", "x")), (Some(false), Some(false)));
        assert_eq!(
            (valid("~^www", "https://www.x"), valid("~^www", "https://a/www")),
            (Some(true), Some(false))
        );
    }

    #[test]
    fn what_cannot_be_expressed_is_not() {
        for words in ["$host", "a*.example", "~^a|b", ""] {
            assert_eq!(valid(words, "https://a.example/"), None, "{words}");
        }
    }
}
