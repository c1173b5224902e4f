//! The live state of a pool's upstreams: addresses, checks, ejection and draining.

mod endpoint;
mod slot;
mod standing;

pub(super) use endpoint::Endpoint;
use endpoint::{EJECTED, unchecked};
pub(super) use slot::Slot;

use super::command::LookUp;
use crate::core::balance::Balancer;
use crate::core::counter::WorkerCounts;
use crate::core::own_address::OwnAddresses;
use crate::core::passive::{Accusation, Ejection};
use crate::core::ramp::{self, Ramp};
use crate::core::rollout::UpstreamSeen;
use crate::core::settings;
use crate::core::table::{Upstream, UpstreamState};
use crate::core::upstream_address::UpstreamAddress;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// How long a pool whose last container has ended is not called down: it may only be restarted.
const RESTART: Duration = Duration::from_secs(10);

/// All upstreams of one pool, live.
#[derive(Debug)]
pub(super) struct Upstreams {
    pub slots: Vec<Slot>,
    /// Since when its last container is gone.
    emptied: Option<Duration>,
    cursor: Arc<AtomicU32>,
}

/// What one active check of one upstream has brought.
pub(super) struct CheckedUpstream {
    pub pool: Arc<str>,
    pub upstream: Arc<str>,
    pub address: UpstreamAddress,
    /// On the process clock: what it found is of no account to a version that came later.
    pub began: Duration,
    pub result: Result<(), String>,
}

/// What an upstream's name resolves to now, or why it does not.
pub(super) struct ResolvedUpstream {
    pub pool: Arc<str>,
    pub upstream: Arc<str>,
    pub result: Result<Vec<SocketAddr>, String>,
    /// To be asked when a connection fails.
    pub again: Arc<LookUp>,
}

/// What is new by a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckNews {
    None,
    /// What is said of the upstream.
    Detail,
    /// Whether it is up, which the table must show.
    State,
}

impl Upstreams {
    /// The upstreams a process starts with count as up until their first check, so that a restart does
    /// not refuse everybody (`presumed`); those that a reload brings must be proven first.
    pub(super) fn new(
        pool: &settings::Pool,
        presumed: impl Fn(&settings::Upstream) -> bool,
        own: &OwnAddresses,
    ) -> Self {
        let slot = |u: &settings::Upstream| Slot::new(u.clone(), pool.health.as_ref(), presumed(u), own);
        let slots = pool.upstreams.iter().map(slot).collect();
        Upstreams { slots, emptied: None, cursor: Arc::default() }
    }

    /// After a reload: what is still configured keeps its live state.
    pub(super) fn reconfigure(&mut self, old: &settings::Pool, new: &settings::Pool, own: &OwnAddresses) {
        let mut before = std::mem::take(&mut self.slots);
        let same_checks = old.health == new.health;
        for settings in &new.upstreams {
            let known = before.iter().position(|slot| slot.settings.is_same_place(settings));
            let mut slot = match known {
                Some(at) => before.swap_remove(at),
                None => Slot::new(settings.clone(), new.health.as_ref(), false, own),
            };
            slot.settings = settings.clone();
            if !same_checks {
                // What was up stays up until the new check has been made.
                for endpoint in &mut slot.endpoints {
                    endpoint.last_check.forget();
                    let up = endpoint.is_up();
                    endpoint.health = new.health.as_ref().map(|health| unchecked(health, up));
                }
            }
            self.slots.push(slot);
        }
    }

    pub(super) fn slot(&mut self, label: &str) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| &*slot.settings.address == label)
    }

    /// Takes in the result of one check, which has just ended by the clock on the wall.
    pub(super) fn checked(
        &mut self,
        label: &str,
        address: UpstreamAddress,
        ended: Timestamp,
        result: Result<(), String>,
    ) -> CheckNews {
        let Some(slot) = self.slot(label) else { return CheckNews::None };
        let mut endpoints = slot.endpoints.iter_mut().filter(|endpoint| !endpoint.leads_back);
        let Some(endpoint) = endpoints.find(|e| e.address == address) else { return CheckNews::None };
        endpoint.last_check.note(ended);
        let before = (endpoint.is_proven(), endpoint.failing.clone());
        let changed = endpoint.health.as_mut().and_then(|health| health.observe(result.is_ok())).is_some();
        endpoint.good_checks += u64::from(result.is_ok());
        if changed && !endpoint.is_up() {
            // It may be up again before anybody looks.
            endpoint.ramp = Ramp::out();
        }
        endpoint.failing = result.err();
        let is_same = before.0 == endpoint.is_proven() && before.1 == endpoint.failing;
        if endpoint.failing.is_some() {
            slot.look_up();
        }
        match (changed, is_same) {
            (true, _) => CheckNews::State,
            (false, false) => CheckNews::Detail,
            (false, true) => CheckNews::None,
        }
    }

    /// Whether time alone changes nothing of them: nothing is under way, nobody is taken out, and shares have come
    /// to the whole.
    pub(super) fn rest(&self, slow_start: Duration) -> bool {
        let eject = self.ejects();
        self.endpoints().all(|(slot, endpoint)| {
            let serves = endpoint.state(slot.draining, eject) == UpstreamState::Ready;
            let is_whole = endpoint.ramp.is_settled(serves, slow_start);
            is_whole && endpoint.in_flight() == 0 && !endpoint.ejection.is_out()
        })
    }

    /// An upstream that has passed its checks in this process, and is up.
    pub(super) fn proven(&self, label: &str) -> Option<&settings::Upstream> {
        let slot = self.slots.iter().find(|slot| &*slot.settings.address == label)?;
        slot.endpoints.iter().all(Endpoint::is_proven).then_some(&slot.settings)
    }

    /// Takes in what a name resolves to. A failed look-up keeps the addresses there are.
    pub(super) fn resolved(
        &mut self,
        pool: &settings::Pool,
        resolved: ResolvedUpstream,
        own: &OwnAddresses,
    ) -> bool {
        let ResolvedUpstream { upstream, result, again, .. } = resolved;
        let Some(slot) = self.slot(&upstream) else { return false };
        slot.again = Some(again);
        match result {
            Ok(addresses) => {
                slot.unresolved = None;
                let addresses: Vec<UpstreamAddress> = addresses.into_iter().map(Into::into).collect();
                let served = slot.is_up();
                slot.endpoints.retain(|endpoint| addresses.contains(&endpoint.address));
                // Who has moved as a whole is believed as before, until the first check of the new place.
                let presumed = slot.presumed || (served && slot.endpoints.is_empty());
                for address in addresses {
                    if slot.endpoints.iter().all(|endpoint| endpoint.address != address) {
                        slot.endpoints.push(Endpoint::new(address, pool.health.as_ref(), presumed, own));
                    }
                }
                slot.presumed = false;
            }
            Err(why) => slot.unresolved = Some(why),
        }
        true
    }

    /// Takes in failures of real traffic and the passing of time; whether the table must show any of it.
    pub(super) fn observe(&mut self, pool: &settings::Pool, now: Duration) -> bool {
        let mut changed = false;
        for slot in &mut self.slots {
            let mut fails = false;
            for endpoint in &mut slot.endpoints {
                let was_out = endpoint.ejection.is_out();
                let ended = endpoint.newly_ended();
                fails |= ended.failures > 0;
                endpoint.ejection.observe(&pool.passive, ended, now);
                changed |= was_out != endpoint.ejection.is_out();
            }
            if fails {
                slot.look_up();
            }
        }
        self.ramp(pool.slow_start, now) || changed
    }

    fn ramp(&mut self, length: Duration, now: Duration) -> bool {
        let eject = self.ejects();
        let mut changed = false;
        for slot in &mut self.slots {
            for at in 0..slot.endpoints.len() {
                let serves = slot.endpoints[at].state(slot.draining, eject) == UpstreamState::Ready;
                changed |= slot.endpoints[at].ramp.observe(serves, length, now);
            }
        }
        changed && !length.is_zero()
    }

    /// Has the requests of each upstream counted that is new, by so many workers.
    pub(super) fn count_by(&mut self, workers: usize) {
        for slot in self.slots.iter_mut().filter(|slot| slot.requests.is_empty()) {
            slot.requests = Arc::new(WorkerCounts::new(workers));
        }
    }

    /// The upstreams for a table.
    pub(super) fn build(&self, pool: &settings::Pool) -> (Box<[Upstream]>, Balancer) {
        let eject = self.ejects();
        let scale = if pool.slow_start.is_zero() { 1 } else { ramp::STEPS };
        let built = |(slot, endpoint): (&Slot, &Endpoint)| {
            let mut upstream = endpoint.built(&slot.settings, slot.draining, eject);
            upstream.requests = slot.requests.clone();
            upstream.weight *= endpoint.ramp.step().min(scale);
            upstream
        };
        let upstreams: Box<[Upstream]> = self.endpoints().map(built).collect();
        let balancer = Balancer::new(pool.balance.clone(), &upstreams, self.cursor.clone());
        (upstreams, balancer)
    }

    /// Whether ejections hold: only while they leave the pool somebody to serve.
    pub(super) fn ejects(&self) -> bool {
        self.endpoints().any(|(slot, endpoint)| endpoint.state(slot.draining, true) == UpstreamState::Ready)
    }

    fn endpoints(&self) -> impl Iterator<Item = (&Slot, &Endpoint)> {
        self.slots.iter().flat_map(|slot| slot.endpoints.iter().map(move |endpoint| (slot, endpoint)))
    }

    /// Whether anyone could serve, ejected or not.
    pub(super) fn any_up(&self) -> bool {
        self.slots.iter().any(|slot| !slot.draining && slot.is_up())
    }

    /// Whether an upstream is known to be up: resolved, checked where there is a check, not draining.
    ///
    /// # Errors
    /// Which is not, and what its last check or look-up said.
    pub(super) fn ready(&self) -> Result<(), String> {
        let open = self.slots.iter().filter(|slot| !slot.draining);
        if open.flat_map(|slot| &slot.endpoints).any(Endpoint::is_proven) {
            return Ok(());
        }
        Err(self.complaint())
    }

    /// As [`Upstreams::ready`], but what nobody has asked to have checked needs no first check.
    pub(super) fn verified(&self) -> Result<(), String> {
        let trusted = self.endpoints().any(|(slot, endpoint)| !slot.draining && endpoint.is_trusted());
        if trusted { Ok(()) } else { self.ready() }
    }

    /// Whether an upstream could serve, for a pool that has traffic: after a restart it is believed, until
    /// its first check says otherwise. `None` while nothing is known of it yet.
    pub(super) fn serves(&self) -> Option<Result<(), String>> {
        if self.any_up() {
            return Some(Ok(()));
        }
        let unknown = self.slots.iter().any(|slot| !slot.draining && slot.is_unknown());
        (!unknown).then(|| Err(self.complaint()))
    }

    /// Whether its last container has ended just now, and may be about to start again.
    pub(super) fn may_restart(&self, now: Duration) -> bool {
        self.slots.is_empty() && self.emptied.is_some_and(|since| now < since + RESTART)
    }

    /// Notes whether its last container is gone.
    pub(super) fn note_empty(&mut self, now: Duration) {
        self.emptied = self.slots.is_empty().then(|| self.emptied.unwrap_or(now));
    }

    /// Whether every upstream that is not draining is known to be up, and not taken out for failing requests, and
    /// there is one. One that is alone is never taken out.
    ///
    /// # Errors
    /// As [`Upstreams::ready`].
    pub(super) fn all_ready(&self) -> Result<(), String> {
        let mut open = self.slots.iter().filter(|slot| !slot.draining);
        if !open.all(|s| !s.endpoints.is_empty() && s.endpoints.iter().all(Endpoint::is_proven)) {
            return Err(self.complaint());
        }
        let open = || self.endpoints().filter(|(slot, _)| !slot.draining);
        let mut out = open().filter(|(_, endpoint)| endpoint.ejection.is_out());
        match out.next().filter(|_| open().count() > 1) {
            Some((slot, _)) => Err(format!("{}: {EJECTED}", slot.settings.address)),
            None => self.ready(),
        }
    }

    /// An upstream that active checks found down, and the last answer; draining ones do not count.
    pub(super) fn found_down(&self) -> Option<String> {
        let open = self.endpoints().filter(|(slot, _)| !slot.draining);
        let is_down = |e: &Endpoint| e.leads_back || e.health.is_some_and(|health| health.is_found_down());
        let mut down = open.filter(|(_, endpoint)| is_down(endpoint));
        down.next().map(|(slot, endpoint)| {
            let why = endpoint.failing.as_deref().unwrap_or("its checks have not recovered yet");
            format!("{}: {why}", slot.settings.address)
        })
    }

    /// The upstream that fails the most of its requests, of those that were taken out for that; draining ones do
    /// not count. One that is alone is never taken out: what it fails speaks by its share alone.
    pub(super) fn accused(&self) -> Option<Accusation> {
        let open = || self.endpoints().filter(|(slot, _)| !slot.draining);
        if open().count() < 2 {
            return None;
        }
        let accused = open().filter_map(|(slot, endpoint)| {
            let (ended, since) = endpoint.ejection.accusation()?;
            Some(Accusation { upstream: slot.settings.address.to_string(), ended, since, clients: 0 })
        });
        accused.max_by(|one, other| one.ended.share().total_cmp(&other.ended.share()))
    }

    /// Another version may be behind the same addresses: what was found out of the former one counts no more.
    /// A pool that `serves` goes on as it is until the next checks and failures say otherwise.
    pub(super) fn begin(&mut self, serves: bool) {
        for endpoint in self.slots.iter_mut().flat_map(|slot| &mut slot.endpoints) {
            endpoint.newly_ended();
            endpoint.ejection.forgive();
            if !serves {
                endpoint.ejection = Ejection::default();
            }
            let is_up = endpoint.is_up();
            endpoint.health = endpoint.health.map(|health| health.begun_anew(is_up));
            endpoint.failing = None;
            endpoint.last_check.forget();
        }
    }

    /// Takes note of the states that are shown next; `wall` is the time of day, RFC 3339.
    pub(super) fn note_states(&mut self, wall: &str) {
        let eject = self.ejects();
        self.slots.iter_mut().for_each(|slot| slot.note_states(eject, wall));
    }

    /// The upstreams that are not draining, with their addresses.
    pub(super) fn open(&self) -> impl Iterator<Item = (Arc<str>, UpstreamAddress)> {
        let open = self.endpoints().filter(|(slot, _)| !slot.draining);
        open.map(|(slot, endpoint)| (slot.settings.address.clone(), endpoint.address))
    }

    /// For a rolling update: each as a whole, whatever number of addresses it has.
    pub(super) fn seen(&self) -> BTreeMap<String, UpstreamSeen> {
        self.slots.iter().map(|slot| (slot.settings.address.to_string(), slot.seen())).collect()
    }

    /// The addresses of one upstream, or of all that are not draining.
    pub(super) fn addresses(&self, one: Option<&str>) -> Vec<(Arc<str>, UpstreamAddress)> {
        let wanted = |slot: &&Slot| match one {
            Some(label) => &*slot.settings.address == label,
            None => !slot.draining,
        };
        let of = |slot: &Slot| {
            let label = slot.settings.address.clone();
            slot.endpoints.iter().map(|e| (label.clone(), e.address)).collect::<Vec<_>>()
        };
        self.slots.iter().filter(wanted).flat_map(of).collect()
    }

    /// What is wrong with those that are not known to be up; first of all with those that should be.
    fn complaint(&self) -> String {
        let (draining, open): (Vec<_>, Vec<_>) = self.slots.iter().partition(|slot| slot.draining);
        let complaint = open.into_iter().chain(draining).find_map(|slot| {
            let label = &slot.settings.address;
            if let Some(why) = &slot.unresolved {
                return Some(format!("{label}: {why}"));
            }
            if slot.draining {
                return Some(format!("{label}: draining"));
            }
            if slot.endpoints.is_empty() {
                return Some(format!("{label}: not resolved yet"));
            }
            slot.endpoints.iter().find(|e| !e.is_proven()).map(|endpoint| match &endpoint.failing {
                Some(why) => format!("{label}: {why}"),
                None => format!("{label}: not checked yet"),
            })
        });
        complaint.unwrap_or_else(|| "it has no upstream".to_owned())
    }
}
