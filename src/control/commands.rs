//! Commands to one service: the change that each asks of its state, and why some are refused before core sees them.
//!
//! What can be refused by the state alone is core's business; here is what depends on who is up, on what this
//! process itself listens on, and on what the configuration names.

use super::command::{Command, Fault, Refusal, RolloutAction, StartRollout, UpstreamAction, merged_plan};
use super::facts::ServiceFacts;
use super::links::Links;
use super::pools::LivePool;
use super::upstreams::Slot;
use crate::core::own_address::OwnAddresses;
use crate::core::rollout::Action;
use crate::core::service::{Caution, Change, Denied};
use crate::core::settings::{self, UpstreamHost};
use crate::core::weight::BasisPoints;
use crate::observe::clock::wall;
use std::collections::BTreeMap;

/// The change that a command asks for. `down` are the pools that are known to be down, and why.
///
/// # Errors
/// [`Refusal`] with the reason.
pub(super) fn change<'a>(
    command: &'a Command,
    who: &'a str,
    down: &'a BTreeMap<String, String>,
    facts: ServiceFacts<'_>,
    links: &Links,
) -> Result<Change<'a>, Refusal> {
    let caution = |force: &bool| Caution { down, force: *force };
    match command {
        Command::Weights { weights, force, .. } => {
            Ok(Change::Weights { weights, caution: caution(force), who })
        }
        Command::Flip { to, force, .. } => Ok(Change::Flip { to, caution: caution(force), who }),
        Command::Rollback { force, .. } => Ok(Change::Rollback { caution: caution(force), who }),
        Command::Start { start, .. } => self::start(start, who, facts, links),
        Command::Rollout { id, action, .. } => Ok(Change::Asked { id, action: asked(*action), who }),
        Command::Upstream { pool, upstream, action, .. } => {
            let drains = *action == UpstreamAction::Drain;
            drainable(pool, upstream, drains, facts)?;
            Ok(Change::Drain { pool, upstream, drains, who })
        }
        Command::Upstreams { pool, set, .. } => {
            registrable(pool, set.as_deref(), facts, &links.own)?;
            let configured = || facts.pools.configured.pools.get(pool.as_str()).map(|pool| &pool.upstreams);
            let upstreams = set.as_ref().or_else(configured).into_iter().flatten();
            let addresses = upstreams.map(|upstream| upstream.address.to_string()).collect();
            Ok(Change::Upstreams { pool, set: set.clone(), addresses, who })
        }
        // Not about one service; the controller does it.
        Command::Reload { .. } | Command::Maintenance { .. } | Command::Set { .. } => {
            Err(Refusal::NotFound("no service is named".into()))
        }
    }
}

/// Whether a command takes a version out that may get traffic: it does not wait for what is being written.
pub(super) fn aborts(command: &Command, facts: ServiceFacts<'_>) -> bool {
    let running = facts.state.running();
    match command {
        Command::Rollout { id, action: RolloutAction::Abort, .. } => {
            running.is_some_and(|running| running.id == *id)
        }
        Command::Rollback { .. } => running.is_some_and(|running| !running.rollout.plan.dry_run),
        _ => false,
    }
}

fn start<'a>(
    start: &'a StartRollout,
    who: &'a str,
    facts: ServiceFacts<'_>,
    links: &Links,
) -> Result<Change<'a>, Refusal> {
    if let Some(policy) = start.policy.as_ref().filter(|name| !links.config.policies.contains_key(*name)) {
        let known: Vec<_> = links.config.policies.keys().map(String::as_str).collect();
        let detail = format!("there is no policy {policy}; there are: {}", known.join(", "));
        return Err(Refusal::Invalid(vec![Fault { path: "policy".into(), detail }]));
    }
    let settings = &facts.pools.settings;
    let pool = settings.pools.get(start.to.as_str());
    let upstreams = pool.iter().flat_map(|pool| &pool.upstreams).map(|u| u.address.to_string());
    Ok(Change::Start {
        id: new_id(facts),
        to: &start.to,
        version: start.version.clone(),
        policy: start.policy.clone(),
        plan: merged_plan(&settings.rollout, start),
        upstreams: upstreams.collect(),
        set: start.set.clone(),
        who,
    })
}

/// Unlike any other: the number of the state that the start leads to has never been before.
fn new_id(facts: ServiceFacts<'_>) -> String {
    id_of(facts.name(), facts.state.seq)
}

/// As of a service, or of a set by its first service.
pub(super) fn id_of(name: &str, seq: u64) -> String {
    let at = wall().strftime("%Y%m%dT%H%M%S");
    format!("{name}-{at}-{}", seq + 1)
}

/// Whether an upstream exists, and others can take over.
fn drainable(pool: &str, upstream: &str, drains: bool, facts: ServiceFacts<'_>) -> Result<(), Refusal> {
    let slots = &known(pool, facts)?.upstreams.slots;
    // The word for a container may be faster than Docker's.
    let updated = facts.state.running().filter(|running| running.to == pool && !drains);
    if updated.is_some_and(|running| running.rollout.instances.iter().any(|i| i.upstream == upstream)) {
        return Ok(());
    }
    let slot = slots.iter().find(|slot| &*slot.settings.address == upstream);
    let slot = slot.ok_or_else(|| Refusal::NotFound(format!("pool {pool} has no upstream {upstream}")))?;
    let others = slots.iter().any(|s| !std::ptr::eq(s, slot) && !s.draining && s.is_up());
    let weight = facts.state.weights.get(pool).copied().unwrap_or_default();
    if drains && !slot.draining && !others && weight > BasisPoints::ZERO {
        let detail = format!(
            "{upstream} is the last ready upstream of {pool}, which has {weight} of the traffic; \
             move the traffic away first"
        );
        return Err(Refusal::Conflict { detail, rollout: None });
    }
    Ok(())
}

/// Whether a set names each upstream once, and leaves a pool with traffic somebody who serves: new
/// ones must be proven first.
fn registrable(
    pool: &str,
    set: Option<&[settings::Upstream]>,
    facts: ServiceFacts<'_>,
    own: &OwnAddresses,
) -> Result<(), Refusal> {
    let slots = &known(pool, facts)?.upstreams.slots;
    let configured = facts.pools.configured.pools.get(pool).map_or(&[][..], |pool| &pool.upstreams);
    let set = set.unwrap_or(configured);
    let faults = faults(set, own);
    if !faults.is_empty() {
        return Err(Refusal::Invalid(faults));
    }
    let stays = |slot: &&Slot| set.iter().any(|u| u.address == slot.settings.address);
    let serves = slots.iter().filter(stays).any(|slot| !slot.draining && slot.is_up());
    let weight = facts.state.weights.get(pool).copied().unwrap_or_default();
    if weight > BasisPoints::ZERO && !serves {
        let detail = format!(
            "{pool} has {weight} of the traffic, and new upstreams get none before their first passed check; \
             keep one that is ready in the set, or move the traffic away first"
        );
        return Err(Refusal::Conflict { detail, rollout: None });
    }
    Ok(())
}

/// What is wrong with a set of upstreams by itself.
fn faults(set: &[settings::Upstream], own: &OwnAddresses) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (index, upstream) in set.iter().enumerate() {
        if set[..index].iter().any(|other| other.address == upstream.address) {
            let detail = format!("{} stands twice; give it a weight instead", upstream.address);
            faults.push(Fault { path: format!("upstreams[{index}]"), detail });
        }
        if let UpstreamHost::Address(address) = upstream.host
            && let Some(own) = own.at(address)
        {
            let detail = format!("{address} is {own} of this proxy itself, so a request would never end");
            faults.push(Fault { path: format!("upstreams[{index}]"), detail });
        }
    }
    if set.is_empty() {
        faults.push(Fault { path: "upstreams".into(), detail: "name at least one upstream".into() });
    }
    faults
}

fn known<'a>(pool: &str, facts: ServiceFacts<'a>) -> Result<&'a LivePool, Refusal> {
    facts.pools.get(pool).ok_or_else(|| Refusal::NotFound(format!("there is no pool {pool}")))
}

fn asked(action: RolloutAction) -> Action {
    match action {
        RolloutAction::Pause => Action::Pause,
        RolloutAction::Resume => Action::Resume,
        RolloutAction::Promote => Action::Promote,
        RolloutAction::Abort => Action::Abort,
    }
}

/// Core's refusal, as the admin API words it.
pub(super) fn refusal(denied: Denied) -> Refusal {
    match denied {
        Denied::NotFound(detail) => Refusal::NotFound(detail),
        Denied::Conflict { detail, rollout } => Refusal::Conflict { detail, rollout },
        Denied::Invalid(faults) => {
            Refusal::Invalid(faults.into_iter().map(|(path, detail)| Fault { path, detail }).collect())
        }
    }
}
