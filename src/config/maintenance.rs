//! `[maintenance]`: what is answered, and who is served all the same.

use super::front::networks;
use super::pages::page;
use super::reader::{Item, Section};
use crate::core::settings::{Maintenance, Service};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Without `pass`, the paths that the services' health checks ask for are served all the same; but never
/// `/`, which is the site itself.
pub(super) fn maintenance(section: &Section<'_>, services: &BTreeMap<String, Arc<Service>>) -> Maintenance {
    let paths = |item: &Item<'_>| Some(item.array()?.iter().filter_map(|item| item.parsed(path)).collect());
    let maintenance = Maintenance {
        page: section.item("page").and_then(|item| page(&item)),
        allow: networks(section, "allow"),
        pass: section.read("pass", health_paths(services), paths),
    };
    section.finish();
    maintenance
}

fn path(text: &str) -> Result<String, String> {
    match text.starts_with('/') && !text.contains('?') {
        true => Ok(text.to_owned()),
        false => Err(format!("\"{text}\" is no path; write \"/health\"")),
    }
}

fn health_paths(services: &BTreeMap<String, Arc<Service>>) -> Vec<String> {
    let pools = services.values().flat_map(|service| service.pools.values());
    let paths = pools.filter_map(|pool| pool.health.as_ref()?.path()?.split('?').next().map(str::to_owned));
    paths.filter(|path| path != "/").collect::<BTreeSet<_>>().into_iter().collect()
}
