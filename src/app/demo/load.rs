//! The users of the demo's site: a steady load over kept connections.

use super::{Noted, note, noted};
use crate::observe::clock::Clock;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::{interval, sleep};

const CLIENTS: usize = 20;
/// Each client sends one request in this time: 1,000 a second in all.
const EVERY: Duration = Duration::from_millis(20);
/// A request that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The running load.
#[derive(Debug)]
pub(super) struct Load {
    tally: Arc<Tally>,
    stop: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Tally {
    served: AtomicU64,
    failed: AtomicU64,
    /// When each request was sent (µs on the demo's clock).
    sent: Noted<u64>,
}

impl Load {
    pub(super) fn start(runtime: &Runtime, clock: Clock, to: SocketAddr) -> Self {
        let tally = Arc::new(Tally::default());
        let (stop, stopped) = watch::channel(false);
        for nth in 0..CLIENTS {
            let (tally, mut stopped) = (tally.clone(), stopped.clone());
            // One after the other, as users come.
            let offset = EVERY * nth as u32 / CLIENTS as u32;
            runtime.spawn(async move {
                sleep(offset).await;
                tokio::select! {
                    () = client(clock, to, &tally) => (),
                    // An error means that the load is gone, which is a stop too.
                    _ = stopped.wait_for(|stop| *stop) => (),
                }
            });
        }
        Load { tally, stop }
    }

    pub(super) fn stop(self) {
        self.stop.send_replace(true);
    }

    /// Requests answered well, and all others.
    pub(super) fn served_and_failed(&self) -> (u64, u64) {
        (self.tally.served.load(Ordering::Relaxed), self.tally.failed.load(Ordering::Relaxed))
    }

    pub(super) fn sent_us(&self) -> Vec<u64> {
        noted(&self.tally.sent)
    }

    /// Waits until so many more requests have been answered.
    pub(super) async fn until_more(&self, requests: u64) {
        let all = || {
            let (served, failed) = self.served_and_failed();
            served + failed
        };
        let goal = all() + requests;
        while all() < goal {
            sleep(EVERY).await;
        }
    }
}

async fn client(clock: Clock, to: SocketAddr, tally: &Tally) {
    let mut connection = None;
    let mut beat = interval(EVERY);
    loop {
        beat.tick().await;
        note(&tally.sent, clock.now_us());
        let asked = tokio::time::timeout(TIMEOUT, ask(to, &mut connection)).await;
        if matches!(asked, Ok(Ok(true))) {
            tally.served.fetch_add(1, Ordering::Relaxed);
        } else {
            tally.failed.fetch_add(1, Ordering::Relaxed);
            if !matches!(asked, Ok(Ok(false))) {
                connection = None;
            }
        }
    }
}

type Sender = SendRequest<Empty<Bytes>>;

/// One request: whether its answer was good.
async fn ask(to: SocketAddr, kept: &mut Option<Sender>) -> anyhow::Result<bool> {
    let sender = match kept {
        Some(sender) => sender,
        None => kept.insert(connect(to).await?),
    };
    sender.ready().await?;
    let request = Request::get("/").header(header::HOST, "demo.example").body(Empty::new())?;
    let answer = sender.send_request(request).await?;
    let good = answer.status().is_success();
    answer.into_body().collect().await?;
    Ok(good)
}

async fn connect(to: SocketAddr) -> anyhow::Result<Sender> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // What goes wrong shows in the request.
        let _ = connection.await;
    });
    Ok(sender)
}
