//! The shield: while a rollout runs, an attempt that failed on the candidate is made again on stable, so
//! that no user sees the failure; the candidate is charged in full.
//!
//! A candidate that fails everything must not double stable's load: shielded attempts are paid from a
//! budget. Each attempt that the service serves earns a share of one, and a burst of them is granted at
//! the start. What is stored is the debt, so that an unused budget is zeros.

use super::weight::BasisPoints;

/// How a service is shielded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shield {
    pub budget: Budget,
    /// Statuses of a candidate's answer that are not shown where stable can answer, inclusive.
    pub statuses: Vec<(u16, u16)>,
}

/// How many attempts may be shielded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Of the attempts that the service serves.
    pub share: BasisPoints,
    /// Attempts beyond that share which one worker thread may shield.
    pub burst: u32,
}

/// The pools, by index, between which a service is shielded now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shielding {
    pub candidate: usize,
    pub stable: usize,
    pub shield: std::sync::Arc<Shield>,
}

/// One attempt, in the unit of debts.
const ATTEMPT: u64 = 10_000;

impl Shield {
    /// Whether an answer with this status is held back.
    pub fn hides(&self, status: u16) -> bool {
        self.statuses.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

impl Default for Shield {
    fn default() -> Self {
        Shield { budget: Budget::default(), statuses: vec![(500, 599)] }
    }
}

impl Budget {
    /// The debt after one more shielded attempt, `served` attempts after the last; `None` where the
    /// budget does not allow it.
    pub fn spend(self, debt: u64, served: u64) -> Option<u64> {
        let debt = self.earn(debt, served).saturating_add(ATTEMPT);
        (debt <= u64::from(self.burst) * ATTEMPT).then_some(debt)
    }

    /// What is left of a debt after so many attempts of the service.
    pub fn earn(self, debt: u64, served: u64) -> u64 {
        debt.saturating_sub(served.saturating_mul(u64::from(self.share.get())))
    }
}

impl Default for Budget {
    fn default() -> Self {
        Budget { share: BasisPoints::new(2000).unwrap_or(BasisPoints::FULL), burst: 100 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_then_the_share() {
        let budget = Budget { share: BasisPoints::new(2000).expect("20 %"), burst: 3 };
        let mut debt = 0;
        for _ in 0..3 {
            debt = budget.spend(debt, 0).expect("within the burst");
        }
        assert_eq!(budget.spend(debt, 0), None);
        assert_eq!(budget.spend(debt, 4), None, "4 attempts earn 0.8 of one");
        assert!(budget.spend(debt, 5).is_some(), "5 attempts earn one");
        assert_eq!(Budget { burst: 0, ..budget }.spend(0, 1_000), None, "no burst, no shield");
    }

    #[test]
    fn what_is_hidden() {
        let shield = Shield { statuses: vec![(502, 504), (500, 500)], ..Shield::default() };
        let hidden: Vec<u16> = (100..600).filter(|status| shield.hides(*status)).collect();
        assert_eq!(hidden, [500, 502, 503, 504]);
    }

    proptest! {
        /// Whatever comes: never more than the burst and the share of what was served.
        #[test]
        fn the_budget_is_kept(share in 0u16..=10_000, burst in 0u32..200, gaps in prop::collection::vec(0u64..50, 1..400)) {
            let budget = Budget { share: BasisPoints::new(share).expect("at most all"), burst };
            let (mut debt, mut waiting, mut served, mut shielded) = (0, 0, 0, 0u64);
            for gap in gaps {
                waiting += gap;
                served += gap;
                if let Some(next) = budget.spend(debt, waiting) {
                    (debt, waiting) = (next, 0);
                    shielded += 1;
                }
                let most = u64::from(burst) as f64 + served as f64 * f64::from(share) / 10_000.0;
                prop_assert!(shielded as f64 <= most + 1e-6, "{shielded} of {most}");
            }
        }
    }
}
