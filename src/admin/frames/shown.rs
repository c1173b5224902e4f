//! A frame from the services' views and the points of the second.

use super::needs;
use crate::admin::points::{Point, Points};
use crate::admin::process::Process;
use crate::admin::shapes::{FrameView, NearestView, PoolFrame, ServiceFrame};
use crate::control::view::{EvidenceView, PoolView, ServiceView, Snapshot};

pub(super) fn frame(
    (snapshot, process): (&Snapshot, &Process),
    points: &Points,
    (at, newest): (u64, u64),
) -> FrameView {
    let services = snapshot.services.values().map(|view| (view.name.clone(), service(view, points)));
    let fleet = process.fleet.as_ref().map(|fleet| fleet.view.borrow().summary());
    let needs = needs::of(snapshot, process, at as i64);
    FrameView { at, newest, services: services.collect(), needs, fleet }
}

fn service(view: &ServiceView, points: &Points) -> ServiceFrame {
    let running = view.rollout.as_ref().filter(|rollout| rollout.outcome.is_none());
    let evidence =
        running.map(|rollout| &rollout.evidence).or(view.watch.as_ref().map(|watch| &watch.evidence));
    let verdict = running.map(|rollout| &rollout.verdict).or(view.watch.as_ref().map(|watch| &watch.verdict));
    let pools = view
        .pools
        .iter()
        .map(|(name, pool)| (name.clone(), pool_frame(pool, points.latest(&view.name, name))));
    ServiceFrame {
        revision: view.revision,
        stable: view.stable.clone(),
        candidate: view.candidate.clone(),
        phase: running.map(|rollout| rollout.phase.clone()),
        last: view.rollout.as_ref().and_then(|rollout| rollout.outcome.clone()),
        step: running.map(|rollout| (rollout.step + 1, rollout.steps.len())),
        set: running.and_then(|rollout| rollout.set.as_ref()).map(|set| set.name.clone()),
        verdict: verdict.map(|verdict| verdict.state.label().to_owned()),
        hold: running.and_then(|rollout| rollout.hold.clone()),
        evidence: evidence.and_then(|evidence| nearest(evidence)),
        is_in_maintenance: view.maintenance.is_some(),
        pools: pools.collect(),
    }
}

fn pool_frame(pool: &PoolView, point: Point) -> PoolFrame {
    let ready = pool.upstreams.iter().filter(|upstream| upstream.state == "ready").count();
    PoolFrame {
        version: pool.version.clone(),
        weight: pool.effective_weight,
        rate: point.requests,
        errors: point.failures,
        p95: p95_ms(point),
        error_rate: pool.window.error_rate,
        up: (ready, pool.upstreams.len()),
    }
}

/// `None` where nothing was answered.
pub(super) fn p95_ms(point: Point) -> Option<f64> {
    (point.p95_us > 0).then(|| f64::from(point.p95_us) / 1000.0)
}

/// The limit, or comparison, that is nearest to an abort.
fn nearest(evidence: &[EvidenceView]) -> Option<NearestView> {
    let share = |of: &EvidenceView| if of.needed > 0.0 { of.ln / of.needed } else { 0.0 };
    let top = evidence.iter().max_by(|one, other| share(one).total_cmp(&share(other)))?;
    Some(NearestView {
        metric: top.metric.clone(),
        group: top.group.clone(),
        share: share(top).clamp(0.0, 1.0),
        events_to_abort: top.events_to_abort,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_limit_is_the_one_with_most_of_the_evidence_it_needs() {
        let evidence = |metric: &str, ln, needed| EvidenceView {
            kind: "errors".into(),
            group: None,
            metric: metric.into(),
            limit: 0.01,
            observed: 0.0,
            attempts: 10,
            events: 1,
            ln,
            needed,
            events_to_abort: Some(3),
        };
        let top = nearest(&[evidence("a", 3.0, 20.0), evidence("b", 2.0, 8.0), evidence("c", 1.0, 0.0)]);
        assert_eq!(top.map(|top| (top.metric, top.share)), Some(("b".to_owned(), 0.25)));
        assert_eq!(nearest(&[]), None);
    }
}
