//! Clients with names of their own, who ask for several things and do not wait for ever.

use crate::harness::Connection;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What one client asks next, by its number and how often it has asked: method and path.
type Asks = dyn Fn(usize, u64) -> (&'static str, String) + Send + Sync;

/// Clients at work; they stop when this is dropped.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

impl Traffic {
    /// So many, who leave when an answer is not whole within their `patience`.
    pub fn start(
        address: SocketAddr,
        clients: usize,
        patience: Duration,
        asks: impl Fn(usize, u64) -> (&'static str, String) + Send + Sync + 'static,
    ) -> Self {
        let asks: Arc<Asks> = Arc::new(asks);
        let (stop, requests, failed) = (Arc::default(), Arc::default(), Arc::default());
        let mut traffic = Traffic { stop, requests, failed, clients: Vec::new() };
        for number in 0..clients {
            let (stop, asks) = (traffic.stop.clone(), asks.clone());
            let (requests, failed) = (traffic.requests.clone(), traffic.failed.clone());
            traffic.clients.push(std::thread::spawn(move || {
                let mut connection: Option<Connection> = None;
                for turn in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let (method, path) = asks(number, turn);
                    let status = ask(&mut connection, address, number, patience, (method, &path));
                    requests.fetch_add(1, Ordering::SeqCst);
                    failed.fetch_add(u64::from(status >= 500), Ordering::SeqCst);
                }
            }));
        }
        traffic
    }

    /// All clients ask for `/`.
    pub fn plain(address: SocketAddr, patience: Duration) -> Self {
        Self::start(address, 8, patience, |_, _| ("GET", "/".to_owned()))
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Answers of 500 and above.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::SeqCst)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            let _ = client.join();
        }
    }
}

/// The status; 0 where the client left or was left.
fn ask(
    connection: &mut Option<Connection>,
    address: SocketAddr,
    number: usize,
    patience: Duration,
    (method, path): (&str, &str),
) -> u16 {
    let open = match connection {
        Some(open) => open,
        None => {
            let Ok(stream) = std::net::TcpStream::connect(address) else { return 0 };
            stream.set_read_timeout(Some(patience)).expect("a time");
            connection.insert(Connection::over(stream))
        }
    };
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.{number}\r\n{length}\r\n");
    let sent = open.write(head.as_bytes());
    let answer = if sent.is_ok() { Some(open.answer(false)) } else { None };
    let status = answer.as_ref().filter(|answer| answer.fault.is_empty()).map_or(0, |answer| answer.status);
    if status == 0 || answer.is_some_and(|answer| answer.header("connection") == Some("close")) {
        *connection = None;
    }
    status
}
