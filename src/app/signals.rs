//! What signals ask of the process.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Its number on Linux.
const SIGXFSZ: i32 = 25;

/// What a signal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
    /// SIGUSR1: the access log again.
    Reopen,
    /// SIGUSR2.
    Upgrade,
}

pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    reopen: Signal,
    upgrade: Signal,
    /// Heard, so that a limit on file sizes fails a write and not the process.
    _file_size: Signal,
}

impl Signals {
    /// Hears them from now on, in a runtime.
    ///
    /// # Errors
    /// When the system refuses.
    pub(super) fn heard() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            reopen: signal(SignalKind::user_defined1())?,
            upgrade: signal(SignalKind::user_defined2())?,
            _file_size: signal(SignalKind::from_raw(SIGXFSZ))?,
        })
    }

    pub(super) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
            _ = self.reopen.recv() => Told::Reopen,
            _ = self.upgrade.recv() => Told::Upgrade,
        }
    }

    /// While it stops: ends the process when it has to stop once more. `told` is whether it was a
    /// signal that stopped it.
    pub(super) async fn end_at_the_second(mut self, told: bool) {
        if !told {
            self.stop().await;
            tracing::info!("already stopping; a second signal ends at once");
        }
        self.stop().await;
        tracing::warn!("stopped at once");
        std::process::exit(1);
    }

    async fn stop(&mut self) {
        while self.next().await != Told::Stop {}
    }
}
