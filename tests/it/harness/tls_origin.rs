//! An origin behind TLS, for either version of HTTP, that notes how it was greeted.

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// A request as the origin saw it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub version: Version,
    /// The name that was asked for.
    pub sni: Option<String>,
    /// Whether the client has shown a certificate.
    pub client: bool,
    /// The number of its connection.
    pub connection: u64,
}

/// A running origin; it answers everything with a small JSON document.
pub struct TlsOrigin {
    pub address: SocketAddr,
    state: Arc<State>,
    _runtime: Runtime,
}

struct State {
    config: Mutex<Arc<ServerConfig>>,
    asked: Mutex<Vec<Asked>>,
    connections: Mutex<u64>,
}

impl TlsOrigin {
    pub fn start(config: Arc<ServerConfig>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let state =
            State { config: Mutex::new(config), asked: Mutex::default(), connections: Mutex::default() };
        let origin = TlsOrigin { address, state: Arc::new(state), _runtime: runtime };
        let state = origin.state.clone();
        origin._runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(state.clone(), stream));
            }
        });
        origin
    }

    /// Greets new connections in another way from now on.
    pub fn greet_by(&self, config: Arc<ServerConfig>) {
        *self.state.config.lock().expect("no panic") = config;
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().expect("no panic").clone()
    }

    /// The newest request for a path.
    #[track_caller]
    pub fn last(&self, path: &str) -> Asked {
        self.asked().into_iter().rfind(|asked| asked.path == path).expect("a request")
    }

    pub fn was_asked(&self, path: &str) -> bool {
        self.asked().iter().any(|asked| asked.path == path)
    }
}

async fn serve(state: Arc<State>, stream: TcpStream) {
    let config = state.config.lock().expect("no panic").clone();
    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else { return };
    let session = stream.get_ref().1;
    let (sni, client) = (session.server_name().map(str::to_owned), session.peer_certificates().is_some());
    let is_h2 = session.alpn_protocol() == Some(b"h2");
    let connection = {
        let mut connections = state.connections.lock().expect("no panic");
        *connections += 1;
        *connections
    };
    let answer = service_fn(move |request: Request<Incoming>| {
        let (path, version) = (request.uri().path().to_owned(), request.version());
        let asked = Asked { path, version, sni: sni.clone(), client, connection };
        state.asked.lock().expect("no panic").push(asked);
        async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{\"db\": 3}")))) }
    });
    let io = TokioIo::new(stream);
    // Whoever goes away is none of the test's business.
    if is_h2 {
        let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(io, answer).await;
    } else {
        let _ = http1::Builder::new().serve_connection(io, answer).await;
    }
}
