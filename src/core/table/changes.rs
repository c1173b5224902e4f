//! What differs between two tables, found without a look into the services that both share.

use super::{Service, Table};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The services that differ, each as it was and as it is now; `None` where a table has none of that name.
pub fn changes<'a>(before: &'a Table, now: &'a Table) -> Vec<(Option<&'a Service>, Option<&'a Service>)> {
    let pairs = || before.services.iter().zip(&now.services).filter(|(old, new)| !Arc::ptr_eq(old, new));
    let is_same_length = before.services.len() == now.services.len();
    if is_same_length && pairs().all(|(old, new)| old.name == new.name) {
        return pairs().map(|(old, new)| (Some(&**old), Some(&**new))).collect();
    }
    let mut by_name: BTreeMap<&str, (Option<&'a Service>, Option<&'a Service>)> = BTreeMap::new();
    for service in &before.services {
        by_name.entry(&service.name).or_default().0 = Some(service);
    }
    for service in &now.services {
        by_name.entry(&service.name).or_default().1 = Some(service);
    }
    let is_shared = |pair: &(Option<&Service>, Option<&Service>)| match pair {
        (Some(old), Some(new)) => std::ptr::eq(*old, *new),
        _ => false,
    };
    by_name.into_values().filter(|pair| !is_shared(pair)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&str]) -> Table {
        let service = |name: &&str| Arc::new(Service::for_tests(name, Vec::new()));
        Table { services: names.iter().map(service).collect(), ..Table::default() }
    }

    fn named<'a>(before: &'a Table, now: &'a Table) -> Vec<(Option<&'a str>, Option<&'a str>)> {
        let name = |service: Option<&'a Service>| service.map(|service| &*service.name);
        changes(before, now).into_iter().map(|(old, new)| (name(old), name(new))).collect()
    }

    #[test]
    fn a_change_of_one_service_shares_all_others_with_the_table_before() {
        let before = table(&["api", "shop", "web"]);
        let now = before.with([(1, Service::for_tests("shop", Vec::new()))]);
        assert_eq!(now.revision, before.revision + 1);
        let shared = before.services.iter().zip(&now.services).map(|(old, new)| Arc::ptr_eq(old, new));
        assert_eq!(shared.collect::<Vec<_>>(), [true, false, true]);
        assert!(Arc::ptr_eq(&before.routes, &now.routes) && Arc::ptr_eq(&before.limits, &now.limits));
        assert_eq!(named(&before, &now), [(Some("shop"), Some("shop"))]);
        assert_eq!(named(&now, &now), []);
    }

    #[test]
    fn services_that_come_and_go_are_changes() {
        let before = table(&["api", "web"]);
        let mut now = table(&["shop"]);
        now.services = [before.services[0].clone(), now.services[0].clone()].into();
        assert_eq!(named(&before, &now), [(None, Some("shop")), (Some("web"), None)]);
        now.services = [before.services[1].clone()].into();
        assert_eq!(named(&before, &now), [(Some("api"), None)]);
    }
}
