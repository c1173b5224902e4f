//! One kind of event while stable has no traffic: the candidate beside what stable did before.
//!
//! In a blue-green switch, at the last step, in the bake and in the watch after it all of the traffic is the candidate's,
//! and nobody stands beside it. What stable did in the ten minutes before the evaluation and since is the yardstick then,
//! with room for a change that both would have seen. It holds a version, and never aborts one: the bound on false aborts is about versions that
//! were compared.

use super::baseline::{LEAST_ATTEMPTS, allowed_alone};
use crate::core::evidence::Evidence;
use crate::core::evidence::relative::Batch;
use std::time::Duration;

/// Attempts of the candidate in a row without one of stable after which it is alone, and attempts of stable after which it
/// is not any more.
const ALONE: u64 = 50;
const HEARD: u64 = 50;
/// The share of answers beyond a quantile of stable's that a version may have alone: hours differ, by less than that.
const MOST_BEYOND: f64 = 0.5;

#[derive(Clone, Debug)]
pub(super) struct StablePast {
    /// All that stable did.
    known: Batch,
    /// How many attempts the candidate has had since stable's last, and stable since the candidate was alone.
    quiet: u64,
    heard: u64,
    evidence: Option<Evidence>,
}

impl StablePast {
    /// With what stable did in the time before the evaluation began.
    pub(super) fn new(known: Batch) -> Self {
        StablePast { known, quiet: 0, heard: 0, evidence: None }
    }

    /// Takes in what came of both since the last look. `is_quantile` says that events are answers beyond a quantile of
    /// stable's.
    pub(super) fn observe(
        &mut self,
        now: Duration,
        (candidate, stable): (Batch, Batch),
        (threshold, ratio, is_quantile): (f64, f64, bool),
    ) {
        self.known.attempts += stable.attempts;
        self.known.events += stable.events;
        if stable.attempts > 0 {
            (self.quiet, self.heard) = (0, self.heard + stable.attempts);
            self.evidence = self.evidence.take().filter(|_| self.heard < HEARD);
            return;
        }
        self.quiet += candidate.attempts;
        // A quantile of stable's is known from as many answers.
        let is_known = is_quantile || self.known.attempts >= LEAST_ATTEMPTS;
        if self.quiet < ALONE || !is_known {
            return;
        }
        self.heard = 0;
        let known = (self.known.events, self.known.attempts);
        let allowed = || if is_quantile { MOST_BEYOND } else { allowed_alone(known, ratio) };
        let evidence = self.evidence.get_or_insert_with(|| Evidence::new(allowed(), threshold, now));
        evidence.observe(now, candidate.attempts.saturating_sub(candidate.events), candidate.events);
    }

    /// What stable is known to have done.
    pub(super) fn known(&self) -> Batch {
        self.known
    }

    /// The evidence against the candidate, where it is alone.
    pub(super) fn evidence(&self) -> Option<&Evidence> {
        self.evidence.as_ref()
    }

    /// The evidence where it is strong enough to speak.
    pub(super) fn broken(&self) -> Option<&Evidence> {
        self.evidence().filter(|evidence| evidence.exceeded())
    }

    /// What stable is known to have done, without evidence against anybody.
    pub(super) fn known_alone(&self) -> Self {
        StablePast::new(self.known)
    }

    /// The same evidence, under another threshold (A > 1).
    pub(super) fn needing(self, threshold: f64) -> Self {
        StablePast { evidence: self.evidence.map(|evidence| evidence.needing(threshold)), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: (f64, f64, bool) = (1e9, 1.5, false);

    fn batch(attempts: u64, events: u64) -> Batch {
        Batch { attempts, events }
    }

    #[test]
    fn what_stable_never_did_is_found_once_it_is_gone() {
        let mut past = StablePast::new(Batch::default());
        past.observe(Duration::ZERO, (batch(0, 0), batch(5_000, 50)), RULE);
        let mut taken = 0;
        while past.broken().is_none() && taken < 1_000 {
            past.observe(Duration::ZERO, (batch(1, 1), batch(0, 0)), RULE);
            taken += 1;
        }
        assert!((50..80).contains(&taken), "{taken}");
        past.observe(Duration::ZERO, (batch(0, 0), batch(60, 0)), RULE);
        assert!(past.evidence().is_none(), "stable is heard again: the comparison has the word");
    }

    #[test]
    fn a_little_more_than_before_and_too_little_before_say_nothing() {
        for (known, share) in [(batch(5_000, 50), 10), (batch(100, 0), 1), (batch(5_000, 2_000), 2)] {
            let mut past = StablePast::new(Batch::default());
            past.observe(Duration::ZERO, (batch(0, 0), known), RULE);
            for n in 0..20_000 {
                past.observe(Duration::ZERO, (batch(1, u64::from(n % share == 0)), batch(0, 0)), RULE);
            }
            assert!(past.broken().is_none(), "1 in {share} after {known:?}");
        }
    }
}
