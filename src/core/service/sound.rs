//! Whether a stored state can ever have been one.

use super::ServiceState;
use crate::core::weight::BasisPoints;

impl ServiceState {
    /// What cannot be right about it, if anything cannot.
    pub fn unsound(&self) -> Option<String> {
        let sum: u64 = self.weights.values().map(|weight| u64::from(weight.get())).sum();
        if sum != u64::from(BasisPoints::FULL.get()) {
            return Some(format!("its weights sum to {} %", sum as f64 / 100.0));
        }
        if !self.weights.contains_key(&self.stable) {
            return Some(format!("{}, which is stable, has no weight among its pools", self.stable));
        }
        let running = self.running()?;
        let unknown = [&running.from, &running.to].into_iter().find(|pool| !self.weights.contains_key(*pool));
        if let Some(pool) = unknown {
            return Some(format!("{pool}, which its rollout is about, is not among its pools"));
        }
        // An update within a pool may be of one that is not stable.
        if running.from != self.stable && !running.rollout.is_rolling() {
            return Some(format!("its rollout goes from {}, and {} is stable", running.from, self.stable));
        }
        let stray = self.weights.iter().find(|(pool, weight)| {
            **weight > BasisPoints::ZERO && **pool != running.from && **pool != running.to
        });
        let (pool, weight) = stray.filter(|_| running.rollout.moves_traffic())?;
        Some(format!("{pool} has {weight} of the traffic while a rollout to {} runs", running.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_roles_must_agree() {
        let state = ServiceState::new("blue", ["blue", "green"]);
        assert_eq!(state.unsound(), None);
        let mut wrong = state.clone();
        wrong.weights.insert("green".into(), BasisPoints::FULL);
        assert!(wrong.unsound().expect("too much").contains("sum to 200 %"));
        let mut wrong = state.clone();
        wrong.weights.insert("blue".into(), BasisPoints::ZERO);
        assert!(wrong.unsound().expect("nothing").contains("sum to 0 %"));
        let wrong = ServiceState { stable: "red".into(), ..state };
        assert!(wrong.unsound().expect("unknown").contains("red"));
    }
}
