//! What a reload changes: at once, and at the next start.

use crate::core::settings::{Certificate, Config, Listener, Service, Tls};
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
    let fixed = |listeners: &[Listener]| listeners.iter().map(but_certificates).collect::<Vec<_>>();
    note(&mut at_start, "listeners", fixed(&old.listeners) != fixed(&new.listeners));
    for (before, after) in old.listeners.iter().zip(&new.listeners) {
        let path = format!("listeners[{}].tls.certificates", after.entry);
        let same = before.address == after.address && !at_once.contains(&path);
        let both = before.tls.is_some() && after.tls.is_some();
        note(&mut at_once, &path, same && both && certificates(&before.tls) != certificates(&after.tls));
    }
    note(&mut at_start, "server.threads", old.server.threads != new.server.threads);
    note(&mut at_start, "server.state_dir", old.server.state_dir != new.server.state_dir);
    note(&mut at_start, "server.grace", old.server.grace != new.server.grace);
    note(&mut at_start, "server.drain_delay", old.server.drain_delay != new.server.drain_delay);
    note(&mut at_start, "server.log", old.server.log != new.server.log);
    note(&mut at_once, "limits", old.limits != new.limits);
    note(&mut at_once, "server.retention", old.server.retention != new.server.retention);
    note(&mut at_once, "server.trace", old.server.tracing.mode != new.server.tracing.mode);
    note(&mut at_once, "otlp.sample", old.server.tracing.sampled != new.server.tracing.sampled);
    note(&mut at_start, "otlp", old.otlp != new.otlp);
    note(&mut at_start, "fleet", old.fleet != new.fleet);
    note(&mut at_start, "admin.listen", old.admin.listen != new.admin.listen);
    note(&mut at_start, "admin.tls", old.admin.tls != new.admin.tls);
    note(&mut at_start, "access_log", old.access_log != new.access_log);
    note(&mut at_once, "admin.tokens", old.admin.tokens != new.admin.tokens);
    note(&mut at_once, "docker", old.docker != new.docker);
    note(&mut at_once, "acme", old.acme != new.acme);
    note(&mut at_once, "maintenance", old.maintenance != new.maintenance);
    note(&mut at_once, "compression", old.compression != new.compression);
    at_once.extend(differing("", &old.values, &new.values));
    at_once.extend(differing("rate_limits", &old.rate_limits, &new.rate_limits));
    note(&mut at_once, "routes", old.routes.specs() != new.routes.specs());
    note(&mut at_once, "headers", old.routes.headers != new.routes.headers);
    note(&mut at_once, "error_pages", old.routes.error_pages != new.routes.error_pages);
    note(&mut at_once, "notify", old.notify != new.notify);
    note(&mut at_once, "sets", old.sets != new.sets);
    at_once.extend(differing("policies", &old.policies, &new.policies));
    for (name, service) in &new.services {
        let Some(before) = old.services.get(name) else {
            at_once.push(format!("services.{name}"));
            continue;
        };
        at_once.extend(of_service(&format!("services.{name}"), before, service));
    }
    at_once.extend(
        old.services.keys().filter(|n| !new.services.contains_key(*n)).map(|n| format!("services.{n}")),
    );
    (at_once, at_start)
}

/// The keys of a service that differ, below its path.
fn of_service(path: &str, before: &Service, service: &Service) -> Vec<String> {
    let mut keys = Vec::new();
    let mut note = |key: &str, differs: bool| {
        if differs {
            keys.push(format!("{path}.{key}"));
        }
    };
    note("stable", before.stable != service.stable);
    note("policy", before.policy != service.policy);
    let rollout =
        |s: &Service| (s.rollout.clone(), s.warm_up, s.smoke.clone(), s.hooks.clone(), s.update.clone());
    note("rollout", rollout(before) != rollout(service));
    note("cohort", before.cohort != service.cohort);
    note("testers", before.testers != service.testers);
    note("rules", before.rules != service.rules);
    note("expose_pool", before.expose_pool != service.expose_pool);
    note("shield", before.shield != service.shield);
    note("mirror", before.mirror != service.mirror);
    note("refuge", before.refuge != service.refuge);
    note("watch_manual", before.watch_manual != service.watch_manual);
    note("close_streams", before.close_streams != service.close_streams);
    keys.extend(differing(&format!("{path}.pools"), &before.pools, &service.pools));
    keys
}

/// A listener that serves goes on as it is; only its certificates can be exchanged.
fn but_certificates(listener: &Listener) -> Listener {
    let mut listener = listener.clone();
    if let Some(tls) = &mut listener.tls {
        tls.certificates.clear();
    }
    listener
}

fn certificates(tls: &Option<Tls>) -> &[Certificate] {
    tls.as_ref().map_or(&[], |tls| &tls.certificates)
}

fn differing<K: Ord + std::fmt::Display, V: PartialEq>(
    path: &str,
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
) -> Vec<String> {
    let gone = old.keys().filter(|key| !new.contains_key(key));
    let changed = new.iter().filter(|(key, value)| old.get(key) != Some(value)).map(|(key, _)| key);
    let within = if path.is_empty() { String::new() } else { format!("{path}.") };
    gone.chain(changed).map(|key| format!("{within}{key}")).collect()
}
