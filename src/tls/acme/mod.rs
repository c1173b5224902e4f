//! One certificate that is ordered and renewed by itself: ACME (RFC 8555), proved by HTTP-01.
//!
//! It lies in a file of the state directory, as others' certificates lie in theirs, and listeners follow
//! that file; so nothing of the serving knows of orders. One task places them, one at a time: when two
//! thirds of the certificate's life are over, when the names change, and again with growing pauses after
//! a failure, while the certificate of before stays in use. Until the first one arrives a self-signed
//! placeholder lies there, so that listeners can start.

mod account;
mod files;
mod http;
mod order;
mod schedule;

use super::challenges::Challenges;
use super::load::load;
use super::store::Certificates;
use crate::core::duration;
use crate::core::settings::{Acme, Config};
use crate::observe::clock::wall;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// An order that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(300);
/// The longest sleep: the wall clock may step meanwhile. Also the least time between two successes, so
/// that an authority whose certificates are due at once is not asked without end.
const HOUR: Duration = Duration::from_secs(3600);

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    #[error("{}: {source}", .file.display())]
    File { file: PathBuf, source: std::io::Error },
    #[error("no client for the directory: {0}")]
    Client(reqwest::Error),
    #[error("the authority: {0}")]
    Protocol(#[from] instant_acme::Error),
    #[error("the authority refuses: {0}")]
    Refused(String),
    #[error("the certificate cannot be made: {0}")]
    Made(#[from] rcgen::Error),
    #[error("the authority's certificate cannot be used: {0}")]
    Unusable(super::TlsError),
    #[error("the order took longer than {PATIENCE:?}")]
    Late,
}

/// Puts a placeholder where the certificate is to be, if there is nothing yet.
///
/// # Errors
/// [`AcmeError`] when the state directory cannot be written.
pub fn prepare(settings: &Acme) -> Result<(), AcmeError> {
    if settings.certificate().cert.exists() {
        return Ok(());
    }
    files::write(&settings.certificate().cert, &order::placeholder(&settings.names)?)?;
    let names = settings.names.join(" ");
    tracing::warn!(names, "no certificate yet: a self-signed placeholder is served until it has been issued");
    Ok(())
}

/// The task that keeps the certificate fresh.
#[derive(Debug)]
pub struct Keeper {
    pub configs: watch::Receiver<Arc<Config>>,
    pub challenges: Arc<Challenges>,
    /// To be told of a new certificate.
    pub in_use: Vec<Arc<Certificates>>,
    /// From 0 to 1: spreads the renewals of many instances.
    pub draw: f64,
}

impl Keeper {
    /// Runs until the controller has ended.
    pub async fn run(mut self) {
        let mut failures = 0;
        loop {
            let settings = self.configs.borrow_and_update().acme.clone();
            let pause = match &settings {
                Some(settings) => self.look_after(settings, &mut failures).await,
                None => HOUR,
            };
            let changed = self.configs.wait_for(|config| config.acme != settings);
            match timeout(pause, changed).await {
                Ok(Ok(_)) => failures = 0,
                Ok(Err(_)) => return,
                Err(_) => {}
            }
        }
    }

    /// Orders if it is time to; how long to wait until the next look.
    async fn look_after(&self, settings: &Acme, failures: &mut u32) -> Duration {
        let current = load(&settings.certificate()).ok().map(|loaded| loaded.facts);
        let wait = schedule::wait(current.as_ref(), &settings.names, wall().as_second(), self.draw);
        if !wait.is_zero() {
            return wait.min(HOUR);
        }
        let names = settings.names.join(" ");
        tracing::info!(names, directory = settings.directory, "ordering a certificate");
        match self.order(settings).await {
            Ok(()) => {
                *failures = 0;
                HOUR
            }
            Err(error) => {
                *failures += 1;
                let pause = schedule::pause(*failures, self.draw);
                let again = duration::show(Duration::from_secs(pause.as_secs()));
                tracing::error!(names, "no new certificate, the old one stays; again in {again}: {error}");
                pause
            }
        }
    }

    async fn order(&self, settings: &Acme) -> Result<(), AcmeError> {
        let ordered = timeout(PATIENCE, order::place(settings, &self.challenges)).await;
        let text = ordered.map_err(|_| AcmeError::Late)??;
        files::exchange(settings, &text)?;
        for certificates in &self.in_use {
            certificates.refresh();
        }
        Ok(())
    }
}
