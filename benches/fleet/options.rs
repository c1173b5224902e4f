//! What the environment asks for.

use std::time::Duration;

pub(super) struct Options {
    rows: Vec<String>,
    /// Numbers of instances.
    pub sizes: Vec<usize>,
    /// How long etcd is gone.
    pub outage: Duration,
    runs: Option<usize>,
    is_quick: bool,
    /// `cargo test` runs it: only whether it still works.
    pub is_smoke: bool,
}

impl Options {
    pub(super) fn read(is_smoke: bool, known: &[&str]) -> Self {
        let is_quick = std::env::var("QUICK").is_ok_and(|text| !text.is_empty() && text != "0");
        let mut rows = list("ROWS");
        if rows.is_empty() {
            let all = if is_smoke { &["verdict", "steps"] } else { known };
            rows = all.iter().map(|row| (*row).to_owned()).collect();
        }
        let unknown = rows.iter().find(|row| !known.contains(&row.as_str()));
        assert_eq!(unknown, None, "ROWS has {}", known.join(", "));
        let sizes: Vec<usize> = list("SIZES").iter().filter_map(|text| text.parse().ok()).collect();
        let sizes = match (sizes.is_empty(), is_smoke) {
            (false, _) => sizes,
            (true, true) => vec![2],
            (true, false) => vec![3, 10],
        };
        let seconds = number("OUTAGE").unwrap_or(if is_quick || is_smoke { 10 } else { 60 });
        let (outage, runs) = (Duration::from_secs(seconds), number("RUNS"));
        Options { rows, sizes, outage, runs: runs.map(|runs| runs as usize), is_quick, is_smoke }
    }

    pub(super) fn has(&self, row: &str) -> bool {
        self.rows.iter().any(|wanted| wanted == row)
    }

    /// How often something is done that is done so often in a whole run.
    pub(super) fn runs(&self, whole: usize) -> usize {
        match (self.is_smoke, self.runs) {
            (true, _) => 1,
            (false, Some(runs)) => runs,
            (false, None) if self.is_quick => (whole / 5).max(2),
            (false, None) => whole,
        }
    }

    /// The largest fleet.
    pub(super) fn largest(&self) -> usize {
        self.sizes.iter().copied().max().unwrap_or(1)
    }

    /// How long something is measured that takes so long in a whole run.
    pub(super) fn length(&self, whole: Duration) -> Duration {
        match (self.is_smoke, self.is_quick) {
            (true, _) => whole / 20,
            (false, true) => whole / 3,
            (false, false) => whole,
        }
    }
}

/// Words between commas.
fn list(name: &str) -> Vec<String> {
    let text = std::env::var(name).unwrap_or_default();
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}
