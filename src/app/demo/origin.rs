//! One version of the small app.

use super::{Noted, clear, note, noted};
use crate::observe::clock::Clock;
use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};

/// What a version does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behaviour {
    pub version: &'static str,
    /// Share of requests that fail, 0–1.
    pub failing: f64,
}

impl Behaviour {
    pub(super) fn healthy(version: &'static str) -> Self {
        Behaviour { version, failing: 0.0 }
    }
}

/// A running origin; it ends with the runtime.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub address: SocketAddr,
    clock: Clock,
    behaviour: Arc<ArcSwap<Behaviour>>,
    /// When requests came in, and when they were failed (µs on the demo's clock).
    arrivals: Noted<u64>,
    failures: Noted<u64>,
}

impl Origin {
    pub(super) async fn start(clock: Clock, behaviour: Behaviour) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let origin = Origin {
            address: listener.local_addr()?,
            clock,
            behaviour: Arc::new(ArcSwap::from_pointee(behaviour)),
            arrivals: Noted::default(),
            failures: Noted::default(),
        };
        tokio::spawn(origin.clone().serve(listener));
        Ok(origin)
    }

    /// Another version is deployed in its place; its requests are counted again.
    pub(super) fn become_version(&self, behaviour: Behaviour) {
        self.behaviour.store(Arc::new(behaviour));
        clear(&self.arrivals);
        clear(&self.failures);
    }

    pub(super) fn arrivals_us(&self) -> Vec<u64> {
        noted(&self.arrivals)
    }

    pub(super) fn failures_us(&self) -> Vec<u64> {
        noted(&self.failures)
    }

    async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(self.clone().connection(stream));
        }
    }

    async fn connection(self, stream: TcpStream) {
        let answer = service_fn(|request: Request<Incoming>| {
            let answer = self.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        // The proxy closes idle connections as it likes.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let behaviour = self.behaviour.load();
        let mut status = StatusCode::OK;
        if request.uri().path() != "/health" {
            note(&self.arrivals, self.clock.now_us());
            if rand::random::<f64>() < behaviour.failing {
                note(&self.failures, self.clock.now_us());
                status = StatusCode::INTERNAL_SERVER_ERROR;
            }
        }
        let mut response = Response::new(Full::from(behaviour.version));
        *response.status_mut() = status;
        response
    }
}
