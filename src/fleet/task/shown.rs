//! What others are to know after each input: who leads, why rollouts stand still, and who the members are.

use super::FleetTask;
use crate::control::fleet::FleetNews;
use crate::core::fleet::status::{FleetMemberView, FleetView};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// For so long a reason to stand still is no news: each step is shown by all members a moment after it was written.
const MOMENT: Duration = Duration::from_secs(1);

/// What was said last of each service.
#[derive(Debug, Default)]
pub(super) struct Standings {
    told: BTreeMap<Arc<str>, (bool, Vec<String>)>,
    /// Since when there is a reason to stand still.
    since: BTreeMap<Arc<str>, Duration>,
    /// Services that the store did not know.
    unknown: BTreeSet<String>,
}

impl Standings {
    /// Whether the reasons to stand still of a service were said.
    pub(super) fn is_news(&self, service: &str) -> bool {
        self.told.get(service).is_some_and(|(_, holds)| !holds.is_empty())
    }
}

impl FleetTask {
    /// After each input.
    pub(super) fn look_after(&mut self) {
        self.settle_writes();
        self.look_at_site();
        self.look_at_acme();
        self.stand();
        self.gather();
        for service in self.member.unknown() {
            // Once: the controller tries until it is known.
            if self.standings.unknown.insert(service.clone()) {
                self.tell(FleetNews::Unknown(service.into()));
            }
        }
        let shown = self.shown();
        self.view.send_if_modified(|view| {
            let is_new = **view != shown;
            if is_new {
                *view = Arc::new(shown);
            }
            is_new
        });
    }

    /// Says of each service whether this process leads, and why its rollout stands still.
    fn stand(&mut self) {
        let leads = self.member.leads().is_some();
        let now = self.clock.now();
        let names: Vec<Arc<str>> = self.member.services().map(Arc::from).collect();
        for service in names {
            let holds = if leads { self.holds(&service, now) } else { Vec::new() };
            let standing = (leads, holds);
            if self.standings.told.get(&service) != Some(&standing) {
                self.standings.told.insert(service.clone(), standing.clone());
                self.tell(FleetNews::Standing { service, leads, holds: standing.1 });
            }
        }
    }

    fn holds(&mut self, service: &Arc<str>, now: Duration) -> Vec<String> {
        let is_running = self.member.document_state(service).is_some_and(|state| state.running().is_some());
        let why = match is_running.then(|| self.member.ground(service)) {
            Some(Err(why)) => why,
            _ => Vec::new(),
        };
        if why.is_empty() {
            self.standings.since.remove(service);
            return why;
        }
        let since = *self.standings.since.entry(service.clone()).or_insert(now);
        if now < since + MOMENT { Vec::new() } else { why }
    }

    fn shown(&self) -> FleetView {
        let view = self.member.view();
        let (listed, led) = (view.roster(), view.leader());
        let unread = listed.as_ref().err().or(led.as_ref().err()).map(ToString::to_string);
        let (roster, _) = listed.unwrap_or_default();
        let leader = led.ok().flatten().map(|(leader, _)| leader.member.clone());
        let member = |name: &String| {
            let alive = view.alive(name).ok().flatten().map(|(alive, _)| alive);
            let applied = |alive: &crate::core::fleet::documents::AliveDocument| {
                alive.applied.iter().map(|(service, stand)| (service.clone(), stand.seq)).collect()
            };
            FleetMemberView {
                name: name.clone(),
                leader: leader.as_ref() == Some(name),
                alive: alive.is_some(),
                version: alive.map(|alive| alive.version.clone()),
                config: alive.map(|alive| alive.config.clone()),
                same_secret: alive.is_none_or(|alive| alive.secret == self.member.secret()),
                applied: alive.map(applied).unwrap_or_default(),
                last_seen: self.member.gone(name).map(str::to_owned),
                ready: alive.map(|alive| alive.is_ready),
            }
        };
        let holds = self.standings.told.iter().filter(|(_, (_, holds))| !holds.is_empty());
        FleetView {
            name: self.member.name().to_owned(),
            connected: self.member.is_connected(),
            detail: self.member.foreign().map(str::to_owned).or_else(|| self.detail.clone()).or(unread),
            revision: view.revision(),
            members: roster.members.keys().map(member).collect(),
            holds: holds.map(|(service, (_, holds))| (service.to_string(), holds.clone())).collect(),
        }
    }
}
