//! HTTP/2 on both sides of the product: an origin that does as the test says, and a client that sends a
//! body as slowly as it is told.

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// What an origin does with a request whose body it has read.
#[derive(Clone, Debug)]
pub enum Reaction {
    Answer(u16, String),
    /// Nothing, for as long as the stream lives.
    Hang,
    /// `RST_STREAM` with REFUSED_STREAM, before anything of the request has been looked at.
    Refuse,
    /// A head at once, and a body that goes on until the stream ends.
    Trickle,
}

type Reactions = dyn Fn(&Parts) -> Reaction + Send + Sync;

/// A running origin of HTTP/2 in the clear.
pub struct Origin {
    pub address: SocketAddr,
    requests: Arc<AtomicU64>,
    _runtime: tokio::runtime::Runtime,
}

impl Origin {
    pub fn new(react: impl Fn(&Parts) -> Reaction + Send + Sync + 'static) -> Self {
        let runtime = runtime();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let requests = Arc::new(AtomicU64::new(0));
        let (count, react): (_, Arc<Reactions>) = (requests.clone(), Arc::new(react));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, react.clone(), count.clone()));
            }
        });
        Origin { address, requests, _runtime: runtime }
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

pub async fn serve(stream: TcpStream, react: Arc<Reactions>, count: Arc<AtomicU64>) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        count.fetch_add(1, Ordering::SeqCst);
        let react = react.clone();
        tokio::spawn(answer(request, respond, react));
    }
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    react: Arc<Reactions>,
) {
    let (parts, mut body) = request.into_parts();
    let reaction = react(&parts);
    if let Reaction::Refuse = reaction {
        return respond.send_reset(h2::Reason::REFUSED_STREAM);
    }
    while let Some(Ok(piece)) = body.data().await {
        let _ = body.flow_control().release_capacity(piece.len());
    }
    match reaction {
        Reaction::Answer(status, text) => {
            let head = Response::builder().status(status).body(()).expect("a head");
            if let Ok(mut out) = respond.send_response(head, false) {
                let _ = out.send_data(text.into(), true);
            }
        }
        Reaction::Hang => {
            // Ends when the other side gives up.
            let _ = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
        }
        Reaction::Trickle => {
            let head = Response::builder().status(200).body(()).expect("a head");
            let Ok(mut out) = respond.send_response(head, false) else { return };
            while out.send_data("x".into(), false).is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Reaction::Refuse => {}
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// A client's connection.
pub struct Client(h2::client::SendRequest<Bytes>);

impl Client {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let (send, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Client(send)
    }

    /// Status and body of the answer; 0 where there is none. The pieces of the body are sent with a pause
    /// before each.
    pub async fn send(&self, method: &str, path: &str, pieces: &[(Duration, &'static str)]) -> (u16, String) {
        self.try_send(method, path, pieces).await.unwrap_or_default()
    }

    async fn try_send(
        &self,
        method: &str,
        path: &str,
        pieces: &[(Duration, &'static str)],
    ) -> Result<(u16, String), h2::Error> {
        let uri = format!("http://localhost{path}");
        let request = Request::builder().method(method).uri(uri).body(()).expect("a request");
        let mut send = self.0.clone().ready().await?;
        let (answer, mut body) = send.send_request(request, pieces.is_empty())?;
        let upload = async {
            for (index, (pause, piece)) in pieces.iter().enumerate() {
                tokio::time::sleep(*pause).await;
                if body.send_data(Bytes::from_static(piece.as_bytes()), index + 1 == pieces.len()).is_err() {
                    break;
                }
            }
        };
        let (answer, ()) = tokio::join!(answer, upload);
        let (head, mut stream) = answer?.into_parts();
        let mut text = Vec::new();
        while let Some(piece) = stream.data().await {
            let piece = piece?;
            let _ = stream.flow_control().release_capacity(piece.len());
            text.extend_from_slice(&piece);
        }
        Ok((head.status.as_u16(), String::from_utf8_lossy(&text).into_owned()))
    }

    /// Begins a request with a body that never ends, and gives it up after a while.
    pub async fn begin_and_leave(&self, path: &str, after: Duration) {
        let uri = format!("http://localhost{path}");
        let request = Request::builder().method("POST").uri(uri).body(()).expect("a request");
        let Ok(mut send) = self.0.clone().ready().await else { return };
        let Ok((answer, mut body)) = send.send_request(request, false) else { return };
        let _ = body.send_data("begun".into(), false);
        tokio::time::sleep(after).await;
        body.send_reset(h2::Reason::CANCEL);
        drop(answer);
    }
}
