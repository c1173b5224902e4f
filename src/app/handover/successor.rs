//! The new process, as the old one sees it: started, led through the handover, and ended if it fails.

use super::wire::{Silence, Wire};
use super::{ADMIN_NAME, Said, listener_name};
use crate::admin::Doors;
use crate::app::systemd;
use crate::control::Handover;
use crate::control::command::UpgradeReport;
use crate::notify;
use crate::observe::clock::Clock;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

/// The new process must be ready within this.
const LIMIT: Duration = Duration::from_secs(30);
/// How long a letter that is on its way is waited for.
const LETTER: Duration = Duration::from_secs(12);
/// How often, and after which pause, it is looked whether the new process has ended.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// What the old process needs for an upgrade.
#[derive(Clone, Debug)]
pub(in crate::app) struct Upgrader {
    /// What is started.
    pub binary: PathBuf,
    /// The configuration file.
    pub file: PathBuf,
    pub own: Own,
    /// Set when the process is to stop: the upgrade fails then.
    pub cancelled: Arc<AtomicBool>,
}

/// What it hands over.
#[derive(Clone, Debug)]
pub(in crate::app) struct Own {
    /// With their names.
    pub sockets: Vec<(String, Arc<TcpListener>)>,
    pub handover: Handover,
    pub doors: watch::Sender<Doors>,
    pub desk: Arc<Semaphore>,
    pub runtime: Handle,
    pub clock: Clock,
}

impl Own {
    pub(in crate::app) fn name_of_listener(address: SocketAddr) -> String {
        listener_name(address)
    }

    pub(in crate::app) fn name_of_admin(address: SocketAddr) -> String {
        format!("{ADMIN_NAME} {address}")
    }
}

impl Upgrader {
    /// Replaces this process: when it returns, the new one serves. Blocks.
    ///
    /// # Errors
    /// Why it came to nothing, and how this process goes on; the new one is gone then.
    pub(in crate::app) fn upgrade(&self) -> Result<UpgradeReport, String> {
        let began = self.own.clock.now();
        let (child, wire) = self.start().map_err(|why| format!("{why}; everything goes on as before"))?;
        let new_pid = child.id();
        let mut successor = Successor { child, wire, upgrader: self, until: began + LIMIT };
        let mut taken = Taken::default();
        match successor.lead(&mut taken) {
            Ok(version) => {
                self.own.handover.leave();
                let took_ms = (self.own.clock.now() - began).as_millis() as u64;
                Ok(UpgradeReport { old_pid: std::process::id(), new_pid, version, took_ms })
            }
            Err(why) => {
                let why = successor.end(why);
                Err(match self.go_back(&taken) {
                    Ok(()) => format!("{why}; everything goes on as before"),
                    Err(lost) => format!(
                        "{why}; requests are served as before, but weights and rollouts stand still until the state \
                         store can be opened again, which is tried every second: {lost}"
                    ),
                })
            }
        }
    }

    fn start(&self) -> Result<(Child, Wire), String> {
        let (ours, theirs) = UnixStream::pair().map_err(|error| format!("no socket pair: {error}"))?;
        let started = Command::new(&self.binary)
            .args(["run", "--take-over", "--config"])
            .arg(&self.file)
            // It names this process.
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn();
        let child =
            started.map_err(|error| format!("{} cannot be started: {error}", self.binary.display()))?;
        let wire = Wire::new(ours).map_err(|error| error.to_string())?;
        tracing::info!(new_pid = child.id(), binary = %self.binary.display(), "upgrade: the new process is started");
        Ok((child, wire))
    }

    /// Waits until no letter is on its way, so that none is brought twice. One that takes too long is not
    /// waited for.
    fn pause_letters(&self) -> Option<OwnedSemaphorePermit> {
        let all = self.own.desk.clone().acquire_many_owned(notify::PLACES);
        self.own.runtime.block_on(async { timeout(LETTER, all).await }).ok()?.ok()
    }

    /// Goes on as before; what is not as before is reported.
    fn go_back(&self, taken: &Taken) -> Result<(), String> {
        let back = if taken.released { self.own.handover.take_back() } else { Ok(()) };
        self.own.doors.send_replace(Doors::Open);
        back
    }
}

/// What has been given up so far.
#[derive(Default)]
struct Taken {
    released: bool,
    _letters: Option<OwnedSemaphorePermit>,
}

/// The new process, until it is on its own.
struct Successor<'a> {
    child: Child,
    wire: Wire,
    upgrader: &'a Upgrader,
    until: Duration,
}

impl Successor<'_> {
    /// The whole dialogue; the version of the new process.
    fn lead(&mut self, taken: &mut Taken) -> Result<String, Silence> {
        let own = &self.upgrader.own;
        let names = own.sockets.iter().map(|(name, _)| name.clone()).collect();
        self.wire.say(&Said::Sockets { names })?;
        for (_, socket) in &own.sockets {
            self.wire.send_socket(socket)?;
        }
        match self.hear()? {
            Said::Prepared => (),
            other => return Err(unexpected(other)),
        }
        taken._letters = self.upgrader.pause_letters();
        own.doors.send_replace(Doors::Held);
        own.handover.release().map_err(Silence::Refused)?;
        taken.released = true;
        self.wire.say(&Said::Released)?;
        let version = match self.hear()? {
            Said::Ready { version } => version,
            other => return Err(unexpected(other)),
        };
        systemd::main_pid(self.child.id());
        // It is ready and listens; whether it hears this changes nothing.
        let _ = self.wire.say(&Said::Yours);
        Ok(version)
    }

    fn hear(&mut self) -> Result<Said, Silence> {
        let (clock, until) = (self.upgrader.own.clock, self.until);
        let cancelled = &self.upgrader.cancelled;
        self.wire.hear(|| clock.now() < until && !cancelled.load(Ordering::Relaxed))
    }

    /// Ends it and says why, in one sentence.
    fn end(&mut self, why: Silence) -> String {
        let closed = matches!(why, Silence::Closed | Silence::Io(_));
        // One that has closed the connection is about to end by itself.
        let status = if closed { self.exited() } else { None };
        let status = status.or_else(|| {
            // Where it has ended meanwhile there is nothing to kill. It must be gone before the state is
            // taken back.
            let _ = self.child.kill();
            self.child.wait().ok()
        });
        match why {
            Silence::Closed | Silence::Io(_) => {
                let status = status.map(|status| format!(" ({status})")).unwrap_or_default();
                format!("the new process ended before it was ready{status}; its log says more")
            }
            Silence::GaveUp if self.upgrader.cancelled.load(Ordering::Relaxed) => {
                "this process was told to stop".into()
            }
            Silence::GaveUp => format!("the new process was not ready within {LIMIT:?}"),
            Silence::Strange(what) => format!("the new process says what is not understood: {what}"),
            Silence::Refused(why) => why,
        }
    }

    fn exited(&mut self) -> Option<std::process::ExitStatus> {
        for _ in 0..TRIES {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(PAUSE),
                ended => return ended.ok().flatten(),
            }
        }
        None
    }
}

fn unexpected(said: Said) -> Silence {
    Silence::Refused(match said {
        Said::Failed { reason } => reason,
        other => format!("the new process says {other:?} out of turn"),
    })
}

/// The file that this process was started from, by the name it was started by: it may be another file by
/// the time of an upgrade, which is what an upgrade is for.
pub(in crate::app) fn binary() -> Option<PathBuf> {
    let resolved = std::env::current_exe().ok();
    let name = PathBuf::from(std::env::args_os().next()?);
    if name.components().count() > 1 {
        return std::path::absolute(name).ok().or(resolved);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(&name)).find(|file| is_file(file)).or(resolved)
}

fn is_file(path: &Path) -> bool {
    path.is_file()
}
