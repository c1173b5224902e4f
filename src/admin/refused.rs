//! Guesses at tokens, and other refusals before any request: slowed, counted, and told once a minute for
//! each address, so that neither the guesses nor the lines about them come fast.
//!
//! The right token is never slowed, also while others guess from the same address.

use crate::core::client::ClientKey;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The first guess waits so long, each further one twice as long as the one before.
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(3);
/// Guesses are forgotten after so much time without one; so are lines about them.
const MINUTE: Duration = Duration::from_secs(60);
/// Lines about handshakes a minute and address.
const HANDSHAKES: u32 = 5;
/// Addresses remembered.
const ADDRESSES: usize = 4096;

/// What is remembered of each address.
#[derive(Debug, Default)]
pub(super) struct Refused {
    addresses: Mutex<HashMap<ClientKey, Record>>,
}

#[derive(Debug, Default)]
struct Record {
    guesses: u32,
    last: Duration,
    told_at: Option<Duration>,
    /// Guesses since the last line.
    untold: u64,
    handshakes: u32,
    handshakes_since: Duration,
}

/// What a guess leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Consequence {
    pub wait: Duration,
    /// The guesses to be told of now, if any.
    pub told: Option<u64>,
}

impl Refused {
    /// A token that nobody has.
    pub(super) fn guessed(&self, address: IpAddr, now: Duration) -> Consequence {
        self.with(address, now, |record| {
            record.guesses = record.guesses.saturating_add(1);
            record.last = now;
            record.untold += 1;
            let wait = FIRST.saturating_mul(1 << (record.guesses - 1).min(10)).min(LONGEST);
            let is_told = record.told_at.is_none_or(|at| now >= at + MINUTE);
            let told = is_told.then(|| {
                record.told_at = Some(now);
                std::mem::take(&mut record.untold)
            });
            Consequence { wait, told }
        })
    }

    /// Whether a failed handshake is worth a line.
    pub(super) fn handshake_is_told(&self, address: IpAddr, now: Duration) -> bool {
        self.with(address, now, |record| {
            if now >= record.handshakes_since + MINUTE {
                (record.handshakes, record.handshakes_since) = (0, now);
            }
            record.last = now;
            record.handshakes = record.handshakes.saturating_add(1);
            record.handshakes <= HANDSHAKES
        })
    }

    fn with<T>(&self, address: IpAddr, now: Duration, change: impl FnOnce(&mut Record) -> T) -> T {
        // Every change is whole.
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= ADDRESSES {
            addresses.retain(|_, record| now < record.last + MINUTE);
        }
        if addresses.len() >= ADDRESSES {
            addresses.clear();
        }
        let record = addresses.entry(ClientKey::of(address)).or_default();
        if now >= record.last + MINUTE {
            record.guesses = 0;
        }
        change(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_wait_longer_and_longer_and_are_told_once_a_minute() {
        let refused = Refused::default();
        let [one, other] = [1, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        let second = Duration::from_secs(1);
        let waits: Vec<_> = (0..9).map(|n| refused.guessed(one, second * n)).collect();
        assert_eq!(waits[0], Consequence { wait: FIRST, told: Some(1) });
        assert_eq!((waits[1].wait, waits[1].told), (FIRST * 2, None));
        assert_eq!((waits[8].wait, waits[8].told), (LONGEST, None));
        assert_eq!(refused.guessed(other, second * 9).wait, FIRST, "each address for itself");
        let later = refused.guessed(one, second * 90);
        assert_eq!((later.wait, later.told), (FIRST, Some(9)), "a quiet minute later");
    }

    #[test]
    fn addresses_are_forgotten_before_they_are_too_many() {
        let refused = Refused::default();
        for n in 0..20_000_u32 {
            refused.guessed(IpAddr::V4(n.into()), Duration::from_millis(n.into()));
        }
        assert!(refused.addresses.lock().expect("whole").len() <= ADDRESSES);
    }
}
