//! Many slow clients, and what they cost the others.

use super::harness::{Connection, Nginx, Pointsman, blue_green, eventually};
use super::watched::Watched;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Clients beside them, and their pause between two requests.
const CLIENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(2);

pub(super) fn run(connections: usize, length: Duration) {
    let nginx = Nginx::start(&["blue", "green"]);
    let listener = "[[listeners]]\naddress = \"127.0.0.1:0\"\n\
                    limits = { requests_per_connection = 1000000 }\n\
                    timeouts = { header = \"300s\" }\n";
    let text = listener.to_owned() + &blue_green(nginx.addresses[0], nginx.addresses[1]);
    let pointsman = Pointsman::start(&text);
    let http = pointsman.http();
    let mut watched = Watched::new(pointsman.pid());
    // Warm.
    measure(http, length / 6);
    let without = measure(http, length / 2);
    let before = watched.sample();
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..connections {
        let mut stream = TcpStream::connect(http).expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX: ").expect("written");
        slow.push(stream);
    }
    eventually("all are accepted", || watched.sample().descriptors >= connections as f64);
    let stop = Arc::new(AtomicBool::new(false));
    let dripping = drip(slow, stop.clone());
    let with = measure(http, length);
    let during = watched.sample();
    stop.store(true, Ordering::Relaxed);
    let (slow, cut) = dripping.join().expect("it drips");
    drop(slow);
    println!(
        "slow: {connections} heads that drip, held for {length:?}, {cut} of them cut; RSS {:.0} KiB before, {:.0} with them \
         ({:.1} KiB each)",
        before.rss_kib,
        during.rss_kib,
        (during.rss_kib - before.rss_kib) / connections as f64
    );
    for (name, seen) in [("without them", &without), ("beside them", &with)] {
        println!(
            "  {name}: {} requests, {} wrong, p50 {:.2} ms, p99 {:.2} ms, longest {:.1} ms",
            seen.latencies_ms.len(),
            seen.wrong,
            seen.quantile(0.5),
            seen.quantile(0.99),
            seen.quantile(1.0)
        );
    }
    println!("  p99 beside them to p99 without: {:.2}", with.quantile(0.99) / without.quantile(0.99));
    assert_eq!((without.wrong, with.wrong), (0, 0));
}

/// A byte on every connection now and then; how many were closed meanwhile.
fn drip(mut slow: Vec<TcpStream>, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<(Vec<TcpStream>, usize)> {
    std::thread::spawn(move || {
        let mut cut = 0;
        while !stop.load(Ordering::Relaxed) {
            for part in slow.chunks_mut(100) {
                cut += part.iter_mut().filter_map(|stream| stream.write_all(b"y").err()).count();
                std::thread::sleep(Duration::from_millis(50));
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
        (slow, cut)
    })
}

/// What the other clients saw.
#[derive(Debug, Default)]
struct Seen {
    /// In order.
    latencies_ms: Vec<f64>,
    wrong: usize,
}

impl Seen {
    fn quantile(&self, share: f64) -> f64 {
        let last = self.latencies_ms.len().saturating_sub(1);
        self.latencies_ms.get((last as f64 * share) as usize).copied().unwrap_or(f64::NAN)
    }
}

fn measure(address: SocketAddr, length: Duration) -> Seen {
    let client = move || {
        let (since, mut seen) = (Instant::now(), Seen::default());
        let mut connection = Connection::open(address);
        while since.elapsed() < length {
            let asked = Instant::now();
            let answer = connection.get("/");
            seen.latencies_ms.push(asked.elapsed().as_secs_f64() * 1000.0);
            if answer.status != 200 {
                seen.wrong += 1;
                connection = Connection::open(address);
            }
            std::thread::sleep(PAUSE);
        }
        seen
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| std::thread::spawn(client)).collect();
    let mut all = Seen::default();
    for client in clients {
        let seen = client.join().expect("a client panicked");
        all.latencies_ms.extend(seen.latencies_ms);
        all.wrong += seen.wrong;
    }
    all.latencies_ms.sort_by(f64::total_cmp);
    all
}
