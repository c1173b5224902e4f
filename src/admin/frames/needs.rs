//! What waits for somebody: gates, holds, pauses, upstreams that are down, services that a refuge serves, damaged state;
//! certificates that end soon, containers that are no upstreams, what holds a fleet, reloads that were refused, and what a restart would change.

use crate::admin::process::{Process, ReloadNews};
use crate::admin::shapes::NeedView;
use crate::control::view::{PoolView, RolloutView, ServiceView, Snapshot};
use crate::core::container::DockerStatus;
use crate::core::fleet::status::FleetView;
use crate::tls::CertificateFacts;
use std::collections::BTreeMap;

/// Needs told at once.
const MOST: usize = 50;

/// Seconds before its end at which a certificate should have been renewed.
const ENDS_SOON: i64 = 14 * 86_400;

/// The most urgent first; `now` in seconds since 1970.
pub(super) fn of(snapshot: &Snapshot, process: &Process, now: i64) -> Vec<NeedView> {
    let reloads = of_reloads(&process.reloads.borrow());
    let certificates = process.certificates().into_iter().filter_map(|of| of_certificate(&of, now));
    let mut needs = of_services(snapshot);
    needs.extend(reloads.into_iter().chain(certificates));
    needs.extend(of_docker(&process.docker.borrow()));
    needs.extend(process.fleet.iter().flat_map(|fleet| of_fleet(&fleet.view.borrow())));
    needs.sort_by_key(|need| rank(&need.kind));
    needs.truncate(MOST);
    needs
}

fn of_services(snapshot: &Snapshot) -> Vec<NeedView> {
    let degraded = snapshot.degraded.iter().map(|text| need("", "state", text.clone()));
    let services = snapshot.services.values().flat_map(|view| of_service(view));
    degraded.chain(services).collect()
}

fn rank(kind: &str) -> usize {
    let order = [
        "state",
        "dark",
        "gate",
        "hold",
        "paused",
        "refuge",
        "fleet",
        "certificate",
        "docker",
        "down",
        "reload",
    ];
    order.iter().position(|known| *known == kind).unwrap_or(order.len())
}

fn need(service: &str, kind: &str, text: String) -> NeedView {
    NeedView { service: service.to_owned(), kind: kind.to_owned(), text }
}

fn of_certificate(of: &CertificateFacts, now: i64) -> Option<NeedView> {
    let name = of.names.first().unwrap_or(&of.file);
    let text = match &of.complaint {
        Some(why) => format!("{name}: {why}; the one that was read before stays"),
        None if of.until < now => format!("{name} has ended: clients refuse it"),
        None if of.until < now + ENDS_SOON => format!("{name} ends in {} days", (of.until - now) / 86_400),
        None => return None,
    };
    Some(need("", "certificate", text))
}

fn of_reloads(news: &ReloadNews) -> Option<NeedView> {
    let refused = news.last.as_ref().filter(|last| !last.ok);
    let text = match (refused, news.needs_restart.as_slice()) {
        (Some(last), _) => {
            format!("the last reload was refused: {}", last.detail.as_deref().unwrap_or_default())
        }
        (None, []) => return None,
        (None, paths) => format!("takes effect at the next start: {}", paths.join(", ")),
    };
    Some(need("", "reload", text))
}

/// Containers stay as they are while Docker does not answer; those with wrong labels are no upstreams.
fn of_docker(status: &DockerStatus) -> Vec<NeedView> {
    let down = status.down.iter().map(|why| format!("Docker is not followed: {why}"));
    let refused = status.refused.iter().map(|(container, why)| format!("the container {container}: {why}"));
    down.chain(refused).map(|text| need("", "docker", text)).collect()
}

/// What keeps its rollouts from going on. A service's own reason is said by its rollout.
fn of_fleet(view: &FleetView) -> Vec<NeedView> {
    let bare = FleetView { holds: BTreeMap::new(), ..view.clone() };
    bare.troubles().into_iter().map(|text| need("", "fleet", text)).collect()
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
    use crate::control::view::{LastCheck, ServiceViews, UpstreamView, WindowView};
    use std::sync::Arc;

    fn service(states: &[&str]) -> ServiceView {
        let upstream = |(at, state): (usize, &&str)| UpstreamView {
            container: None,
            address: format!("10.0.0.{at}:80"),
            resolved: None,
            weight: 1,
            state: (*state).to_owned(),
            since: None,
            checked: LastCheck::default(),
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
    fn certificates_and_reloads_wait_for_somebody_in_time() {
        let certificate = |until: i64, complaint: Option<&str>| CertificateFacts {
            file: "site.pem".into(),
            names: vec!["site.example".into()],
            until,
            complaint: complaint.map(str::to_owned),
        };
        let text = |of: CertificateFacts| of_certificate(&of, 1_000_000).map(|need| need.text);
        assert_eq!(text(certificate(1_000_000 + 15 * 86_400, None)), None);
        assert_eq!(
            text(certificate(1_000_000 + 13 * 86_400, None)).as_deref(),
            Some("site.example ends in 13 days")
        );
        assert!(text(certificate(999_999, None)).is_some_and(|text| text.contains("has ended")));
        assert!(text(certificate(i64::MAX, Some("no key"))).is_some_and(|text| text.contains("no key")));
        assert_eq!(of_reloads(&ReloadNews::default()).map(|need| need.text), None);
        let news = ReloadNews { needs_restart: vec!["server.threads".into()], ..ReloadNews::default() };
        assert!(of_reloads(&news).is_some_and(|need| need.text.ends_with("server.threads")));
    }

    #[test]
    fn containers_that_are_no_upstreams_wait_for_somebody() {
        let status = DockerStatus {
            down: Some("no connection".into()),
            refused: vec![("web-1".into(), "it exposes no port".into())],
            ..DockerStatus::default()
        };
        let texts: Vec<String> = of_docker(&status).into_iter().map(|need| need.text).collect();
        assert_eq!(
            texts,
            ["Docker is not followed: no connection", "the container web-1: it exposes no port"]
        );
        assert_eq!(of_docker(&DockerStatus::default()), []);
    }

    #[test]
    fn a_fleet_that_stands_still_waits_for_somebody() {
        let lost = FleetView { detail: Some("no route".into()), ..FleetView::default() };
        let texts: Vec<String> = of_fleet(&lost).into_iter().map(|need| need.text).collect();
        assert_eq!(texts, ["etcd is not heard, so that nothing advances: no route"]);
    }

    #[test]
    fn upstreams_that_are_down_are_told_and_a_service_without_any_first() {
        let kinds = |states: &[&str]| -> Vec<String> {
            let services = ServiceViews::of([Arc::new(service(states))]);
            let snapshot = Snapshot { services, ..Snapshot::default() };
            of_services(&snapshot).into_iter().map(|need| need.kind).collect()
        };
        assert!(kinds(&["ready", "draining"]).is_empty());
        assert_eq!(kinds(&["ready", "down", "down"]), ["down"]);
        assert_eq!(kinds(&["down"]), ["dark", "down"]);
    }
}
