//! A server of `grpc.health.v1.Health/Check` over HTTP/2 in the clear, that answers as the test says.

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A serving status, or a status of gRPC with its message.
type Said = Result<u8, (u16, &'static str)>;

/// A running server.
pub struct GrpcServer {
    pub address: SocketAddr,
    state: Arc<State>,
    _runtime: Runtime,
}

#[derive(Default)]
struct State {
    /// By service; one that is not there is not found.
    said: Mutex<HashMap<String, Said>>,
    /// What came as `x-key`.
    key: Mutex<Option<String>>,
}

impl GrpcServer {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(State::default());
        let server = GrpcServer { address, state: state.clone(), _runtime: runtime };
        server._runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = state.clone();
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(answer(state.clone(), request, respond));
                    }
                });
            }
        });
        server
    }

    /// What is said of a service from now on; of the server as a whole where it has no name.
    pub fn set(&self, service: &str, said: Said) {
        self.state.said.lock().expect("no panic").insert(service.to_owned(), said);
    }

    pub fn last_key(&self) -> Option<String> {
        self.state.key.lock().expect("no panic").clone()
    }
}

async fn answer(state: Arc<State>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let (head, mut body) = request.into_parts();
    let mut message = Vec::new();
    while let Some(Ok(piece)) = body.data().await {
        message.extend_from_slice(&piece);
    }
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if let Some(key) = header("x-key") {
        *state.key.lock().expect("no panic") = Some(key);
    }
    let is_grpc = head.uri.path() == "/grpc.health.v1.Health/Check"
        && header("content-type").as_deref() == Some("application/grpc")
        && header("te").as_deref() == Some("trailers");
    // The frame's prefix, and the tag and the length of the name.
    let service = String::from_utf8(message.get(7..).unwrap_or_default().to_vec()).expect("a name");
    let said =
        state.said.lock().expect("no panic").get(&service).copied().unwrap_or(Err((5, "unknown service")));
    let said = if is_grpc { said } else { Err((3, "no proper call")) };
    let head = Response::builder().header("content-type", "application/grpc");
    match said {
        Ok(status) => {
            let head = head.body(()).expect("a head");
            let Ok(mut out) = respond.send_response(head, false) else { return };
            let _ = out.send_data(Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]), false);
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let _ = out.send_trailers(trailers);
        }
        Err((code, why)) => {
            let head = head.header("grpc-status", code).header("grpc-message", why).body(()).expect("a head");
            let _ = respond.send_response(head, true);
        }
    }
}
