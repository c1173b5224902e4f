//! What is shipped: the package, the workflows, the templates for CI. What takes root or a release stands below, and is
//! run by `make test-packages`.

mod debian;
mod image;
mod release;
mod root;
mod ssh;
mod systemd;

use super::harness::{Pointsman, Printed, get};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn manifest() -> toml::Table {
    read("Cargo.toml").parse().expect("TOML")
}

#[test]
fn the_package_brings_what_a_machine_needs() {
    let manifest = manifest();
    let package = &manifest["package"]["metadata"]["deb"];
    let script = read("tools/dist.sh");
    let mut destinations = Vec::new();
    for asset in package["assets"].as_array().expect("a list") {
        let part = |index: usize| asset[index].as_str().expect("a text");
        let (source, destination, mode) = (part(0), part(1), part(2));
        match source.strip_prefix("target/package/") {
            Some(made) => {
                let made = made.split('*').next().unwrap_or_default().trim_end_matches('/');
                assert!(script.contains(&format!("$work/{made}")), "tools/dist.sh does not make {made}");
            }
            None => assert!(root().join(source).is_file(), "{source}"),
        }
        assert_eq!(
            mode,
            if source.ends_with(".sh") || source.ends_with("/pointsman") && destination == "usr/bin/" {
                "755"
            } else {
                "644"
            },
            "{source}"
        );
        destinations.push(destination);
    }
    for folder in
        ["usr/bin/", "etc/pointsman/", "usr/share/man/man1/", "usr/share/bash-completion/completions/"]
    {
        assert!(destinations.contains(&folder), "{folder}");
    }
    let units = &package["systemd-units"];
    assert_eq!(units["restart-after-upgrade"].as_bool(), Some(false), "it is handed over");
    assert_eq!(units["stop-on-upgrade"].as_bool(), Some(false), "and serves meanwhile");
    for script in ["postinst", "postrm"] {
        let text = read(&format!("conf/debian/{script}"));
        assert!(text.contains("\n#DEBHELPER#\n"), "{script}: the unit's part has a place");
    }
}

#[test]
fn a_fresh_package_serves_a_page_on_this_machine_alone() {
    let file = root().join("conf/debian/pointsman.toml");
    let printed = Printed::of(&["check", "--config", &file.to_string_lossy()], root());
    assert_eq!((printed.code, printed.err.as_str()), (0, ""), "{printed:?}");
    let text = read("conf/debian/pointsman.toml");
    let config: toml::Table = text.parse().expect("TOML");
    assert_eq!(config["admin"]["listen"].as_str(), Some("127.0.0.1:9900"));
    assert_eq!(
        config["server"]["state_dir"].as_str(),
        Some("/var/lib/pointsman"),
        "as the unit and postinst have it"
    );
    let moved = text
        .replace("/var/lib/pointsman", "state")
        .replace("127.0.0.1:9900", "127.0.0.1:0")
        .replace("127.0.0.1:8080", "127.0.0.1:0");
    let pointsman = Pointsman::start(&moved);
    let page = get(pointsman.http(), "/");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("/etc/pointsman/pointsman.toml"), "{}", page.text());
    assert_eq!(pointsman.cli(&["status"]).code, 0);
    // The example in it is one, once its signs of a comment are gone.
    let with_service: String = moved
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line))
        .map(|line| match line {
            "#" => "\n".to_owned(),
            line if line.starts_with("The configuration")
                || line.starts_with("Every key")
                || line.starts_with("  pointsman") =>
            {
                "\n".to_owned()
            }
            line if line.starts_with("reply = ") => "service = \"web\"\n".to_owned(),
            line => format!("{line}\n"),
        })
        .collect();
    let _service = Pointsman::start(&with_service);
}

/// The oldest Rust that the locked crates take: no newer one than `rust-version` says, nor an older.
#[test]
fn the_oldest_rust_is_that_of_the_locked_crates() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output()
        .expect("cargo");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let number = |text: &str| -> Vec<u32> {
        let mut parts: Vec<u32> = text.split('.').map(|part| part.parse().expect("a number")).collect();
        parts.resize(3, 0);
        parts
    };
    let packages = metadata["packages"].as_array().expect("packages");
    let others = packages.iter().filter(|package| package["name"] != "pointsman");
    let needed = others
        .filter_map(|package| Some((number(package["rust_version"].as_str()?), package["name"].as_str()?)))
        .max();
    let ours = number(manifest()["package"]["rust-version"].as_str().expect("a version"));
    let (needed, by) = needed.expect("some crate says it");
    assert!(ours >= needed, "{by} needs Rust {needed:?}; rust-version is {ours:?}");
}

/// The words that follow `before` in a text, as far as names go.
fn names<'a>(text: &'a str, before: &'a str) -> BTreeSet<&'a str> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
    text.split(before).skip(1).map(|rest| rest.split(|c| !is_name(c)).next().unwrap_or_default()).collect()
}

#[test]
fn the_workflows_run_what_is_there() {
    let makefile = read("Makefile");
    let mut seen = BTreeSet::new();
    let folder = root().join(".github/workflows");
    for entry in std::fs::read_dir(folder).expect("workflows") {
        let path: PathBuf = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a file");
        let odd = |line: &str| line.contains('\t') || (line.len() - line.trim_start().len()) % 2 == 1;
        assert!(!text.lines().any(odd), "{}: YAML is indented by two blanks", path.display());
        for goal in ["run: make ", "  make "].iter().flat_map(|before| names(&text, before)) {
            assert!(makefile.contains(&format!("\n{goal}: ")), "{}: make {goal}", path.display());
            seen.insert(goal.to_owned());
        }
    }
    for goal in ["fuzz", "simulate", "deny", "reproduce", "test-packages"] {
        assert!(seen.contains(goal), "no workflow runs make {goal}: {seen:?}");
    }
}
