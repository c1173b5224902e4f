//! A watch: every change of some keys, in order and each once, over any member, for as long as the store allows it.
//!
//! It has a connection of its own, since etcd 3.4 starves watches beside large answers. When a member goes or stalls, the
//! next one goes on from the last revision. Two things cannot be mended here, and end it: the store has forgotten the
//! changes that come next, or it is not the one it was. Its reader then reads everything, and watches from there.

mod stream;

use super::base::Base;
use super::client::Etcd;
use super::fault::EtcdFault;
use super::keys::KeyScope;
use super::messages::{KeyValue, WatchedEvent};
use super::seen::Rewound;
use std::sync::Arc;
use std::time::Duration;
use stream::{Stream, StreamEnd};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// Events that wait for their reader. After that, the member waits.
const WAITING: usize = 64;
/// A stream that has lived for so long was no failure.
const GOOD_AFTER: Duration = Duration::from_secs(1);

/// Which keys are watched, and from when on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchSpec {
    pub scope: KeyScope,
    /// The first revision whose changes are told: one more than that of what was read. 0 is from now on.
    pub from: i64,
    /// Whether each change comes with what was there before.
    pub with_previous: bool,
}

/// A watch. It ends when this is dropped, and keeps its client until then.
#[derive(Debug)]
pub struct KeyWatch {
    events: mpsc::Receiver<WatchEvent>,
    _task: JoinSet<()>,
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchEvent {
    /// A member serves it, from this revision on.
    Began { endpoint: Arc<str>, from: i64 },
    /// Changes in the order of their revisions: all of each revision that is among them.
    Changes(Vec<KeyChange>),
    /// No member serves it at the moment. It goes on from where it was; what it then tells is not missing anything.
    Lost(EtcdFault),
    /// The next changes cannot be had: the store keeps none before this revision. Nothing comes after this.
    Compacted { revision: i64 },
    /// The store has fallen back. Nothing comes after this.
    Rewound(Rewound),
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key as it is now; of one that was deleted, its name and the revision of that.
    pub now: KeyValue,
    pub is_delete: bool,
    /// As it was, where that is asked for and still known.
    pub before: Option<KeyValue>,
}

impl KeyWatch {
    /// The next event. `None` after [`WatchEvent::Compacted`] and [`WatchEvent::Rewound`].
    pub async fn next(&mut self) -> Option<WatchEvent> {
        self.events.recv().await
    }
}

impl Etcd {
    /// Watches keys.
    pub fn watch(&self, spec: WatchSpec) -> KeyWatch {
        self.expect(spec.from - 1);
        let (events, receiver) = mpsc::channel(WAITING);
        let mut tasks = JoinSet::new();
        let falls = self.falls();
        let watcher = Watcher { etcd: self.clone(), spec, events, is_lost: false, is_renewed: false };
        tasks.spawn(watcher.run(falls));
        KeyWatch { events: receiver, _task: tasks }
    }
}

impl KeyChange {
    /// `None` for what has no key.
    fn of(event: WatchedEvent) -> Option<Self> {
        Some(KeyChange { now: event.kv?, is_delete: event.kind == 1, before: event.prev_kv })
    }

    pub fn revision(&self) -> i64 {
        self.now.mod_revision
    }
}

/// The task behind a watch.
struct Watcher {
    etcd: Etcd,
    /// `from` moves on with what was told.
    spec: WatchSpec,
    events: mpsc::Sender<WatchEvent>,
    /// Whether the reader knows that no member serves it.
    is_lost: bool,
    /// Whether the token is a new one, with which no member has served it yet.
    is_renewed: bool,
}

impl Watcher {
    async fn run(mut self, mut falls: watch::Receiver<Option<Rewound>>) {
        let events = self.events.clone();
        let last = tokio::select! {
            biased;
            () = events.closed() => None,
            _ = falls.changed() => falls.borrow().map(WatchEvent::Rewound),
            last = self.follow() => last,
        };
        if let Some(last) = last {
            let _ = events.send(last).await;
        }
    }

    /// Goes from member to member, until there is nothing more to tell; the last event. `None` without a reader.
    async fn follow(&mut self) -> Option<WatchEvent> {
        let base = self.etcd.base().clone();
        let mut failures = 0;
        loop {
            let began = Instant::now();
            match self.serve(&base).await {
                StreamEnd::Last(event) => return Some(event),
                StreamEnd::Unread => return None,
                StreamEnd::Lost(fault) => {
                    if !std::mem::replace(&mut self.is_lost, true) {
                        self.events.send(WatchEvent::Lost(fault)).await.ok()?;
                    }
                }
            }
            failures = if began.elapsed() > GOOD_AFTER { 1 } else { failures + 1 };
            sleep(base.endpoints.pause(failures, rand::random())).await;
        }
    }

    /// One member's part.
    async fn serve(&mut self, base: &Base) -> StreamEnd {
        let connection = match base.dial().await {
            Ok(connection) => connection,
            Err(why) => return StreamEnd::Lost(EtcdFault::NotConnected(why)),
        };
        let token = match base.login.token(&connection, &base.times).await {
            Ok(token) => token,
            Err(fault) => {
                base.endpoints.failed(connection.endpoint.place);
                return StreamEnd::Lost(fault);
            }
        };
        let end = match Stream::open(&connection, token.clone(), &self.spec, base.times).await {
            Ok(stream) => self.pass_on(stream, base).await,
            Err(end) => end,
        };
        base.endpoints.failed(connection.endpoint.place);
        // A token that has ended is answered like a permission that is missing.
        if let StreamEnd::Lost(EtcdFault::Refused(_)) = &end
            && !std::mem::replace(&mut self.is_renewed, true)
        {
            base.login.forget(token.as_ref()).await;
        }
        end
    }

    /// Tells what a stream brings.
    async fn pass_on(&mut self, mut stream: Stream<'_>, base: &Base) -> StreamEnd {
        (self.is_lost, self.is_renewed) = (false, false);
        if self.spec.from == 0 {
            self.spec.from = stream.revision + 1;
        }
        let began = WatchEvent::Began { endpoint: stream.endpoint(), from: self.spec.from };
        if self.events.send(began).await.is_err() {
            return StreamEnd::Unread;
        }
        if stream.revision + 1 < self.spec.from {
            // This member lags behind, or the store has fallen back. An answer of the cluster as a whole tells which, and
            // its fall ends this watch.
            if let Err(fault) = self.etcd.ask_revision(&self.spec.scope).await {
                return StreamEnd::Lost(fault);
            }
        }
        loop {
            let mut changes = match stream.next(base).await {
                Ok(changes) => changes,
                Err(end) => return end,
            };
            changes.retain(|change| change.revision() >= self.spec.from);
            let Some(last) = changes.last() else { continue };
            self.spec.from = last.revision() + 1;
            if self.events.send(WatchEvent::Changes(changes)).await.is_err() {
                return StreamEnd::Unread;
            }
        }
    }
}
