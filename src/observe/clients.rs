//! The clients that met failures last, on one arm and worker.
//!
//! Only failures are noted, so this costs the request path nothing while all is well; slow answers are
//! not. A policy may ask for failures of several clients before it believes them ([`MAX_CLIENTS`] at
//! most, which is what is distinguished here).

use crate::core::client::ClientKey;
use crate::core::counter::Counter;
use crate::core::policy::MAX_CLIENTS;

/// Written by the worker's own thread alone, as everything in a shard.
#[derive(Debug, Default)]
pub(super) struct Clients([Noted; MAX_CLIENTS]);

/// A client, and when it last met a failure, µs on the process clock.
#[derive(Debug, Default)]
struct Noted {
    client: Counter,
    at_us: Counter,
}

impl Clients {
    /// Notes a failure; a new client takes the place of the one that was last seen longest ago.
    pub(super) fn note(&self, client: ClientKey, now_us: u64) {
        let mut place: Option<&Noted> = None;
        for noted in &self.0 {
            if noted.client.read() == client.to_bits() {
                place = Some(noted);
                break;
            }
            if place.is_none_or(|oldest| noted.at_us.read() < oldest.at_us.read()) {
                place = Some(noted);
            }
        }
        if let Some(noted) = place {
            noted.client.set(client.to_bits());
            noted.at_us.set(now_us);
        }
    }

    /// Those that met a failure at that time or later, with the last time that they did.
    pub(super) fn since(&self, since_us: u64) -> impl Iterator<Item = (ClientKey, u64)> {
        let noted = self
            .0
            .iter()
            .filter_map(|noted| Some((ClientKey::from_bits(noted.client.read())?, noted.at_us.read())));
        noted.filter(move |(_, at_us)| *at_us >= since_us)
    }
}
