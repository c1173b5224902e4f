//! Loads that neither wrk nor h2load can make: requests at a constant rate, and full TLS handshakes. They
//! run in a process of their own, this program by another name, so that they have CPUs of their own.

use super::load::{Said, output};
use super::tls;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

/// The first argument of the process.
pub(super) const COMMAND: &str = "generate";
/// Connections of the constant rate: a request waits for its connection's turn.
const OPEN_CONNECTIONS: usize = 64;
const HANDSHAKES_AT_A_TIME: usize = 16;

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Handshakes,
    /// Requests a second.
    Open {
        rate: f64,
    },
}

/// Has the load made by another process.
pub(super) fn ask(cpus: &str, kind: Kind, address: SocketAddr, length: Duration) -> Said {
    let rate = if let Kind::Open { rate } = kind { rate } else { 0.0 };
    let own = std::env::current_exe().expect("a path");
    let (rate, seconds) = (rate.to_string(), length.as_secs_f64().to_string());
    let text = output(cpus, &own, &[COMMAND, &address.to_string(), &rate, &seconds]);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [requests, per_second, p50_ms, p99_ms, failed] = numbers.try_into().expect("five numbers");
    Said { requests, per_second, p50_ms, p99_ms, failed: failed as u64 }
}

/// The other process: makes the load, and prints what [`ask`] reads.
pub(super) fn run(address: &str, rate: &str, seconds: &str) {
    let address: SocketAddr = address.parse().expect("an address");
    let [rate, seconds] = [rate, seconds].map(|number| number.parse::<f64>().expect("a number"));
    let length = Duration::from_secs_f64(seconds);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let begun = Instant::now();
    let clients = runtime.block_on(async {
        match rate > 0.0 {
            true => open(address, rate, length).await,
            false => handshakes(address, begun + length).await,
        }
    });
    let took = begun.elapsed().as_secs_f64();
    let failed: u64 = clients.iter().map(|client| client.failed).sum();
    let mut waited: Vec<Duration> = clients.into_iter().flat_map(|client| client.waited).collect();
    waited.sort_unstable();
    let at = |share: f64| {
        let index = (waited.len() as f64 * share) as usize;
        waited.get(index).map_or(f64::NAN, |waited| waited.as_secs_f64() * 1000.0)
    };
    let requests = waited.len() as f64;
    println!("{requests} {} {} {} {failed}", requests / took, at(0.5), at(0.99));
}

/// What one client saw.
#[derive(Default)]
struct Client {
    waited: Vec<Duration>,
    failed: u64,
}

impl Client {
    /// Counts a request since it was due.
    fn count(&mut self, due: Instant, good: bool) {
        self.failed += u64::from(!good);
        self.waited.extend(good.then(|| due.elapsed()));
    }
}

/// Every request is due at its time, whether the one before it was answered or not, and waits since then.
async fn open(address: SocketAddr, rate: f64, length: Duration) -> Vec<Client> {
    let (queues, clients): (Vec<_>, Vec<_>) = (0..OPEN_CONNECTIONS).map(|_| at_its_turn(address)).unzip();
    let total = (rate * length.as_secs_f64()) as u64;
    // A thread of its own: tokio's timers count in milliseconds.
    std::thread::spawn(move || {
        let begun = Instant::now();
        for index in 0..total {
            let due = begun + Duration::from_secs_f64(index as f64 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            // How late the thread wakes is no matter of the proxy's.
            queues[index as usize % OPEN_CONNECTIONS].send(Instant::now()).expect("a client listens");
        }
    });
    all(clients).await
}

/// A client with a kept connection, and the times at which its requests are due.
fn at_its_turn(address: SocketAddr) -> (mpsc::UnboundedSender<Instant>, JoinHandle<Client>) {
    let (sender, mut due) = mpsc::unbounded_channel();
    let client = tokio::spawn(async move {
        let (mut client, mut kept, mut buffer) = (Client::default(), None, Vec::new());
        while let Some(due) = due.recv().await {
            let good = async {
                let stream = match kept.take() {
                    Some(stream) => stream,
                    None => connected(address).await?,
                };
                let stream = kept.insert(stream);
                stream.write_all(b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
                answered(stream, &mut buffer).await
            };
            let good = good.await.is_ok();
            client.count(due, good);
            if !good {
                kept = None;
            }
        }
        client
    });
    (sender, client)
}

async fn handshakes(address: SocketAddr, until: Instant) -> Vec<Client> {
    let connector = TlsConnector::from(tls::client(&[b"http/1.1"]));
    let client = |connector: TlsConnector| async move {
        let (mut client, mut buffer) = (Client::default(), Vec::new());
        while Instant::now() < until {
            let begun = Instant::now();
            let good = async {
                let mut stream = connector.connect(tls::name(), connected(address).await?).await?;
                stream
                    .write_all(b"GET /small HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    .await?;
                answered(&mut stream, &mut buffer).await?;
                // The server closes first, so that the port is free again at once. It may say so or not.
                let _ = stream.read(&mut [0; 1]).await;
                Ok::<_, Error>(())
            };
            client.count(begun, good.await.is_ok());
        }
        client
    };
    all((0..HANDSHAKES_AT_A_TIME).map(|_| tokio::spawn(client(connector.clone()))).collect()).await
}

pub(super) async fn connected(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads a whole answer, which must be a 200 with a length.
pub(super) async fn answered(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    buffer: &mut Vec<u8>,
) -> Result<()> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
            let length = length.and_then(|text| text.trim().parse::<usize>().ok());
            let (Some(length), true) = (length, head.starts_with("http/1.1 200")) else {
                return Err(Error::other(head));
            };
            while buffer.len() < end + 4 + length {
                if stream.read_buf(buffer).await? == 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
            return Ok(());
        }
    }
}

async fn all(clients: Vec<JoinHandle<Client>>) -> Vec<Client> {
    let mut seen = Vec::new();
    for client in clients {
        seen.push(client.await.expect("a client"));
    }
    seen
}
