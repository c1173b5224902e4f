//! One upstream's check: a plain HTTP/1.1 request, now and then.

use super::targets::Target;
use crate::control::command::{Controller, Input};
use crate::core::settings::Health;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

/// The most of an answer's body that is read.
const MAX_BODY: usize = 64 * 1024;

/// Checks until the controller stops: the first time at once, then spread over the interval.
pub(super) async fn run(controller: Controller, target: Target, address: SocketAddr) {
    let Some(health) = target.health.clone() else { return };
    let mut ticks = interval_at(first_tick(&target, &health), health.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let result = match timeout(health.timeout, check(&health, &target.upstream, address)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {:?}", health.timeout)),
        };
        let input = Input::Health {
            service: target.service.clone(),
            pool: target.pool.clone(),
            upstream: target.upstream.clone(),
            address,
            result,
        };
        if !controller.tell(input).await {
            return;
        }
        ticks.tick().await;
    }
}

/// Upstreams start their rounds apart, so that a hundred checks do not fire at once.
#[allow(clippy::disallowed_methods, reason = "the timer's own clock")]
fn first_tick(target: &Target, health: &Health) -> Instant {
    let mut hasher = DefaultHasher::new();
    (&target.service, &target.pool, &target.upstream).hash(&mut hasher);
    let part = (hasher.finish() % 1000) as f64 / 1000.0;
    Instant::now() + Duration::from_millis(1) + health.interval.mul_f64(part)
}

async fn check(health: &Health, label: &str, address: SocketAddr) -> Result<(), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| format!("connect: {error}"))?;
    let request = Request::get(&health.path)
        .header(header::HOST, health.host.as_deref().unwrap_or(label))
        .header(header::USER_AGENT, "pointsman-health")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| format!("the request cannot be made: {error}"))?;
    let exchange = async {
        let answer =
            sender.send_request(request).await.map_err(|error| format!("no proper answer: {error}"))?;
        let status = answer.status().as_u16();
        Limited::new(answer.into_body(), MAX_BODY)
            .collect()
            .await
            .map_err(|error| format!("the body: {error}"))?;
        let (low, high) = health.expect;
        if (low..=high).contains(&status) { Ok(()) } else { Err(format!("status {status}")) }
    };
    tokio::pin!(exchange);
    tokio::pin!(connection);
    tokio::select! {
        result = &mut exchange => result,
        // The connection ends when the answer is complete, or breaks; the exchange knows which.
        _ = &mut connection => exchange.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    fn health() -> Health {
        Health {
            path: "/health".into(),
            interval: Duration::from_secs(2),
            timeout: Duration::from_millis(300),
            rise: 2,
            fall: 3,
            expect: (200, 399),
            host: None,
        }
    }

    /// Answers one connection with the given bytes, then holds or closes it.
    async fn server(answer: &'static [u8], hold: bool) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut head = [0; 1024];
            let n = stream.read(&mut head).await.expect("a request");
            assert!(head[..n].starts_with(b"GET /health HTTP/1.1\r\n"));
            stream.write_all(answer).await.expect("written");
            if hold {
                std::future::pending::<()>().await;
            }
        });
        address
    }

    async fn outcome(answer: &'static [u8], hold: bool) -> Result<(), String> {
        let address = server(answer, hold).await;
        let health = health();
        match timeout(health.timeout, check(&health, "app:80", address)).await {
            Ok(result) => result,
            Err(_) => Err("no answer".into()),
        }
    }

    #[tokio::test]
    async fn answers_are_judged() {
        assert_eq!(outcome(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", true).await, Ok(()));
        assert_eq!(outcome(b"HTTP/1.1 204 No Content\r\n\r\n", false).await, Ok(()));
        assert_eq!(
            outcome(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", true).await,
            Err("status 503".to_owned())
        );
        assert_eq!(outcome(b"", true).await, Err("no answer".to_owned()));
        assert!(outcome(b"SSH-2.0-OpenSSH\r\n", false).await.is_err());
        assert!(
            outcome(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", false).await.is_err(),
            "cut short"
        );
    }

    #[tokio::test]
    async fn a_closed_port_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let error = check(&health(), "app:80", address).await.expect_err("nobody listens");
        assert!(error.starts_with("connect: "), "{error}");
    }
}
