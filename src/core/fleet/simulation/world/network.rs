//! What travels between members and the store: requests, answers and what watches tell, with delays and losses.

use super::{DEADLINE_MS, Running, World};
use crate::core::fleet::documents::{AliveDocument, ServiceDocument, text};
use crate::core::fleet::member::{CommitOutcome, FleetMember};
use crate::core::fleet::simulation::invariants::Committer;
use crate::core::fleet::simulation::{Fault, SERVICE};
use crate::core::fleet::store::{
    StoreContents, StoreEvent, StoreRevision, StoreTransaction, StoredValue, TransactionKind,
};
use crate::core::service::Moment;
use rand::RngExt;

pub(super) enum Request {
    /// With the watch that begins with it.
    Read(u64),
    Commit(Box<StoreTransaction>),
    KeepAlive,
}

pub(super) enum Reply {
    Read(Box<StoreContents>),
    Committed { id: String, outcome: CommitOutcome, has_lease: bool },
    Alive { has_lease: bool, revision: StoreRevision },
}

pub(super) enum Happening {
    Asks { node: usize, process: u64, connection: u64, lease: u64, request: Request },
    Answers { node: usize, process: u64, connection: u64, reply: Reply },
    Late { node: usize, process: u64, id: String },
    Heard { node: usize, process: u64, watch: u64, events: Vec<StoreEvent>, revision: StoreRevision },
}

impl World {
    /// Lets time pass, and everything happen that is due.
    pub(crate) fn pass(&mut self, ms: u64) -> Result<(), Fault> {
        let until = self.now + ms;
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((at, _), happening) = entry.remove_entry();
            self.advance_to(at);
            self.happen(happening)?;
        }
        self.advance_to(until);
        Ok(())
    }

    fn advance_to(&mut self, at: u64) {
        self.now = self.now.max(at);
        let events = self.store.pass(self.now);
        self.tell(events);
    }

    pub(super) fn later(&mut self, ms: u64, happening: Happening) {
        self.serial += 1;
        self.queue.insert((self.now + ms, self.serial), happening);
    }

    fn delay(&mut self) -> u64 {
        if self.chance(0.06) { self.rng.random_range(50..900) } else { self.rng.random_range(1..12) }
    }

    /// All watches that are connected hear of a change, each in its order.
    pub(super) fn tell(&mut self, events: Vec<StoreEvent>) {
        if events.is_empty() {
            return;
        }
        let revision = self.store.revision;
        for node in 0..self.nodes.len() {
            let delay = self.delay();
            let Some(running) = &mut self.nodes[node].process else { continue };
            running.watch_at = running.watch_at.max(self.now + delay);
            let (process, watch, after) = (running.serial, running.watch, running.watch_at - self.now);
            if running.is_watching {
                let events = self.heard_by(node, &events);
                self.later(after, Happening::Heard { node, process, watch, events, revision });
            }
        }
    }

    /// What a watch tells of a change; some watches lose some of it.
    fn heard_by(&mut self, node: usize, events: &[StoreEvent]) -> Vec<StoreEvent> {
        let mut events = events.to_vec();
        if self.nodes[node].loses > 0 {
            self.nodes[node].loses -= 1;
            events.swap_remove(self.rng.random_range(0..events.len()));
        }
        events
    }

    /// A read reaches the store: its answer comes, and after it all that changes from now on.
    fn begin_watch(&mut self, node: usize, watch: u64, contents: Box<StoreContents>) -> Result<(), Fault> {
        let (delay, is_lost) = (self.delay(), self.chance(0.02));
        let now = self.now;
        let Some(running) = &mut self.nodes[node].process else { return Ok(()) };
        if running.watch != watch || is_lost {
            return Ok(());
        }
        (running.is_watching, running.watch_at) = (true, now + delay);
        let (process, connection) = (running.serial, running.connection);
        let reply = Reply::Read(contents);
        self.later(delay, Happening::Answers { node, process, connection, reply });
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Fault> {
        let (node, process) = match &happening {
            Happening::Asks { node, process, connection, lease, request } => {
                let (node, process, connection, lease) = (*node, *process, *connection, *lease);
                return self.serve((node, process, connection, lease), request);
            }
            Happening::Answers { node, process, .. }
            | Happening::Late { node, process, .. }
            | Happening::Heard { node, process, .. } => (*node, *process),
        };
        let of = &self.nodes[node];
        if of.process.as_ref().is_none_or(|running| running.serial != process) {
            return Ok(());
        }
        if of.paused_until > self.now {
            let wait = of.paused_until - self.now;
            self.later(wait, happening);
            return Ok(());
        }
        let (now, wall) = self.moment(node);
        let moment = Moment { now, wall: &wall };
        let (is_cut, is_unread) = (of.cut, self.course.is_unread);
        let Some(running) = &mut self.nodes[node].process else { return Ok(()) };
        let member = &mut running.member;
        let happening = if is_unread { forged(happening, member) } else { happening };
        let out = match happening {
            Happening::Heard { watch, events, revision, .. } => match watch == running.watch && !is_cut {
                true => member.changed(events, revision, moment),
                false => Vec::new(),
            },
            Happening::Answers { connection, .. } if is_cut || connection != running.connection => Vec::new(),
            Happening::Answers { reply: Reply::Read(contents), .. } => {
                running.reads_until = None;
                member.read(*contents, moment)
            }
            Happening::Answers { reply: Reply::Alive { has_lease, revision }, .. } => {
                running.lease += u64::from(!has_lease);
                member.answered_at(revision)
            }
            Happening::Answers { reply: Reply::Committed { id, outcome, has_lease }, .. } => {
                running.lease += u64::from(!has_lease);
                if running.asked.as_ref().is_some_and(|asked| asked.id == id) {
                    running.asked = None;
                }
                member.committed(&id, outcome, moment)
            }
            Happening::Late { id, .. } => {
                if running.asked.as_ref().is_some_and(|asked| asked.id == id) {
                    running.asked = None;
                }
                member.committed(&id, CommitOutcome::Unknown, moment)
            }
            Happening::Asks { .. } => Vec::new(),
        };
        self.carry_out(node, out)
    }

    /// A request reaches the store.
    fn serve(
        &mut self,
        (node, process, connection, lease): (usize, u64, u64, u64),
        request: &Request,
    ) -> Result<(), Fault> {
        let is_connected = |running: &Running| running.serial == process && running.connection == connection;
        let of = &self.nodes[node];
        // What was sent by a process that is gone arrives all the same.
        let is_current =
            of.process.as_ref().is_none_or(|running| running.serial != process || is_connected(running));
        if of.cut || !is_current {
            return Ok(());
        }
        let name = of.name.clone();
        let reply = match request {
            Request::Read(watch) => {
                let contents = Box::new(self.store.contents());
                return self.begin_watch(node, *watch, contents);
            }
            Request::KeepAlive => {
                let has_lease = self.store.keep_alive(lease, self.now);
                Reply::Alive { has_lease, revision: self.store.revision }
            }
            Request::Commit(transaction) => {
                let process = transaction.id.split('/').nth(1).unwrap_or_default();
                let by = Committer { name: &name, process };
                let (ledger, keys) = (&mut self.ledger, &self.keys);
                let committed = self.store.commit(transaction, lease, self.now, |store| {
                    ledger.check(store, transaction, &by, keys)
                })?;
                if self.is_told {
                    let compares: Vec<_> = transaction.compares.iter().map(|(_, compare)| compare).collect();
                    let document = transaction.puts.iter().find(|put| put.key == self.keys.service(SERVICE));
                    let document =
                        document.and_then(|put| serde_json::from_str::<ServiceDocument>(&put.value).ok());
                    let of = document.map(|d| (d.epoch, d.state.seq, d.state.weights, d.undone, d.put_back));
                    let (kind, id, outcome) = (transaction.kind, &transaction.id, committed.outcome);
                    self.tell_of("commit", &(kind, id, outcome, compares, of));
                }
                let is_change = matches!(
                    transaction.kind,
                    TransactionKind::Command | TransactionKind::Advance | TransactionKind::Abort
                );
                if is_change && matches!(committed.outcome, CommitOutcome::Done(_)) {
                    self.restored = None;
                }
                if matches!(transaction.kind, TransactionKind::Forget | TransactionKind::Leave) {
                    self.forget_unknown();
                }
                self.tell(committed.events);
                let (id, outcome) = (transaction.id.clone(), committed.outcome);
                Reply::Committed { id, outcome, has_lease: committed.has_lease }
            }
        };
        // Lost after it took effect.
        if !self.chance(0.02) {
            let delay = self.delay();
            self.later(delay, Happening::Answers { node, process, connection, reply });
        }
        Ok(())
    }

    pub(super) fn ask(&mut self, node: usize, request: Request) {
        let delay = self.delay();
        let is_lost = self.chance(0.02);
        let Some(running) = &self.nodes[node].process else { return };
        let (process, connection, lease) = (running.serial, running.connection, running.lease);
        if let Request::Commit(transaction) = &request {
            let id = transaction.id.clone();
            self.later(DEADLINE_MS, Happening::Late { node, process, id });
        }
        if !is_lost {
            self.later(delay, Happening::Asks { node, process, connection, lease, request });
        }
    }
}

/// As if all others had answered the roll call of this member.
fn forged(happening: Happening, member: &FleetMember) -> Happening {
    let (call, keys) = (member.roll_call(), &member.view().keys);
    let forge = |key: &str, value: &mut StoredValue| {
        if key.starts_with(&keys.alive(""))
            && let Ok(alive) = serde_json::from_str::<AliveDocument>(&value.value)
            && alive.process != call.process
        {
            value.value = text(&AliveDocument { answers: Some(call.clone()), ..alive });
        }
    };
    let mut happening = happening;
    match &mut happening {
        Happening::Answers { reply: Reply::Read(contents), .. } => {
            contents.entries.iter_mut().for_each(|(key, value)| forge(key, value));
        }
        Happening::Heard { events, .. } => {
            for StoreEvent { key, value } in events {
                value.iter_mut().for_each(|value| forge(key, value));
            }
        }
        _ => {}
    }
    happening
}
