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
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS: u32 = 512;
/// How long the head of a request may take, idle time between two requests included.
const HEAD: Duration = Duration::from_secs(30);
/// A TLS handshake must end within this.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Pause after an accept that failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long an answer that is on its way may take once the doors are shut.
const CLOSING: Duration = Duration::from_secs(2);

/// Whether new connections are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doors {
    Open,
    /// They wait, for this process or another that listens on the same socket.
    Held,
    /// Never again; connections that are open end with the answer that is on its way.
    Shut,
}

type Api = TowerToHyperService<Router>;

/// Serves until the runtime ends, or the doors are shut and every connection has ended.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    state: State,
    mut doors: watch::Receiver<Doors>,
) {
    let api = TowerToHyperService::new(super::router(state));
    let tls = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(CONNECTIONS as usize));
    while is_open(&mut doors).await {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = are_not_open(&mut doors) => continue,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("the admin API cannot accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, api, doors) = (tls.clone(), api.clone(), doors.clone());
        tokio::spawn(async move {
            match tls {
                Some(tls) => https(stream, peer, &tls, api, doors).await,
                None => http(stream, None, api, doors).await,
            }
            drop(place);
        });
    }
    drop(listener);
    // Each ends within its time.
    let _ = places.acquire_many(CONNECTIONS).await;
}

/// Waits while the doors are held; false once they are shut.
async fn is_open(doors: &mut watch::Receiver<Doors>) -> bool {
    doors.wait_for(|doors| *doors != Doors::Held).await.is_ok_and(|doors| *doors == Doors::Open)
}

async fn are_not_open(doors: &mut watch::Receiver<Doors>) {
    // An error means that nobody is there to open them again.
    let _ = doors.wait_for(|doors| *doors != Doors::Open).await;
}

/// Without anybody to shut them they stay as they are.
async fn are_shut(doors: &mut watch::Receiver<Doors>) {
    if doors.wait_for(|doors| *doors == Doors::Shut).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn https(
    stream: TcpStream,
    peer: SocketAddr,
    tls: &TlsAcceptor,
    api: Api,
    doors: watch::Receiver<Doors>,
) {
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let presented = certificate.map(|certificate| Presented(tls::common_name(certificate).into()));
            http(stream, presented, api, doors).await;
        }
        Ok(Err(error)) => tracing::warn!(%peer, "the admin API refused a TLS handshake: {error}"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake with the admin API took longer than {HANDSHAKE:?}"),
    }
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    presented: Option<Presented>,
    api: Api,
    mut doors: watch::Receiver<Doors>,
) {
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        if let Some(presented) = &presented {
            request.extensions_mut().insert(presented.clone());
        }
        api.call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    // What went wrong on a connection is the client's to know.
    tokio::select! {
        _ = connection.as_mut() => (),
        () = are_shut(&mut doors) => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(CLOSING, connection).await;
        }
    }
}
