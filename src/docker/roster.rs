//! The containers that are known, and what events have said of them since they were listed.

use super::container::{Container, Life};
use super::place::{Place, SERVICE};
use crate::core::container::Containers;
use crate::core::settings::Config;
use crate::core::settings::container_identity;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How long a container that was told to end is kept from new requests while it goes on.
const ENDING: Duration = Duration::from_secs(60);

/// By id.
#[derive(Debug, Default)]
pub(super) struct Roster(HashMap<String, Known>);

#[derive(Debug)]
struct Known {
    container: Container,
    /// Since when it is to end.
    ending: Option<Duration>,
    /// Whether an event has said that it does not run; a listing may be older.
    ended: bool,
}

/// A container that has labels and is no upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unplaced {
    pub container: String,
    pub id: Arc<str>,
    pub why: String,
}

impl Roster {
    /// All that there are now. `begins` says that events before this one may have been missed.
    pub(super) fn list(&mut self, listed: Vec<Container>, begins: bool) {
        let mut before = std::mem::take(&mut self.0);
        let ours = listed.into_iter().filter(|one| one.labels.contains_key(SERVICE) && !one.is_one_off());
        for container in ours {
            let known = before.remove(&container.id);
            let ending = known.as_ref().and_then(|known| known.ending);
            let ended = known.is_some_and(|known| known.ended) && !begins;
            self.0.insert(container.id.clone(), Known { container, ending, ended });
        }
    }

    pub(super) fn is_known(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// It was told to end. Whether that is news.
    pub(super) fn ends(&mut self, id: &str, now: Duration) -> bool {
        let known = self.0.get_mut(id).filter(|known| known.ending.is_none());
        known.map(|known| known.ending = Some(now)).is_some()
    }

    pub(super) fn ended(&mut self, id: &str) {
        if let Some(known) = self.0.get_mut(id) {
            (known.ended, known.ending) = (true, None);
        }
    }

    pub(super) fn removed(&mut self, id: &str) {
        self.0.remove(id);
    }

    pub(super) fn started(&mut self, id: &str) {
        if let Some(known) = self.0.get_mut(id) {
            (known.ended, known.ending) = (false, None);
        }
    }

    /// Takes those back that were told to end long ago and go on. Whether there is one.
    pub(super) fn forgive(&mut self, now: Duration) -> bool {
        let is_long = |known: &&mut Known| known.ending.is_some_and(|since| now >= since + ENDING);
        let forgiven = self.0.values_mut().filter(is_long).map(|known| known.ending = None);
        forgiven.count() > 0
    }

    /// The containers of every pool, and those that are of none though they have labels.
    pub(super) fn placed(&self, config: &Config) -> (Containers, Vec<Unplaced>) {
        let network = config.docker.as_ref().and_then(|docker| docker.network.as_deref());
        let mut containers = Containers::new();
        let mut unplaced = Vec::new();
        for known in self.0.values() {
            if let Err(why) = known.place(config, network, &mut containers) {
                let (container, id) = (known.container.name(), known.container.short_id());
                unplaced.push(Unplaced { container, id, why });
            }
        }
        let pools = containers.values_mut().flat_map(BTreeMap::values_mut);
        pools.for_each(|pool| pool.upstreams.sort_by(|one, other| one.address.cmp(&other.address)));
        unplaced.sort_by(|one, other| one.container.cmp(&other.container));
        (containers, unplaced)
    }
}

impl Known {
    fn place(&self, config: &Config, network: Option<&str>, all: &mut Containers) -> Result<(), String> {
        let life = self.container.life();
        if life == Life::Created {
            return Ok(());
        }
        let place = Place::of(&self.container, config)?;
        let runs = life == Life::Running && !self.ended;
        let upstream = runs.then(|| place.reached(&self.container, network)).transpose()?;
        let Place { service, pool, label, .. } = place;
        let of = all.entry(service).or_default().entry(pool).or_default();
        of.existing.insert(container_identity(&label, &self.container.short_id()));
        of.upstreams.extend(upstream);
        if self.ending.is_some() {
            of.ending.insert(label);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CONFIG: &str = "[[listeners]]\naddress = \"127.0.0.1:0\"\n[docker]\n[[routes]]\nservice = \"web\"\n\
        [services.web.pools.blue]\n";

    fn container(id: &str, state: &str, at: &str) -> Container {
        let container = json!({
            "Id": id, "Names": [format!("/{id}")], "State": state,
            "Labels": {"pointsman.service": "web", "pointsman.port": "80"},
            "NetworkSettings": {"Networks": {"app": {"IPAddress": at}}},
        });
        serde_json::from_value(container).expect("a container")
    }

    fn shown(roster: &Roster) -> String {
        let config =
            crate::config::parse(CONFIG, "test", &|_| None, "/tmp".as_ref()).expect("a configuration");
        let (containers, unplaced) = roster.placed(&config);
        assert_eq!(unplaced, []);
        let Some(pool) = containers.get("web").and_then(|web| web.get("blue")) else {
            return String::new();
        };
        let one = |u: &crate::core::settings::Upstream| {
            let ending = if pool.ending.contains(&u.address) { " ends" } else { "" };
            format!("{}{ending}", u.address)
        };
        let running: Vec<_> = pool.upstreams.iter().map(one).collect();
        format!("{} of {}", running.join(", "), pool.existing.len())
    }

    #[test]
    fn containers_come_and_go_by_events() {
        let now = Duration::from_secs;
        let mut roster = Roster::default();
        roster.list(vec![container("b", "running", "10.0.0.2"), container("a", "running", "10.0.0.1")], true);
        assert_eq!(shown(&roster), "a:80, b:80 of 2");
        assert!(roster.ends("a", now(1)) && !roster.ends("a", now(2)) && !roster.ends("z", now(2)));
        assert_eq!(shown(&roster), "a:80 ends, b:80 of 2");
        roster.ended("a");
        assert_eq!(shown(&roster), "b:80 of 2", "it may start again");
        // A listing that was on its way says that it runs.
        roster
            .list(vec![container("b", "running", "10.0.0.2"), container("a", "running", "10.0.0.1")], false);
        assert_eq!(shown(&roster), "b:80 of 2");
        roster.started("a");
        assert_eq!(shown(&roster), "a:80, b:80 of 2");
        roster.removed("a");
        assert_eq!(shown(&roster), "b:80 of 1");
        roster.list(vec![container("b", "exited", ""), container("c", "created", "")], false);
        assert_eq!(shown(&roster), " of 1");
    }

    #[test]
    fn who_goes_on_after_a_signal_serves_again() {
        let mut roster = Roster::default();
        roster.list(vec![container("a", "running", "10.0.0.1")], true);
        roster.ends("a", Duration::ZERO);
        assert!(!roster.forgive(ENDING - Duration::from_millis(1)));
        assert_eq!(shown(&roster), "a:80 ends of 1");
        assert!(roster.forgive(ENDING));
        assert_eq!(shown(&roster), "a:80 of 1");
    }

    #[test]
    fn what_was_missed_is_not_held_against_a_listing() {
        let mut roster = Roster::default();
        roster.list(vec![container("a", "running", "10.0.0.1")], true);
        roster.ended("a");
        roster.list(vec![container("a", "running", "10.0.0.1")], true);
        assert_eq!(shown(&roster), "a:80 of 1");
    }

    #[test]
    fn a_run_beside_the_service_is_none_of_its_instances() {
        let mut beside = container("a", "running", "10.0.0.1");
        beside.labels.insert("com.docker.compose.oneoff".into(), "True".into());
        let mut roster = Roster::default();
        roster.list(vec![beside], true);
        assert_eq!(shown(&roster), "");
    }
}
