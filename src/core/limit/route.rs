//! The limits of one route: all of them apply, and what one refuses is counted by none.

use super::counts::{Counts, Held};
use super::{Limit, Refused, client_key};
use crate::core::client::ClientKey;
use std::sync::Arc;
use std::time::Duration;

/// What a client that has too much under way hears.
const TOO_MANY: Refused = Refused { status: 429, wait: Duration::from_secs(1) };

#[derive(Clone, Debug, Default)]
pub struct RouteLimits {
    pub rates: Box<[Arc<Limit>]>,
    /// Requests that a client may have under way, and their counts, which all routes share.
    pub at_a_time: Option<(u32, Arc<Counts>)>,
    /// Keeps the route's counts apart from other routes'.
    pub key: u64,
    /// Of the service that it leads to, or its own.
    pub service_key: u64,
}

impl RouteLimits {
    pub fn is_empty(&self) -> bool {
        self.rates.is_empty() && self.at_a_time.is_none()
    }

    /// Counts a request, until what is returned is dropped. `key` gives what a limit counts it by, if it does.
    ///
    /// # Errors
    /// [`Refused`] by the first limit that has no room for it.
    pub fn admit(
        &self,
        client: ClientKey,
        now: Duration,
        key: impl Fn(&Limit) -> Option<u64>,
    ) -> Result<Option<Held>, Refused> {
        let enter = |(most, counts): &(u32, Arc<Counts>)| {
            counts.enter(client_key(client, self.key), *most).ok_or(TOO_MANY)
        };
        let held = self.at_a_time.as_ref().map(enter).transpose()?;
        if let [before @ .., _] = &*self.rates {
            // The last one is asked when it counts.
            before.iter().try_for_each(|limit| key(limit).map_or(Ok(()), |key| limit.look(key, now)))?;
        }
        self.rates
            .iter()
            .rev()
            .try_for_each(|limit| key(limit).map_or(Ok(()), |key| limit.take(key, now)))?;
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rate::Rate;
    use super::super::{By, RateLimit};
    use super::*;

    fn limit(requests: u32, burst: u32) -> Arc<Limit> {
        let rate = Rate { requests, period: Duration::from_secs(1), burst };
        Arc::new(Limit::new(RateLimit { rate, by: By::Client, status: 429, keys: 64 }))
    }

    fn client(last: u8) -> ClientKey {
        ClientKey::of([192, 0, 2, last].into())
    }

    fn admitted(limits: &RouteLimits, times: usize, now_s: u64) -> usize {
        let one = || limits.admit(client(1), Duration::from_secs(now_s), |_| Some(7));
        (0..times).filter(|_| one().is_ok()).count()
    }

    #[test]
    fn the_narrowest_decides_and_charges_nobody_else() {
        for order in [[0, 1], [1, 0]] {
            let rates = [limit(1, 2), limit(100, 9)];
            let of_both =
                RouteLimits { rates: order.map(|n| rates[n].clone()).into(), ..RouteLimits::default() };
            assert_eq!(admitted(&of_both, 50, 5), 3);
            let wide = RouteLimits { rates: [rates[1].clone()].into(), ..RouteLimits::default() };
            assert_eq!(admitted(&wide, 50, 5), 7, "three of its ten were used");
        }
    }

    #[test]
    fn what_is_under_way_counts_by_client_and_route() {
        let counts = Arc::new(Counts::new(64));
        let route = |key| RouteLimits { at_a_time: Some((2, counts.clone())), key, ..RouteLimits::default() };
        let now = Duration::from_secs(5);
        let (here, there) = (route(1), route(2));
        let held: Vec<_> = (0..2).map(|_| here.admit(client(1), now, |_| Some(0))).collect();
        assert!(held.iter().all(Result::is_ok));
        assert_eq!(here.admit(client(1), now, |_| Some(0)).map(drop), Err(TOO_MANY));
        assert!(
            here.admit(client(2), now, |_| Some(0)).is_ok()
                && there.admit(client(1), now, |_| Some(0)).is_ok()
        );
        drop(held);
        assert!(here.admit(client(1), now, |_| Some(0)).is_ok());
        assert!(RouteLimits::default().is_empty() && !here.is_empty());
    }

    #[test]
    fn what_is_refused_by_a_rate_is_not_under_way() {
        let counts = Arc::new(Counts::new(64));
        let rates = [limit(1, 0)].into();
        let both = RouteLimits { rates, at_a_time: Some((1, counts.clone())), ..RouteLimits::default() };
        assert_eq!(admitted(&both, 20, 5), 1);
        assert_eq!(counts.of(client_key(client(1), 0)), 0);
    }
}
