//! Reading the configuration again, for SIGHUP and for the admin API.

use super::certificates::{self, InUse};
use super::check::check;
use super::limits::InForce;
use super::systemd;
use crate::admin::ReloadNews;
use crate::admin::shapes::ReloadView;
use crate::config;
use crate::control::command::{Command, Controller, Fault, Refusal, Reload, ReloadReport, Reply};
use crate::core::own_address::OwnAddresses;
use crate::core::route::Target;
use crate::core::settings::{Config, Server, UpstreamHost};
use crate::observe::clock::wall;
use crate::observe::metrics::Metrics;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Serves reloads one after the other.
pub(super) struct Reloader {
    /// `None` where there is no file: in the demo.
    pub file: Option<PathBuf>,
    /// What the process was started with.
    pub started: Arc<Config>,
    pub controller: Controller,
    pub configs: watch::Receiver<Arc<Config>>,
    pub certificates: InUse,
    pub limits: InForce,
    /// Where this process listens, until the restart.
    pub addresses: OwnAddresses,
    /// For those who ask how the last one went.
    pub news: watch::Sender<ReloadNews>,
    pub metrics: Arc<Metrics>,
}

impl Reloader {
    pub(super) async fn run(self, mut requests: mpsc::Receiver<Reload>) {
        while let Some((actor, answer)) = requests.recv().await {
            systemd::reloading();
            let result = self.reload(&actor).await;
            systemd::ready();
            self.metrics.reloaded(result.is_ok());
            match &result {
                Ok(report) => tracing::info!(
                    actor,
                    changed = report.changed.join(" "),
                    needs_restart = report.needs_restart.join(" "),
                    differs = report.differs.join(" "),
                    "reloaded"
                ),
                Err(refusal) => tracing::error!(actor, "not reloaded, nothing has changed: {refusal}"),
            }
            self.news.send_modify(|news| tell(news, &actor, &result));
            // Whoever asked may have gone.
            let _ = answer.send(result);
        }
    }

    async fn reload(&self, actor: &str) -> Result<ReloadReport, Refusal> {
        let file = self.file.clone();
        let file = file.ok_or_else(|| Refusal::Unavailable("there is no configuration file".into()))?;
        let checked = tokio::task::spawn_blocking(move || check(&file)).await;
        let checked = checked.map_err(|_| Refusal::Unavailable("the check of the file panicked".into()))?;
        let config = checked.map_err(|faults| Refusal::Invalid(faults_of(&faults)))?;
        self.fits_what_serves(&config)?;
        config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        let (changed, needs_restart) = config::diff(&self.in_effect(), &config);
        let config = Arc::new(config);
        let reply = self.controller.ask(actor, Command::Reload { config: config.clone() }).await?;
        self.limits.apply(&config.limits);
        let certificates = self.certificates.clone();
        // Its errors are in the log, and the old certificates stay.
        let _ = tokio::task::spawn_blocking(move || certificates.follow(&config)).await;
        let Reply::Reloaded { differs } = reply else { return Ok(ReloadReport::default()) };
        Ok(ReloadReport { changed, needs_restart, differs })
    }

    /// The admin API's listener stays as it is until the restart, so what depends on it must suit it.
    fn fits_what_serves(&self, config: &Config) -> Result<(), Refusal> {
        let fault = |path: &str, detail: &str| {
            Err(Refusal::Invalid(vec![Fault { path: path.into(), detail: detail.into() }]))
        };
        let admin = &self.started.admin;
        if config.admin.tokens.is_empty() && !admin.knows_clients() && !admin.listen.ip().is_loopback() {
            return fault(
                "admin.tokens",
                "the admin API listens off loopback until the restart, so it needs a token",
            );
        }
        if admin.tls.is_some() && config.routes.specs().iter().any(|route| route.target == Target::Admin) {
            return fault("routes", "the admin API speaks TLS until the restart, so no route can lead to it");
        }
        self.leads_elsewhere(config)
    }

    /// The listeners stay where they are, too, whatever the file says of them.
    fn leads_elsewhere(&self, config: &Config) -> Result<(), Refusal> {
        let mut faults = Vec::new();
        for (service, pool) in config.services.values().flat_map(|s| s.pools.values().map(|p| (&s.name, p))) {
            for (index, upstream) in pool.upstreams.iter().enumerate() {
                let UpstreamHost::Address(address) = upstream.host else { continue };
                let Some(own) = self.addresses.at(address) else { continue };
                let path = format!("services.{service}.pools.{}.upstreams[{index}]", pool.name);
                let detail = format!("{address} is {own} of this proxy itself, so a request would never end");
                faults.push(Fault { path, detail });
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal::Invalid(faults)) }
    }

    /// The newest configuration, but for what only a start brings into effect.
    fn in_effect(&self) -> Config {
        let newest = self.configs.borrow().clone();
        let started = &self.started;
        let mut admin = newest.admin.clone();
        admin.listen = started.admin.listen;
        admin.tls.clone_from(&started.admin.tls);
        Config {
            server: Server {
                retention: newest.server.retention,
                tracing: newest.server.tracing,
                ..started.server.clone()
            },
            admin,
            access_log: started.access_log.clone(),
            otlp: started.otlp.clone(),
            fleet: started.fleet.clone(),
            listeners: certificates::in_effect(&started.listeners, &newest.listeners),
            ..Config::clone(&newest)
        }
    }
}

/// What a reload has led to; where it failed, what was in effect still is.
fn tell(news: &mut ReloadNews, actor: &str, result: &Result<ReloadReport, Refusal>) {
    let at = wall().to_string();
    let mut view = ReloadView {
        at: at.clone(),
        by: actor.to_owned(),
        ok: result.is_ok(),
        detail: result.as_ref().err().map(ToString::to_string),
        changed: Vec::new(),
        errors: Vec::new(),
    };
    match result {
        Ok(report) => {
            view.changed.clone_from(&report.changed);
            news.loaded_at = Some(at);
            news.needs_restart.clone_from(&report.needs_restart);
        }
        Err(Refusal::Invalid(faults)) => view.errors.clone_from(faults),
        Err(_) => (),
    }
    news.last = Some(view);
}

fn faults_of(faults: &config::Faults) -> Vec<Fault> {
    let fault = |fault: &config::Fault| {
        let place = if fault.line > 0 { format!(":{}:{}", fault.line, fault.column) } else { String::new() };
        Fault { path: fault.path.clone(), detail: format!("{}{place}: {}", faults.file, fault.detail) }
    };
    faults.faults.iter().map(fault).collect()
}
