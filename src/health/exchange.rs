//! One request and its answer, over a connection of its own: what checks, smoke tests and scrapes share.
//!
//! It asks an upstream directly, over the [`Transport`] of its pool, and judges nothing: an answer is an
//! answer, whatever its status. How long it may take is up to the caller, since what must be in time
//! differs; how much of the body is read is bounded here, since an upstream that is out of order may send
//! without end.

use super::transport::{Opened, Transport};
use crate::core::own_limit::OwnLimit;
use crate::core::upstream_address::UpstreamAddress;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, Version, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};

/// What is asked.
#[derive(Clone)]
pub(super) struct Ask<'a> {
    pub method: Method,
    pub path: &'a str,
    /// The Host header.
    pub host: &'a str,
    pub agent: &'static str,
    /// Sent beside those that every request has, or in their place.
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The most of the body that is read, in bytes.
    pub limit: usize,
    pub over: &'a Transport,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Its first [`Ask::limit`] bytes at most.
    pub body: Bytes,
    /// Whether that is all of it.
    pub whole: bool,
    /// What came behind the body.
    pub trailers: HeaderMap,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// This process is short of something: nothing is known about the upstream.
    Ours(OwnLimit),
    /// A few words about what went wrong.
    Theirs(String),
}

impl From<String> for Failed {
    fn from(why: String) -> Self {
        Failed::Theirs(why)
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failed::Ours(limit) => write!(f, "our own limit: {}", limit.label()),
            Failed::Theirs(why) => f.write_str(why),
        }
    }
}

impl Ask<'_> {
    /// Connects, asks and reads the answer.
    ///
    /// # Errors
    /// No connection, no HTTP, a body that breaks off.
    pub(super) async fn of(&self, address: UpstreamAddress) -> Result<Answer, Failed> {
        Ok(self.on(self.over.open(address).await?).await?)
    }

    /// Asks on a connection.
    ///
    /// # Errors
    /// No HTTP, a body that breaks off.
    pub(super) async fn on(&self, opened: Opened) -> Result<Answer, String> {
        let io = TokioIo::new(opened);
        let refused = |error| format!("connect: {error}");
        let request = self.request().map_err(|error| format!("the request cannot be made: {error}"))?;
        if self.over.http2 {
            let shaken = http2::handshake(TokioExecutor::new(), io).await;
            let (mut sender, connection) = shaken.map_err(refused)?;
            self.exchange(sender.send_request(request), connection).await
        } else {
            let (mut sender, connection) = http1::handshake(io).await.map_err(refused)?;
            self.exchange(sender.send_request(request), connection).await
        }
    }

    async fn exchange(
        &self,
        answer: impl Future<Output = hyper::Result<Response<Incoming>>>,
        connection: impl Future,
    ) -> Result<Answer, String> {
        let exchange = async {
            let answer = answer.await.map_err(|error| format!("no proper answer: {}", innermost(&error)))?;
            self.read(answer).await.map_err(|error| format!("the body: {}", innermost(&error)))
        };
        tokio::pin!(exchange);
        tokio::pin!(connection);
        tokio::select! {
            result = &mut exchange => result,
            // The connection ends when the answer is complete, or breaks; the exchange knows which.
            _ = &mut connection => exchange.await,
        }
    }

    fn request(&self) -> http::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .header(header::USER_AGENT, self.agent)
            .header(header::ACCEPT, "*/*");
        request = if self.over.http2 {
            let scheme = self.over.scheme();
            request.version(Version::HTTP_2).uri(format!("{scheme}://{}{}", self.host, self.path))
        } else {
            request.uri(self.path).header(header::HOST, self.host).header(header::CONNECTION, "close")
        };
        // Where a body has a meaning, its absence must be said: some servers answer 411 otherwise.
        let may_be_empty = ![Method::POST, Method::PUT, Method::PATCH].contains(&self.method);
        if !self.body.is_empty() || !may_be_empty {
            request = request.header(header::CONTENT_LENGTH, self.body.len());
        }
        let mut request = request.body(Full::new(self.body.clone()))?;
        for name in self.headers.keys() {
            request.headers_mut().remove(name);
        }
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        Ok(request)
    }

    async fn read(&self, answer: Response<Incoming>) -> Result<Answer, hyper::Error> {
        let (head, mut body) = answer.into_parts();
        let (mut read, mut trailers, mut whole) = (BytesMut::new(), HeaderMap::new(), true);
        while let Some(frame) = body.frame().await {
            match frame?.into_data() {
                Ok(data) => {
                    let room = self.limit - read.len();
                    read.extend_from_slice(&data[..data.len().min(room)]);
                    whole = data.len() <= room;
                }
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
            if !whole {
                break;
            }
        }
        let (status, headers) = (head.status.as_u16(), head.headers);
        Ok(Answer { status, headers, body: read.freeze(), whole, trailers })
    }
}

/// The reason at the bottom, which is the one that helps.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    /// An origin that answers every connection with what `answer` makes of the request (head and body as
    /// text); `None` leaves it without an answer.
    pub(in crate::health) async fn origin<F>(answer: F) -> SocketAddr
    where
        F: Fn(&str) -> Option<Vec<u8>> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let request = request(&mut stream).await;
                    match answer(&request) {
                        Some(answer) => stream.write_all(&answer).await.expect("written"),
                        None => std::future::pending().await,
                    }
                });
            }
        });
        address
    }

    async fn request(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        let mut part = [0; 4096];
        loop {
            let n = stream.read(&mut part).await.expect("a request");
            text.push_str(std::str::from_utf8(&part[..n]).expect("text"));
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().expect("a length"))
            });
            if n == 0 || body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
    }

    /// A whole answer with a body.
    pub(in crate::health) fn answered(status: u16, body: &str) -> Option<Vec<u8>> {
        Some(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes())
    }

    /// An address where nobody listens: bound to the end of the process, so that no other test gets it.
    pub(in crate::health) fn nobody() -> SocketAddr {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("bound");
        let address = socket.local_addr().expect("an address");
        std::mem::forget(socket);
        address
    }

    fn plain() -> Transport {
        Transport::to("app:80", false, None)
    }

    fn ask<'a>(path: &'a str, over: &'a Transport) -> Ask<'a> {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        let (method, host, agent) = (Method::GET, "app:80", "pointsman-test");
        Ask { method, path, host, agent, headers, body, limit: 8, over }
    }

    /// The status, the body, and whether it is all of it.
    async fn asked(ask: Ask<'_>, address: SocketAddr) -> (u16, String, bool) {
        let answer = ask.of(address.into()).await.expect("an answer");
        (answer.status, String::from_utf8(answer.body.to_vec()).expect("text"), answer.whole)
    }

    #[tokio::test]
    async fn what_is_sent_is_what_was_asked() {
        let seen = Arc::new(Mutex::new(String::new()));
        let kept = seen.clone();
        let address = origin(move |request| {
            *kept.lock().expect("whole") = request.to_owned();
            answered(200, "ok")
        });
        let (address, plain) = (address.await, plain());
        let post = Ask { method: Method::POST, ..ask("/api?x=1", &plain) };
        assert_eq!(asked(post.clone(), address).await, (200, "ok".to_owned(), true));
        let request = seen.lock().expect("whole").clone();
        assert!(request.starts_with("POST /api?x=1 HTTP/1.1\r\n"), "{request}");
        for header in ["host: app:80", "user-agent: pointsman-test", "connection: close", "content-length: 0"]
        {
            assert!(request.contains(&format!("\r\n{header}\r\n")), "{header} in {request}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, "own".parse().expect("a value"));
        headers.insert("x-key", "7".parse().expect("a value"));
        asked(Ask { headers, body: "{}".into(), ..post }, address).await;
        let request = seen.lock().expect("whole").clone();
        for part in ["\r\nuser-agent: own\r\n", "\r\nx-key: 7\r\n", "\r\ncontent-length: 2\r\n", "\r\n\r\n{}"]
        {
            assert!(request.contains(part), "{part} in {request}");
        }
        assert!(!request.contains("pointsman-test"), "{request}");
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit() {
        for (body, expected, whole) in
            [("12345678", "12345678", true), ("123456789", "12345678", false), ("", "", true)]
        {
            let address = origin(move |_| answered(503, body)).await;
            assert_eq!(asked(ask("/", &plain()), address).await, (503, expected.to_owned(), whole));
        }
        let endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n5\r\n67890\r\n";
        let address = origin(|_| Some(endless.to_vec())).await;
        assert_eq!(asked(ask("/", &plain()), address).await, (200, "12345678".to_owned(), false));
    }

    #[tokio::test]
    async fn what_is_no_answer_is_told() {
        let error = ask("/", &plain()).of(nobody().into()).await.expect_err("nobody listens").to_string();
        assert!(error.starts_with("connect: "), "{error}");
        let broken = origin(|_| Some(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab".to_vec())).await;
        let error = ask("/", &plain()).of(broken.into()).await.expect_err("cut short").to_string();
        assert!(error.starts_with("the body: "), "{error}");
        let strange = origin(|_| Some(b"SSH-2.0-OpenSSH\r\n".to_vec())).await;
        let error = ask("/", &plain()).of(strange.into()).await.expect_err("no HTTP").to_string();
        assert!(error.starts_with("no proper answer: "), "{error}");
        let error = ask("/ä b", &plain()).of(strange.into()).await.expect_err("no path").to_string();
        assert!(error.starts_with("the request cannot be made: "), "{error}");
    }
}
