//! What is shown of the live state: views and gauges.

use super::checks;
use super::facts::ServiceFacts;
use super::journal::RolloutRecord;
use super::links::Links;
use super::pools::LivePool;
use super::upstreams::{Endpoint, Slot};
use super::view::{
    EvidenceView, HoldView, InstanceView, LastCheck, LatencyView, PoolView, RolloutView, ServiceView,
    StepView, UpstreamView, WatchView, WindowView,
};
use crate::core::duration;
use crate::core::policy::Reported;
use crate::core::rollout::{Phase, Rollout};
use crate::core::service::{Coverage, ServiceState};
use crate::core::settings::UpstreamHost;
use crate::core::table::UpstreamState;
use crate::core::weight::BasisPoints;
use crate::core::window::Figures;
use crate::observe::metrics::ServiceGauges;
use std::sync::Arc;

pub(super) fn service(facts: ServiceFacts<'_>, links: &Links) -> ServiceView {
    let state = facts.state;
    let (effective, slow) = (facts.effective(), facts.slow_limits(links));
    let figures: Vec<_> = facts.pools.iter().map(|(_, pool)| pool.shown_figures(&slow, links)).collect();
    let pools = facts.pools.iter().zip(&figures).map(|((name, pool), figures)| {
        let record = state.pools.get(&**name);
        let view = PoolView {
            version: record.and_then(|record| record.version.clone()),
            since: record.and_then(|record| record.since.clone()),
            quarantine: state.quarantine(name).map(|quarantine| quarantine.sentence(name)),
            weight: state.weights.get(&**name).copied().unwrap_or_default().percent(),
            effective_weight: effective.get(&**name).copied().unwrap_or_default().percent(),
            upstreams: upstreams(pool),
            window: window(figures),
            signals: facts.worst_signals(pool, links),
        };
        (name.to_string(), view)
    });
    ServiceView {
        name: facts.pools.settings.name.to_string(),
        stable: state.stable.clone(),
        candidate: state.running().map(|running| running.to.clone()),
        previous: state.previous.clone(),
        idle: state.idle().map(str::to_owned),
        no_way_back: state.no_way_back().filter(|_| state.previous.is_none()),
        refuge: match facts.coverage() {
            Coverage::Refuge(pool) => Some(pool),
            Coverage::Weights | Coverage::Nobody => None,
        },
        detail: None,
        revision: state.seq + facts.news,
        cohort: facts.pools.settings.cohort.label().to_owned(),
        pools: pools.collect(),
        rollout: rollout(facts),
        watch: watch(facts),
        maintenance: facts.stretch.and_then(|stretch| stretch.view(links.clock.now())),
        checks: checks::of(facts, &figures, links),
    }
}

/// What is shown of the watch, while no rollout runs, which shows its own.
fn watch(facts: ServiceFacts<'_>) -> Option<WatchView> {
    let evidence = || {
        let own = facts.state.running().is_none().then(|| facts.watch.evidence());
        own.into_iter().flatten().map(evidence_view).collect()
    };
    if let Some(guard) = &facts.state.guard {
        return Some(WatchView {
            pool: guard.pool.clone(),
            by_hand: false,
            rollout: guard.rollout.clone(),
            seconds: guard.passed.as_secs_f64(),
            of_seconds: guard.watch.as_secs_f64(),
            rollback: guard.rollback,
            verdict: guard.verdict.clone(),
            evidence: evidence(),
        });
    }
    facts.pools.by_hand(facts.state).map(|hand| WatchView {
        pool: hand.pool.clone(),
        by_hand: true,
        rollout: String::new(),
        seconds: hand.passed.as_secs_f64(),
        of_seconds: 0.0,
        rollback: true,
        verdict: hand.verdict.clone(),
        evidence: evidence(),
    })
}

/// The running rollout, or the last one.
pub(super) fn rollout(facts: ServiceFacts<'_>) -> Option<RolloutView> {
    let view = rollout_of(facts, facts.state)?;
    let evidence = facts.state.running().map(|_| facts.watch.evidence()).unwrap_or_default();
    Some(RolloutView {
        mirror: facts.mirrored(),
        evidence: evidence.into_iter().map(evidence_view).collect(),
        ..view
    })
}

/// The rollout of a state that may still be on its way to the journal.
pub(super) fn rollout_of(facts: ServiceFacts<'_>, state: &ServiceState) -> Option<RolloutView> {
    let running = state.rollout.as_ref()?;
    let machine = &running.rollout;
    let steps = machine.plan.steps.iter();
    let steps = steps.map(|s| StepView {
        weight: s.weight.percent(),
        mirror: s.mirror.map(BasisPoints::percent),
        hold: duration::show(s.hold),
        gate: s.gate,
    });
    let instances = machine.instances.iter();
    let instances = instances.map(|i| InstanceView { upstream: i.upstream.clone(), stage: i.stage });
    Some(RolloutView {
        id: running.id.clone(),
        service: facts.name().to_owned(),
        strategy: machine.plan.strategy.label().to_owned(),
        from: running.from.clone(),
        to: running.to.clone(),
        version: running.version.clone(),
        dry_run: machine.plan.dry_run,
        phase: machine.label().to_owned(),
        waits_for: waits_for(machine),
        instances: instances.collect(),
        step: machine.step,
        steps: steps.collect(),
        weight: state.weights.get(&running.to).copied().unwrap_or_default().percent(),
        by_hand: running.by_hand.percent(),
        set: running.set.clone(),
        mirror: None,
        verdict: machine.verdict.clone(),
        failures: facts.watch.failed(&running.id),
        evidence: Vec::new(),
        deadline: machine.ends_at(),
        hold: hold(machine),
        started_at: running.started_at.clone(),
        updated_at: running.updated_at.clone(),
        ended_at: running.ended_at.clone(),
        outcome: machine.has_ended().then(|| machine.label().to_owned()),
        reason: machine.reason.clone(),
        revision: state.seq + facts.news,
    })
}

fn evidence_view(of: Reported) -> EvidenceView {
    EvidenceView {
        kind: of.kind.label().to_owned(),
        group: of.group.map(|group| group.to_string()),
        metric: of.metric,
        limit: of.limit,
        observed: of.observed,
        attempts: of.attempts,
        events: of.events,
        ln: of.ln,
        needed: of.needed,
        events_to_abort: of.events_to_abort,
    }
}

/// Of a step, or of the bake.
fn hold(machine: &Rollout) -> Option<HoldView> {
    let (needed, min_attempts) = match machine.phase {
        Phase::Shifting if !machine.is_rolling() => {
            (machine.plan.steps.get(machine.step)?.hold, machine.plan.min_attempts)
        }
        Phase::Baking => (machine.plan.bake, 0),
        _ => return None,
    };
    Some(HoldView {
        needed_s: needed.as_secs_f64(),
        passed_s: machine.passed.as_secs_f64(),
        attempts: machine.step_attempts,
        min_attempts,
    })
}

fn waits_for(machine: &Rollout) -> Option<String> {
    if machine.awaits_approval() {
        return Some("approval".to_owned());
    }
    let crossing = machine.crossing.as_ref().filter(|_| !machine.has_ended())?;
    crossing.hooks.first().map(ToString::to_string)
}

pub(super) fn gauges(facts: ServiceFacts<'_>, links: &Links) -> ServiceGauges {
    let effective = facts.effective();
    let ratio = |(pool, weight): (&str, BasisPoints)| (pool.to_owned(), weight.percent() / 100.0);
    let candidate = facts.state.running().map(|running| running.to.as_str());
    let candidate = candidate.or_else(|| facts.pools.by_hand(facts.state).map(|hand| hand.pool.as_str()));
    let evidence = facts.watch.evidence().into_iter();
    let signals = |(name, pool): (&Arc<str>, &LivePool)| {
        let name = name.to_string();
        facts.worst_signals(pool, links).into_iter().map(move |(signal, value)| (name.clone(), signal, value))
    };
    ServiceGauges {
        service: facts.pools.settings.name.to_string(),
        weights: effective.into_iter().map(ratio).collect(),
        upstreams: facts.pools.iter().flat_map(|(name, pool)| up(name, pool)).collect(),
        phase: facts.state.running().map(|running| running.rollout.label()),
        signals: facts.pools.iter().flat_map(signals).collect(),
        evidence: evidence
            .filter(|of| of.group.is_none())
            .filter_map(|of| Some((candidate?.to_owned(), of.metric, of.ln, of.needed)))
            .collect(),
    }
}

fn up(name: &str, pool: &LivePool) -> Vec<(String, String, bool)> {
    let eject = pool.upstreams.ejects();
    let ready =
        |slot: &Slot| slot.endpoints.iter().any(|e| e.state(slot.draining, eject) == UpstreamState::Ready);
    let slots = pool.upstreams.slots.iter();
    slots.map(|slot| (name.to_owned(), slot.settings.address.to_string(), ready(slot))).collect()
}

fn upstreams(pool: &LivePool) -> Vec<UpstreamView> {
    let eject = pool.upstreams.ejects();
    pool.upstreams.slots.iter().flat_map(|slot| views(slot, eject)).collect()
}

fn views(slot: &Slot, eject: bool) -> Vec<UpstreamView> {
    let base = UpstreamView {
        address: slot.settings.address.to_string(),
        resolved: None,
        container: slot.settings.container.as_ref().map(|id| id.to_string()),
        weight: slot.settings.weight,
        state: UpstreamState::Down.label().to_owned(),
        since: slot.since().map(str::to_owned),
        checked: LastCheck::default(),
        detail: slot.unresolved.clone(),
        in_flight: 0,
    };
    if slot.endpoints.is_empty() {
        return vec![base];
    }
    let is_name =
        slot.settings.container.is_some() || matches!(slot.settings.host, UpstreamHost::Name { .. });
    let view = |endpoint: &Endpoint| UpstreamView {
        resolved: is_name.then(|| endpoint.address.to_string()),
        state: endpoint.state(slot.draining, eject).label().to_owned(),
        since: endpoint.since().map(str::to_owned),
        checked: endpoint.last_check.clone(),
        detail: endpoint.detail().or_else(|| slot.unresolved.clone()),
        in_flight: endpoint.in_flight(),
        ..base.clone()
    };
    slot.endpoints.iter().map(view).collect()
}

fn window(figures: &Figures) -> WindowView {
    let latency = &figures.latency_ms;
    WindowView {
        seconds: figures.seconds,
        requests: figures.requests,
        failures: figures.failures,
        timeouts: figures.timeouts,
        shielded: figures.shielded,
        own_limits: figures.own_limits,
        warming: figures.warming,
        error_rate: figures.error_rate,
        latency_ms: LatencyView {
            mean: latency.mean,
            p50: latency.p50,
            p90: latency.p90,
            p95: latency.p95,
            p99: latency.p99,
            max: latency.max,
        },
    }
}

/// The rollout in effect, as the journal keeps it.
pub(super) fn record(facts: ServiceFacts<'_>) -> Option<RolloutRecord> {
    rollout(facts).map(recorded)
}

/// The rollout of a state that is on its way to the journal, as it keeps it.
pub(super) fn record_of(facts: ServiceFacts<'_>, state: &ServiceState) -> Option<RolloutRecord> {
    rollout_of(facts, state).map(recorded)
}

fn recorded(view: RolloutView) -> RolloutRecord {
    let record = serde_json::to_string(&view).unwrap_or_default();
    RolloutRecord { id: view.id, key: None, record }
}
