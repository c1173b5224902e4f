//! What must hold of any text as a configuration.

mod values;

pub use values::values;

use super::{Faults, diff, parse};
use crate::core::route::Target;
use crate::core::settings::Config;
use std::net::SocketAddr;
use std::path::Path;

/// The text of a configuration.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A configuration may name any file, and reading some never ends.
    if text.contains("/dev") || text.contains("/proc") {
        return;
    }
    let resolved = resolve(text);
    assert_eq!(resolved, resolve(text), "it means the same each time");
    match resolved {
        Ok(config) => {
            is_complete(&config);
            assert_eq!(diff(&config, &config), (Vec::new(), Vec::new()), "nothing differs from itself");
            assert_eq!(resolve(&format!("{text}\n# behind")), Ok(config), "a comment means nothing");
        }
        Err(faults) => have_places(&faults, text),
    }
}

fn resolve(text: &str) -> Result<Config, Faults> {
    parse(text, "fuzz.toml", &|name| (name == "PORT").then(|| "3000".to_owned()), Path::new("/nonexistent"))
}

fn have_places(faults: &Faults, text: &str) {
    assert!(!faults.faults.is_empty());
    let lines: Vec<&str> = text.split('\n').collect();
    let mut before = (1, 1);
    for fault in &faults.faults {
        let length = lines.get(fault.line.wrapping_sub(1)).map(|line| line.chars().count());
        assert!(length.is_some_and(|length| (1..=length + 1).contains(&fault.column)), "{fault:?}");
        assert!(before <= (fault.line, fault.column), "in the order of the file: {faults}");
        assert!(!fault.detail.is_empty(), "{fault:?}");
        before = (fault.line, fault.column);
    }
}

/// Whatever is named exists.
fn is_complete(config: &Config) {
    assert!(config.server.threads > 0);
    for route in config.routes.specs() {
        if let Target::Service(name) = &route.target {
            assert!(config.services.contains_key(name), "{name}");
        }
        assert!(route.rates.iter().all(|rate| config.rate_limits.contains_key(rate)), "{:?}", route.rates);
        let known =
            |address: &SocketAddr| config.listeners.iter().any(|listener| listener.address == *address);
        assert!(route.listeners.iter().all(known), "{:?}", route.listeners);
    }
    for service in config.services.values() {
        assert!(service.pools.contains_key(&service.stable), "{}", service.stable);
        for pool in service.pools.values() {
            assert!(pool.retry.tries > 0 && pool.upstreams.iter().all(|upstream| upstream.weight > 0));
        }
    }
}
