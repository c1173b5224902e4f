//! The state a process starts with: what the store knew, held against the configuration.

use super::journal::Recovered;
use super::links::Links;
use super::live::{Live, SELF};
use super::saving::Stored;
use super::view::RolloutView;
use crate::core::rollout::{Action, Note};
use crate::core::service::{Applied, Change, Order, Running, ServiceState};
use crate::core::settings;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Revisions that the last process may have shown without writing them.
const UNWRITTEN_REVISIONS: u64 = 1000;

impl Recovered {
    /// Whether the abort of its rollout had taken effect, durable or not.
    fn was_aborted(&self, state: &ServiceState) -> bool {
        state.rollout.as_ref().is_some_and(|running| self.aborted.contains(&running.id))
    }
}

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
    settings: &settings::Service,
    slot: usize,
    recovered: &Recovered,
    links: &Links,
) -> Result<Live, String> {
    let stored = recovered.services.get(&*settings.name).map(|text| serde_json::from_str::<Stored>(text));
    let fresh = || ServiceState::new(&settings.stable, settings.pools.keys().map(|name| &**name));
    let (stored, problem) = match stored {
        None => (None, None),
        Some(Ok(stored)) => (Some(stored), None),
        Some(Err(error)) => (None, Some(format!("the stored state cannot be read ({error})"))),
    };
    let (state, problem) = match &stored {
        None => (fresh(), problem),
        Some(stored) => match stored.state.reconcile(settings.pools.keys().map(|name| &**name)) {
            Ok(state) => (state, None),
            Err(faults) => (fresh(), Some(faults.join("; "))),
        },
    };
    let mut live = Live::new(settings.clone(), slot, state);
    live.fit_pools(None, links)?;
    live.keys = keys(settings, recovered);
    let Some(stored) = stored else {
        if let Some(problem) = problem {
            start_over(&mut live, &problem, links);
        }
        return Ok(live);
    };
    live.state.revision = stored.state.revision + UNWRITTEN_REVISIONS;
    if let Some(problem) = problem {
        live.state.rollout = given_up(&stored.state, links);
        start_over(&mut live, &problem, links);
    } else {
        resume(&mut live, recovered, "restarted", links);
    }
    Ok(live)
}

/// Takes over what another process may have made of a service's state meanwhile. What it left that does
/// not fit the configuration is not taken.
pub(super) fn take_back(live: &mut Live, recovered: &Recovered, links: &Links) {
    live.keys = keys(&live.settings, recovered);
    let Some(text) = recovered.services.get(&*live.settings.name) else { return };
    let stored = serde_json::from_str::<Stored>(text).map_err(|error| error.to_string());
    let pools = live.settings.pools.keys().map(|name| &**name);
    let fitting = stored.and_then(|stored| stored.state.reconcile(pools).map_err(|faults| faults.join("; ")));
    match fitting {
        Ok(state) if is_same(&state, &live.state) && !recovered.was_aborted(&state) => (),
        Ok(state) => {
            let revision = state.revision + UNWRITTEN_REVISIONS;
            live.enter(ServiceState { revision, ..state }, links);
            resume(live, recovered, "taken back after a failed upgrade", links);
        }
        Err(why) => {
            tracing::warn!(service = %live.settings.name, "what an upgrade stored does not fit: {why}");
        }
    }
}

fn is_same(one: &ServiceState, other: &ServiceState) -> bool {
    ServiceState { revision: other.revision, ..one.clone() } == *other
}

/// Rollout ids of a service by idempotency key.
fn keys(settings: &settings::Service, recovered: &Recovered) -> HashMap<String, String> {
    let keys = recovered.keys.iter().filter(|((service, _), _)| **service == *settings.name);
    keys.map(|((_, key), id)| (key.clone(), id.clone())).collect()
}

/// Goes on with a running rollout, unless its abort had taken effect. An abort overtakes what is being
/// written, a promotion too: where that had become durable all the same, it is taken back.
fn resume(live: &mut Live, recovered: &Recovered, how: &str, links: &Links) {
    let Some(last) = &live.state.rollout else { return };
    let id = last.id.clone();
    if recovered.was_aborted(&live.state) {
        let who = format!("{SELF}; it took effect just before the process ended");
        let change = match live.state.running() {
            Some(_) => Change::Asked { id: &id, action: Action::Abort, who: &who },
            None if live.state.stable == last.to && last.rollout.moves_traffic() => {
                Change::Rollback { who: &who }
            }
            None => return,
        };
        let wall = links.wall_text();
        if let Ok(applied) = live.state.apply(change, links.moment(&wall)) {
            live.take_effect(applied, SELF, links);
        }
        return;
    }
    let Some(running) = live.state.running() else { return };
    let weight = live.state.weights.get(&running.to).copied().unwrap_or_default();
    let text = format!(
        "{how}: the rollout {id} goes on with {weight} on {}; its evidence is gathered anew",
        running.to
    );
    note(live, text, links);
    live.follow_rollout(links);
}

/// The stored rollout, aborted if it was running: the pools it was about are not there any more.
fn given_up(stored: &ServiceState, links: &Links) -> Option<Running> {
    let Some(running) = stored.running() else { return stored.rollout.clone() };
    let who = format!("{SELF}: its pools are no longer configured");
    let change = Change::Asked { id: &running.id, action: Action::Abort, who: &who };
    let wall = links.wall_text();
    stored.apply(change, links.moment(&wall)).ok().and_then(|applied| applied.state.rollout)
}

fn start_over(live: &mut Live, problem: &str, links: &Links) {
    let stable = &live.state.stable;
    let text = format!("restarted with all traffic on {stable}, as configured: {problem}");
    tracing::warn!(service = %live.settings.name, "{text}");
    note(live, text, links);
}

fn note(live: &mut Live, text: String, links: &Links) {
    let notes = vec![Note { action: "recovered", text }];
    let applied = Applied { state: live.state.clone(), notes, order: Order::EffectFirst };
    live.take_effect(applied, SELF, links);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::journal::Journal;
    use crate::core::rollout::Observation;
    use crate::core::service::Moment;
    use crate::core::verdict::Verdict;
    use crate::core::weight::BasisPoints;
    use crate::observe::clock::Clock;
    use crate::observe::metrics::Metrics;
    use crate::observe::recorder::Recorder;
    use std::cell::RefCell;
    use std::path::Path;
    use std::time::Duration;

    const CONFIG: &str = "[server]\nstate_dir = \"s\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
        [[routes]]\nservice = \"web\"\n[services.web]\nstable = \"blue\"\n\
        [services.web.pools.blue]\nupstreams = [\"127.0.0.1:1\"]\n\
        [services.web.pools.green]\nupstreams = [\"127.0.0.1:2\"]\n";

    fn links(dir: &Path) -> Links {
        let config = crate::config::parse(CONFIG, "test", &|_| None, dir).expect("a configuration");
        let (recorder, clock) = (Arc::new(Recorder::new(1)), Clock::start());
        Links {
            config: Arc::new(config),
            metrics: Arc::new(Metrics::new(recorder.clone(), clock).expect("metrics")),
            recorder,
            clock,
            journal: Journal::open(dir).expect("a store").0,
            written: tokio::sync::mpsc::unbounded_channel().0,
            jobs: tokio::sync::mpsc::unbounded_channel().0,
            ended: RefCell::default(),
        }
    }

    #[test]
    fn an_aborted_candidate_does_not_come_back_by_a_promotion_that_was_being_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let links = links(dir.path());
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
        let text = serde_json::to_string(&Stored { state }).expect("JSON");
        for (aborted, stable) in [(vec!["web-1".to_owned()], "blue"), (Vec::new(), "green")] {
            let services = BTreeMap::from([("web".to_owned(), text.clone())]);
            let recovered = Recovered { services, aborted, ..Recovered::default() };
            let live = live(settings, 0, &recovered, &links).expect("recovered");
            assert_eq!(live.state.stable, stable);
            assert_eq!(live.state.weights[stable], BasisPoints::FULL);
        }
    }
}
