//! Services that are deployed as one: orders to all of them, and what keeps their rollouts together.
//!
//! An order is refused as a whole where one service would refuse it. A later fault of one
//! service, such as a write that fails, is what [`set_moves`] mends: the controller asks it after every input, for each set
//! that the input was about.

use super::answer::answer;
use super::command::{Actor, Command, Refusal, Reply, RolloutAction, SetOrder, StartRollout, merged_plan};
use super::commands::id_of;
use super::links::Links;
use super::output::ReplyTo;
use super::service::{ServiceController, Waiting};
use super::services::Services;
use crate::core::rollout::{Plan, Step};
use crate::core::service::{Member, SetPart, Standing, set_moves};
use crate::core::settings::ServiceSet;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// A command to one service; what acts on a rollout of several acts on all of them.
pub(super) fn command(waiting: Waiting, services: &mut Services, links: &Links) {
    let Waiting { actor, command, if_match, to } = waiting;
    let name = command.service().unwrap_or_default().to_owned();
    let others = others(&command, services);
    if others.is_empty() {
        return match services.touch(&name) {
            Some(service) => service.command(Waiting { actor, command, if_match, to }, links),
            None => answer(to, Err(Refusal::NotFound(format!("there is no service {name}")))),
        };
    }
    let stale = services.get(&name).and_then(|service| service.stale(if_match));
    let objection = stale.or_else(|| objection(others.iter().chain([&command]), services, links));
    if let Some(refusal) = objection {
        return answer(to, Err(refusal));
    }
    // Nobody waits for the answers of the others.
    let mut waiting = BTreeMap::from([(name, to)]);
    for command in others.into_iter().chain([command]) {
        let to = command.service().and_then(|name| waiting.remove(name));
        give(&actor, command, to.unwrap_or_else(|| oneshot::channel().0), services, links);
    }
}

/// An order to a set.
pub(super) fn order(
    set: &str,
    order: SetOrder,
    (actor, if_match, to): (Actor, Option<u64>, ReplyTo),
    services: &mut Services,
    links: &Links,
) {
    let commands = match commands(set, order, services, links) {
        Ok(commands) => commands,
        Err(refusal) => return answer(to, Err(refusal)),
    };
    let stale = if_match.and_then(|seen| stale(set, seen, services, links));
    if let Some(refusal) = stale.or_else(|| objection(commands.iter(), services, links)) {
        return answer(to, Err(refusal));
    }
    let mut parts = Vec::new();
    for command in commands {
        let (reply, answered) = oneshot::channel();
        parts.extend(command.service().map(|name| (name.to_owned(), answered)));
        give(&actor, command, reply, services, links);
    }
    answer(to, Ok(Reply::Parts(parts)));
}

fn give(actor: &Actor, command: Command, to: ReplyTo, services: &mut Services, links: &Links) {
    let name = command.service().unwrap_or_default().to_owned();
    if let Some(service) = services.touch(&name) {
        service.command(Waiting { actor: actor.clone(), command, if_match: None, to }, links);
    }
}

/// The refusal of what was decided on another revision of a set: the sum of those of its services.
fn stale(set: &str, seen: u64, services: &Services, links: &Links) -> Option<Refusal> {
    let set = links.config.sets.iter().find(|known| known.name == set)?;
    let current =
        set.services.iter().filter_map(|name| services.get(name)).map(ServiceController::revision).sum();
    (seen != current).then_some(Refusal::Precondition { current })
}

/// Why one of the services would refuse its command, if one would.
fn objection<'a>(
    mut commands: impl Iterator<Item = &'a Command>,
    services: &Services,
    links: &Links,
) -> Option<Refusal> {
    commands.find_map(|command| {
        let name = command.service()?;
        let missing = || Some(Refusal::NotFound(format!("there is no service {name}")));
        services.get(name).map_or_else(missing, |service| service.objection(command, links)?.of(name).into())
    })
}

/// The same command for the other services of a rollout that it acts on.
fn others(command: &Command, services: &Services) -> Vec<Command> {
    let Command::Rollout { service, id, action } = command else { return Vec::new() };
    let running = services.get(service).and_then(|service| service.state().running());
    let part = running.filter(|running| running.id == *id).and_then(|running| running.set.as_ref());
    let all = part.map(|part| actions(part, *action, services)).unwrap_or_default();
    all.into_iter().filter(|command| command.service() != Some(service)).collect()
}

/// An action on all services of a rollout that still run, in their order.
fn actions(part: &SetPart, action: RolloutAction, services: &Services) -> Vec<Command> {
    let running = |service: &String| {
        let running = services.get(service)?.state().running()?;
        let is_part = running.set.as_ref().is_some_and(|set| set.rollout == part.rollout);
        is_part.then(|| Command::Rollout { service: service.clone(), id: running.id.clone(), action })
    };
    part.services.iter().filter_map(running).collect()
}

/// The commands that an order means for each of the services, in their order.
fn commands(set: &str, order: SetOrder, services: &Services, links: &Links) -> Result<Vec<Command>, Refusal> {
    let known = links.config.sets.iter().find(|known| known.name == set);
    let set = known.ok_or_else(|| Refusal::NotFound(format!("there is no set {set}")))?;
    let last = last(set, services);
    match order {
        SetOrder::Start(start) => Ok(starts(set, &start, services)),
        SetOrder::Act { id, action } => {
            let part = last.filter(|part| part.rollout == id);
            let missing =
                || Refusal::NotFound(format!("the set {} has no rollout {id}, or a newer one", set.name));
            let commands = actions(part.ok_or_else(missing)?, action, services);
            let detail = format!("the rollout {id} has ended");
            if commands.is_empty() { Err(Refusal::Conflict { detail, rollout: None }) } else { Ok(commands) }
        }
        SetOrder::Rollback { force } => {
            let detail = format!("the set {} has had no rollout that could be undone", set.name);
            let part = last.ok_or(Refusal::Conflict { detail, rollout: None })?;
            let is_part =
                |service: &&String| standing(service, part, services).is_some_and(|s| s != Standing::Absent);
            let back = |service: &String| Command::Rollback { service: service.clone(), force };
            Ok(part.services.iter().filter(is_part).map(back).collect())
        }
    }
}

/// The newest rollout that a service of the set has a part in.
fn last<'a>(set: &ServiceSet, services: &'a Services) -> Option<&'a SetPart> {
    let states = set.services.iter().filter_map(|name| services.get(name)).map(ServiceController::state);
    let parts = states.filter_map(|state| Some((&state.rollout.as_ref()?.started_at, state.set()?)));
    parts
        .filter(|(_, part)| part.name == set.name)
        .max_by_key(|(started_at, _)| *started_at)
        .map(|(_, part)| part)
}

/// A start of each service: with the steps and the gates of the first, since they go on together, and a policy, tests
/// and patience of its own. Only the first asks for approval.
fn starts(set: &ServiceSet, start: &StartRollout, services: &Services) -> Vec<Command> {
    let lead = set.services.first().and_then(|name| services.get(name));
    let Some(lead) = lead else { return Vec::new() };
    let plan = merged_plan(&lead.pools.settings.rollout, start);
    let part = SetPart {
        name: set.name.clone(),
        rollout: id_of(&set.name, lead.state().seq),
        services: set.services.clone(),
    };
    let start_of = |(index, service): (usize, &String)| {
        let start = StartRollout { set: Some(part.clone()), ..as_planned(start, &plan, index == 0) };
        Command::Start { service: service.clone(), start: Box::new(start) }
    };
    set.services.iter().enumerate().map(start_of).collect()
}

fn as_planned(start: &StartRollout, plan: &Plan, leads: bool) -> StartRollout {
    let step = |step: &Step| Step { gate: step.gate && leads, ..*step };
    StartRollout {
        strategy: Some(plan.strategy),
        steps: Some(plan.steps.iter().map(step).collect()),
        gate: Some(plan.gate && leads),
        ..start.clone()
    }
}

/// How far a service has come in a rollout of its set; `None` where there is no such service.
fn standing(service: &str, part: &SetPart, services: &Services) -> Option<Standing> {
    Some(services.get(service)?.state().standing(&part.rollout))
}

/// Does what follows from each other's states in the sets of the services that an input was about; these, and those
/// that have moved with them.
pub(super) fn keep_together(touched: Vec<Arc<str>>, services: &mut Services, links: &Links) -> Vec<Arc<str>> {
    let parts = touched.iter().filter_map(|name| services.get(name)?.state().set());
    let parts: BTreeMap<String, SetPart> = parts.map(|part| (part.rollout.clone(), part.clone())).collect();
    // What one does may lead to another.
    for part in parts.values().flat_map(|part| part.services.iter().map(move |_| part)) {
        for (at, next) in set_moves(&members(part, services)) {
            let service = part.services.get(at).and_then(|name| services.touch(name));
            service.into_iter().for_each(|service| service.move_with_set(&next, links));
        }
    }
    let mut all = touched;
    all.extend(services.take_touched());
    all.sort();
    all.dedup();
    all
}

fn members<'a>(part: &'a SetPart, services: &Services) -> Vec<Member<'a>> {
    let member = |service: &'a String| Member {
        service,
        standing: standing(service, part, services).unwrap_or(Standing::Absent),
        is_changing: services.get(service).is_some_and(ServiceController::is_changing),
    };
    part.services.iter().map(member).collect()
}
