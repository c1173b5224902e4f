//! What readers see of the services: views and gauges, what has changed at once, what is measured from time to time.

use super::links::Links;
use super::maintenance::Maintenance;
use super::publisher::Published;
use super::service::ServiceController;
use super::services::Services;
use super::shown;
use super::view::{ServiceViews, Snapshot};
use crate::observe::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Least time between two snapshots of the figures, and between two parts of one.
const SNAPSHOT: Duration = Duration::from_millis(250);
const PART: Duration = Duration::from_millis(25);
/// The most services whose figures one snapshot brings up to date: nobody waits for more.
const SHOWN_AT_ONCE: usize = 32;

#[derive(Debug)]
pub(super) struct Snapshots {
    sender: watch::Sender<Arc<Snapshot>>,
    /// As shown last.
    views: ServiceViews,
    /// When what is measured is shown again.
    show_at: Duration,
    /// Why the state is not the last one, if it is not.
    degraded: Arc<[String]>,
}

impl Snapshots {
    pub(super) fn new(sender: watch::Sender<Arc<Snapshot>>, degraded: Vec<String>) -> Self {
        let views = ServiceViews::default();
        Snapshots { sender, views, show_at: Duration::ZERO, degraded: degraded.into() }
    }

    pub(super) fn show_at(&self) -> Duration {
        self.show_at
    }

    /// What is measured is shown with the next table.
    pub(super) fn hurry(&mut self) {
        self.show_at = Duration::ZERO;
    }

    /// Shows what has changed at once, and from time to time what is measured meanwhile.
    pub(super) fn show(
        &mut self,
        published: &Published,
        services: &mut Services,
        maintenance: &Maintenance,
        links: &Links,
        metrics: &Metrics,
    ) {
        let now = links.clock.now();
        let is_due = now >= self.show_at;
        let mut names = published.names().to_vec();
        services.is_shown(&names);
        if is_due {
            names.extend(services.stale(SHOWN_AT_ONCE));
            self.show_at = now + if services.has_stale() { PART } else { SNAPSHOT };
        }
        if !is_due && names.is_empty() {
            return;
        }
        services.each(&names, |live| live.pools.note_states(links));
        let shown = || names.iter().filter_map(|name| services.get(name));
        let views: Vec<_> = shown().map(|live| Arc::new(shown::service(live.facts(), links))).collect();
        let is_all = matches!(published, Published::All(_));
        self.views = if is_all { ServiceViews::of(views) } else { self.views.with(views) };
        self.sender.send_replace(Arc::new(Snapshot {
            services: self.views.clone(),
            ended: links.ended.clone(),
            maintenance: maintenance.view(links),
            degraded: self.degraded.clone(),
            unheard: unheard(services, links),
        }));
        shown().for_each(|live| metrics.show(shown::gauges(live.facts(), links)));
        if is_all {
            metrics.keep(|service| services.contains(service));
        }
    }
}

/// The services of a fleet of which nothing is known yet.
fn unheard(services: &Services, links: &Links) -> Arc<[String]> {
    if !links.is_fleet {
        return Arc::default();
    }
    let is_unknown = |live: &&ServiceController| live.saver.fleet().is_some_and(|fleet| !fleet.is_known());
    services.values().filter(is_unknown).map(|live| live.name().to_owned()).collect()
}
