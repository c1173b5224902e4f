//! One round of wrk, with the CPU time the proxy took for it.

use super::proxies::Running;
use std::path::Path;
use std::process::Command;

/// What one round came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// User and system, by the kernel's account of the proxy's processes, µs a request.
    pub cpu_us: f64,
    pub failed: u64,
}

/// Clock ticks a second in `/proc`: 100 on Linux.
const TICK_US: f64 = 10_000.0;

pub(super) fn wrk(proxy: &Running, path: &str, connections: usize, seconds: u64) -> Round {
    let before = ticks(proxy.pid());
    let output = Command::new("taskset")
        .args([
            "-c",
            other_cpu(),
            "wrk",
            "-t1",
            "--latency",
            &format!("-c{connections}"),
            &format!("-d{seconds}s"),
        ])
        .arg(format!("http://{}{path}", proxy.address))
        .output()
        .expect("wrk is installed: make setup-bench");
    let cpu = (ticks(proxy.pid()) - before) as f64 * TICK_US;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = || text.lines().map(str::trim_start);
    // The share of a percentile begins its line; elsewhere other shares stand.
    let is_it =
        |line: &&str, part: &str| line.starts_with(part) || (!part.ends_with('%') && line.contains(part));
    let line = |part: &str| lines().find(|line| is_it(line, part)).unwrap_or_default();
    let last = |part: &str| line(part).split_whitespace().last().unwrap_or_default();
    let requests: f64 =
        line(" requests in ").split_whitespace().next().and_then(|n| n.parse().ok()).expect("requests");
    let failed = last("Non-2xx").parse().unwrap_or(0) + u64::from(!line("Socket errors").is_empty());
    Round {
        per_second: last("Requests/sec").parse().expect("a number"),
        p50_ms: milliseconds(last("50%")),
        p99_ms: milliseconds(last("99%")),
        cpu_us: cpu / requests,
        failed,
    }
}

/// Where the origin and the load run: beside the proxy, where there is another CPU.
pub(super) fn other_cpu() -> &'static str {
    if std::thread::available_parallelism().is_ok_and(|count| count.get() > 1) { "1" } else { "0" }
}

fn milliseconds(text: &str) -> f64 {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().expect("a number");
    match unit {
        "us" => number / 1000.0,
        "s" => number * 1000.0,
        _ => number,
    }
}

/// User and system time of a process and its children that live, in clock ticks.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let field = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let own = field(11) + field(12);
    let children = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(Path::new(&children)).unwrap_or_default();
    own + children.split_whitespace().filter_map(|child| child.parse().ok()).map(ticks).sum::<u64>()
}

pub(super) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
