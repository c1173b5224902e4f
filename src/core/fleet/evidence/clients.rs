//! The clients that met what speaks against a candidate, of all members together.
//!
//! A policy may ask for several clients before it believes what they met. Those of one member may be too few where those
//! of all are many, and a client of several members is still one. So each member says which they are, hashed with the
//! secret of the fleet: all members hash a client alike, and who reads the store does not learn its address.

use super::rounds::{PATIENCE, QUIET};
use crate::core::client::{ClientCount, ClientKey, Met};
use crate::core::policy::{MAX_CLIENTS, Witnesses};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The clients of one member that met what speaks against the candidate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemberClients {
    pub seen: Vec<ClientSeen>,
    /// By the place of a time's limit: in which lanes clients wait for longer ([`ClientKey::lane`]).
    pub waiting: Vec<u16>,
}

/// A client, and what it met at one member. Of answers, the bucket is the one that it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSeen {
    /// Hashed with the fleet's secret.
    pub key: u64,
    pub met: Met,
    /// How long before the member counted.
    pub age_ms: u32,
}

/// What one instance has noted of a client: what it met, and when, in µs on the process clock.
pub type ClientNote = (ClientKey, Met, u64);

impl MemberClients {
    /// Of so many notes: the last of each client, and its slowest answer, of the clients that were seen last.
    pub fn of(notes: Vec<ClientNote>, waiting: Vec<u16>, now_us: u64, salt: &[u8; 16]) -> Self {
        let said = |(key, met, at_us): ClientNote| {
            let age_ms = u32::try_from(now_us.saturating_sub(at_us) / 1000).unwrap_or(u32::MAX);
            ClientSeen { key: key.salted(salt), met, age_ms }
        };
        MemberClients { seen: kept(notes).into_iter().map(said).collect(), waiting }
    }
}

/// The notes that are worth a place.
fn kept(notes: Vec<ClientNote>) -> Vec<ClientNote> {
    let mut by_kind: BTreeMap<(u8, usize), BTreeMap<ClientKey, Vec<ClientNote>>> = BTreeMap::new();
    for note in notes {
        by_kind.entry(kind(note.1)).or_default().entry(note.0).or_default().push(note);
    }
    let mut all = Vec::new();
    for clients in by_kind.into_values() {
        let mut clients: Vec<Vec<ClientNote>> = clients.into_values().collect();
        let last = |notes: &Vec<ClientNote>| notes.iter().map(|note| note.2).max();
        clients.sort_by_key(|notes| std::cmp::Reverse(last(notes)));
        for notes in clients.into_iter().take(MAX_CLIENTS) {
            let latest = notes.iter().max_by_key(|note| note.2).copied();
            let slowest = notes.iter().max_by_key(|note| (bucket(note.1), note.2)).copied();
            all.extend(latest);
            all.extend(slowest.filter(|_| slowest != latest));
        }
    }
    all
}

/// What may be compared with each other.
fn kind(met: Met) -> (u8, usize) {
    match met {
        Met::Failures => (0, 0),
        Met::Abandoned => (1, 0),
        Met::Slow(slot) => (2, slot),
        Met::Long(slot) => (3, slot),
        Met::HeadsOver(_) => (4, 0),
        Met::EndsOver(_) => (5, 0),
    }
}

fn bucket(met: Met) -> usize {
    match met {
        Met::HeadsOver(bucket) | Met::EndsOver(bucket) => bucket,
        _ => 0,
    }
}

/// What all members say, each with when that was heard, on the leader's clock.
#[derive(Clone, Debug, Default)]
pub struct PooledClients<'a>(Vec<(Duration, &'a MemberClients)>);

impl<'a> PooledClients<'a> {
    pub fn of(clients: impl Iterator<Item = (Duration, &'a MemberClients)>) -> Self {
        PooledClients(clients.collect())
    }
}

impl Witnesses for PooledClients<'_> {
    fn clients(&self, met: Met, since: Duration) -> ClientCount {
        // What one round brings has no order, and evidence is as old as the round that brought it.
        let since = since.saturating_sub(QUIET + PATIENCE);
        let is_it = |heard_at: Duration, seen: &ClientSeen| {
            let is_slower = bucket(seen.met) > bucket(met) || bucket(seen.met) == 0 && bucket(met) == 0;
            let at = heard_at.saturating_sub(Duration::from_millis(seen.age_ms.into()));
            kind(seen.met) == kind(met) && is_slower && at >= since
        };
        let (mut keys, mut lanes) = (BTreeSet::new(), 0);
        for (heard_at, clients) in &self.0 {
            let seen = clients.seen.iter().filter(|seen| is_it(*heard_at, seen));
            keys.extend(seen.filter_map(|seen| ClientKey::from_bits(seen.key)));
            if let Met::Slow(slot) = met {
                lanes |= clients.waiting.get(slot).copied().unwrap_or_default();
            }
        }
        let keys: Vec<ClientKey> = keys.into_iter().collect();
        ClientCount::of(&keys).or(ClientCount::of_lanes(lanes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: [u8; 16] = *b"0123456789abcdef";
    const NOW: Duration = Duration::from_secs(100);

    fn client(n: u8) -> ClientKey {
        ClientKey::of([10, 0, 0, n].into())
    }

    fn of(notes: Vec<ClientNote>) -> MemberClients {
        MemberClients::of(notes, Vec::new(), 50_000_000, &SALT)
    }

    fn count(all: &[MemberClients], met: Met, since_s: u64) -> usize {
        let pooled = PooledClients::of(all.iter().map(|clients| (NOW, clients)));
        pooled.clients(met, Duration::from_secs(since_s)).get()
    }

    #[test]
    fn a_client_of_two_members_is_one() {
        let failed = |n, at_us| (client(n), Met::Failures, at_us);
        let one = of(vec![failed(1, 49_000_000), failed(2, 49_900_000)]);
        let other = of(vec![failed(2, 48_000_000), failed(3, 30_000_000)]);
        assert!(one.seen.iter().all(|seen| seen.key != client(1).to_bits()), "{one:?}");
        let both = [one, other];
        assert_eq!(count(&both, Met::Failures, 0), 3);
        assert_eq!(count(&both, Met::Failures, 99), 2, "the third met one long before");
        assert_eq!((count(&both, Met::Abandoned, 0), count(&both, Met::Slow(0), 0)), (0, 0));
        let nameless = [of(vec![(ClientKey::NAMELESS, Met::Failures, 49_000_000)])];
        let pooled = PooledClients::of(nameless.iter().map(|clients| (NOW, clients)));
        assert!(pooled.clients(Met::Failures, NOW).is_untold());
    }

    #[test]
    fn of_answers_the_last_and_the_slowest_of_each_client_are_said() {
        let head = |n, bucket, at_us| (client(n), Met::HeadsOver(bucket), at_us);
        let notes = vec![
            head(1, 90, 20_000_000),
            head(1, 7, 49_000_000),
            head(1, 8, 48_000_000),
            head(2, 9, 49_000_000),
        ];
        let all = [of(notes)];
        assert_eq!(all[0].seen.len(), 3, "{all:?}");
        assert_eq!(count(&all, Met::HeadsOver(0), 99), 2);
        assert_eq!((count(&all, Met::HeadsOver(8), 0), count(&all, Met::HeadsOver(9), 0)), (2, 1));
        assert_eq!((count(&all, Met::HeadsOver(8), 99), count(&all, Met::EndsOver(0), 0)), (1, 0));
        let many = (0..60).map(|n| head(n, 3, 40_000_000 + u64::from(n))).collect();
        assert_eq!(count(&[of(many)], Met::HeadsOver(0), 0), MAX_CLIENTS);
    }

    #[test]
    fn those_that_wait_at_two_members_are_told_apart_by_their_lanes() {
        let waits = |lanes| MemberClients { waiting: vec![0, lanes], ..MemberClients::default() };
        assert_eq!(count(&[waits(0b0011), waits(0b0110)], Met::Slow(1), 0), 3);
        assert_eq!(count(&[waits(0b0011)], Met::Slow(0), 0), 0);
    }
}
