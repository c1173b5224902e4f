//! Is the candidate worse than stable? A sequential test on the events of both.
//!
//! An event (a failure, a slow attempt) of the service is the candidate's with the chance
//! θ(r) = ρr / (ρr + 1 − ρ), where ρ is the candidate's share of the attempts and r how many times as
//! often its attempts come to an event. The mixture CUSUM of [`super`] runs over ratios r₁…r₁₂ above the
//! tolerated r₀, on events only: a rate that rises for both pools, such as with a database that suffers,
//! says nothing against the candidate.

use super::{GRID, ceiling, mixture};
use std::time::Duration;

/// The largest ratio in the mixture, in multiples of the tolerated one.
const TOP: f64 = 64.0;
/// Attempts that the share ρ is counted over: few where it is changing, many where it stands.
const SHORT: f64 = 100.0;
const LONG: f64 = 2_000.0;
/// Standard deviations between the two counts that show a change of weights.
const CHANGED: f64 = 4.0;
/// Below this share of the attempts, stable is not heard.
const HEARD: f64 = 0.005;
/// A stretch without an event is believed to be a change for the better when its chance was e^-this.
pub const BELIEVED: f64 = 6.907_755_278_982_137; // ln 1000

/// What came of one pool between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub attempts: u64,
    /// How many of them were events.
    pub events: u64,
}

/// The evidence that the candidate's attempts come to events more than r₀ times as often as stable's.
#[derive(Clone, Debug)]
pub struct Relative {
    tolerated: f64,
    /// ln-likelihood ratio of each alternative against the tolerated ratio.
    ratio: [f64; GRID],
    needed: f64,
    share: Share,
    /// Since the evidence last stood at zero.
    candidate: Batch,
    stable: Batch,
    since: Duration,
    /// The candidate's attempts in a row without an event.
    clean: u64,
}

impl Relative {
    /// Against the `tolerated` ratio (r₀ ≥ 1), speaking at `threshold` (A > 1).
    pub fn new(tolerated: f64, threshold: f64, now: Duration) -> Self {
        Relative {
            tolerated: tolerated.max(1.0),
            ratio: [0.0; GRID],
            needed: threshold.max(1.0).ln(),
            share: Share::default(),
            candidate: Batch::default(),
            stable: Batch::default(),
            since: now,
            clean: 0,
        }
    }

    /// The same evidence, which has to be as strong as another threshold (A > 1) says.
    pub fn needing(self, threshold: f64) -> Self {
        Relative { needed: threshold.max(1.0).ln(), ..self }
    }

    /// The ratio that is tolerated (r₀).
    pub fn tolerated(&self) -> f64 {
        self.tolerated
    }

    /// Takes in what came of both since the last look; their events count as evenly mixed.
    pub fn observe(&mut self, now: Duration, candidate: Batch, stable: Batch) {
        self.share.add(candidate.attempts, stable.attempts);
        add(&mut self.candidate, candidate);
        add(&mut self.stable, stable);
        let events = candidate.events + stable.events;
        if events > 0 {
            let weights = self.weights();
            let mut due = events / 2;
            for _ in 0..events {
                due += candidate.events;
                let is_candidates = due >= events;
                due -= if is_candidates { events } else { 0 };
                self.weigh(&weights, is_candidates);
            }
        }
        self.clean = clean_after(self.clean, candidate);
        if self.ratio.iter().all(|ratio| *ratio == 0.0) || self.has_improved() {
            self.restart(now);
        }
    }

    /// ln of the mixture, as far as the totals of the stretch bear it out: 0 when nothing speaks against the candidate.
    ///
    /// The mixture believes its share ρ, which follows a change of weights with a delay; meanwhile each event of a
    /// candidate that has just got all of the traffic would count as if stable could have had it.
    pub fn ln(&self) -> f64 {
        mixture(&self.ratio).min(borne_out(self.candidate, self.stable, self.tolerated))
    }

    /// The ln that it takes.
    pub fn needed(&self) -> f64 {
        self.needed
    }

    pub fn exceeded(&self) -> bool {
        self.ln() >= self.needed
    }

    /// Whether stable has had enough of the latest attempts to be compared with.
    pub fn hears_stable(&self) -> bool {
        self.share.short.stable_share() >= HEARD
    }

    /// What both did since the evidence last stood at zero: candidate and stable.
    pub fn stretch(&self) -> (Batch, Batch) {
        (self.candidate, self.stable)
    }

    /// When that was.
    pub fn since(&self) -> Duration {
        self.since
    }

    /// For each alternative: what an event of the candidate adds, and one of stable.
    fn weights(&self) -> [(f64, f64); GRID] {
        let rho = self.share.candidate();
        let chance = |r: f64| rho * r / (rho * r + 1.0 - rho);
        let allowed = chance(self.tolerated);
        std::array::from_fn(|k| {
            let times = 1.5 * (TOP / 1.5).powf(k as f64 / (GRID - 1) as f64);
            let alternative = chance(self.tolerated * times);
            ((alternative / allowed).ln(), ((1.0 - alternative) / (1.0 - allowed)).ln())
        })
    }

    fn weigh(&mut self, weights: &[(f64, f64); GRID], is_candidates: bool) {
        let most = ceiling(self.needed);
        for (ratio, (candidate, stable)) in self.ratio.iter_mut().zip(weights) {
            let weight = if is_candidates { candidate } else { stable };
            *ratio = (*ratio + weight).clamp(0.0, most);
        }
    }

    /// Events alone move the evidence, so a candidate that has none any more would be blamed for ever.
    fn has_improved(&self) -> bool {
        let before = self.candidate.attempts.saturating_sub(self.clean);
        self.exceeded() && self.clean as f64 * self.candidate.events as f64 >= BELIEVED * before as f64
    }

    fn restart(&mut self, now: Duration) {
        self.ratio = [0.0; GRID];
        (self.candidate, self.stable, self.since) = (Batch::default(), Batch::default(), now);
    }
}

/// By how much (ln of the likelihood ratio) the rates that both had explain their totals better than the best pair of
/// rates of which the candidate's is at most `tolerated` times stable's. 0 where stable has had no attempts.
fn borne_out(candidate: Batch, stable: Batch, tolerated: f64) -> f64 {
    let rate = |of: Batch| if of.attempts > 0 { of.events as f64 / of.attempts as f64 } else { 0.0 };
    if stable.attempts == 0 || rate(candidate) <= tolerated * rate(stable) {
        return 0.0;
    }
    // At the best pair the bound is reached; its derivative is a quadratic in stable's rate.
    let misses = |of: Batch| of.attempts.saturating_sub(of.events) as f64;
    let (events, r) = ((candidate.events + stable.events) as f64, tolerated);
    let twice = 2.0 * r * (candidate.attempts + stable.attempts) as f64;
    let middle = events * (1.0 + r) + r * misses(candidate) + misses(stable);
    let best = (middle - (middle * middle - 2.0 * twice * events).max(0.0).sqrt()) / twice;
    let chance = |of: Batch, rate: f64| {
        let rate = rate.clamp(1e-12, 1.0 - 1e-12);
        of.events as f64 * rate.ln() + misses(of) * (1.0 - rate).ln()
    };
    let free = chance(candidate, rate(candidate)) + chance(stable, rate(stable));
    (free - chance(candidate, r * best) - chance(stable, best)).max(0.0)
}

/// Attempts in a row without an event, after one more batch whose events are spread evenly.
pub fn clean_after(before: u64, batch: Batch) -> u64 {
    match batch.events {
        0 => before + batch.attempts,
        events => batch.attempts.saturating_sub(events) / (events + 1),
    }
}

fn add(sum: &mut Batch, batch: Batch) {
    sum.attempts += batch.attempts;
    sum.events += batch.events;
}

/// The candidate's share of the latest attempts. It is counted, since cohorts and pools that are down
/// make it differ from the weight; the short count takes over when the two disagree.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    short: Counts,
    long: Counts,
}

/// Attempts, each worth less the more have followed it.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    candidate: f64,
    stable: f64,
}

impl Share {
    fn add(&mut self, candidate: u64, stable: u64) {
        self.short.add(candidate as f64, stable as f64, SHORT);
        self.long.add(candidate as f64, stable as f64, LONG);
        let (now, before) = (self.short.candidate_share(), self.long.candidate_share());
        let deviation = (before * (1.0 - before) / (2.0 * SHORT)).sqrt();
        if (now - before).abs() > CHANGED * deviation {
            self.long = self.short;
        }
    }

    fn candidate(&self) -> f64 {
        self.long.candidate_share()
    }
}

impl Counts {
    fn add(&mut self, candidate: f64, stable: f64, memory: f64) {
        let all = candidate + stable;
        if all == 0.0 {
            return;
        }
        let kept = (-all / memory).exp();
        let each = memory * (1.0 - kept) / all;
        self.candidate = self.candidate * kept + candidate * each;
        self.stable = self.stable * kept + stable * each;
    }

    /// Never 0 or 1: half an attempt more for each.
    fn candidate_share(&self) -> f64 {
        (self.candidate + 0.5) / (self.candidate + self.stable + 1.0)
    }

    fn stable_share(&self) -> f64 {
        self.stable / (self.candidate + self.stable).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    fn batch(attempts: u64, events: u64) -> Batch {
        Batch { attempts, events }
    }

    #[test]
    fn the_share_follows_a_change_of_weights_quickly() {
        let mut rng = SmallRng::seed_from_u64(7);
        let mut share = Share::default();
        for weight in [0.05, 0.25, 0.5, 0.95, 0.25, 0.05] {
            let mut taken = 0;
            while (share.candidate() - weight).abs() > 0.1 * weight + 0.03 {
                let candidate = rng.random_bool(weight);
                share.add(u64::from(candidate), u64::from(!candidate));
                taken += 1;
            }
            println!("share near {weight} after {taken} attempts");
            assert!(taken <= 500, "{taken}");
            for _ in 0..20_000 {
                let candidate = rng.random_bool(weight);
                share.add(u64::from(candidate), u64::from(!candidate));
            }
            assert!((share.candidate() - weight).abs() < 0.3 * weight.min(1.0 - weight) + 0.01);
        }
    }

    #[test]
    fn a_candidate_that_improved_is_not_blamed_for_ever() {
        let mut relative = Relative::new(1.5, 1e9, Duration::ZERO);
        for _ in 0..60 {
            relative.observe(Duration::ZERO, batch(10, 1), batch(190, 0));
        }
        assert!(relative.exceeded());
        relative.observe(Duration::ZERO, batch(30, 0), batch(570, 0));
        assert!(relative.exceeded(), "three times its usual gap says little");
        relative.observe(Duration::from_secs(5), batch(60, 0), batch(570, 0));
        assert_eq!((relative.ln(), relative.since()), (0.0, Duration::from_secs(5)));
    }

    #[test]
    fn equal_versions_are_no_finding_when_all_of_the_traffic_moves() {
        for (share, seed) in [(0.2, 1), (0.4, 2), (0.5, 3), (0.66, 4)] {
            let mut rng = SmallRng::seed_from_u64(seed);
            let mut relative = Relative::new(1.5, 1e9, Duration::ZERO);
            let mut highest: f64 = 0.0;
            for weight in [0.05, 0.25, 1.0] {
                for _ in 0..4_000 {
                    let is_candidate = rng.random_bool(weight);
                    let one = batch(1, u64::from(rng.random_bool(share)));
                    let (candidate, stable) =
                        if is_candidate { (one, batch(0, 0)) } else { (batch(0, 0), one) };
                    relative.observe(Duration::ZERO, candidate, stable);
                    highest = highest.max(relative.ln());
                }
            }
            println!("{share}: highest {highest:.1} of {:.1}", relative.needed());
            assert!(!relative.exceeded() && highest < 15.0, "{share}: {highest}");
        }
    }

    #[test]
    fn what_the_totals_do_not_bear_out_is_no_evidence() {
        for (candidate, stable) in
            [((170, 70), (16, 11)), ((103, 47), (1, 1)), ((4_936, 2_385), (6, 1)), ((9, 9), (0, 0))]
        {
            let of = |(attempts, events)| batch(attempts, events);
            let ln = borne_out(of(candidate), of(stable), 1.5);
            assert!(ln < 1.0, "{candidate:?} {stable:?}: {ln}");
        }
        let ln = borne_out(batch(6, 6), batch(114, 0), 1.5);
        assert!((21.0..22.0).contains(&ln), "6 of 6 beside 0 of 114: {ln}");
        assert!(borne_out(batch(400, 400), batch(400, 8), 1.5) > 100.0);
    }

    proptest! {
        #[test]
        fn no_pair_of_rates_within_the_bound_does_better(
            (candidate, stable) in ((1u64..500, 0u64..500), (1u64..500, 0u64..500)),
            tolerated in 1.0f64..4.0, rate in 0.0f64..1.0,
        ) {
            let of = |(attempts, events): (u64, u64)| batch(attempts, events.min(attempts));
            let (candidate, stable) = (of(candidate), of(stable));
            let ln = borne_out(candidate, stable, tolerated);
            prop_assert!(ln.is_finite() && ln >= 0.0);
            let chance = |of: Batch, rate: f64| {
                let rate = rate.clamp(1e-12, 1.0 - 1e-12);
                of.events as f64 * rate.ln() + (of.attempts - of.events) as f64 * (1.0 - rate).ln()
            };
            let rate_of = |of: Batch| of.events as f64 / of.attempts as f64;
            let free = chance(candidate, rate_of(candidate)) + chance(stable, rate_of(stable));
            if ln > 0.0 {
                let bound = rate.min(1.0 / tolerated);
                prop_assert!(free - chance(candidate, tolerated * bound) - chance(stable, bound) >= ln - 1e-6);
            }
        }

        #[test]
        fn it_is_finite_and_never_negative(
            batches in prop::collection::vec((0u64..5000, 0u64..50, 0u64..5000, 0u64..50), 0..40),
        ) {
            let mut relative = Relative::new(1.5, 1e9, Duration::ZERO);
            for (attempts, events, others, their_events) in batches {
                let candidate = batch(attempts + events, events);
                relative.observe(Duration::ZERO, candidate, batch(others + their_events, their_events));
                prop_assert!(relative.ln().is_finite() && relative.ln() >= 0.0);
            }
        }
    }
}
