//! Who may connect: as many connections as a listener may have, in all and by client; and where it speaks
//! the PROXY protocol, only the balancers that it trusts.
//!
//! What is too much is closed at once, before TLS: an answer would cost more than the connection. Trusted
//! proxies speak for many clients, so that their connections count towards the total only. Connections that
//! have served their last request and only wait for their client to close ([`crate::proxy::listen::linger`]) count, too, but
//! make room for new ones.

use super::trusted::is_trusted;
use crate::core::client::ClientKey;
use crate::core::limit::client_key;
use crate::core::limit::counts::Held;
use crate::core::own_limit::OwnLimit;
use crate::proxy::listen::bound::Bound;
use crate::proxy::listen::proxy_protocol;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A connection that was let in, counted until it is dropped.
#[derive(Debug)]
pub(in crate::proxy) struct Admitted {
    listener: Arc<Bound>,
    client: Option<Held>,
}

impl Admitted {
    /// Lets a connection in.
    ///
    /// # Errors
    /// The limit of the listener that keeps it out.
    pub(in crate::proxy) fn new(listener: &Arc<Bound>, peer: IpAddr) -> Result<Self, OwnLimit> {
        let settings = &listener.settings;
        let before = listener.door.open.fetch_add(1, Relaxed);
        let mut admitted = Admitted { listener: listener.clone(), client: None };
        let most = settings.max_connections;
        if most > 0 && before >= most && !listener.door.take_place() {
            return Err(OwnLimit::Connections);
        }
        // Behind the PROXY protocol, the client is not known yet.
        if settings.proxy_protocol || admitted.count(peer.to_canonical()) {
            return Ok(admitted);
        }
        Err(OwnLimit::ClientConnections)
    }

    /// Whose connection it is: the peer's, or whom its PROXY header names; `None` where it has to end.
    pub(in crate::proxy) async fn client(
        &mut self,
        socket: &mut TcpStream,
        peer: SocketAddr,
    ) -> Option<SocketAddr> {
        let settings = &self.listener.settings;
        if !settings.proxy_protocol {
            return Some(peer);
        }
        if !is_trusted(peer.ip().to_canonical(), &settings.trusted_proxies) {
            tracing::debug!(%peer, "closed: only trusted_proxies may speak the PROXY protocol");
            return None;
        }
        let named = match timeout(settings.header_timeout, proxy_protocol::read(socket)).await {
            Ok(Ok(named)) => named,
            Ok(Err(error)) => {
                tracing::debug!(%peer, "closed: {error}");
                return None;
            }
            Err(_) => {
                tracing::debug!(%peer, "closed: the PROXY header did not come in time");
                return None;
            }
        };
        let client = named.unwrap_or(peer);
        self.count(client.ip().to_canonical()).then_some(client)
    }

    /// Counts towards the client's limit; whether that has room.
    fn count(&mut self, client: IpAddr) -> bool {
        let settings = &self.listener.settings;
        let Some(clients) = &self.listener.door.clients else { return true };
        if is_trusted(client, &settings.trusted_proxies) {
            return true;
        }
        self.client = clients.enter(client_key(ClientKey::of(client), 0), settings.connections_per_client);
        self.client.is_some()
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.listener.door.open.fetch_sub(1, Relaxed);
    }
}
