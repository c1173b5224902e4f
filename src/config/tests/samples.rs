//! Whole configurations that hold one key each, made of the descriptions of the keys: reading them shows what there is.

use super::*;
use crate::config::keys::{ConfigKey, KeyTable, PAGES};
use crate::config::reader::learned::Learned;
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

/// What the value of a key needs around it, and what stands in its way; to be set in the order of the list. `None` takes
/// a key out.
type Company = &'static [(&'static str, Option<&'static str>)];

/// Of a key or of all below a table.
const COMPANY: &[(&str, Company)] = &[
    (
        "",
        &[
            ("listeners[].address", Some("\"127.0.0.1:8080\"")),
            ("routes[].service", Some("\"web\"")),
            ("services.*.stable", Some("\"blue\"")),
            ("services.*.pools.*.upstreams", Some("[\"10.0.0.1:3000\"]")),
            ("services.*.pools.green.upstreams", Some("[\"10.0.0.2:3000\"]")),
        ],
    ),
    ("listeners[].tls", CERTIFICATE),
    ("listeners[].hsts", CERTIFICATE),
    ("listeners[].tls.acme", ACME),
    ("listeners[].proxy_protocol", &[("listeners[].trusted_proxies", Some("[\"10.0.0.0/8\"]"))]),
    ("acme", ACME),
    (
        "admin.tls",
        &[
            ("admin.tls.certificates[].cert", Some("\"site.pem\"")),
            ("admin.tls.certificates[].key", Some("\"site.key\"")),
        ],
    ),
    ("admin.tokens[]", TOKEN),
    ("admin.tokens[].env", &[("admin.tokens[].sha256", None)]),
    ("admin.tokens[].file", &[("admin.tokens[].sha256", None)]),
    ("access_log", &[("access_log.path", Some("\"-\""))]),
    (
        "otlp",
        &[
            ("server.trace", Some("\"propagate\"")),
            ("otlp.endpoint", Some("\"http://127.0.0.1:4318/v1/traces\"")),
        ],
    ),
    ("rate_limits.*", &[("rate_limits.*.rate", Some("\"60/s\""))]),
    ("routes[].redirect", NOT_TO_A_SERVICE),
    ("routes[].redirect", &[("routes[].redirect.to", Some("\"/there\""))]),
    ("routes[].reply", NOT_TO_A_SERVICE),
    ("routes[].files", NOT_TO_A_SERVICE),
    ("routes[].files", &[("routes[].files.root", Some("\".\""))]),
    (
        "routes[].files.fallback",
        &[("routes[1].path", Some("\"@app\"")), ("routes[1].service", Some("\"web\""))],
    ),
    ("routes[].deny", NOT_TO_A_SERVICE),
    ("routes[].admin", NOT_TO_A_SERVICE),
    ("routes[].admin", TOKEN),
    ("routes[].admin", &[("routes[].path", Some("\"= /api/maintenance\""))]),
    ("services.*.upstreams", &[("services.*.pools", None), ("services.*.stable", None)]),
    ("services.*.upstreams[]", &[("services.*.upstreams[].address", Some("\"10.0.0.9:3000\""))]),
    ("listeners[].tls", &[("routes[].hosts", Some("[\"site.example\"]"))]),
    (
        "routes[].within",
        &[
            ("routes[].path", Some("'~ \\.php$'")),
            ("routes[1].path", Some("\"/uploads/\"")),
            ("routes[1].service", Some("\"web\"")),
        ],
    ),
    ("routes[].strip_prefix", &[("routes[].path", Some("\"/api/\""))]),
    ("routes[].limits.rates", &[("rate_limits.*.rate", Some("\"60/s\""))]),
    (
        "routes[].rewrite[]",
        &[
            ("routes[].rewrite[].match", Some("'^/old/(.*)$'")),
            ("routes[].rewrite[].to", Some("\"/new/$1\"")),
        ],
    ),
    (
        "routes[].relocate[]",
        &[("routes[].relocate[].from", Some("\"http://app/\"")), ("routes[].relocate[].to", Some("\"/\""))],
    ),
    ("services.*.policy", &[("policies.strict.error_rate.critical", Some("\"0.5%\""))]),
    ("services.*.cohort", &[("services.*.cohort.by", Some("\"cookie\""))]),
    (
        "services.*.rules[]",
        &[
            ("services.*.rules[].pool", Some("\"blue\"")),
            ("services.*.rules[].header.name", Some("\"X-Team\"")),
        ],
    ),
    ("services.*.rules[].cookie", &[("services.*.rules[].cookie.name", Some("\"plan\""))]),
    ("services.*.rules[].query", &[("services.*.rules[].query.name", Some("\"beta\""))]),
    ("services.*.mirror.compare", &[("services.*.mirror.compare.body", Some("\"json\""))]),
    (
        "services.*.rollout.steps[]",
        &[
            ("services.*.rollout.steps[].weight", Some("10")),
            ("services.*.rollout.steps[1].weight", Some("100")),
        ],
    ),
    ("services.*.rollout.steps[].mirror", &[("services.*.rollout.steps[].weight", None)]),
    ("services.*.rollout.smoke[]", &[("services.*.rollout.smoke[].path", Some("\"/health\""))]),
    (
        "services.*.rollout.hooks[]",
        &[
            ("services.*.rollout.hooks[].at", Some("\"before-baking\"")),
            ("services.*.rollout.hooks[].url", Some("\"https://ci.example/\"")),
        ],
    ),
    (
        "services.*.rollout.rolling.hook",
        &[("services.*.rollout.rolling.hook.url", Some("\"https://ci.example/\""))],
    ),
    (
        "services.*.rollout.warmup",
        &[
            ("services.*.rollout.warmup.requests", Some("50")),
            ("services.*.rollout.warmup.for", Some("\"1s\"")),
        ],
    ),
    ("services.*.pools.*.hash_by", &[("services.*.pools.*.balance", Some("\"hash\""))]),
    (
        "services.*.pools.*.upstreams[]",
        &[("services.*.pools.*.upstreams[].address", Some("\"10.0.0.9:3000\""))],
    ),
    ("services.*.pools.*.tls", &[("services.*.pools.*.tls.ca", Some("\"ca.pem\""))]),
    ("services.*.pools.*.tls.verify", &[("services.*.pools.*.tls.ca", None)]),
    (
        "services.*.pools.*.tls.client",
        &[
            ("services.*.pools.*.tls.client.cert", Some("\"site.pem\"")),
            ("services.*.pools.*.tls.client.key", Some("\"site.key\"")),
        ],
    ),
    ("services.*.pools.*.health", &[("services.*.pools.*.health.path", Some("\"/up\""))]),
    ("services.*.pools.*.health.type", &[("services.*.pools.*.health.path", None)]),
    (
        "services.*.pools.*.health.service",
        &[("services.*.pools.*.health.path", None), ("services.*.pools.*.health.type", Some("\"grpc\""))],
    ),
    ("policies.*", &[("policies.*.error_rate.critical", Some("\"2%\""))]),
    (
        "policies.*.signals[]",
        &[
            ("policies.*.signals[].name", Some("\"connections\"")),
            ("policies.*.signals[].from", Some("\"/metrics\"")),
            ("policies.*.signals[].at", Some("\"/connections\"")),
            ("policies.*.signals[].critical", Some("20")),
        ],
    ),
    (
        "sets",
        &[
            ("services.signaling.pools.blue.upstreams", Some("[\"10.0.0.3:3000\"]")),
            ("sets[].name", Some("\"both\"")),
            ("sets[].services", Some("[\"signaling\", \"web\"]")),
        ],
    ),
    (
        "notify[]",
        &[("notify[].kind", Some("\"slack\"")), ("notify[].url", Some("\"https://hooks.example/1\""))],
    ),
    ("notify[].secret", &[("notify[].kind", Some("\"webhook\""))]),
    ("notify[].repo", GITHUB),
    ("notify[].token", GITHUB),
    ("notify[].environment", GITHUB),
    ("notify[].deployment", GITHUB),
    ("notify[].issue", GITHUB),
    ("notify[].api", GITHUB),
];

const CERTIFICATE: Company = &[
    ("listeners[].tls.certificates[].cert", Some("\"site.pem\"")),
    ("listeners[].tls.certificates[].key", Some("\"site.key\"")),
];
const ACME: Company = &[
    ("acme.names", Some("[\"site.example\"]")),
    ("listeners[1].address", Some("\"127.0.0.1:8081\"")),
    ("listeners[2].address", Some("\"127.0.0.1:8082\"")),
    ("listeners[2].tls.acme", Some("true")),
];
const TOKEN: Company = &[
    ("admin.tokens[].name", Some("\"ops\"")),
    ("admin.tokens[].role", Some("\"admin\"")),
    ("admin.tokens[].sha256", Some("\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"")),
];
const NOT_TO_A_SERVICE: Company = &[("routes[].service", None)];
const GITHUB: Company = &[
    ("notify[].kind", Some("\"github\"")),
    ("notify[].url", None),
    ("notify[].repo", Some("\"a/b\"")),
    ("notify[].token", Some("\"t\"")),
];

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
        folder
    });
    folder.path()
}

pub(super) fn variable(name: &str) -> Option<String> {
    let value = match name {
        "CI_TOKEN" => "pm_0123456789abcdef0123",
        "HOOK_URL" => "https://hooks.example/T0/B1",
        "HOOK_SECRET" | "GITHUB_TOKEN" | "OTLP_TOKEN" => "ghp_0123456789abcdef0123",
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
