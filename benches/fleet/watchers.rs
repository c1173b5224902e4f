//! When each instance shows a weight: a client at each waits for news of its table.

use super::harness::{Connection, Pointsman};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Watchers {
    shown: Receiver<Shown>,
    count: usize,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

/// What a member shows from then on.
#[derive(Clone, Copy, Debug)]
struct Shown {
    member: usize,
    at: Instant,
    green: f64,
}

impl Watchers {
    pub(super) fn of(members: &[Pointsman]) -> Self {
        let (sender, shown) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let client = |(member, of): (usize, &Pointsman)| {
            let (stop, sender, admin) = (stop.clone(), sender.clone(), of.admin);
            std::thread::spawn(move || watch(member, admin, &sender, &stop))
        };
        let clients = members.iter().enumerate().map(client).collect();
        Watchers { shown, count: members.len(), stop, clients }
    }

    /// Lets go of what was shown so far.
    pub(super) fn forget(&self) {
        while self.shown.try_recv().is_ok() {}
    }

    /// When the last of all members showed this, if any shows it within that time.
    pub(super) fn last(&self, green: f64, within: Duration) -> Option<Instant> {
        let mut at = vec![None; self.count];
        let mut until = Instant::now() + within;
        while at.iter().any(Option::is_none) {
            let Ok(shown) = self.shown.recv_timeout(until.saturating_duration_since(Instant::now())) else {
                let missing = at.iter().filter(|at| at.is_none()).count();
                assert_eq!(missing, self.count, "some show {green} of green, and others never");
                return None;
            };
            if shown.green == green {
                at[shown.member].get_or_insert(shown.at);
                until = Instant::now() + PATIENCE;
            }
        }
        at.into_iter().flatten().max()
    }

    /// The same, where it surely happens.
    pub(super) fn all(&self, green: f64) -> Instant {
        self.last(green, PATIENCE).expect("it is shown")
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.drain(..).for_each(|client| drop(client.join()));
    }
}

fn watch(member: usize, admin: SocketAddr, sender: &Sender<Shown>, stop: &AtomicBool) {
    let Ok(mut connection) = Connection::try_open(admin) else { return };
    let mut query = String::new();
    let mut last = None;
    while !stop.load(Ordering::SeqCst) {
        let answer = connection.get(&format!("/v1/services/web{query}"));
        let at = Instant::now();
        let Ok(view) = serde_json::from_slice::<Value>(&answer.body) else { return };
        let green = view["pools"]["green"]["weight"].as_f64();
        query = format!("?wait=1s&after={}", view["revision"]);
        if let Some(green) = green.filter(|_| green != last)
            && sender.send(Shown { member, at, green }).is_err()
        {
            return;
        }
        last = green;
    }
}
