//! The active checks: a plain request to every address, now and then.

use super::exchange::{Ask, Failed};
use super::resolve::{Found, Resolver};
use super::targets::{self, Place, Work, begin, rounds};
use super::transport::Transport;
use crate::control::command::{Controller, Input, LookUp};
use crate::core::settings::{Config, Health, Pool, Service, Upstream, UpstreamHost, UpstreamTls};
use crate::core::upstream_address::UpstreamAddress;
use http::Method;
use std::sync::Arc;
use tokio::sync::watch::Receiver;
use tokio::time::timeout;

/// The most of an answer's body that is read.
const MAX_BODY: usize = 64 * 1024;

/// Checks the upstreams of the newest configuration, and tells what their names resolve to, until the
/// channel closes or the controller stops. Checks that stay the same go on undisturbed.
pub async fn watch(controller: Controller, configs: Receiver<Arc<Config>>, resolver: Resolver) {
    targets::follow::<Probe>(controller, configs, resolver).await;
}

/// The check of one upstream.
#[derive(Clone, Debug, PartialEq)]
struct Probe {
    /// A name without a check is looked up all the same.
    health: Option<Health>,
    tls: Option<Arc<UpstreamTls>>,
}

impl Work for Probe {
    fn wanted(_: &Service, pool: &Pool, upstream: &Upstream) -> Option<Self> {
        let watched = pool.health.is_some() || matches!(upstream.host, UpstreamHost::Name { .. });
        watched.then(|| Probe { health: pool.health.clone(), tls: pool.tls.clone() })
    }

    async fn run(self, controller: Controller, place: Place, address: UpstreamAddress) {
        let Some(health) = self.health else { return };
        let transport = Transport::to(&place.upstream, health.http2, self.tls.as_deref());
        let mut rounds = rounds(&place, address, health.interval);
        loop {
            let began = begin();
            let result =
                match timeout(health.timeout, check(&health, &place.upstream, &transport, address)).await {
                    Ok(Err(Failed::Ours(limit))) => {
                        // It says nothing about the upstream.
                        if !controller.tell(Input::OwnLimit { limit }).await {
                            return;
                        }
                        rounds.tick().await;
                        continue;
                    }
                    Ok(Err(Failed::Theirs(why))) => Err(why),
                    Ok(Ok(())) => Ok(()),
                    Err(_) => Err(format!("no answer within {:?}", health.timeout)),
                };
            let Place { service, pool, upstream } = place.clone();
            if !controller.tell(Input::Health { service, pool, upstream, address, began, result }).await {
                return;
            }
            rounds.tick().await;
        }
    }

    async fn resolved(
        &self,
        controller: &Controller,
        place: &Place,
        found: &Found,
        again: Arc<LookUp>,
    ) -> bool {
        let Place { service, pool, upstream } = place.clone();
        controller.tell(Input::Resolved { service, pool, upstream, result: found.clone(), again }).await
    }
}

/// Without a path, a connection is all that is asked for.
async fn check(
    health: &Health,
    label: &str,
    transport: &Transport,
    address: UpstreamAddress,
) -> Result<(), Failed> {
    if health.path.is_empty() {
        return transport.reach(address).await;
    }
    let ask = Ask {
        method: Method::GET,
        path: &health.path,
        host: health.host.as_deref().unwrap_or(UpstreamAddress::authority_of(label)),
        agent: "pointsman-health",
        limit: MAX_BODY,
        over: transport,
    };
    let answer = ask.of(address).await?;
    let (low, high) = health.expect;
    match answer.status {
        status if !(low..=high).contains(&status) => Err(Failed::Theirs(format!("status {status}"))),
        _ if !answer.whole => Err(Failed::Theirs(format!("the body is longer than {} KiB", MAX_BODY / 1024))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::time::Duration;
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
            http2: false,
        }
    }

    fn plain() -> Transport {
        Transport::to("app:80", false, None)
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
        match timeout(health.timeout, check(&health, "app:80", &plain(), address.into())).await {
            Ok(result) => result.map_err(|failed| failed.to_string()),
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
        let error = check(&health(), "app:80", &plain(), address.into())
            .await
            .expect_err("nobody listens")
            .to_string();
        assert!(error.starts_with("connect: "), "{error}");
    }

    #[tokio::test]
    async fn without_a_path_a_connection_suffices() {
        let connect_only = Health { path: String::new(), ..health() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address");
        assert_eq!(check(&connect_only, "app:80", &plain(), address.into()).await, Ok(()));
        let (mut stream, _) = listener.accept().await.expect("a client");
        assert_eq!(stream.read(&mut [0; 16]).await.expect("an end"), 0, "nothing is sent");
        drop(listener);
        let error = check(&connect_only, "app:80", &plain(), address.into())
            .await
            .expect_err("nobody listens")
            .to_string();
        assert!(error.starts_with("connect: "), "{error}");
    }
}
