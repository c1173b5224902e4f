//! Word to the service manager: ready, reloading, stopping, alive, and who the main process is.
//!
//! The protocol of systemd's `Type=notify`: datagrams to the socket that `NOTIFY_SOCKET` names. Without
//! it nothing is sent, and nothing here fails: a service manager that is gone must not stop the site.

use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Requests are served.
pub(super) fn ready() {
    tell(&format!("READY=1\nSTATUS=serving, version {}", env!("CARGO_PKG_VERSION")));
}

/// A reload has begun; [`ready`] ends it.
pub(super) fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let us = now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000;
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={us}"));
}

pub(super) fn stopping() {
    tell("STOPPING=1\nSTATUS=finishing requests in flight");
}

/// Another process is the main one from now on.
pub(super) fn main_pid(pid: u32) {
    tell(&format!("MAINPID={pid}"));
}

/// Still alive; wanted at least every [`watchdog`].
pub(super) fn alive() {
    tell("WATCHDOG=1");
}

/// How often [`alive`] must be said, if at all.
pub(super) fn watchdog() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let is_meant = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|us| *us > 0 && is_meant).map(Duration::from_micros)
}

fn tell(text: &str) {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return };
    if let Err(error) = send(name.as_bytes(), text) {
        tracing::warn!("the service manager cannot be told {text:?}: {error}");
    }
}

fn send(name: &[u8], text: &str) -> io::Result<()> {
    let address = match name {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(Duration::from_secs(1)))?;
    socket.send_to_addr(text.as_bytes(), &address)?;
    Ok(())
}
