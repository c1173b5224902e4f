//! All shards together: who has which arm, and the sums over all workers.

use super::activity::Seen;
use super::recalls::Recalls;
use super::samples::Samples;
use super::shard::{Late, MAX_ARMS, Shard};
use super::streams::Streams;
use crate::core::client::{ClientCount, ClientKey, Met};
use crate::core::failed_attempt::FailedAttempt;
use crate::core::outcome::{ArmId, Durations, SlowLimits, Totals};
use crate::core::own_limit::OwnLimit;
use crate::core::table::RouteAnswers;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The name of an arm.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Name {
    service: Arc<str>,
    pool: Arc<str>,
    /// Whether mirrored requests are counted on it, rather than users'.
    mirror: bool,
}

/// The names of all arms.
#[derive(Debug, Default)]
struct Names {
    /// By [`ArmId`].
    all: Vec<Name>,
    arms: HashMap<Name, ArmId>,
}

/// The shards of all workers, and the names of the arms.
#[derive(Debug)]
pub struct Recorder {
    shards: Box<[Arc<Shard>]>,
    /// Locked by the controller and by readers of metrics, never on the request path.
    names: Mutex<Names>,
    /// Own limits that were met off the request path.
    own_limits: [AtomicU64; OwnLimit::ALL.len()],
    listeners: usize,
    /// What the clients of no route were answered.
    pub unrouted: RouteAnswers,
    /// Where long streams hear that they have to leave.
    pub streams: Streams,
    /// Where workers hear whose waiting requests go elsewhere.
    pub recalls: Recalls,
    /// Answers to mirrored requests that differ from stable's: the request, without the values of its query, and what
    /// differed.
    pub differences: Samples<String>,
    /// Attempts that failed.
    pub failures: Samples<FailedAttempt>,
}

impl Recorder {
    /// For so many workers, and one listener.
    pub fn new(workers: usize) -> Self {
        let workers = workers.max(1);
        let shards = (0..workers).map(|_| Arc::new(Shard::new())).collect();
        Recorder {
            shards,
            names: Mutex::default(),
            own_limits: Default::default(),
            listeners: 1,
            unrouted: RouteAnswers::new(1, workers),
            streams: Streams::default(),
            recalls: Recalls::default(),
            differences: Samples::default(),
            failures: Samples::default(),
        }
    }

    /// The same for so many listeners.
    pub fn with_listeners(self, listeners: usize) -> Self {
        let unrouted = RouteAnswers::new(listeners, self.shards.len());
        Recorder { listeners, unrouted, ..self }
    }

    /// What is counted of a new route.
    pub fn answers(&self) -> Arc<RouteAnswers> {
        Arc::new(RouteAnswers::new(self.listeners, self.shards.len()))
    }

    /// The shard of a worker, whose thread alone may write to it.
    pub fn shard(&self, worker: usize) -> Arc<Shard> {
        self.shards[worker % self.shards.len()].clone()
    }

    /// How many there are.
    pub fn workers(&self) -> usize {
        self.shards.len()
    }

    /// Counts an own limit that was met off the request path.
    pub fn own_limit(&self, limit: OwnLimit) {
        if let Some(count) = self.own_limits.get(limit as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often each own limit has been met, in the order of [`OwnLimit::ALL`].
    pub fn own_limits(&self) -> [u64; OwnLimit::ALL.len()] {
        let mut counts = std::array::from_fn(|index| self.own_limits[index].load(Ordering::Relaxed));
        self.shards.iter().for_each(|shard| shard.add_own_limits(&mut counts));
        counts
    }

    /// The arm of a pool: the same for the life of the process. `None` once all 4096 are taken.
    pub fn arm(&self, service: &str, pool: &str) -> Option<ArmId> {
        self.named(Name { service: service.into(), pool: pool.into(), mirror: false })
    }

    /// The arm of requests that are mirrored to a pool.
    pub fn mirror_arm(&self, service: &str, pool: &str) -> Option<ArmId> {
        self.named(Name { service: service.into(), pool: pool.into(), mirror: true })
    }

    fn named(&self, name: Name) -> Option<ArmId> {
        let mut names = self.names();
        if let Some(known) = names.arms.get(&name) {
            return Some(*known);
        }
        if names.all.len() >= MAX_ARMS {
            return None;
        }
        let arm = ArmId(names.all.len() as u16);
        names.all.push(name.clone());
        names.arms.insert(name, arm);
        Some(arm)
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The service that an arm belongs to.
    pub fn service(&self, arm: ArmId) -> Option<Arc<str>> {
        self.names().all.get(usize::from(arm.0)).map(|name| name.service.clone())
    }

    /// The arms on which something has begun or gone wrong since the last call, with their services.
    pub fn news(&self, seen: &mut Seen) -> Vec<(ArmId, Arc<str>)> {
        let names = self.names();
        let news = seen.news(names.all.len(), self.shards.iter().map(|shard| shard.activity()));
        let named = |arm: usize| Some((ArmId(arm as u16), names.all.get(arm)?.service.clone()));
        news.into_iter().filter_map(named).collect()
    }

    /// All arms of users' requests there have been, with service and pool.
    pub fn arms(&self) -> Vec<(ArmId, Arc<str>, Arc<str>)> {
        self.arms_of(false)
    }

    /// The same of mirrored requests.
    pub fn mirror_arms(&self) -> Vec<(ArmId, Arc<str>, Arc<str>)> {
        self.arms_of(true)
    }

    fn arms_of(&self, mirror: bool) -> Vec<(ArmId, Arc<str>, Arc<str>)> {
        let names = self.names();
        let arm = |(index, name): (usize, &Name)| {
            (name.mirror == mirror).then(|| (ArmId(index as u16), name.service.clone(), name.pool.clone()))
        };
        names.all.iter().enumerate().filter_map(arm).collect()
    }

    /// The version behind an arm is another one from now on (µs on the process clock). What has begun before
    /// is counted apart when it ends ([`Totals::past`]).
    pub fn begin(&self, arm: ArmId, now_us: u64) {
        for shard in &self.shards {
            shard.begin(arm, now_us);
        }
    }

    /// Everything counted on an arm, over all workers, as of `now_us` on the process clock.
    pub fn totals(&self, arm: ArmId, now_us: u64, limits: &SlowLimits) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            shard.add_to(&mut totals, arm, now_us, limits);
        }
        totals
    }

    /// How long whole answers of an arm took, over all workers.
    pub fn durations(&self, arm: ArmId) -> Durations {
        let mut durations = Durations::default();
        for shard in &self.shards {
            shard.add_durations(&mut durations, arm);
        }
        durations
    }

    /// What clients met on an arm since a time, and when (µs on the process clock), but of those that wait.
    pub fn client_notes(&self, arm: ArmId, since_us: u64) -> Vec<(ClientKey, Met, u64)> {
        let mut notes = Vec::new();
        self.shards.iter().for_each(|shard| shard.add_notes(&mut notes, arm, since_us));
        notes
    }

    /// By the place of a limit: in which lanes clients of an arm wait for longer, since a time.
    pub fn waiting(&self, arm: ArmId, limits: &SlowLimits, (since_us, now_us): (u64, u64)) -> Vec<u16> {
        let late = |slot| Late { slot, limits, since_us, now_us };
        let lanes = |slot| self.shards.iter().fold(0, |all, shard| all | shard.late_lanes(arm, late(slot)));
        (0..limits.used().len()).map(lanes).collect()
    }

    /// How many clients met something on an arm since a time (µs on the process clock), as far as they are told
    /// apart: exact up to [`crate::core::policy::MAX_CLIENTS`]. Of a limit's time (`slow`), those that were answered
    /// past it or those that wait, whichever are more.
    pub fn clients(
        &self,
        arm: ArmId,
        met: Met,
        slow: &SlowLimits,
        (since_us, now_us): (u64, u64),
    ) -> ClientCount {
        let (mut clients, mut lanes) = (Vec::new(), 0);
        for shard in &self.shards {
            shard.add_clients(&mut clients, arm, met, since_us);
            if let Met::Slow(slot) = met {
                lanes |= shard.late_lanes(arm, Late { slot, limits: slow, since_us, now_us });
            }
        }
        clients.sort_unstable();
        clients.dedup();
        ClientCount::of(&clients).or(ClientCount::of_lanes(lanes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::latency::bucket_of;
    use crate::core::outcome::{Outcome, Reason, Thresholds};
    use crate::observe::shard::AnswerEnd;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    const ONE: ClientKey = ClientKey::NAMELESS;

    fn limits(us: &[u32]) -> SlowLimits {
        let mut limits = SlowLimits::default();
        limits.0[..us.len()].copy_from_slice(us);
        limits
    }

    #[test]
    fn outcomes_add_up_over_workers() {
        let recorder = Recorder::new(2);
        let arm = recorder.arm("web", "blue").expect("a free arm");
        let limits = limits(&[1_000_000]);
        for worker in 0..2 {
            let shard = recorder.shard(worker);
            let end = |at, outcome, code| {
                let started = shard.start(arm, 1000, ONE);
                shard.answered(arm, started, at, (outcome, code), &limits.into());
            };
            end(21_000, Outcome::Success, 200);
            end(21_000, Outcome::Failure(Reason::Status), 503);
            end(2_500_000, Outcome::Failure(Reason::Timeout), 0);
            end(21_000, Outcome::Ignored, 0);
            end(9_000_000, Outcome::Success, 101);
            let left = shard.start(arm, 2000, ONE);
            shard.broken(arm, left, Reason::Reset);
        }
        let t = recorder.totals(arm, 30_000, &limits);
        assert_eq!((t.attempts, t.failures, t.answered, t.in_flight), (8, 6, 6, 2));
        assert_eq!((t.codes[0], t.codes[1], t.codes[2], t.codes[5]), (2, 2, 2, 2));
        assert_eq!((t.slow[0], t.fast[0]), (2, 4), "101 is no latency, a client that left no attempt");
        assert_eq!(t.reasons, [0, 2, 2, 2, 0, 0, 0, 0]);
        assert_eq!(recorder.arm("web", "blue"), Some(arm));
        assert_ne!(recorder.arm("web", "green"), Some(arm));
    }

    #[test]
    fn an_arm_is_news_when_something_begins_and_when_it_goes_wrong() {
        let recorder = Recorder::new(2);
        let arm = |pool| recorder.arm("web", pool).expect("a free arm");
        let (blue, green) = (arm("blue"), arm("green"));
        let mut seen = Seen::default();
        let mut news = || recorder.news(&mut seen).into_iter().map(|(arm, _)| arm).collect::<Vec<_>>();
        let (shard, limits) = (recorder.shard(1), limits(&[1000]));
        assert!(news().is_empty());
        let started = [blue, blue, green].map(|arm| shard.start(arm, 0, ONE));
        assert_eq!(news(), [blue, green]);
        shard.answered(blue, started[0], 500, (Outcome::Success, 200), &limits.into());
        assert!(news().is_empty(), "a good end is not news");
        shard.answered(green, started[2], 5000, (Outcome::Success, 200), &limits.into());
        assert_eq!(news(), [green], "a late one is");
        shard.answered(blue, started[1], 500, (Outcome::Failure(Reason::Status), 500), &limits.into());
        assert_eq!(news(), [blue], "and a failure");
        shard.broken(blue, started[0], Reason::Reset);
        assert_eq!((news(), recorder.service(blue).as_deref()), (vec![blue], Some("web")));
    }

    #[test]
    fn clients_that_met_failures_are_told_apart_over_workers() {
        let recorder = Recorder::new(2);
        let arm = recorder.arm("web", "blue").expect("a free arm");
        let client = |n: u8| ClientKey::of(std::net::Ipv4Addr::new(10, 0, 0, n).into());
        let failed = |worker: usize, client, at| {
            let shard = recorder.shard(worker);
            shard.failed_for(arm, shard.start(arm, 0, client), at);
        };
        for at in 1..=50 {
            failed(0, client(1), at);
            failed(1, client(1), at);
        }
        assert_eq!(recorder.clients(arm, Met::Failures, &limits(&[]), (0, 1_000)).get(), 1);
        failed(1, client(2), 60);
        assert_eq!(
            (
                recorder.clients(arm, Met::Failures, &limits(&[]), (50, 1_000)).get(),
                recorder.clients(arm, Met::Failures, &limits(&[]), (51, 1_000)).get()
            ),
            (2, 1)
        );
        for n in 0..100 {
            failed(0, client(n), 100 + u64::from(n));
        }
        assert_eq!(
            recorder.clients(arm, Met::Failures, &limits(&[]), (61, 1_000)).get(),
            16,
            "the latest sixteen"
        );
        assert_eq!(recorder.clients(arm, Met::Failures, &limits(&[]), (199, 1_000)).get(), 1);
    }

    #[test]
    fn what_is_compared_leaves_out_connecting_and_tells_whom_it_came_to() {
        let recorder = Recorder::new(2);
        let arm = recorder.arm("web", "green").expect("a free arm");
        let client = |n: u8| ClientKey::of(std::net::Ipv4Addr::new(10, 0, 0, n).into());
        let compared = Thresholds { long: limits(&[1_000_000]), is_compared: true, ..Thresholds::default() };
        for worker in 0..2 {
            let shard = recorder.shard(worker);
            let started = shard.start(arm, 0, client(worker as u8)).connected_after(400_000);
            shard.answered(arm, started, 500_000, (Outcome::Success, 200), &compared);
            let took = 1_700_000;
            assert!(shard.finished(arm, started, took, (took, AnswerEnd::Whole), &compared));
            let (took, cut) = (2_000_000, AnswerEnd::Cut);
            shard.finished(arm, shard.start(arm, 0, client(9)), 2_000_000, (took, cut), &compared);
            let empty = shard.start(arm, 0, client(9));
            assert!(!shard.finished(arm, empty, 20_000, (20_000, AnswerEnd::Empty), &compared));
        }
        let (durations, totals) =
            (recorder.durations(arm), recorder.totals(arm, 3_000_000, &SlowLimits::default()));
        assert_eq!(durations.heads[bucket_of(100_000)], 2, "without the connection");
        assert_eq!(totals.latency[bucket_of(500_000)], 2, "as its clients saw it");
        assert_eq!(durations.whole[bucket_of(1_300_000)], 2);
        assert_eq!(durations.cut[bucket_of(2_000_000)], 2);
        assert_eq!(
            (totals.long[0], totals.brief[0], totals.empty),
            (4, 2, 2),
            "what was cut is long, never brief"
        );
        let met = |met| recorder.clients(arm, met, &SlowLimits::default(), (0, 3_000_000)).get();
        assert_eq!(met(Met::HeadsOver(bucket_of(80_000))), 2);
        assert_eq!((met(Met::EndsOver(bucket_of(1_400_000))), met(Met::Long(0))), (1, 3));
        let left = recorder.shard(0).start(arm, 0, client(7));
        recorder.shard(0).answered(arm, left, 80_000, (Outcome::Abandoned, 0), &compared);
        let totals = recorder.totals(arm, 3_000_000, &SlowLimits::default());
        assert_eq!((totals.abandoned, totals.attempts, met(Met::Abandoned)), (1, 2, 1));
    }

    #[test]
    fn what_hangs_is_slow_when_the_limit_has_passed() {
        let recorder = Recorder::new(1);
        let (arm, limits) =
            (recorder.arm("web", "green").expect("a free arm"), limits(&[500_000, 2_000_000]));
        let shard = recorder.shard(0);
        let started = shard.start(arm, 1_000_000, ONE);
        let slow = |now| recorder.totals(arm, now, &limits).slow;
        assert_eq!(slow(1_400_000)[..2], [0, 0]);
        assert_eq!(slow(1_600_000)[..2], [1, 0]);
        assert_eq!(slow(3_100_000)[..2], [1, 1]);
        shard.answered(arm, started, 3_200_000, (Outcome::Success, 200), &limits.into());
        assert_eq!(slow(3_200_000)[..2], [1, 1], "counted once");
        let hung = shard.start(arm, 4_000_000, ONE);
        // Much later its slot is taken over by another time.
        let next = shard.start(arm, 4_000_000 + 1024 * 100_000, ONE);
        assert_eq!(slow(200_000_000)[1], 3);
        shard.answered(arm, hung, 200_000_000, (Outcome::Ignored, 0), &limits.into());
        shard.answered(arm, next, 200_000_000, (Outcome::Failure(Reason::Timeout), 0), &limits.into());
        assert_eq!((slow(200_000_000)[1], recorder.totals(arm, 200_000_000, &limits).in_flight), (3, 0));
    }

    #[test]
    fn the_clock_stands_still_while_a_request_is_not_whole() {
        let recorder = Recorder::new(1);
        let (arm, limits) = (recorder.arm("web", "green").expect("a free arm"), limits(&[500_000]));
        let shard = recorder.shard(0);
        let totals = |now| recorder.totals(arm, now, &limits);
        let upload = shard.hold(arm, 1_000_000, ClientKey::NAMELESS);
        assert_eq!((totals(9_000_000).slow[0], totals(9_000_000).in_flight), (0, 1));
        let upload = shard.release(arm, upload, 9_000_000);
        assert_eq!((totals(9_400_000).slow[0], totals(9_700_000).slow[0]), (0, 1));
        assert_eq!(shard.release(arm, upload, 9_500_000).at_us(), 9_000_000, "it starts once");
        shard.answered(arm, upload, 9_800_000, (Outcome::Success, 200), &limits.into());
        let left = shard.hold(arm, 10_000_000, ClientKey::NAMELESS);
        shard.answered(arm, left, 20_000_000, (Outcome::Ignored, 0), &limits.into());
        let early = shard.hold(arm, 10_000_000, ClientKey::NAMELESS);
        shard.answered(arm, early, 20_000_000, (Outcome::Success, 413), &limits.into());
        let t = totals(30_000_000);
        assert_eq!((t.slow[0], t.attempts, t.answered, t.in_flight), (1, 2, 1, 0));
        assert_eq!(t.latency_sum_us, 800_000);
    }

    #[test]
    fn what_had_begun_before_counts_for_nobody() {
        let recorder = Recorder::new(1);
        let (arm, limits) = (recorder.arm("web", "green").expect("a free arm"), limits(&[500_000]));
        let shard = recorder.shard(0);
        let client = |n: u8| ClientKey::of([10, 0, 0, n].into());
        let old: Vec<_> = (0..3).map(|n| shard.start(arm, 1_000_000, client(n))).collect();
        recorder.begin(arm, 2_000_000);
        let new = shard.start(arm, 2_300_000, client(9));
        let late = shard.start(arm, 2_400_000, client(8)).in_era(0);
        let fail = Outcome::Failure(Reason::Timeout);
        shard.failed_for(arm, old[0], 3_000_000);
        shard.answered(arm, old[0], 3_000_000, (fail, 0), &limits.into());
        shard.answered(arm, old[1], 3_000_000, (Outcome::Success, 200), &limits.into());
        shard.broken(arm, old[1], Reason::Reset);
        shard.answered(arm, late, 2_500_000, (Outcome::Failure(Reason::Status), 500), &limits.into());
        let totals = recorder.totals(arm, 3_100_000, &limits);
        assert_eq!((totals.attempts, totals.failures, totals.in_flight), (0, 0, 2));
        assert_eq!((totals.slow[0], totals.fast[0]), (1, 0), "only the one that began since");
        assert_eq!((totals.past.codes[0], totals.past.codes[2], totals.past.codes[5]), (1, 1, 1));
        assert_eq!(totals.past.reasons.iter().sum::<u64>(), 3);
        assert_eq!(recorder.clients(arm, Met::Failures, &limits, (0, 1_000)).get(), 0);
        assert_eq!(recorder.clients(arm, Met::Slow(0), &limits, (0, 3_100_000)).get(), 1);
        shard.answered(arm, new, 3_200_000, (Outcome::Success, 200), &limits.into());
        let totals = recorder.totals(arm, 3_200_000, &limits);
        assert_eq!((totals.attempts, totals.slow[0], totals.in_flight), (1, 1, 1));
    }

    #[test]
    fn what_is_no_evidence_is_counted_apart_from_its_start() {
        let recorder = Recorder::new(1);
        let (arm, limits) = (recorder.arm("web", "green").expect("a free arm"), limits(&[500_000]));
        let shard = recorder.shard(0);
        let begin = |is_held| shard.begin_aside(arm, 1_000_000, ONE, is_held);
        let (hung, failed, whole, upload) = (begin(false), begin(false), begin(false), begin(true));
        shard.failed_for(arm, failed, 1_100_000);
        let failure = Outcome::Failure(Reason::Status);
        assert!(!shard.answered(arm, failed, 1_100_000, (failure, 503), &limits.into()));
        shard.answered(arm, whole, 3_000_000, (Outcome::Success, 200), &limits.into());
        shard.broken(arm, whole, Reason::Reset);
        let upload = shard.release(arm, upload, 2_000_000);
        let totals = recorder.totals(arm, 9_000_000, &limits);
        assert_eq!((totals.attempts, totals.failures, totals.slow[0], totals.in_flight), (0, 0, 0, 2));
        assert_eq!((totals.answered, totals.past.codes[2], totals.past.codes[5]), (0, 1, 1));
        assert_eq!(totals.past.reasons.iter().sum::<u64>(), 2);
        assert_eq!(recorder.clients(arm, Met::Failures, &limits, (0, 9_000_000)).get(), 0);
        for last in [hung, upload] {
            shard.answered(arm, last, 9_000_000, (Outcome::Abandoned, 0), &limits.into());
        }
        let totals = recorder.totals(arm, 9_000_000, &limits);
        assert_eq!((totals.abandoned, totals.in_flight), (0, 0));
    }

    proptest! {
        #[test]
        fn slow_never_falls_and_ends_exact(
            requests in prop::collection::vec((0u64..400_000, 0u64..5_000_000, any::<bool>()), 1..80),
        ) {
            let recorder = Recorder::new(1);
            let (arm, limits) = (recorder.arm("web", "blue").expect("a free arm"), limits(&[700_000]));
            let shard = recorder.shard(0);
            let mut at = 0;
            let mut events = Vec::new();
            for (gap, took, ignored) in &requests {
                at += gap;
                events.push((at, None));
                events.push((at + took, Some((at, *ignored))));
            }
            events.sort_by_key(|(at, ended)| (*at, ended.is_some()));
            let mut before = 0;
            for (now, ended) in events {
                match ended {
                    None => drop(shard.start(arm, now, ONE)),
                    Some((at_us, ignored)) => {
                        let outcome = if ignored { Outcome::Ignored } else { Outcome::Success };
                        let started = Shard::started_for_tests(at_us);
                        shard.answered(arm, started, now, (outcome, 200), &limits.into());
                    }
                }
                let slow = recorder.totals(arm, now, &limits).slow[0];
                prop_assert!(slow >= before, "slow fell from {before} to {slow}");
                before = slow;
            }
            let exact = requests.iter().filter(|(_, took, _)| *took > 700_000).count() as u64;
            prop_assert_eq!(before, exact);
        }
    }

    #[test]
    fn a_reader_beside_the_writers_sees_counters_grow() {
        let recorder = Recorder::new(2);
        let (arm, limits) = (recorder.arm("web", "blue").expect("a free arm"), limits(&[10]));
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..2)
                .map(|worker| {
                    let shard = recorder.shard(worker);
                    scope.spawn(move || {
                        for n in 0..50_000 {
                            let started = shard.start(arm, n * 10, ONE);
                            let outcome =
                                if n % 7 == 0 { Outcome::Failure(Reason::Status) } else { Outcome::Success };
                            shard.answered(arm, started, n * 10 + 5, (outcome, 200), &limits.into());
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                let mut before = Totals::default();
                while !done.load(Ordering::Relaxed) {
                    let now = recorder.totals(arm, 0, &limits);
                    assert!(now.attempts >= before.attempts && now.failures >= before.failures);
                    before = now;
                }
            });
            writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
            done.store(true, Ordering::Relaxed);
        });
        let t = recorder.totals(arm, 0, &limits);
        assert_eq!((t.attempts, t.failures, t.in_flight), (100_000, 2 * 7143, 0));
    }
}
