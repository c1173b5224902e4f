//! The store as one member knows it: what it has read, kept up by what it has heard since.

use super::documents::{
    AliveDocument, DocumentFault, FleetIdentity, FleetRoster, LeaderDocument, ServiceDocument, Tombstone,
    read,
};
use super::keys::StoreKeys;
use super::roll_call::RollCall;
use super::store::{StoreContents, StoreEvent, StoreRevision, StoredValue};
use super::transactions::HeldDocument;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// A document with the value that it was read from.
type Read<T> = Result<(T, StoredValue), DocumentFault>;

#[derive(Clone, Debug)]
pub struct StoreView {
    pub keys: StoreKeys,
    contents: StoreContents,
    /// What was read of it, so that a document is read once.
    services: BTreeMap<String, Result<HeldDocument, DocumentFault>>,
    alive: BTreeMap<String, Result<(AliveDocument, StoreRevision), DocumentFault>>,
    identity: Option<Read<FleetIdentity>>,
    roster: Option<Read<FleetRoster>>,
    leader: Option<Read<LeaderDocument>>,
}

impl StoreView {
    pub fn new(keys: StoreKeys) -> Self {
        let (services, alive) = Default::default();
        let (identity, roster, leader) = Default::default();
        StoreView { keys, contents: StoreContents::default(), services, alive, identity, roster, leader }
    }

    /// Everything was read.
    pub fn replace(&mut self, contents: StoreContents) {
        self.services.clear();
        self.alive.clear();
        (self.identity, self.roster, self.leader) = (None, None, None);
        let keys: Vec<String> = contents.entries.keys().cloned().collect();
        self.contents = contents;
        keys.iter().for_each(|key| self.note(key));
    }

    /// Keys have changed, as of a revision.
    pub fn apply(&mut self, events: Vec<StoreEvent>, revision: StoreRevision) {
        for StoreEvent { key, value } in events {
            match value {
                Some(value) => drop(self.contents.entries.insert(key.clone(), value)),
                None => drop(self.contents.entries.remove(&key)),
            }
            self.note(&key);
        }
        self.contents.revision = self.contents.revision.max(revision);
    }

    pub fn revision(&self) -> StoreRevision {
        self.contents.revision
    }

    pub fn entry(&self, key: &str) -> Option<&StoredValue> {
        self.contents.entries.get(key)
    }

    /// A service's document.
    ///
    /// # Errors
    /// [`DocumentFault`].
    pub fn service(&self, service: &str) -> Result<Option<&HeldDocument>, DocumentFault> {
        self.services.get(service).map(Result::as_ref).transpose().map_err(Clone::clone)
    }

    /// Which fleet it is.
    ///
    /// # Errors
    /// [`DocumentFault`].
    pub fn identity(&self) -> Result<Option<&FleetIdentity>, DocumentFault> {
        let identity = self.identity.as_ref().map(Result::as_ref).transpose().map_err(Clone::clone)?;
        Ok(identity.map(|(identity, _)| identity))
    }

    /// The members, with the revision of the list; nobody where there is no list yet.
    ///
    /// # Errors
    /// [`DocumentFault`].
    pub fn roster(&self) -> Result<(FleetRoster, Option<StoreRevision>), DocumentFault> {
        let found = self.roster.as_ref().map(Result::as_ref).transpose().map_err(Clone::clone)?;
        Ok(found.map_or_else(Default::default, |(roster, entry)| (roster.clone(), Some(entry.modified))))
    }

    /// A member that is there, with the revision of its creation.
    ///
    /// # Errors
    /// [`DocumentFault`].
    pub fn alive(&self, member: &str) -> Result<Option<&(AliveDocument, StoreRevision)>, DocumentFault> {
        self.alive.get(member).map(Result::as_ref).transpose().map_err(Clone::clone)
    }

    /// Who leads, with the fence.
    ///
    /// # Errors
    /// [`DocumentFault`].
    pub fn leader(&self) -> Result<Option<(&LeaderDocument, StoreRevision)>, DocumentFault> {
        let found = self.leader.as_ref().map(Result::as_ref).transpose().map_err(Clone::clone)?;
        Ok(found.map(|(leader, entry)| (leader, entry.created)))
    }

    /// The fence of a member's process, if that leads.
    pub fn fence_of(&self, member: &str, process: &str) -> Option<StoreRevision> {
        let (leader, fence) = self.leader().ok().flatten()?;
        (leader.member == member && leader.process == process).then_some(fence)
    }

    /// What the leader asks all members to answer.
    pub fn roll_call(&self) -> Option<RollCall> {
        let (leader, _) = self.leader().ok().flatten()?;
        let (alive, _) = self.alive(&leader.member).ok().flatten()?;
        let call = RollCall { process: alive.process.clone(), connection: alive.connection };
        (alive.process == leader.process).then_some(call)
    }

    /// The tombstone of a rollout. One that cannot be read is one all the same.
    pub fn tombstone(&self, rollout: &str) -> Option<Tombstone> {
        let entry = self.entry(&self.keys.abort(rollout))?;
        let unreadable = |_| Tombstone {
            service: String::new(),
            by: "a member".to_owned(),
            why: "its tombstone cannot be read".to_owned(),
            at: String::new(),
        };
        Some(serde_json::from_str(&entry.value).unwrap_or_else(unreadable))
    }

    pub fn is_permitted(&self, rollout: &str) -> bool {
        self.entry(&self.keys.permit(rollout)).is_some()
    }

    /// Reads the document of a key that has changed.
    fn note(&mut self, key: &str) {
        let entry = self.contents.entries.get(key).cloned();
        if let Some(service) = key.strip_prefix(&self.keys.service("")) {
            note(&mut self.services, service, key, entry, |document: ServiceDocument, entry| HeldDocument {
                document,
                modified: entry.modified,
            });
        } else if let Some(member) = key.strip_prefix(&self.keys.alive("")) {
            note(&mut self.alive, member, key, entry, |alive: AliveDocument, entry| (alive, entry.created));
        } else if key == self.keys.identity() {
            self.identity = entry.map(|entry| pair(key, entry));
        } else if key == self.keys.members() {
            self.roster = entry.map(|entry| pair(key, entry));
        } else if key == self.keys.leader() {
            self.leader = entry.map(|entry| pair(key, entry));
        }
    }
}

fn pair<T: DeserializeOwned>(key: &str, entry: StoredValue) -> Read<T> {
    Ok((read(key, &entry.value)?, entry))
}

fn note<T: DeserializeOwned, U>(
    known: &mut BTreeMap<String, Result<U, DocumentFault>>,
    name: &str,
    key: &str,
    entry: Option<StoredValue>,
    made: impl Fn(T, StoredValue) -> U,
) {
    match entry {
        Some(entry) => {
            let found = read(key, &entry.value).map(|document| made(document, entry));
            known.insert(name.to_owned(), found);
        }
        None => drop(known.remove(name)),
    }
}
