//! `pointsman check`: everything about a configuration that can be known without serving.

use crate::config::{self, Faults};
use crate::core::settings::Config;
use crate::proxy::Bound;
use std::path::Path;

/// Reads the configuration and the certificates it names.
///
/// # Errors
/// [`Faults`], all of them; certificates are looked at when the file is sound.
pub fn check(path: &Path) -> Result<Config, Faults> {
    super::install_crypto();
    let config = config::load(path)?;
    let unusable = config.listeners.iter().enumerate().filter_map(|(index, listener)| {
        let error = Bound::check(listener).err()?;
        Some(config::Fault {
            path: format!("listeners[{index}].tls"),
            line: 0,
            column: 0,
            detail: error.to_string(),
        })
    });
    let faults: Vec<_> = unusable.collect();
    if faults.is_empty() { Ok(config) } else { Err(Faults { file: path.display().to_string(), faults }) }
}
