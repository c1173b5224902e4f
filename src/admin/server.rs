//! The listener of the admin API: bounded in connections, and in patience with each.

use super::State;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// Connections at a time; more wait to be accepted.
const CONNECTIONS: u32 = 512;
/// How long the head of a request may take, idle time between two requests included.
const HEAD: Duration = Duration::from_secs(30);
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

/// Serves until the runtime ends, or the doors are shut and every connection has ended.
pub async fn serve(listener: TcpListener, state: State, mut doors: watch::Receiver<Doors>) {
    let service = TowerToHyperService::new(super::router(state));
    let places = Arc::new(Semaphore::new(CONNECTIONS as usize));
    while is_open(&mut doors).await {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = are_not_open(&mut doors) => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("the admin API cannot accept: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD);
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        let mut doors = doors.clone();
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            // What went wrong on a connection is the client's to know.
            tokio::select! {
                _ = connection.as_mut() => (),
                () = are_shut(&mut doors) => {
                    connection.as_mut().graceful_shutdown();
                    let _ = timeout(CLOSING, connection).await;
                }
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
