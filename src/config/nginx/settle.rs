//! Lifts what most routes share to where it is said once: `[headers]`, the pools' timeouts, the
//! listeners' body limit, the pages for errors. A route keeps only what differs.

use super::site::{Headers, Lead, Route, Site, Timeouts};
use super::tree::Place;

pub(super) fn settle(site: &mut Site) {
    merge(site, |route| &mut route.hosts);
    merge(site, |route| &mut route.listeners);
    site.headers = Headers {
        response: most(site.routes.iter().map(|route| &route.headers.response)).unwrap_or_default(),
        request: most(proxied(site).map(|route| &route.headers.request)).unwrap_or_default(),
    };
    let pages = site.routes.first().map(|route| route.error_pages.clone()).unwrap_or_default();
    if site.routes.iter().all(|route| route.error_pages == pages) {
        site.error_pages = pages;
    }
    for index in 0..site.listeners.len() {
        let address = &site.listeners[index].address;
        let here = site
            .routes
            .iter()
            .filter(|route| route.listeners.is_empty() || route.listeners.contains(address));
        let upload = here.clone().filter(|route| matches!(route.lead, Lead::Service(_)));
        let body = most(upload.map(|route| &route.body)).or_else(|| most(here.map(|route| &route.body)));
        site.listeners[index].body = body.unwrap_or(1 << 20);
    }
    for index in 0..site.services.len() {
        let name = &site.services[index].name;
        let to_it = proxied(site).filter(|route| route.lead == Lead::Service(name.clone()));
        let timeouts: Option<Timeouts> = most(to_it.map(|route| &route.timeouts));
        site.services[index].pools.iter_mut().for_each(|pool| pool.timeouts.clone_from(&timeouts));
    }
}

/// Servers whose routes say the same become one: what `names` has of the first takes in that of the other. Only
/// whole servers, so that the order of their patterns stays.
fn merge(site: &mut Site, names: impl Fn(&mut Route) -> &mut Vec<String>) {
    let mut servers: Vec<Vec<Route>> = Vec::new();
    for route in site.routes.drain(..) {
        let is_its = |last: &Route| last.hosts == route.hosts && last.listeners == route.listeners;
        match servers.last_mut() {
            Some(server) if server.last().is_some_and(is_its) => server.push(route),
            _ => servers.push(vec![route]),
        }
    }
    let bare = |server: &[Route]| -> Vec<Route> {
        let mut server = server.to_vec();
        for route in &mut server {
            names(route).clear();
            route.from = Place::none();
        }
        server
    };
    let mut merged: Vec<Vec<Route>> = Vec::new();
    for mut server in servers {
        let own = server.first_mut().map(|route| names(route).clone()).unwrap_or_default();
        let is_alike = |known: &&mut Vec<Route>| {
            let is_named = known.first().cloned().is_some_and(|mut route| !names(&mut route).is_empty());
            is_named && !own.is_empty() && bare(known) == bare(&server)
        };
        match merged.iter_mut().find(is_alike) {
            Some(known) => known.iter_mut().for_each(|route| join(names(route), &own)),
            None => merged.push(server),
        }
    }
    site.routes = merged.into_iter().flatten().collect();
}

fn join(names: &mut Vec<String>, more: &[String]) {
    let fresh: Vec<String> = more.iter().filter(|name| !names.contains(name)).cloned().collect();
    names.extend(fresh);
}

fn proxied(site: &Site) -> impl Iterator<Item = &Route> {
    site.routes.iter().filter(|route| matches!(route.lead, Lead::Service(_)))
}

/// The most frequent one; the first among equals.
fn most<'a, T: PartialEq + Clone + 'a>(values: impl Iterator<Item = &'a T>) -> Option<T> {
    let mut counted: Vec<(&T, usize)> = Vec::new();
    for value in values {
        match counted.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count += 1,
            None => counted.push((value, 1)),
        }
    }
    let highest = counted.iter().map(|(_, count)| *count).max()?;
    counted.into_iter().find(|(_, count)| *count == highest).map(|(value, _)| value.clone())
}
