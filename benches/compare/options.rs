//! What the environment asks for.

use super::rows::{ROWS, Row};
use std::path::PathBuf;
use std::time::Duration;

/// How much is measured, and of what.
pub(super) struct Options {
    pub rows: Vec<Row>,
    pub binaries: Vec<PathBuf>,
    pub rounds: usize,
    pub length: Duration,
    pub is_quick: bool,
    /// `cargo test` runs it: only whether it still works.
    pub is_smoke: bool,
}

impl Options {
    pub(super) fn read(is_smoke: bool) -> Self {
        let is_quick = std::env::var("QUICK").is_ok_and(|text| !text.is_empty() && text != "0");
        let (rounds, seconds) = match (is_smoke, is_quick) {
            (true, _) => (1, 0.3),
            (false, true) => (3, 1.0),
            (false, false) => (7, 2.0),
        };
        let mut wanted = list("ROWS");
        if is_smoke && wanted.is_empty() {
            wanted = ["http2", "handshakes", "latency"].map(str::to_owned).to_vec();
        }
        let unknown = wanted.iter().find(|name| !ROWS.iter().any(|row| row.is_named(&[(*name).clone()])));
        let names = ROWS.map(|row| row.name).join(", ");
        assert_eq!(unknown, None, "ROWS has {names}");
        let is_wanted = |row: &Row| match wanted.is_empty() {
            true => !is_quick || !row.is_tuned(),
            false => row.is_named(&wanted),
        };
        let mut binaries: Vec<_> = list("BINARY").iter().map(binary).collect();
        if binaries.is_empty() {
            binaries.push(PathBuf::from(env!("CARGO_BIN_EXE_pointsman")));
        }
        Options {
            rows: ROWS.into_iter().filter(is_wanted).collect(),
            binaries,
            rounds: number("ROUNDS").unwrap_or(rounds),
            length: Duration::from_secs_f64(number("ROUND_SECONDS").unwrap_or(seconds)),
            is_quick,
            is_smoke,
        }
    }
}

/// Words between commas.
fn list(name: &str) -> Vec<String> {
    let text = std::env::var(name).unwrap_or_default();
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Whole, since processes start in another directory.
fn binary(text: &String) -> PathBuf {
    std::fs::canonicalize(text).unwrap_or_else(|error| panic!("BINARY {text}: {error}"))
}
