//! The rows of the table: what is measured, what Pointsman must reach, and what it aims at, nginx = 1.00.

use super::configs::Setup;
use super::load::Load;

#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// What `ROWS` names it by; the part before a dash names several.
    pub name: &'static str,
    pub title: &'static str,
    pub what: What,
    pub must: f64,
    pub aim: f64,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// CPU a request, to nginx's.
    Cpu(Setup, Load),
    /// The 99th percentile at 40 % of nginx's highest rate, to nginx's.
    Latency,
    /// Requests a second of two workers, to those of one. Where the load is the limit, as nginx's will do.
    Workers,
}

pub(super) const SMALL: Load = Load::Get { path: "/small", connections: 32 };

const fn get(path: &'static str) -> Load {
    Load::Get { path, connections: 32 }
}

const fn cpu(name: &'static str, title: &'static str, load: Load, must: f64, aim: f64) -> Row {
    Row { name, title, what: What::Cpu(Setup::PLAIN, load), must, aim }
}

/// Nothing must be reached beside a tuned nginx: it shows how much of a ratio is its defaults.
const fn tuned(name: &'static str, title: &'static str, setup: Setup, load: Load) -> Row {
    let what = What::Cpu(Setup { is_nginx_tuned: true, ..setup }, load);
    Row { name, title, what, must: f64::NAN, aim: f64::NAN }
}

const SMALL_256: Load = Load::Get { path: "/small", connections: 256 };

/// Rows of one setup follow each other, so that proxies start once for them.
pub(super) const ROWS: [Row; 17] = [
    cpu("small-32", "small, 32 connections", SMALL, 0.95, 0.93),
    cpu("small-256", "small, 256 connections", SMALL_256, 0.95, 0.93),
    cpu("10k", "10 KB, 32", get("/10k"), 0.95, 0.93),
    cpu("64k", "64 KB, 32", get("/64k"), 0.6, 0.5),
    cpu("1m", "1 MB, 32", get("/1m"), 0.58, 0.5),
    cpu("post", "POST 1 KB, 32", Load::Post, 1.0, 0.93),
    cpu("tls", "TLS kept, 32", Load::Tls, 1.0, 0.95),
    cpu("http2", "HTTP/2 over TLS, 16 × 8 streams", Load::Http2, 0.85, 0.7),
    cpu("handshakes", "TLS handshakes, 16", Load::Handshakes, 0.8, 0.7),
    cpu("close", "a connection a request, 32", Load::Close, 1.1, 1.0),
    Row { name: "latency", title: "p99 at 40 % of nginx's rate", what: What::Latency, must: 1.0, aim: 1.0 },
    Row { name: "workers", title: "two workers to one", what: What::Workers, must: 1.9, aim: 2.0 },
    // At most 1 µs more than the first row: `make bench` has what of it is pure.
    Row {
        name: "values",
        title: "a condition, a look-up, three variables, 32",
        what: What::Cpu(Setup::VALUES, SMALL),
        must: 1.0,
        aim: 0.95,
    },
    // Below 1.05.
    Row {
        name: "log",
        title: "JSON log, small, 32",
        what: What::Cpu(Setup::LOGGED, SMALL),
        must: 1.04,
        aim: 1.0,
    },
    tuned("log-tuned", "the same, nginx tuned", Setup::LOGGED, SMALL),
    tuned("64k-tuned", "64 KB, nginx tuned", Setup::PLAIN, get("/64k")),
    tuned("1m-tuned", "1 MB, nginx tuned", Setup::PLAIN, get("/1m")),
];

impl Row {
    /// Whether `ROWS` names it.
    pub(super) fn is_named(&self, wanted: &[String]) -> bool {
        let group = self.name.split('-').next().unwrap_or_default();
        wanted.iter().any(|name| name == self.name || name == group)
    }

    /// Whether nginx is tuned for it.
    pub(super) fn is_tuned(&self) -> bool {
        self.setup().is_nginx_tuned
    }

    /// Whether a figure is held against nginx's, or says something by itself.
    pub(super) fn is_ratio_to_nginx(&self) -> bool {
        !matches!(self.what, What::Workers)
    }

    pub(super) fn setup(&self) -> Setup {
        match self.what {
            What::Cpu(setup, _) => setup,
            What::Latency | What::Workers => Setup::PLAIN,
        }
    }
}
