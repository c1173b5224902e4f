//! A new configuration: all of it or nothing.

use super::command::{Fault, Refusal};
use super::links::Links;
use super::registered::{addresses, with_registered};
use super::service::ServiceController;
use super::services::Services;
use crate::core::rollout::Note;
use crate::core::service::ServiceState;
use crate::core::settings::{Config, Upstream};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The state of each service, and the rows of history that go with it.
type Reconciled = BTreeMap<Arc<str>, (ServiceState, Vec<Note>)>;

/// What outlives a reload of the services that it takes away.
#[derive(Debug)]
pub(super) struct Reloads {
    /// What is known of services that a reload took away, should another bring them back.
    retired: BTreeMap<Arc<str>, ServiceState>,
    /// The number of the next service that comes.
    next_slot: usize,
}

impl Reloads {
    /// None yet; so many services had a number at the start.
    pub(super) fn after(services: usize) -> Self {
        Reloads { retired: BTreeMap::new(), next_slot: services }
    }

    /// Takes over routes, services, pools, upstreams and policies; live weights and roles stay.
    ///
    /// # Errors
    /// Every pool or service that would go and must not; nothing has changed.
    pub(super) fn reload(
        &mut self,
        config: Arc<Config>,
        services: &mut Services,
        links: &mut Links,
    ) -> Result<(), Refusal> {
        let states = self.reconciled(&config, services, links)?;
        links.config = config.clone();
        let gone = services.names().into_iter().filter(|name| !config.services.contains_key(&**name));
        for name in gone {
            let state = services.remove(&name).map(|service| service.state().clone());
            self.retired.extend(state.map(|state| (name, state)));
        }
        self.retired.retain(|name, _| !states.contains_key(name));
        for (name, (mut state, notes)) in states {
            let Some(settings) = config.services.get(&*name) else { continue };
            let known = services.get(&name).map(|service| &service.state().pools);
            let (is_new, has_changed) = (known.is_none(), known != Some(&state.pools));
            if is_new {
                let mut service = ServiceController::new(settings.clone(), self.next_slot, state.clone());
                if links.is_fleet {
                    service.saver.join_fleet();
                }
                services.insert(name.clone(), service);
                self.next_slot += 1;
            }
            let Some(service) = services.touch(&name) else { continue };
            // In a fleet numbers are its documents'.
            state.seq += u64::from(has_changed && !links.is_fleet);
            service.reload(settings, state, &notes, links);
            if has_changed {
                service.saver.write_now();
            }
        }
        Ok(())
    }

    /// The state every service would have.
    fn reconciled(&self, config: &Config, services: &Services, links: &Links) -> Result<Reconciled, Refusal> {
        let mut faults = Vec::new();
        let mut states = BTreeMap::new();
        for (name, settings) in &config.services {
            let pools = || settings.pools.keys().map(|name| &**name);
            let path = format!("services.{name}.pools");
            let state = match services.get(name).map(ServiceController::state) {
                None => Ok(match self.retired.get(&**name) {
                    Some(state) => state.fitted(pools(), &settings.stable),
                    None => ServiceState::new(&settings.stable, pools()),
                }),
                Some(state) => state.reconcile(pools()).map(|next| ServiceState {
                    seq: state.seq + u64::from(next.weights != state.weights),
                    ..next
                }),
            };
            match state {
                Ok(mut state) => {
                    let sets = addresses(&with_registered(settings, &state, &BTreeMap::new()));
                    let notes = state.note_upstreams(&sets, false, &links.wall_text());
                    states.insert(settings.name.clone(), (state, notes));
                }
                Err(whys) => {
                    faults.extend(whys.into_iter().map(|detail| Fault { path: path.clone(), detail }))
                }
            }
        }
        faults.extend(under_way(config, services));
        if faults.is_empty() { Ok(states) } else { Err(Refusal::Invalid(faults)) }
    }
}

/// The services that would go while their rollout runs.
fn under_way(config: &Config, services: &Services) -> Vec<Fault> {
    let gone = services.values().filter(|service| !config.services.contains_key(service.name()));
    let fault = |service: &ServiceController| {
        let running = service.state().running()?;
        let detail = format!("the rollout {} is running; abort it first", running.id);
        Some(Fault { path: format!("services.{}", service.name()), detail })
    };
    gone.filter_map(fault).collect()
}

/// The pools whose upstreams are registered and others than the file's.
pub(super) fn differs(services: &Services) -> Vec<String> {
    let of = |service: &ServiceController| {
        let name = service.name();
        let other = |(pool, set): (&String, &Vec<Upstream>)| {
            let file = service.pools.configured.pools.get(pool.as_str());
            let differs = file.is_none_or(|file| file.upstreams != *set);
            differs.then(|| format!("services.{name}.pools.{pool}.upstreams"))
        };
        service.state().upstreams.iter().filter_map(other).collect::<Vec<_>>()
    };
    services.values().flat_map(of).collect()
}
