//! Is the candidate worse than stable in what no limit asks about? One kind of event, compared.
//!
//! A version that answers everything with 404, or within the limit but forty times as slowly as stable, breaks no limit.
//! Times are compared by stable's own quantiles, as it had them lately: an answer is an event when it takes clearly
//! longer than stable's p75, or p95. (At the median the ratio of the shares could not pass two.) What is counted
//! follows stable as it changes, the same for both, so that a database that becomes slow blames nobody.

use super::kind::Kind;
use super::past::StablePast;
use crate::core::client::Met;
use crate::core::evidence::relative::{Batch, Relative};
use crate::core::kind_counts::KindCounts;
use crate::core::latency::{BUCKETS, bucket_of, quantile_us, upper_bound_us};
use crate::core::outcome::{Durations, Totals};
use std::time::Duration;

/// Answers of stable that its first quantile takes, and those after which it is taken once more.
const FIRST: u64 = 200;
const NEXT: u64 = 2_000;
/// No difference below it counts: a cache that is not warm yet.
const SLACK_US: u64 = 1_000;

/// What was counted of one pool.
#[derive(Clone, Copy, Debug)]
pub struct ArmCounts<'a> {
    pub totals: &'a Totals,
    /// `None` where nobody counts them, as in a replay.
    pub durations: Option<&'a Durations>,
}

#[derive(Clone, Debug)]
pub(super) struct KindComparison {
    pub kind: Kind,
    pub relative: Relative,
    pub past: StablePast,
    /// How strong the evidence must be (A).
    threshold: f64,
    counted: Counted,
    /// What the past has taken in: calls of gRPC that were declined are counted only while somebody asks, so it leaves
    /// them out.
    seen: (Batch, Batch),
}

#[derive(Clone, Debug)]
enum Counted {
    /// Of each pool, what has been taken in.
    Plain {
        candidate: Batch,
        stable: Batch,
    },
    ByQuantile(Box<ByQuantile>),
}

/// Times, against a quantile of stable's.
#[derive(Clone, Debug)]
struct ByQuantile {
    quantile: f64,
    /// The bucket that an event is beyond, once there is one.
    threshold: Option<usize>,
    /// Whether that is of what stable did beside the candidate.
    is_learned: bool,
    candidate: Times,
    stable: Times,
    /// Stable's as they stood when the threshold was taken.
    learned: [u64; BUCKETS],
}

/// Times by bucket: of whole answers, and of those that were cut short.
#[derive(Clone, Debug)]
struct Times {
    whole: [u64; BUCKETS],
    cut: [u64; BUCKETS],
}

impl KindComparison {
    pub(super) fn plain(
        kind: Kind,
        (relative, threshold): (Relative, f64),
        (candidate, stable): (ArmCounts<'_>, ArmCounts<'_>),
        before: Option<&KindCounts>,
    ) -> Self {
        let counted = Counted::Plain { candidate: batch(kind, candidate), stable: batch(kind, stable) };
        let past = StablePast::new(before.map(|before| batch_before(kind, before)).unwrap_or_default());
        let seen = (batch_alone(kind, candidate), batch_alone(kind, stable));
        KindComparison { kind, relative, past, threshold, counted, seen }
    }

    pub(super) fn by_quantile(
        (kind, quantile): (Kind, f64),
        (relative, threshold): (Relative, f64),
        candidate: ArmCounts<'_>,
        stable: ArmCounts<'_>,
    ) -> Self {
        let stable_totals = stable.totals;
        let (candidate, stable) = (Times::of(kind, candidate), Times::of(kind, stable));
        let learned = stable.whole;
        // Heads are timed all the time, so what stable did before serves until it has done enough beside.
        let before = (kind == Kind::Latency).then_some(&stable_totals.latency);
        let before = before.filter(|times| times.iter().sum::<u64>() >= FIRST);
        let limit = before.and_then(|times| beyond(times, quantile));
        let counted =
            ByQuantile { quantile, threshold: limit, is_learned: false, candidate, stable, learned };
        let counted = Counted::ByQuantile(Box::new(counted));
        let (past, seen) = (StablePast::new(Batch::default()), Default::default());
        KindComparison { kind, relative, past, threshold, counted, seen }
    }

    /// Whether it asks the same as another.
    pub(super) fn is_like(&self, other: &KindComparison) -> bool {
        let of = |of: &KindComparison| (of.kind, of.metric(), of.relative.tolerated());
        of(self) == of(other)
    }

    /// Goes on with what a former one knows of stable, and, if asked to, with its evidence against the candidate.
    pub(super) fn adopt(&mut self, former: KindComparison, with_evidence: bool) {
        let threshold = self.threshold;
        if with_evidence {
            let (relative, past) = (former.relative.needing(threshold), former.past.needing(threshold));
            *self = KindComparison { relative, past, threshold, ..former };
            return;
        }
        self.past = former.past.known_alone();
        if let (Counted::ByQuantile(own), Counted::ByQuantile(former)) = (&mut self.counted, former.counted) {
            (own.threshold, own.is_learned) = (former.threshold, former.is_learned);
        }
    }

    pub(super) fn observe(&mut self, now: Duration, candidate: ArmCounts<'_>, stable: ArmCounts<'_>) {
        match &mut self.counted {
            Counted::Plain { candidate: seen, stable: stable_seen } => {
                let (one, other) = (batch(self.kind, candidate), batch(self.kind, stable));
                self.relative.observe(now, since(one, *seen), since(other, *stable_seen));
                (*seen, *stable_seen) = (one, other);
                let (one, other) = (batch_alone(self.kind, candidate), batch_alone(self.kind, stable));
                let came = (since(one, self.seen.0), since(other, self.seen.1));
                self.seen = (one, other);
                self.past.observe(now, came, (self.threshold, self.relative.tolerated(), false));
            }
            Counted::ByQuantile(counted) => {
                let (candidate, stable) = (Times::of(self.kind, candidate), Times::of(self.kind, stable));
                let mut came = None;
                if let Some(threshold) = counted.threshold {
                    let one = candidate.since(&counted.candidate).beyond(threshold);
                    let other = stable.since(&counted.stable).beyond(threshold);
                    came = Some((one, other));
                }
                (counted.candidate, counted.stable) = (candidate, stable);
                counted.learn();
                if let Some(came) = came {
                    self.relative.observe(now, came.0, came.1);
                    self.past.observe(now, came, (self.threshold, self.relative.tolerated(), true));
                }
            }
        }
    }

    /// Moves on to where the counters stand.
    pub(super) fn pass_over(&mut self, candidate: ArmCounts<'_>, stable: ArmCounts<'_>) {
        match &mut self.counted {
            Counted::Plain { candidate: seen, stable: stable_seen } => {
                (*seen, *stable_seen) = (batch(self.kind, candidate), batch(self.kind, stable));
                self.seen = (batch_alone(self.kind, candidate), batch_alone(self.kind, stable));
            }
            Counted::ByQuantile(counted) => {
                counted.candidate = Times::of(self.kind, candidate);
                counted.stable = Times::of(self.kind, stable);
                counted.learned = counted.stable.whole;
            }
        }
    }

    /// Which clients have to be asked about; none where one is enough.
    pub(super) fn met(&self) -> Option<Met> {
        match (&self.counted, self.kind) {
            (Counted::ByQuantile(by), Kind::Latency) => Some(Met::HeadsOver(by.threshold?)),
            (Counted::ByQuantile(by), _) => Some(Met::EndsOver(by.threshold?)),
            (Counted::Plain { .. }, Kind::Abandoned) => Some(Met::Abandoned),
            (Counted::Plain { .. }, _) => None,
        }
    }

    /// The quantile, and the time beyond which an answer is an event.
    pub(super) fn quantile(&self) -> Option<(f64, Duration)> {
        let Counted::ByQuantile(by) = &self.counted else { return None };
        Some((by.quantile, Duration::from_micros(upper_bound_us(by.threshold?))))
    }

    /// The same for the evidence beside stable's past.
    pub(super) fn metric_of_past(&self) -> String {
        self.metric().replace("_relative", "_over_past").replace("_over_stable", "_over_past")
    }

    /// The name among the figures of the evidence.
    pub(super) fn metric(&self) -> String {
        match (&self.counted, self.kind) {
            (Counted::ByQuantile(by), kind) => {
                format!("{}_over_stable_p{:.0}", kind.label(), by.quantile * 100.0)
            }
            (Counted::Plain { .. }, Kind::Errors) => "error_rate_relative".to_owned(),
            (Counted::Plain { .. }, kind) => format!("{}_relative", kind.label()),
        }
    }
}

impl ByQuantile {
    /// Takes the threshold from what stable did since the last time, if that is enough.
    fn learn(&mut self) {
        let lately: [u64; BUCKETS] =
            std::array::from_fn(|bucket| self.stable.whole[bucket].saturating_sub(self.learned[bucket]));
        let least = if self.is_learned { NEXT } else { FIRST };
        if lately.iter().sum::<u64>() < least {
            return;
        }
        self.threshold = beyond(&lately, self.quantile).or(self.threshold);
        self.is_learned = true;
        self.learned = self.stable.whole;
    }
}

/// The bucket that an answer is clearly slower than a quantile beyond.
fn beyond(times: &[u64; BUCKETS], quantile: f64) -> Option<usize> {
    let us = quantile_us(times, quantile)?;
    // `us` is the bound of the bucket itself: one bucket more is an eighth.
    Some(bucket_of(us).max(bucket_of(us + SLACK_US)))
}

impl Times {
    fn of(kind: Kind, counts: ArmCounts<'_>) -> Self {
        match (kind, counts.durations) {
            (Kind::Latency, Some(durations)) => Times { whole: durations.heads, cut: [0; BUCKETS] },
            (Kind::Latency, None) => Times { whole: counts.totals.latency, cut: [0; BUCKETS] },
            (_, Some(durations)) => Times { whole: durations.whole, cut: durations.cut },
            (_, None) => Times { whole: [0; BUCKETS], cut: [0; BUCKETS] },
        }
    }

    fn since(&self, earlier: &Times) -> Times {
        let of = |now: &[u64; BUCKETS], then: &[u64; BUCKETS]| {
            std::array::from_fn(|bucket| now[bucket].saturating_sub(then[bucket]))
        };
        Times { whole: of(&self.whole, &earlier.whole), cut: of(&self.cut, &earlier.cut) }
    }

    /// An answer that was cut short before the threshold would have ended nobody knows when.
    fn beyond(&self, threshold: usize) -> Batch {
        let over = |times: &[u64; BUCKETS]| times.iter().skip(threshold + 1).sum::<u64>();
        let cut = over(&self.cut);
        Batch { attempts: self.whole.iter().sum::<u64>() + cut, events: over(&self.whole) + cut }
    }
}

/// The same for stable's past.
fn batch_alone(kind: Kind, counts: ArmCounts<'_>) -> Batch {
    let Batch { attempts, events } = batch(kind, counts);
    let declined = if kind == Kind::ClientErrors { counts.totals.declined } else { 0 };
    Batch { attempts, events: events.saturating_sub(declined) }
}

/// What is known of a time before. Empty answers are counted only while somebody asks.
fn batch_before(kind: Kind, before: &KindCounts) -> Batch {
    let (attempts, events) = match kind {
        Kind::Errors => (before.attempts, before.failures),
        Kind::Abandoned => (before.attempts + before.abandoned, before.abandoned),
        Kind::ClientErrors => (before.answers, before.client_errors),
        Kind::Redirects => (before.answers, before.redirects),
        Kind::Empty | Kind::Differences | Kind::Latency | Kind::Duration => (0, 0),
    };
    Batch { attempts, events }
}

/// What was counted of a kind so far.
fn batch(kind: Kind, counts: ArmCounts<'_>) -> Batch {
    let totals = counts.totals;
    let class = |class: usize| totals.codes.get(class).copied().unwrap_or_default();
    let answers = || totals.codes.iter().skip(1).sum();
    match kind {
        Kind::Errors => Batch { attempts: totals.attempts, events: totals.failures },
        Kind::Abandoned => Batch { attempts: totals.attempts + totals.abandoned, events: totals.abandoned },
        Kind::ClientErrors => Batch { attempts: answers(), events: class(4) + totals.declined },
        Kind::Redirects => {
            Batch { attempts: answers(), events: class(3).saturating_sub(totals.not_modified) }
        }
        Kind::Empty => Batch { attempts: class(2), events: totals.empty },
        Kind::Differences => Batch { attempts: totals.compared, events: totals.differing },
        Kind::Latency | Kind::Duration => Batch::default(),
    }
}

/// A count that was read a moment too early never makes a batch negative.
fn since(now: Batch, then: Batch) -> Batch {
    let events = now.events.saturating_sub(then.events);
    Batch { attempts: now.attempts.saturating_sub(then.attempts).max(events), events }
}
