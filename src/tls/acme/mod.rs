//! One certificate that is ordered and renewed by itself: ACME (RFC 8555), proved by HTTP-01.
//!
//! It lies in a file of the state directory, as others' certificates lie in theirs, and listeners follow
//! that file; so nothing of the serving knows of orders. One task places them, one at a time: when two
//! thirds of the certificate's life are over, when the names change, and again with growing pauses after
//! a failure, while the certificate of before stays in use. Until the first one arrives a self-signed
//! placeholder lies there, so that listeners can start.
//!
//! In a fleet the leader alone orders, and all members share its account, its order and its certificate.

mod account;
mod files;
mod http;
mod member;
mod order;
mod schedule;
mod sharing;
mod term;

pub use sharing::{AcmeItem, AcmeRequest, AcmeSeam, AcmeShared, AcmeWrite};

use super::challenges::Challenges;
use super::load::load;
use super::store::Certificates;
use crate::core::duration;
use crate::core::settings::{Acme, Config};
use crate::observe::clock::wall;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use term::Term;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

/// An order that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(300);
/// The longest sleep: the wall clock may step meanwhile. Also the least time between two successes, so
/// that an authority whose certificates are due at once is not asked without end.
const HOUR: Duration = Duration::from_secs(3600);
/// Until what a fleet's store did not take is tried again.
const UNSHARED: Duration = Duration::from_secs(10);

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
    #[error("the fleet's store: {0}")]
    Unshared(String),
    #[error("this member does not lead any more")]
    Succeeded,
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
    configs: watch::Receiver<Arc<Config>>,
    challenges: Arc<Challenges>,
    /// To be told of a new certificate.
    in_use: Vec<Arc<Certificates>>,
    /// From 0 to 1: spreads the renewals of many instances.
    draw: f64,
    /// `None`: this instance is alone.
    seam: Option<AcmeSeam>,
    /// Before it there is no order.
    rest: Option<Instant>,
    /// Whether `[acme]` has changed and nothing was tried since.
    is_changed: bool,
    /// Orders that came to nothing, in a row.
    failures: u32,
    /// Why nothing is taken of what is shared, as it was said last.
    complaint: Option<String>,
    /// Why the store does not take what is to be shared, as it was said last.
    unshared: Option<String>,
}

impl Keeper {
    /// For the certificates of these listeners; `draw` is from 0 to 1. In a fleet it has a seam.
    pub fn new(
        configs: watch::Receiver<Arc<Config>>,
        challenges: Arc<Challenges>,
        in_use: Vec<Arc<Certificates>>,
        draw: f64,
        seam: Option<AcmeSeam>,
    ) -> Self {
        let (rest, is_changed, failures, complaint, unshared) = Default::default();
        Keeper { configs, challenges, in_use, draw, seam, rest, is_changed, failures, complaint, unshared }
    }

    /// Runs until the controller has ended.
    pub async fn run(mut self) {
        loop {
            let settings = self.configs.borrow_and_update().acme.clone();
            let pause = match &settings {
                Some(settings) => self.look_after(settings).await,
                None => HOUR,
            };
            let changed = self.configs.wait_for(|config| config.acme != settings);
            tokio::select! {
                changed = changed => match changed {
                    Ok(_) => (self.rest, self.failures, self.is_changed) = (None, 0, true),
                    Err(_) => return,
                },
                () = news(&mut self.seam) => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Orders if it is time to; how long to wait until the next look.
    async fn look_after(&mut self, settings: &Acme) -> Duration {
        let term = match self.take_part(settings).await {
            Ok(None) if self.seam.is_some() => return HOUR,
            Ok(term) => term,
            Err(error) => {
                let fault = error.to_string();
                if self.unshared.as_ref() != Some(&fault) {
                    tracing::warn!("the certificate is not shared: {fault}");
                }
                self.unshared = Some(fault);
                return UNSHARED;
            }
        };
        self.unshared = None;
        let wait = self.wait(settings, term.as_ref());
        if !wait.is_zero() {
            return wait.min(HOUR);
        }
        let names = settings.names.join(" ");
        tracing::info!(names, directory = settings.directory, "ordering a certificate");
        self.is_changed = false;
        let rest = self.order_and_tell(settings, term, &names).await;
        self.rest = Some(Instant::now() + rest);
        // What has come of it is shared at once.
        Duration::ZERO
    }

    /// How long until there is something to order.
    fn wait(&self, settings: &Acme, term: Option<&Term>) -> Duration {
        let current = load(&settings.certificate()).ok().map(|loaded| loaded.facts);
        let due = schedule::wait(current.as_ref(), &settings.names, wall().as_second(), self.draw);
        let rest = self.rest.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        let shared = term.filter(|_| !self.is_changed).map_or(Duration::ZERO, Term::rest);
        due.max(rest).max(shared)
    }

    /// Orders; the pause after it.
    async fn order_and_tell(&mut self, settings: &Acme, mut term: Option<Term>, names: &str) -> Duration {
        let failures = term.as_ref().map_or(self.failures, Term::failures);
        let error = match self.order(settings, term.as_mut()).await {
            Ok(()) => {
                self.failures = 0;
                return HOUR;
            }
            Err(AcmeError::Succeeded) => {
                tracing::info!(names, "this member leads no more: the order goes on with the one that does");
                return Duration::ZERO;
            }
            Err(error) => error,
        };
        self.failures = failures.saturating_add(1);
        let pause = schedule::pause(self.failures, self.draw);
        let again = duration::show(Duration::from_secs(pause.as_secs()));
        tracing::error!(names, "no new certificate, the old one stays; again in {again}: {error}");
        if let Some(term) = &mut term
            && let Err(error) = term.failed(self.failures, pause).await
        {
            tracing::warn!("that the order has failed is not shared: {error}");
        }
        pause
    }

    async fn order(&self, settings: &Acme, term: Option<&mut Term>) -> Result<(), AcmeError> {
        let placed = order::place(settings, &self.challenges, term);
        let text = timeout(PATIENCE, placed).await.map_err(|_| AcmeError::Late)??;
        files::exchange(settings, &text)?;
        self.in_use.iter().for_each(|certificates| certificates.refresh());
        Ok(())
    }
}

/// Something that is shared has changed; an instance that is alone waits for ever.
async fn news(seam: &mut Option<AcmeSeam>) {
    match seam {
        Some(seam) => seam.news().await,
        None => std::future::pending().await,
    }
}
