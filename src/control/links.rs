//! What the parts of every service read beside their own state: the configuration, the counters and the clock.

use super::command::Refusal;
use super::journal::JournalError;
use super::journal::retention::Forgotten;
use super::view::RolloutView;
use crate::core::own_address::OwnAddresses;
use crate::core::retention::Past;
use crate::core::service::Moment;
use crate::core::settings::Config;
use crate::observe::clock::{Clock, wall};
use crate::observe::recorder::Recorder;
use crate::observe::wake::Wake;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The controller's connections to the rest of the process, as far as they are read.
#[derive(Debug)]
pub(super) struct Links {
    pub config: Arc<Config>,
    pub recorder: Arc<Recorder>,
    /// Where this process listens: no upstream may lead there.
    pub own: OwnAddresses,
    pub clock: Clock,
    pub wake: Arc<Wake>,
    /// Until then what comes of attempts is this process's doing: it stood still before.
    pub excused_until: Duration,
    /// Whether this process is one of a fleet.
    pub is_fleet: bool,
    /// What clients are hashed with before other members hear of them.
    pub client_salt: [u8; 16],
    /// Rollouts that have ended, by id.
    pub ended: Arc<BTreeMap<String, Arc<RolloutView>>>,
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

    pub(super) fn remember(&mut self, view: RolloutView) {
        Arc::make_mut(&mut self.ended).insert(view.id.clone(), Arc::new(view));
    }

    /// Forgets what the configuration keeps no longer; what the journal is to forget with it.
    pub(super) fn forget(&mut self) -> Forgotten {
        let retention = self.config.server.retention;
        let before = jiff::SignedDuration::try_from(retention.age).ok().filter(|age| !age.is_zero());
        let before = before.and_then(|age| wall().checked_sub(age).ok()).map(|before| format!("{before:.3}"));
        let past = self.ended.values().map(|view| Past {
            id: &view.id,
            service: &view.service,
            ended_at: view.ended_at.as_deref().unwrap_or(&view.updated_at),
        });
        let surplus = retention.surplus(past, before.as_deref());
        let rollouts: Vec<String> = surplus.into_iter().map(str::to_owned).collect();
        if !rollouts.is_empty() {
            Arc::make_mut(&mut self.ended).retain(|id, _| !rollouts.contains(id));
        }
        let services = self.config.services.keys().cloned().collect();
        Forgotten { keep: retention.history, services, before, rollouts }
    }

    pub(super) fn ended(&self, id: &str) -> Option<Arc<RolloutView>> {
        self.ended.get(id).cloned()
    }
}

/// Why a change is refused that could not be written.
pub(super) fn unwritten(error: &JournalError) -> Refusal {
    if let JournalError::Fleet(why) = error {
        return Refusal::Unavailable(why.clone());
    }
    Refusal::Unavailable(format!("{error}; nothing was changed"))
}

#[cfg(test)]
mod tests;
