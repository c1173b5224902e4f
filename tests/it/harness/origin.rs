//! An origin that does as the test says: one thread a connection, plain sockets, nothing hidden.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What an origin does with a request.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// A whole answer: status and body.
    Answer(u16, String),
    /// An answer, after a pause.
    Late(Duration, u16, String),
    /// These bytes, then go on.
    Raw(Vec<u8>),
    /// These bytes, then close.
    RawThenClose(Vec<u8>),
    /// Nothing, for as long as the connection lives.
    Hang,
    /// The connection closes without an answer.
    Close,
    /// After the 101, every byte comes back.
    Upgrade,
    /// The body comes back, piece by piece as it arrives.
    Echo,
    /// The same with a `Content-Type`.
    EchoAs(String),
}

impl Reaction {
    pub fn ok(body: &str) -> Self {
        Reaction::Answer(200, body.to_owned())
    }
}

/// A request as an origin received it.
#[derive(Clone, Debug)]
pub struct Received {
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

type Reactions = dyn Fn(&Received) -> Reaction + Send + Sync;

/// A running origin; it stops accepting when dropped.
pub struct Origin {
    pub address: SocketAddr,
    state: Arc<State>,
}

struct State {
    react: Mutex<Arc<Reactions>>,
    received: Mutex<Vec<Received>>,
    requests: AtomicU64,
    connections: AtomicU64,
    stopped: AtomicBool,
}

impl Origin {
    /// Answers every request 200 with its name.
    pub fn named(name: &str) -> Self {
        let name = name.to_owned();
        Origin::new(move |_| Reaction::ok(&name))
    }

    /// The same at an address of its own.
    pub fn at(address: SocketAddr, name: &str) -> Self {
        let name = name.to_owned();
        Origin::on(TcpListener::bind(address).expect("free"), move |_| Reaction::ok(&name))
    }

    pub fn new(react: impl Fn(&Received) -> Reaction + Send + Sync + 'static) -> Self {
        Origin::on(TcpListener::bind("127.0.0.1:0").expect("a port"), react)
    }

    fn on(listener: TcpListener, react: impl Fn(&Received) -> Reaction + Send + Sync + 'static) -> Self {
        let state = State {
            react: Mutex::new(Arc::new(react)),
            received: Mutex::default(),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        };
        let origin = Origin { address: listener.local_addr().expect("an address"), state: Arc::new(state) };
        let state = origin.state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if state.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let state = state.clone();
                std::thread::spawn(move || state.serve(stream));
            }
        });
        origin
    }

    /// Does something else from now on.
    pub fn react(&self, react: impl Fn(&Received) -> Reaction + Send + Sync + 'static) {
        *self.state.react.lock().expect("no panic") = Arc::new(react);
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Those that brought a request: a check may open one for nothing else.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// The newest request; the last thousand are kept.
    pub fn last(&self) -> Received {
        self.state.received.lock().expect("no panic").last().cloned().expect("a request")
    }

    pub fn all(&self) -> Vec<Received> {
        self.state.received.lock().expect("no panic").clone()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn serve(&self, stream: TcpStream) {
        let mut writer = stream.try_clone().expect("a socket");
        let _ = stream.set_nodelay(true);
        let mut reader = BufReader::new(stream);
        let mut is_counted = false;
        while let Some(mut request) = head(&mut reader) {
            if !std::mem::replace(&mut is_counted, true) {
                self.connections.fetch_add(1, Ordering::SeqCst);
            }
            self.requests.fetch_add(1, Ordering::SeqCst);
            let react = self.react.lock().expect("no panic").clone();
            let reaction = react(&request);
            if let Reaction::Echo | Reaction::EchoAs(_) = &reaction {
                self.note(request.clone());
                let kind = if let Reaction::EchoAs(kind) = &reaction { kind } else { "text/plain" };
                if echo(kind, &request, &mut reader, &mut writer).is_err() {
                    return;
                }
                continue;
            }
            if body(&mut request, &mut reader).is_err() {
                return;
            }
            self.note(request);
            if !self.perform(reaction, &mut reader, &mut writer) {
                return;
            }
        }
    }

    fn note(&self, request: Received) {
        let mut received = self.received.lock().expect("no panic");
        if received.len() >= 1000 {
            received.remove(0);
        }
        received.push(request);
    }

    /// Whether the connection goes on.
    fn perform(&self, reaction: Reaction, reader: &mut BufReader<TcpStream>, writer: &mut TcpStream) -> bool {
        match reaction {
            Reaction::Answer(status, body) => writer.write_all(&answer(status, &body)).is_ok(),
            Reaction::Late(pause, status, body) => {
                std::thread::sleep(pause);
                writer.write_all(&answer(status, &body)).is_ok()
            }
            Reaction::Raw(bytes) => writer.write_all(&bytes).is_ok(),
            Reaction::RawThenClose(bytes) => {
                let _ = writer.write_all(&bytes);
                false
            }
            Reaction::Hang => {
                // Ends when the other side gives up.
                let _ = reader.read(&mut [0; 1]);
                false
            }
            Reaction::Upgrade => {
                let switch =
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                let _ = writer.write_all(switch.as_bytes());
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = reader.read(&mut bytes) {
                    if writer.write_all(&bytes[..count]).is_err() {
                        break;
                    }
                }
                false
            }
            Reaction::Close | Reaction::Echo | Reaction::EchoAs(_) => false,
        }
    }
}

pub fn answer(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn head(reader: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut request = Received { line: line.trim_end().to_owned(), headers: Vec::new(), body: Vec::new() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None => return Some(request),
        }
    }
}

fn body(request: &mut Received, reader: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    if request.header("transfer-encoding").is_some() {
        while let Some(piece) = chunk(reader)? {
            request.body.extend(piece);
        }
    } else if let Some(length) = request.header("content-length").and_then(|text| text.parse().ok()) {
        request.body = vec![0; length];
        reader.read_exact(&mut request.body)?;
    }
    Ok(())
}

fn chunk(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let length = usize::from_str_radix(line.trim_end(), 16).map_err(std::io::Error::other)?;
    let mut piece = vec![0; length + 2];
    reader.read_exact(&mut piece)?;
    piece.truncate(length);
    Ok(Some(piece).filter(|piece| !piece.is_empty()))
}

fn echo(
    kind: &str,
    request: &Received,
    reader: &mut BufReader<TcpStream>,
    writer: &mut TcpStream,
) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
    writer.write_all(head.as_bytes())?;
    let mut send = |piece: &[u8]| -> std::io::Result<()> {
        writer.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
        writer.write_all(piece)?;
        writer.write_all(b"\r\n")
    };
    if request.header("transfer-encoding").is_some() {
        while let Some(piece) = chunk(reader)? {
            send(&piece)?;
        }
    } else {
        let mut left: usize = request.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        let mut bytes = [0; 16384];
        while left > 0 {
            let most = left.min(bytes.len());
            let count = reader.read(&mut bytes[..most])?;
            if count == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            send(&bytes[..count])?;
            left -= count;
        }
    }
    send(b"")
}
