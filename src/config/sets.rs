//! `[[sets]]`: services that are deployed as one.

use super::reader::{Item, Section};
use super::service::named;
use crate::core::settings::ServiceSet;

/// In file order.
pub(super) fn sets(root: &Section<'_>, services: &[String]) -> Vec<ServiceSet> {
    let mut sets: Vec<ServiceSet> = Vec::new();
    for section in root.tables("sets") {
        let name = section.need("name", "how commands call it, such as \"site\"", |item| {
            let name = item.string()?;
            named(&name, item)?;
            let taken = match () {
                () if services.contains(&name) => Some("a service"),
                () if sets.iter().any(|other| other.name == name) => Some("another set"),
                () => None,
            };
            match taken {
                Some(what) => item.fault(&format!("{what} is called {name} already")),
                None => return Some(name),
            }
            None
        });
        let members = section.need("services", "the services, in the order in which they go on", |item| {
            members(item, services, &sets)
        });
        section.finish();
        if let (Some(name), Some(services)) = (name, members) {
            sets.push(ServiceSet { name, services });
        }
    }
    sets
}

fn members(item: &Item<'_>, services: &[String], sets: &[ServiceSet]) -> Option<Vec<String>> {
    let mut members = Vec::new();
    for item in item.array()? {
        let service = item.string()?;
        if !services.contains(&service) {
            item.fault(&format!("there is no service {service}; there are: {}", services.join(", ")));
        } else if members.contains(&service) {
            item.fault(&format!("{service} stands twice"));
        } else if let Some(other) = sets.iter().find(|set| set.services.contains(&service)) {
            item.fault(&format!("{service} is in the set {} already, and can be in one only", other.name));
        } else {
            members.push(service);
            continue;
        }
        return None;
    }
    if members.len() < 2 {
        item.fault("a set has at least two services");
        return None;
    }
    Some(members)
}

#[cfg(test)]
mod tests {
    /// What is wrong with these sets, of a site with the services web, signaling and worker.
    fn faults(sets: &str) -> String {
        let service = |name| format!("[services.{name}.pools.blue]\nupstreams = [\"127.0.0.1:1\"]\n");
        let services: String = ["web", "signaling", "worker"].map(service).concat();
        let text = format!(
            "[server]\nstate_dir = \"s\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
             [[routes]]\nservice = \"web\"\n{services}{sets}"
        );
        let parsed = crate::config::parse(&text, "test", &|_| None, "/tmp".as_ref());
        parsed.err().map(|faults| faults.to_string()).unwrap_or_default()
    }

    fn set(name: &str, services: &str) -> String {
        format!("[[sets]]\nname = \"{name}\"\nservices = [{services}]\n")
    }

    #[test]
    fn a_set_names_services_that_are_there_once() {
        let good = set("site", "\"web\", \"signaling\"");
        assert_eq!(faults(&good), "");
        for (sets, fault) in [
            (set("site", "\"web\", \"shop\""), "there is no service shop; there are: web, signaling, worker"),
            (set("site", "\"web\", \"web\""), "web stands twice"),
            (set("site", "\"web\""), "a set has at least two services"),
            (set("site", ""), "a set has at least two services"),
            (set("worker", "\"web\", \"signaling\""), "a service is called worker already"),
            (set("Site", "\"web\", \"signaling\""), "a name has 1 to 63 characters"),
            (good.clone() + &set("site", "\"web\", \"worker\""), "another set is called site already"),
            (good + &set("other", "\"worker\", \"web\""), "web is in the set site already"),
            ("[[sets]]\nname = \"site\"\n".to_owned(), "sets[0].services: is missing"),
            ("[[sets]]\nservices = [\"web\", \"signaling\"]\n".to_owned(), "sets[0].name: is missing"),
        ] {
            let told = faults(&sets);
            assert!(told.contains(fault), "{sets}{told}");
        }
    }
}
