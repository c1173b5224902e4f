//! `[values]` and `[maps.*]`: texts with names, which other texts refer to as `$NAME`.

use super::reader::{Item, Section};
use crate::core::lookup::{Lookup, LookupKey, LookupTable, NamedText};
use crate::core::template::{self, Template};
use crate::core::variable::{NamedValue, Variable};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

/// Pieces that a text may be put together of, with those of the values and look-ups that it refers to.
const MOST_PIECES: usize = 1000;

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
    let named = |item: &Item<'_>| item.raw().map(template::mentions).unwrap_or_default();
    let Some(section) = item.table().filter(|_| is_map) else { return named(item).into_iter().collect() };
    let texts = section.item("of").into_iter().chain(section.item("default"));
    let mut found: BTreeSet<String> = texts.flat_map(|item| named(&item)).collect();
    for (key, item) in section.section("values").entries() {
        let mut names = named(&item);
        // A group of the pattern goes before what has the same name elsewhere.
        if let Some(pattern) = (!names.is_empty()).then(|| LookupKey::parse(&key, false).ok()).flatten() {
            names.retain(|name| !pattern.pattern().is_some_and(|pattern| pattern.has_group(name)));
        }
        found.extend(names);
    }
    found
}

fn text(item: &Item<'_>) -> Option<Variable> {
    let text = item.template(true, None)?;
    let definition = item.raw().unwrap_or_default().to_owned();
    bounded(item, NamedText::new(text, definition))
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
    bounded(item, Lookup::new(of?, table, default?, definition))
}

/// What refers to others that refer to others grows with each of them.
fn bounded(item: &Item<'_>, named: impl NamedValue + 'static) -> Option<Variable> {
    let pieces = named.pieces();
    if pieces > MOST_PIECES {
        item.fault(&format!(
            "is put together of {pieces} pieces, with what it refers to; at most {MOST_PIECES} are taken"
        ));
        return None;
    }
    Some(Variable::Named(Arc::new(named)))
}

#[cfg(test)]
mod tests {
    use crate::config::parse;
    use crate::core::settings::Config;
    use crate::core::variable::{Facts, Variable};
    use proptest::prelude::*;
    use std::path::Path;

    fn read(text: &str) -> Result<Config, String> {
        let text = format!("[[listeners]]\naddress = \":80\"\n[[routes]]\ndeny = true\n{text}");
        parse(&text, "test.toml", &|_| None, Path::new("/nonexistent")).map_err(|faults| faults.to_string())
    }

    fn value(config: &Config, place: &str) -> String {
        let mut out = Vec::new();
        if let Some(Variable::Named(named)) = config.values.get(place) {
            named.fill(&Facts { host: "a", ..Facts::NONE }, &mut out);
        }
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_dollar_sign_and_a_group_refer_to_nothing() {
        let text = "[values]\nprice = \"5 $$price\"\n[maps.app]\nof = \"$host\"\nvalues = { '~^(?<app>.)$' = \"is $app\" }\n";
        let config = read(text).expect("accepted");
        assert_eq!(
            (value(&config, "values.price"), value(&config, "maps.app")),
            ("5 $price".into(), "is a".into())
        );
        let circle = "[maps.app]\nof = \"$host\"\nvalues = { '~^(?<b>.)$' = \"$app\" }\n";
        assert!(read(circle).expect_err("refused").contains("maps.app: $app refers to itself"));
    }

    #[test]
    fn texts_that_grow_by_each_other_are_refused() {
        let doubled = (1..30).map(|n| format!("v{n} = \"$v{0}$v{0}\"\n", n - 1)).collect::<String>();
        let nested = (1..500).map(|n| format!("v{n} = \"$v{}\"\n", n - 1)).collect::<String>();
        for texts in [doubled, nested] {
            let error = read(&format!("[values]\nv0 = \"x\"\n{texts}")).expect_err("refused");
            assert!(error.contains("pieces, with what it refers to; at most 1000 are taken"), "{error}");
        }
    }

    proptest! {
        /// Names that refer to each other at random: accepted where nothing goes round, and then each says what
        /// the texts say one by one; else each name on a circle, or behind one, is named.
        #[test]
        fn circles_are_found_and_nothing_else(
            edges in prop::collection::vec(prop::collection::btree_set(0..7_usize, 0..3), 7),
            are_maps in prop::collection::vec(any::<bool>(), 7),
        ) {
            let place = |n: usize| format!("{}.v{n}", if are_maps[n] { "maps" } else { "values" });
            let text = |n: usize| edges[n].iter().map(|to| format!("($v{to})")).collect::<String>();
            let entry = |n: usize| match are_maps[n] {
                true => format!("maps.v{n} = {{ of = \"$host\", values = {{ a = \"{n}{}\" }} }}\n", text(n)),
                false => format!("values.v{n} = \"{n}{}\"\n", text(n)),
            };
            let all = (0..7).map(entry).collect::<String>();
            let text = format!("{all}[[listeners]]\naddress = \":80\"\n[[routes]]\ndeny = true\n");
            let read = parse(&text, "test.toml", &|_| None, Path::new("/nonexistent"));
            // As many rounds as there are names settle all that can be settled.
            let mut said = vec![None::<String>; 7];
            for _ in 0..7 {
                for n in 0..7 {
                    let parts: Option<Vec<_>> = edges[n].iter().map(|to| said[*to].clone()).collect();
                    said[n] = parts.map(|parts| parts.iter().fold(n.to_string(), |all, part| format!("{all}({part})")));
                }
            }
            match read {
                Ok(config) => (0..7).for_each(|n| assert_eq!(Some(value(&config, &place(n))), said[n])),
                Err(faults) => {
                    let faults = faults.to_string();
                    for (n, said) in said.iter().enumerate() {
                        assert_eq!(faults.contains(&format!("{}: $v{n} refers to itself", place(n))), said.is_none());
                    }
                }
            }
        }
    }
}
