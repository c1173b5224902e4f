//! What `[fleet]` takes, and what it refuses.

use crate::config::{diff, parse};
use crate::core::fleet::ground::Missing;
use crate::core::secret::Secret;
use crate::core::settings::{Config, FleetSettings, Trust};
use std::path::Path;
use std::time::Duration;

const MINIMAL: &str = include_str!("../../../conf/minimal.toml");
const SECRET: &str = "secret = { env = \"SITE\" }\n";
const NAME: &str = "name = \"edge-1\"\n";
const ETCD: &str = "etcd = { endpoints = [\"http://127.0.0.1:2379\"] }\n";

fn env(name: &str) -> Option<String> {
    let value = match name {
        "SITE" => "ab".repeat(32),
        "WORDS" => "a long sentence that nobody can guess".to_owned(),
        "SHORT" => "ab".repeat(15),
        "PASSWORD" => "pw-0123456789".to_owned(),
        _ => return None,
    };
    Some(value)
}

/// A folder with an authority, a certificate with its key, another key, and a secret.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = [(); 2].map(|()| rcgen::KeyPair::generate().expect("a key"));
    let mut params = rcgen::CertificateParams::new(vec!["edge-1".to_owned()]).expect("a name");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&keys[0]).expect("a certificate").pem();
    let texts = [
        ("ca.pem", certificate.clone()),
        ("edge.pem", certificate),
        ("edge.key", keys[0].serialize_pem()),
        ("other.key", keys[1].serialize_pem()),
        ("secret", format!("{}\n", "cd".repeat(32))),
        ("short", "0123456789\n".to_owned()),
    ];
    for (name, text) in texts {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn read_in(folder: &Path, fleet: &str) -> Result<Config, String> {
    let text = format!("{MINIMAL}\n[fleet]\n{fleet}");
    parse(&text, "test", &env, folder).map_err(|faults| faults.to_string())
}

fn read(fleet: &str) -> Result<Config, String> {
    read_in(folder().path(), fleet)
}

fn fleet(text: &str) -> FleetSettings {
    read(text).unwrap_or_else(|faults| panic!("{faults}")).fleet.expect("a fleet")
}

#[test]
fn what_is_left_out_has_its_default() {
    assert_eq!(parse(MINIMAL, "t", &|_| None, "/".as_ref()).expect("good").fleet, None);
    let found = fleet(&format!("{NAME}{ETCD}{SECRET}"));
    assert_eq!((&*found.name, &*found.prefix, found.missing), ("edge-1", "pointsman", Missing::Hold));
    assert_eq!((found.lease, found.forget), (Duration::from_secs(5), Duration::from_secs(600)));
    assert_eq!(found.secret, Secret::new([0xab; 32]));
    assert_eq!((found.etcd.endpoints.len(), &found.etcd.user), (1, &None));
}

#[test]
fn what_is_written_is_meant() {
    let text = format!(
        "{NAME}secret = {{ file = \"secret\" }}\nlease = \"10s\"\nforget = \"1h\"\nmissing = \"go_on\"\n[fleet.etcd]\n\
         endpoints = [\"https://10.0.0.1:2379\", \"https://etcd-2.internal:2379/\"]\nprefix = \"/sites/a/\"\n\
         ca = \"ca.pem\"\ncert = \"edge.pem\"\nkey = \"edge.key\"\nuser = \"front\"\npassword = \"${{PASSWORD}}\"\n"
    );
    let found = fleet(&text);
    assert_eq!((&*found.prefix, found.missing), ("/sites/a", Missing::GoOn));
    assert_eq!((found.lease, found.forget), (Duration::from_secs(10), Duration::from_secs(3600)));
    assert_eq!(found.secret, Secret::new([0xcd; 32]));
    assert_eq!(found.etcd.authority.as_deref(), Some("ca.pem"));
    assert!(matches!(&found.etcd.tls.trust, Trust::Authorities(some) if some.len() == 1));
    assert!(found.etcd.tls.client.is_some());
    let user = found.etcd.user.as_ref().expect("a user");
    assert_eq!((&*user.name, &*user.password), ("front", "pw-0123456789"));
    assert!(!format!("{found:?}").contains("pw-0123456789"), "a password is shown nowhere");
    let words = fleet(&format!("{NAME}{ETCD}secret = {{ env = \"WORDS\" }}"));
    assert_eq!(words.secret, Secret::of_text("a long sentence that nobody can guess"));
}

#[test]
fn a_change_needs_a_restart() {
    let folder = folder();
    let of = |text: &str| read_in(folder.path(), text).expect("accepted");
    let before = of(&format!("{NAME}{ETCD}{SECRET}"));
    for after in [
        format!("{NAME}{ETCD}{SECRET}lease = \"6s\""),
        format!("{NAME}{ETCD}secret = {{ file = \"secret\" }}"),
        format!("name = \"edge-2\"\n{ETCD}{SECRET}"),
    ] {
        assert_eq!(diff(&before, &of(&after)), (Vec::new(), vec!["fleet".to_owned()]), "{after}");
    }
    let alone = Config { fleet: None, ..before.clone() };
    assert_eq!(diff(&alone, &before).1, ["fleet"]);
}

#[test]
fn what_goes_in_the_clear_is_warned_of() {
    let at = |url: &str| {
        let etcd = format!("etcd = {{ endpoints = [\"http://[::1]:2379\", \"{url}\"] }}\n");
        read(&format!("{NAME}{SECRET}{etcd}")).expect("accepted").warnings
    };
    let warnings = at("http://10.0.0.1:2379");
    let said = warnings.iter().find(|warning| warning.path == "fleet.etcd.endpoints[1]");
    assert!(said.is_some_and(|warning| warning.detail.contains("in the clear")), "{warnings:?}");
    assert!(!at("http://localhost:2379").iter().any(|warning| warning.path.starts_with("fleet")));
}

/// With `etcd` as its keys say, and with the rest of the table as it should be.
fn refused_etcd(etcd: &str, expected: &str) {
    let faults = read(&format!("{NAME}{SECRET}[fleet.etcd]\n{etcd}\n")).expect_err(etcd);
    assert!(faults.contains(expected), "{expected} is not in {faults}");
    assert!(!faults.contains("pw-0123456789"), "{faults}");
}

#[test]
fn what_cannot_be_a_store_is_refused_with_the_remedy() {
    let near = "endpoints = [\"http://127.0.0.1:2379\"]";
    let far = "endpoints = [\"https://10.0.0.1:2379\"]\nca = \"ca.pem\"";
    for (etcd, expected) in [
        ("prefix = \"a\"".to_owned(), "fleet.etcd.endpoints: is missing; all members of etcd"),
        ("endpoints = []".to_owned(), "endpoints: is empty; list all members of etcd; write: endpoints ="),
        ("endpoints = [\"10.0.0.1:2379\"]".to_owned(), "endpoints[0]: \"10.0.0.1:2379\" lacks http://"),
        ("endpoints = [\"http://a\", \"ftp://b:1\"]".to_owned(), "endpoints[1]: \"ftp://b:1\" is neither"),
        (
            "endpoints = [\"http://a:1\", \"http://a:1/\"]".to_owned(),
            "endpoints[1]: http://a:1 is listed already",
        ),
        ("endpoints = [\"https://a_b!:1\"]\nca = \"ca.pem\"".to_owned(), "endpoints[0]: "),
        (format!("{near}\nprefix = \"/\""), "etcd.prefix: a prefix has 1 to 128 characters"),
        (format!("{near}\nprefix = \"a b\""), "etcd.prefix: a prefix has 1 to 128 characters"),
        (format!("{near}\nca = \"ca.pem\""), "etcd.ca: has no effect on http://"),
        (format!("{far}\ncert = \"edge.pem\""), "etcd.cert: needs the other one, too; add key ="),
        (format!("{far}\nkey = \"edge.key\""), "etcd.key: needs the other one, too; add cert ="),
        (format!("{far}\ncert = \"edge.pem\"\nkey = \"other.key\""), "the key must be the certificate's own"),
        (far.replace("ca.pem", "none.pem"), "etcd.ca: "),
        (format!("{near}\nuser = \"front\""), "etcd.user: needs the other one, too; add password ="),
        (
            format!("{near}\npassword = \"${{PASSWORD}}\""),
            "etcd.password: needs the other one, too; add user =",
        ),
        (format!("{near}\nuser = \"\"\npassword = \"${{PASSWORD}}\""), "etcd.user: is empty"),
        (
            "endpoints = [\"http://10.0.0.1:2379\"]\nuser = \"front\"\npassword = \"${PASSWORD}\"".to_owned(),
            "etcd.user: its password would go to http://10.0.0.1:2379 in the clear; write https://",
        ),
        (format!("{near}\nurl = \"x\""), "fleet.etcd.url: unknown key"),
    ] {
        refused_etcd(&etcd, expected);
    }
}

#[test]
fn what_is_no_member_is_refused_with_the_remedy() {
    let rest = format!("{NAME}{ETCD}{SECRET}");
    for (text, expected) in [
        (String::new(), "fleet.name: is missing; what this instance is called"),
        (format!("{NAME}{SECRET}"), "fleet.etcd: is missing; where the store of the fleet is"),
        (format!("{NAME}{ETCD}"), "fleet.secret: is missing; the same at all members"),
        (format!("name = \"a/b\"\n{ETCD}{SECRET}"), "fleet.name: a name has 1 to 63 characters"),
        (format!("name = \"..\"\n{ETCD}{SECRET}"), "begins with a letter or a digit"),
        (format!("name = \"{}\"\n{ETCD}{SECRET}", "a".repeat(64)), "fleet.name: a name has"),
        (format!("{NAME}{ETCD}secret = {{}}"), "fleet.secret: needs one of env and file; `openssl rand"),
        (
            format!("{NAME}{ETCD}secret = {{ env = \"SITE\", file = \"secret\" }}"),
            "fleet.secret: needs one of env and file",
        ),
        (
            format!("{NAME}{ETCD}secret = {{ env = \"SHORT\" }}"),
            "fleet.secret.env: this secret has fewer than 32 characters and can be guessed",
        ),
        (
            format!("{NAME}{ETCD}secret = {{ file = \"short\" }}"),
            "secret.file: this secret has fewer than 32",
        ),
        (format!("{NAME}{ETCD}secret = {{ file = \"none\" }}"), "fleet.secret.file: "),
        (format!("{NAME}{ETCD}secret = {{ env = \"NONE\" }}"), "the environment has no variable NONE"),
        (format!("{rest}lease = \"2500ms\""), "fleet.lease: must be whole seconds"),
        (format!("{rest}lease = \"1s\""), "fleet.lease: must be from 2s to 1m"),
        (format!("{rest}lease = \"61s\""), "fleet.lease: must be from 2s to 1m"),
        (format!("{rest}lease = \"20s\"\nforget = \"10s\""), "fleet.forget: is shorter than the lease (20s)"),
        (format!("{rest}missing = \"stop\""), "fleet.missing: \"stop\" is none of hold, go_on"),
        (format!("{rest}member = \"x\""), "fleet.member: unknown key"),
    ] {
        let faults = read(&text).expect_err(&text);
        assert!(faults.contains(expected), "{expected} is not in {faults}");
    }
}
