//! What the process around a member asks of it, beside what it hears.

use super::super::documents::Stand;
use super::super::store::{StoreRevision, StoreTransaction};
use super::super::transactions::HeldDocument;
use super::{FleetMember, FleetOutput, ForgetFault};
use crate::core::service::{Moment, ServiceState};
use std::collections::BTreeMap;
use std::time::Duration;

impl FleetMember {
    pub fn name(&self) -> &str {
        &self.me.name
    }

    pub fn secret(&self) -> &str {
        &self.me.secret
    }

    /// Whether the store was heard at all in this process.
    pub fn has_heard(&self) -> bool {
        self.has_heard
    }

    pub fn has_joined(&self) -> bool {
        self.has_joined
    }

    /// Why it is no part of the fleet, if it is none.
    pub fn foreign(&self) -> Option<&str> {
        self.foreign.as_deref()
    }

    /// All services.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.services.keys().map(String::as_str)
    }

    /// Members that are gone: since when, as a time of day.
    pub fn gone(&self, name: &str) -> Option<&str> {
        self.gone.get(name).map(|(_, since): &(Duration, String)| since.as_str())
    }

    /// There are these services now, with this digest of the configuration. What is known of others is kept.
    pub fn configure(
        &mut self,
        services: impl IntoIterator<Item = String>,
        config: String,
        moment: Moment<'_>,
    ) -> Vec<FleetOutput> {
        for service in services {
            self.services.entry(service).or_default();
        }
        self.me.config = config;
        self.settle(moment)
    }

    /// The rollout that is undone in what is in effect of a service, and not in its document yet.
    pub fn undone_in_effect(&self, service: &str) -> Option<String> {
        self.undone(service).map(|(rollout, _)| rollout)
    }

    /// The same as [`FleetMember::abort`], with what the history says of it.
    pub fn abort_with(
        &mut self,
        (service, rollout, why): (&str, &str, &str),
        rows: Vec<serde_json::Value>,
        moment: Moment<'_>,
    ) -> Vec<FleetOutput> {
        self.rows = BTreeMap::from([(rollout.to_owned(), rows)]);
        self.abort(service, rollout, why, moment)
    }

    /// The services that the store does not know and this member has no document of.
    pub fn unknown(&self) -> Vec<String> {
        if self.heard.is_none() || !self.has_joined {
            return Vec::new();
        }
        let is_unknown = |name: &&String| matches!(self.view.service(name), Ok(None));
        let names = self.services.iter().filter(|(_, of)| of.kept.is_none()).map(|(name, _)| name);
        names.filter(is_unknown).cloned().collect()
    }

    /// The document of a service as the store has it.
    pub fn held(&self, service: &str) -> Option<&HeldDocument> {
        self.view.service(service).ok().flatten()
    }

    /// The state of the document that is followed.
    pub fn document_state(&self, service: &str) -> Option<&ServiceState> {
        Some(&self.services.get(service)?.kept.as_ref()?.state)
    }

    /// The transaction by which what belongs to no one service becomes so; `held` is the revision of what it is made of.
    pub fn site(
        &mut self,
        held: Option<StoreRevision>,
        stand: Stand,
        state: serde_json::Value,
        rows: Vec<(String, serde_json::Value)>,
    ) -> StoreTransaction {
        let mut by_service: BTreeMap<String, Vec<serde_json::Value>> = BTreeMap::new();
        for (service, row) in rows {
            by_service.entry(service).or_default().push(row);
        }
        self.transactions.site(held, stand, state, by_service)
    }

    /// The transaction by which a member that is gone is forgotten.
    ///
    /// # Errors
    /// [`ForgetFault`].
    pub fn forget_member(&mut self, name: &str) -> Result<StoreTransaction, ForgetFault> {
        if self.heard.is_none() {
            return Err(ForgetFault::Unheard);
        }
        let (mut left, modified) = self.view.roster().map_err(|_| ForgetFault::Unheard)?;
        let modified = modified.ok_or(ForgetFault::Unknown)?;
        if matches!(self.view.alive(name), Ok(Some(_)) | Err(_)) {
            return Err(ForgetFault::Alive);
        }
        left.members.remove(name).ok_or(ForgetFault::Unknown)?;
        Ok(self.transactions.forget(name, &left, modified))
    }
}
