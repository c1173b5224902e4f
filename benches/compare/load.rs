//! One round of a load on one proxy, with the CPU time that the proxy took for it.

use super::generator;
use super::process::Cpus;
use super::proxies::Running;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What one round came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub per_second: f64,
    /// Not a number where the load generator does not say.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// User and system, by the kernel's account of the proxy's processes, µs a request.
    pub cpu_us: f64,
    pub failed: u64,
}

/// What a load generator says.
pub(super) struct Said {
    pub requests: f64,
    pub per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub failed: u64,
}

/// Requests of one kind, as many at a time as there are connections.
#[derive(Clone, Copy, Debug)]
pub(super) enum Load {
    Get {
        path: &'static str,
        connections: usize,
    },
    /// Bodies of 1 KiB.
    Post,
    /// A connection for each request.
    Close,
    Tls,
    /// HTTP/2 over TLS: 16 connections of 8 streams.
    Http2,
    /// A connection and a full handshake for each request.
    Handshakes,
    /// Requests that begin when they are due, so many a second.
    Open {
        rate: f64,
    },
}

impl Load {
    pub(super) fn run(self, proxy: &Running, cpus: Cpus, length: Duration) -> Round {
        let before = proxy.process.cpu_us();
        let said = self.said(proxy, cpus.load, length);
        let cpu = proxy.process.cpu_us() - before;
        Round {
            per_second: said.per_second,
            p50_ms: said.p50_ms,
            p99_ms: said.p99_ms,
            cpu_us: cpu / said.requests,
            failed: said.failed,
        }
    }

    fn said(self, proxy: &Running, cpus: &str, length: Duration) -> Said {
        let (plain, tls) = (format!("http://{}", proxy.plain), format!("https://{}", proxy.tls));
        let wrk = |url: String, connections, more: &[&str]| wrk(cpus, &url, connections, length, more);
        match self {
            Load::Get { path, connections } => wrk(plain + path, connections, &[]),
            Load::Close => wrk(plain + "/small", 32, &["-H", "Connection: close"]),
            Load::Tls => wrk(tls + "/small", 32, &[]),
            Load::Post => {
                let script = tempfile::NamedTempFile::new().expect("a file");
                let text = "wrk.method = 'POST'\nwrk.body = string.rep('x', 1024)\n";
                std::fs::write(script.path(), text).expect("a file");
                wrk(plain + "/post", 32, &["-s", &script.path().display().to_string()])
            }
            Load::Http2 => h2load(cpus, &(tls + "/small"), length),
            Load::Handshakes => generator::ask(cpus, generator::Kind::Handshakes, proxy.tls, length),
            Load::Open { rate } => generator::ask(cpus, generator::Kind::Open { rate }, proxy.plain, length),
        }
    }
}

fn wrk(cpus: &str, url: &str, connections: usize, length: Duration, more: &[&str]) -> Said {
    // Whole seconds are all that wrk takes.
    let seconds = length.as_secs().max(1);
    let fixed = ["-t1", "--latency", &format!("-c{connections}"), &format!("-d{seconds}s")];
    let text = output(cpus, Path::new("wrk"), &[&fixed, more, &[url]].concat());
    let lines = || text.lines().map(str::trim_start);
    // The share of a percentile begins its line; elsewhere other shares stand.
    let is_it =
        |line: &&str, part: &str| line.starts_with(part) || (!part.ends_with('%') && line.contains(part));
    let line = |part: &str| lines().find(|line| is_it(line, part)).unwrap_or_default();
    let last = |part: &str| line(part).split_whitespace().last().unwrap_or_default();
    Said {
        requests: leading(line(" requests in ")),
        per_second: leading(last("Requests/sec")),
        p50_ms: milliseconds(last("50%")),
        p99_ms: milliseconds(last("99%")),
        failed: leading(last("Non-2xx")) as u64 + u64::from(!line("Socket errors").is_empty()),
    }
}

fn h2load(cpus: &str, url: &str, length: Duration) -> Said {
    let duration = format!("-D{}", length.as_secs().max(1));
    let text = output(cpus, Path::new("h2load"), &["-c16", "-m8", "-t1", &duration, url]);
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or_default();
    // `requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout`
    let count = |word: &str| {
        let parts = line("requests:").trim_start_matches("requests:").split(',');
        leading(parts.map(str::trim).find(|part| part.ends_with(word)).unwrap_or_default())
    };
    let rate = line("finished in").split(", ").nth(1).unwrap_or_default();
    Said {
        requests: count("succeeded"),
        per_second: leading(rate),
        p50_ms: f64::NAN,
        p99_ms: f64::NAN,
        failed: ["failed", "errored", "timeout"].map(count).iter().sum::<f64>() as u64,
    }
}

/// What a program prints that runs on some CPUs alone.
pub(super) fn output(cpus: &str, program: &Path, arguments: &[&str]) -> String {
    let output = Command::new("taskset").args(["-c", cpus]).arg(program).args(arguments).output();
    let output = output.expect("the load generators are installed: make setup-bench");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {arguments:?}: {errors}", program.display());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The number that a text begins with; 0 without one.
fn leading(text: &str) -> f64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

fn milliseconds(text: &str) -> f64 {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().unwrap_or(f64::NAN);
    match unit {
        "us" => number / 1000.0,
        "s" => number * 1000.0,
        _ => number,
    }
}
