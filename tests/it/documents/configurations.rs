//! The pieces of configuration that pages show: they have the keys, kinds and values that the reader takes.
//! The examples in `conf` pass the check whole.

use super::fences::{self, Fence};
use super::{files_in, name, pages, read, root};
use crate::harness::whole;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// What a piece may lack, since it is one: files, and what other pieces have.
const LACKS: [&str; 8] = [
    "No such file or directory",
    "is no folder that can be read",
    "is missing; for example",
    "has no upstream",
    "so it needs stable",
    "so it needs a token",
    "there is no listener",
    "there is no pool",
];

/// A whole configuration with this piece in it.
fn completed(piece: &Fence) -> String {
    let text: String = piece.lines.iter().map(|(_, line)| format!("{line}\n")).collect();
    let has = |table: &str| text.contains(table);
    let services =
        ["web", "signaling"].map(|service| match has(&format!("[services.{service}.pools.blue]")) {
            true => String::new(),
            false => format!("[services.{service}.pools.blue]\nupstreams = [\"10.0.0.1:3000\"]\n"),
        });
    whole(&(text.clone() + &services.concat()))
}

/// What the reader has against it, beside what a piece may lack.
fn faults(text: &str) -> Vec<String> {
    let dir = TempDir::new().expect("a directory");
    let file = dir.path().join("piece.toml");
    std::fs::write(&file, text).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["--output", "json", "check", "--config"])
        .arg(&file)
        .envs([("KEY", "x"), ("SLACK_URL", "http://127.0.0.1/x"), ("HOOK_SECRET", "x")])
        .output()
        .expect("the binary");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let found = found.as_array().cloned().unwrap_or_default();
    let faults = found.iter().filter(|one| one["severity"] == "fault");
    let message =
        |one: &serde_json::Value| format!("{} {}", one["path"].as_str().unwrap_or_default(), one["message"]);
    faults.map(message).filter(|message| !LACKS.iter().any(|lack| message.contains(lack))).collect()
}

#[test]
fn every_piece_of_configuration_is_taken() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for page in pages() {
        let (name, text) = (name(&page), read(&page));
        for piece in fences::of(&name, &text).iter().filter(|fence| fence.kind == "toml") {
            seen += 1;
            let faults = faults(&completed(piece));
            wrong.extend(faults.into_iter().map(|fault| format!("{name}:{}: {fault}", piece.line)));
        }
    }
    assert!(seen >= 18, "the test must see the pieces: {seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!faults(&whole("[services.web]\nstabel = \"blue\"\n")).is_empty(), "a wrong key is seen");
}

/// What `pointsman check` has against a file, in the environment that its guide asks for.
fn refused(file: &Path) -> Option<String> {
    let secret = "0123456789abcdef0123456789abcdef";
    let output = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .arg("check")
        .arg("--config")
        .arg(file)
        .envs([("MEMBER", "edge-1"), ("FLEET_SECRET", secret), ("POINTSMAN_TOKEN", secret)])
        .output()
        .expect("the binary");
    (!output.status.success())
        .then(|| format!("{}: {}", file.display(), String::from_utf8_lossy(&output.stderr)))
}

/// `tallow.toml` names certificates and folders of its server: `tallow` checks it with others.
#[test]
fn every_example_configuration_is_accepted() {
    let mut examples = files_in(&root().join("conf"), "toml");
    examples.retain(|file| !file.ends_with("tallow.toml"));
    assert!(examples.len() >= 6, "the test must see the examples: {examples:?}");
    let refused: Vec<_> = examples.iter().filter_map(|file| refused(file)).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}
