//! The old process, as the new one sees it.

use super::wire::{Silence, Wire};
use super::{ADMIN_NAME, Said, listener_name};
use crate::observe::clock::Clock;
use anyhow::{Context, bail};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// No word takes longer; by then the old process has given up.
const PATIENCE: Duration = Duration::from_secs(40);

/// The process that this one takes over from.
#[derive(Debug)]
pub(in crate::app) struct Predecessor {
    wire: Wire,
    clock: Clock,
    sockets: Vec<(String, TcpListener)>,
}

impl Predecessor {
    /// Finds it at the other end of standard input, and takes its sockets.
    ///
    /// # Errors
    /// When nobody is there who hands over.
    pub(in crate::app) fn greet() -> anyhow::Result<Self> {
        let nobody = "--take-over is for `pointsman upgrade`, which starts the new process with it";
        let stream = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        let wire = Wire::new(stream).context(nobody)?;
        let mut predecessor = Predecessor { wire, clock: Clock::start(), sockets: Vec::new() };
        let Said::Sockets { names } = predecessor.hear().context(nobody)? else { bail!(nobody) };
        for name in names {
            let socket = predecessor.wire.receive_socket().context("the listening sockets")?;
            predecessor.sockets.push((name, socket));
        }
        Ok(predecessor)
    }

    /// The socket that listens where this listener should.
    pub(in crate::app) fn listener(&mut self, address: SocketAddr) -> Option<TcpListener> {
        self.take(&listener_name(address))
    }

    /// The socket of the admin API, if it listens at this address.
    pub(in crate::app) fn admin(&mut self, address: SocketAddr) -> Option<TcpListener> {
        self.take(&format!("{ADMIN_NAME} {address}"))
    }

    fn take(&mut self, name: &str) -> Option<TcpListener> {
        let at = self.sockets.iter().position(|(known, _)| known == name)?;
        Some(self.sockets.remove(at).1)
    }

    /// Everything but the state is ready: waits until the state may be opened.
    ///
    /// # Errors
    /// When the old process does not give it up.
    pub(in crate::app) fn give_me_the_state(&mut self) -> anyhow::Result<()> {
        self.wire.say(&Said::Prepared)?;
        match self.hear().context("the process to take over from")? {
            Said::Released => Ok(()),
            other => bail!("the process to take over from says {other:?}"),
        }
    }

    /// Requests are served: the old process may end. One that is gone already has nothing to say.
    pub(in crate::app) fn ready(mut self) {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        if self.wire.say(&Said::Ready { version }).is_ok()
            && let Err(silence) = self.hear()
        {
            tracing::warn!("the process taken over from: {silence}");
        }
    }

    /// It fails.
    pub(in crate::app) fn failed(mut self, error: &anyhow::Error) {
        // Where nobody listens any more, the reason stands in the log.
        let _ = self.wire.say(&Said::Failed { reason: format!("{error:#}") });
    }

    fn hear(&mut self) -> Result<Said, Silence> {
        let until = self.clock.now() + PATIENCE;
        let clock = self.clock;
        self.wire.hear(|| clock.now() < until)
    }
}
