//! `pointsman run`: serves until it has to stop, or until another process has taken over.

use super::handover::{Predecessor, Upgrader, Upgrades, binary};
use super::signals::{Signals, Told};
use super::{Instance, check, descriptors, logging, systemd};
use crate::config::Faults;
use crate::core::settings::Config;
use anyhow::Context;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Interval, interval};

/// Serves. SIGTERM and SIGINT end it after the requests in flight, a second one at once; SIGHUP reloads
/// the configuration and opens the access log again, SIGUSR1 only the log; SIGUSR2 upgrades. With
/// `take_over` it is the new process of such an upgrade.
///
/// # Errors
/// What stood in the way of the start.
pub fn run(path: &Path, take_over: bool) -> anyhow::Result<()> {
    let binary = binary().context("the file of this program cannot be found")?;
    // A configuration that is at fault says nothing of the log either; the fault itself comes later.
    let config = check(path);
    logging::start(config.as_ref().map(|config| config.server.log).unwrap_or_default())?;
    let mut predecessor = take_over.then(Predecessor::greet).transpose()?;
    let started = start(path, config, predecessor.as_mut());
    let (mut instance, mut signals) = match started {
        Ok(started) => started,
        Err(error) => {
            if let Some(predecessor) = predecessor {
                predecessor.failed(&error);
            }
            return Err(error);
        }
    };
    if let Some(predecessor) = predecessor {
        predecessor.ready();
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), "pointsman");
    for (scheme, address) in &instance.listeners {
        tracing::info!("listening {scheme}={address}");
    }
    tracing::info!("listening admin={}", instance.admin);
    systemd::ready();
    let upgrader = Upgrader { binary, file: path.to_owned(), own: instance.own(), cancelled: Arc::default() };
    let runtime = instance.runtime.handle().clone();
    let upgrades = Upgrades::new(upgrader, instance.asked().context("upgrades are taken once")?);
    let end = runtime.block_on(serve(&mut instance, upgrades, &mut signals));
    runtime.spawn(signals.end_at_the_second(matches!(end, End::Told | End::Refused(_))));
    match end {
        End::Told => {
            systemd::stopping();
            tracing::info!("stopping: requests in flight finish; a second signal ends at once");
            instance.stop();
        }
        End::Replaced => instance.leave(),
        End::Refused(why) => {
            systemd::stopping();
            instance.stop();
            anyhow::bail!(why);
        }
    }
    tracing::info!(pid = std::process::id(), "stopped");
    Ok(())
}

fn start(
    path: &Path,
    config: Result<Config, Faults>,
    predecessor: Option<&mut Predecessor>,
) -> anyhow::Result<(Instance, Signals)> {
    descriptors::raise_limit();
    let config = config?;
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let instance = Instance::start_after(config, Some(path.to_owned()), predecessor)?;
    let _entered = instance.runtime.enter();
    let signals = Signals::heard().context("signals")?;
    drop(_entered);
    Ok((instance, signals))
}

enum End {
    /// Told to stop.
    Told,
    /// Another process serves now.
    Replaced,
    /// This process must not serve: why.
    Refused(String),
}

async fn serve(instance: &mut Instance, mut upgrades: Upgrades, signals: &mut Signals) -> End {
    let mut refusals = instance.fleet.as_ref().map(|fleet| fleet.refused.clone());
    let mut watchdog = systemd::watchdog().map(|every| interval((every / 2).max(Duration::from_millis(1))));
    loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Stop if upgrades.cancel().await => return End::Replaced,
                Told::Stop => return End::Told,
                Told::Reload => {
                    instance.reopen_log();
                    let (answer, _) = oneshot::channel();
                    // The result is in the log; a full queue means that a reload is about to happen anyway.
                    let _ = instance.reloads.try_send(("SIGHUP".to_owned(), answer));
                }
                Told::Reopen => instance.reopen_log(),
                Told::Upgrade => {
                    let (answer, _) = oneshot::channel();
                    upgrades.begin(("SIGUSR2".to_owned(), answer));
                }
            },
            () = upgrades.succeed() => return End::Replaced,
            why = refused(&mut refusals) => return End::Refused(why),
            () = tick(&mut watchdog) => {
                // The controller shows itself several times a second.
                if instance.snapshots.has_changed().unwrap_or(false) {
                    instance.snapshots.mark_unchanged();
                    systemd::alive();
                }
            }
        }
    }
}

/// Why the fleet does not take this process. An instance that is alone waits for ever.
async fn refused(refusals: &mut Option<watch::Receiver<Option<String>>>) -> String {
    let why = match refusals {
        Some(refusals) => refusals.wait_for(Option::is_some).await.ok().and_then(|why| why.clone()),
        None => None,
    };
    match why {
        Some(why) => why,
        None => std::future::pending().await,
    }
}

async fn tick(watchdog: &mut Option<Interval>) {
    match watchdog {
        Some(watchdog) => drop(watchdog.tick().await),
        None => std::future::pending().await,
    }
}
