//! Pauses between tries that fail: each is twice the one before, up to a longest one.

use std::time::Duration;

/// How long the pauses between failing tries are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pauses {
    /// After the first failure.
    pub first: Duration,
    pub longest: Duration,
}

impl Pauses {
    /// The pause after so many failures in a row.
    pub fn after(&self, failures: u32) -> Duration {
        self.first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.longest)
    }

    /// The same, less up to a half, so that those who failed together do not come back as one crowd. `draw` is from
    /// 0 to 1.
    pub fn spread(&self, failures: u32, draw: f64) -> Duration {
        self.after(failures).mul_f64(1.0 - draw.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = Pauses { first: Duration::from_secs(1), longest: Duration::from_secs(300) };
        let seconds: Vec<_> = [0, 1, 2, 3, 9, 10, u32::MAX].map(|n| pauses.after(n).as_secs()).into();
        assert_eq!(seconds, [1, 1, 2, 4, 256, 300, 300]);
        assert_eq!(pauses.spread(2, 0.0), Duration::from_secs(2));
        assert_eq!(pauses.spread(2, 1.0), Duration::from_secs(1));
        assert_eq!(pauses.spread(2, 7.0), Duration::from_secs(1));
    }
}
