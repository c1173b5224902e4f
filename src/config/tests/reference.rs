//! The reference of the configuration, made of what the reader takes and of the descriptions.

use super::samples::{document, learned, resolved};
use super::*;
use crate::config::keys::{self, ConfigKey, KeyPage, KeyTable, LeftOut, PAGES};
use crate::config::reader::learned::ValueKind;
use crate::core::duration;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Bound;

/// Holds a file against what it should be, or writes it where `POINTSMAN_REFERENCE=write` says so.
pub(in crate::config) fn is_current(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if is_written() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(&path, text).expect("written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let line = there.lines().zip(text.lines()).position(|(there, text)| there != text);
    assert!(there == text, "{file} is not what the reader says (line {line:?}): run `make reference`");
}

pub(super) fn is_written() -> bool {
    std::env::var("POINTSMAN_REFERENCE").is_ok_and(|what| what == "write")
}

const INDEX: &str = "docs/config.md";

#[test]
fn the_reference_is_current() {
    let mut index = String::from(START);
    for page in &PAGES {
        let text = page_text(page);
        assert!(text.lines().count() <= 400, "{}: {} lines; divide it", page.file, text.lines().count());
        is_current(&format!("docs/config/{}.md", page.file), &text);
        let links = page.tables.iter().map(|table| {
            let title = title(page, table);
            format!("[{}](config/{}.md#{})", title, page.file, anchor(&title))
        });
        let title = page_title(page);
        let links = links.collect::<Vec<_>>().join(", ");
        writeln!(index, "- [{title}](config/{}.md): {links}", page.file).expect("written");
    }
    is_current(INDEX, &index);
}

const START: &str = "# The configuration

Every key, made of what reads it. [`conf/pointsman.toml`](../conf/pointsman.toml) shows most of them at work,
[`conf/minimal.toml`](../conf/minimal.toml) the least that serves. `pointsman check` says everything that is wrong with a file,
`pointsman schema` prints a JSON Schema for editors: with `#:schema pointsman.schema.json` as the first line of a file they
complete keys and mark faults.

- A key that is not known is a fault, and so is a value of another kind.
- Durations are texts: `\"250ms\"`, `\"10s\"`, `\"5m\"`, `\"1h\"`, `\"7d\"`. Sizes are bytes in powers of 1024: `\"512\"`, `\"32k\"`, `\"100M\"`,
  `\"1G\"`. Shares are percentages: `\"0.5%\"`.
- `${NAME}` in a text is the variable of the environment; `$$` is a dollar sign. Values of variables stand in no message.
- Relative names of files start from the folder of the configuration.
- *Default* says what holds where a key is left out. *at a reload*: `pointsman reload` or SIGHUP is enough; *at an upgrade*: so is
  `pointsman upgrade`, or a restart.

";

fn page_text(page: &KeyPage) -> String {
    let mut text =
        format!("[The configuration](../config.md) · made by `make reference`\n\n# {}\n", page_title(page));
    for table in page.tables {
        write!(text, "\n## {}\n\n{}\n", title(page, table), table.about).expect("written");
        if let [_, others @ ..] = table.places
            && !others.is_empty()
        {
            let others: Vec<_> = others.iter().map(|place| format!("`{}`", header(place))).collect();
            writeln!(text, "The same keys stand in {}.", others.join(", ")).expect("written");
        }
        let place = table.places.first().expect("a place");
        let effects: Vec<String> = table.places.iter().map(|place| takes_effect(table, place)).collect();
        writeln!(text, "\n{}", effects[0]).expect("written");
        for (place, effect) in table.places.iter().zip(&effects).filter(|(_, effect)| **effect != effects[0])
        {
            writeln!(text, "In `{}`: {effect}", header(place)).expect("written");
        }
        text.push('\n');
        text.push_str("| key | value | default | example | meaning |\n|---|---|---|---|---|\n");
        for key in table.keys {
            let path = if place.is_empty() { key.name.to_owned() } else { format!("{place}.{}", key.name) };
            let row = [
                format!("`{}`", shown_name(key)),
                value(&path),
                default(&path, key),
                examples(key),
                key.about.to_owned(),
            ];
            let cells = row.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
            writeln!(text, "| {} |", cells.join(" | ")).expect("written");
        }
    }
    text
}

fn page_title(page: &KeyPage) -> String {
    let titles = [
        ("process", "The process"),
        ("listeners", "Listeners"),
        ("site", "The whole site"),
        ("routes", "Routes"),
        ("services", "Services"),
        ("pools", "Pools"),
        ("rollout", "Rollouts"),
        ("policies", "Policies"),
        ("notify", "News"),
        ("fleet", "The fleet"),
    ];
    titles.iter().find(|(file, _)| *file == page.file).map(|(_, title)| (*title).to_owned()).expect("a title")
}

fn shown_name(key: &ConfigKey) -> &str {
    if key.name == "*" { "NAME" } else { key.name }
}

/// As the table begins in a file: `[[listeners]]`, `[services.NAME.pools.NAME]`.
fn header(place: &str) -> String {
    let (bare, list) = place.strip_suffix("[]").map_or((place, false), |bare| (bare, true));
    let name = bare.replace("[]", "").replace('*', "NAME");
    if list { format!("[[{name}]]") } else { format!("[{name}]") }
}

fn title(page: &KeyPage, table: &KeyTable) -> String {
    let place = table.places.first().expect("a place");
    let is_shared = page.tables.iter().any(|other| other.places.len() > 1 && other.places.contains(place));
    match *place {
        "" => "The file".to_owned(),
        place if is_shared && table.places.len() == 1 => format!("`{}` alone", header(place)),
        place => format!("`{}`", header(place)),
    }
}

/// What a heading is called in an address.
fn anchor(title: &str) -> String {
    let kept = title.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}

fn examples(key: &ConfigKey) -> String {
    let shown: Vec<_> =
        key.examples.iter().map(|example| format!("`{}`", example.replace('`', ""))).collect();
    shown.join(" ")
}

fn default(path: &str, key: &ConfigKey) -> String {
    match key.left_out {
        LeftOut::Default(default) => format!("`{default}`"),
        LeftOut::Otherwise(words) => words.to_owned(),
        LeftOut::Nothing if learned().is_needed(path) => "must be there".to_owned(),
        LeftOut::Nothing => "–".to_owned(),
    }
}

fn value(path: &str) -> String {
    let kinds = learned().kinds.get(path).map_or(&[][..], Vec::as_slice);
    let words: Vec<_> = kinds.iter().map(|kind| kind_words(path, kind)).collect();
    let words: Vec<_> = words
        .iter()
        .enumerate()
        .filter(|(at, word)| !words[..*at].contains(word))
        .map(|(_, word)| word.clone())
        .collect();
    words.join("; or ")
}

fn kind_words(path: &str, kind: &ValueKind) -> String {
    let name = match kind {
        ValueKind::Bool => "true or false",
        ValueKind::Integer { .. } => "whole number",
        ValueKind::Number { .. } => "number",
        ValueKind::Text => "text",
        ValueKind::File => "file",
        ValueKind::Variable => "name of a variable",
        ValueKind::Duration { .. } => "duration",
        ValueKind::Size { .. } => "size",
        ValueKind::Share { .. } => "share",
        ValueKind::Choice(words) => {
            return words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        }
        ValueKind::Array => return format!("list of: {}", value(&format!("{path}[]"))),
        ValueKind::Table => "table",
    };
    range(kind).map_or_else(|| name.to_owned(), |range| format!("{name}, {range}"))
}

/// Its range in words, where it has one.
pub(super) fn range(kind: &ValueKind) -> Option<String> {
    let percent = |share: f64| format!("{}%", share * 100.0);
    match kind {
        ValueKind::Integer { least, most } => Some(format!("{least} to {most}")),
        ValueKind::Number { least, most } => bounds(*least, *most, |number| number.to_string()),
        ValueKind::Share { least, most } => bounds(*least, *most, percent),
        ValueKind::Duration { least, most: Some(most) } => {
            Some(format!("{} to {}", duration::show(*least), duration::show(*most)))
        }
        ValueKind::Size { least, most: Some(most) } => Some(format!("{} to {}", size(*least), size(*most))),
        ValueKind::Size { least, most: None } if *least > 0 => Some(format!("at least {}", size(*least))),
        _ => None,
    }
}

fn bounds(least: Bound<f64>, most: Bound<f64>, show: impl Fn(f64) -> String) -> Option<String> {
    let least = match least {
        Bound::Included(least) => show(least),
        Bound::Excluded(least) => format!("above {}", show(least)),
        Bound::Unbounded => return None,
    };
    match most {
        Bound::Included(most) | Bound::Excluded(most) => Some(format!("{least} to {}", show(most))),
        Bound::Unbounded => Some(least),
    }
}

fn size(bytes: u64) -> String {
    let units = [(1 << 30, "G"), (1 << 20, "M"), (1 << 10, "k")];
    let unit = units.iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(unit, name)| format!("{}{name}", bytes / unit))
}

/// When a change of a key takes effect, by what a reload says of it; `None` where its example changes nothing.
fn is_at_once(path: &str, key: &ConfigKey) -> Option<bool> {
    let first = resolved(&document(path, key.examples.first().copied()));
    let befores = [resolved(&document(path, None)), first];
    befores.into_iter().flatten().find_map(|before| changes(&before, path, key))
}

/// Whether what an example of the key changes takes effect at once.
fn changes(before: &Config, path: &str, key: &ConfigKey) -> Option<bool> {
    key.examples.iter().find_map(|example| {
        let (at_once, at_start) = diff(before, &resolved(&document(path, Some(example))).ok()?);
        (!at_once.is_empty() || !at_start.is_empty()).then_some(at_start.is_empty())
    })
}

fn takes_effect(table: &KeyTable, place: &str) -> String {
    if place.is_empty() {
        return "When a change takes effect is said of each table.".to_owned();
    }
    let inner = |key: &ConfigKey| format!("{place}.{}", key.name);
    let known: Vec<_> = table.keys.iter().map(|key| (key.name, is_at_once(&inner(key), key))).collect();
    let later: BTreeSet<&str> =
        known.iter().filter(|(_, at_once)| *at_once == Some(false)).map(|(name, _)| *name).collect();
    let at_once: BTreeSet<&str> =
        known.iter().filter(|(_, at_once)| *at_once == Some(true)).map(|(name, _)| *name).collect();
    let list =
        |names: &BTreeSet<&str>| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match (at_once.is_empty(), later.is_empty()) {
        (false, true) => "A change takes effect at a reload.".to_owned(),
        (true, false) => "A change takes effect at an upgrade.".to_owned(),
        (true, true) => of_the_table(place),
        (false, false) if at_once.len() < later.len() => {
            format!("A change takes effect at an upgrade; of {} at a reload.", list(&at_once))
        }
        (false, false) => format!("A change takes effect at a reload; of {} at an upgrade.", list(&later)),
    }
}

/// Where no example changes anything by itself: as the table that it is in does.
fn of_the_table(place: &str) -> String {
    let mut place = place;
    loop {
        place = place.trim_end_matches("[]");
        let key = keys::find(place).unwrap_or_else(|| panic!("{place} is in no table"));
        // A table that there always is differs from that of another site.
        let other = || changes(&resolved(&document("server", None)).ok()?, place, key);
        match is_at_once(place, key).or_else(other) {
            Some(true) => return "A change takes effect at a reload.".to_owned(),
            Some(false) => return "A change takes effect at an upgrade.".to_owned(),
            None => place = place.rsplit_once('.').map_or("", |(outer, _)| outer),
        }
    }
}
