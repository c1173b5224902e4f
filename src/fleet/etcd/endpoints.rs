//! Which member is asked next: the one whose last failure is longest ago, so that one that fails is not asked again
//! before all others were.

use crate::core::pause::Pauses;
use crate::core::settings::EtcdEndpoint;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Between tours of all members that have failed. The longest is short: an instance is to be in step with etcd within two
/// seconds of its return, and one that was cut off is to have its abort everywhere within one.
const PAUSES: Pauses = Pauses { first: Duration::from_millis(50), longest: Duration::from_millis(300) };

/// The members, in an order that is another in each process, so that not all of a fleet ask the same one.
#[derive(Debug)]
pub(super) struct Endpoints {
    all: Vec<Endpoint>,
    failures: Mutex<Failures>,
}

/// A member, and how it is named in messages.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub place: usize,
    pub target: EtcdEndpoint,
    pub name: std::sync::Arc<str>,
}

#[derive(Debug, Default)]
struct Failures {
    count: u64,
    /// The number of the last failure of each; 0 is none.
    last: Vec<u64>,
}

impl Endpoints {
    /// `draw` says which one is the first.
    pub(super) fn new(endpoints: &[EtcdEndpoint], draw: usize) -> Self {
        let mut order = endpoints.to_vec();
        order.rotate_left(draw.checked_rem(endpoints.len()).unwrap_or_default());
        let all = order.into_iter().enumerate();
        let all = all.map(|(place, target)| Endpoint { place, name: target.to_string().into(), target });
        let last = vec![0; endpoints.len()];
        Endpoints { all: all.collect(), failures: Mutex::new(Failures { count: 0, last }) }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whom to ask now. `None` where there are no members at all.
    pub(super) fn next(&self) -> Option<&Endpoint> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        self.all.iter().min_by_key(|endpoint| failures.last.get(endpoint.place))
    }

    pub(super) fn failed(&self, place: usize) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.count += 1;
        let count = failures.count;
        if let Some(last) = failures.last.get_mut(place) {
            *last = count;
        }
    }

    /// The pause after so many failures in a row of one connection: none before all members had their turn.
    pub(super) fn pause(&self, failures: u32, draw: f64) -> Duration {
        let members = u32::try_from(self.all.len().max(1)).unwrap_or(u32::MAX);
        match failures / members {
            0 => Duration::ZERO,
            _ if !failures.is_multiple_of(members) => Duration::ZERO,
            tours => PAUSES.spread(tours, draw),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(draw: usize) -> Endpoints {
        let all = ["http://a:1", "http://b:1", "http://c:1"].map(|text| text.parse().expect("an endpoint"));
        Endpoints::new(&all, draw)
    }

    #[test]
    fn one_that_failed_is_asked_last() {
        let endpoints = endpoints(4);
        let next = || &*endpoints.next().expect("one").name;
        assert_eq!(next(), "http://b:1");
        endpoints.failed(0);
        assert_eq!(next(), "http://c:1");
        endpoints.failed(1);
        assert_eq!(next(), "http://a:1");
        endpoints.failed(2);
        assert_eq!(next(), "http://b:1", "all have failed: the first again");
        endpoints.failed(7);
        assert!(Endpoints::new(&[], 3).next().is_none());
    }

    #[test]
    fn pauses_come_after_whole_tours() {
        let endpoints = endpoints(0);
        let ms: Vec<_> = (0..=9).map(|n| endpoints.pause(n, 0.0).as_millis()).collect();
        assert_eq!(ms, [0, 0, 0, 50, 0, 0, 100, 0, 0, 200]);
        assert_eq!(endpoints.pause(3000, 0.0), PAUSES.longest);
        assert_eq!(endpoints.pause(3000, 1.0), PAUSES.longest / 2);
    }
}
