//! Who is connected to the admin API, and who has to go when there is no room.
//!
//! Nobody waits to be accepted: a connection that has said nothing yet has a place in the front room, and
//! where that is full the one that has been there longest, of the address that has most, makes room. So a
//! flood only ever pushes out itself, and an operator who asks at once is answered. A request that was let
//! in moves to the back room until its answer is on its way. Probes of health never leave the front room,
//! and streams of events have places of their own.

use crate::core::client::ClientKey;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Connections without a request that was let in, and how many of them one address may have. With the back
/// room and the streams of events, 512 in all: as many as descriptors are kept back for.
const FRONT: usize = 224;
const FRONT_OF_ADDRESS: usize = 160;
/// Requests that were let in and are not answered yet.
const BACK: usize = 224;
/// A connection that is younger has had no chance to speak.
const YOUNG: Duration = Duration::from_millis(500);

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Before its first byte, or in its TLS handshake.
    Silent,
    /// Within a head.
    Head,
    /// A request that was not let in (yet): a probe of health, or one whose token is looked at.
    Door,
    /// Between two requests.
    Idle,
    /// A request that was let in, while its body comes.
    Body,
    /// A request that waits for news.
    Waiting,
    /// A request that is carried out.
    Working,
    /// A request whose answer is on its way.
    Answering,
    /// A stream of events.
    Streaming,
}

impl Stage {
    fn is_front(self) -> bool {
        matches!(self, Stage::Silent | Stage::Head | Stage::Door | Stage::Idle)
    }

    fn is_back(self) -> bool {
        matches!(self, Stage::Body | Stage::Waiting | Stage::Working | Stage::Answering)
    }

    /// Who makes room first in the front room.
    fn front_rank(self, age: Duration) -> u8 {
        match self {
            Stage::Silent | Stage::Head | Stage::Door if age >= YOUNG => 0,
            Stage::Idle => 1,
            _ => 2,
        }
    }

    /// Who makes room first in the back room; what is carried out stays.
    fn back_rank(self) -> Option<u8> {
        match self {
            Stage::Body | Stage::Answering => Some(0),
            Stage::Waiting => Some(1),
            _ => None,
        }
    }
}

/// All connections of the listener.
#[derive(Debug, Default)]
pub(super) struct Connections {
    table: Mutex<Table>,
    count: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    /// By number, so that those that came first are first.
    entries: BTreeMap<u64, Entry>,
    front: Room,
    back: Room,
}

/// How many are in a room, in all and of each address.
#[derive(Debug, Default)]
struct Room {
    all: usize,
    of_address: BTreeMap<ClientKey, usize>,
}

impl Room {
    fn enter(&mut self, address: ClientKey) {
        self.all += 1;
        *self.of_address.entry(address).or_default() += 1;
    }

    fn leave(&mut self, address: ClientKey) {
        self.all = self.all.saturating_sub(1);
        if let Some(count) = self.of_address.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_address.remove(&address);
            }
        }
    }

    fn of(&self, address: ClientKey) -> usize {
        self.of_address.get(&address).copied().unwrap_or_default()
    }

    fn largest(&self) -> Option<ClientKey> {
        self.of_address.iter().max_by_key(|(_, count)| **count).map(|(address, _)| *address)
    }
}

#[derive(Debug)]
struct Entry {
    address: ClientKey,
    stage: Stage,
    /// When the stage began; of a connection that has not been let in, when it came.
    since: Duration,
    /// When the first byte of the head under way came.
    head_since: Duration,
    leave: Arc<Notify>,
    changed: Arc<Notify>,
}

/// No room for a request: everything in the back room is being carried out.
#[derive(Debug)]
pub(super) struct Full;

impl Connections {
    /// Takes a connection in; another may have to go for it.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, now: Duration) -> Place {
        let (leave, changed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let address = ClientKey::of(address);
        let mut table = self.table();
        table.next += 1;
        let id = table.next;
        let entry = Entry {
            address,
            stage: Stage::Silent,
            since: now,
            head_since: now,
            leave: leave.clone(),
            changed: changed.clone(),
        };
        table.entries.insert(id, entry);
        table.front.enter(address);
        table.make_front_room(address, now);
        self.count.send_replace(table.entries.len());
        Place { id, leave, changed, connections: self.clone() }
    }

    /// Has one connection closed that nobody misses, so that its descriptor is free.
    pub(super) fn give_one_up(&self, now: Duration) {
        let mut table = self.table();
        let front = table.front_victim(now, None);
        table.dismiss(front);
    }

    /// Waits until every connection has ended.
    pub(super) async fn ended(&self) {
        // The sender is here, so an error cannot be.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change of it is whole.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Where the room is full, or one address has too much of it, one has to go. `address` has come in.
    fn make_front_room(&mut self, address: ClientKey, now: Duration) {
        let victim = match self.front.of(address) > FRONT_OF_ADDRESS {
            true => self.front_victim(now, Some(address)),
            false if self.front.all > FRONT => self.front_victim(now, self.front.largest()),
            false => return,
        };
        self.dismiss(victim);
    }

    fn front_victim(&self, now: Duration, address: Option<ClientKey>) -> Option<u64> {
        let mut best: Option<(u8, Duration, u64)> = None;
        for (id, entry) in &self.entries {
            if !entry.stage.is_front() || address.is_some_and(|address| entry.address != address) {
                continue;
            }
            let rank = entry.stage.front_rank(now.saturating_sub(entry.since));
            let candidate = (rank, entry.since, *id);
            if best.is_none_or(|best| candidate < best) {
                best = Some(candidate);
            }
        }
        best.map(|(.., id)| id)
    }

    /// Of the address that has most, where it has one that may go.
    fn back_victim(&self) -> Option<u64> {
        let largest = self.back.largest();
        let mut best: Option<(bool, u8, Duration, u64)> = None;
        for (id, entry) in &self.entries {
            let Some(rank) = entry.stage.back_rank() else { continue };
            let candidate = (Some(entry.address) != largest, rank, entry.since, *id);
            if best.is_none_or(|best| candidate < best) {
                best = Some(candidate);
            }
        }
        best.map(|(.., id)| id)
    }

    /// Moves an entry; false where it is gone already.
    fn moves(&mut self, id: u64, stage: Stage, now: Duration) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        // A connection that was not let in does not grow younger by speaking a little.
        if !(entry.stage == Stage::Silent && stage == Stage::Head) {
            entry.since = now;
        }
        let (before, address) = (entry.stage, entry.address);
        (entry.stage, entry.head_since) = (stage, now);
        entry.changed.notify_one();
        self.leaves(before, address);
        if stage.is_front() {
            self.front.enter(address);
        }
        if stage.is_back() {
            self.back.enter(address);
        }
        if stage.is_front() && !before.is_front() {
            self.make_front_room(address, now);
        }
        true
    }

    fn leaves(&mut self, stage: Stage, address: ClientKey) {
        if stage.is_front() {
            self.front.leave(address);
        }
        if stage.is_back() {
            self.back.leave(address);
        }
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.leaves(entry.stage, entry.address);
        Some(entry)
    }

    /// Tells a connection to go; it counts no more.
    fn dismiss(&mut self, id: Option<u64>) {
        if let Some(entry) = id.and_then(|id| self.remove(id)) {
            entry.leave.notify_one();
        }
    }
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    leave: Arc<Notify>,
    changed: Arc<Notify>,
    connections: Arc<Connections>,
}

impl Place {
    /// Resolves once the connection has to make room.
    pub(super) async fn dismissed(&self) {
        self.leave.notified().await;
    }

    /// Resolves once it stands somewhere else.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Where it stands, and since when; within a head, since its first byte.
    pub(super) fn stage(&self) -> (Stage, Duration) {
        let table = self.connections.table();
        let entry = table.entries.get(&self.id);
        entry.map_or((Stage::Silent, Duration::ZERO), |entry| match entry.stage {
            Stage::Head => (Stage::Head, entry.head_since),
            stage => (stage, entry.since),
        })
    }

    /// Moves on, within the front room or out of the back room.
    pub(super) fn is(&self, stage: Stage, now: Duration) {
        self.connections.table().moves(self.id, stage, now);
    }

    /// Lets its request in.
    pub(super) fn is_let_in(&self, stage: Stage, now: Duration) -> Result<(), Full> {
        let mut table = self.connections.table();
        let is_in = table.entries.get(&self.id).is_some_and(|entry| entry.stage.is_back());
        if !is_in && stage.is_back() && table.back.all >= BACK {
            let victim = table.back_victim();
            if victim.is_none() {
                return Err(Full);
            }
            table.dismiss(victim);
        }
        table.moves(self.id, stage, now);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.remove(self.id);
        self.connections.count.send_replace(table.entries.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    fn stays(place: &Place) -> bool {
        place.connections.table().entries.contains_key(&place.id)
    }

    /// As many as the back room holds.
    fn filled(connections: &Arc<Connections>, stage: Stage) -> Vec<Place> {
        let let_in = |_| {
            let place = connections.enter(address(1), SECOND);
            place.is_let_in(stage, SECOND).expect("room");
            place
        };
        (0..BACK).map(let_in).collect()
    }

    #[test]
    fn a_flood_pushes_out_itself_and_the_oldest_first() {
        let connections = Arc::new(Connections::default());
        let operator = connections.enter(address(1), Duration::ZERO);
        let flood: Vec<_> = (0..1000).map(|n| connections.enter(address(2), SECOND * n)).collect();
        assert!(stays(&operator), "another address");
        let left: Vec<_> = flood.iter().map(stays).collect();
        assert_eq!(left.iter().filter(|stays| **stays).count(), FRONT_OF_ADDRESS);
        assert!(left[1000 - FRONT_OF_ADDRESS..].iter().all(|stays| *stays), "the newest are heard");
    }

    #[test]
    fn many_addresses_together_leave_room_for_one_more() {
        let connections = Arc::new(Connections::default());
        let flood: Vec<_> =
            (0..1000).map(|n| connections.enter(address((n % 200) as u8), SECOND * n)).collect();
        let operator = connections.enter(address(250), SECOND * 1000);
        assert!(stays(&operator));
        assert_eq!(flood.iter().filter(|place| stays(place)).count(), FRONT - 1);
    }

    #[test]
    fn what_was_let_in_is_not_in_the_way_of_the_front_room_nor_pushed_out_by_it() {
        let connections = Arc::new(Connections::default());
        let waiting = filled(&connections, Stage::Waiting);
        let flood: Vec<_> = (0..1000).map(|n| connections.enter(address(1), SECOND * n)).collect();
        assert!(waiting.iter().all(stays));
        drop(flood);
        let last = connections.enter(address(1), SECOND * 2000);
        last.is_let_in(Stage::Working, SECOND * 2000).expect("one that only waits makes room");
        assert_eq!(waiting.iter().filter(|place| stays(place)).count(), BACK - 1);
    }

    #[test]
    fn what_is_carried_out_is_never_pushed_out() {
        let connections = Arc::new(Connections::default());
        let working = filled(&connections, Stage::Working);
        let probe = connections.enter(address(1), SECOND);
        probe.is(Stage::Door, SECOND);
        assert!(stays(&probe), "probes need no room there");
        assert!(probe.is_let_in(Stage::Working, SECOND).is_err());
        assert!(working.iter().all(stays));
        drop(working);
        assert!(probe.is_let_in(Stage::Working, SECOND).is_ok());
    }
}
