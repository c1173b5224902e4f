//! What was tried of a request, on which upstreams, and what came of it.

use super::PlanTarget;
use crate::core::balance::Tried;
use crate::core::group::{GroupId, Groups, Side};
use crate::core::mirror::Place;
use crate::core::outcome::{ArmId, Outcome};
use crate::core::table::{InFlight, Table};
use crate::observe::shard::Started;
use crate::proxy::upstream::registry::{AttemptRegistry, RegistryPlace};
use std::sync::Arc;

/// Attempts of one request that are remembered beside the last: more than a pool may be told to make.
const REMEMBERED: usize = 16;

/// The attempts of one request.
pub(in crate::proxy) struct Attempts {
    /// Upstreams of the pool that it is on now.
    pub tried: Tried,
    /// Attempts made so far, and when the first one began: µs on the process clock.
    pub made: u8,
    pub first_us: u64,
    pub current: Option<Attempt>,
    /// The last upstream tried, by index.
    pub upstream: Option<usize>,
    /// Whether it went to another pool since it could not be sent to its own, for an own limit or for want of an
    /// upstream.
    pub moved: bool,
    /// How many attempts it made on the pool before, where another one answers it instead.
    pub shielded_after: Option<u8>,
    /// What came of the last attempt charged, and of those before it: for the access log. Without a retry
    /// nothing is allocated for them.
    pub last: Option<Ended>,
    pub earlier: Vec<Ended>,
    /// Whether a kept connection has proved stale already.
    pub stale_seen: bool,
    /// How often an upstream has turned it away unprocessed, and how often it was taken back from one.
    pub turned_away: u8,
    pub recalls: u8,
    /// Attempts made before it was taken back, or another route answered in its place.
    pub before_recall: u8,
    /// Whether the next attempt has a connection of its own, which no other request uses up.
    pub is_alone: bool,
    /// Whether it failed because its body was so long in coming.
    pub is_late: bool,
    /// Where its attempt stands among those of the worker.
    pub place: Option<RegistryPlace>,
    registry: Arc<AttemptRegistry>,
}

/// The attempt under way.
pub(in crate::proxy) struct Attempt {
    pub arm: ArmId,
    pub started: Started,
    /// When its clock started: µs on the process clock. While the request is not whole, when the last piece
    /// of its body came.
    pub started_us: u64,
    /// When it began.
    pub began_us: u64,
    pub phase: AttemptPhase,
    /// The group that it was counted in.
    pub group: Option<CountedGroup>,
    /// Whether its answer goes on as long as both sides like, so that nobody asks how long it took.
    pub is_endless: bool,
    /// Whether it is a gRPC call that got another status than OK with the head of its answer.
    pub is_declined: bool,
    /// Interim answers (1xx) so far.
    pub interim: u8,
    /// Whether its upstream had as many requests under way before it as connections are kept for.
    pub is_crowded: bool,
    pub in_flight: InFlight,
    /// Its descriptor, where it has one of its own.
    pub _descriptor: Option<Place>,
}

/// Where an attempt was counted by group.
pub(in crate::proxy) struct CountedGroup {
    pub groups: Arc<Groups>,
    pub side: Side,
    pub id: GroupId,
}

/// How far an attempt has come, as far as its outcome goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum AttemptPhase {
    Waiting,
    /// Counted as a success when the head of its answer came; its body may still break.
    Succeeding,
    Counted,
}

/// An attempt whose outcome has been charged.
#[derive(Clone, Copy, Debug)]
pub(in crate::proxy) struct Ended {
    pub target: Option<PlanTarget>,
    /// By index; none where no upstream could take the request.
    pub upstream: Option<usize>,
    /// Which of the attempts it is, by which their spans differ; 0 where none was made.
    pub number: u8,
    pub code: u16,
    pub outcome: Outcome,
    /// Whether it is no evidence.
    pub is_aside: bool,
    /// µs on the process clock: its start, its outcome, and the break of an answer that had begun.
    pub began_us: u64,
    pub known_us: u64,
    pub broke_us: Option<u64>,
    /// For the access log alone: the gRPC status of its answer; and how long the answer took until it was whole, or
    /// until its client left, without the time that the client made it wait.
    pub grpc: Option<u8>,
    pub whole_us: Option<u64>,
    pub cut_us: Option<u64>,
}

impl Attempts {
    pub(in crate::proxy) fn new(registry: Arc<AttemptRegistry>) -> Self {
        Attempts {
            tried: Tried::default(),
            made: 0,
            first_us: 0,
            current: None,
            upstream: None,
            moved: false,
            shielded_after: None,
            last: None,
            earlier: Vec::new(),
            stale_seen: false,
            turned_away: 0,
            recalls: 0,
            before_recall: 0,
            is_alone: false,
            is_late: false,
            place: None,
            registry,
        }
    }

    /// Another one begins, on the upstream with this index.
    pub(in crate::proxy) fn begin(&mut self, attempt: Attempt, upstream: usize) {
        if let Some(ended) = self.last.take().filter(|_| self.earlier.len() < REMEMBERED) {
            self.earlier.push(ended);
        }
        if self.first_us == 0 {
            self.first_us = attempt.began_us;
        }
        self.current = Some(attempt);
        self.made = self.made.saturating_add(1);
        self.tried.add(upstream);
        self.upstream = Some(upstream);
    }

    /// Attempts made on the pool that the request is on now.
    pub(in crate::proxy) fn here(&self) -> u8 {
        self.made.saturating_sub(self.shielded_after.unwrap_or(0).max(self.before_recall))
    }

    /// The last attempt met the end of a connection: it does not count, and its upstream may be tried again;
    /// `alone` over a connection that others do not use up.
    pub(in crate::proxy) fn take_back(&mut self, alone: bool) {
        self.is_alone = alone;
        self.made = self.made.saturating_sub(1);
        if let Some(index) = self.upstream {
            self.tried.remove(index);
        }
    }

    /// Another route answers in place of what was tried.
    pub(in crate::proxy) fn start_over(&mut self) {
        (self.tried, self.upstream, self.before_recall) = (Tried::default(), None, self.made);
        (self.moved, self.shielded_after) = (false, None);
        (self.stale_seen, self.turned_away, self.is_alone, self.is_late) = (false, 0, false, false);
    }

    /// The request goes elsewhere, as one that has not been tried yet.
    pub(in crate::proxy) fn turn_elsewhere(&mut self, is_same_pool: bool) {
        if !is_same_pool {
            self.tried = Tried::default();
        }
        self.recalls += 1;
        self.before_recall = self.made;
    }

    pub(in crate::proxy) fn registry(&self) -> &AttemptRegistry {
        &self.registry
    }

    /// Its attempt is over, or somebody else's business; whether it was ended to take the request back.
    #[inline]
    pub(in crate::proxy) fn leave_registry(&mut self) -> bool {
        self.place.take().is_some_and(|place| self.registry.leave(place))
    }

    /// Its attempt cannot be taken back any more.
    pub(in crate::proxy) fn settle(&mut self) {
        if let Some(place) = &mut self.place {
            self.registry.settle(place);
        }
    }

    /// Whether the proxy still waits for a part of the request.
    pub(in crate::proxy) fn is_held(&self) -> bool {
        self.current.as_ref().is_some_and(|attempt| attempt.started.is_held())
    }

    /// Whether the answer's head has come.
    pub(in crate::proxy) fn is_answered(&self) -> bool {
        self.current.as_ref().is_some_and(|attempt| attempt.phase != AttemptPhase::Waiting)
    }
}

impl Ended {
    /// With the target and the upstream tried by the attempt of a number, and when it began and was known.
    pub(in crate::proxy) fn new(
        (target, upstream, number): (Option<PlanTarget>, Option<usize>, u8),
        (outcome, code, is_aside): (Outcome, u16, bool),
        (began_us, known_us): (u64, u64),
    ) -> Self {
        let (broke_us, grpc, whole_us, cut_us) = (None, None, None, None);
        Ended {
            target,
            upstream,
            number,
            code,
            outcome,
            is_aside,
            began_us,
            known_us,
            broke_us,
            grpc,
            whole_us,
            cut_us,
        }
    }

    /// Its answer is whole, or its client has left: the first word counts.
    pub(in crate::proxy) fn end(&mut self, took_us: u64, is_cut: bool) {
        if self.whole_us.is_none() && self.cut_us.is_none() {
            *if is_cut { &mut self.cut_us } else { &mut self.whole_us } = Some(took_us);
        }
    }

    /// The name of its pool and the label of its upstream.
    pub(in crate::proxy) fn names<'a>(&self, table: &'a Table) -> (Option<&'a str>, Option<&'a str>) {
        let pool = self.target.and_then(|target| target.pool(table));
        let upstream = pool.and_then(|pool| pool.upstreams.get(self.upstream?));
        (pool.map(|pool| &*pool.name), upstream.map(|upstream| &*upstream.label))
    }
}
