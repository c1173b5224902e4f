//! Random runs of whole rollouts: every strategy, any verdict, any command, hooks and smoke tests that
//! pass, refuse or never answer, upstreams and pools that come and go, a disk that is slow or full, crashes at
//! any moment; invariants after every step. The saver itself decides what is in effect and what is written, as in a
//! running process; the disk and the marks are the simulation's. A failure prints its seed: `POINTSMAN_SEED=n` runs
//! it alone, `POINTSMAN_SEEDS=n` that many.

mod barred;
mod clocks;
mod invariants;
mod sets;

use super::journal::{HistoryRow, JournalError};
use super::output::{Durable, Output, Outputs, Stored};
use super::saver::{Extra, Proposal, Saver, Settled, marked_weights};
use crate::core::event::Event;
use crate::core::refuge::Refuge;
use crate::core::rollout::{
    Action, After, HookPoint, Idle, Note, Observation, Phase, Plan, Step, Strategy, UpstreamSeen, Work,
    WorkResult,
};
use crate::core::service::tests::{UPSTREAMS, bp, canary, rolling, start};
use crate::core::service::{
    Aborts, Applied, Caution, Change, Configured, Coverage, Moment, Order, Recovery, Running, ServiceState,
};
use crate::core::settings::Upstream;
use crate::core::verdict::{Level, Reason, State, Verdict};
use crate::core::weight::BasisPoints;
use barred::Barred;
use clocks::Clocks;
use invariants::{check_state, check_step};
use jiff::Timestamp;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

const RUNS: u64 = 10_000;
const STEPS: usize = 60;
const POOLS: [&str; 3] = ["blue", "green", "red"];

/// The world around one service: what is in effect, what is on disk, and who is up.
struct World {
    rng: SmallRng,
    now: Duration,
    clocks: Clocks,
    saver: Saver,
    /// A change that waits for its write, with whether a command named upstreams by it.
    proposed: Option<Proposed>,
    disk: Disk,
    up: BTreeSet<&'static str>,
    /// Upstreams of a rolling update that are down.
    down: BTreeSet<&'static str>,
    checks: u64,
    attempts: u64,
    rollouts: u32,
    refuge: Refuge,
    /// The addresses that the configuration names.
    files: BTreeMap<String, BTreeSet<String>>,
    /// Which pools must get no traffic, kept apart from the state that is under test.
    barred: Barred,
    seen: Seen,
}

/// A change that waits for its write.
struct Proposed {
    applied: Applied,
    /// Whether a command named upstreams by it.
    named: bool,
    /// Whether it is durable, and the saver does not know it yet.
    is_durable: bool,
}

/// What outlives a crash, and what is on its way there.
struct Disk {
    /// The last state that was made durable.
    state: ServiceState,
    /// What is marked of an abort that took effect, or of a weight taken back, until its row of history is durable.
    mark: Option<String>,
    /// Writes in their order, each with its number.
    under_way: VecDeque<(u64, Box<Durable>)>,
    is_full: bool,
    /// Whether writes take as long as they like.
    is_slow: bool,
}

/// What the runs met, so that a simulation that has gone blind is noticed.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    promoted: [u64; 3],
    aborted: [u64; 3],
    returned: u64,
    /// Weights set by hand that were taken back, and once more after a crash.
    taken: u64,
    taken_again: u64,
    gates: u64,
    /// Mirror steps, and aborts in them.
    mirrored: u64,
    aborted_mirrored: u64,
    /// Rollouts that their deadline ended, and gates that nobody opened.
    overdue: [u64; 2],
    refused_by_disk: u64,
    crashes: u64,
    /// Aborts that overtook what was being written.
    overtaken: u64,
    marks: u64,
    /// Rollouts that a start aborted, since what they were about was gone.
    given_up: u64,
    /// Commands that were denied, and ones that were carried out by force.
    denied: u64,
    forced: u64,
    /// Steps in which a barred pool was up, and no pool with weight.
    outages: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut live = ServiceState::new("blue", POOLS);
        let mut rng = SmallRng::seed_from_u64(seed);
        let refuge = [Refuge::Healthy, Refuge::Healthy, Refuge::None, Refuge::Any][rng.random_range(0..4)];
        let files: BTreeMap<_, _> = POOLS.map(|pool| (pool.to_owned(), addresses(pool, 1..2))).into();
        live.note_upstreams(&files, false, "");
        World {
            rng,
            refuge,
            files,
            barred: Barred::default(),
            now: Duration::ZERO,
            clocks: Clocks::of(seed),
            disk: Disk {
                state: live.clone(),
                mark: None,
                under_way: VecDeque::new(),
                is_full: false,
                is_slow: false,
            },
            saver: Saver::new("web".into(), live),
            proposed: None,
            up: POOLS.into_iter().collect(),
            down: BTreeSet::new(),
            checks: 0,
            attempts: 0,
            rollouts: 0,
            seen: Seen::default(),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.clocks.pass(time);
    }

    fn step(&mut self) {
        let time = Duration::from_millis(self.rng.random_range(0..4000));
        self.pass(time);
        self.checks += self.rng.random_range(0..2);
        if self.rng.random_bool(0.5) {
            self.write_one();
        }
        match self.rng.random_range(0..29) {
            0..=10 => self.observe(),
            11..=13 => self.answer_work(),
            14 => self.command(),
            15 | 16 => self.start(),
            17 => self.toggle(),
            18 => self.crash(),
            19 => self.save(),
            20 => {
                (self.disk.is_full, self.disk.is_slow) =
                    (self.rng.random_bool(0.3), self.rng.random_bool(0.5));
            }
            21 => self.upstream(),
            22 => self.register(),
            23 => self.reload(),
            24 => self.toggle(),
            _ => self.act(),
        }
    }

    fn observe(&mut self) {
        let states = [State::Pass, State::Pass, State::Pass, State::Pass, State::Hold, State::Fail];
        let state = states[self.rng.random_range(0..states.len())];
        if self.live().running().is_some() && self.rng.random_bool(0.1) {
            return self.look(Change::Elapsed);
        }
        self.observe_as(state);
    }

    fn observe_as(&mut self, state: State) {
        self.attempts += self.rng.random_range(0..60);
        let ready = |pool: &str| self.up.contains(pool);
        let running = self.live().running();
        let (candidate, other) = match running {
            Some(running) => (running.to.clone(), running.from.clone()),
            None => match self.live().watched_by_hand() {
                Some(hand) => (hand.pool.clone(), self.live().stable.clone()),
                None => (self.live().stable.clone(), self.live().previous.clone().unwrap_or_default()),
            },
        };
        let reason = Reason::condition("error_rate", Level::Critical, "as the simulation says".into());
        let reasons = if state == State::Pass { Vec::new() } else { vec![reason] };
        let observation = Observation {
            verdict: Verdict { state, reasons },
            attempts: self.attempts,
            candidate: if ready(&candidate) { Ok(()) } else { Err("down".into()) },
            stable_ready: ready(&other),
            upstreams: self.upstreams(&candidate),
        };
        self.look(Change::Observed(&observation));
    }

    /// A rollout that is looked at ends by its deadline, unless the process has died meanwhile.
    fn look(&mut self, change: Change<'_>) {
        let crashes = self.seen.crashes;
        self.change(change);
        self.clocks.check(self.saver.state(), crashes == self.seen.crashes);
    }

    fn upstreams(&mut self, pool: &str) -> BTreeMap<String, UpstreamSeen> {
        let mut of = |name: &&'static str| {
            let draining = self.live().draining.contains(&(pool.to_owned(), (*name).to_owned()));
            let up = !self.down.contains(name);
            let seen = UpstreamSeen {
                in_flight: if draining { self.rng.random_range(0..2) } else { 3 },
                up,
                draining,
                good_checks: Some(self.checks),
                failing: (!up).then(|| "status 503".to_owned()),
            };
            ((*name).to_owned(), seen)
        };
        UPSTREAMS.iter().map(&mut of).collect()
    }

    /// Answers one thing that is wanted, or something stale.
    fn answer_work(&mut self) {
        let work = self.live().work().into_iter().map(|(id, work)| (id.to_owned(), work)).collect::<Vec<_>>();
        let stale = || Some(("r1".to_owned(), Work::Hook(HookPoint::before(Phase::Shifting))));
        let Some((id, work)) = work.choose(&mut self.rng).cloned().or_else(stale) else { return };
        let result = match self.rng.random_range(0..6) {
            0 => WorkResult::Refused(vec!["no".into()]),
            1 => WorkResult::Unanswered("status 500".into()),
            _ => WorkResult::Passed,
        };
        self.change(Change::Done { id: &id, work: &work, result: &result });
    }

    fn start(&mut self) {
        self.rollouts += 1;
        let plan = self.plan();
        let to = POOLS[self.rng.random_range(0..3)];
        let id = format!("r{}", self.rollouts);
        self.change(start(&id, to, plan));
    }

    fn plan(&mut self) -> Plan {
        let mut plan = if self.rng.random_bool(0.3) { rolling() } else { canary() };
        plan.idle = if self.rng.random_bool(0.5) { Idle::Hold } else { Idle::Advance };
        if plan.strategy == Strategy::Canary && self.rng.random_bool(0.4) {
            plan.strategy = Strategy::BlueGreen;
            plan.steps = vec![Step::weight(BasisPoints::FULL, Duration::ZERO)];
        }
        if plan.strategy != Strategy::Rolling && self.rng.random_bool(0.4) {
            for share in [bp(1_000), bp(5_000)].into_iter().take(self.rng.random_range(1..3)) {
                plan.steps.insert(0, Step::mirror(share, Duration::from_secs(self.rng.random_range(0..20))));
            }
        }
        for step in &mut plan.steps {
            step.gate = self.rng.random_bool(0.1);
        }
        if self.rng.random_bool(0.05) {
            plan.steps.reverse();
        }
        plan.gate = self.rng.random_bool(0.2);
        plan.smoke = self.rng.random_bool(0.4);
        plan.hooks = HookPoint::ALL.into_iter().filter(|_| self.rng.random_bool(0.1)).collect();
        plan.rolling.max_unavailable = self.rng.random_range(1..3);
        plan.rolling.hook = self.rng.random_bool(0.5);
        plan.dry_run = self.rng.random_bool(0.1);
        clocks::limit(&mut plan, &mut self.rng);
        let watch = Duration::from_secs([0, 60][self.rng.random_range(0..2)]);
        plan.after = After { watch, rollback: self.rng.random_bool(0.5) };
        plan
    }

    fn command(&mut self) {
        let first = self.rng.random_range(0..=10_000);
        let weights =
            BTreeMap::from([("blue".to_owned(), bp(first)), ("green".to_owned(), bp(first).rest())]);
        let is_down = |pool: &&&str| !self.up.contains(**pool);
        let down: BTreeMap<_, _> =
            POOLS.iter().filter(is_down).map(|pool| ((*pool).to_owned(), "status 503".to_owned())).collect();
        let caution = Caution { down: &down, force: self.rng.random_bool(0.2) };
        match self.rng.random_range(0..3) {
            0 => self.change(Change::Weights { weights: &weights, caution, who: "sim" }),
            1 => {
                let to = POOLS[self.rng.random_range(0..3)];
                self.change(Change::Flip { to, caution, who: "sim" });
            }
            _ => self.change(Change::Rollback { caution, who: "sim" }),
        }
    }

    /// Drains and words of a deploy job, mostly about what is being updated.
    fn upstream(&mut self) {
        let upstream = UPSTREAMS[self.rng.random_range(0..3)];
        let pool = self.live().running().map_or("green", |running| running.to.as_str()).to_owned();
        let drains = self.rng.random_bool(0.2);
        self.change(Change::Drain { pool: &pool, upstream, drains, who: "deploy" });
    }

    /// Other upstreams for a pool, or the configuration's again.
    fn register(&mut self) {
        let pool = POOLS[self.rng.random_range(0..3)];
        let first = self.rng.random_range(1..3);
        let named =
            self.rng.random_bool(0.6).then(|| addresses(pool, first..first + self.rng.random_range(1..3)));
        let upstream = |address: &String| {
            let (address, host) = Upstream::place(address).expect("a place");
            Upstream::plain(address, host)
        };
        let set = named.as_ref().map(|set| set.iter().map(upstream).collect());
        let addresses = named.unwrap_or_else(|| self.files[pool].clone());
        self.change(Change::Upstreams { pool, set, addresses, who: "ci" });
    }

    /// The configuration names other upstreams.
    fn reload(&mut self) {
        // It waits until nothing is being written.
        if self.saver.is_pending() {
            return;
        }
        let pool = POOLS[self.rng.random_range(0..3)];
        let first = self.rng.random_range(1..3);
        self.files.insert(pool.to_owned(), addresses(pool, first..first + 1));
        let mut state = self.live().clone();
        let sets = self.sets(&state);
        state.note_upstreams(&sets, false, "");
        self.saver.replace(state);
        self.saver.write_now();
        self.barred.follow(&sets);
    }

    fn sets(&self, state: &ServiceState) -> BTreeMap<String, BTreeSet<String>> {
        let set = |(pool, file): (&String, &BTreeSet<String>)| {
            let named = state.upstreams.get(pool);
            let named = named.map(|set| set.iter().map(|upstream| upstream.address.to_string()).collect());
            (pool.clone(), named.unwrap_or_else(|| file.clone()))
        };
        self.files.iter().map(set).collect()
    }

    fn act(&mut self) {
        let actions = [Action::Pause, Action::Resume, Action::Resume, Action::Promote, Action::Abort];
        let action = actions[self.rng.random_range(0..actions.len())];
        let Some(last) = &self.live().rollout else { return };
        // That is asked of all services of a set, or of none.
        if action == Action::Promote && last.set.is_some() {
            return;
        }
        let id = last.id.clone();
        self.change(Change::Asked { id: &id, action, who: "sim" });
    }

    fn toggle(&mut self) {
        let pool = POOLS[self.rng.random_range(0..3)];
        if !self.up.remove(pool) {
            self.up.insert(pool);
        }
        let upstream = UPSTREAMS[self.rng.random_range(0..3)];
        if !self.down.remove(upstream) && self.rng.random_bool(0.3) {
            self.down.insert(upstream);
        }
    }

    /// What is in effect.
    fn live(&self) -> &ServiceState {
        self.saver.state()
    }

    /// As the controller of a service does it.
    fn change(&mut self, change: Change<'_>) {
        let wall = self.clocks.wall(&mut self.rng);
        let moment = Moment { now: self.now, wall: &wall };
        let named = matches!(&change, Change::Upstreams { set: Some(_), .. });
        let before = self.live().clone();
        let Ok(applied) = before.apply(change, moment) else {
            self.seen.denied += 1;
            return;
        };
        if self.saver.is_pending() && !applied.takes_traffic_away() {
            return;
        }
        check_step(&before, &applied);
        self.seen.note(&before, &applied);
        let asks = applied.order == Order::Quiet && applied.state.work() != before.work();
        let order = if asks { Order::JournalFirst } else { applied.order };
        let (now, mut out) = (self.now, Outputs::default());
        match order {
            Order::Quiet => self.saver.replace(applied.state),
            Order::JournalFirst => {
                self.saver.save(proposal(&applied), Extra::default(), &|_| None, now, &mut out);
                self.proposed = Some(Proposed { applied, named, is_durable: false });
            }
            Order::EffectFirst => {
                // What was being written is overtaken.
                self.seen.overtaken += u64::from(self.proposed.take().is_some());
                self.saver.take_effect(proposal(&applied), None, &mut out);
                self.takes_effect(&before, &applied, named);
            }
        }
        self.carry_out(&mut out);
    }

    fn takes_effect(&mut self, before: &ServiceState, applied: &Applied, named: bool) {
        if applied.notes.is_empty() {
            return;
        }
        let sets = self.sets(&applied.state);
        self.barred.take_in(before, applied, &sets, named);
        let forced = |note: &Note| note.text.contains(", forced: ");
        self.seen.forced += u64::from(applied.notes.iter().any(forced));
    }

    /// What the interpreter of the controller does with outputs.
    fn carry_out(&mut self, out: &mut Outputs) {
        for output in out.take(|_| true) {
            match output {
                Output::Mark { mark, .. } => self.disk.mark = Some(mark),
                Output::Unmark => self.disk.mark = None,
                Output::Write { serial, change, .. } => self.disk.under_way.push_back((serial, change)),
                _ => (),
            }
        }
        while !self.disk.is_slow && !self.disk.under_way.is_empty() {
            self.write_one();
        }
    }

    /// The next write ends, and the process may die before it hears of that.
    fn write_one(&mut self) {
        let Some((serial, durable)) = self.disk.under_way.pop_front() else { return };
        let result = match self.disk.is_full {
            true => Err(JournalError::Write("the disk is full".into())),
            false => Ok(()),
        };
        if result.is_ok() {
            self.disk.state = durable.stored.state;
            let last = self.proposed.as_mut().filter(|_| self.disk.under_way.is_empty());
            last.into_iter().for_each(|proposed| proposed.is_durable = true);
            if self.rng.random_bool(0.02) {
                return self.crash();
            }
        }
        let mut out = Outputs::default();
        match self.saver.written(serial, &result, self.now, &mut out) {
            Settled::Nothing => (),
            Settled::InEffect(before) => {
                let proposed = self.proposed.take().expect("a change was proposed");
                self.takes_effect(&before, &proposed.applied, proposed.named);
            }
            Settled::Refused(_) => {
                self.proposed = None;
                self.seen.refused_by_disk += 1;
            }
            Settled::Again(_) => unreachable!("it is no fleet"),
        }
        self.carry_out(&mut out);
    }

    fn save(&mut self) {
        let mut out = Outputs::default();
        self.saver.catch_up(&|_| None, self.now, &mut out);
        self.carry_out(&mut out);
    }

    /// The process dies, and the service comes back as the start makes it.
    fn crash(&mut self) {
        self.seen.crashes += 1;
        let mark: Vec<String> = self.disk.mark.iter().cloned().collect();
        let text = self::stored(&self.disk.state);
        let Stored { state: stored } = serde_json::from_str(&text).expect("it can be restored");
        assert_eq!(self::stored(&stored), text, "what is restored is what was stored");
        self.disk.under_way.clear();
        let was = self.live().clone();
        if let Some(proposed) = self.proposed.take().filter(|proposed| proposed.is_durable) {
            self.takes_effect(&was, &proposed.applied, proposed.named);
        }
        (self.now, self.attempts, self.checks) = (Duration::ZERO, 0, 0);
        self.clocks.pass(Duration::from_millis(self.rng.random_range(0..20_000)));
        self.barred.follow(&self.sets(&stored));
        let marked = stored.rollout.clone().filter(|last| mark.contains(&last.id));
        let is_undone = marked.as_ref().is_some_and(|last| stored.undone_again(&last.id, "").is_some());
        let (files, wall) = (self.files.clone(), self.clocks.wall(&mut self.rng));
        let moment = Moment { now: self.now, wall: &wall };
        let configured = Configured { stable: "blue", sets: &files };
        let weights = marked_weights("web", &mark);
        let taken = weights.filter(|(seq, _)| stored.taken.as_ref().is_none_or(|taken| taken.seq != *seq));
        let aborts = Aborts { rollouts: &mark, weights, lost: None };
        let recovery = Recovery::of(stored.clone(), configured, aborts, "recovery", moment);
        assert_eq!(recovery.warning, None, "all pools are there");
        let Recovery { state, notes, .. } = recovery;
        let applied = Applied { state, notes, order: Order::EffectFirst };
        let mut out = Outputs::default();
        self.saver = Saver::new("web".into(), stored.clone());
        self.saver.take_effect(proposal(&applied), None, &mut out);
        if let Some((_, pools)) = taken {
            self.seen.taken_again += 1;
            let live = self.live();
            for pool in pools.split(',') {
                assert_ne!(live.stable, pool, "a weight that was taken back has not come back by a flip");
                assert_eq!(live.weights[pool], BasisPoints::ZERO, "nor by anything else");
            }
            assert!(live.running().is_none(), "nor is it tried again by what had been overtaken");
        } else if let Some(last) = marked.filter(|_| is_undone) {
            self.seen.marks += 1;
            if last.rollout.moves_traffic() {
                assert_eq!(self.live().weights, was.weights, "an abort in effect is in effect again");
            }
        } else if applied.takes_traffic_away() {
            // The upstreams of a rolling update are in no configuration here, so that one under way is given up.
            self.seen.given_up += 1;
            let sets = self.sets(&applied.state);
            self.barred.take_in(&stored, &applied, &sets, false);
        }
        self.carry_out(&mut out);
        self.save();
    }

    fn check(&mut self) {
        check_state(self.saver.state(), &self.up, self.refuge);
        self.clocks.check(self.saver.state(), false);
        self.seen.outages += u64::from(self.barred.check(self.saver.state(), &self.up, self.refuge));
    }

    /// Whatever happened: with everything up, a passing verdict and willing hooks, a rollout ends.
    fn drive_to_the_end(&mut self) {
        self.mend();
        for _ in 0..3000 {
            if !self.drive() {
                return;
            }
        }
        panic!("the rollout never ends: {:?}", self.live().rollout);
    }

    /// Everything is up, and the disk writes.
    fn mend(&mut self) {
        self.up = POOLS.into_iter().collect();
        self.down.clear();
        (self.disk.is_full, self.disk.is_slow) = (false, false);
        self.carry_out(&mut Outputs::default());
        for (pool, upstream) in self.live().draining.clone() {
            self.change(Change::Drain { pool: &pool, upstream: &upstream, drains: false, who: "sim" });
        }
    }

    /// One second with a passing verdict and willing hooks; whether a rollout runs.
    fn drive(&mut self) -> bool {
        let Some(running) = self.live().running() else { return false };
        let id = running.id.clone();
        let words: Vec<_> = running.rollout.instances.iter().map(|i| i.upstream.clone()).collect();
        let pool = running.to.clone();
        self.change(Change::Asked { id: &id, action: Action::Resume, who: "sim" });
        for (_, work) in
            self.live().work().into_iter().map(|(id, work)| (id.to_owned(), work)).collect::<Vec<_>>()
        {
            self.change(Change::Done { id: &id, work: &work, result: &WorkResult::Passed });
        }
        for upstream in words {
            self.change(Change::Drain { pool: &pool, upstream: &upstream, drains: false, who: "sim" });
        }
        self.pass(Duration::from_secs(1));
        self.checks += 1;
        self.observe_as(State::Pass);
        true
    }
}

/// A state as the journal keeps it.
fn stored(state: &ServiceState) -> String {
    serde_json::to_string(&Stored { state: state.clone() }).expect("it can be stored")
}

/// A change with its rows of history.
fn proposal(applied: &Applied) -> Proposal {
    let row = |note: &Note| HistoryRow {
        at: Timestamp::UNIX_EPOCH,
        actor: "sim".into(),
        event: note.event,
        text: note.text.clone(),
        address: None,
        figures: serde_json::Value::Null,
        rollout: None,
        notice: None,
    };
    let rows = applied.notes.iter().map(row).collect();
    Proposal { state: applied.state.clone(), rows, log: Vec::new() }
}

/// `blue:1` and so on.
fn addresses(pool: &str, numbers: std::ops::Range<u16>) -> BTreeSet<String> {
    numbers.map(|number| format!("{pool}:{number}")).collect()
}

fn run(seed: u64) -> Seen {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
        world.check();
    }
    world.drive_to_the_end();
    world.check();
    world.seen
}

/// Runs all seeds, with what they met together; tells of one that fails.
fn on_all_threads<T: Default + Send>(seeds: Range<u64>, run: fn(u64) -> T, and: fn(T, T) -> T) -> T {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let run_and_tell = |seed: u64| {
        std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|panic| {
            println!("seed {seed}: run it alone with POINTSMAN_SEED={seed}");
            std::panic::resume_unwind(panic)
        })
    };
    std::thread::scope(|scope| {
        let part = |first| {
            let seeds = seeds.clone().skip(first).step_by(threads);
            scope.spawn(move || seeds.map(run_and_tell).fold(T::default(), and))
        };
        let parts: Vec<_> = (0..threads).map(part).collect();
        let met = |part: std::thread::ScopedJoinHandle<'_, T>| part.join().expect("its seed is printed");
        parts.into_iter().map(met).fold(T::default(), and)
    })
}

#[test]
fn random_runs_keep_the_invariants() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let only = number("POINTSMAN_SEED");
    let runs = number("POINTSMAN_SEEDS").unwrap_or(RUNS);
    let seeds = only.map_or(0..runs, |seed| seed..seed + 1);
    let count = seeds.end - seeds.start;
    let seen = on_all_threads(seeds, run, Seen::and);
    println!("{count} random runs of {STEPS} steps each, invariants after every step; they met {seen:?}");
    let met = seen.promoted.iter().chain(&seen.aborted).all(|count| *count > 0) && seen.returned > 0;
    let met = met && seen.mirrored > 0 && seen.aborted_mirrored > 0;
    let met = met && seen.taken > 0 && seen.taken_again > 0;
    let met = met && seen.overdue.iter().all(|count| *count > 0);
    let met = met && seen.denied > 0 && seen.forced > 0 && seen.outages > 0;
    assert!(
        only.is_some()
            || count < 1000
            || met && seen.marks > 0 && seen.given_up > 0 && seen.overtaken > 0 && seen.gates > 0,
        "{seen:?}"
    );
}

impl Seen {
    fn note(&mut self, before: &ServiceState, applied: &Applied) {
        self.taken += u64::from(applied.notes.iter().any(|note| note.event == Event::TakenBack));
        let Some(was) = before.running() else {
            self.returned += u64::from(applied.notes.iter().any(|note| note.event == Event::Returned));
            return;
        };
        let kind = match was.rollout.plan.strategy {
            Strategy::Canary => 0,
            Strategy::BlueGreen => 1,
            Strategy::Rolling => 2,
        };
        for note in &applied.notes {
            match note.event {
                Event::Promoted => self.promoted[kind] += 1,
                Event::Aborted => {
                    self.aborted[kind] += 1;
                    let keys = ["the deadline of", "the gate_timeout of"];
                    for (overdue, key) in self.overdue.iter_mut().zip(keys) {
                        *overdue += u64::from(note.text.contains(key));
                    }
                    self.aborted_mirrored += u64::from(was.rollout.mirrors().is_some());
                }
                Event::Step if note.text.contains("mirrored") => self.mirrored += 1,
                Event::Approval => self.gates += 1,
                _ => {}
            }
        }
    }

    fn and(mut self, other: Seen) -> Seen {
        for kind in 0..3 {
            self.promoted[kind] += other.promoted[kind];
            self.aborted[kind] += other.aborted[kind];
        }
        self.returned += other.returned;
        self.taken += other.taken;
        self.taken_again += other.taken_again;
        self.gates += other.gates;
        self.mirrored += other.mirrored;
        self.aborted_mirrored += other.aborted_mirrored;
        self.overdue = [0, 1].map(|key| self.overdue[key] + other.overdue[key]);
        self.refused_by_disk += other.refused_by_disk;
        self.crashes += other.crashes;
        self.overtaken += other.overtaken;
        self.marks += other.marks;
        self.given_up += other.given_up;
        self.denied += other.denied;
        self.forced += other.forced;
        self.outages += other.outages;
        self
    }
}

/// The plan of the shared tests is one the configuration could hold.
#[test]
fn the_plan_is_valid() {
    assert_eq!(canary().faults(), Vec::<(usize, String)>::new());
    let backwards = Plan { steps: canary().steps.into_iter().rev().collect(), ..canary() };
    assert!(!backwards.faults().is_empty());
}
