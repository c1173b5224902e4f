//! An open load of a bounded rate, over several instances.

use super::harness::Connection;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Requests a second, of all instances together; half of them go to the candidate.
pub(super) const RATE: u32 = 100;

pub(super) struct Load {
    counts: Arc<Counts>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    requests: AtomicU64,
    failed: AtomicU64,
}

impl Load {
    /// One client at each address.
    pub(super) fn start(addresses: &[SocketAddr]) -> Self {
        let counts = Arc::new(Counts::default());
        let (begun, clients) = (Instant::now(), addresses.len() as u32);
        let every = Duration::from_secs(1) * clients / RATE;
        let client = |(n, address): (u32, &SocketAddr)| {
            let (counts, address, due) = (counts.clone(), *address, begun + every * n / clients);
            std::thread::spawn(move || counts.send(address, due, every))
        };
        Load { clients: (0..).zip(addresses).map(client).collect(), counts }
    }

    /// Stops; requests in all, and those that were answered with 500 and above or not at all.
    pub(super) fn stop(self) -> (u64, u64) {
        self.counts.stop.store(true, Ordering::SeqCst);
        self.clients.into_iter().for_each(|client| client.join().expect("a client panicked"));
        (self.counts.requests.load(Ordering::SeqCst), self.counts.failed.load(Ordering::SeqCst))
    }
}

impl Counts {
    fn send(&self, address: SocketAddr, mut due: Instant, every: Duration) {
        let mut connection = None;
        while !self.stop.load(Ordering::SeqCst) {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            due += every;
            if connection.is_none() {
                connection = Connection::try_open(address).ok();
            }
            let status = connection.as_mut().map_or(0, |open: &mut Connection| open.get("/").status);
            self.requests.fetch_add(1, Ordering::SeqCst);
            if status == 0 {
                connection = None;
            }
            if status == 0 || status >= 500 {
                self.failed.fetch_add(1, Ordering::SeqCst);
            }
        }
    }
}
