//! One member: what it makes of what it hears of the store, and of what happens to itself.
//!
//! It goes by what is so and not by what has changed: after each input [`FleetMember::settle`] compares what it has with
//! what the store has, and says what is to be done. An input that was lost, or came twice, makes no difference then.
//!
//! What it serves is a function of three things: the last document that it has followed, the tombstones that it knows,
//! and its own marks of aborts. So an abort is in effect before the store hears of it, and stays in effect whatever the
//! store says. Losing the store changes nothing of what it serves, nor whether it is ready.

mod around;
mod asked;
mod heard;
mod identity;
mod settle;
#[cfg(test)]
mod tests;

pub use identity::{CommitOutcome, FleetOutput, ForgetFault, MemberIdentity};

use super::Incarnation;
use super::documents::{AliveDocument, FORMAT, ServiceDocument, Stand, Tombstone};
use super::keys::StoreKeys;
use super::lineage::{Lineage, lineage};
use super::roll_call::RollCall;
use super::store::StoreRevision;
use super::transactions::Transactions;
use super::view::StoreView;
use crate::core::service::ServiceState;
use std::collections::BTreeMap;
use std::time::Duration;

/// After so long without a word, a member is forgotten, unless configured otherwise.
pub const FORGET: Duration = Duration::from_secs(600);
/// As long as another process of the same name may take to be gone: its lease, twice.
pub const NAME_TAKEN: Duration = Duration::from_secs(10);
/// Everything is read again as often as that, whatever the watch says.
pub const READ_AGAIN: Duration = Duration::from_secs(30);

/// What a transaction of our own is about; there is one of each at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    Join,
    Report,
    Lead,
    Forget,
    Document(String),
    Tombstone(String),
}

/// What such a transaction waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Waiting {
    Answer(String),
    /// For the store to be seen as it is after it.
    Seen(StoreRevision),
    Read,
}

/// One service as a member has it.
#[derive(Clone, Debug, Default)]
struct FleetService {
    /// The last document that it has followed; on its disk, too.
    kept: Option<ServiceDocument>,
    /// Rollouts that it has aborted itself, until the store's document shows that; on its disk, too.
    marks: BTreeMap<String, Tombstone>,
    /// What is in effect.
    state: Option<ServiceState>,
    /// The fault of the store's document that was told.
    fault: Option<String>,
}

#[derive(Clone, Debug)]
pub struct FleetMember {
    me: MemberIdentity,
    view: StoreView,
    transactions: Transactions,
    services: BTreeMap<String, FleetService>,
    /// Since when everything under the prefix is known; `None` while the store is not heard.
    heard: Option<Duration>,
    /// Whether it was heard at all in this process.
    has_heard: bool,
    has_joined: bool,
    /// The number of its connection to the store.
    connection: u64,
    /// The highest revision that was seen of the store.
    highest: StoreRevision,
    waiting: BTreeMap<Wanted, Waiting>,
    has_no_space: bool,
    /// Members without a sign of life: since when, on this process's clock, and as a time of day.
    gone: BTreeMap<String, (Duration, String)>,
    /// Since when another process has the name.
    name_taken: Option<Duration>,
    /// Why it is no part of the fleet, as it was said last.
    foreign: Option<String>,
    is_reading: bool,
    /// Whether it reads once more after the read that is under way.
    reads_again: bool,
    /// What the history says of the last abort of its own, by rollout.
    rows: BTreeMap<String, Vec<serde_json::Value>>,
}

impl FleetMember {
    /// With what its disk has of the services: the last documents, and the marks of its own aborts.
    pub fn new(
        me: MemberIdentity,
        keys: StoreKeys,
        kept: BTreeMap<String, (Option<ServiceDocument>, BTreeMap<String, Tombstone>)>,
    ) -> Self {
        let of = |(service, (kept, marks))| (service, FleetService { kept, marks, state: None, fault: None });
        FleetMember {
            transactions: Transactions::new(keys.clone(), &me.name, &me.process),
            view: StoreView::new(keys),
            services: kept.into_iter().map(of).collect(),
            me,
            heard: None,
            has_heard: false,
            has_joined: false,
            connection: 1,
            highest: 0,
            waiting: BTreeMap::new(),
            has_no_space: false,
            gone: BTreeMap::new(),
            name_taken: None,
            foreign: None,
            is_reading: false,
            reads_again: false,
            rows: BTreeMap::new(),
        }
    }

    /// What of a service is in effect. Before the store was heard, candidates have no traffic; `None` where nothing is
    /// known, which is not ready.
    pub fn state(&self, service: &str) -> Option<&ServiceState> {
        self.services.get(service)?.state.as_ref()
    }

    /// What the disk is to have of a service.
    pub fn kept(&self, service: &str) -> Option<(&Option<ServiceDocument>, &BTreeMap<String, Tombstone>)> {
        self.services.get(service).map(|of| (&of.kept, &of.marks))
    }

    /// The number of this process, which is another one once it has joined after a process that its disk does not know.
    pub fn incarnation(&self) -> Incarnation {
        self.me.incarnation
    }

    pub fn stand(&self, service: &str) -> Option<Stand> {
        Some(self.services.get(service)?.kept.as_ref()?.stand())
    }

    pub fn view(&self) -> &StoreView {
        &self.view
    }

    pub fn is_connected(&self) -> bool {
        self.heard.is_some()
    }

    /// The fence, where this process leads.
    pub fn leads(&self) -> Option<StoreRevision> {
        self.heard?;
        self.view.fence_of(&self.me.name, &self.me.process)
    }

    /// What this member says of itself under its lease.
    fn alive(&self) -> AliveDocument {
        let applied = |(name, of): (&String, &FleetService)| Some((name.clone(), of.kept.as_ref()?.stand()));
        AliveDocument {
            format: FORMAT,
            incarnation: self.me.incarnation,
            process: self.me.process.clone(),
            version: self.me.version.clone(),
            knows: FORMAT,
            config: self.me.config.clone(),
            secret: self.me.secret.clone(),
            applied: self.services.iter().filter_map(applied).collect(),
            is_ready: self.services.values().all(|of| of.state.is_some()),
            connection: self.connection,
            answers: self.answer(),
        }
    }

    /// What it asks all members to answer while it leads.
    pub fn roll_call(&self) -> RollCall {
        RollCall { process: self.me.process.clone(), connection: self.connection }
    }

    /// The leader's roll call, once the store lacks nothing. An answer that was given stays.
    fn answer(&self) -> Option<RollCall> {
        self.heard?;
        let call = match self.leads() {
            Some(_) => Some(self.roll_call()),
            None => self.view.roll_call(),
        };
        let given =
            self.view.alive(&self.me.name).ok().flatten().and_then(|(alive, _)| alive.answers.as_ref());
        let owes = || self.services.keys().any(|service| self.owes(service));
        call.filter(|call| given == Some(call) || !owes())
    }

    /// Whether this member has a change or an abort of a service that the store lacks.
    fn owes(&self, service: &str) -> bool {
        let (Some(of), Ok(held)) = (self.services.get(service), self.view.service(service)) else {
            return false;
        };
        let is_lost =
            matches!(lineage(of.kept.as_ref(), held.map(|held| &held.document)), Lineage::PutBack(_));
        let is_unsaid =
            |rollout: &String| self.view.tombstone(rollout).is_none() && self.view.is_permitted(rollout);
        is_lost || of.marks.keys().any(is_unsaid)
    }

    /// The rollout of a service that is aborted by a tombstone, a mark or the want of a permit, and that the document
    /// does not show so.
    fn undone(&self, service: &str) -> Option<(String, Tombstone)> {
        let of = self.services.get(service)?;
        let kept = of.kept.as_ref()?;
        let last = kept.state.rollout.as_ref()?;
        if kept.undone.as_ref() == Some(&last.id) {
            return None;
        }
        let known = of.marks.get(&last.id).cloned().or_else(|| self.view.tombstone(&last.id));
        let withdrawn = || {
            let is_current = self.heard.is_some()
                && self.view.service(service).ok().flatten().is_some_and(|held| held.document == *kept);
            (is_current && kept.state.running().is_some() && !self.view.is_permitted(&last.id)).then(|| {
                let why = "its permit was withdrawn, since the store has no room".to_owned();
                Tombstone { service: service.to_owned(), by: "a member".to_owned(), why, at: String::new() }
            })
        };
        known.or_else(withdrawn).map(|tombstone| (last.id.clone(), tombstone))
    }
}
