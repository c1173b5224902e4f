//! The state a process starts with: what the store knew, held against the configuration.

use super::journal::Recovered;
use super::links::Links;
use super::live::{Live, SELF};
use super::saving::Stored;
use super::view::RolloutView;
use crate::core::rollout::{Action, Note};
use crate::core::service::{Applied, Change, Order, ServiceState};
use crate::core::settings;
use std::collections::BTreeMap;
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
    let keys = recovered.keys.iter().filter(|((service, _), _)| **service == *settings.name);
    live.keys = keys.map(|((_, key), id)| (key.clone(), id.clone())).collect();
    let Some(stored) = stored else {
        if let Some(problem) = problem {
            start_over(&mut live, &problem, links);
        }
        return Ok(live);
    };
    live.state.revision = stored.state.revision + UNWRITTEN_REVISIONS;
    if let Some(problem) = problem {
        start_over(&mut live, &problem, links);
    } else {
        for (pool, upstream) in &stored.draining {
            if let Some(slot) = live.pools.get_mut(pool.as_str()).and_then(|p| p.upstreams.slot(upstream)) {
                slot.draining = true;
            }
        }
        resume(&mut live, recovered, links);
    }
    Ok(live)
}

/// Goes on with a running rollout, unless its abort had taken effect.
fn resume(live: &mut Live, recovered: &Recovered, links: &Links) {
    let Some(running) = live.state.running() else { return };
    let id = running.id.clone();
    if recovered.aborted.contains(&id) {
        let who = format!("{SELF}; it took effect just before the process ended");
        let change = Change::Asked { id: &id, action: Action::Abort, who: &who };
        let wall = links.wall_text();
        if let Ok(applied) = live.state.apply(change, links.moment(&wall)) {
            live.take_effect(applied, SELF, links);
        }
        return;
    }
    let weight = live.state.weights.get(&running.to).copied().unwrap_or_default();
    let text = format!(
        "restarted: the rollout {id} goes on with {weight} on {}; its evidence is gathered anew",
        running.to
    );
    note(live, text, links);
    live.follow_rollout(links);
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
