//! A pingora proxy without measuring and deciding, for these to be held against: it passes on, with the
//! headers that every front proxy sets.

use async_trait::async_trait;
use pingora_core::prelude::*;
use pingora_core::server::configuration::ServerConf;
use pingora_http::RequestHeader;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};
use std::net::SocketAddr;
use std::time::Duration;

pub(super) const COMMAND: &str = "bare-pingora";

struct Bare(SocketAddr);

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(self.0, false, String::new());
        // The same as Pointsman sets: timers cost as well.
        peer.options.connection_timeout = Some(Duration::from_secs(1));
        peer.options.read_timeout = Some(Duration::from_secs(60));
        peer.options.write_timeout = Some(Duration::from_secs(30));
        peer.options.idle_timeout = Some(Duration::from_secs(4));
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        (): &mut (),
    ) -> Result<()> {
        let client = session.client_addr().and_then(|a| a.as_inet()).map(|a| a.ip().to_string());
        let client = client.unwrap_or_default();
        let host = session.req_header().headers.get("host").cloned();
        request.insert_header("x-forwarded-for", client.as_str())?;
        request.insert_header("x-real-ip", client.as_str())?;
        request.insert_header("x-forwarded-proto", "http")?;
        if let Some(host) = host {
            request.insert_header("x-forwarded-host", host)?;
        }
        request.insert_header("x-request-id", format!("{:032x}", rand::random::<u128>()))
    }
}

pub(super) fn serve(listen: &str, upstream: &str) -> ! {
    let conf = ServerConf {
        threads: 1,
        work_stealing: false,
        upstream_keepalive_pool_size: 1024,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Bare(upstream.parse().expect("an address")));
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever()
}
