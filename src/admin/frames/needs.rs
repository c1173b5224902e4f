//! What waits for somebody: gates, holds, pauses, upstreams that are down, services that a refuge serves, damaged state.

use crate::admin::shapes::NeedView;
use crate::control::view::{PoolView, RolloutView, ServiceView, Snapshot};

/// Needs told at once.
const MOST: usize = 50;

/// The most urgent first.
pub(super) fn of(snapshot: &Snapshot) -> Vec<NeedView> {
    let degraded = snapshot.degraded.iter().map(|text| need("", "state", text.clone()));
    let services = snapshot.services.values().flat_map(|view| of_service(view));
    let mut needs: Vec<NeedView> = degraded.chain(services).collect();
    needs.sort_by_key(|need| rank(&need.kind));
    needs.truncate(MOST);
    needs
}

fn rank(kind: &str) -> usize {
    let order = ["state", "dark", "gate", "hold", "paused", "refuge", "down"];
    order.iter().position(|known| *known == kind).unwrap_or(order.len())
}

fn need(service: &str, kind: &str, text: String) -> NeedView {
    NeedView { service: service.to_owned(), kind: kind.to_owned(), text }
}

fn of_service(view: &ServiceView) -> Vec<NeedView> {
    let running = view.rollout.as_ref().filter(|rollout| rollout.outcome.is_none());
    let mut needs: Vec<NeedView> = running.and_then(of_rollout).into_iter().collect();
    if let Some(pool) = &view.refuge {
        needs.push(need(&view.name, "refuge", format!("{pool} serves in place of pools that cannot")));
    }
    let is_up = |pool: &PoolView| pool.upstreams.iter().any(|up| up.state == "ready");
    let mut serving = view.pools.values().filter(|pool| pool.effective_weight > 0.0);
    if !serving.any(is_up) {
        needs.push(need(&view.name, "dark", "no upstream is ready: clients get 503".to_owned()));
    }
    for (name, pool) in &view.pools {
        let down: Vec<_> = pool.upstreams.iter().filter(|up| up.state == "down").collect();
        let Some(first) = down.first() else { continue };
        let why = first.detail.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let more = if down.len() > 1 { format!(" and {} more", down.len() - 1) } else { String::new() };
        let text = format!("{name}: {}{more} down of {}{why}", first.address, pool.upstreams.len());
        needs.push(need(&view.name, "down", text));
    }
    needs
}

fn of_rollout(rollout: &RolloutView) -> Option<NeedView> {
    let to = rollout.version.as_deref().unwrap_or(&rollout.to);
    let verdict = || rollout.verdict.reasons.first().map(|reason| reason.text.clone());
    let (kind, text) = if rollout.waits_for.as_deref() == Some("approval") {
        ("gate", format!("{to} waits for an approval: resume goes on, abort goes back"))
    } else if rollout.phase == "paused" {
        ("paused", format!("{to} is paused: {}", rollout.reason.as_deref().unwrap_or("resume or abort it")))
    } else if rollout.verdict.state.label() == "hold" && !only_waits(rollout) {
        ("hold", format!("{to} is held: {}", verdict().unwrap_or_default()))
    } else {
        return None;
    };
    Some(need(&rollout.service, kind, text))
}

/// A hold that only waits for more attempts needs nobody.
fn only_waits(rollout: &RolloutView) -> bool {
    let reasons = &rollout.verdict.reasons;
    reasons.iter().all(|reason| reason.metric == "attempts")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::view::{ServiceViews, UpstreamView, WindowView};
    use std::sync::Arc;

    fn service(states: &[&str]) -> ServiceView {
        let upstream = |(at, state): (usize, &&str)| UpstreamView {
            address: format!("10.0.0.{at}:80"),
            resolved: None,
            weight: 1,
            state: (*state).to_owned(),
            detail: Some("refused".to_owned()),
            in_flight: 0,
        };
        let pool = PoolView {
            version: None,
            since: None,
            quarantine: None,
            weight: 100.0,
            effective_weight: 100.0,
            upstreams: states.iter().enumerate().map(upstream).collect(),
            window: WindowView::default(),
            signals: Default::default(),
        };
        let pools = [("blue".to_owned(), pool)].into();
        ServiceView { name: "web".into(), pools, ..ServiceView::default() }
    }

    #[test]
    fn upstreams_that_are_down_are_told_and_a_service_without_any_first() {
        let kinds = |states: &[&str]| -> Vec<String> {
            let services = ServiceViews::of([Arc::new(service(states))]);
            let snapshot = Snapshot { services, ..Snapshot::default() };
            of(&snapshot).into_iter().map(|need| need.kind).collect()
        };
        assert!(kinds(&["ready", "draining"]).is_empty());
        assert_eq!(kinds(&["ready", "down", "down"]), ["down"]);
        assert_eq!(kinds(&["down"]), ["dark", "down"]);
    }
}
