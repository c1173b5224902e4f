//! The state a process starts with: what the store knew of each service, and what core makes of it.

use super::command::SELF;
use super::journal::{Recovered, Started};
use super::links::Links;
use super::output;
use super::registered::addresses;
use super::saver::marked_weights;
use super::service::ServiceController;
use super::services::Services;
use super::view::RolloutView;
use crate::core::event::Event;
use crate::core::rollout::Note;
use crate::core::service::{Aborts, Applied, Configured, Order, Recovery, Remains, ServiceState};
use crate::core::settings;
use crate::observe::clock::wall;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

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

/// All services as they were left, or new, each with its number; and what of them is not what was stored.
///
/// # Errors
/// A sentence, when there are more pools than can be measured.
pub(super) fn services(recovered: &Recovered, links: &Links) -> Result<(Services, Vec<String>), String> {
    let (mut services, mut degraded) = (Services::default(), Vec::new());
    for (slot, settings) in links.config.services.values().enumerate() {
        let (service, why) = service(settings, slot, recovered, links)?;
        degraded.extend(why);
        services.insert(settings.name.clone(), service);
    }
    Ok((services, degraded))
}

/// One service as it was left, or new; why its state is not the one that was stored, if it is not.
pub(super) fn service(
    settings: &Arc<settings::Service>,
    slot: usize,
    recovered: &Recovered,
    links: &Links,
) -> Result<(ServiceController, Option<String>), String> {
    let (mut records, mut before, mut degraded) = Default::default();
    let Recovery { state, notes, .. } = match stored(settings, recovered) {
        Stored::State(state) => {
            let mut state = *state;
            state.seq += unwritten_revisions(links);
            (records, before) = (state.pools.clone(), state.rollout.clone());
            come_back(state, settings, recovered, links)
        }
        Stored::Lost(why) => {
            let recovery = after_a_loss(settings, recovered, &why, links);
            // What is wrong with the whole store is said once.
            degraded = recovered.lost.is_none().then_some(why);
            recovery
        }
        Stored::None => {
            let sets = addresses(settings);
            let configured = Configured { stable: &settings.stable, sets: &sets };
            Recovery::fresh(configured, &links.wall_text())
        }
    };
    let mut service = ServiceController::new(settings.clone(), slot, state.clone());
    if links.is_fleet {
        service.saver.join_fleet();
    }
    service.fit(links)?;
    service.saver.set_keys(keys(settings, recovered));
    if state.pools != records {
        service.saver.write_now();
    }
    if !notes.is_empty() {
        // As it was before, so that a rollout that is aborted here is seen to end.
        service.saver.replace(ServiceState { rollout: before, ..state.clone() });
        let applied = Applied { state, notes, order: Order::EffectFirst };
        service.take_effect(applied, &SELF.into(), None, links);
    }
    Ok((service, degraded))
}

/// Takes over what another process may have made of a service's state meanwhile.
pub(super) fn take_back(service: &mut ServiceController, recovered: &Recovered, links: &Links) {
    let settings = service.pools.configured.clone();
    service.saver.set_keys(keys(&settings, recovered));
    let Stored::State(state) = stored(&settings, recovered) else { return };
    let mut state = *state;
    let aborted = state.rollout.as_ref().is_some_and(|last| recovered.aborted.contains(&last.id));
    let aborted = aborted || marked_weights(&settings.name, &recovered.aborted).is_some();
    if is_same(&state, service.state()) && !aborted {
        return;
    }
    state.seq += unwritten_revisions(links);
    let mut recovery = come_back(state, &settings, recovered, links);
    let text = "taken back from the new process of an upgrade, which failed".into();
    recovery.notes.insert(0, Note { event: Event::Recovered, text });
    let Recovery { state, notes, .. } = recovery;
    let applied = Applied { state, notes, order: Order::EffectFirst };
    service.take_effect(applied, &SELF.into(), None, links);
}

/// In a fleet a revision is written before it is shown.
fn unwritten_revisions(links: &Links) -> u64 {
    if links.is_fleet { 0 } else { UNWRITTEN_REVISIONS }
}

fn is_same(one: &ServiceState, other: &ServiceState) -> bool {
    ServiceState { seq: other.seq, ..one.clone() } == *other
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
    match serde_json::from_str::<output::Stored>(text) {
        Ok(output::Stored { state }) => match state.unsound() {
            None => Stored::State(Box::new(state)),
            Some(why) => Stored::Lost(format!("the stored state of {name} cannot be right: {why}")),
        },
        Err(error) => Stored::Lost(format!("the stored state of {name} cannot be read: {error}")),
    }
}

/// What a stored state comes back as.
fn come_back(
    state: ServiceState,
    settings: &settings::Service,
    recovered: &Recovered,
    links: &Links,
) -> Recovery {
    let sets = addresses(settings);
    let configured = Configured { stable: &settings.stable, sets: &sets };
    let weights = marked_weights(&settings.name, &recovered.aborted);
    let aborts = Aborts { rollouts: &recovered.aborted, weights, lost: recovered.marks_lost.as_deref() };
    let wall = links.wall_text();
    let recovery = Recovery::of(state, configured, aborts, SELF, links.moment(&wall));
    if let Some(text) = &recovery.warning {
        tracing::warn!(service = %settings.name, "{text}");
    }
    recovery
}

/// What comes back of a service whose stored state is lost.
fn after_a_loss(settings: &settings::Service, recovered: &Recovered, why: &str, links: &Links) -> Recovery {
    let kept = recovered.stable.get(&*settings.name);
    let upstreams = kept.map(|kept| kept["upstreams"].clone());
    let remains = Remains {
        stable: kept.and_then(|kept| kept["stable"].as_str()).map(str::to_owned),
        upstreams: upstreams.and_then(|kept| serde_json::from_value(kept).ok()).unwrap_or_default(),
    };
    let sets = addresses(settings);
    let configured = Configured { stable: &settings.stable, sets: &sets };
    let mut recovery = Recovery::degraded(configured, remains, why, &links.wall_text());
    // Nobody holds a revision that is as high.
    recovery.state.seq = u64::try_from(wall().as_millisecond()).unwrap_or(UNWRITTEN_REVISIONS);
    for note in &recovery.notes {
        tracing::error!(service = %settings.name, "{}", note.text);
    }
    recovery
}

/// Rollouts of a service by idempotency key.
fn keys(settings: &settings::Service, recovered: &Recovered) -> HashMap<String, Started> {
    let keys = recovered.keys.iter().filter(|((service, _), _)| **service == *settings.name);
    keys.map(|((_, key), started)| (key.clone(), started.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::rollout::{Action, Observation};
    use crate::core::service::{Change, Moment};
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
            set: None,
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
        let text = serde_json::to_string(&output::Stored { state }).expect("JSON");
        for (aborted, stable) in [(vec!["web-1".to_owned()], "blue"), (Vec::new(), "green")] {
            let services = BTreeMap::from([("web".to_owned(), text.clone())]);
            let recovered = Recovered { services, aborted, ..Recovered::default() };
            let (service, _) = service(settings, 0, &recovered, &links).expect("recovered");
            assert_eq!(service.state().stable, stable);
            assert_eq!(service.state().weights[stable], BasisPoints::FULL);
        }
    }
}
