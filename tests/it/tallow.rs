//! A whole site moved over from nginx: each thing that its configuration did still occurs, with what the
//! import makes of `nginx/tallow.conf` and with `conf/tallow.toml`, which was polished by hand.
//!
//! Only what cannot be had here is put in other words: addresses, upstreams, files, and long times.

mod effects;
mod limits;
mod site;

use super::harness::Printed;
use site::{Site, imported, polished};
use std::path::Path;

/// Two sites, one for each configuration; each has a state of its own.
fn each(mut look: impl FnMut(&Site)) {
    for text in [imported(), polished()] {
        look(&Site::start(&text));
    }
}

#[test]
fn nothing_of_it_is_lost_in_the_import() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let printed = Printed::of(&["import", "nginx", "tests/it/nginx/tallow.conf", "--strict"], here);
    assert_eq!(printed.code, 0, "{}", printed.err);
    assert!(printed.err.ends_with(" 0 not carried over\n"), "{}", printed.err);
    let (headings, lines): (Vec<_>, Vec<_>) = printed.err.lines().partition(|line| line.starts_with("# "));
    assert_eq!(headings.last().copied(), Some("# Without an effect on what is answered:"));
    assert!(lines.iter().any(|line| line.starts_with("tests/it/nginx/tallow.conf:4: user nginx: noted: ")));
    let json = Printed::of(&["import", "nginx", "tests/it/nginx/tallow.conf", "--output", "json"], here);
    let value: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!(value["toml"].as_str(), Some(printed.out.as_str()));
    let notes = value["notes"].as_array().expect("notes");
    assert_eq!((notes.len(), &notes[0]["level"]), (lines.len() - 1, &serde_json::json!("noted")));
    assert_eq!(notes[0]["weight"], "difference");
    assert!(json.err.is_empty(), "{}", json.err);
}

#[test]
fn strict_fails_where_something_is_missing_and_errors_have_their_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let import = |text: &str, args: &[&str]| {
        std::fs::write(dir.path().join("n.conf"), text).expect("a file");
        Printed::of(&[&["import", "nginx", "n.conf"], args].concat(), dir.path())
    };
    let text = "http {\n  frobnicate on;\n  server { location / { return 200; } }\n}\n";
    assert_eq!(import(text, &[]).code, 0);
    let strict = import(text, &["--strict"]);
    assert_eq!(strict.code, 1);
    assert!(strict.err.contains("n.conf:2: frobnicate on: not carried over: "), "{}", strict.err);
    assert!(strict.out.contains("# from n.conf:3\n[[routes]]"), "{}", strict.out);
    let torn = import("http {\n  server {", &[]);
    assert!(torn.code == 1 && torn.err.contains("n.conf:2:3: the block of server"), "{}", torn.err);
    let gone = Printed::of(&["import", "nginx", "gone.conf"], dir.path());
    assert!(gone.code == 1 && gone.err.contains("gone.conf: cannot be read"), "{}", gone.err);
}
