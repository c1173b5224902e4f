//! What every service's changes need beside its own state.

use super::command::{Job, Refusal};
use super::journal::retention::Forgotten;
use super::journal::{Change, Journal, JournalError, SITE, SiteChange};
use super::view::RolloutView;
use crate::core::own_address::OwnAddresses;
use crate::core::retention::Past;
use crate::core::service::Moment;
use crate::core::settings::Config;
use crate::observe::clock::{Clock, wall};
use crate::observe::metrics::Metrics;
use crate::observe::recorder::Recorder;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The controller's connections to the rest of the process.
#[derive(Debug)]
pub(super) struct Links {
    pub config: Arc<Config>,
    pub recorder: Arc<Recorder>,
    /// Where this process listens: no upstream may lead there.
    pub own: OwnAddresses,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub journal: Journal,
    pub jobs: UnboundedSender<Job>,
    pub written: UnboundedSender<Written>,
    /// Rollouts that have ended, by id.
    pub ended: RefCell<Arc<BTreeMap<String, Arc<RolloutView>>>>,
}

/// What became of one write.
#[derive(Debug)]
pub(super) struct Written {
    pub service: Arc<str>,
    pub serial: u64,
    pub result: Result<(), JournalError>,
}

impl Links {
    /// The time of day as text, for [`Links::moment`].
    pub(super) fn wall_text(&self) -> String {
        format!("{:.3}", wall())
    }

    /// When something began, on the process clock.
    pub(super) fn at(&self, began: Instant) -> Duration {
        self.clock.now().saturating_sub(began.elapsed())
    }

    pub(super) fn moment<'a>(&self, wall: &'a str) -> Moment<'a> {
        Moment { now: self.clock.now(), wall }
    }

    /// Writes a change; what became of it comes back as an input of the controller.
    pub(super) fn write(&self, service: Arc<str>, serial: u64, change: Change) {
        self.report(service, serial, self.journal.append(change));
    }

    /// The same for what belongs to no one service.
    pub(super) fn write_site(&self, serial: u64, change: SiteChange) {
        self.report(SITE.into(), serial, self.journal.append_site(change));
    }

    fn report(&self, service: Arc<str>, serial: u64, answer: oneshot::Receiver<Result<(), JournalError>>) {
        let written = self.written.clone();
        tokio::spawn(async move {
            let ended = || Err(JournalError::Write("its thread has ended".into()));
            let result = answer.await.unwrap_or_else(|_| ended());
            // The controller may have stopped meanwhile.
            let _ = written.send(Written { service, serial, result });
        });
    }

    pub(super) fn remember(&self, view: RolloutView) {
        Arc::make_mut(&mut self.ended.borrow_mut()).insert(view.id.clone(), Arc::new(view));
    }

    /// Forgets what the configuration keeps no longer; the ids of the rollouts that are gone.
    pub(super) fn forget(&self) -> Vec<String> {
        let retention = self.config.server.retention;
        let before = jiff::SignedDuration::try_from(retention.age).ok().filter(|age| !age.is_zero());
        let before = before.and_then(|age| wall().checked_sub(age).ok()).map(|before| format!("{before:.3}"));
        let mut ended = self.ended.borrow_mut();
        let past = ended.values().map(|view| Past {
            id: &view.id,
            service: &view.service,
            ended_at: view.ended_at.as_deref().unwrap_or(&view.updated_at),
        });
        let surplus = retention.surplus(past, before.as_deref());
        let rollouts: Vec<String> = surplus.into_iter().map(str::to_owned).collect();
        if !rollouts.is_empty() {
            Arc::make_mut(&mut ended).retain(|id, _| !rollouts.contains(id));
        }
        let services = self.config.services.keys().cloned().collect();
        self.journal.forget(Forgotten {
            keep: retention.history,
            services,
            before,
            rollouts: rollouts.clone(),
        });
        rollouts
    }

    pub(super) fn ended(&self, id: &str) -> Option<Arc<RolloutView>> {
        self.ended.borrow().get(id).cloned()
    }
}

/// Why a change is refused that could not be written.
pub(super) fn unwritten(error: &JournalError) -> Refusal {
    Refusal::Unavailable(format!("{error}; nothing was changed"))
}

#[cfg(test)]
mod tests;
