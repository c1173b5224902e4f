//! How much of the past is kept: by number and by age.

use std::collections::BTreeMap;
use std::time::Duration;

/// 0 is no limit, each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Rows of history of each service.
    pub history: u64,
    /// Rollouts of each service that have ended.
    pub rollouts: u64,
    /// Of either.
    pub age: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { history: 10_000, rollouts: 1000, age: Duration::from_secs(365 * 86_400) }
    }
}

/// A rollout that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    pub id: &'a str,
    pub service: &'a str,
    /// RFC 3339 in UTC, so that the texts are in the order of the times.
    pub ended_at: &'a str,
}

impl Retention {
    /// The ids of those that are kept no longer. `oldest` is the time before which everything is too old.
    pub fn surplus<'a>(
        &self,
        past: impl IntoIterator<Item = Past<'a>>,
        oldest: Option<&str>,
    ) -> Vec<&'a str> {
        let mut services: BTreeMap<&str, Vec<Past<'a>>> = BTreeMap::new();
        for past in past {
            services.entry(past.service).or_default().push(past);
        }
        let mut surplus = Vec::new();
        for past in services.values_mut() {
            past.sort_by(|one, other| (other.ended_at, other.id).cmp(&(one.ended_at, one.id)));
            let goes = past.iter().enumerate().filter(|(index, past)| {
                let is_beyond = self.rollouts > 0 && *index as u64 >= self.rollouts;
                is_beyond || oldest.is_some_and(|oldest| past.ended_at < oldest)
            });
            surplus.extend(goes.map(|(_, past)| past.id));
        }
        surplus
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_service_stay_unless_they_are_old() {
        let past = |id, service, ended_at| Past { id, service, ended_at };
        let all = [
            past("web-1", "web", "2026-01-01T00:00:00.000Z"),
            past("web-2", "web", "2026-01-02T00:00:00.000Z"),
            past("web-3", "web", "2026-01-03T00:00:00.000Z"),
            past("api-1", "api", "2025-01-01T00:00:00.000Z"),
        ];
        let keep = |rollouts| Retention { rollouts, ..Retention::default() };
        assert_eq!(keep(2).surplus(all, None), ["web-1"]);
        assert_eq!(keep(0).surplus(all, None), [""; 0]);
        assert_eq!(keep(0).surplus(all, Some("2026-01-02T00:00:00.000Z")), ["api-1", "web-1"]);
    }
}
