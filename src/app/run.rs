//! `pointsman run`: serves until it is told to stop.

use super::{Instance, check, logging};
use anyhow::Context;
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// Its number on Linux.
const SIGXFSZ: i32 = 25;

/// Serves. SIGTERM and SIGINT end it after the requests in flight, a second one at once; SIGHUP reloads
/// the configuration and opens the access log anew, SIGUSR1 only the log.
///
/// # Errors
/// What stood in the way of the start.
pub fn run(path: &Path) -> anyhow::Result<()> {
    logging::start()?;
    let config = check(path)?;
    let instance = Instance::start(config, Some(path.to_owned()))?;
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), "pointsman");
    for (scheme, address) in &instance.listeners {
        tracing::info!("listening {scheme}={address}");
    }
    tracing::info!("listening admin={}", instance.admin);
    instance.runtime.block_on(until_told_to_stop(&instance)).context("signals")?;
    instance.stop();
    tracing::info!("stopped");
    Ok(())
}

async fn until_told_to_stop(instance: &Instance) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut reopen = signal(SignalKind::user_defined1())?;
    // Heard, so that a limit on file sizes fails a write and not the process.
    let _file_size = signal(SignalKind::from_raw(SIGXFSZ))?;
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                instance.reopen_log();
                let (answer, _) = oneshot::channel();
                // The result is in the log; a full queue means that a reload is about to happen anyway.
                let _ = instance.reloads.try_send(("SIGHUP".to_owned(), answer));
            }
            _ = reopen.recv() => instance.reopen_log(),
        }
    }
    tracing::info!("stopping: requests in flight finish; a second signal ends at once");
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
        tracing::warn!("stopped at once");
        std::process::exit(1);
    });
    Ok(())
}
