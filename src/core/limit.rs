//! Limits by client: how often it may ask ([`rate`], [`buckets`]), and how much at a time ([`counts`]).
//!
//! Workers share the state, so that a limit means what it says however a client's requests spread over
//! them. It lives in tables of a fixed size, made of atomics: no lock, and no memory that grows with the
//! number of clients. Where a table is too small for its clients, the oldest or the newest go uncounted:
//! a limit that is overrun lets through rather than refuse everybody.

#![warn(clippy::indexing_slicing)]

pub mod buckets;
pub mod counts;
pub mod rate;
pub mod route;

use super::client::ClientKey;
use super::hash::{FixedHash, Purpose, mix};
use super::template::Template;
use buckets::Buckets;
use rate::Rate;
use std::sync::Arc;
use std::time::Duration;

/// What requests are counted by.
#[derive(Clone, Debug, PartialEq)]
pub enum By {
    /// The client's address, IPv6 by /64.
    Client,
    /// A request header, by lower-case name; requests without it count by the client's address.
    Header(http::HeaderName),
    /// All requests of the route's service together.
    Service,
    /// A text with variables; requests that make it empty are not counted, as in nginx.
    Text(Template),
}

/// A limit of rates as configured: `[rate_limits.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    pub rate: Rate,
    pub by: By,
    /// What a request beyond it is answered with.
    pub status: u16,
    /// How many keys are remembered.
    pub keys: usize,
}

/// A limit of rates with its buckets, which outlive the tables it appears in.
#[derive(Clone, Debug)]
pub struct Limit {
    pub settings: RateLimit,
    pub buckets: Arc<Buckets>,
}

/// A request was refused: what to answer, and after how long it would have been served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub wait: Duration,
}

impl Limit {
    pub fn new(settings: RateLimit) -> Self {
        let buckets = Arc::new(Buckets::new(settings.keys));
        Limit { settings, buckets }
    }

    /// Counts a request by its key, or refuses it.
    ///
    /// # Errors
    /// [`Refused`] when it comes too soon; it is not counted then.
    pub fn take(&self, key: u64, now: Duration) -> Result<(), Refused> {
        self.buckets.take(&self.settings.rate, key, now).map_err(|wait| self.refused(wait))
    }

    /// Whether [`Limit::take`] would refuse.
    ///
    /// # Errors
    /// As [`Limit::take`].
    pub fn look(&self, key: u64, now: Duration) -> Result<(), Refused> {
        self.buckets.look(&self.settings.rate, key, now).map_err(|wait| self.refused(wait))
    }

    fn refused(&self, wait: Duration) -> Refused {
        Refused { status: self.settings.status, wait }
    }
}

/// The key of a client, and of a client within something else that has a key (a route, say).
pub fn client_key(client: ClientKey, within: u64) -> u64 {
    mix(client.to_bits() ^ within)
}

/// The key of anything else. `seed` keeps strangers from choosing values that share a bucket.
pub fn key(value: impl AsRef<[u8]>, seed: u64) -> u64 {
    FixedHash::of(Purpose::Limit { seed }).bytes(value.as_ref()).finish()
}
