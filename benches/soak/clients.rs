//! Every kind of client, each a thread that goes on until it is told to stop.

use super::harness::{Connection, LARGE};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two requests of a client: it is the kinds that count, not the load.
const PAUSE: Duration = Duration::from_millis(3);
/// Bytes of a body that is sent.
const POSTED: usize = 64 * 1024;

/// What the clients of one kind saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub good: AtomicU64,
    pub bad: AtomicU64,
}

impl Seen {
    fn count(&self, good: bool) {
        let count = if good { &self.good } else { &self.bad };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// One exchange: whether it went as it should. It gets its own connection to keep, if it wants to.
type Exchange = fn(SocketAddr, &mut Option<Connection>) -> bool;

pub(super) const KINDS: [(&str, usize, Exchange); 9] = [
    ("GET small, kept", 4, small),
    ("GET small, closed", 1, closed),
    ("GET 256 KiB", 1, large),
    ("POST 64 KiB", 1, post),
    ("404", 1, missing),
    ("WebSocket", 1, websocket),
    ("gone in the answer", 1, gone_in_the_answer),
    ("gone in the body", 1, gone_in_the_body),
    ("slow reader", 1, slow_reader),
];

/// The clients at work.
pub(super) struct Clients {
    stop: Arc<AtomicBool>,
    pub seen: Vec<(&'static str, Arc<Seen>)>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    pub(super) fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (mut seen, mut threads) = (Vec::new(), Vec::new());
        for (name, count, exchange) in KINDS {
            let counts = Arc::new(Seen::default());
            for _ in 0..count {
                let (stop, counts) = (stop.clone(), counts.clone());
                threads.push(std::thread::spawn(move || {
                    let mut kept = None;
                    while !stop.load(Ordering::Relaxed) {
                        counts.count(exchange(address, &mut kept));
                        std::thread::sleep(PAUSE);
                    }
                }));
            }
            seen.push((name, counts));
        }
        Clients { stop, seen, threads }
    }

    pub(super) fn stop(self) -> Vec<(&'static str, u64, u64)> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a client panicked");
        }
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        self.seen.iter().map(|(name, seen)| (*name, get(&seen.good), get(&seen.bad))).collect()
    }
}

/// A request on the connection that is kept, or on a new one.
fn on_kept(address: SocketAddr, kept: &mut Option<Connection>, path: &str, status: u16) -> bool {
    let Some(mut connection) = kept.take().or_else(|| Connection::try_open(address).ok()) else {
        return false;
    };
    let answer = connection.get(path);
    if answer.header("connection") != Some("close") && answer.status != 0 {
        *kept = Some(connection);
    }
    answer.status == status
}

fn small(address: SocketAddr, kept: &mut Option<Connection>) -> bool {
    on_kept(address, kept, "/", 200)
}

fn closed(address: SocketAddr, _: &mut Option<Connection>) -> bool {
    let Ok(mut connection) = Connection::try_open(address) else { return false };
    let answer = connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    answer.status == 200 && connection.is_closed()
}

fn large(address: SocketAddr, _: &mut Option<Connection>) -> bool {
    let Ok(mut connection) = Connection::try_open(address) else { return false };
    let answer = connection.get("/large");
    answer.status == 200 && answer.body.len() == LARGE
}

fn post(address: SocketAddr, kept: &mut Option<Connection>) -> bool {
    let Some(mut connection) = kept.take().or_else(|| Connection::try_open(address).ok()) else {
        return false;
    };
    let mut request =
        format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {POSTED}\r\n\r\n").into_bytes();
    request.resize(request.len() + POSTED, b'p');
    let answer = connection.send(&request);
    let good = answer.status == 200 && answer.body.len() == POSTED;
    if good && answer.header("connection") != Some("close") {
        *kept = Some(connection);
    }
    good
}

fn missing(address: SocketAddr, kept: &mut Option<Connection>) -> bool {
    on_kept(address, kept, "/missing", 404)
}

fn websocket(address: SocketAddr, _: &mut Option<Connection>) -> bool {
    let Ok(mut connection) = Connection::try_open(address) else { return false };
    let hello = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    if connection.send(hello).status != 101 {
        return false;
    }
    (0..20).all(|n: u8| {
        let mut back = [0; 100];
        connection.write(&[n; 100]).is_ok()
            && connection.reader.read_exact(&mut back).is_ok()
            && back == [n; 100]
    })
}

/// Leaves in the middle of what it asked for.
fn gone_in_the_answer(address: SocketAddr, _: &mut Option<Connection>) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let asked = stream.write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").is_ok();
    asked && stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0)
}

fn gone_in_the_body(address: SocketAddr, _: &mut Option<Connection>) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let asked =
        stream.write_all(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc").is_ok();
    asked && stream.shutdown(Shutdown::Both).is_ok()
}

/// Takes a second for what others take at once.
fn slow_reader(address: SocketAddr, _: &mut Option<Connection>) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let request = b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    if stream.write_all(request).is_err() {
        return false;
    }
    let (mut bytes, mut total) = ([0; 8192], 0);
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        total += count;
        std::thread::sleep(Duration::from_millis(30));
    }
    total > LARGE
}
