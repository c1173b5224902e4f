//! Crowds of clients that come, stay, and leave at once.

use crate::generator::{answered, connected};
use crate::proxies::Running;
use crate::tls;
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use std::io::{Error, Result};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How many of a crowd come at a time.
const AT_A_TIME: usize = 16;
/// What an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the kernel takes for a client that does not read: of hundreds on this machine, it is not the question.
const WINDOW: u32 = 64 << 10;

/// What each client of a crowd does before it falls silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One request, answered; the connection is kept.
    Plain,
    Tls,
    Http2,
    /// Nothing.
    Silent,
    /// Asks for 50 MB, and reads none of it.
    Unread,
    UnreadHttp2,
}

enum Client {
    Plain(TcpStream),
    Tls { _stream: Box<TlsStream<TcpStream>> },
    Http2 { _requests: SendRequest<Bytes>, connection: JoinHandle<()> },
}

/// Clients that hold their connections.
pub(super) struct Crowd {
    clients: Vec<Client>,
    /// Clients who were not served in time.
    pub refused: usize,
}

impl Crowd {
    pub(super) async fn enter(kind: Kind, proxy: &Running, count: usize) -> Self {
        let (plain, tls) = (proxy.plain, proxy.tls);
        let part = move |index: usize| count / AT_A_TIME + usize::from(index < count % AT_A_TIME);
        let tasks: Vec<_> = (0..AT_A_TIME)
            .map(|index| {
                tokio::spawn(async move {
                    let mut clients = Vec::new();
                    for _ in 0..part(index) {
                        let client = tokio::time::timeout(PATIENCE, client(kind, plain, tls)).await;
                        clients.extend(client.ok().and_then(Result::ok));
                    }
                    clients
                })
            })
            .collect();
        let mut clients = Vec::new();
        for task in tasks {
            clients.extend(task.await.expect("a part of the crowd"));
        }
        Crowd { refused: count - clients.len(), clients }
    }

    /// How many of some of the clients get an answer to another request on the connection that they kept.
    pub(super) async fn still_served(&mut self, count: usize) -> usize {
        let (mut served, mut buffer) = (0, Vec::new());
        for client in self.clients.iter_mut().take(count) {
            let Client::Plain(stream) = client else { continue };
            served += usize::from(exchange(stream, &mut buffer).await.is_ok());
        }
        served
    }

    /// All connections close at once.
    pub(super) fn leave(self) {
        for client in self.clients {
            if let Client::Http2 { connection, .. } = client {
                connection.abort();
            }
        }
    }
}

/// How many of some new clients are served, one after the other, and how long the slowest waited.
pub(super) async fn others(address: SocketAddr, count: usize) -> (usize, Duration) {
    let (mut served, mut slowest, mut buffer) = (0, Duration::ZERO, Vec::new());
    for _ in 0..count {
        let begun = Instant::now();
        let one = async { exchange(&mut connected(address).await?, &mut buffer).await };
        served += usize::from(tokio::time::timeout(PATIENCE, one).await.is_ok_and(|answer| answer.is_ok()));
        slowest = slowest.max(begun.elapsed());
    }
    (served, slowest)
}

async fn client(kind: Kind, plain: SocketAddr, tls: SocketAddr) -> Result<Client> {
    match kind {
        Kind::Silent => Ok(Client::Plain(connected(plain).await?)),
        Kind::Plain => {
            let mut stream = connected(plain).await?;
            exchange(&mut stream, &mut Vec::new()).await?;
            Ok(Client::Plain(stream))
        }
        Kind::Unread => {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(WINDOW)?;
            let mut stream = socket.connect(plain).await?;
            stream.write_all(b"GET /50m HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
            stream.readable().await?;
            Ok(Client::Plain(stream))
        }
        Kind::Tls => {
            let connector = TlsConnector::from(tls::client(&[b"http/1.1"]));
            let mut stream = Box::new(connector.connect(tls::name(), connected(tls).await?).await?);
            stream.write_all(b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
            answered(&mut stream, &mut Vec::new()).await?;
            Ok(Client::Tls { _stream: stream })
        }
        Kind::Http2 => http2(tls).await,
        Kind::UnreadHttp2 => unread_http2(tls).await,
    }
}

async fn exchange(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<()> {
    stream.write_all(b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    answered(stream, buffer).await
}

async fn http2(address: SocketAddr) -> Result<Client> {
    let connector = TlsConnector::from(tls::client(&[b"h2"]));
    let stream = connector.connect(tls::name(), connected(address).await?).await?;
    let (mut requests, connection) = h2::client::handshake(stream).await.map_err(Error::other)?;
    let connection = tokio::spawn(async move { drop(connection.await) });
    let request = Request::get("https://localhost/small").body(()).map_err(Error::other)?;
    let (response, _) = requests.send_request(request, true).map_err(Error::other)?;
    let response = response.await.map_err(Error::other)?;
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    while let Some(piece) = body.data().await {
        let length = piece.map_err(Error::other)?.len();
        body.flow_control().release_capacity(length).map_err(Error::other)?;
    }
    Ok(Client::Http2 { _requests: requests, connection })
}

/// A client that grants a stream all it may ask for, and whose connection is read by nobody once the answer has begun.
async fn unread_http2(address: SocketAddr) -> Result<Client> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(WINDOW)?;
    let connector = TlsConnector::from(tls::client(&[b"h2"]));
    let stream = connector.connect(tls::name(), socket.connect(address).await?).await?;
    let (most, ahead) = (8 << 20, 4 << 20);
    let mut options = h2::client::Builder::new();
    options.initial_window_size(ahead).initial_connection_window_size(most);
    let (mut requests, mut connection) = options.handshake(stream).await.map_err(Error::other)?;
    let request = Request::get("https://localhost/50m").body(()).map_err(Error::other)?;
    let (mut response, _) = requests.send_request(request, true).map_err(Error::other)?;
    tokio::select! {
        answered = &mut response => drop(answered.map_err(Error::other)?),
        ended = &mut connection => return Err(Error::other(format!("it ended: {ended:?}"))),
    }
    // It is kept, and turns no more.
    let connection = tokio::spawn(async move {
        std::future::pending::<()>().await;
        drop((connection, response));
    });
    Ok(Client::Http2 { _requests: requests, connection })
}
