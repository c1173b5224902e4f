//! Loads: `wrk`, and one of our own that counts what each client got.

use super::http::Connection;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// A running `wrk`; killed when dropped.
pub struct Wrk(Option<Child>);

/// What `wrk` saw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub requests: u64,
    /// Answers other than 2xx and 3xx.
    pub failed: u64,
    /// Connects, reads, writes and timeouts that failed.
    pub socket_errors: u64,
}

/// Full load on an address for at most so many seconds.
pub fn wrk(address: SocketAddr, connections: usize, seconds: u64) -> Wrk {
    wrk_by(Command::new("wrk"), address, connections, seconds)
}

/// The same by a command to which only its arguments are added.
pub fn wrk_by(mut wrk: Command, address: SocketAddr, connections: usize, seconds: u64) -> Wrk {
    let child = wrk
        .args(["-t1", &format!("-c{connections}"), &format!("-d{seconds}s"), "--timeout", "20s"])
        .arg(format!("http://{address}/"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("wrk is installed: make setup-test");
    Wrk(Some(child))
}

impl Wrk {
    /// Ends it early.
    pub fn stop(self) -> Seen {
        if let Some(child) = &self.0 {
            // SIGINT: it stops and reports.
            let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        }
        self.finish()
    }

    fn finish(mut self) -> Seen {
        let child = self.0.take().expect("it runs");
        let output = child.wait_with_output().expect("an output");
        let text = String::from_utf8_lossy(&output.stdout);
        let number = |line: &str| line.split_whitespace().find_map(|word| word.parse::<u64>().ok());
        let mut seen = Seen::default();
        for line in text.lines() {
            if line.contains(" requests in ") {
                seen.requests = number(line).unwrap_or(0);
            } else if line.contains("Non-2xx") {
                seen.failed = line.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
            } else if line.contains("Socket errors") {
                let numbers = line.split([' ', ',']).filter_map(|word| word.parse::<u64>().ok());
                seen.socket_errors = numbers.sum();
            }
        }
        seen
    }
}

impl Drop for Wrk {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A load of our own: some clients, each with a connection, as fast as they are answered.
pub struct Load {
    counts: Arc<Counts>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    good: AtomicU64,
    failed: AtomicU64,
    broken: AtomicU64,
}

impl Load {
    pub fn start(address: SocketAddr, clients: usize) -> Self {
        Load::on(address, "/", clients)
    }

    /// The same, on a path.
    pub fn on(address: SocketAddr, path: &'static str, clients: usize) -> Self {
        let counts = Arc::new(Counts::default());
        let client = |_| {
            let counts = counts.clone();
            std::thread::spawn(move || client(address, path, &counts))
        };
        Load { clients: (0..clients).map(client).collect(), counts }
    }

    /// Requests answered below 500.
    pub fn good(&self) -> u64 {
        self.counts.good.load(Ordering::SeqCst)
    }

    /// Stops, and tells how many requests were answered below 500, with 500 and above, and not at all.
    pub fn stop(mut self) -> (u64, u64, u64) {
        self.counts.stop.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            client.join().expect("a client panicked");
        }
        let get = |count: &AtomicU64| count.load(Ordering::SeqCst);
        (get(&self.counts.good), get(&self.counts.failed), get(&self.counts.broken))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.counts.stop.store(true, Ordering::SeqCst);
    }
}

fn client(address: SocketAddr, path: &str, counts: &Counts) {
    let mut connection = None;
    while !counts.stop.load(Ordering::SeqCst) {
        let open = match connection.as_mut() {
            Some(open) => open,
            None => match Connection::try_open(address) {
                Ok(open) => connection.insert(open),
                Err(_) => {
                    counts.broken.fetch_add(1, Ordering::SeqCst);
                    std::thread::yield_now();
                    continue;
                }
            },
        };
        let answer = open.get(path);
        let count = match answer.status {
            0 => &counts.broken,
            500.. => &counts.failed,
            _ => &counts.good,
        };
        count.fetch_add(1, Ordering::SeqCst);
        if answer.status == 0 || answer.header("connection") == Some("close") {
            connection = None;
        }
    }
}
