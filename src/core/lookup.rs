//! Values by what a request says: `[maps.NAME]` looks a text up, `[values]` names one.
//!
//! A look-up goes by nginx's order: the whole text; the longest `*.name`, then the longest `name.*`; the narrowest
//! network; the patterns, in the order of the file; else the default. Texts are compared without regard to case.

use super::pattern::Pattern;
use super::template::Template;
use super::variable::{Facts, NamedValue, Variable};
use ipnet::IpNet;
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

/// Pieces that each name adds to a text that refers to it: texts are not nested without end, either.
const PIECES_OF_A_NAME: usize = 8;

/// A text of the configuration with a name.
#[derive(Debug)]
pub struct NamedText {
    text: Template,
    definition: String,
    variables: Box<[Variable]>,
}

/// A look-up.
#[derive(Debug)]
pub struct Lookup {
    /// What is looked up.
    of: Template,
    /// Whether that has a path, which is in its plain form then.
    is_of_path: bool,
    table: LookupTable,
    /// Where nothing is found.
    default: Template,
    definition: String,
    variables: Box<[Variable]>,
}

impl NamedText {
    pub fn new(text: Template, definition: String) -> Self {
        let mut variables = Vec::new();
        text.add_variables(&mut variables);
        NamedText { text, definition, variables: variables.into() }
    }
}

impl Lookup {
    pub fn new(of: Template, table: LookupTable, default: Template, definition: String) -> Self {
        let mut variables = Vec::new();
        let texts = [&of, &default].into_iter().chain(table.values());
        texts.for_each(|text| text.add_variables(&mut variables));
        variables.retain(|variable| !matches!(variable, Variable::Group(_)));
        let is_of_path = of.uses(&Variable::Path);
        Lookup { of, is_of_path, table, default, definition, variables: variables.into() }
    }
}

/// What there is to be found.
#[derive(Debug, Default)]
pub struct LookupTable {
    /// By the text in lower case.
    exact: HashMap<Box<[u8]>, Template>,
    /// `.example.org` of `*.example.org`, longest first.
    suffixes: Vec<(Box<[u8]>, Template)>,
    /// `mail.` of `mail.*`, longest first.
    prefixes: Vec<(Box<[u8]>, Template)>,
    /// By the length of their prefixes, longest first.
    networks: Vec<(u8, HashMap<IpNet, Template>)>,
    patterns: Vec<PatternEntry>,
}

/// A value by a pattern.
#[derive(Debug)]
struct PatternEntry {
    pattern: Pattern,
    value: Template,
    /// Whether the value refers to what groups have found.
    has_groups: bool,
}

/// What a text is looked up by.
#[derive(Debug)]
pub enum LookupKey {
    Exact(String),
    /// With the dot in front.
    Suffix(String),
    /// With the dot behind.
    Prefix(String),
    Network(IpNet),
    Pattern(Pattern),
}

impl LookupKey {
    /// As it is written: `~` and `~*` begin patterns, `*.` and `.*` are for names, an address or a network is one
    /// for addresses, and a backslash in front takes the rest as it is.
    ///
    /// # Errors
    /// A sentence that says what is wrong with a pattern.
    pub fn parse(text: &str, is_of_addresses: bool) -> Result<Self, String> {
        if let Some(pattern) = text.strip_prefix("~*") {
            return Pattern::new(pattern.trim_start(), true).map(LookupKey::Pattern);
        }
        if let Some(pattern) = text.strip_prefix('~') {
            return Pattern::new(pattern.trim_start(), false).map(LookupKey::Pattern);
        }
        if let Some(exact) = text.strip_prefix('\\') {
            return Ok(LookupKey::Exact(exact.to_owned()));
        }
        if let Some(network) = network(text).filter(|_| is_of_addresses) {
            return Ok(LookupKey::Network(network));
        }
        if let Some(suffix) = text.strip_prefix('*').filter(|rest| rest.len() > 1 && rest.starts_with('.')) {
            return Ok(LookupKey::Suffix(suffix.to_ascii_lowercase()));
        }
        if let Some(prefix) = text.strip_suffix('*').filter(|rest| rest.len() > 1 && rest.ends_with('.')) {
            return Ok(LookupKey::Prefix(prefix.to_ascii_lowercase()));
        }
        Ok(LookupKey::Exact(text.to_owned()))
    }

    pub fn pattern(&self) -> Option<&Pattern> {
        match self {
            LookupKey::Pattern(pattern) => Some(pattern),
            _ => None,
        }
    }
}

fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().map(|net| net.trunc()).or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

impl LookupTable {
    /// Enters a value; whether the key was not there yet.
    pub fn add(&mut self, key: LookupKey, value: Template) -> bool {
        let by_length = |list: &mut Vec<(Box<[u8]>, Template)>, text: String, value: Template| {
            let text: Box<[u8]> = text.into_bytes().into();
            let is_new = list.iter().all(|(known, _)| *known != text);
            list.push((text, value));
            list.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
            is_new
        };
        match key {
            LookupKey::Exact(text) => {
                self.exact.insert(text.to_ascii_lowercase().into_bytes().into(), value).is_none()
            }
            LookupKey::Suffix(text) => by_length(&mut self.suffixes, text, value),
            LookupKey::Prefix(text) => by_length(&mut self.prefixes, text, value),
            LookupKey::Network(network) => {
                let length = network.prefix_len();
                let known = self.networks.iter().position(|(known, _)| *known == length);
                let at = known.unwrap_or_else(|| {
                    let at = self.networks.partition_point(|(known, _)| *known > length);
                    self.networks.insert(at, (length, HashMap::new()));
                    at
                });
                self.networks.get_mut(at).is_some_and(|(_, of)| of.insert(network, value).is_none())
            }
            LookupKey::Pattern(pattern) => {
                let is_new = self.patterns.iter().all(|known| known.pattern != pattern);
                let has_groups = value.is_made_of(&|variable| matches!(variable, Variable::Group(_)));
                self.patterns.push(PatternEntry { pattern, value, has_groups });
                is_new
            }
        }
    }

    fn values(&self) -> impl Iterator<Item = &Template> {
        let texts =
            self.exact.values().chain(self.suffixes.iter().chain(&self.prefixes).map(|(_, value)| value));
        let networks = self.networks.iter().flat_map(|(_, of)| of.values());
        texts.chain(networks).chain(self.patterns.iter().map(|entry| &entry.value))
    }

    /// Appends the value for a text; whether there is one.
    /// `is_of_path` says that the text is a path in its plain form.
    fn fill(&self, (text, is_of_path): (&[u8], bool), facts: &Facts<'_>, out: &mut Vec<u8>) -> bool {
        let has_capitals = text.iter().any(u8::is_ascii_uppercase);
        let lower = if has_capitals { Cow::Owned(text.to_ascii_lowercase()) } else { Cow::Borrowed(text) };
        let suffix =
            || self.suffixes.iter().find(|(suffix, _)| lower.len() > suffix.len() && lower.ends_with(suffix));
        let prefix = || {
            self.prefixes.iter().find(|(prefix, _)| lower.len() > prefix.len() && lower.starts_with(prefix))
        };
        let exact = self.exact.get(&*lower);
        let found =
            exact.or_else(|| suffix().map(|(_, value)| value)).or_else(|| prefix().map(|(_, value)| value));
        if let Some(value) = found.or_else(|| self.network(text)) {
            value.fill(facts, out);
            return true;
        }
        let is_path = is_of_path && !facts.is_compared;
        self.patterns.iter().any(|entry| entry.fill((text, is_path), facts, out))
    }

    fn network(&self, text: &[u8]) -> Option<&Template> {
        if self.networks.is_empty() {
            return None;
        }
        let address: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
        let address = address.to_canonical();
        self.networks.iter().find_map(|(length, of)| of.get(&IpNet::new(address, *length).ok()?.trunc()))
    }
}

impl PatternEntry {
    fn fill(&self, (text, is_path): (&[u8], bool), facts: &Facts<'_>, out: &mut Vec<u8>) -> bool {
        if !self.has_groups {
            let fits = self.pattern.is_match(text);
            if fits {
                self.value.fill(facts, out);
            }
            return fits;
        }
        let Some(mut groups) = self.pattern.find(text) else { return false };
        groups.is_path = is_path;
        self.value.fill(&Facts { groups: Some(&groups), ..*facts }, out);
        true
    }
}

impl NamedValue for Lookup {
    fn fill(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        let mut text = Vec::with_capacity(64);
        self.of.fill(&Facts { is_compared: true, ..*facts }, &mut text);
        if !self.table.fill((&text, self.is_of_path), facts, out) {
            self.default.fill(facts, out);
        }
    }

    fn variables(&self) -> &[Variable] {
        &self.variables
    }

    fn pieces(&self) -> usize {
        let value = self.table.values().chain([&self.default]).map(Template::pieces).max();
        value.unwrap_or(0).saturating_add(self.of.pieces()).saturating_add(PIECES_OF_A_NAME)
    }

    fn definition(&self) -> &str {
        &self.definition
    }
}

impl NamedValue for NamedText {
    fn fill(&self, facts: &Facts<'_>, out: &mut Vec<u8>) {
        self.text.fill(facts, out);
    }

    fn variables(&self) -> &[Variable] {
        &self.variables
    }

    fn pieces(&self) -> usize {
        self.text.pieces().saturating_add(PIECES_OF_A_NAME)
    }

    fn definition(&self) -> &str {
        &self.definition
    }
}

#[cfg(test)]
mod tests {
    use super::super::template::Vocabulary;
    use super::*;

    fn template(text: &str, pattern: Option<&Pattern>) -> Template {
        Template::parse(text, &Vocabulary { pattern, ..Vocabulary::of_requests() }).expect("accepted")
    }

    fn lookup(of: &str, values: &[(&str, &str)]) -> Lookup {
        let mut table = LookupTable::default();
        for (key, value) in values {
            let key = LookupKey::parse(key, of == "$remote_addr").expect("a key");
            let value = template(value, key.pattern());
            assert!(table.add(key, value));
        }
        let default = template("none", None);
        Lookup::new(template(of, None), table, default, String::new())
    }

    fn found(lookup: &Lookup, facts: &Facts<'_>) -> String {
        let mut out = Vec::new();
        lookup.fill(facts, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn names_go_by_nginx_order() {
        let lookup = lookup(
            "$host",
            &[
                ("~^(?<app>[a-z]+)[.]dev$", "app $app of $1"),
                ("*.example.org", "any"),
                ("*.b.example.org", "narrower"),
                ("a.example.org", "A"),
                ("mail.*", "mail on $host"),
                ("\\*.x", "a star"),
            ],
        );
        for (host, expected) in [
            ("a.example.org", "A"),
            ("A.EXAMPLE.ORG", "A"),
            ("x.example.org", "any"),
            ("x.b.example.org", "narrower"),
            ("mail.example.org", "any"),
            ("mail.example.com", "mail on mail.example.com"),
            ("shop.dev", "app shop of shop"),
            ("example.org", "none"),
            ("*.x", "a star"),
            ("", "none"),
        ] {
            assert_eq!(found(&lookup, &Facts { host, ..Facts::NONE }), expected, "{host}");
        }
    }

    #[test]
    fn what_is_found_in_a_path_is_written_as_one() {
        let lookup = lookup("$path", &[("/a b", "exact"), ("~^/go(?<rest>/.*)$", "$1|$rest")]);
        let facts = Facts { path: "/%67o/a%20b%25%3F", ..Facts::NONE };
        assert_eq!(found(&lookup, &facts), "/a%20b%25%3F|/a%20b%25%3F");
        assert_eq!(found(&lookup, &Facts { is_compared: true, ..facts }), "/a b%?|/a b%?");
        assert_eq!(found(&lookup, &Facts { path: "/a%20b", ..facts }), "exact");
    }

    #[test]
    fn addresses_are_found_by_the_narrowest_network() {
        let values = [
            ("10.0.0.0/8", "ten"),
            ("10.1.2.0/24", "narrow"),
            ("10.1.2.3", "one"),
            ("2001:db8::/32", "six"),
            ("~^192", "pattern"),
        ];
        let lookup = lookup("$remote_addr", &values);
        for (client, expected) in [
            ("10.9.9.9", "ten"),
            ("10.1.2.9", "narrow"),
            ("10.1.2.3", "one"),
            ("::ffff:10.1.2.3", "one"),
            ("2001:db8::1", "six"),
            ("192.0.2.1", "pattern"),
            ("198.51.100.1", "none"),
        ] {
            let client = client.parse().expect("an address");
            assert_eq!(found(&lookup, &Facts { client, ..Facts::NONE }), expected, "{client}");
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_known_as_such() {
        let mut table = LookupTable::default();
        let mut add = |key: &str| table.add(LookupKey::parse(key, true).expect("a key"), template("", None));
        assert!(add("a") && !add("A") && add("*.a") && !add("*.A") && add("~a") && !add("~ a"));
        assert!(add("10.0.0.0/8") && !add("10.1.0.0/8"));
        assert!(LookupKey::parse("~(", false).is_err());
    }
}
