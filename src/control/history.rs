//! Rows of history: what happened, on which figures, and who hears of it.

use super::command::Actor;
use super::facts::ServiceFacts;
use super::journal::HistoryRow;
use super::links::Links;
use super::notices;
use crate::core::event::Event;
use crate::core::rollout::Note;
use crate::core::service::ServiceState;
use crate::core::upstream_address::UpstreamAddress;
use crate::observe::clock::wall;
use serde_json::{Value, json};

/// The rows for what leads to the state `next`. Receivers have just heard of an outage where `is_quiet`.
pub(super) fn rows(
    facts: ServiceFacts<'_>,
    next: &ServiceState,
    notes: &[Note],
    actor: &Actor,
    is_quiet: bool,
    links: &Links,
) -> Vec<HistoryRow> {
    if notes.is_empty() {
        return Vec::new();
    }
    let at = wall();
    let figures = figures(facts, next, links);
    let last = next.rollout.as_ref();
    let rollout = last.filter(|last| !last.rollout.has_ended() || facts.state.running().is_some());
    let row = |note: &Note| HistoryRow {
        at,
        actor: actor.name.clone(),
        event: note.event,
        text: note.text.clone(),
        address: actor.address.clone(),
        figures: figures.clone(),
        rollout: rollout.map(|running| running.id.clone()),
        notice: notices::told(facts, next, note, &actor.name, at, is_quiet, links),
    };
    notes.iter().map(row).collect()
}

/// The row of history for an upstream that went up, or down for what its check found wrong.
pub(super) fn health_note(pool: &str, upstream: &str, address: UpstreamAddress, wrong: Option<&str>) -> Note {
    let name = match upstream.parse() == Ok(address) {
        true => upstream.to_owned(),
        false => format!("{upstream} ({address})"),
    };
    let text = match wrong {
        Some(wrong) => format!("{name} of {pool} is down: {wrong}"),
        None => format!("{name} of {pool} is up"),
    };
    Note { event: Event::Health, text }
}

/// The figures that a row rests on.
fn figures(facts: ServiceFacts<'_>, next: &ServiceState, links: &Links) -> Value {
    let weights: serde_json::Map<_, _> =
        next.weights.iter().map(|(pool, weight)| (pool.clone(), json!(weight.percent()))).collect();
    let pools = facts.pools.iter().map(|(name, _)| {
        let figures = facts.figures_in(next, name, links);
        let value = json!({
            "requests": figures.requests,
            "failures": figures.failures,
            "shielded": figures.shielded,
            "error_rate": figures.error_rate,
            "p95_ms": figures.latency_ms.p95,
        });
        (name.to_string(), value)
    });
    let pools: serde_json::Map<_, _> = pools.collect();
    let mut figures = json!({ "weights": weights, "window": pools });
    let is_taken = facts.state.taken != next.taken;
    if let Some(taken) = next.taken.as_ref().filter(|_| is_taken) {
        figures["verdict"] = json!(taken.verdict);
    } else if let Some(running) = &next.rollout
        && facts.watch.is_on()
        && facts.pools.by_hand(facts.state).is_none()
        && let Some(all) = figures.as_object_mut()
    {
        all.insert("verdict".into(), json!(running.rollout.verdict));
        if let Some(mirror) = facts.mirrored() {
            all.insert("mirror".into(), json!(mirror));
        }
    }
    figures
}
