//! Listeners: addresses bound before anything is served, so that a failed bind is an error at start.

use crate::core::settings::{Listener, Tls};
use crate::proxy::listen::door::Door;
use crate::tls::{Certificates, TlsError, server_config};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_rustls::TlsAcceptor;

/// Connections the kernel may hold until they are accepted.
const BACKLOG: i32 = 4096;

/// Why a listener cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {address}: {source}")]
    Bind { address: SocketAddr, source: std::io::Error },
    #[error("listener {address}: {source}")]
    Tls { address: SocketAddr, source: Box<TlsError> },
}

/// A listener that is bound and ready to accept.
pub struct Bound {
    /// Where it really listens: port 0 has become a number.
    pub address: SocketAddr,
    pub settings: Listener,
    /// Its port, as upstreams learn it.
    pub(in crate::proxy) port_text: String,
    /// To be exchanged while it serves; none without TLS.
    pub certificates: Option<Arc<Certificates>>,
    /// `None` once it has been closed.
    socket: Mutex<Option<TcpListener>>,
    pub(in crate::proxy) acceptor: Option<TlsAcceptor>,
    pub(in crate::proxy) door: Door,
}

impl Bound {
    /// Binds and loads certificates.
    ///
    /// # Errors
    /// [`ListenError`] when the address is taken or not ours, or a certificate cannot be used.
    pub fn bind(settings: Listener) -> Result<Arc<Self>, ListenError> {
        Bound::on(settings, listen)
    }

    /// Loads certificates for a socket that listens already, in another process of ours.
    ///
    /// # Errors
    /// [`ListenError`] when the socket or a certificate cannot be used.
    pub fn adopt(settings: Listener, socket: TcpListener) -> Result<Arc<Self>, ListenError> {
        Bound::on(settings, |_| socket.set_nonblocking(true).map(|()| socket))
    }

    fn on(
        settings: Listener,
        listen: impl FnOnce(SocketAddr) -> std::io::Result<TcpListener>,
    ) -> Result<Arc<Self>, ListenError> {
        let address = settings.address;
        let (certificates, acceptor) = tls(&settings)?.unzip();
        let socket = listen(address).map_err(|source| ListenError::Bind { address, source })?;
        // Connections have it from the socket that accepts them, which saves each a call of the system.
        if let Err(error) = SockRef::from(&socket).set_tcp_nodelay(true) {
            tracing::debug!(%address, "TCP_NODELAY was refused: {error}");
        }
        let address = socket.local_addr().map_err(|source| ListenError::Bind { address, source })?;
        let door = Door::new(&settings);
        let socket = Mutex::new(Some(socket));
        let port_text = address.port().to_string();
        Ok(Arc::new(Bound { address, settings, port_text, certificates, socket, acceptor, door }))
    }

    /// Loads the certificates only.
    ///
    /// # Errors
    /// [`ListenError::Tls`] when one cannot be used.
    pub fn check(settings: &Listener) -> Result<(), ListenError> {
        tls(settings).map(drop)
    }

    /// `https` with TLS, `http` without.
    pub fn scheme(&self) -> &'static str {
        if self.acceptor.is_some() { "https" } else { "http" }
    }

    /// Another handle of the socket.
    ///
    /// # Errors
    /// When it has been closed, or the system has no file descriptor left.
    pub fn socket(&self) -> std::io::Result<TcpListener> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        socket.as_ref().ok_or(std::io::ErrorKind::NotConnected)?.try_clone()
    }

    /// How many connections are open.
    pub fn connections(&self) -> Arc<AtomicU32> {
        self.door.open.clone()
    }

    /// How many TLS handshakes have failed; `None` without TLS.
    pub fn failed_handshakes(&self) -> Option<Arc<AtomicU64>> {
        self.acceptor.as_ref().map(|_| self.door.failed_handshakes.clone())
    }

    /// Lets go of the socket: where no other handle is left, nothing listens here any more.
    pub(in crate::proxy) fn close(&self) {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound").field("address", &self.address).field("scheme", &self.scheme()).finish()
    }
}

fn tls(settings: &Listener) -> Result<Option<(Arc<Certificates>, TlsAcceptor)>, ListenError> {
    let made = |tls: &Tls| {
        let certificates = Certificates::load(&tls.certificates)?;
        let config = server_config(tls, certificates.clone())?;
        Ok((certificates, TlsAcceptor::from(config)))
    };
    let fault = |error| ListenError::Tls { address: settings.address, source: Box::new(error) };
    settings.tls.as_ref().map(made).transpose().map_err(fault)
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // As nginx has it: [::]:80 and 0.0.0.0:80 are two listeners.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
