//! Every key of the configuration, described: what it says, what it is when it is left out, and examples.
//!
//! Kinds and ranges of values stand nowhere here, since the getters of the reader say them. The schema
//! (`docs/pointsman.schema.json`) and the reference (`docs/config.md`) are made of both by `config::tests`, which also
//! holds that each key here is read, each key that is read stands here, and defaults and examples are what they say.

mod fleet;
mod listeners;
mod notify;
mod policies;
mod pools;
mod process;
mod rollout;
mod routes;
mod services;
mod site;

/// A page of the reference.
#[derive(Debug)]
pub(super) struct KeyPage {
    /// The name of its file, without the ending.
    #[cfg_attr(not(test), expect(dead_code, reason = "the reference is made by a test"))]
    pub file: &'static str,
    pub tables: &'static [KeyTable],
}

/// A table of the configuration.
#[derive(Debug)]
pub(super) struct KeyTable {
    /// The normal paths of the places where it may stand; the empty path is the file itself.
    pub places: &'static [&'static str],
    #[cfg_attr(not(test), expect(dead_code, reason = "the reference is made by a test"))]
    pub about: &'static str,
    pub keys: &'static [ConfigKey],
}

/// A key of a table. Texts for people are Markdown.
#[derive(Debug)]
pub(super) struct ConfigKey {
    /// `*` stands for all names that users choose.
    pub name: &'static str,
    /// Values as they are typed, in TOML; the first one is shown in faults.
    pub examples: &'static [&'static str],
    #[cfg_attr(not(test), expect(dead_code, reason = "the reference is made by a test"))]
    pub about: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "the reference is made by a test"))]
    pub left_out: LeftOut,
}

/// What holds where a key is left out.
#[derive(Debug)]
pub(super) enum LeftOut {
    /// As with this value, in TOML.
    #[cfg_attr(not(test), expect(dead_code, reason = "the reference is made by a test"))]
    Default(&'static str),
    /// What cannot be written as one value.
    #[cfg_attr(not(test), expect(dead_code, reason = "the reference is made by a test"))]
    Otherwise(&'static str),
    /// There is nothing of the kind, or the key must be there.
    Nothing,
}

const fn key(name: &'static str, examples: &'static [&'static str], about: &'static str) -> ConfigKey {
    ConfigKey { name, examples, about, left_out: LeftOut::Nothing }
}

impl ConfigKey {
    const fn or(self, default: &'static str) -> ConfigKey {
        ConfigKey { left_out: LeftOut::Default(default), ..self }
    }

    const fn otherwise(self, words: &'static str) -> ConfigKey {
        ConfigKey { left_out: LeftOut::Otherwise(words), ..self }
    }
}

/// In the order of the reference.
pub(super) const PAGES: [KeyPage; 10] = [
    process::PAGE,
    listeners::PAGE,
    site::PAGE,
    routes::PAGE,
    services::PAGE,
    pools::PAGE,
    rollout::PAGE,
    policies::PAGE,
    notify::PAGE,
    fleet::PAGE,
];

/// How a key is written, by its normal path or that of a value in it: `hold = "10m"`.
pub(super) fn example(path: &str) -> Option<String> {
    let mut path = path;
    loop {
        if let Some(key) = find(path) {
            let first = key.examples.first()?;
            let name = if key.name == "*" { "NAME" } else { key.name };
            return Some(format!("{name} = {first}"));
        }
        // The elements of a list, or what names lead to, are shown by the whole.
        path = path.strip_suffix("[]").or_else(|| path.strip_suffix(".*"))?;
    }
}

/// A key by its normal path.
pub(super) fn find(path: &str) -> Option<&'static ConfigKey> {
    let (place, name) = path.rsplit_once('.').unwrap_or(("", path));
    let tables = PAGES.iter().flat_map(|page| page.tables);
    let here = tables.filter(|table| table.places.contains(&place));
    here.flat_map(|table| table.keys).find(|key| key.name == name)
}
