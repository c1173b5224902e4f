//! Weights in basis points, and the picker that splits traffic by them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A share of a service's traffic: 10 000 is all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct BasisPoints(u16);

impl BasisPoints {
    pub const ZERO: BasisPoints = BasisPoints(0);
    pub const FULL: BasisPoints = BasisPoints(10_000);

    /// `None` above 10 000.
    pub const fn new(bp: u16) -> Option<Self> {
        if bp <= 10_000 { Some(BasisPoints(bp)) } else { None }
    }

    /// From percent with up to two decimals; `None` when out of 0–100 or finer than that.
    pub fn from_percent(percent: f64) -> Option<Self> {
        let bp = percent * 100.0;
        let whole = bp.round();
        let fits = (0.0..=10_000.0).contains(&whole) && (bp - whole).abs() < 1e-6;
        fits.then_some(BasisPoints(whole as u16))
    }

    pub const fn get(self) -> u16 {
        self.0
    }

    pub fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// Both together, and at most the whole.
    pub fn plus(self, other: Self) -> Self {
        BasisPoints((self.0 + other.0).min(10_000))
    }

    /// What is left of the whole.
    pub const fn rest(self) -> Self {
        BasisPoints(10_000 - self.0)
    }
}

impl fmt::Display for BasisPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.percent())
    }
}

impl TryFrom<u16> for BasisPoints {
    type Error = String;

    fn try_from(bp: u16) -> Result<Self, String> {
        Self::new(bp).ok_or_else(|| format!("{bp} basis points are more than 10000"))
    }
}

impl From<BasisPoints> for u16 {
    fn from(bp: BasisPoints) -> u16 {
        bp.0
    }
}

/// Splits random draws over pools by weight: exact over the long run, whatever the pattern of the
/// requests, because every draw is independent of the request it serves.
#[derive(Clone, Debug, Default)]
pub struct Picker {
    /// Upper ends of the pools' shares of 2³², ascending, without pools of weight 0; the last is 2³².
    bounds: Box<[u64]>,
    pools: Box<[u16]>,
}

impl Picker {
    /// From the weights of the pools by index. They need not sum to 100 %: shares are relative.
    pub fn new(weights: &[BasisPoints]) -> Self {
        let order: Vec<usize> = (0..weights.len()).collect();
        Picker::in_order(weights, &order)
    }

    /// The same with the shares in another order; each index comes once.
    pub fn in_order(weights: &[BasisPoints], order: &[usize]) -> Self {
        let total: u64 = weights.iter().map(|w| u64::from(w.0)).sum();
        let mut bounds = Vec::new();
        let mut pools = Vec::new();
        let mut sum = 0u64;
        for index in order {
            let Some(weight) = weights.get(*index).filter(|weight| weight.0 > 0) else { continue };
            sum += u64::from(weight.0);
            bounds.push((sum << 32) / total);
            pools.push(*index as u16);
        }
        Picker { bounds: bounds.into(), pools: pools.into() }
    }

    /// The index of the pool for a uniform draw; `None` when no pool has weight.
    pub fn pick(&self, draw: u32) -> Option<usize> {
        let at = self.bounds.partition_point(|bound| *bound <= u64::from(draw));
        self.pools.get(at).map(|pool| usize::from(*pool))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    fn bp(n: u16) -> BasisPoints {
        BasisPoints::new(n).expect("at most 10 000")
    }

    #[test]
    fn a_million_picks_keep_to_the_weights() {
        let picker = Picker::new(&[bp(9500), bp(500)]);
        let mut rng = SmallRng::seed_from_u64(7);
        let n = 1_000_000u32;
        let green = (0..n).filter(|_| picker.pick(rng.random()) == Some(1)).count() as f64;
        let expected = f64::from(n) * 0.05;
        let sd = (f64::from(n) * 0.05 * 0.95).sqrt();
        let off = (green - expected) / sd;
        println!("1,000,000 picks at 9500/500: {green} green, {off:+.2} standard deviations");
        assert!(off.abs() <= 4.0);
    }

    #[test]
    fn percent_with_two_decimals_and_no_finer() {
        assert_eq!(BasisPoints::from_percent(2.5), Some(bp(250)));
        assert_eq!(BasisPoints::from_percent(99.99), Some(bp(9999)));
        assert_eq!(BasisPoints::from_percent(0.001), None);
        assert_eq!(BasisPoints::from_percent(100.5), None);
        assert_eq!(BasisPoints::from_percent(-1.0), None);
        assert_eq!(BasisPoints::from_percent(f64::NAN), None);
    }

    proptest! {
        #[test]
        fn a_pool_without_weight_is_never_picked(weights in prop::collection::vec(0u16..=10_000, 1..20), draw: u32) {
            let weights: Vec<_> = weights.into_iter().map(bp).collect();
            match Picker::new(&weights).pick(draw) {
                Some(pool) => prop_assert!(weights[pool] > BasisPoints::ZERO),
                None => prop_assert!(weights.iter().all(|w| *w == BasisPoints::ZERO)),
            }
        }
    }
}
