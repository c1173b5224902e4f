//! `[values]` and `[maps.*]`: texts with names, which other texts refer to as `$NAME`.

use super::reader::{Item, Section};
use crate::core::lookup::{Lookup, LookupKey, LookupTable, NamedText};
use crate::core::template::{self, Template};
use crate::core::variable::Variable;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

/// A name, and where it stands.
struct Named<'a> {
    name: String,
    item: Item<'a>,
    is_map: bool,
    /// The names that its texts may refer to.
    mentioned: BTreeSet<String>,
}

/// Reads them in the order in which they refer to each other, and makes them known to all that is read later; by their
/// place.
pub(super) fn read(root: &Section<'_>) -> BTreeMap<String, Variable> {
    let mut pending = named(root);
    let mut read = BTreeMap::new();
    while !pending.is_empty() {
        let unread: BTreeSet<String> = pending.iter().map(|named| named.name.clone()).collect();
        let (ready, rest): (Vec<_>, Vec<_>) =
            pending.into_iter().partition(|named| named.mentioned.is_disjoint(&unread));
        if ready.is_empty() {
            for named in &rest {
                let why = format!("${} refers to itself, by way of others or at once", named.name);
                named.item.fault(&format!("{why}; break the circle"));
            }
            return read;
        }
        for Named { name, item, is_map, .. } in ready {
            let variable = if is_map { lookup(&item) } else { text(&item) };
            // One with a fault is known all the same: what refers to it is not at fault.
            let variable = variable.unwrap_or(Variable::Pool);
            read.insert(format!("{}.{name}", if is_map { "maps" } else { "values" }), variable.clone());
            root.know(name, variable);
        }
        pending = rest;
    }
    read
}

fn named<'a>(root: &Section<'a>) -> Vec<Named<'a>> {
    let of = |key, is_map| {
        let entries = root.section(key).entries().into_iter();
        entries.map(move |(name, item)| (name, item, is_map))
    };
    let mut all: Vec<Named<'a>> = Vec::new();
    for (name, item, is_map) in of("values", false).chain(of("maps", true)) {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(legal) {
            item.fault(
                "a name that texts refer to begins with a letter, and has others, digits and _: \"app_1\"",
            );
        } else if Variable::built_in(&name).is_some() {
            item.fault(&format!("${name} is known already, and says something else; give it another name"));
        } else if all.iter().any(|other| other.name == name) {
            item.fault(&format!("[values] and [maps] both say what ${name} is; give one another name"));
        } else {
            let mentioned = mentions(&item, is_map);
            all.push(Named { name, item, is_map, mentioned });
        }
    }
    all
}

/// The names in the texts of a value or a map.
fn mentions(item: &Item<'_>, is_map: bool) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut look = |item: &Item<'_>| {
        found.extend(item.raw().map(template::mentions).unwrap_or_default());
    };
    match item.table().filter(|_| is_map) {
        Some(section) => {
            section.item("of").iter().chain(&section.item("default")).for_each(&mut look);
            section.section("values").entries().iter().for_each(|(_, item)| look(item));
        }
        None => look(item),
    }
    found
}

fn text(item: &Item<'_>) -> Option<Variable> {
    let text = item.template(true, None)?;
    let definition = item.raw().unwrap_or_default().to_owned();
    Some(Variable::Named(Arc::new(NamedText { text, definition })))
}

fn lookup(item: &Item<'_>) -> Option<Variable> {
    let section = item.section()?;
    let of = section.need("of", "what is looked up? for example \"$host\"", |item| item.template(true, None));
    let mut definition = section.item("of").and_then(|item| item.raw()).unwrap_or_default().to_owned();
    let is_of_addresses = of.as_ref().is_some_and(|of| of.uses(&Variable::RemoteAddr));
    let mut table = LookupTable::default();
    for (text, item) in section.section("values").entries() {
        let key = LookupKey::parse(&text, is_of_addresses).map_err(|why| item.fault(&why)).ok();
        let Some(key) = key else { continue };
        // Writing to a String cannot fail.
        let _ = write!(definition, "\n{text}\n{}", item.raw().unwrap_or_default());
        let value = item.template(true, key.pattern());
        if let Some(value) = value
            && !table.add(key, value)
        {
            item.fault("stands twice: keys are compared without regard to case, networks by what they hold");
        }
    }
    let default = section.item("default").map(|item| {
        if let Some(text) = item.raw().filter(|text| !text.is_empty()) {
            let _ = write!(definition, "\ndefault\n{text}");
        }
        item.template(true, None)
    });
    let default = default.unwrap_or_else(|| Some(Template::empty()));
    section.finish();
    Some(Variable::Named(Arc::new(Lookup { of: of?, table, default: default?, definition })))
}
