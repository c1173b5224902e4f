//! One member: what it makes of what it hears of the store, and of what happens to itself.
//!
//! It goes by what is so and not by what has changed: after each input [`FleetMember::settle`] compares what it has with
//! what the store has, and says what is to be done. An input that was lost, or came twice, makes no difference then.
//!
//! What it serves is a function of three things: the last document that it has followed, the tombstones that it knows,
//! and its own marks of aborts. So an abort is in effect before the store hears of it, and stays in effect whatever the
//! store says. Losing the store changes nothing of what it serves, nor whether it is ready.

mod around;
mod settle;
#[cfg(test)]
mod tests;

use super::Incarnation;
use super::documents::{AliveDocument, FORMAT, ServiceDocument, Stand, Tombstone};
use super::ground::{Alike, Missing, ground};
use super::keys::StoreKeys;
use super::lineage::{Lineage, lineage};
use super::store::{StoreContents, StoreEvent, StoreRevision, StoreTransaction};
use super::transactions::{Accompanying, AdvanceGround, HeldDocument, Transactions};
use super::view::StoreView;
use crate::core::service::{Moment, ServiceState};
pub use around::ForgetFault;
use std::collections::BTreeMap;
use std::time::Duration;

/// After so long without a word, a member is forgotten, unless configured otherwise.
pub const FORGET: Duration = Duration::from_secs(600);
/// As long as another process of the same name may take to be gone: its lease, twice.
pub const NAME_TAKEN: Duration = Duration::from_secs(10);
/// Why nothing goes on by itself after a store was put back: members that are not there yet may know of an abort, and the
/// store has forgotten who they are.
const PUT_BACK: &str = "the store had lost changes, and this rollout was put back into it: pause and resume it to go on \
                        with it, or abort it";

/// Everything is read again as often as that, whatever the watch says.
pub const READ_AGAIN: Duration = Duration::from_secs(30);

/// Who a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberIdentity {
    pub name: String,
    /// Drawn at its start.
    pub process: String,
    /// Greater than that of all processes of this name before, as far as its disk knows.
    pub incarnation: Incarnation,
    pub version: String,
    /// Digests, see [`AliveDocument`].
    pub config: String,
    pub secret: String,
    pub missing: Missing,
    pub forget: Duration,
    /// The running process that it takes the place of, in an upgrade.
    pub takes_over: Option<String>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum FleetOutput {
    /// Everything under the prefix is to be read, and watched from the next revision on; nothing of a former watch comes after
    /// this. A read that fails is a connection that is lost.
    ReadAll,
    Commit(StoreTransaction),
    /// What a service has come to is to be kept on the own disk.
    Keep(String),
    /// The table is to show a service as [`FleetMember::state`] has it now.
    Publish(String),
    /// Something an operator must hear of.
    Say(String),
    /// This process must not serve: another one of the same name does.
    Refuse(String),
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    Done(StoreRevision),
    /// A compare did not hold.
    Overtaken,
    /// The store has no room.
    NoSpace,
    /// Nobody knows.
    Unknown,
}

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

    /// There is a connection to the store.
    pub fn connected(&mut self) -> Vec<FleetOutput> {
        self.is_reading = false;
        self.read_all()
    }

    /// There is none any more, nothing was heard on it for too long, or a read has failed. What was sent on it and has no
    /// answer may take effect all the same.
    pub fn lost(&mut self) {
        (self.heard, self.is_reading, self.has_joined) = (None, false, false);
        self.reads_again = false;
        self.waiting.clear();
    }

    /// Everything was read.
    pub fn read(&mut self, contents: StoreContents, moment: Moment<'_>) -> Vec<FleetOutput> {
        let mut out = Vec::new();
        if contents.revision < self.highest {
            let (was, is) = (self.highest, contents.revision);
            out.push(FleetOutput::Say(format!(
                "the store was put back to revision {is}, and had been at {was}: what is in effect stays, and is put \
                 back into it"
            )));
        }
        self.highest = contents.revision;
        self.view.replace(contents);
        self.waiting.retain(|_, waiting| matches!(waiting, Waiting::Answer(_)));
        (self.heard, self.has_heard, self.is_reading) = (Some(moment.now), true, false);
        if std::mem::take(&mut self.reads_again) {
            out.extend(self.read_all());
        }
        out.extend(self.settle(moment));
        out
    }

    /// Keys have changed, all those of one revision at once. What was read already is left out.
    pub fn changed(
        &mut self,
        events: Vec<StoreEvent>,
        revision: StoreRevision,
        moment: Moment<'_>,
    ) -> Vec<FleetOutput> {
        if self.heard.is_none() || revision <= self.view.revision() {
            return Vec::new();
        }
        self.view.apply(events, revision);
        self.highest = self.highest.max(revision);
        let seen = self.view.revision();
        self.waiting.retain(|_, waiting| !matches!(waiting, Waiting::Seen(at) if *at <= seen));
        self.settle(moment)
    }

    /// An answer of the store, to anything, came with this revision: a lower one than before is another past.
    pub fn answered_at(&mut self, revision: StoreRevision) -> Vec<FleetOutput> {
        if revision < self.highest { self.read_all() } else { Vec::new() }
    }

    /// The watch cannot go on from where it was: what happened meanwhile is gone.
    pub fn compacted(&mut self) -> Vec<FleetOutput> {
        // A read under way may have been answered before what is gone.
        self.reads_again = self.is_reading;
        self.read_all()
    }

    /// This instance aborts a rollout, by its own evidence or since it was asked to. It is in effect with the next
    /// publication, whether or not the store is there.
    pub fn abort(&mut self, service: &str, rollout: &str, why: &str, moment: Moment<'_>) -> Vec<FleetOutput> {
        let (by, at) = (self.me.name.clone(), moment.wall.to_owned());
        let tombstone = Tombstone { service: service.to_owned(), by, why: why.to_owned(), at };
        let of = self.services.entry(service.to_owned()).or_default();
        of.marks.entry(rollout.to_owned()).or_insert(tombstone);
        let mut out = self.settle(moment);
        out.push(FleetOutput::Keep(service.to_owned()));
        out
    }

    /// The transaction by which it leaves for good; `None` while the store is not heard.
    pub fn leave(&mut self) -> Option<StoreTransaction> {
        self.heard?;
        let (mut roster, modified) = self.view.roster().ok()?;
        roster.members.remove(&self.me.name);
        Some(self.transactions.leave(&roster, modified?))
    }

    /// The transaction by which it leads no longer, if it does.
    pub fn resign(&mut self) -> Option<StoreTransaction> {
        let fence = self.leads()?;
        Some(self.transactions.resign(fence))
    }

    /// A transaction of [`FleetOutput::Commit`] has come to its end.
    pub fn committed(&mut self, id: &str, outcome: CommitOutcome, moment: Moment<'_>) -> Vec<FleetOutput> {
        let is_it = |waiting: &Waiting| matches!(waiting, Waiting::Answer(of) if of == id);
        let Some(wanted) = self.waiting.iter().find(|(_, waiting)| is_it(waiting)).map(|(w, _)| w.clone())
        else {
            return Vec::new();
        };
        self.has_no_space = outcome == CommitOutcome::NoSpace;
        match outcome {
            CommitOutcome::Done(revision) if revision <= self.view.revision() => {
                self.waiting.remove(&wanted);
                self.settle(moment)
            }
            CommitOutcome::Done(revision) => {
                self.waiting.insert(wanted, Waiting::Seen(revision));
                Vec::new()
            }
            CommitOutcome::NoSpace => {
                self.waiting.remove(&wanted);
                match wanted {
                    // A delete passes.
                    Wanted::Tombstone(_) => self.settle(moment),
                    _ => Vec::new(),
                }
            }
            CommitOutcome::Overtaken | CommitOutcome::Unknown => {
                self.waiting.insert(wanted, Waiting::Read);
                self.read_all()
            }
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, moment: Moment<'_>) -> Vec<FleetOutput> {
        let is_old = self.heard.is_some_and(|heard| moment.now >= heard + READ_AGAIN);
        let mut out = if is_old { self.read_all() } else { Vec::new() };
        out.extend(self.settle(moment));
        out
    }

    /// The transaction of a change that somebody asks for, made of the state that the store has.
    ///
    /// # Errors
    /// A sentence, while the store cannot be written by this instance.
    pub fn command(
        &mut self,
        service: &str,
        next: ServiceState,
        with: Accompanying,
    ) -> Result<StoreTransaction, String> {
        let held = self.writable(service)?;
        Ok(self.transactions.command(service, held.as_ref(), next, with))
    }

    /// What a command of a service is applied to.
    ///
    /// # Errors
    /// A sentence, while the store cannot be written by this instance.
    pub fn writable(&self, service: &str) -> Result<Option<HeldDocument>, String> {
        if self.heard.is_none() || !self.has_joined {
            return Err("the fleet's store cannot be reached; what is in effect stays".to_owned());
        }
        let held = self.view.service(service).map_err(|fault| fault.to_string())?.cloned();
        let kept = self.services.get(service).and_then(|of| of.kept.as_ref());
        match lineage(kept, held.as_ref().map(|held| &held.document)) {
            Lineage::PutBack(_) => Err("the fleet's store has lost changes, which are put back".to_owned()),
            _ if self.undone(service).is_some() => Err("an abort is being written; try again".to_owned()),
            _ => Ok(held),
        }
    }

    /// What the leader may go on with.
    ///
    /// # Errors
    /// A sentence for each reason to stand still; none of them where this process does not lead.
    pub fn ground(&self, service: &str) -> Result<(HeldDocument, AdvanceGround), Vec<String>> {
        let Some(fence) = self.leads() else { return Err(Vec::new()) };
        let held = self.writable(service).map_err(|why| vec![why])?;
        let Some(held) = held else { return Err(Vec::new()) };
        if held.document.is_untouched() && held.document.state.running().is_some() {
            return Err(vec![PUT_BACK.to_owned()]);
        }
        let alike = Alike { config: &self.me.config, secret: &self.me.secret };
        let gone = self.gone.iter().map(|(name, (_, since))| (name.clone(), since.clone())).collect();
        let stand = held.document.stand();
        let ground = ground(&self.view, (service, stand), fence, &alike, (self.me.missing, &gone))?;
        Ok((held, ground))
    }

    /// The transaction of an advance, on the ground that [`FleetMember::ground`] gave.
    pub fn advance(
        &mut self,
        service: &str,
        (held, ground): (&HeldDocument, &AdvanceGround),
        next: ServiceState,
        with: Accompanying,
    ) -> StoreTransaction {
        self.transactions.advance(service, held, next, ground, with)
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
        }
    }

    fn read_all(&mut self) -> Vec<FleetOutput> {
        match std::mem::replace(&mut self.is_reading, true) {
            true => Vec::new(),
            false => vec![FleetOutput::ReadAll],
        }
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
