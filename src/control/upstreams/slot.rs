//! One upstream as configured, live: its addresses, whether it is drained, and what its name resolves to.

use super::endpoint::Endpoint;
use super::standing::Standing;
use crate::control::command::LookUp;
use crate::core::counter::WorkerCounts;
use crate::core::own_address::OwnAddresses;
use crate::core::passive::Ejection;
use crate::core::ramp::Ramp;
use crate::core::rollout::UpstreamSeen;
use crate::core::settings::{self, UpstreamHost};
use crate::core::table::UpstreamState;
use std::sync::Arc;

/// One upstream as configured; a name may stand for several addresses.
#[derive(Debug)]
pub(in crate::control) struct Slot {
    pub settings: settings::Upstream,
    pub draining: bool,
    /// Why the name does not resolve, if it has been looked up and does not.
    pub unresolved: Option<String>,
    pub endpoints: Vec<Endpoint>,
    /// While it has no address.
    standing: Standing,
    /// Requests that were tried on any of its addresses, those of former ones included.
    pub(super) requests: Arc<WorkerCounts>,
    /// Has its name looked up at once.
    pub(super) again: Option<Arc<LookUp>>,
    /// Whether its addresses count as up until their first check.
    pub(super) presumed: bool,
}

impl Slot {
    /// Takes it out, or back. Who comes back starts slowly, however short it was out.
    pub(in crate::control) fn drain(&mut self, draining: bool) {
        let comes_back = self.draining && !draining;
        self.draining = draining;
        for endpoint in &mut self.endpoints {
            if comes_back {
                endpoint.live.warmth.cool();
            }
            if draining {
                endpoint.ramp = Ramp::out();
            }
            if draining || comes_back {
                // What comes back may be another version: what ended meanwhile was the former one's.
                endpoint.newly_ended();
                endpoint.ejection = Ejection::default();
            }
        }
    }

    pub(in crate::control) fn is_up(&self) -> bool {
        self.endpoints.iter().any(Endpoint::is_up)
    }

    /// Has its name looked up, where it has one: it may have moved.
    pub(super) fn look_up(&self) {
        if let Some(again) = &self.again {
            again.ask(!self.endpoints.is_empty() && !self.is_up());
        }
    }

    /// Whether its look-up, or the first check of an address, is still to come.
    pub(in crate::control) fn is_unknown(&self) -> bool {
        let not_looked_up = self.endpoints.is_empty() && self.unresolved.is_none();
        not_looked_up || self.endpoints.iter().any(Endpoint::is_unknown)
    }

    /// Takes note of the states that are shown next; `eject` as for [`Endpoint::state`].
    pub(super) fn note_states(&mut self, eject: bool, wall: &str) {
        match self.endpoints.is_empty() {
            true => self.standing.note(UpstreamState::Down, wall),
            false => self.standing = Standing::default(),
        }
        for endpoint in &mut self.endpoints {
            let state = endpoint.state(self.draining, eject);
            endpoint.standing.note(state, wall);
        }
    }

    /// Since when it has had no address.
    pub(in crate::control) fn since(&self) -> Option<&str> {
        self.standing.since()
    }

    pub(super) fn seen(&self) -> UpstreamSeen {
        let checked = self.endpoints.iter().filter(|endpoint| endpoint.health.is_some());
        UpstreamSeen {
            in_flight: self.endpoints.iter().map(Endpoint::in_flight).sum(),
            up: !self.endpoints.is_empty()
                && self.endpoints.iter().all(|e| e.is_up() && !e.ejection.is_out()),
            draining: self.draining,
            good_checks: checked.map(|endpoint| endpoint.good_checks).min(),
            failing: self.endpoints.iter().find_map(Endpoint::detail).or_else(|| self.unresolved.clone()),
        }
    }

    pub(super) fn new(
        settings: settings::Upstream,
        health: Option<&settings::Health>,
        presumed: bool,
        own: &OwnAddresses,
    ) -> Self {
        let endpoints = match &settings.host {
            UpstreamHost::Address(address) => vec![Endpoint::new(*address, health, presumed, own)],
            UpstreamHost::Name { .. } => Vec::new(),
        };
        Slot {
            settings,
            draining: false,
            unresolved: None,
            endpoints,
            standing: Standing::default(),
            requests: Arc::default(),
            again: None,
            presumed,
        }
    }
}
