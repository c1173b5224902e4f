//! The latest values of a pool's signals, by upstream.
//!
//! The last few values of each are kept, not counts against levels: a policy that changes its levels
//! judges the same values again.

use crate::core::duration;
use crate::core::signal::Signal;
use crate::core::upstream_address::UpstreamAddress;
use crate::core::verdict::Level;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Values in a row that a signal may ask for.
pub const MAX_COUNT: usize = 10;

/// An upstream as configured, and the address it stands for.
pub type Source = (Arc<str>, UpstreamAddress);

/// What the upstreams of one pool say of themselves.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    sources: BTreeMap<Source, Values>,
}

#[derive(Clone, Debug)]
struct Values {
    /// Since when values are expected.
    since: Duration,
    by_name: BTreeMap<Arc<str>, Row>,
}

/// The last values of one signal or why there was none, newest last, each with its time.
type Row = VecDeque<(Duration, Result<f64, String>)>;

/// What a signal's values come to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Finding {
    /// The last `values` were all at or over the level; the first of them came `since` ago.
    Over {
        level: Level,
        value: f64,
        values: u32,
        since: Duration,
    },
    Missing {
        why: String,
    },
}

impl Readings {
    /// Who is asked now: others are forgotten, new ones are expected to speak from `now` on.
    pub fn expect(&mut self, sources: impl Iterator<Item = Source>, now: Duration) {
        let mut before = std::mem::take(&mut self.sources);
        self.sources = sources
            .map(|source| {
                let known = before.remove(&source);
                (source, known.unwrap_or_else(|| Values { since: now, by_name: BTreeMap::new() }))
            })
            .collect();
    }

    /// Takes in one round of one upstream; of those that are not expected nothing is kept.
    pub fn observe(&mut self, source: &Source, values: Vec<(Arc<str>, Result<f64, String>)>, now: Duration) {
        let Some(known) = self.sources.get_mut(source) else { return };
        for (name, value) in values {
            let value = value.and_then(|value| {
                if value.is_finite() { Ok(value) } else { Err(format!("its value is {value}")) }
            });
            let row = known.by_name.entry(name).or_default();
            row.push_back((now, value));
            if row.len() > MAX_COUNT {
                row.pop_front();
            }
        }
    }

    /// The highest latest value of each signal over all upstreams; stale ones do not count.
    pub fn highest(&self, signals: &[Signal], now: Duration) -> BTreeMap<String, f64> {
        let highest = |signal: &Signal| {
            let rows = self.sources.values().filter_map(|values| values.by_name.get(&signal.name));
            let fresh = rows.filter_map(|row| row.back()).filter(|(at, _)| now <= *at + patience(signal));
            let value = fresh.filter_map(|(_, value)| value.as_ref().ok().copied()).reduce(f64::max)?;
            Some((signal.name.to_string(), value))
        };
        signals.iter().filter_map(highest).collect()
    }

    /// The upstream that speaks for a signal, if any has something to say: critical before warning
    /// before missing, and the highest value of those.
    pub(super) fn worst(&self, signal: &Signal, began: Duration, now: Duration) -> Option<(&str, Finding)> {
        let found = self
            .sources
            .iter()
            .filter_map(|((upstream, _), values)| Some((&**upstream, values.finding(signal, began, now)?)));
        found
            .max_by(|(_, one), (_, other)| one.rank().partial_cmp(&other.rank()).unwrap_or_else(|| 0.cmp(&0)))
    }
}

impl Finding {
    fn rank(&self) -> (u8, f64) {
        match self {
            Finding::Missing { .. } => (0, 0.0),
            Finding::Over { level: Level::Warning, value, .. } => (1, *value),
            Finding::Over { level: Level::Critical, value, .. } => (2, *value),
        }
    }
}

impl Values {
    fn finding(&self, signal: &Signal, began: Duration, now: Duration) -> Option<Finding> {
        let row = self.by_name.get(&signal.name);
        let last = row.and_then(|row| row.back()).map_or(self.since, |(at, _)| *at);
        if now > last + patience(signal) {
            let is_missed = now > began + patience(signal);
            return is_missed.then(|| Finding::Missing { why: silence(signal) });
        }
        let (row, count) = (row?, signal.count as usize);
        let missing = row.iter().rev().map_while(|(_, value)| value.as_ref().err());
        if missing.clone().count() >= count {
            return missing.clone().next().map(|why| Finding::Missing { why: why.clone() });
        }
        let levels = [(Level::Critical, signal.critical), (Level::Warning, signal.warning)];
        levels.into_iter().find_map(|(level, limit)| over(row, level, limit?, count, now))
    }
}

/// Whether at least `count` values in a row, up to the newest, are at or over the limit.
fn over(row: &Row, level: Level, limit: f64, count: usize, now: Duration) -> Option<Finding> {
    let (_, newest) = row.back()?;
    let over = row.iter().rev().take_while(|(_, value)| value.as_ref().is_ok_and(|value| *value >= limit));
    let (values, since) = over.fold((0, now), |(values, _), (at, _)| (values + 1, *at));
    let value = *newest.as_ref().ok()?;
    let found = Finding::Over { level, value, values, since: now.saturating_sub(since) };
    (values as usize >= count).then_some(found)
}

/// How long a signal may stay silent before it is missed.
fn patience(signal: &Signal) -> Duration {
    signal.interval * 3
}

/// Why a silent signal is missed.
fn silence(signal: &Signal) -> String {
    format!("no value for more than {}", duration::show(patience(signal)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::policy::conditions;
    use crate::core::signal::Locator;
    use crate::core::verdict::State;

    fn signal() -> Signal {
        Signal {
            name: "database_connections".into(),
            from: "/api/metrics".into(),
            at: Locator::Pointer("/database_connections".into()),
            warning: Some(10.0),
            critical: Some(15.0),
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            count: 2,
        }
    }

    fn source(port: u16) -> Source {
        (format!("10.0.0.1:{port}").into(), std::net::SocketAddr::from(([10, 0, 0, 1], port)).into())
    }

    struct Pool(Readings);

    impl Pool {
        fn new() -> Self {
            let mut readings = Readings::default();
            readings.expect([source(1), source(2)].into_iter(), Duration::ZERO);
            Pool(readings)
        }

        fn say(&mut self, port: u16, at: u64, value: Result<f64, &str>) {
            let value = value.map_err(str::to_owned);
            let values = vec![("database_connections".into(), value)];
            self.0.observe(&source(port), values, Duration::from_secs(at));
        }

        fn word(&self, at: u64) -> Option<(State, String)> {
            let signals = [signal()];
            let mut words = conditions::signals(&signals, &self.0, Duration::ZERO, Duration::from_secs(at));
            words.next().map(|(state, reason)| (state, reason.text))
        }
    }

    #[test]
    fn the_worst_upstream_speaks_once_it_is_believed() {
        let mut pool = Pool::new();
        for at in [1, 6] {
            pool.say(1, at, Ok(3.0));
        }
        pool.say(2, 1, Ok(20.0));
        assert_eq!(pool.word(1), None, "one value is not believed");
        pool.say(2, 6, Ok(12.0));
        let (state, text) = pool.word(6).expect("a word");
        assert_eq!(state, State::Hold, "{text}");
        assert!(text.contains("10.0.0.1:2 is 12") && text.contains("warning level of 10"), "{text}");
        pool.say(2, 11, Ok(15.0));
        pool.say(2, 16, Ok(18.5));
        pool.say(1, 16, Ok(3.0));
        let (state, text) = pool.word(16).expect("a word");
        assert_eq!(state, State::Fail, "{text}");
        assert!(text.contains("is 18.5") && text.contains("2 times in a row"), "{text}");
        assert_eq!(pool.0.highest(&[signal()], Duration::from_secs(16))["database_connections"], 18.5);
        pool.say(2, 21, Ok(1.0));
        pool.say(1, 21, Ok(1.0));
        assert_eq!(pool.word(21), None);
    }

    #[test]
    fn a_missing_signal_holds_and_says_why() {
        let mut pool = Pool::new();
        assert_eq!(pool.word(15), None, "it has three intervals to begin");
        let (state, text) = pool.word(16).expect("a word");
        assert_eq!(state, State::Hold);
        assert!(text.contains("no value for more than 15s"), "{text}");
        for at in [16, 21] {
            pool.say(1, at, Ok(3.0));
            pool.say(2, at, Err("there is no /database_connections in the answer"));
        }
        let (state, text) = pool.word(21).expect("a word");
        assert_eq!(state, State::Hold);
        assert!(text.contains("10.0.0.1:2") && text.contains("there is no /database"), "{text}");
        pool.0.expect([source(1)].into_iter(), Duration::from_secs(22));
        assert_eq!(pool.word(22), None, "who is not asked is not missed");
        pool.say(1, 23, Ok(f64::NAN));
        pool.say(1, 24, Ok(f64::NAN));
        assert!(pool.word(24).is_some_and(|(_, text)| text.contains("NaN")));
        assert!(pool.0.highest(&[signal()], Duration::from_secs(24)).is_empty());
    }
}
