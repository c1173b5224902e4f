//! An origin that speaks HTTP/2 alone and keeps what it is sent; its answers are as the path says.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// A request that came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub method: Method,
    pub path: String,
    pub host: String,
    pub length: Option<String>,
    pub body: Vec<u8>,
}

pub struct H2Origin {
    pub address: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
    _runtime: tokio::runtime::Runtime,
}

impl H2Origin {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let taken = Arc::new(Mutex::new(Vec::new()));
        let log = taken.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let log = log.clone();
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(serve(request, respond, log.clone()));
                    }
                });
            }
        });
        H2Origin { address, taken, _runtime: runtime }
    }

    /// What came since the last call.
    pub fn take(&self) -> Vec<Taken> {
        std::mem::take(&mut *self.taken.lock().expect("no panic"))
    }
}

async fn serve(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    log: Arc<Mutex<Vec<Taken>>>,
) {
    let (head, mut body) = request.into_parts();
    let text =
        |name: &str| head.headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    let mut taken = Taken {
        method: head.method.clone(),
        path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        host: head.uri.authority().map(ToString::to_string).unwrap_or_default(),
        length: text("content-length"),
        body: Vec::new(),
    };
    while let Some(piece) = body.data().await {
        let Ok(piece) = piece else { return };
        let _ = body.flow_control().release_capacity(piece.len());
        taken.body.extend_from_slice(&piece);
    }
    let said = format!("{} {} {}", taken.method, taken.path, taken.body.len());
    let shape = head.uri.query().unwrap_or_default().to_owned();
    log.lock().expect("no panic").push(taken);
    let _ = answer(&mut respond, &shape, said.into_bytes());
}

/// The answer in the wanted shape.
fn answer(
    respond: &mut h2::server::SendResponse<Bytes>,
    shape: &str,
    said: Vec<u8>,
) -> Result<(), h2::Error> {
    let mut head = Response::builder().header("content-type", "text/plain");
    if shape.contains("length") {
        head = head.header("content-length", said.len());
    }
    if let Some(status) = shape.split("status=").nth(1) {
        head = head.status(status.get(..3).unwrap_or_default());
    }
    let mut out = respond.send_response(head.body(()).expect("a head"), false)?;
    let half = said.len() / 2;
    out.send_data(Bytes::copy_from_slice(&said[..half]), false)?;
    if shape.contains("empty") {
        out.send_data(Bytes::new(), false)?;
    }
    if shape.contains("breaks") {
        out.send_reset(h2::Reason::INTERNAL_ERROR);
        return Ok(());
    }
    let rest = Bytes::copy_from_slice(&said[half..]);
    if shape.contains("trailers") {
        out.send_data(rest, false)?;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-late", HeaderValue::from_static("y"));
        return out.send_trailers(trailers);
    }
    if shape.contains("ended") {
        out.send_data(rest, false)?;
        return out.send_data(Bytes::new(), true);
    }
    out.send_data(rest, true)
}
