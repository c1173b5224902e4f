//! The listener of the admin API: bounded in connections, and in patience with each. HTTP, or HTTPS
//! where it has certificates; whoever must show one too and does not is out before any HTTP.

use super::State;
use super::auth::Presented;
use crate::tls;
use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS: usize = 512;
/// How long the head of a request may take, idle time between two requests included.
const HEAD: Duration = Duration::from_secs(30);
/// A TLS handshake must end within this.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Pause after an accept that failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Api = TowerToHyperService<Router>;

/// Serves until the runtime ends.
pub async fn serve(listener: TcpListener, tls: Option<Arc<ServerConfig>>, state: State) {
    let api = TowerToHyperService::new(super::router(state));
    let tls = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("the admin API cannot accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, api) = (tls.clone(), api.clone());
        tokio::spawn(async move {
            match tls {
                Some(tls) => https(stream, peer, &tls, api).await,
                None => http(stream, None, api).await,
            }
            drop(place);
        });
    }
}

async fn https(stream: TcpStream, peer: SocketAddr, tls: &TlsAcceptor, api: Api) {
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let presented = certificate.map(|certificate| Presented(tls::common_name(certificate).into()));
            http(stream, presented, api).await;
        }
        Ok(Err(error)) => tracing::warn!(%peer, "the admin API refused a TLS handshake: {error}"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake with the admin API took longer than {HANDSHAKE:?}"),
    }
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin, presented: Option<Presented>, api: Api) {
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        if let Some(presented) = &presented {
            request.extensions_mut().insert(presented.clone());
        }
        api.call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    // What went wrong on a connection is the client's to know.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}
