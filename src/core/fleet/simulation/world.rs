//! Machines of members with their processes and disks, and all that is between them.

mod control;
mod health;
mod mishaps;
mod network;
mod processes;

use super::invariants::Ledger;
use super::model::ModelStore;
use super::{Course, Met};
use crate::core::fleet::documents::{ServiceDocument, Stand, Tombstone};
use crate::core::fleet::keys::StoreKeys;
use crate::core::fleet::member::FleetMember;
use crate::core::service::{Moment, ServiceState};
use crate::core::weight::BasisPoints;
pub(super) use control::AskedStart;
use network::Happening;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
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
    pub course: Course,
    /// After a restore, until the next change: the weights that members had, and may change to.
    restored: Option<Vec<BTreeMap<String, BasisPoints>>>,
    /// Whether the leader writes how far a rollout has come.
    pub keeps: bool,
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
    /// How many changes its watch loses.
    pub loses: u32,
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
            loses: 0,
            skew: 0,
            is_twin: true,
        }
    }
}

impl World {
    pub(super) fn new(seed: u64, course: Course) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let members = [2, 3, 3, 5][rng.random_range(0..4)];
        let node = |number: usize| Node {
            name: format!("edge-{number}"),
            disk: Default::default(),
            incarnation: 0,
            process: None,
            cut: false,
            paused_until: 0,
            loses: 0,
            skew: 0,
            is_twin: false,
        };
        let mut world = World {
            rng,
            now: 1_000,
            serial: 0,
            queue: BTreeMap::new(),
            store: ModelStore { without: course.without, ..ModelStore::default() },
            ledger: Ledger::default(),
            keys: StoreKeys::under("/pointsman"),
            nodes: (0..members).map(node).collect(),
            rollouts: 0,
            met: Met::default(),
            course,
            restored: None,
            keeps: false,
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
}

/// A state with a rollout undone.
fn undone(state: &ServiceState, id: &str) -> ServiceState {
    let change = state.undone_again(id, "");
    let applied =
        change.and_then(|change| state.apply(change, Moment { now: Duration::ZERO, wall: "" }).ok());
    applied.map_or_else(|| state.clone(), |applied| applied.state)
}
