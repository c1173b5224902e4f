//! Lifts what most routes share to where it is said once: `[headers]`, the pools' timeouts, the
//! listeners' body limit, the pages for errors. A route keeps only what differs.

use super::site::{Headers, Lead, Route, Site, Timeouts};

pub(super) fn settle(site: &mut Site) {
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
