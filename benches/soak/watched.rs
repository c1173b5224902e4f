//! What a process uses, and whether that stays flat.

use std::time::{Duration, Instant};

/// At one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    pub at_s: f64,
    pub rss_kib: f64,
    pub descriptors: f64,
    pub threads: f64,
}

/// All samples of one process.
pub(super) struct Watched {
    pid: u32,
    since: Instant,
    samples: Vec<Use>,
}

impl Watched {
    pub(super) fn new(pid: u32) -> Self {
        Watched { pid, since: Instant::now(), samples: Vec::new() }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    pub(super) fn sample(&mut self) -> Use {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("it runs");
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            line.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or(0.0)
        };
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.pid)).expect("it runs").count();
        let sample = Use {
            at_s: self.since.elapsed().as_secs_f64(),
            rss_kib: number("VmRSS:"),
            descriptors: descriptors as f64,
            threads: number("Threads:"),
        };
        self.samples.push(sample);
        sample
    }

    /// The slopes over the last two thirds: by then caches and pools are full.
    pub(super) fn report(&self) {
        let from = self.samples.last().map_or(0.0, |last| last.at_s / 3.0);
        let late: Vec<_> = self.samples.iter().filter(|sample| sample.at_s >= from).collect();
        for (name, unit, allowed, figure) in [
            ("memory", "KiB", 0.05, (|sample| sample.rss_kib) as fn(&Use) -> f64),
            ("descriptors", "", 0.10, |sample| sample.descriptors),
            ("threads", "", 0.05, |sample| sample.threads),
        ] {
            let points: Vec<_> = late.iter().map(|sample| (sample.at_s, figure(sample))).collect();
            let mean = points.iter().map(|(_, y)| y).sum::<f64>() / points.len().max(1) as f64;
            let slope = slope(&points);
            let length =
                points.last().map_or(0.0, |last| last.0) - points.first().map_or(0.0, |first| first.0);
            let growth = slope * length / mean.max(1.0);
            println!(
                "  {name}: mean {mean:.0} {unit}, slope over the last two thirds {:+.2} {unit} a minute, {:+.2} % in all: {}",
                slope * 60.0,
                growth * 100.0,
                if growth.abs() <= allowed { "flat" } else { "NOT FLAT" }
            );
        }
    }
}

/// Least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len().max(1) as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let over: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let under: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if under == 0.0 { 0.0 } else { over / under }
}
