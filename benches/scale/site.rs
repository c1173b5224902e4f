//! A site with many services of which one is used, and what its process costs.

use super::harness::{Connection, Pointsman, whole};
use std::fmt::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// `web` and others that nobody asks for, each with two pools.
pub(super) struct Site {
    pub services: usize,
    /// Of each pool.
    pub upstreams: usize,
    pub blue: SocketAddr,
    /// Fails.
    pub red: SocketAddr,
}

impl Site {
    pub(super) fn start(&self) -> Pointsman {
        let dir = TempDir::new().expect("a directory");
        std::fs::write(dir.path().join("pointsman.toml"), whole(&self.config())).expect("a file");
        match std::env::var_os("SCALE_BINARY") {
            Some(binary) => Pointsman::start_by(&mut Command::new(binary), dir),
            None => Pointsman::start_in(dir),
        }
    }

    fn config(&self) -> String {
        let mut text = String::from(
            "[policies.default]\nerror_rate = { warning = \"0.5%\", critical = \"1%\" }\nlatency_p95 = { critical = \"2s\" }\n\
             [[routes]]\nservice = \"web\"\n",
        );
        let mut next = 0;
        for n in 0..self.services {
            let name = if n == 0 { "web".to_owned() } else { format!("service{n:04}") };
            if n > 0 {
                writeln!(text, "[[routes]]\nhosts = [\"{name}.example\"]\nservice = \"{name}\"")
                    .expect("a text");
            }
            write!(
                text,
                "[services.{name}]\nstable = \"blue\"\npolicy = \"default\"\n\
                 [services.{name}.rollout]\nsteps = [{{ weight = 50, hold = \"1h\" }}, {{ weight = 100 }}]\n"
            )
            .expect("a text");
            for (pool, address) in [("blue", self.blue), ("red", self.red)] {
                let upstreams: Vec<String> =
                    (0..self.upstreams).map(|m| self.upstream(n, m, address, &mut next)).collect();
                writeln!(text, "[services.{name}.pools.{pool}]\nupstreams = [{}]", upstreams.join(", "))
                    .expect("a text");
            }
        }
        text
    }

    /// Of the first service, our origins; of the others, addresses of which nobody is asked.
    fn upstream(&self, service: usize, index: usize, origin: SocketAddr, next: &mut u32) -> String {
        *next += 1;
        let [_, b, c, d] = next.to_be_bytes();
        match service {
            0 if index == 0 => format!("\"{origin}\""),
            0 => format!("{{ address = \"127.{b}.{c}.{d}:{}\", backup = true }}", origin.port()),
            _ => format!("\"127.{b}.{c}.{d}:9\""),
        }
    }
}

/// A call of the admin API with a body.
pub(super) fn call(method: &str, path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// User and system time of a process so far.
pub(super) fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let field = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis((field(11) + field(12)) * 10)
}

pub(super) fn memory_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Some requests a second, of several clients.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub(super) fn start(address: SocketAddr, rate: u32) -> Self {
        const CLIENTS: u32 = 5;
        let stop = Arc::new(AtomicBool::new(false));
        let (begun, every) = (Instant::now(), Duration::from_secs(1) * CLIENTS / rate);
        let client = |n: u32| {
            let stop = stop.clone();
            std::thread::spawn(move || {
                let mut due = begun + every * n / CLIENTS;
                let mut connection = Connection::open(address);
                while !stop.load(Ordering::Relaxed) {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    due += every;
                    if connection.get("/").status == 0 {
                        connection = Connection::open(address);
                    }
                }
            })
        };
        Load { clients: (0..CLIENTS).map(client).collect(), stop }
    }

    pub(super) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().for_each(|client| client.join().expect("a client panicked"));
    }
}
