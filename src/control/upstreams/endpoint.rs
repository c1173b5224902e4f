//! One address of an upstream, live: what checks and real traffic say of it, and what it is fit for.

use super::standing::Standing;
use crate::control::view::{LastCheck, UNCHECKED};
use crate::core::health::Health;
use crate::core::own_address::OwnAddresses;
use crate::core::passive::{Ejection, EndedAttempts};
use crate::core::ramp::Ramp;
use crate::core::settings;
use crate::core::table::{Upstream, UpstreamLive, UpstreamState};
use crate::core::upstream_address::UpstreamAddress;
use std::sync::Arc;

/// Why an upstream is down that fails real traffic.
pub(super) const EJECTED: &str = "taken out for failing requests";

/// One address.
#[derive(Debug)]
pub(in crate::control) struct Endpoint {
    pub address: UpstreamAddress,
    /// Whether this process itself listens there: it is never up.
    pub(super) leads_back: bool,
    /// `None` where nothing is checked.
    pub(super) health: Option<Health>,
    /// What the last check found wrong.
    pub failing: Option<String>,
    /// When the last check ended.
    pub last_check: LastCheck,
    pub(super) standing: Standing,
    /// Checks passed in this process.
    pub(super) good_checks: u64,
    pub(super) ejection: Ejection,
    pub(super) ramp: Ramp,
    pub(super) failures_seen: u64,
    pub(super) ended_seen: u32,
    pub(super) live: Arc<UpstreamLive>,
}

impl Endpoint {
    pub(super) fn new(
        address: UpstreamAddress,
        health: Option<&settings::Health>,
        presumed: bool,
        own: &OwnAddresses,
    ) -> Self {
        let back = own.at(address);
        let failing = back.map(|own| {
            let why =
                format!("{address} is where this proxy itself listens ({own}), so a request would never end");
            tracing::warn!(upstream = %address, "an upstream is not used: {why}");
            why
        });
        Endpoint {
            address,
            leads_back: back.is_some(),
            health: health.map(|health| unchecked(health, presumed)),
            failing,
            last_check: LastCheck::default(),
            standing: Standing::default(),
            good_checks: 0,
            ejection: Ejection::default(),
            // An upstream that serves from the start has its share; one that is to be proven first, or has been
            // added since, gets it by and by.
            ramp: if presumed { Ramp::whole() } else { Ramp::out() },
            failures_seen: 0,
            ended_seen: 0,
            live: Arc::default(),
        }
    }

    pub(in crate::control) fn is_up(&self) -> bool {
        !self.leads_back && self.health.as_ref().is_none_or(Health::is_up)
    }

    pub(super) fn is_proven(&self) -> bool {
        let is_proven = |health: &Health| health.is_up() && health.is_proven();
        !self.leads_back && self.health.as_ref().is_none_or(is_proven)
    }

    /// Whether what nobody has asked to have checked may serve: [`Health::is_trusted`].
    pub(super) fn is_trusted(&self) -> bool {
        !self.leads_back && self.health.is_some_and(|health| health.is_trusted())
    }

    /// Whether its first check is still to come.
    pub(super) fn is_unknown(&self) -> bool {
        !self.leads_back && self.health.is_some_and(|health| !health.is_proven())
    }

    /// What has come to its end since the last call.
    pub(super) fn newly_ended(&mut self) -> EndedAttempts {
        let (failed, ended) = (self.live.failed(), self.live.ended());
        let new = EndedAttempts {
            attempts: u64::from(ended.wrapping_sub(self.ended_seen)),
            failures: failed.saturating_sub(self.failures_seen),
        };
        (self.failures_seen, self.ended_seen) = (failed, ended);
        new
    }

    /// What it is fit for; `draining` says that its upstream gets no new requests, `eject` that ejections hold
    /// ([`super::Upstreams::ejects`]).
    pub(in crate::control) fn state(&self, draining: bool, eject: bool) -> UpstreamState {
        match () {
            () if draining => UpstreamState::Draining,
            () if !self.is_up() || (eject && self.ejection.is_out()) => UpstreamState::Down,
            () => UpstreamState::Ready,
        }
    }

    /// Why it is down, or what its last check found wrong.
    pub(in crate::control) fn detail(&self) -> Option<String> {
        let rising = self.health.as_ref().is_some_and(|health| health.is_proven() && !health.is_up());
        let told = match () {
            () if self.ejection.is_out() => Some(EJECTED),
            () if self.is_unknown() && !self.is_up() => Some(UNCHECKED),
            () if rising => Some("its last check passed, and it takes some in a row to come back"),
            () => None,
        };
        self.failing.clone().or_else(|| told.map(str::to_owned))
    }

    /// Since when it has its state, as shown.
    pub(in crate::control) fn since(&self) -> Option<&str> {
        self.standing.since()
    }

    pub(in crate::control) fn in_flight(&self) -> u32 {
        self.live.in_flight()
    }

    pub(super) fn built(&self, settings: &settings::Upstream, draining: bool, eject: bool) -> Upstream {
        let mut upstream = Upstream::new(settings.address.clone(), self.address, settings.weight);
        upstream.backup = settings.backup;
        upstream.max_conns = settings.max_conns;
        upstream.live = self.live.clone();
        upstream.state = self.state(draining, eject);
        upstream
    }
}

/// The checks of an address that has not been checked yet; `presumed` says that it counts as up until then.
pub(super) fn unchecked(health: &settings::Health, presumed: bool) -> Health {
    let settings::Health { rise, fall, is_default, .. } = *health;
    match presumed {
        _ if is_default => Health::trusted(rise, fall),
        true => Health::presumed(rise, fall),
        false => Health::new(rise, fall),
    }
}
