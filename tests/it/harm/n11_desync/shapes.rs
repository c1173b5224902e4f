//! Bodies of every shape, as clients of both protocols send them.

use crate::harness::{Answer, Connection};
use crate::hostile::h2::{DATA, END_HEADERS, END_STREAM, GOAWAY, H2, HEADERS, RST_STREAM, block, request};
use std::net::SocketAddr;

/// The pieces of a body, and how it ends.
#[derive(Clone, Debug)]
pub struct Shape {
    pub name: &'static str,
    pub method: &'static str,
    pieces: Vec<Vec<u8>>,
    /// Of HTTP/2: an empty piece ends it.
    ends_empty: bool,
    has_trailers: bool,
    /// Whether its length is named; another one than it has.
    length: Length,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    None,
    True,
    /// By so many bytes too long, or too short.
    Off(isize),
}

impl Shape {
    pub fn body(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    /// Whether it is a request at all.
    pub fn is_sound(&self) -> bool {
        !matches!(self.length, Length::Off(_))
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let length = self.body().len() as isize;
        match self.length {
            Length::None => Vec::new(),
            Length::True => vec![("content-length", length.to_string())],
            Length::Off(by) => vec![("content-length", (length + by).to_string())],
        }
    }
}

pub fn all() -> Vec<Shape> {
    let shape = |name, pieces: &[&[u8]], ends_empty, has_trailers, length| Shape {
        name,
        method: "PUT",
        pieces: pieces.iter().map(|piece| piece.to_vec()).collect(),
        ends_empty,
        has_trailers,
        length,
    };
    let large = [b'x'; 9000];
    let smuggled: &[u8] = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    vec![
        shape("empty", &[], false, false, Length::None),
        shape("empty, of known length", &[], false, false, Length::True),
        shape("empty, ended by an empty piece", &[], true, false, Length::None),
        shape("empty, of known length, ended by an empty piece", &[], true, false, Length::True),
        shape("one piece", &[b"hello"], false, false, Length::None),
        shape("one piece of known length", &[b"hello"], false, false, Length::True),
        shape("one piece, ended by an empty one", &[b"hello"], true, false, Length::None),
        shape("one piece of known length, ended by an empty one", &[b"hello"], true, false, Length::True),
        shape("many pieces", &[b"a", b"bc", &large, b"d"], false, false, Length::None),
        shape("many pieces, ended by an empty one", &[b"a", &large, &large, b"d"], true, false, Length::None),
        shape("empty pieces between", &[b"", b"a", b"", b"", b"b", b""], true, false, Length::None),
        shape("nothing but empty pieces", &[b"", b"", b""], true, false, Length::None),
        shape("trailers", &[b"hello"], false, true, Length::None),
        shape("trailers after an empty piece", &[b"hello", b""], false, true, Length::None),
        shape("trailers alone", &[], false, true, Length::None),
        shape("trailers and a known length", &[b"hello"], false, true, Length::True),
        shape("a request in it", &[smuggled], true, false, Length::None),
        shape("a length that is too long", &[b"hello"], true, false, Length::Off(3)),
        shape("a length that is too short", &[b"hello"], true, false, Length::Off(-3)),
        shape("a length of nothing", &[b"hello"], true, false, Length::Off(-5)),
    ]
}

/// A client that sends one request after the other on one connection.
pub enum Client {
    Http1(Connection),
    Http2 { h2: H2, stream: u32 },
}

impl Client {
    pub fn http1(address: SocketAddr) -> Self {
        Client::Http1(Connection::open(address))
    }

    pub fn http2(address: SocketAddr) -> Self {
        let h2 = H2::plain(address).and_then(H2::begun).expect("a connection");
        Client::Http2 { h2, stream: 1 }
    }

    /// The status and the body of the answer; 0 for none.
    pub fn get(&mut self, path: &str) -> (u16, String) {
        match self {
            Client::Http1(connection) => said(&connection.get(path)),
            Client::Http2 { h2, stream } => {
                let sent = h2.get(*stream, path);
                sent.map_or((0, String::new()), |()| answer(h2, stream))
            }
        }
    }

    /// Sends a request with a body of this shape; what is answered.
    pub fn send(&mut self, path: &str, shape: &Shape) -> (u16, String) {
        match self {
            Client::Http1(connection) => said(&connection.send(&http1(path, shape))),
            Client::Http2 { h2, stream } => {
                let sent = http2(h2, *stream, path, shape);
                sent.map_or((0, String::new()), |()| answer(h2, stream))
            }
        }
    }
}

fn said(answer: &Answer) -> (u16, String) {
    (answer.status, answer.text())
}

fn http1(path: &str, shape: &Shape) -> Vec<u8> {
    let mut bytes = format!("{} {path} HTTP/1.1\r\nHost: localhost\r\n", shape.method).into_bytes();
    if let Some((name, value)) = shape.fields().first() {
        bytes.extend(format!("{name}: {value}\r\n\r\n").bytes());
        bytes.extend(shape.body());
        return bytes;
    }
    bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
    for piece in shape.pieces.iter().filter(|piece| !piece.is_empty()) {
        bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
        bytes.extend(piece);
        bytes.extend(b"\r\n");
    }
    bytes.extend(if shape.has_trailers { &b"0\r\nX-Late: y\r\n\r\n"[..] } else { b"0\r\n\r\n" });
    bytes
}

fn http2(h2: &mut H2, stream: u32, path: &str, shape: &Shape) -> std::io::Result<()> {
    let fields = shape.fields();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let ends = shape.pieces.is_empty() && !shape.ends_empty && !shape.has_trailers;
    let end = |is_last: bool| if is_last { END_STREAM } else { 0 };
    h2.frame(HEADERS, END_HEADERS | end(ends), stream, &request(shape.method, path, &fields))?;
    for (index, piece) in shape.pieces.iter().enumerate() {
        let is_last = index + 1 == shape.pieces.len() && !shape.ends_empty && !shape.has_trailers;
        h2.frame(DATA, end(is_last), stream, piece)?;
    }
    if shape.ends_empty {
        h2.frame(DATA, end(!shape.has_trailers), stream, b"")?;
    }
    if shape.has_trailers {
        h2.frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[(b"x-late", b"y")]))?;
    }
    Ok(())
}

/// The answer on a stream; the next one is used then.
fn answer(h2: &mut H2, stream: &mut u32) -> (u16, String) {
    let (mine, mut status, mut body) = (*stream, 0, Vec::new());
    *stream += 2;
    while let Ok(Some(frame)) = h2.next() {
        match frame.kind {
            GOAWAY => break,
            _ if frame.stream != mine => continue,
            HEADERS if status == 0 => status = frame.status(),
            DATA => body.extend_from_slice(&frame.payload),
            RST_STREAM => break,
            _ => {}
        }
        if frame.flags & END_STREAM != 0 && matches!(frame.kind, HEADERS | DATA) {
            break;
        }
    }
    (status, String::from_utf8_lossy(&body).into_owned())
}
