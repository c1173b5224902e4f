//! Reads what is under the prefix: everything, then each change, then everything again: from time to time, and after each
//! time without a watch.
//!
//! Its events never go back in time: a reading that is older than a change which was handed on since is done again, and
//! changes that a reading has in it already are left out.

use super::campaign::LeaderAt;
use super::{FleetStore, LEADER, ReadCause, SessionEvent};
use crate::core::pause::Pauses;
use crate::fleet::etcd::{EtcdFault, KeyChange, Listing, WatchEvent, WatchSpec};
use bytes::Bytes;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// Between readings that fail. Without a connection the client has pauses of its own.
const PAUSES: Pauses = Pauses { first: Duration::from_millis(50), longest: Duration::from_millis(300) };

type Reading = Pin<Box<dyn Future<Output = Result<Listing, EtcdFault>> + Send>>;

/// Reads until nobody wants the events.
pub(super) async fn run(
    store: FleetStore,
    every: Duration,
    events: mpsc::Sender<SessionEvent>,
    leader: watch::Sender<LeaderAt>,
) {
    let leader_key = store.key(LEADER);
    let mut reader =
        Reader { store, every, events, leader, leader_key, is_connected: None, revision: 0, is_back: false };
    let mut cause = ReadCause::Start;
    while let Some(next) = reader.follow(cause).await {
        cause = next;
    }
}

struct Reader {
    store: FleetStore,
    every: Duration,
    events: mpsc::Sender<SessionEvent>,
    leader: watch::Sender<LeaderAt>,
    leader_key: Bytes,
    /// As the last event said. `None` before any.
    is_connected: Option<bool>,
    /// The revision of the last event.
    revision: i64,
    /// Whether the watch was lost and is back: the store may have been exchanged meanwhile, for one of a later revision.
    is_back: bool,
}

impl Reader {
    /// Reads everything and follows the changes; why everything must be read once more. `None` without a listener.
    async fn follow(&mut self, cause: ReadCause) -> Option<ReadCause> {
        let listing = self.read().await?;
        self.revision = listing.revision;
        self.tell_all(cause, listing).await?;
        let spec = WatchSpec { scope: self.store.scope(), from: self.revision + 1, with_previous: false };
        let mut watch = self.store.etcd().watch(spec);
        let mut reading: Option<Reading> = None;
        let mut due = Instant::now() + self.every;
        loop {
            tokio::select! {
                event = watch.next() => {
                    if let Some(cause) = self.take(event?).await? {
                        return Some(cause);
                    }
                    // What was asked for before is of a connection that is lost.
                    if self.is_unheard() {
                        reading = None;
                    }
                    if std::mem::take(&mut self.is_back) {
                        (reading, due) = (None, Instant::now());
                    }
                }
                read = read_on(&mut reading), if reading.is_some() => {
                    let pause = if read.is_ok() { self.every } else { PAUSES.longest.min(self.every) };
                    due = Instant::now() + pause;
                    reading = self.take_routine(read).await?;
                }
                () = sleep_until(due), if reading.is_none() && !self.is_unheard() => {
                    reading = Some(self.begin());
                }
            }
        }
    }

    /// Whether no changes arrive. What is read meanwhile is no substitute for them.
    fn is_unheard(&self) -> bool {
        self.is_connected == Some(false)
    }

    /// Everything, however long it takes until it can be read.
    async fn read(&mut self) -> Option<Listing> {
        let mut failures = 0;
        loop {
            let fault = tokio::select! {
                read = self.begin() => match read {
                    Ok(listing) => return Some(listing),
                    Err(fault) => fault,
                },
                () = self.events.closed() => return None,
            };
            self.disconnected(fault).await?;
            failures += 1;
            sleep(PAUSES.spread(failures, rand::random())).await;
        }
    }

    fn begin(&self) -> Reading {
        let store = self.store.clone();
        Box::pin(async move { store.etcd().read_all(&store.scope()).await })
    }

    /// A reading that was due; another one, if it is older than the last event.
    async fn take_routine(&mut self, read: Result<Listing, EtcdFault>) -> Option<Option<Reading>> {
        match read {
            Ok(listing) if listing.revision >= self.revision => {
                self.revision = listing.revision;
                self.tell_all(ReadCause::Routine, listing).await?;
                Some(None)
            }
            Ok(_) => Some(Some(self.begin())),
            // Whether etcd is there is the watch's to say.
            Err(_) => Some(None),
        }
    }

    /// Why everything must be read, if it must. `None` without a listener.
    async fn take(&mut self, event: WatchEvent) -> Option<Option<ReadCause>> {
        match event {
            WatchEvent::Began { .. } => {
                let before = self.is_connected.replace(true);
                self.is_back = before == Some(false);
                if before != Some(true) {
                    self.tell(SessionEvent::Connected).await?;
                }
            }
            WatchEvent::Lost(fault) => self.disconnected(fault).await?,
            WatchEvent::Changes(changes) => self.tell_changes(changes).await?,
            WatchEvent::Compacted { .. } => return Some(Some(ReadCause::Compacted)),
            WatchEvent::Rewound(fallen) => {
                self.tell(SessionEvent::Rewound(fallen)).await?;
                return Some(Some(ReadCause::Rewound));
            }
        }
        Some(None)
    }

    async fn tell_changes(&mut self, mut changes: Vec<KeyChange>) -> Option<()> {
        changes.retain(|change| change.revision() > self.revision);
        let Some(last) = changes.last() else { return Some(()) };
        self.revision = last.revision();
        let leads = changes.iter().rfind(|change| change.now.key == self.leader_key);
        let leads = leads.map(|change| (!change.is_delete).then(|| change.now.clone()));
        self.tell(SessionEvent::Changed(changes)).await?;
        if let Some(pair) = leads {
            self.leader.send_replace(LeaderAt { revision: self.revision, pair });
        }
        Some(())
    }

    async fn tell_all(&mut self, cause: ReadCause, listing: Listing) -> Option<()> {
        let pair = listing.pairs.iter().find(|pair| pair.key == self.leader_key).cloned();
        self.tell(SessionEvent::Read(cause, listing)).await?;
        self.leader.send_replace(LeaderAt { revision: self.revision, pair });
        Some(())
    }

    async fn disconnected(&mut self, fault: EtcdFault) -> Option<()> {
        if self.is_connected.replace(false) != Some(false) {
            self.tell(SessionEvent::Disconnected(fault)).await?;
        }
        Some(())
    }

    async fn tell(&self, event: SessionEvent) -> Option<()> {
        self.events.send(event).await.ok()
    }
}

async fn read_on(reading: &mut Option<Reading>) -> Result<Listing, EtcdFault> {
    match reading {
        Some(reading) => reading.await,
        None => std::future::pending().await,
    }
}
