//! Latency buckets: log-linear, eight to each doubling, so that a quantile is known to within 1/8
//! (12.5 %) of its value with one small fixed array and no allocation.

/// Sub-buckets to each doubling.
const SUB: u64 = 8;
/// Everything under this many µs shares the linear part of the scale.
const LINEAR_US: u64 = 64;
/// Doublings above the linear part: up to 64 µs · 2^22 ≈ 268 s.
const DOUBLINGS: u64 = 22;
/// How many buckets there are; the last takes everything longer.
pub const BUCKETS: usize = (SUB + DOUBLINGS * SUB) as usize;

/// The bucket of a latency in µs.
pub fn bucket_of(us: u64) -> usize {
    if us < LINEAR_US {
        return (us / (LINEAR_US / SUB)) as usize;
    }
    let doubling = u64::from(us.ilog2()) - u64::from(LINEAR_US.ilog2());
    let within = (us >> (doubling + u64::from(LINEAR_US.ilog2()) - u64::from(SUB.ilog2()))) - SUB;
    let bucket = SUB + doubling * SUB + within;
    (bucket as usize).min(BUCKETS - 1)
}

/// The smallest latency in µs above the bucket: its exclusive upper bound.
pub fn upper_bound_us(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < SUB {
        return (bucket + 1) * (LINEAR_US / SUB);
    }
    let doubling = (bucket - SUB) / SUB;
    let within = (bucket - SUB) % SUB;
    ((SUB + within + 1) * (LINEAR_US / SUB)) << doubling
}

/// The latency in µs that a share `q` (0–1) of the counted attempts kept within: the upper bound of
/// its bucket. `None` when nothing was counted.
pub fn quantile_us(counts: &[u64; BUCKETS], q: f64) -> Option<u64> {
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return None;
    }
    let rank = ((total as f64) * q.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
    let mut seen = 0;
    for (bucket, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= rank {
            return Some(upper_bound_us(bucket));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_latency_lies_in_its_bucket(us in 0u64..200_000_000) {
            let bucket = bucket_of(us);
            prop_assert!(us < upper_bound_us(bucket));
            prop_assert!(bucket == 0 || us >= upper_bound_us(bucket - 1));
        }

        #[test]
        fn a_bucket_is_at_most_an_eighth_wide(us in 64u64..200_000_000) {
            let upper = upper_bound_us(bucket_of(us)) as f64;
            prop_assert!(upper <= us as f64 * 1.126);
        }
    }

    #[test]
    fn quantiles_of_a_known_sample() {
        let mut counts = [0; BUCKETS];
        for ms in 1..=100u64 {
            counts[bucket_of(ms * 1000)] += 1;
        }
        let p50 = quantile_us(&counts, 0.5).unwrap_or(0) as f64;
        let p99 = quantile_us(&counts, 0.99).unwrap_or(0) as f64;
        assert!((50_000.0..=56_500.0).contains(&p50), "{p50}");
        assert!((99_000.0..=112_000.0).contains(&p99), "{p99}");
        assert_eq!(quantile_us(&[0; BUCKETS], 0.5), None);
    }
}
