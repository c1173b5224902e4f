//! Sets of services, as they are shown: what follows from the views of their services.

use super::{RolloutView, Snapshot};
use crate::core::rollout::READY;
use crate::core::settings::ServiceSet;
use crate::core::verdict::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Services that are deployed as one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SetView {
    pub name: String,
    /// In the order in which they go on.
    pub services: Vec<String>,
    /// Grows with every change of one of the services; pass it as `after` to wait for the next.
    pub revision: u64,
    /// The running rollout of the set, or its last one.
    pub rollout: Option<SetRolloutView>,
}

/// One rollout of several services.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SetRolloutView {
    pub id: String,
    pub version: Option<String>,
    /// Of the service that has come least far; `paused` where one is.
    pub phase: String,
    /// `approval` where it is waited for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waits_for: Option<String>,
    pub started_at: String,
    /// `promoted` or `aborted` once all have ended.
    pub outcome: Option<String>,
    /// Why it ended, paused or waits, with the service that the others wait for, or were undone with.
    pub reason: Option<String>,
    /// Those of its services, in their order.
    pub rollouts: Vec<RolloutView>,
}

impl SetView {
    pub fn of(set: &ServiceSet, snapshot: &Snapshot) -> Self {
        let views = || set.services.iter().filter_map(|name| snapshot.services.get(name));
        let rollouts = views().filter_map(|view| view.rollout.as_ref());
        let own = rollouts.filter(|view| view.set.as_ref().is_some_and(|part| part.name == set.name));
        let newest = own.max_by(|one, other| one.started_at.cmp(&other.started_at));
        SetView {
            name: set.name.clone(),
            services: set.services.clone(),
            revision: views().map(|view| view.revision).sum(),
            rollout: newest.and_then(|newest| SetRolloutView::of(newest, snapshot)),
        }
    }
}

impl SetRolloutView {
    /// The one that a service's rollout is a part of.
    fn of(newest: &RolloutView, snapshot: &Snapshot) -> Option<Self> {
        let part = newest.set.as_ref()?;
        let of = |name: &String| snapshot.services.get(name)?.rollout.clone();
        let is_part = |view: &RolloutView| view.set.as_ref().is_some_and(|set| set.rollout == part.rollout);
        let rollouts: Vec<RolloutView> = part.services.iter().filter_map(of).filter(is_part).collect();
        let ends = |outcome: &str| rollouts.iter().any(|view| view.outcome.as_deref() == Some(outcome));
        let outcome = rollouts.iter().all(|view| view.outcome.is_some()).then(|| {
            let outcome = if ends("aborted") { "aborted" } else { "promoted" };
            outcome.to_owned()
        });
        Some(SetRolloutView {
            id: part.rollout.clone(),
            version: newest.version.clone(),
            phase: phase(&rollouts),
            waits_for: rollouts.iter().find_map(|view| view.waits_for.clone()),
            started_at: rollouts.iter().map(|view| view.started_at.clone()).min()?,
            reason: reason(&rollouts),
            outcome,
            rollouts,
        })
    }
}

fn phase(rollouts: &[RolloutView]) -> String {
    let order = ["aborted", "paused", "preparing", "testing", "shifting", "baking", "promoted"];
    let is_somebodys = |phase: &&&str| rollouts.iter().any(|view| view.phase == **phase);
    order.iter().find(is_somebodys).map(|phase| (*phase).to_owned()).unwrap_or_default()
}

/// What the service says that the others wait for, or were undone with.
fn reason(rollouts: &[RolloutView]) -> Option<String> {
    let ends = rollouts.iter().all(|view| view.outcome.is_some());
    let rank = |view: &&RolloutView| {
        let has_failed = view.outcome.as_deref() == Some("aborted");
        let is_followed = view.verdict.reasons.first().is_some_and(|reason| reason.metric == "set");
        match view.verdict.state {
            _ if has_failed && !is_followed => 0,
            _ if view.waits_for.is_some() => 1,
            State::Hold | State::Fail if !has_failed => 2,
            _ => 3,
        }
    };
    let waits = |view: &&RolloutView| {
        view.outcome.as_deref() != Some("promoted") && view.reason.as_deref() != Some(READY)
    };
    let telling = rollouts.iter().filter(|view| view.reason.is_some() && (ends || waits(view)));
    let telling = telling.min_by_key(rank)?;
    Some(format!("{}: {}", telling.service, telling.reason.as_deref()?))
}
