//! Members with their processes and disks, the network between them and the store, and an operator.

use super::invariants::{Committer, Ledger};
use super::model::{ModelStore, Without};
use super::{Fault, Met, POOLS, SERVICE};
use crate::core::fleet::Incarnation;
use crate::core::fleet::documents::{ServiceDocument, Stand, Tombstone};
use crate::core::fleet::ground::Missing;
use crate::core::fleet::keys::StoreKeys;
use crate::core::fleet::member::{CommitOutcome, FleetMember, FleetOutput, MemberIdentity};
use crate::core::fleet::store::{
    StoreContents, StoreEvent, StoreRevision, StoreTransaction, TransactionKind,
};
use crate::core::fleet::transactions::{Accompanying, AdvanceGround, HeldDocument};
use crate::core::service::{Applied, Moment, Order, ServiceState};
use crate::core::weight::BasisPoints;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A request that has no answer by then has an unknown outcome (ms).
const DEADLINE_MS: u64 = 450;

pub(super) struct World {
    pub rng: SmallRng,
    pub now: u64,
    serial: u64,
    queue: BTreeMap<(u64, u64), Happening>,
    pub store: ModelStore,
    pub ledger: Ledger,
    pub keys: StoreKeys,
    pub nodes: Vec<Node>,
    pub rollouts: u32,
    pub met: Met,
    /// After a restore, until the next change: the weights that members had, and may change to.
    restored: Option<Vec<BTreeMap<String, BasisPoints>>>,
    /// Whether it prints what happens.
    pub is_told: bool,
}

/// One machine: what outlives its processes, and the process.
pub(super) struct Node {
    pub name: String,
    pub disk: (Option<ServiceDocument>, BTreeMap<String, Tombstone>),
    incarnation: u64,
    pub process: Option<Running>,
    /// Whether the store cannot be reached.
    pub cut: bool,
    pub paused_until: u64,
    /// How far its time of day is off (s).
    pub skew: i64,
    /// A second process that was started by mistake under the name of another.
    pub is_twin: bool,
}

pub(super) struct Running {
    serial: u64,
    born: u64,
    pub member: FleetMember,
    lease: u64,
    /// The number of its connection; 0 is none.
    pub connection: u64,
    /// The watch that the last read began, and when it tells next; it begins when the read reaches the store.
    watch: u64,
    is_watching: bool,
    watch_at: u64,
    /// How far the running rollout has come since the document was written.
    working: Option<(String, ServiceState)>,
    /// The transaction that it waits for as leader, or for an operator.
    asked: Option<Attempt>,
    weights: Option<BTreeMap<String, BasisPoints>>,
    /// When a read that is under way has failed.
    reads_until: Option<u64>,
    content: Option<Stand>,
}

/// What a process has asked the store for, beside what its member wants.
struct Attempt {
    id: String,
}

enum Request {
    /// With the watch that begins with it.
    Read(u64),
    Commit(Box<StoreTransaction>),
    KeepAlive,
}

enum Reply {
    Read(Box<StoreContents>),
    Committed { id: String, outcome: CommitOutcome, has_lease: bool },
    Alive { has_lease: bool, revision: StoreRevision },
}

enum Happening {
    Asks { node: usize, process: u64, connection: u64, lease: u64, request: Request },
    Answers { node: usize, process: u64, connection: u64, reply: Reply },
    Late { node: usize, process: u64, id: String },
    Heard { node: usize, process: u64, watch: u64, events: Vec<StoreEvent>, revision: StoreRevision },
}

impl Node {
    /// Another machine with the same name, made from this one's disk.
    pub(super) fn twin(&self) -> Node {
        Node {
            name: self.name.clone(),
            disk: self.disk.clone(),
            incarnation: self.incarnation,
            process: None,
            cut: false,
            paused_until: 0,
            skew: 0,
            is_twin: true,
        }
    }
}

impl World {
    pub(super) fn new(seed: u64, without: Without) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let members = [2, 3, 3, 5][rng.random_range(0..4)];
        let node = |number: usize| Node {
            name: format!("edge-{number}"),
            disk: Default::default(),
            incarnation: 0,
            process: None,
            cut: false,
            paused_until: 0,
            skew: 0,
            is_twin: false,
        };
        let mut world = World {
            rng,
            now: 1_000,
            serial: 0,
            queue: BTreeMap::new(),
            store: ModelStore { without, ..ModelStore::default() },
            ledger: Ledger::default(),
            keys: StoreKeys::under("/pointsman"),
            nodes: (0..members).map(node).collect(),
            rollouts: 0,
            met: Met::default(),
            restored: None,
            is_told: false,
        };
        (0..members).for_each(|node| world.boot(node));
        world
    }

    fn tell_of(&self, what: &str, detail: &dyn std::fmt::Debug) {
        if self.is_told {
            println!("{:>7} {what}: {detail:?}", self.now);
        }
    }

    fn moment(&self, node: usize) -> (Duration, String) {
        let seconds = self.now as i64 / 1000 + self.nodes[node].skew;
        (Duration::from_millis(self.now), format!("{seconds}"))
    }

    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.rng.random_bool(share)
    }

    /// Starts a process, with what the disk has.
    pub(super) fn boot(&mut self, node: usize) {
        self.start_process(node, None);
    }

    /// A new process takes the place of the running one.
    pub(super) fn upgrade(&mut self, node: usize) {
        let former = self.nodes[node].process.as_ref().map(|running| running.serial.to_string());
        if former.is_some() {
            self.stop_process(node);
            self.start_process(node, former);
        }
    }

    /// A member goes for good; it may come back as a new one.
    pub(super) fn leave(&mut self, node: usize) {
        let Some(running) = &mut self.nodes[node].process else { return };
        let (resign, leave) = (running.member.resign(), running.member.leave());
        for transaction in resign.into_iter().chain(leave) {
            self.ask(node, Request::Commit(Box::new(transaction)));
        }
        self.stop_process(node);
    }

    fn stop_process(&mut self, node: usize) {
        if let Some(running) = self.nodes[node].process.take() {
            self.ledger.live.remove(&running.serial.to_string());
        }
    }

    fn start_process(&mut self, node: usize, takes_over: Option<String>) {
        self.serial += 1;
        self.ledger.live.insert(self.serial.to_string());
        let of = &mut self.nodes[node];
        of.incarnation += 1;
        let me = MemberIdentity {
            name: of.name.clone(),
            process: self.serial.to_string(),
            incarnation: Incarnation(of.incarnation),
            version: "0.1.0".into(),
            config: "same".into(),
            secret: "same".into(),
            missing: Missing::Hold,
            forget: Duration::from_secs(7),
            takes_over,
        };
        let kept = BTreeMap::from([(SERVICE.to_owned(), of.disk.clone())]);
        let member = FleetMember::new(me, self.keys.clone(), kept);
        of.process = Some(Running {
            serial: self.serial,
            born: self.now,
            member,
            lease: self.serial << 20,
            connection: 0,
            watch: 0,
            is_watching: false,
            watch_at: 0,
            working: None,
            asked: None,
            weights: None,
            reads_until: None,
            content: None,
        });
        self.tick(node).expect("nothing has happened");
    }

    pub(super) fn kill(&mut self, node: usize) {
        self.stop_process(node);
        self.met.crashes += 1;
    }

    /// Lets time pass, and everything happen that is due.
    pub(super) fn pass(&mut self, ms: u64) -> Result<(), Fault> {
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

    fn later(&mut self, ms: u64, happening: Happening) {
        self.serial += 1;
        self.queue.insert((self.now + ms, self.serial), happening);
    }

    fn delay(&mut self) -> u64 {
        if self.chance(0.06) { self.rng.random_range(50..900) } else { self.rng.random_range(1..12) }
    }

    /// All watches that are connected hear of a change, each in its order.
    fn tell(&mut self, events: Vec<StoreEvent>) {
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
                let events = events.clone();
                self.later(after, Happening::Heard { node, process, watch, events, revision });
            }
        }
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
        let is_cut = of.cut;
        let Some(running) = &mut self.nodes[node].process else { return Ok(()) };
        let member = &mut running.member;
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

    fn ask(&mut self, node: usize, request: Request) {
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

    fn carry_out(&mut self, node: usize, out: Vec<FleetOutput>) -> Result<(), Fault> {
        for output in out {
            match output {
                FleetOutput::ReadAll => {
                    self.serial += 1;
                    let watch = self.serial;
                    if let Some(running) = &mut self.nodes[node].process {
                        running.reads_until = Some(self.now + DEADLINE_MS);
                        (running.watch, running.is_watching) = (watch, false);
                    }
                    self.ask(node, Request::Read(watch));
                }
                FleetOutput::Commit(transaction) => self.ask(node, Request::Commit(Box::new(transaction))),
                FleetOutput::Keep(service) => {
                    let of = &mut self.nodes[node];
                    let kept = of.process.as_ref().and_then(|running| running.member.kept(&service));
                    if let Some((kept, marks)) = kept {
                        of.disk = (kept.clone(), marks.clone());
                    }
                }
                FleetOutput::Publish(_) => self.publish(node)?,
                FleetOutput::Say(_) => {}
                FleetOutput::Refuse(_) => {
                    self.met.refused += 1;
                    self.stop_process(node);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A table changes.
    fn publish(&mut self, node: usize) -> Result<(), Fault> {
        let Some(running) = &mut self.nodes[node].process else { return Ok(()) };
        let weights = running.member.state(SERVICE).map(|state| state.weights.clone());
        let before = std::mem::replace(&mut running.weights, weights.clone());
        let content = running.member.kept(SERVICE).and_then(|(kept, _)| Some(kept.as_ref()?.content()));
        let is_back = self.restored.is_some() && content < running.content;
        running.content = content;
        if is_back {
            return Err(Fault("a store that was put back has taken a change away"));
        }
        if self.is_told {
            let of = &self.nodes[node];
            println!("{:>7} {} publishes {weights:?} at {content:?}", self.now, of.name);
        }
        // A process that begins holds candidates back until it has heard the store.
        let Some(running) = &self.nodes[node].process else { return Ok(()) };
        let has_served = before.is_some() && running.born + 1 < self.now && running.connection > 0;
        if let Some(allowed) = self.restored.as_ref().filter(|_| has_served && before != weights)
            && weights.as_ref().is_none_or(|weights| !allowed.contains(weights))
        {
            return Err(Fault("a store that was put back has moved weights"));
        }
        Ok(())
    }

    /// The clock of a process: it connects, keeps its lease alive, and looks at its candidate.
    pub(super) fn tick(&mut self, node: usize) -> Result<(), Fault> {
        let (now, wall) = self.moment(node);
        let (is_cut, is_paused) = (self.nodes[node].cut, self.nodes[node].paused_until > self.now);
        let Some(running) = &mut self.nodes[node].process else { return Ok(()) };
        if is_paused {
            return Ok(());
        }
        let mut out = Vec::new();
        if is_cut && running.connection > 0 {
            running.connection = 0;
            running.asked = None;
            running.member.lost();
        } else if running.reads_until.is_some_and(|until| until < self.now) {
            running.connection = 0;
            running.member.lost();
        }
        running.reads_until = running.reads_until.filter(|_| running.connection > 0);
        if !is_cut && running.connection == 0 {
            self.serial += 1;
            running.connection = self.serial;
            out.extend(running.member.connected());
        }
        out.extend(running.member.tick(Moment { now, wall: &wall }));
        self.carry_out(node, out)?;
        if !is_cut {
            self.ask(node, Request::KeepAlive);
        }
        Ok(())
    }

    /// The connection of a process breaks, or its watch falls too far behind.
    pub(super) fn disturb(&mut self, node: usize) -> Result<(), Fault> {
        let is_compacted = self.chance(0.5);
        let Some(running) = &mut self.nodes[node].process else { return Ok(()) };
        let mut out = Vec::new();
        if is_compacted && running.connection > 0 {
            // What it has not heard is gone.
            let serial = running.serial;
            self.queue.retain(|_, happening| {
                !matches!(happening, Happening::Heard { node: of, process, .. } if *of == node && *process == serial)
            });
            self.met.compacted += 1;
            out = running.member.compacted();
        } else {
            running.connection = 0;
            running.member.lost();
        }
        self.carry_out(node, out)
    }

    /// The store goes back to a backup, or to nothing; all its connections break.
    pub(super) fn restore(&mut self) {
        let wiped = self.chance(0.5);
        let kept: Vec<ServiceDocument> = self.nodes.iter().filter_map(|of| of.disk.0.clone()).collect();
        let of = |kept: &ServiceDocument| {
            let last = kept.state.rollout.as_ref().map(|last| last.id.as_str()).unwrap_or_default();
            [kept.state.weights.clone(), undone(&kept.state, last).weights]
        };
        let mut allowed: Vec<_> = kept.iter().flat_map(of).collect();
        self.store.restore(wiped, self.now);
        // A member that was behind goes on with what the backup has.
        let stored = self.store.value(&self.keys.service(SERVICE));
        let stored = stored.and_then(|stored| serde_json::from_str(&stored.value).ok());
        allowed.extend(stored.iter().flat_map(of));
        self.met.restored += 1;
        self.queue.retain(|_, happening| {
            !matches!(happening, Happening::Asks { .. } | Happening::Heard { .. } | Happening::Answers { .. })
        });
        for of in &mut self.nodes {
            if let Some(running) = &mut of.process {
                running.connection = 0;
                running.member.lost();
            }
        }
        self.ledger.forget_lost(&self.store);
        self.restored = Some(allowed);
        self.tell_of("restored", &wiped);
    }

    /// What an instance does as the controller of a service would: the leader advances, and whoever has seen enough
    /// aborts.
    pub(super) fn decide(
        &mut self,
        node: usize,
        change: impl Fn(&ServiceState, Moment<'_>) -> Option<Applied>,
    ) -> Result<(), Fault> {
        let (now, wall) = self.moment(node);
        let moment = Moment { now, wall: &wall };
        let Some(running) = &mut self.nodes[node].process else { return Ok(()) };
        let Some(state) = running.member.state(SERVICE).cloned() else { return Ok(()) };
        let ground = running.member.ground(SERVICE);
        let base = match (&ground, &running.working) {
            (Ok((held, _)), Some((txn, working))) if held.document.txn == *txn => working.clone(),
            (Ok((held, _)), _) => held.document.state.clone(),
            (Err(_), _) => state,
        };
        let Some(applied) = change(&base, moment) else { return Ok(()) };
        if applied.takes_traffic_away() {
            let Some(id) = base.rollout.as_ref().map(|last| last.id.clone()) else { return Ok(()) };
            self.met.aborts += 1;
            let out = running.member.abort(SERVICE, &id, "as the simulation says", moment);
            return self.carry_out(node, out);
        }
        // Without the ground nothing goes on.
        let Ok((held, ground)) = ground else {
            self.met.held += 1;
            return Ok(());
        };
        self.go_on(node, &held, &ground, applied);
        Ok(())
    }

    fn go_on(&mut self, node: usize, held: &HeldDocument, ground: &AdvanceGround, applied: Applied) {
        let keeps = self.chance(0.05);
        let Some(running) = &mut self.nodes[node].process else { return };
        if applied.order == Order::Quiet && !keeps {
            running.working = Some((held.document.txn.clone(), applied.state));
            return;
        }
        if running.asked.is_some() {
            return;
        }
        let with = Accompanying { rows: rows(&applied), ..Accompanying::default() };
        let transaction = running.member.advance(SERVICE, (held, ground), applied.state, with);
        running.asked = Some(Attempt { id: transaction.id.clone() });
        self.ask(node, Request::Commit(Box::new(transaction)));
    }

    /// An operator asks an instance; with the key of a start.
    pub(super) fn command(
        &mut self,
        node: usize,
        start: Option<(&str, &str)>,
        change: impl Fn(&ServiceState, Moment<'_>) -> Option<Applied>,
    ) {
        let (now, wall) = self.moment(node);
        let Some(running) = &mut self.nodes[node].process else { return };
        if running.asked.is_some() {
            return;
        }
        let Ok(held) = running.member.writable(SERVICE) else { return };
        let begun = ServiceState::new("blue", POOLS);
        let state = held.as_ref().map_or(&begun, |held| &held.document.state);
        if let Some((key, _)) = start
            && running.member.view().entry(&self.keys.idempotency(SERVICE, key)).is_some()
        {
            return;
        }
        let Some(applied) = change(state, Moment { now, wall: &wall }) else { return };
        let with = Accompanying {
            rows: rows(&applied),
            begins: start.map(|(_, id)| id.to_owned()),
            idempotency: start.map(|(key, _)| (key.to_owned(), None)),
            rollout: None,
        };
        let Ok(transaction) = running.member.command(SERVICE, applied.state, with) else { return };
        running.asked = Some(Attempt { id: transaction.id.clone() });
        self.ask(node, Request::Commit(Box::new(transaction)));
    }

    /// What holds of every process at any time.
    pub(super) fn check(&self) -> Result<(), Fault> {
        for of in &self.nodes {
            let Some(running) = &of.process else { continue };
            let (Some(state), Some((kept, marks))) =
                (running.member.state(SERVICE), running.member.kept(SERVICE))
            else {
                continue;
            };
            let Some(last) = &state.rollout else { continue };
            let undone = kept.as_ref().and_then(|kept| kept.undone.as_ref());
            let is_aborted = marks.contains_key(&last.id) && undone != Some(&last.id);
            if is_aborted && state.weights.get(&last.to).is_some_and(|weight| *weight > BasisPoints::ZERO) {
                return Err(Fault("an aborted candidate has traffic"));
            }
        }
        Ok(())
    }

    /// All are up and connected, and nobody does anything: they must come to the same.
    pub(super) fn heal(&mut self) -> Result<(), Fault> {
        self.store.is_full = false;
        let machines = self.nodes.iter().filter(|of| !of.is_twin).count();
        for node in machines..self.nodes.len() {
            self.stop_process(node);
        }
        for node in 0..machines {
            (self.nodes[node].cut, self.nodes[node].paused_until) = (false, 0);
            if self.nodes[node].process.is_none() {
                self.boot(node);
            }
        }
        let mut fault = None;
        // What is lost on the way holds them up, at most for some rounds.
        for _ in 0..120 {
            for _ in 0..8 {
                self.pass(250)?;
                for node in 0..machines {
                    // One whose name another had taken has refused to go on.
                    if self.nodes[node].process.is_none() {
                        self.boot(node);
                    }
                    self.tick(node)?;
                }
                self.check()?;
            }
            fault = self.out_of_step(&self.nodes[..machines]);
            if fault.is_none() {
                return Ok(());
            }
        }
        fault.map_or(Ok(()), Err)
    }

    /// Whether they are not the same, none or two lead, or an abort is not written.
    fn out_of_step(&self, machines: &[Node]) -> Option<Fault> {
        let members = || machines.iter().filter_map(|of| of.process.as_ref().map(|running| &running.member));
        let stands: BTreeSet<Option<Stand>> = members().map(|member| member.stand(SERVICE)).collect();
        let states: Vec<Option<&ServiceState>> = members().map(|member| member.state(SERVICE)).collect();
        if stands.len() > 1 || states.windows(2).any(|pair| pair[0] != pair[1]) {
            return Some(Fault("they are not in step after all is well"));
        }
        if members().filter_map(FleetMember::leads).count() != 1 {
            return Some(Fault("not one leads after all is well"));
        }
        let is_open = machines.iter().any(|of| !of.disk.1.is_empty());
        is_open.then_some(Fault("an abort is not written after all is well"))
    }
}

/// A state with a rollout undone.
fn undone(state: &ServiceState, id: &str) -> ServiceState {
    let change = state.undone_again(id, "");
    let applied =
        change.and_then(|change| state.apply(change, Moment { now: Duration::ZERO, wall: "" }).ok());
    applied.map_or_else(|| state.clone(), |applied| applied.state)
}

fn rows(applied: &Applied) -> Vec<serde_json::Value> {
    applied.notes.iter().map(|note| note.text.clone().into()).collect()
}
