//! Maintenance: a stretch of time in which a service is not served, and says so.
//!
//! It ends by itself on the process's clock, without anybody's doing; what is decided here is only
//! whether it still goes on, and whom it lets pass. Who switches it is the controller's business.

use super::settings;
use std::net::IpAddr;
use std::time::Duration;

/// Seconds after which a client may try again when nobody has said how long it takes.
const OPEN_END_RETRY_S: u64 = 300;

/// One stretch, as the data plane reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// When it ends, on the process's clock; without, it lasts until it is switched off.
    pub until: Option<Duration>,
}

impl Maintenance {
    /// Seconds until a client may try again, at least 1; `None` once it is over.
    pub fn retry_after_s(self, now: Duration) -> Option<u64> {
        let Some(until) = self.until else { return Some(OPEN_END_RETRY_S) };
        let left = until.checked_sub(now).filter(|left| !left.is_zero())?;
        Some(left.as_secs() + u64::from(left.subsec_nanos() > 0))
    }

    /// Of two at the same time, the one that ends later.
    pub fn longer(self, other: Maintenance) -> Maintenance {
        match (self.until, other.until) {
            (Some(one), Some(two)) => Maintenance { until: Some(one.max(two)) },
            _ => Maintenance { until: None },
        }
    }
}

impl settings::Maintenance {
    /// Whether a request is served all the same: by its exact path, or by its client.
    pub fn lets_pass(&self, path: &str, client: IpAddr) -> bool {
        self.pass.iter().any(|pass| pass == path) || self.allows(client)
    }

    /// A client whom nobody knows is on no list.
    fn allows(&self, client: IpAddr) -> bool {
        !client.is_unspecified() && self.allow.iter().any(|net| net.contains(&client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_ends_by_itself_and_tells_when_to_come_back() {
        let stretch = Maintenance { until: Some(SECOND * 90) };
        for (now, left) in [
            (Duration::ZERO, Some(90)),
            (SECOND * 60 + Duration::from_micros(1), Some(30)),
            (SECOND * 90 - Duration::from_micros(1), Some(1)),
            (SECOND * 90, None),
            (SECOND * 91, None),
        ] {
            assert_eq!(stretch.retry_after_s(now), left, "{now:?}");
        }
        assert_eq!(Maintenance { until: None }.retry_after_s(SECOND * 1000), Some(300));
    }

    #[test]
    fn the_longer_one_counts() {
        let until = |s| Maintenance { until: Some(SECOND * s) };
        assert_eq!(until(5).longer(until(9)), until(9));
        assert_eq!(until(9).longer(until(5)), until(9));
        assert_eq!(until(9).longer(Maintenance { until: None }), Maintenance { until: None });
    }

    #[test]
    fn paths_pass_exactly_and_clients_by_network() {
        let rules = settings::Maintenance {
            page: None,
            allow: vec!["10.0.0.0/8".parse().expect("a network")],
            pass: vec!["/health".into()],
        };
        let passes = |path: &str, client: &str| rules.lets_pass(path, client.parse().expect("an address"));
        assert!(passes("/health", "192.0.2.1") && passes("/", "10.1.2.3"));
        assert!(!passes("/", "192.0.2.1") && !passes("/health/", "192.0.2.1") && !passes("/", "::1"));
    }
}
