//! `pointsman check`: everything about a configuration that can be known without serving.

use super::certificates::AdminTls;
use crate::config::{self, Faults};
use crate::core::settings::{Acme, Config, Listener};
use crate::proxy::Bound;
use std::path::Path;

/// Reads the configuration and the certificates it names.
///
/// # Errors
/// [`Faults`], all of them; certificates are looked at when the file is sound.
pub fn check(path: &Path) -> Result<Config, Faults> {
    super::install_crypto();
    let config = config::load(path)?;
    let listeners = config.listeners.iter().filter_map(|listener| {
        let listener = without_what_is_ordered(listener, config.acme.as_ref());
        Some(unusable(format!("listeners[{}].tls", listener.entry), &Bound::check(&listener).err()?))
    });
    let admin = config.admin.tls.as_ref().and_then(|tls| AdminTls::load(tls).err());
    let faults: Vec<_> =
        admin.map(|error| unusable("admin.tls".into(), &error)).into_iter().chain(listeners).collect();
    if faults.is_empty() { Ok(config) } else { Err(Faults { file: path.display().to_string(), faults }) }
}

/// The certificate of `[acme]` may still have to come.
fn without_what_is_ordered(listener: &Listener, acme: Option<&Acme>) -> Listener {
    let mut listener = listener.clone();
    let ordered = acme.map(Acme::certificate).filter(|ordered| !ordered.cert.exists());
    if let Some(tls) = &mut listener.tls {
        tls.certificates.retain(|certificate| Some(certificate) != ordered.as_ref());
    }
    listener
}

fn unusable(path: String, error: &impl std::error::Error) -> config::Fault {
    config::Fault { path, line: 0, column: 0, detail: error.to_string(), example: None }
}
