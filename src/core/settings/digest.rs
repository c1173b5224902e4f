//! What of a configuration all members of a fleet must have the same.

use super::Config;
use sha2::{Digest, Sha256};

impl Config {
    /// A digest of routes, services and policies, in hexadecimal digits: equal where two instances decide alike.
    /// Listeners, the admin API, the state directory, threads and the member's own name are each instance's.
    pub fn shared_digest(&self) -> String {
        let Config { values, rate_limits, routes, services, sets, policies, maintenance, .. } = self;
        // Everything in it is in order, and shows no address of memory.
        let text = format!(
            "{values:?}{rate_limits:?}{:?}{services:?}{sets:?}{policies:?}{maintenance:?}",
            routes.specs()
        );
        Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}
