//! What a start opens before anything is started.

use super::certificates::{AdminTls, InUse};
use super::fleet;
use super::handover::Predecessor;
use super::secret;
use crate::control::journal::{Journal, Recovered};
use crate::core::secret::Secret;
use crate::core::settings::{self, Config};
use crate::observe::access_log::{AccessLog, Guard};
use crate::observe::clock::Clock;
use crate::proxy::Bound;
use crate::tls::acme;
use anyhow::Context;
use rustls::ServerConfig;
use std::net::TcpListener;
use std::sync::Arc;

/// Connections to the admin API that the system holds until they are accepted.
const BACKLOG: i32 = 1024;

/// All that can fail for the place it runs in, before anything is started.
pub(super) struct Opened {
    pub bound: Vec<Arc<Bound>>,
    pub admin: TcpListener,
    /// The admin API's.
    pub tls: Option<Arc<ServerConfig>>,
    pub certificates: InUse,
    pub journal: Journal,
    pub recovered: Recovered,
    pub secret: Secret,
    pub access_log: Option<AccessLog>,
    pub guard: Option<Guard>,
    /// The process clock, by which the log's entries are stamped, too.
    pub clock: Clock,
}

impl Opened {
    /// Opens it: first everything that can be open twice, then the state, which is given up for it.
    ///
    /// # Errors
    /// When an address is taken, the state directory cannot be used, a certificate or a log cannot be
    /// opened.
    pub(super) fn open(config: &Config, mut predecessor: Option<&mut Predecessor>) -> anyhow::Result<Opened> {
        let clock = Clock::start();
        config.acme.as_ref().map(acme::prepare).transpose().context("acme")?;
        let mut bound = Vec::new();
        for settings in config.listeners.iter().cloned() {
            let socket = predecessor.as_mut().and_then(|before| before.listener(settings.address));
            bound.push(match socket {
                Some(socket) => Bound::adopt(settings, socket)?,
                None => Bound::bind(settings)?,
            });
        }
        let address = config.admin.listen;
        let admin = match predecessor.as_mut().and_then(|before| before.admin(address)) {
            Some(socket) => socket,
            None => TcpListener::bind(address).with_context(|| {
                format!("the admin API cannot listen on {address}; change admin.listen or stop what does")
            })?,
        };
        admin.set_nonblocking(true)?;
        // More than std asks for: a flood must not push out a client that connects in the same moment.
        rustix::net::listen(&admin, BACKLOG)?;
        let tls = config.admin.tls.as_ref().map(AdminTls::load).transpose().context("admin.tls")?;
        let certificates = InUse::new(&bound, tls.as_ref());
        let tls = tls.map(|tls| tls.config);
        let (access_log, guard) =
            config.access_log.as_ref().map(|log| open_log(log, clock)).transpose()?.unzip();
        if let Some(predecessor) = predecessor {
            predecessor.give_me_the_state()?;
        }
        let (journal, mut recovered) = Journal::open(&config.server.state_dir)?;
        let is_first = recovered.services.is_empty() && recovered.damage.is_empty();
        let secret = secret::open(&config.server.state_dir, is_first);
        let (secret, wrong) = if recovered.is_unwritable { secret::or_passing(secret) } else { secret? };
        recovered.damage.extend(wrong);
        let secret = fleet::secret(config, secret);
        Ok(Opened { bound, admin, tls, certificates, journal, recovered, secret, access_log, guard, clock })
    }
}

fn open_log(settings: &settings::AccessLog, clock: Clock) -> anyhow::Result<(AccessLog, Guard)> {
    let path = settings.path.clone().unwrap_or_else(|| "-".into());
    let log = AccessLog::open(settings, clock);
    log.with_context(|| format!("the access log {} cannot be opened", path.display()))
}
