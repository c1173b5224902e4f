//! A client of HTTP/2 that does nothing by itself: frames are written as given, and what comes back is
//! shown frame by frame.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const PRIORITY_FLAG: u8 = 32;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long to wait for a frame that should come.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The number at this place of the payload.
    pub fn number(&self, at: usize) -> u32 {
        let bytes = self.payload.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    }

    /// The status of a block of header fields, which the server begins with it.
    pub fn status(&self) -> u16 {
        let mut block = &self.payload[..];
        while let Some((0x20..=0x3f, rest)) = block.split_first() {
            block = rest;
        }
        match block {
            [0x88, ..] => 200,
            [0x89, ..] => 204,
            [0x8b, ..] => 304,
            [0x8c, ..] => 400,
            [0x8d, ..] => 404,
            [0x8e, ..] => 500,
            // A literal for the name `:status`.
            [0x08 | 0x18 | 0x48, length, value @ ..] => digits(*length, value),
            _ => 0,
        }
    }
}

/// Three digits, plain or by Huffman's code.
fn digits(length: u8, value: &[u8]) -> u16 {
    let value = &value[..value.len().min(usize::from(length & 0x7f))];
    if length & 0x80 == 0 {
        return std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    }
    let bits: Vec<u8> = value.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)).collect();
    let take = |at: usize, count: usize| {
        bits.get(at..at + count).map(|b| b.iter().fold(0, |n, bit| n << 1 | u16::from(*bit)))
    };
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let digit = match (take(at, 5), take(at, 6)) {
            (Some(short @ 0..=2), _) => {
                at += 5;
                short
            }
            (_, Some(long @ 0b011001..=0b011111)) => {
                at += 6;
                long - 0b011001 + 3
            }
            _ => return 0,
        };
        number = number * 10 + digit;
    }
    number
}

/// A block of header fields: each a literal with its name, not indexed, not compressed.
pub fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        text(&mut bytes, name);
        text(&mut bytes, value);
    }
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &[u8]) {
    if text.len() < 127 {
        bytes.push(text.len() as u8);
    } else {
        bytes.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            bytes.push((rest % 128) as u8 | 0x80);
            rest /= 128;
        }
        bytes.push(rest as u8);
    }
    bytes.extend_from_slice(text);
}

/// The fields of an ordinary request.
pub fn get(path: &str) -> Vec<u8> {
    request("GET", path, &[])
}

pub fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut fields: Vec<(&[u8], &[u8])> = vec![
        (b":method", method.as_bytes()),
        (b":scheme", b"https"),
        (b":path", path.as_bytes()),
        (b":authority", b"localhost"),
    ];
    fields.extend(more.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    block(&fields)
}

/// TLS or a bare socket.
trait Io: Read + Write + Send {}

impl<T: Read + Write + Send> Io for T {}

pub struct H2 {
    io: Box<dyn Io>,
    read: Vec<u8>,
}

impl H2 {
    /// TLS, and nothing more.
    pub fn connect(address: SocketAddr, root: &CertificateDer<'static>) -> std::io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).map_err(std::io::Error::other)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from("localhost").map_err(std::io::Error::other)?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
        let stream = StreamOwned::new(connection, socket(address)?);
        Ok(H2 { io: Box::new(stream), read: Vec::new() })
    }

    /// A bare connection.
    pub fn plain(address: SocketAddr) -> std::io::Result<Self> {
        Ok(H2 { io: Box::new(socket(address)?), read: Vec::new() })
    }

    /// Ready for requests, over TLS.
    pub fn open(address: SocketAddr, root: &CertificateDer<'static>) -> std::io::Result<Self> {
        H2::connect(address, root)?.begun()
    }

    /// Ready for requests: the preface and both sides' settings are exchanged. Header compression is off.
    pub fn begun(mut self) -> std::io::Result<Self> {
        self.raw(PREFACE)?;
        self.frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0])?;
        self.frame(SETTINGS, ACK, 0, &[])?;
        let acknowledged = self.find(|frame| frame.kind == SETTINGS && frame.flags & ACK != 0);
        acknowledged.map(|_| self).ok_or_else(|| std::io::Error::other("no settings"))
    }

    pub fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.io.write_all(bytes)?;
        self.io.flush()
    }

    pub fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> std::io::Result<()> {
        self.raw(&frame(kind, flags, stream, payload))
    }

    /// A request without a body.
    pub fn get(&mut self, stream: u32, path: &str) -> std::io::Result<()> {
        self.frame(HEADERS, END_HEADERS | END_STREAM, stream, &get(path))
    }

    /// The next frame; `None` when the connection has ended.
    ///
    /// # Errors
    /// When none comes in time.
    pub fn next(&mut self) -> std::io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.cut() {
                return Ok(Some(frame));
            }
            let mut piece = [0; 16384];
            match self.io.read(&mut piece) {
                Ok(0) => return Ok(None),
                Ok(count) => self.read.extend_from_slice(&piece[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(error);
                }
                // Without a last word of TLS, or by a reset.
                Err(_) => return Ok(None),
            }
        }
    }

    fn cut(&mut self) -> Option<Frame> {
        let head = self.read.get(..9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let payload = self.read.get(9..9 + length)?.to_vec();
        self.read.drain(..9 + length);
        Some(Frame { kind, flags, stream, payload })
    }

    /// The first frame that is wanted; others are dropped. `None` where it does not come in time.
    pub fn find(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            let frame = self.next().ok()??;
            if wanted(&frame) {
                return Some(frame);
            }
        }
        None
    }

    /// The same, where interim answers may come before.
    pub fn final_status(&mut self, stream: u32) -> u16 {
        loop {
            match self.status(stream) {
                100..200 => {}
                status => return status,
            }
        }
    }

    /// The status a stream is answered with; 0 where it is not.
    pub fn status(&mut self, stream: u32) -> u16 {
        let mine = |frame: &Frame| {
            frame.stream == stream && matches!(frame.kind, HEADERS | RST_STREAM) || frame.kind == GOAWAY
        };
        self.find(mine).filter(|frame| frame.kind == HEADERS).map_or(0, |frame| frame.status())
    }
}

fn socket(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A certificate for `localhost`: the key of a listener that names it, and the certificate itself.
pub fn certificate(dir: &std::path::Path) -> (String, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (dir.join("localhost.pem"), dir.join("localhost.key"));
    std::fs::write(&cert, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    let tls = format!(
        "tls = {{ certificates = [{{ cert = \"{}\", key = \"{}\" }}] }}",
        cert.display(),
        key.display()
    );
    (tls, made.cert.der().clone())
}
