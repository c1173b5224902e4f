//! A new configuration: all of it or nothing.

use super::command::{Fault, Refusal};
use super::controller::Task;
use super::coverage;
use super::live::{Live, with_registered};
use crate::core::rollout::Note;
use crate::core::service::ServiceState;
use crate::core::settings::{Config, Upstream};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The state of each service, and what its history is told of it.
type Reconciled = BTreeMap<Arc<str>, (ServiceState, Vec<Note>)>;

impl Task {
    /// Takes over routes, services, pools, upstreams and policies; live weights and roles stay.
    ///
    /// # Errors
    /// Every pool or service that would go and must not; nothing has changed.
    pub(super) fn reload(&mut self, config: Arc<Config>) -> Result<(), Refusal> {
        let states = self.reconciled(&config)?;
        self.links.config = config.clone();
        let gone: Vec<_> =
            self.lives.names().into_iter().filter(|name| !config.services.contains_key(&**name)).collect();
        for name in gone {
            let state = self.lives.remove(&name).map(|live| live.state);
            self.retired.extend(state.map(|state| (name, state)));
        }
        self.retired.retain(|name, _| !states.contains_key(name));
        for (name, (state, notes)) in states {
            let Some(settings) = config.services.get(&*name) else { continue };
            let records = self.lives.get(&name).map(|live| live.state.pools.clone());
            let changed = records.as_ref() != Some(&state.pools);
            let old = self.lives.touch(&name).map(|live| {
                live.state = state.clone();
                live.configured = settings.clone();
                std::mem::replace(&mut live.settings, with_registered(settings, &state))
            });
            if old.is_none() {
                self.lives.insert(name.clone(), Live::new(settings.clone(), self.next_slot, state));
                self.next_slot += 1;
            }
            let Some(live) = self.lives.touch(&name) else { continue };
            if let Err(why) = live.fit_pools(Some(old.as_ref().unwrap_or(settings)), &self.links) {
                tracing::error!(service = %live.settings.name, "{why}");
            }
            live.follow_rollout(&self.links);
            live.note(&notes, &self.links);
            if changed {
                live.state.revision += 1;
                live.saving.write_now();
            }
        }
        self.configs.send_replace(config);
        Ok(())
    }

    /// The pools whose upstreams are registered and others than the file's.
    pub(super) fn differs(&self) -> Vec<String> {
        let of = |live: &Live| {
            let name = live.name();
            let other = |(pool, set): (&String, &Vec<Upstream>)| {
                let file = live.configured.pools.get(pool.as_str());
                file.is_none_or(|file| file.upstreams != *set)
                    .then(|| format!("services.{name}.pools.{pool}.upstreams"))
            };
            live.state.upstreams.iter().filter_map(other).collect::<Vec<_>>()
        };
        self.lives.values().flat_map(of).collect()
    }

    /// The state every service would have.
    fn reconciled(&self, config: &Config) -> Result<Reconciled, Refusal> {
        let mut faults = Vec::new();
        let mut states = BTreeMap::new();
        for (name, settings) in &config.services {
            let pools = || settings.pools.keys().map(|name| &**name);
            let path = format!("services.{name}.pools");
            let state = match self.lives.get(name.as_str()) {
                None => Ok(match self.retired.get(name.as_str()) {
                    Some(state) => state.fitted(pools(), &settings.stable),
                    None => ServiceState::new(&settings.stable, pools()),
                }),
                Some(live) => live.state.reconcile(pools()).map(|next| ServiceState {
                    revision: live.state.revision + u64::from(next.weights != live.state.weights),
                    ..next
                }),
            };
            match state {
                Ok(mut state) => {
                    let sets = coverage::sets(&with_registered(settings, &state));
                    let notes = state.note_upstreams(&sets, false, &self.links.wall_text());
                    states.insert(settings.name.clone(), (state, notes));
                }
                Err(whys) => {
                    faults.extend(whys.into_iter().map(|detail| Fault { path: path.clone(), detail }))
                }
            }
        }
        for live in self.lives.values() {
            let name = live.name();
            if let Some(running) = live.state.running().filter(|_| !config.services.contains_key(name)) {
                let detail = format!("the rollout {} is running; abort it first", running.id);
                faults.push(Fault { path: format!("services.{name}"), detail });
            }
        }
        if faults.is_empty() { Ok(states) } else { Err(Refusal::Invalid(faults)) }
    }
}
