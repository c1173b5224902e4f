//! The table: what was measured, at how many instances, beside what must be reached.

use std::fmt::Write;
use std::time::Duration;

pub(super) struct Report {
    lines: Vec<[String; 5]>,
    load_before: String,
}

impl Report {
    pub(super) fn begin() -> Self {
        Report { lines: Vec::new(), load_before: load() }
    }

    /// Numbers of something, with what their median and the highest may be.
    pub(super) fn counts(&mut self, what: &str, instances: usize, counts: &[u64], must: (u64, Option<u64>)) {
        let sorted = sorted(counts.to_vec());
        let (middle, most) = (at(&sorted, 0.5), at(&sorted, 1.0));
        let figure = format!("median {middle}, max {most}, of {}", counts.len());
        let highest = must.1.map(|most| format!(", max ≤ {most}")).unwrap_or_default();
        let is_met = middle <= must.0 && must.1.is_none_or(|limit| most <= limit);
        self.line(what, instances, figure, format!("median ≤ {}{highest}", must.0), is_met);
    }

    /// Times, with what the median and 99 of a hundred may be, in milliseconds.
    pub(super) fn times(&mut self, what: &str, instances: usize, times: &[Duration], must: (f64, f64)) {
        let ms = sorted(times.iter().map(|time| time.as_micros() as u64).collect());
        let of = |share| at(&ms, share) as f64 / 1000.0;
        let figure =
            format!("p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms, of {}", of(0.5), of(0.99), of(1.0), ms.len());
        let is_met = !ms.is_empty() && of(0.5) <= must.0 && of(0.99) <= must.1;
        self.line(what, instances, figure, format!("p50 ≤ {} ms, p99 ≤ {} ms", must.0, must.1), is_met);
    }

    /// Times of which none may be longer than so many seconds.
    pub(super) fn longest(&mut self, what: &str, instances: usize, times: &[Duration], must_s: f64) {
        let most = times.iter().max().copied().unwrap_or(Duration::MAX);
        let all: Vec<String> = times.iter().map(|time| format!("{:.2}", time.as_secs_f64())).collect();
        let figure = format!("{} s", all.join(", "));
        self.line(what, instances, figure, format!("≤ {must_s} s"), most.as_secs_f64() <= must_s);
    }

    /// One figure with its unit.
    pub(super) fn figure(&mut self, what: &str, instances: usize, (figure, unit): (f64, &str), most: f64) {
        let text = format!("{figure:.2} {unit}");
        self.line(what, instances, text, format!("≤ {most} {unit}"), figure <= most);
    }

    fn line(&mut self, what: &str, instances: usize, figure: String, must: String, is_met: bool) {
        let word = if is_met { "yes" } else { "NO" };
        println!("{what}, {instances} instances: {figure} (must: {must}: {word})");
        self.lines.push([what.to_owned(), instances.to_string(), figure, must, word.to_owned()]);
    }

    /// All of it, as Markdown.
    pub(super) fn print(&self) {
        let mut text =
            String::from("\n| what | instances | measured | must | met |\n|---|---|---|---|---|\n");
        for line in &self.lines {
            writeln!(text, "| {} |", line.join(" | ")).expect("a text");
        }
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!("{text}\n{cores} cores; load average before {}, after {}", self.load_before, load());
    }
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn sorted(mut values: Vec<u64>) -> Vec<u64> {
    values.sort_unstable();
    values
}

/// The value that such a share of all is not above.
fn at(sorted: &[u64], share: f64) -> u64 {
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((last * share).ceil() as usize).copied().unwrap_or(u64::MAX)
}
