//! The state a process starts with: what the store knew, held against the configuration.

use super::coverage;
use super::journal::{Recovered, Started};
use super::links::Links;
use super::live::{Live, SELF, with_registered};
use super::saving;
use super::view::RolloutView;
use crate::core::duration;
use crate::core::event::Event;
use crate::core::rollout::{Action, Note};
use crate::core::service::{Applied, Change, Order, PoolRecord, ServiceState};
use crate::core::settings;
use crate::observe::clock::wall;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Revisions that the last process may have shown without writing them.
const UNWRITTEN_REVISIONS: u64 = 1000;

/// The rollouts that had ended, for [`Links::ended`].
pub(super) fn ended(recovered: &Recovered) -> BTreeMap<String, Arc<RolloutView>> {
    let views = recovered.rollouts.values().filter_map(|record| {
        let view: RolloutView = serde_json::from_str(record).ok()?;
        view.outcome.is_some().then(|| (view.id.clone(), Arc::new(view)))
    });
    views.collect()
}

/// One service as it was left, or new.
pub(super) fn live(
    settings: &Arc<settings::Service>,
    slot: usize,
    recovered: &Recovered,
    links: &Links,
) -> Result<Live, String> {
    let mut records = Default::default();
    let (before, restored) = match stored(settings, recovered) {
        Stored::State(state) => {
            let mut state = *state;
            state.revision += UNWRITTEN_REVISIONS;
            records = state.pools.clone();
            (state.rollout.clone(), Restored::of(state, settings, recovered, links))
        }
        Stored::Lost(why) => (None, Restored::degraded(settings, recovered, &why, links)),
        Stored::None => (None, Restored { state: fresh(settings, links), notes: Vec::new(), degraded: None }),
    };
    let Restored { state, notes, degraded } = restored;
    let mut live = Live::new(settings.clone(), slot, state.clone());
    live.fit_pools(None, links)?;
    live.keys = keys(settings, recovered);
    live.degraded = degraded;
    if state.pools != records {
        live.saving.write_now();
    }
    if !notes.is_empty() {
        // As it was before, so that a rollout that is aborted here is seen to end.
        live.state.rollout = before;
        live.take_effect(Applied { state, notes, order: Order::EffectFirst }, SELF, links);
    }
    Ok(live)
}

/// Takes over what another process may have made of a service's state meanwhile.
pub(super) fn take_back(live: &mut Live, recovered: &Recovered, links: &Links) {
    live.keys = keys(&live.configured, recovered);
    let Stored::State(state) = stored(&live.configured, recovered) else { return };
    let mut state = *state;
    let aborted = state.rollout.as_ref().is_some_and(|last| recovered.aborted.contains(&last.id));
    if is_same(&state, &live.state) && !aborted {
        return;
    }
    state.revision += UNWRITTEN_REVISIONS;
    let mut restored = Restored::of(state, &live.configured, recovered, links);
    let text = "taken back from the new process of an upgrade, which failed".into();
    restored.notes.insert(0, Note { event: Event::Recovered, text });
    let Restored { state, notes, .. } = restored;
    live.take_effect(Applied { state, notes, order: Order::EffectFirst }, SELF, links);
}

fn is_same(one: &ServiceState, other: &ServiceState) -> bool {
    ServiceState { revision: other.revision, ..one.clone() } == *other
}

/// What the store knows of a service.
enum Stored {
    None,
    State(Box<ServiceState>),
    /// It is not the last state, or cannot have been one; why.
    Lost(String),
}

fn stored(settings: &settings::Service, recovered: &Recovered) -> Stored {
    let name = &settings.name;
    if let Some(why) = &recovered.lost {
        return Stored::Lost(why.clone());
    }
    let Some(text) = recovered.services.get(&**name) else { return Stored::None };
    match serde_json::from_str::<saving::Stored>(text) {
        Ok(saving::Stored { state }) => match state.unsound() {
            None => Stored::State(Box::new(state)),
            Some(why) => Stored::Lost(format!("the stored state of {name} cannot be right: {why}")),
        },
        Err(error) => Stored::Lost(format!("the stored state of {name} cannot be read: {error}")),
    }
}

fn fresh(settings: &settings::Service, links: &Links) -> ServiceState {
    let mut state = ServiceState::new(&settings.stable, settings.pools.keys().map(|name| &**name));
    state.note_upstreams(&coverage::sets(settings), false, &links.wall_text());
    state
}

/// Rollouts of a service by idempotency key.
fn keys(settings: &settings::Service, recovered: &Recovered) -> HashMap<String, Started> {
    let keys = recovered.keys.iter().filter(|((service, _), _)| **service == *settings.name);
    keys.map(|((_, key), started)| (key.clone(), started.clone())).collect()
}

/// What became of a stored state, and what there is to say about it.
struct Restored {
    state: ServiceState,
    notes: Vec<Note>,
    degraded: Option<String>,
}

impl Restored {
    /// All traffic on the pool that was stable last, as far as that is known, and no rollout.
    fn degraded(settings: &Arc<settings::Service>, recovered: &Recovered, why: &str, links: &Links) -> Self {
        let kept = recovered.stable.get(&*settings.name);
        let stable = kept.and_then(|kept| kept["stable"].as_str());
        let stable = stable.filter(|stable| settings.pools.contains_key(*stable));
        let mut state = fresh(settings, links);
        // Nobody holds a revision that is as high.
        state.revision = u64::try_from(wall().as_millisecond()).unwrap_or(UNWRITTEN_REVISIONS);
        let mut from = "the one of the configuration";
        if let Some(stable) = stable {
            state = ServiceState { stable: stable.to_owned(), ..state };
            state.give_all(stable);
            from = "the last one that is known to have been stable";
        }
        let upstreams = kept.map(|kept| kept["upstreams"].clone());
        state.upstreams = upstreams.and_then(|kept| serde_json::from_value(kept).ok()).unwrap_or_default();
        state.upstreams.retain(|pool, _| settings.pools.contains_key(pool.as_str()));
        let wall = links.wall_text();
        state.note_upstreams(&coverage::sets(&with_registered(settings, &state)), false, &wall);
        state.distrust_others(&wall);
        let text =
            format!("started degraded: all traffic on {}, {from}, and no rollout: {why}", state.stable);
        tracing::error!(service = %settings.name, "{text}");
        let notes = vec![Note { event: Event::Recovered, text }];
        // What is wrong with the whole store is told once.
        let degraded = recovered.lost.is_none().then(|| why.to_owned());
        Restored { state, notes, degraded }
    }

    /// Goes on with a running rollout or a watch, unless that would be unsafe.
    fn of(
        state: ServiceState,
        settings: &Arc<settings::Service>,
        recovered: &Recovered,
        links: &Links,
    ) -> Self {
        let stored = state.pools.clone();
        let mut restored = Restored { state, notes: Vec::new(), degraded: None };
        restored.note_first(settings, links);
        // Before anything is aborted again: where a version lies counts.
        restored.note_upstreams(settings, links);
        restored.take_back(&recovered.aborted, &stored, links);
        restored.give_up(settings, recovered.marks_lost.as_deref(), links);
        restored.fit(settings);
        restored.note_upstreams(settings, links);
        restored.go_on();
        restored
    }

    /// Aborts again what had been aborted. An abort overtakes what is being written, a promotion too: where
    /// that had become durable all the same, it is taken back.
    fn take_back(&mut self, aborted: &[String], stored: &BTreeMap<String, PoolRecord>, links: &Links) {
        let Some(last) = self.state.rollout.as_ref().filter(|last| aborted.contains(&last.id)) else {
            return;
        };
        let (id, pool) = (last.id.clone(), last.to.clone());
        let who = format!("{SELF}; it took effect just before the process ended");
        if let Some(change) = self.state.undone_again(&id, &who) {
            self.apply(change, links);
            if let Some(record) = stored.get(&pool) {
                self.state.quarantine_also_at(&pool, record.upstreams.clone());
            }
        }
    }

    /// What is known of the versions, where the state was stored before there was any record of it.
    fn note_first(&mut self, settings: &Arc<settings::Service>, links: &Links) {
        if self.state.pools.is_empty() {
            self.note_upstreams(settings, links);
            self.state.adopt_records(&links.wall_text());
        }
    }

    /// The configuration may have other upstreams than when the state was stored.
    fn note_upstreams(&mut self, settings: &Arc<settings::Service>, links: &Links) {
        let sets = coverage::sets(&with_registered(settings, &self.state));
        let notes = self.state.note_upstreams(&sets, false, &links.wall_text());
        self.notes.extend(notes);
    }

    /// Aborts a rollout that what it was about has been taken away from.
    fn give_up(&mut self, settings: &settings::Service, marks_lost: Option<&str>, links: &Links) {
        let lost = marks_lost.map(|why| format!("{why}, so that it may have been aborted already"));
        let Some(why) = lost.or_else(|| unsafe_to_go_on(&self.state, settings)) else { return };
        let Some(id) = self.state.running().map(|running| running.id.clone()) else { return };
        let who = format!("{SELF}: {why}");
        self.apply(Change::Asked { id: &id, action: Action::Abort, who: &who }, links);
    }

    /// Brings it in line with the pools there are.
    fn fit(&mut self, settings: &settings::Service) {
        let pools = || settings.pools.keys().map(|name| &**name);
        if let Ok(state) = self.state.reconcile(pools()) {
            self.state = state;
            return;
        }
        let is_gone = |pool: &str| !settings.pools.contains_key(pool);
        let why = if is_gone(&self.state.stable) {
            format!(
                "as configured: the pool {}, which was stable, is no longer configured",
                self.state.stable
            )
        } else {
            let lost = self.state.weights.keys().filter(|pool| is_gone(pool)).map(String::as_str);
            let lost: Vec<_> = lost.collect();
            format!("which is stable: {} had traffic and is no longer configured", lost.join(", "))
        };
        self.state = self.state.fitted(pools(), &settings.stable);
        self.start_over(&settings.name, &why);
    }

    fn go_on(&mut self) {
        if let Some(running) = self.state.running() {
            let weight = self.state.weights.get(&running.to).copied().unwrap_or_default();
            let text = format!(
                "restarted: the rollout {} goes on: {}; {} has {weight} of the traffic, evidence is gathered anew",
                running.id,
                running.rollout.standing(),
                running.to
            );
            self.say(text);
        }
        if let Some(guard) = &self.state.guard {
            let left = Duration::from_secs(guard.watch.saturating_sub(guard.passed).as_secs());
            let text = format!(
                "restarted: the watch over {} after its promotion by {} goes on for {}",
                guard.pool,
                guard.rollout,
                duration::show(left)
            );
            self.say(text);
        }
    }

    fn start_over(&mut self, service: &str, why: &str) {
        let text = format!("restarted with all traffic on {}, {why}", self.state.stable);
        tracing::warn!(service, "{text}");
        self.say(text);
    }

    fn say(&mut self, text: String) {
        self.notes.push(Note { event: Event::Recovered, text });
    }

    fn apply(&mut self, change: Change<'_>, links: &Links) {
        let wall = links.wall_text();
        if let Ok(applied) = self.state.apply(change, links.moment(&wall)) {
            self.state = applied.state;
            self.notes.extend(applied.notes);
        }
    }
}

/// Why a running rollout must not go on with these settings, if it must not.
fn unsafe_to_go_on(state: &ServiceState, settings: &settings::Service) -> Option<String> {
    let running = state.running()?;
    let gone =
        [&running.to, &running.from].into_iter().find(|pool| !settings.pools.contains_key(pool.as_str()));
    if let Some(pool) = gone {
        return Some(format!("the pool {pool} is no longer configured"));
    }
    let configured = settings.pools.get(running.to.as_str()).map(|pool| &pool.upstreams);
    let upstreams = state.upstreams.get(&running.to).or(configured)?;
    let lost = running.rollout.instances.iter().filter(|instance| instance.is_out());
    let mut lost = lost.filter(|instance| upstreams.iter().all(|u| *u.address != *instance.upstream));
    let lost = lost.next()?;
    Some(format!("{}, which is being updated, is no longer an upstream of {}", lost.upstream, running.to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rollout::Observation;
    use crate::core::service::Moment;
    use crate::core::verdict::Verdict;
    use crate::core::weight::BasisPoints;
    use std::time::Duration;

    const CONFIG: &str = "[server]\nstate_dir = \"s\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
        [[routes]]\nservice = \"web\"\n[services.web]\nstable = \"blue\"\n\
        [services.web.pools.blue]\nupstreams = [\"127.0.0.1:1\"]\n\
        [services.web.pools.green]\nupstreams = [\"127.0.0.1:2\"]\n";

    #[test]
    fn an_aborted_candidate_does_not_come_back_by_a_promotion_that_was_being_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let links = Links::for_tests(CONFIG, dir.path());
        let settings = &links.config.services["web"];
        let plan = settings.rollout.clone();
        let start = Change::Start {
            id: "web-1".into(),
            to: "green",
            version: None,
            policy: None,
            plan,
            upstreams: Vec::new(),
            who: "ci",
        };
        let healthy = Observation {
            verdict: Verdict::default(),
            attempts: 0,
            candidate: Ok(()),
            stable_ready: true,
            upstreams: BTreeMap::new(),
        };
        let promote = Change::Asked { id: "web-1", action: Action::Promote, who: "ci" };
        let mut state = ServiceState::new("blue", ["blue", "green"]);
        for change in [start, Change::Observed(&healthy), promote] {
            let moment = Moment { now: Duration::ZERO, wall: "then" };
            state = state.apply(change, moment).expect("on the way to the promotion").state;
        }
        assert_eq!(state.stable, "green");
        let text = serde_json::to_string(&saving::Stored { state }).expect("JSON");
        for (aborted, stable) in [(vec!["web-1".to_owned()], "blue"), (Vec::new(), "green")] {
            let services = BTreeMap::from([("web".to_owned(), text.clone())]);
            let recovered = Recovered { services, aborted, ..Recovered::default() };
            let live = live(settings, 0, &recovered, &links).expect("recovered");
            assert_eq!(live.state.stable, stable);
            assert_eq!(live.state.weights[stable], BasisPoints::FULL);
        }
    }
}
