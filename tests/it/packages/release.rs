//! The files of a release: sums, sizes, what is linked, what is listed.

use super::root::{released, run};
use std::collections::BTreeSet;
use std::process::Command;
use tempfile::TempDir;

#[test]
#[ignore = "needs a release: make test-packages"]
fn the_sums_are_those_of_all_files() {
    let dist = super::root().join("target/dist");
    run(Command::new("sha256sum").args(["--strict", "--check", "SHA256SUMS"]).current_dir(&dist));
    let sums = std::fs::read_to_string(dist.join("SHA256SUMS")).expect("a file");
    let summed: BTreeSet<&str> = sums.lines().filter_map(|line| line.split("  ").nth(1)).collect();
    let files: BTreeSet<String> = std::fs::read_dir(&dist)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name != "SHA256SUMS")
        .collect();
    assert_eq!(summed, files.iter().map(String::as_str).collect());
    assert!(files.len() >= 5, "{files:?}");
}

/// The archive's binary needs nothing of the machine, and names no folder of the one that made it.
#[test]
#[ignore = "needs a release: make test-packages"]
fn the_static_binary_is_static_and_its_debug_information_fits() {
    let here = TempDir::new().expect("a directory");
    run(Command::new("tar")
        .arg("-xzf")
        .arg(released("-linux.tar.gz"))
        .args(["--strip-components=1", "-C"])
        .arg(here.path()));
    run(Command::new("tar")
        .arg("-xJf")
        .arg(released("-debug.tar.xz"))
        .args(["--strip-components=1", "-C"])
        .arg(here.path()));
    let read =
        |flag: &str, file: &str| run(Command::new("readelf").args([flag, file]).current_dir(here.path()));
    let needed = read("-d", "pointsman");
    assert!(!needed.contains("NEEDED"), "{needed}");
    assert!(!read("-l", "pointsman").contains("INTERP"));
    assert!(!read("-S", "pointsman").contains(".debug_info"));
    assert!(read("-h", "pointsman").contains("DYN"), "its addresses are others in each process");
    let bytes = |file: &str| std::fs::read(here.path().join(file)).expect("a file");
    let (binary, root) = (bytes("pointsman"), super::root().display().to_string());
    let glibc = memchr::memmem::find(&binary, b"GLIBC_TUNABLES");
    assert!(
        glibc.is_none(),
        "glibc is linked in, as make dist said: rustup target add x86_64-unknown-linux-musl"
    );
    for (file, bytes) in [("pointsman", &binary), ("debug", &bytes("pointsman-static.debug"))] {
        assert!(memchr::memmem::find(bytes, root.as_bytes()).is_none(), "{file} names {root}");
    }
    let id = |file: &str| {
        let notes = read("-n", file);
        notes.lines().find_map(|line| line.trim().strip_prefix("Build ID: ")).expect("a build id").to_owned()
    };
    assert_eq!(id("pointsman"), id("pointsman-static.debug"));
    for file in [
        "LICENSE",
        "man/pointsman.1",
        "completions/_pointsman",
        "conf/minimal.toml",
        "conf/pointsman.service",
    ] {
        assert!(here.path().join(file).is_file(), "{file}");
    }
    let megabytes = |file: &str| std::fs::metadata(here.path().join(file)).expect("there").len() as f64 / 1e6;
    println!(
        "static binary {:.1} MB, debug information {:.1} MB",
        megabytes("pointsman"),
        megabytes("pointsman-static.debug")
    );
    assert!(megabytes("pointsman") < 40.0, "stripped");
}

#[test]
#[ignore = "needs a release: make test-packages"]
fn the_bill_lists_what_is_compiled_in_and_no_more() {
    let bill = std::fs::read_to_string(released(".cdx.json")).expect("a file");
    assert!(!bill.contains(&super::root().display().to_string()), "it names no folder of a machine");
    let bill: serde_json::Value = serde_json::from_str(&bill).expect("JSON");
    assert_eq!(bill["bomFormat"], "CycloneDX");
    let components = bill["components"].as_array().expect("components");
    let named = |name: &str| components.iter().find(|component| component["name"] == name);
    let lock: toml::Table = super::read("Cargo.lock").parse().expect("TOML");
    let locked = lock["package"].as_array().expect("packages");
    for name in ["rustls", "tokio", "pingora-core", "ring", "tikv-jemallocator"] {
        let component = named(name).unwrap_or_else(|| panic!("{name} is not listed"));
        let version = locked.iter().find(|of| of["name"].as_str() == Some(name)).expect("locked");
        assert_eq!(component["version"].as_str(), version["version"].as_str(), "{name}");
        assert!(component["licenses"].is_array() && component["purl"].is_string(), "{component}");
    }
    for name in ["tempfile", "proptest", "boon", "windows-sys"] {
        assert!(named(name).is_none(), "{name} is not compiled in");
    }
    assert!(components.len() > 150, "{}", components.len());
}
