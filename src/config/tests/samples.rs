//! Whole configurations that hold one key each, made of the descriptions of the keys: reading them shows what there is.

mod company;

use super::*;
use crate::config::keys::{ConfigKey, KeyTable, PAGES};
use crate::config::reader::learned::Learned;
use company::COMPANY;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use toml::de::DeTable;

/// A document. Leaves are values in TOML.
#[derive(Clone)]
enum Tree {
    Leaf(String),
    Table(BTreeMap<String, Tree>),
    List(Vec<Tree>),
}

impl Tree {
    /// Sets the value at a path, or takes what is there out.
    fn set(&mut self, path: &str, value: Option<&str>) {
        if let Some(value) = value {
            *self.reach(path) = Tree::Leaf(value.to_owned());
            return;
        }
        let (table, name) = path.rsplit_once('.').unwrap_or(("", path));
        if let Tree::Table(table) = self.reach(table) {
            table.remove(name);
        }
    }

    /// What stands at a path. `[]` is the first element of a list.
    fn reach(&mut self, path: &str) -> &mut Tree {
        let mut here = self;
        for part in path.split('.').filter(|part| !part.is_empty()) {
            let (name, index) =
                part.split_once('[').map_or((part, None), |(name, index)| (name, Some(index)));
            here = here.entry(name);
            let Some(index) = index else { continue };
            if !matches!(here, Tree::List(_)) {
                *here = Tree::List(Vec::new());
            }
            let Tree::List(list) = here else { panic!("a list") };
            let index: usize = index.trim_end_matches(']').parse().unwrap_or(0);
            list.resize(list.len().max(index + 1), Tree::Table(BTreeMap::new()));
            here = &mut list[index];
        }
        here
    }

    fn entry(&mut self, name: &str) -> &mut Tree {
        if !matches!(self, Tree::Table(_)) {
            *self = Tree::Table(BTreeMap::new());
        }
        let Tree::Table(table) = self else { panic!("a table") };
        table.entry(name.to_owned()).or_insert_with(|| Tree::Table(BTreeMap::new()))
    }

    fn text(&self) -> String {
        match self {
            Tree::Leaf(value) => value.clone(),
            Tree::List(list) => format!("[{}]", list.iter().map(Tree::text).collect::<Vec<_>>().join(", ")),
            Tree::Table(table) => {
                let pairs: Vec<_> =
                    table.iter().map(|(name, tree)| format!("{name} = {}", tree.text())).collect();
                format!("{{ {} }}", pairs.join(", "))
            }
        }
    }

    fn document(&self) -> String {
        let Tree::Table(table) = self else { panic!("a table") };
        table.iter().map(|(name, tree)| format!("{name} = {}\n", tree.text())).collect()
    }
}

/// With names in place of those that users choose.
pub(super) fn named(path: &str) -> String {
    let mut before = "";
    let parts = path.split('.').map(|part| {
        let name = match (part, before) {
            ("*", "services") => "web",
            ("*", "pools") => "blue",
            ("*", "policies") => "default",
            ("*", "rate_limits") => "api",
            ("*", "error_pages") => "502",
            ("*", "maps") => "app",
            ("*", "values") => "site",
            ("*", "set" | "add") => "X-Site",
            _ => part,
        };
        before = part;
        name
    });
    parts.collect::<Vec<_>>().join(".")
}

/// A configuration in which a key, by its normal path, has a value, or is left out.
pub(super) fn document(path: &str, value: Option<&str>) -> String {
    let mut tree = Tree::Table(BTreeMap::new());
    let is_within = |outer: &str| {
        path.strip_prefix(outer)
            .is_some_and(|rest| outer.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
    };
    for (_, company) in COMPANY.iter().filter(|(outer, _)| is_within(outer)) {
        company.iter().for_each(|(path, value)| tree.set(&named(path), *value));
    }
    tree.set(&named(path), value);
    tree.document()
}

/// A folder with the files that the examples name.
pub(super) fn folder() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params = rcgen::CertificateParams::new(vec!["site.example".to_owned()]).expect("a name");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        for (name, text) in
            [("site.pem", &certificate), ("ca.pem", &certificate), ("site.key", &key.serialize_pem())]
        {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        for name in ["50x.html", "404.html", "maintenance.html", "site.der"] {
            std::fs::write(folder.path().join(name), name).expect("written");
        }
        std::fs::write(folder.path().join("fleet-secret"), "5e".repeat(32)).expect("written");
        let hash = "$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/";
        std::fs::write(folder.path().join("htpasswd"), format!("ana:{hash}\n")).expect("written");
        folder
    });
    folder.path()
}

pub(super) fn variable(name: &str) -> Option<String> {
    let value = match name {
        "CI_TOKEN" => "pm_0123456789abcdef0123",
        "HOOK_URL" => "https://hooks.example/T0/B1",
        "HOOK_SECRET" | "GITHUB_TOKEN" | "OTLP_TOKEN" | "ETCD_PASSWORD" => "ghp_0123456789abcdef0123",
        "HOSTNAME" => "edge-1",
        "FLEET_SECRET" => "5e0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd",
        _ => return None,
    };
    Some(value.to_owned())
}

pub(super) fn resolved(text: &str) -> Result<Config, Faults> {
    parse(text, "sample.toml", &variable, folder())
}

/// Each key that is described, by its normal path.
pub(super) fn described() -> Vec<(String, &'static ConfigKey)> {
    let tables = PAGES.iter().flat_map(|page| page.tables);
    let paths = |table: &'static KeyTable| {
        let in_place = |place: &'static str| {
            table.keys.iter().map(move |key| match place {
                "" => (key.name.to_owned(), key),
                place => (format!("{place}.{}", key.name), key),
            })
        };
        table.places.iter().flat_map(move |place| in_place(place))
    };
    tables.flat_map(paths).collect()
}

/// What reading a text shows, whatever is wrong with it.
pub(super) fn learn(text: &str) -> Learned {
    let document = Document::new(text, &variable, folder());
    let (table, errors) = DeTable::parse_recoverable(text);
    assert!(errors.is_empty(), "{errors:?} in\n{text}");
    read(&Section::root(&document, table.get_ref()), Surroundings::NONE);
    document.learned.take()
}

/// What reading every example of every key shows.
pub(super) fn learned() -> &'static Learned {
    static LEARNED: OnceLock<Learned> = OnceLock::new();
    LEARNED.get_or_init(|| {
        let mut all = Learned::default();
        for (path, key) in described() {
            for example in key.examples {
                all.add(learn(&document(&path, Some(example))));
            }
        }
        all
    })
}
