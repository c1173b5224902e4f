//! What a reload changes: at once, and at the next start.

use crate::core::settings::{Config, Service};
use std::collections::BTreeMap;

/// The paths that differ: those that take effect at once, and those that need a restart.
pub fn diff(old: &Config, new: &Config) -> (Vec<String>, Vec<String>) {
    let mut at_once = Vec::new();
    let mut at_start = Vec::new();
    let note = |list: &mut Vec<String>, path: &str, differs: bool| {
        if differs {
            list.push(path.to_owned());
        }
    };
    note(&mut at_start, "listeners", old.listeners != new.listeners);
    note(&mut at_start, "server.threads", old.server.threads != new.server.threads);
    note(&mut at_start, "server.state_dir", old.server.state_dir != new.server.state_dir);
    note(&mut at_start, "server.grace", old.server.grace != new.server.grace);
    note(&mut at_start, "server.drain_delay", old.server.drain_delay != new.server.drain_delay);
    note(&mut at_start, "admin.listen", old.admin.listen != new.admin.listen);
    note(&mut at_start, "access_log", old.access_log != new.access_log);
    note(&mut at_once, "admin.tokens", old.admin.tokens != new.admin.tokens);
    note(&mut at_once, "maintenance", old.maintenance != new.maintenance);
    note(&mut at_once, "routes", old.routes != new.routes);
    note(&mut at_once, "notify", old.notify != new.notify);
    at_once.extend(differing("policies", &old.policies, &new.policies));
    for (name, service) in &new.services {
        let Some(before) = old.services.get(name) else {
            at_once.push(format!("services.{name}"));
            continue;
        };
        let path = format!("services.{name}");
        note(&mut at_once, &format!("{path}.stable"), before.stable != service.stable);
        note(&mut at_once, &format!("{path}.policy"), before.policy != service.policy);
        let rollout = |s: &Service| (s.rollout.clone(), s.smoke.clone(), s.hooks.clone(), s.update.clone());
        note(&mut at_once, &format!("{path}.rollout"), rollout(before) != rollout(service));
        at_once.extend(differing(&format!("{path}.pools"), &before.pools, &service.pools));
    }
    at_once.extend(
        old.services.keys().filter(|n| !new.services.contains_key(*n)).map(|n| format!("services.{n}")),
    );
    (at_once, at_start)
}

fn differing<K: Ord + std::fmt::Display, V: PartialEq>(
    path: &str,
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
) -> Vec<String> {
    let gone = old.keys().filter(|key| !new.contains_key(key));
    let changed = new.iter().filter(|(key, value)| old.get(key) != Some(value)).map(|(key, _)| key);
    gone.chain(changed).map(|key| format!("{path}.{key}")).collect()
}
