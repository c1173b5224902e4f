//! Names of upstreams: looked up at start and again, since containers come back with new addresses.
//!
//! Each name is looked up by one task, no matter who asks for it: every 5 s, and at once when a connection fails, but at most
//! once a second. IPv4 and IPv6 addresses of one name are two ways to the same servers (RFC 8305), not more servers:
//! only one family is told, the one that answers. It stays until a connection fails. How a family is chosen is a race
//! of connections, IPv6 with a short start; nothing is sent over them.

use crate::control::command::LookUp;
use crate::core::own_limit::OwnLimit;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// Time between two look-ups, and the longest one may take.
const EVERY: Duration = Duration::from_secs(5);
/// Least time between two.
const AT_MOST: Duration = Duration::from_secs(1);
/// How long the family that is tried first has before the other one is tried, too (RFC 8305, 8).
const HEAD_START: Duration = Duration::from_millis(250);
/// How long a connection may take in all.
const RACE: Duration = Duration::from_secs(2);
/// Look-ups in a row that find a family down before the other one is tried, at first and at most.
const PATIENCE: u32 = 3;
const MOST_PATIENCE: u32 = 300;
/// Addresses of one family that are tried.
const TRIED: usize = 8;

/// What a name resolves to (sorted, of one family), or why it does not.
pub(super) type Found = Result<Vec<SocketAddr>, String>;

type Key = (Arc<str>, u16);

/// All names under watch; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Resolver(Arc<Mutex<HashMap<Key, Weak<Name>>>>);

/// One name, looked up as long as somebody watches it.
#[derive(Debug)]
struct Name {
    found: watch::Receiver<Option<Found>>,
    again: Arc<LookUp>,
    task: JoinHandle<()>,
}

impl Drop for Name {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Resolver {
    /// A watch on a name.
    pub(super) fn names(&self, host: Arc<str>, port: u16) -> Names {
        let key = (host, port);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, name| name.strong_count() > 0);
        let known = all.get(&key).and_then(Weak::upgrade);
        let name = known.unwrap_or_else(|| {
            let name = Arc::new(Name::watched(key.clone()));
            all.insert(key, Arc::downgrade(&name));
            name
        });
        Names { found: name.found.clone(), name, last: None }
    }
}

impl Name {
    fn watched((host, port): Key) -> Self {
        let (tell, found) = watch::channel(None);
        let again = Arc::new(LookUp::default());
        let task = tokio::spawn(look(host, port, tell, again.clone()));
        Name { found, again, task }
    }
}

/// Looks up for ever.
async fn look(host: Arc<str>, port: u16, tell: watch::Sender<Option<Found>>, again: Arc<LookUp>) {
    let mut family = Family::default();
    let mut met = Met::Nothing;
    loop {
        // What this process is short of says nothing about a name.
        if let Some(found) = look_up(&host, port).await {
            let found = match found {
                Ok(addresses) => Ok(family.settled(addresses, met).await),
                Err(why) => Err(why),
            };
            tell.send_if_modified(|known| {
                let is_news = known.as_ref() != Some(&found);
                *known = Some(found);
                is_news
            });
        }
        sleep(AT_MOST).await;
        met = tokio::select! {
            () = sleep(EVERY - AT_MOST) => Met::Nothing,
            is_down = again.asked() => if is_down { Met::Down } else { Met::Failure },
        };
    }
}

/// One name under watch.
#[derive(Debug)]
pub(super) struct Names {
    name: Arc<Name>,
    found: watch::Receiver<Option<Found>>,
    last: Option<Found>,
}

impl Names {
    /// The answer of the first look-up, and then the next one that differs.
    pub(super) async fn changed(&mut self) -> Found {
        loop {
            let found = self.found.borrow_and_update().clone();
            if let Some(found) = found.filter(|found| self.last.as_ref() != Some(found)) {
                self.last = Some(found.clone());
                return found;
            }
            if self.found.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// To be asked when a connection to an address of it has failed.
    pub(super) fn again(&self) -> Arc<LookUp> {
        self.name.again.clone()
    }
}

/// `None` where this process had nothing to ask with.
async fn look_up(host: &str, port: u16) -> Option<Found> {
    Some(match timeout(EVERY, lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let mut addresses: Vec<_> = found.collect();
            addresses.sort_unstable();
            addresses.dedup();
            if addresses.is_empty() { Err("the name has no address".into()) } else { Ok(addresses) }
        }
        Ok(Err(error)) if OwnLimit::of_error(&error).is_some() => return None,
        Ok(Err(error)) => Err(format!("the name does not resolve: {error}")),
        Err(_) => Err(format!("the name does not resolve within {EVERY:?}")),
    })
}

/// What has been met at the addresses of a name since it was looked up last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    Nothing,
    /// A connection or a check failed.
    Failure,
    /// Checks have found all of them down.
    Down,
}

/// Which family of a name is used.
#[derive(Debug)]
struct Family {
    /// `None` until one has answered.
    is_ipv6: Option<bool>,
    /// Look-ups in a row that found all addresses down, though they take connections.
    down: u32,
    /// After so many of them the other family is tried first: it may be another server that takes these connections.
    patience: u32,
}

impl Default for Family {
    fn default() -> Self {
        Family { is_ipv6: None, down: 0, patience: PATIENCE }
    }
}

impl Family {
    /// The addresses to use. A family that has been chosen stays until a connection has failed.
    async fn settled(&mut self, addresses: Vec<SocketAddr>, met: Met) -> Vec<SocketAddr> {
        let (six, four): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv6);
        if six.is_empty() || four.is_empty() {
            *self = Family::default();
            return if six.is_empty() { four } else { six };
        }
        match met {
            Met::Nothing => (self.down, self.patience) = (0, PATIENCE),
            Met::Failure => self.down = 0,
            Met::Down => self.down += 1,
        }
        if self.is_ipv6.is_none() || met != Met::Nothing {
            let turns = self.down >= self.patience;
            if turns {
                (self.down, self.patience) = (0, (self.patience * 2).min(MOST_PATIENCE));
            }
            let six_first = self.is_ipv6.unwrap_or(true) != turns;
            let (first, second) = if six_first { (&six, &four) } else { (&four, &six) };
            if let Some(is_first) = race(first, second).await {
                self.is_ipv6 = Some(is_first == six_first);
            }
        }
        if self.is_ipv6.unwrap_or(true) { six } else { four }
    }
}

/// Whether the first or the second addresses answer; `None` where neither do.
async fn race(first: &[SocketAddr], second: &[SocketAddr]) -> Option<bool> {
    let mut ahead = pin!(answers(first));
    match timeout(HEAD_START, ahead.as_mut()).await {
        Ok(true) => return Some(true),
        Ok(false) => return answers(second).await.then_some(false),
        Err(_) => {}
    }
    let mut behind = pin!(answers(second));
    tokio::select! {
        answered = ahead.as_mut() => if answered { Some(true) } else { behind.await.then_some(false) },
        answered = behind.as_mut() => if answered { Some(false) } else { ahead.await.then_some(true) },
    }
}

/// Whether one of the addresses takes a connection.
async fn answers(addresses: &[SocketAddr]) -> bool {
    let mut tries: JoinSet<bool> = JoinSet::new();
    for address in addresses.iter().copied().take(TRIED) {
        tries.spawn(async move { matches!(timeout(RACE, TcpStream::connect(address)).await, Ok(Ok(_))) });
    }
    while let Some(answered) = tries.join_next().await {
        if answered.unwrap_or(false) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    async fn listener(address: &str) -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(address).await.expect("an address of this machine");
        let address = listener.local_addr().expect("an address");
        (listener, address)
    }

    /// An address of the other family with the same port, where nobody listens.
    fn beside(address: SocketAddr) -> SocketAddr {
        let host = if address.is_ipv4() { "::1" } else { "127.0.0.1" };
        SocketAddr::new(host.parse().expect("an address"), address.port())
    }

    #[tokio::test]
    async fn the_family_that_answers_is_used() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let (_listener, address) = listener(host).await;
            let mut family = Family::default();
            assert_eq!(family.settled(vec![address, beside(address)], Met::Nothing).await, [address]);
        }
    }

    #[tokio::test]
    async fn it_stays_until_a_connection_fails() {
        let (six, address) = listener("[::1]:0").await;
        let (_four, _) = listener(&beside(address).to_string()).await;
        let both = vec![address, beside(address)];
        let mut family = Family::default();
        assert_eq!(family.settled(both.clone(), Met::Nothing).await, [address], "IPv6 has a start");
        assert_eq!(family.settled(both.clone(), Met::Failure).await, [address], "it still answers");
        drop(six);
        assert_eq!(family.settled(both.clone(), Met::Nothing).await, [address], "nobody has met it yet");
        assert_eq!(family.settled(both.clone(), Met::Failure).await, [beside(address)]);
        let (_six, _) = listener(&address.to_string()).await;
        assert_eq!(family.settled(both, Met::Failure).await, [beside(address)], "no way back without need");
    }

    #[tokio::test]
    async fn who_takes_connections_and_fails_checks_is_left_after_a_while() {
        let (_six, address) = listener("[::1]:0").await;
        let (_four, _) = listener(&beside(address).to_string()).await;
        let both = vec![address, beside(address)];
        let mut family = Family::default();
        assert_eq!(family.settled(both.clone(), Met::Nothing).await, [address]);
        let mut turns = Vec::new();
        let mut now = address;
        for look in 1..=30 {
            let next = family.settled(both.clone(), Met::Down).await[0];
            if next != now {
                turns.push(look);
            }
            now = next;
        }
        assert_eq!(turns, [3, 9, 21], "ever more rarely");
        // Failures of requests alone are no reason.
        for _ in 0..10 {
            assert_eq!(family.settled(both.clone(), Met::Failure).await, [now]);
        }
    }

    #[tokio::test]
    async fn where_neither_answers_it_is_asked_again() {
        let (four, address) = listener("127.0.0.1:0").await;
        drop(four);
        let both = vec![address, beside(address)];
        let mut family = Family::default();
        assert_eq!(family.settled(both.clone(), Met::Nothing).await, [beside(address)]);
        let (_four, _) = listener(&address.to_string()).await;
        assert_eq!(family.settled(both, Met::Nothing).await, [address]);
    }

    #[tokio::test]
    async fn one_family_stays_as_it_is() {
        let several: Vec<SocketAddr> = ["10.0.0.1:80", "10.0.0.2:80"].map(|a| a.parse().expect("one")).into();
        assert_eq!(Family::default().settled(several.clone(), Met::Failure).await, several);
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_for_all_who_watch_it() {
        let resolver = Resolver::default();
        let mut watches: Vec<_> = (0..3).map(|_| resolver.names("127.0.0.1".into(), 80)).collect();
        for names in &mut watches {
            assert_eq!(names.changed().await, Ok(vec!["127.0.0.1:80".parse().expect("one")]));
        }
        let count =
            || resolver.0.lock().expect("whole").values().filter(|name| name.strong_count() > 0).count();
        assert_eq!(count(), 1);
        drop(watches);
        assert_eq!(count(), 0);
    }
}
