//! Every set of certificates that is served, and what a reload does to them.

use crate::core::settings::{Config, Listener, Tls};
use crate::fleet::FleetRunning;
use crate::observe::metrics::CertificateEnds;
use crate::proxy::Bound;
use crate::tls::acme::{self, Keeper};
use crate::tls::{Certificates, Challenges, TlsError, server_config};
use rustls::ServerConfig;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// The certificates of the listeners and of the admin API.
#[derive(Clone, Debug)]
pub(super) struct InUse {
    /// With their places in the configuration.
    listeners: Vec<(usize, Listener, Arc<Certificates>)>,
    admin: Option<(Tls, Arc<Certificates>)>,
}

/// What the admin API's listener needs for HTTPS.
pub(super) struct AdminTls {
    pub settings: Tls,
    pub certificates: Arc<Certificates>,
    pub config: Arc<ServerConfig>,
}

impl AdminTls {
    /// # Errors
    /// [`TlsError`] for a certificate or an authority that cannot be used.
    pub(super) fn load(settings: &Tls) -> Result<Self, TlsError> {
        let certificates = Certificates::load(&settings.certificates)?;
        let config = server_config(settings, certificates.clone())?;
        Ok(AdminTls { settings: settings.clone(), certificates, config })
    }
}

impl InUse {
    pub(super) fn new(bound: &[Arc<Bound>], admin: Option<&AdminTls>) -> Self {
        let with_tls = |(index, bound): (usize, &Arc<Bound>)| {
            Some((index, bound.settings.clone(), bound.certificates.clone()?))
        };
        InUse {
            listeners: bound.iter().enumerate().filter_map(with_tls).collect(),
            admin: admin.map(|admin| (admin.settings.clone(), admin.certificates.clone())),
        }
    }

    /// Those of the admin API's listener.
    pub(super) fn of_admin(&self) -> Option<Arc<Certificates>> {
        self.admin.as_ref().map(|(_, certificates)| certificates.clone())
    }

    /// When each of them ends, for metrics.
    pub(super) fn ends(&self) -> CertificateEnds {
        let listeners = self.listeners.iter().map(|(_, _, certificates)| certificates);
        let all: Vec<_> =
            listeners.chain(self.admin.iter().map(|(_, certificates)| certificates)).cloned().collect();
        CertificateEnds(Box::new(move || all.iter().flat_map(|certificates| certificates.ends()).collect()))
    }

    /// Looks at all their files every so often, and keeps the one of `[acme]` fresh, which a fleet has as one.
    pub(super) fn keep(
        &self,
        runtime: &Runtime,
        configs: watch::Receiver<Arc<Config>>,
        challenges: Arc<Challenges>,
        fleet: Option<&FleetRunning>,
    ) {
        self.watch(runtime);
        let in_use = self.listeners.iter().map(|(_, _, certificates)| certificates.clone()).collect();
        let seam = fleet.map(|fleet| fleet.acme.clone());
        let mut keeper = Keeper::new(configs, challenges, in_use, rand::random(), seam);
        keeper.begin();
        runtime.spawn(keeper.run());
    }

    fn watch(&self, runtime: &Runtime) {
        let listeners = self.listeners.iter().filter_map(|(_, l, c)| Some((l.tls.as_ref()?, c)));
        for (tls, certificates) in listeners.chain(self.admin.iter().map(|(tls, c)| (tls, c))) {
            runtime.spawn(certificates.clone().watch(tls.reload));
        }
    }

    /// Takes the certificates that a new configuration names for the listeners that serve, and whatever
    /// is new in the files of the rest. Blocks.
    pub(super) fn follow(&self, config: &Config) {
        if let Some(Err(error)) = config.acme.as_ref().map(acme::prepare) {
            tracing::error!("acme: {error}");
        }
        for (index, listener, certificates) in &self.listeners {
            match tls_of(&config.listeners, *index, listener) {
                Some(tls) => {
                    if let Err(error) = certificates.follow(&tls.certificates) {
                        tracing::error!("listener {}: its certificates stay: {error}", listener.address);
                    }
                }
                None => certificates.refresh(),
            }
        }
        if let Some((_, certificates)) = &self.admin {
            certificates.refresh();
        }
    }
}

/// The listeners as they serve: as they were at the start, with the certificates of the newest
/// configuration.
pub(super) fn in_effect(started: &[Listener], newest: &[Listener]) -> Vec<Listener> {
    let with_newest = |(index, listener): (usize, &Listener)| {
        let mut merged = listener.clone();
        if let (Some(own), Some(tls)) = (&mut merged.tls, tls_of(newest, index, listener)) {
            own.certificates.clone_from(&tls.certificates);
        }
        merged
    };
    started.iter().enumerate().map(with_newest).collect()
}

/// What a newer configuration says of a listener's TLS: of the one with its address, the one in its place
/// first, since several may leave the port to the system.
fn tls_of<'a>(newest: &'a [Listener], index: usize, listener: &Listener) -> Option<&'a Tls> {
    let same = |other: &&Listener| other.address == listener.address;
    newest.get(index).filter(same).or_else(|| newest.iter().find(same))?.tls.as_ref()
}
