//! Who is connected to the admin API, and who has to go when there is no room.
//!
//! Nobody waits to be accepted: a connection that has said nothing yet has a place in the front room, and
//! where that is full the one that has been there longest, of the address that has most, makes room. So a
//! flood only ever pushes out itself, and an operator who asks at once is answered. A request that was let
//! in moves to the back room until its answer is on its way. Probes of health never leave the front room,
//! and streams of events have places of their own.

use crate::core::client::ClientKey;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Connections without a request that was let in, and how many of them one address may have.
const FRONT: usize = 256;
const FRONT_OF_ADDRESS: usize = 192;
/// Requests that were let in and are not answered yet.
const BACK: usize = 256;
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
    entries: HashMap<u64, Entry>,
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
        table.make_front_room(now);
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
    fn count(&self, is_of: impl Fn(&Entry) -> bool) -> usize {
        self.entries.values().filter(|entry| is_of(entry)).count()
    }

    fn make_front_room(&mut self, now: Duration) {
        let mut of_address: HashMap<ClientKey, usize> = HashMap::new();
        for entry in self.entries.values().filter(|entry| entry.stage.is_front()) {
            *of_address.entry(entry.address).or_default() += 1;
        }
        let most = of_address.iter().max_by_key(|(_, count)| **count);
        let Some((address, count)) = most.map(|(address, count)| (*address, *count)) else { return };
        if count > FRONT_OF_ADDRESS || of_address.values().sum::<usize>() > FRONT {
            let victim = self.front_victim(now, Some(address));
            self.dismiss(victim);
        }
    }

    fn front_victim(&self, now: Duration, address: Option<ClientKey>) -> Option<u64> {
        let front = self.entries.iter().filter(|(_, entry)| {
            entry.stage.is_front() && address.is_none_or(|address| entry.address == address)
        });
        let rank = |entry: &Entry| entry.stage.front_rank(now.saturating_sub(entry.since));
        front.min_by_key(|(id, entry)| (rank(entry), entry.since, **id)).map(|(id, _)| *id)
    }

    fn back_victim(&self) -> Option<u64> {
        let mut of_address: HashMap<ClientKey, usize> = HashMap::new();
        for entry in self.entries.values().filter(|entry| entry.stage.is_back()) {
            *of_address.entry(entry.address).or_default() += 1;
        }
        let most = |entry: &Entry| of_address.get(&entry.address).copied().unwrap_or_default();
        let ranked = self.entries.iter().filter_map(|(id, entry)| {
            Some(((entry.stage.back_rank()?, usize::MAX - most(entry), entry.since, *id), *id))
        });
        ranked.min().map(|(_, id)| id)
    }

    /// Tells a connection to go; it counts no more.
    fn dismiss(&mut self, id: Option<u64>) {
        if let Some(entry) = id.and_then(|id| self.entries.remove(&id)) {
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
        let mut table = self.connections.table();
        let Some(entry) = table.entries.get_mut(&self.id) else { return };
        // A connection that was not let in does not grow younger by speaking a little.
        if !(entry.stage == Stage::Silent && stage == Stage::Head) {
            entry.since = now;
        }
        let came_back = entry.stage.is_back() && stage.is_front();
        (entry.stage, entry.head_since) = (stage, now);
        entry.changed.notify_one();
        if came_back {
            table.make_front_room(now);
        }
    }

    /// Lets its request in.
    pub(super) fn is_let_in(&self, stage: Stage, now: Duration) -> Result<(), Full> {
        let mut table = self.connections.table();
        let own = self.id;
        let is_in = table.entries.get(&own).is_some_and(|entry| entry.stage.is_back());
        if !is_in && stage.is_back() && table.count(|entry| entry.stage.is_back()) >= BACK {
            let victim = table.back_victim();
            if victim.is_none() {
                return Err(Full);
            }
            table.dismiss(victim);
        }
        if let Some(entry) = table.entries.get_mut(&own) {
            (entry.stage, entry.since) = (stage, now);
            entry.changed.notify_one();
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.entries.remove(&self.id);
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
