//! A plain HTTP/1.1 client that shows the bytes: one connection, requests one after the other.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer, whole.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// 0 where the connection closed without one.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Why there is no status.
    pub fault: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}, {}", self.text(), self.fault))
    }
}

/// A GET of a path.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
}

/// One request on a connection of its own.
pub fn send(address: SocketAddr, request: &str) -> Answer {
    Connection::open(address).send(request.as_bytes())
}

pub struct Connection<S = TcpStream> {
    pub reader: BufReader<S>,
}

impl Connection {
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        Connection::try_open(address).expect("a connection")
    }

    pub fn try_open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.set_nodelay(true)?;
        Ok(Connection { reader: BufReader::new(stream) })
    }
}

impl<S: Read + Write> Connection<S> {
    /// Over a stream of another kind: TLS.
    pub fn over(stream: S) -> Self {
        Connection { reader: BufReader::new(stream) }
    }

    pub fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
    }

    pub fn send(&mut self, request: &[u8]) -> Answer {
        if let Err(error) = self.write(request) {
            return Answer { fault: error.to_string(), ..Answer::default() };
        }
        self.answer(request.starts_with(b"HEAD "))
    }

    /// The next answer; interim ones are skipped. Status 0 where the connection closes first.
    pub fn answer(&mut self, is_head: bool) -> Answer {
        self.try_answer(is_head)
            .unwrap_or_else(|error| Answer { fault: error.to_string(), ..Answer::default() })
    }

    fn try_answer(&mut self, is_head: bool) -> std::io::Result<Answer> {
        let mut answer = self.head()?;
        while (100..200).contains(&answer.status) && answer.status != 101 {
            answer = self.head()?;
        }
        if is_head || matches!(answer.status, 101 | 204 | 304) {
            return Ok(answer);
        }
        if answer.header("transfer-encoding").is_some() {
            loop {
                let piece = self.chunk()?;
                if piece.is_empty() {
                    return Ok(answer);
                }
                answer.body.extend(piece);
            }
        }
        match answer.header("content-length").and_then(|length| length.parse().ok()) {
            Some(length) => {
                answer.body = vec![0; length];
                self.reader.read_exact(&mut answer.body)?;
            }
            None => drop(self.reader.read_to_end(&mut answer.body)?),
        }
        Ok(answer)
    }

    pub fn head(&mut self) -> std::io::Result<Answer> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut answer = Answer { status: status.unwrap_or(0), ..Answer::default() };
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                Some((name, value)) => {
                    answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
                }
                None => return Ok(answer),
            }
        }
    }

    pub fn chunk(&mut self) -> std::io::Result<Vec<u8>> {
        let length = usize::from_str_radix(&self.line()?, 16).map_err(std::io::Error::other)?;
        let mut piece = vec![0; length + 2];
        self.reader.read_exact(&mut piece)?;
        piece.truncate(length);
        Ok(piece)
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Whether the other side closes.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.reader.read(&mut [0; 1]), Ok(0))
    }
}
