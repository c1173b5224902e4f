//! `map` and `geo` → `[maps]`, for those that a text asks for.

use super::Import;
use super::bindings::BoundText;
use super::ledger::Level;
use super::patterns::translated;
use super::rewrites::is_group;
use super::site::LookupBlock;
use super::tree::Directive;
use super::values::{Piece, pieces};
use crate::core::lookup::NamedText;
use crate::core::pattern::Pattern;
use crate::core::template::{Template, Vocabulary, mentions};
use crate::core::variable::Variable;
use ipnet::IpNet;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The look-ups that have been made so far.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    made: RefCell<Vec<(LookupBlock, BoundText)>>,
    /// By the number of the block in nginx's; `None` while it is read, and where it cannot be expressed.
    read: RefCell<BTreeMap<usize, Option<BoundText>>>,
}

impl Lookups {
    /// The variable of a look-up; of one that is there already, where it says the same.
    pub(super) fn add(&self, block: LookupBlock, domain: Option<Vec<String>>) -> BoundText {
        let mut made = self.made.borrow_mut();
        let says_the_same = |(known, _): &&(LookupBlock, BoundText)| {
            (&known.of, &known.values, &known.default) == (&block.of, &block.values, &block.default)
        };
        if let Some((_, known)) = made.iter().find(says_the_same) {
            return known.clone();
        }
        let name = free_name(&block.name, &|name| made.iter().any(|(known, _)| known.name == name));
        let bound = BoundText::variable(&name);
        let bound = match domain {
            Some(texts) => bound.among(texts),
            None => bound,
        };
        made.push((LookupBlock { name, ..block }, bound.clone()));
        bound
    }

    /// What a text may refer to beside what is built in. Whether that is known with an answer alone is kept.
    pub(super) fn names(&self) -> BTreeMap<String, Variable> {
        let made = self.made.borrow();
        let mut names = BTreeMap::new();
        for (block, _) in made.iter() {
            let is_late = |text: &str| {
                mentions(text).iter().any(|name| {
                    let known: Option<&Variable> = names.get(name);
                    known
                        .cloned()
                        .or_else(|| Variable::built_in(name))
                        .is_some_and(|v| v.is_made_of(&Variable::is_of_answer))
                })
            };
            let texts = block.values.iter().map(|(_, text)| text).chain([&block.of, &block.default]);
            let of_answers = texts.into_iter().any(|text| is_late(text));
            names.insert(block.name.clone(), stand_in(of_answers));
        }
        names
    }

    /// Whether one of the look-ups that a text refers to, or that they refer to, is about this.
    pub(super) fn any_in(&self, text: &str, is: &dyn Fn(&str) -> bool) -> bool {
        let made = self.made.borrow();
        let mut pending = mentions(text);
        let mut seen = Vec::new();
        while let Some(name) = pending.pop() {
            let Some((block, _)) = made.iter().find(|(block, _)| block.name == name) else { continue };
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            let texts = block.values.iter().map(|(_, text)| text).chain([&block.of, &block.default]);
            for text in texts {
                if is(text) {
                    return true;
                }
                pending.extend(mentions(text));
            }
        }
        false
    }

    pub(super) fn into_blocks(self) -> Vec<LookupBlock> {
        self.made.into_inner().into_iter().map(|(block, _)| block).collect()
    }
}

/// A look-up as far as texts that refer to it are concerned.
fn stand_in(is_of_answers: bool) -> Variable {
    let text = if is_of_answers { "$status" } else { "$request_id" };
    let vocabulary = Vocabulary { has_answer: true, ..Vocabulary::of_requests() };
    let text = Template::parse(text, &vocabulary).unwrap_or_else(|_| Template::empty());
    Variable::Named(Arc::new(NamedText::new(text, String::new())))
}

/// A name that a text may refer to, as near as can be.
fn free_name(wanted: &str, is_taken: &dyn Fn(&str) -> bool) -> String {
    let legal = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '_' };
    let mapped: String = wanted.to_ascii_lowercase().chars().map(legal).take(56).collect();
    let begins = mapped.starts_with(|c: char| c.is_ascii_lowercase());
    let base = if begins { mapped } else { format!("map_{}", mapped.trim_start_matches('_')) };
    let base = if Variable::built_in(&base).is_some() { format!("map_{base}") } else { base };
    let is_free = |name: &String| !is_taken(name);
    let numbered = (2..).map(|n| format!("{base}_{n}"));
    std::iter::once(base.clone()).chain(numbered).find(is_free).unwrap_or(base)
}

impl<'a> Import<'a> {
    /// Says of look-ups that no text has asked for that they are left out.
    pub(super) fn unasked_lookups(&self) {
        let read = self.lookups.read.borrow();
        let unread = self.choices.iter().filter(|block| matches!(block.name.as_str(), "map" | "geo"));
        for block in unread.filter(|block| !read.contains_key(&block.id) && block.arg(0) != "$http_upgrade") {
            self.ledger.whole(block, Level::Noted, "left out: nothing that was carried over asks for it");
        }
    }

    /// The look-up that gives a variable its value; `None` where there is none of that name.
    pub(super) fn looked_up(&self, name: &str) -> Option<Option<BoundText>> {
        let gives = |block: &&&'a Directive| {
            let variable = block.args.last().and_then(|last| last.strip_prefix('$'));
            variable.is_some_and(|variable| variable.eq_ignore_ascii_case(name))
        };
        let mut blocks = self.choices.iter().filter(gives);
        let block = *blocks.next()?;
        if blocks.next().is_some() || block.name == "split_clients" {
            return Some(None);
        }
        if let Some(known) = self.lookups.read.borrow().get(&block.id) {
            return Some(known.clone());
        }
        self.lookups.read.borrow_mut().insert(block.id, None);
        let made = match self.lookup(block, name) {
            Ok((made, domain)) => {
                self.ledger.whole(block, Level::Carried, "");
                Some(self.lookups.add(made, domain))
            }
            Err(why) => {
                self.ledger.whole(block, Level::Missing, &why);
                None
            }
        };
        self.lookups.read.borrow_mut().insert(block.id, made.clone());
        Some(made)
    }

    fn lookup(&self, block: &'a Directive, name: &str) -> Result<(LookupBlock, Option<Vec<String>>), String> {
        let is_geo = block.name == "geo";
        let of = match block.args.as_slice() {
            [_] if is_geo => "$remote_addr",
            [of, _] => of,
            _ => return Err("a look-up says of what, and its name".to_owned()),
        };
        let of = self.text(of).map_err(|name| format!("it is of {name}, which is not known here"))?;
        let of = of.shown();
        let is_of_addresses = of == "$remote_addr";
        if is_geo && !is_of_addresses {
            return Err("networks are those of $remote_addr".to_owned());
        }
        let has_names = block.block().iter().any(|line| line.name == "hostnames" && line.args.is_empty());
        let mut made = LookupBlock {
            from: block.place.clone(),
            name: name.to_owned(),
            of,
            values: Vec::new(),
            default: String::new(),
        };
        let mut domain = Some(Vec::new());
        let mut default = BoundText::fixed("");
        for line in block.block() {
            match (line.name.as_str(), line.args.len()) {
                ("hostnames" | "volatile", 0) => {}
                ("include", 1) if self.unread.contains(&line.id) => {
                    return Err(format!("{} could not be read", line.arg(0)));
                }
                ("include", 1) => {}
                ("ranges", 0) | ("delete" | "proxy", 1) if is_geo => {
                    return Err(format!("{} is not known; write the networks", line.name));
                }
                ("proxy_recursive", 0) if is_geo => {}
                ("default", 1) => default = self.value_of(line, None)?,
                (key, 1) => {
                    for key in keys(key, has_names, is_geo, is_of_addresses)? {
                        let value = self.value_of(line, key.strip_prefix('~'))?;
                        extend(&mut domain, &value);
                        // Of a network that stands twice the last line counts, of a text nginx takes no second.
                        made.values.retain(|(known, _)| !is_same(known, &key));
                        made.values.push((key, value.shown()));
                    }
                }
                _ => return Err(format!("line {} is no key and value", line.place.line)),
            }
        }
        extend(&mut domain, &default);
        made.default = default.shown();
        Ok((made, domain))
    }

    /// The value in a line; the groups of its own pattern are known.
    fn value_of(&self, line: &'a Directive, pattern: Option<&str>) -> Result<BoundText, String> {
        let pattern = pattern.map(|pattern| pattern.strip_prefix('*').unwrap_or(pattern));
        let pattern = pattern.and_then(|pattern| Pattern::new(pattern, false).ok());
        let is_group = |name: &str| pattern.as_ref().is_some_and(|pattern| is_group(pattern, name));
        let groups: Vec<&str> = pieces(line.arg(0))
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Variable(name) if is_group(name) => Some(name),
                _ => None,
            })
            .collect();
        let unknown = |name: String| format!("line {}: {name} is not known here", line.place.line);
        if groups.is_empty() {
            let value = self.text(line.arg(0)).map_err(unknown)?;
            return match Template::parse(
                &value.shown(),
                &Vocabulary { names: Some(&self.lookups.names()), has_answer: true, pattern: None },
            ) {
                Ok(_) => Ok(value),
                Err(why) => Err(why),
            };
        }
        self.text_beside(line.arg(0), &is_group).map_err(unknown)
    }

    /// A text some of whose variables are groups of a pattern that is at hand.
    pub(super) fn text_beside(
        &self,
        text: &str,
        is_group: &dyn Fn(&str) -> bool,
    ) -> Result<BoundText, String> {
        let mut out = BoundText::fixed("");
        for piece in pieces(text) {
            match piece {
                Piece::Variable(name) if is_group(name) => out.join(&BoundText::variable(name)),
                Piece::Variable(name) => out.join(&self.text(&format!("${{{name}}}"))?),
                Piece::Text(text) => out.join(&BoundText::fixed(text)),
            }
        }
        Ok(out)
    }
}

fn extend(domain: &mut Option<Vec<String>>, value: &BoundText) {
    match (domain.as_mut(), value.domain()) {
        (Some(texts), Some(more)) => texts.extend_from_slice(more),
        _ => *domain = None,
    }
}

fn is_same(one: &str, other: &str) -> bool {
    let network = |text: &str| {
        let net = text.parse::<IpNet>().ok().map(|net| net.trunc());
        net.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    };
    let is_pattern = one.starts_with('~');
    one == other
        || !is_pattern && one.eq_ignore_ascii_case(other)
        || network(one).is_some() && network(one) == network(other)
}

/// A key as `values` of a map has it.
fn keys(key: &str, has_names: bool, is_geo: bool, is_of_addresses: bool) -> Result<Vec<String>, String> {
    if let Some(pattern) = key.strip_prefix('~') {
        let (any_case, pattern) = match pattern.strip_prefix('*') {
            Some(pattern) => ("*", pattern),
            None => ("", pattern),
        };
        let found = translated(pattern);
        return match found.is_exact {
            true => Ok(vec![format!("~{any_case}{}", found.pattern)]),
            false => Err(format!("the pattern {pattern} has what only PCRE knows")),
        };
    }
    let exact = |text: &str| {
        let means_more = text.starts_with(['~', '\\', '*']) || text.ends_with('*');
        if means_more { format!("\\{text}") } else { text.to_owned() }
    };
    if let Some(text) = key.strip_prefix('\\') {
        return Ok(vec![exact(text)]);
    }
    if is_geo {
        let is_network = key.parse::<IpNet>().is_ok() || key.parse::<IpAddr>().is_ok();
        return match is_network {
            true => Ok(vec![key.to_owned()]),
            false => Err(format!("{key} is no network")),
        };
    }
    if is_of_addresses && key.contains('/') {
        // A text that no address is.
        return Ok(vec![format!("\\{key}")]);
    }
    match key.strip_prefix('.') {
        Some(name) if has_names => Ok(vec![name.to_owned(), format!("*.{name}")]),
        _ if has_names => Ok(vec![key.to_owned()]),
        _ => Ok(vec![exact(key)]),
    }
}
