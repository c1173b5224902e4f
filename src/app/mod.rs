//! The composition root: the one place that names everything.

mod certificates;
mod check;
pub mod demo;
mod descriptors;
mod exporting;
mod fleet;
mod handover;
mod instance;
mod limits;
mod logging;
mod memory;
mod opened;
mod reload;
mod run;
mod secret;
mod signals;
mod systemd;

pub use check::check;
pub use instance::Instance;
pub use run::run;

/// Chooses the cryptography of all TLS in this process: ring, which needs no C++ and no assembler.
pub fn install_crypto() {
    // An error means that it has been chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
