//! The rules of the house: who may know whom, and which licences come along.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What each module may use, beside itself; `app` may use all.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("core", &[]),
    ("observe", &["core"]),
    ("tls", &["core", "observe"]),
    ("proxy", &["core", "observe", "tls"]),
    ("control", &["core", "observe"]),
    ("health", &["core", "control::command", "tls"]),
    ("notify", &["core", "control::journal", "observe", "tls"]),
    ("config", &["core"]),
    ("admin", &["core", "control::command", "control::view", "control::journal", "observe", "tls"]),
    ("cli", &["core", "config", "admin::shapes", "control::command", "control::view", "observe::clock"]),
];

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let nested = entries.map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    nested.flatten().filter(|path| path.extension().is_some_and(|ext| ext == "rs")).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every `crate::…` path of a text, without comments and tests.
fn used(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '{';
    let mut paths = Vec::new();
    for line in lines {
        for rest in line.split("crate::").skip(1) {
            let path: String = rest.chars().take_while(|c| is_path(*c)).collect();
            let path = path.split('{').next().unwrap_or_default();
            paths.push(path.trim_end_matches(':').to_owned());
        }
    }
    paths
}

#[test]
fn modules_use_only_what_they_may() {
    let src = root().join("src");
    let allowed: BTreeMap<_, _> = MAY_USE.into_iter().collect();
    let mut faults = Vec::new();
    let mut seen = 0;
    for path in files(&src) {
        let inner = path.strip_prefix(&src).expect("inside");
        let module = inner.iter().next().and_then(|name| name.to_str()).expect("a name");
        let test = inner.to_string_lossy().contains("test") || inner.to_string_lossy().contains("simulation");
        let Some(may) = allowed.get(module).filter(|_| !test) else { continue };
        for used in used(&std::fs::read_to_string(&path).expect("a file")) {
            seen += 1;
            let own = used == module || used.starts_with(&format!("{module}::"));
            let fine = may.iter().any(|may| used == *may || used.starts_with(&format!("{may}::")));
            if !own && !fine {
                faults.push(format!("{}: {module} uses {used}", inner.display()));
            }
        }
    }
    assert!(seen > 100, "the test must see the use lines: {seen}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_core_has_no_clock_no_randomness_and_no_io() {
    let files = files(&root().join("src/core")).into_iter();
    for path in files.filter(|path| !path.ends_with("simulation.rs") && !path.ends_with("tests.rs")) {
        let text = std::fs::read_to_string(&path).expect("a file");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for banned in
            ["Instant", "SystemTime", "rand::", "std::fs", "TcpStream", "tokio", "println!", "std::env"]
        {
            let used = code.lines().any(|line| line.contains(banned) && !line.trim_start().starts_with("//"));
            assert!(!used, "{} uses {banned}", path.display());
        }
    }
}

#[test]
fn every_licence_is_allowed() {
    let output = std::process::Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(root())
        .output()
        .expect("cargo");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let deny: toml::Table =
        std::fs::read_to_string(root().join("deny.toml")).expect("a file").parse().expect("TOML");
    let strings = |section: &str, key: &str| -> Vec<String> {
        let list = deny[section][key].as_array().expect("a list");
        list.iter().map(|item| item.as_str().expect("a text").to_owned()).collect()
    };
    let (allowed, banned) = (strings("licenses", "allow"), strings("bans", "deny"));
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 50);
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_allowed(licence, &allowed), "{name}: {licence} is not in deny.toml");
        assert!(!banned.iter().any(|other| other == name), "{name} is banned in deny.toml");
    }
}

/// Else they would be built of other dependencies than what is shipped, and all of those once more.
#[test]
fn the_fuzz_targets_are_built_of_the_same_versions() {
    let locked = |file: &str| -> BTreeMap<String, Vec<String>> {
        let lock = std::fs::read_to_string(root().join(file)).expect("a lock");
        let lock: toml::Table = lock.parse().expect("TOML");
        let mut versions: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for package in lock["package"].as_array().expect("packages") {
            let text = |key: &str| package[key].as_str().expect("a text").to_owned();
            versions.entry(text("name")).or_default().push(text("version"));
        }
        versions
    };
    let (ours, fuzz) = (locked("Cargo.lock"), locked("fuzz/Cargo.lock"));
    let differs = |(name, versions): &(&String, &Vec<String>)| {
        ours.get(*name).is_some_and(|ours| versions.iter().any(|version| !ours.contains(version)))
    };
    let others: Vec<_> = fuzz.iter().filter(differs).collect();
    assert!(others.is_empty(), "{others:?}; run make lock-fuzz");
}

/// SPDX, as far as crates use it: `AND` binds closer than `OR`, and `/` is an old `OR`.
fn is_allowed(licence: &str, allowed: &[String]) -> bool {
    let plain = licence.replace(['(', ')'], "").replace('/', " OR ");
    let one = |name: &str| allowed.iter().any(|known| known == name.trim());
    plain.split(" OR ").any(|choice| choice.split(" AND ").all(one))
}

#[test]
fn licences_are_read_as_they_are_meant() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for (licence, fine) in [
        ("MIT", true),
        ("GPL-3.0 OR MIT", true),
        ("MIT AND GPL-3.0", false),
        ("Unlicense/MIT", true),
        ("none", false),
    ] {
        assert_eq!(is_allowed(licence, &allowed), fine, "{licence}");
    }
}
