//! The digest that members of a fleet compare: all keys count, but for those that each member has of its own.

use super::samples::{described, document, folder, variable};
use super::*;
use std::collections::BTreeSet;

/// With all below it.
const OWN: [&str; 11] = [
    "listeners",
    "admin",
    "server.state_dir",
    "server.threads",
    "fleet.name",
    "fleet.etcd.endpoints",
    "fleet.etcd.ca",
    "fleet.etcd.cert",
    "fleet.etcd.key",
    "fleet.etcd.user",
    "fleet.etcd.password",
];

/// Of a text, whatever is wrong with it.
fn digest_in(text: &str, env: &dyn Fn(&str) -> Option<String>, base: &Path) -> String {
    let document = Document::new(text, env, base);
    let (table, errors) = DeTable::parse_recoverable(text);
    assert!(errors.is_empty(), "{errors:?} in\n{text}");
    read(&Section::root(&document, table.get_ref()), Surroundings::NONE);
    document.shared_digest(table.get_ref())
}

fn digest(text: &str) -> String {
    digest_in(text, &variable, folder())
}

#[test]
fn each_key_counts_but_for_what_each_member_has_of_its_own() {
    let mut counted = BTreeSet::new();
    for (path, key) in described() {
        let is_within = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
        let is_own = OWN.iter().any(|own| path.strip_prefix(own).is_some_and(is_within));
        let values = key.examples.iter().copied().chain(["\"something else\""]).map(Some);
        let digests: Vec<String> = values.map(|value| digest(&document(&path, value))).collect();
        let distinct: BTreeSet<&String> = digests.iter().collect();
        let expected = if is_own { 1 } else { digests.len() };
        assert_eq!(distinct.len(), expected, "{path}: {digests:?} of {:?} and another", key.examples);
        if !is_own {
            counted.insert(path);
        }
    }
    assert!(counted.len() > 300, "{}", counted.len());
}

#[test]
fn what_is_written_otherwise_is_the_same() {
    let text = "[server]\ngrace = \"5s\"\n[limits]\nconnections = 1000\n[policies.default]\nalpha = 0.5\n";
    let before = digest(text);
    for same in [
        "# A comment.\nlimits.connections = 0x3e8\nserver = { grace = '5s' }\npolicies.default.alpha = 5e-1",
        "[policies]\ndefault = { alpha = 0.50 }\n[limits]\nconnections = 1_000\n[server]\nthreads = 3\ngrace = \"5\\u0073\"",
        "server.grace = \"${GRACE}\"\nlimits.connections = 1000\npolicies.default.alpha = 0.5\nadmin.listen = \"x\"",
    ] {
        let env = |name: &str| (name == "GRACE").then(|| "5s".to_owned());
        assert_eq!(digest_in(same, &env, folder()), before, "{same}");
    }
    assert_eq!(
        digest("[server]\nthreads = 3\n"),
        digest("[fleet]\nname = \"edge-1\"\n"),
        "nothing of either counts"
    );
    let other = |text: &str, value: &'static str| {
        digest_in(text, &move |name| (name == "GRACE").then(|| value.to_owned()), folder())
    };
    for text in
        ["server.grace = \"${GRACE}\"", "fleet.secret.env = \"GRACE\"", "values.a = \"${GRACE}$host\""]
    {
        assert_ne!(other(text, "5s"), other(text, "6s"), "{text}");
    }
}

#[test]
fn the_texts_of_files_count_and_certificates_do_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let of = |text: &str| digest_in(text, &variable, folder.path());
    write("page", "one");
    write("users", "ana:$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/\n");
    let counts = [
        "error_pages.502 = \"page\"\n",
        "maintenance.page = \"page\"\n",
        "fleet.secret.file = \"page\"\n",
        "[[routes]]\nservice = \"web\"\nbasic_auth = { realm = \"site\", file = \"users\" }\n",
    ];
    let before: Vec<String> = counts.iter().map(|text| of(text)).collect();
    let certificate = "[[listeners]]\ntls.certificates = [{ cert = \"page\", key = \"page\" }]\n";
    let of_certificate = of(certificate);
    write("page", "two");
    write("users", "bea:$apr1$abcdefgh$h9FWgUz3n9YxylKLlR5SQ/\n");
    for (text, before) in counts.iter().zip(&before) {
        assert_ne!(of(text), *before, "{text}");
    }
    assert_eq!(of(certificate), of_certificate);
}

/// Members of two versions, and on two machines, compare it.
#[test]
fn it_is_the_same_everywhere() {
    assert_eq!(read_text(MINIMAL).expect("accepted").shared_digest, "8edb0ff22e41df53");
}
