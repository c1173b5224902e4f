//! From what was typed to what is meant.
//!
//! A file is parsed into a table that knows where everything stands, then read section by section into
//! [`crate::core::settings`]. Reading never stops at the first fault: every fault is reported at once,
//! each with its path, line and column and what to do about it.

mod access;
mod acme;
mod buffer;
mod cohort;
mod compression;
mod condition;
mod cookies;
mod diff;
mod docker;
mod fault;
mod fleet;
mod forwarded;
mod front;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod headers;
mod health;
mod keys;
mod limits;
mod listener;
mod loops;
mod maintenance;
mod mirror;
pub mod nginx;
mod notify;
mod otlp;
mod pages;
mod policy;
mod pool;
mod reader;
mod request;
mod retry;
mod rollout;
mod route;
mod rule;
mod service;
mod sets;
mod shield;
mod signals;
mod smoke;
mod tls;
mod units;
mod upstream_tls;
mod values;
mod weak;

pub use diff::diff;
pub use fault::{Fault, Faults};
pub use loops::is_local;

use crate::core::policy::Policy;
use crate::core::route::Routes;
use crate::core::settings::Config;
use loops::{Loops, Surroundings};
use reader::{Document, Section};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use toml::de::DeTable;

/// A JSON Schema of the configuration, for editors. What it refuses is refused by [`load`], too, which looks at more.
pub const SCHEMA: &str = include_str!("../../docs/pointsman.schema.json");

/// Most pools there can be, over all services.
const MAX_POOLS: usize = 4096;

/// Reads and resolves a configuration file.
///
/// # Errors
/// [`Faults`]: everything that is wrong with it.
pub fn load(path: &Path) -> Result<Config, Faults> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Faults::unreadable(&name, &error, "name another file with --config"))?;
    let base = path.parent().unwrap_or(Path::new("."));
    let document = Document::new(&text, &|variable| std::env::var(variable).ok(), base);
    parsed(document, &text, &name, Surroundings::THIS_MACHINE)
}

/// Reads the policies of a file by name: a whole configuration, of which nothing else is looked at; a file
/// with `[policies.NAME]` alone; or the keys of one policy without a table, which is called `default`.
///
/// # Errors
/// [`Faults`]: everything that is wrong with them.
pub fn policies(path: &Path) -> Result<BTreeMap<String, Arc<Policy>>, Faults> {
    let name = path.display().to_string();
    let unreadable = |error| Faults::unreadable(&name, &error, "name another file with --policy");
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    parse_policies(&text, &name)
}

/// Where the admin API of a configuration listens, and whether with TLS; nothing else of it is looked at. `None` where
/// the file cannot be read, or does not say.
pub fn place_of_admin(path: &Path) -> Option<(SocketAddr, bool)> {
    let text = std::fs::read_to_string(path).ok()?;
    let env = |variable: &str| std::env::var(variable).ok();
    let document = Document::new(&text, &env, Path::new("."));
    let table = DeTable::parse(&text).ok()?;
    let place = front::place_of_admin(&Section::root(&document, table.get_ref()).section("admin"));
    place.filter(|(address, _)| address.port() != 0)
}

fn parse_policies(text: &str, name: &str) -> Result<BTreeMap<String, Arc<Policy>>, Faults> {
    let env = |variable: &str| std::env::var(variable).ok();
    let document = Document::new(text, &env, Path::new("."));
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        document.fault_at(error.span().map_or(0, |span| span.start), "", error.message());
    }
    if document.is_clean() {
        let policies = policy::alone(&Section::root(&document, table.get_ref()));
        if document.is_clean() {
            return Ok(policies);
        }
    }
    Err(document.into_faults(name))
}

/// Resolves the text of a configuration. `name` is how faults call it, `env` looks up `${VARIABLES}`,
/// relative file names start from `base`.
///
/// # Errors
/// [`Faults`]: everything that is wrong with it.
pub fn parse(
    text: &str,
    name: &str,
    env: &dyn Fn(&str) -> Option<String>,
    base: &Path,
) -> Result<Config, Faults> {
    parsed(Document::new(text, env, base), text, name, Surroundings::NONE)
}

fn parsed(
    document: Document<'_>,
    text: &str,
    name: &str,
    surroundings: Surroundings,
) -> Result<Config, Faults> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        document.fault_at(error.span().map_or(0, |span| span.start), "", error.message());
    }
    if document.is_clean() {
        let root = Section::root(&document, table.get_ref());
        let config = read(&root, surroundings);
        if let Some(config) = config.filter(|_| document.is_clean()) {
            weak::look(&root, &config);
            let shared_digest = document.shared_digest(table.get_ref());
            return Ok(Config { warnings: document.warnings(name), shared_digest, ..config });
        }
    }
    Err(document.into_faults(name))
}

fn check_count(root: &Section<'_>, pools: usize) {
    if pools > MAX_POOLS {
        let detail = "can be measured; split the site over instances";
        root.fault(&format!("{pools} pools are configured, {MAX_POOLS} {detail}"));
    }
}

/// The names of what stands in a section.
fn names_in(root: &Section<'_>, section: &'static str) -> Vec<String> {
    root.section(section).entries().into_iter().map(|(name, _)| name).collect()
}

fn read(root: &Section<'_>, surroundings: Surroundings) -> Option<Config> {
    let values = values::read(root);
    let mut server = front::server(&root.section("server"));
    let process_limits = front::process_limits(&root.section("limits"));
    let admin = front::admin(&root.section("admin"));
    let access_log = root.item("access_log").and_then(|item| front::access_log(&item.section()?));
    let otlp = otlp::read(root, &mut server.tracing);
    let (docker, fleet) = (docker::read(root), fleet::read(root));
    let automatic = acme::automatic(root);
    let ordered = root.item("acme").and_then(|item| item.section());
    let ordered = ordered.or_else(|| (!automatic.is_empty()).then(|| root.section("acme")));
    let acme = ordered.as_ref().map(|section| acme::acme(section, &server.state_dir, !automatic.is_empty()));
    let mut listeners = listener::listeners(root, acme.as_ref().map(Option::as_ref), surroundings);
    let mut acme = acme.flatten();
    let policies = policy::policies(root);
    let addresses: Vec<_> = listeners.iter().map(|listener| listener.address).collect();
    let loops = Loops::new(&addresses, admin.as_ref(), surroundings);
    let services =
        service::services(root, &policies, server.expose_pool.as_ref(), (&loops, docker.is_some()));
    let names = names_in(root, "services");
    let sets = sets::sets(root, &names);
    let rate_limits = limits::rate_limits(root);
    let (mut specs, error_pages) = route::routes(
        root,
        &route::Known {
            services: &names,
            rates: &names_in(root, "rate_limits"),
            listeners: &addresses,
            admin: admin.as_ref(),
        },
    );
    acme::fit((&automatic, ordered.as_ref()), acme.as_mut(), &mut listeners, &mut specs);
    let routes = Routes::new(specs, headers::headers(&root.section("headers")), error_pages);
    let maintenance = maintenance::maintenance(&root.section("maintenance"), &services);
    let compression = compression::read(root);
    let notify = notify::receivers(root, &names);
    root.finish();
    check_count(root, services.values().map(|service| service.pools.len()).sum());
    let (admin, maintenance, routes) = (admin?, Arc::new(maintenance), Arc::new(routes));
    Some(Config {
        server,
        limits: process_limits,
        admin,
        access_log,
        otlp,
        docker,
        fleet,
        listeners,
        acme,
        maintenance,
        compression,
        values,
        rate_limits,
        routes,
        services,
        sets,
        policies,
        notify,
        warnings: Vec::new(),
        shared_digest: String::new(),
    })
}

#[cfg(test)]
mod tests;
