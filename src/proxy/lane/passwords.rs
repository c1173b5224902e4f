//! Verifying passwords: away from the workers' threads, few at a time, and each right one once.
//!
//! A hash is made to take long. What has been proven is remembered by a worker, as a keyed digest of the hash, the name
//! and the password, so that a request does not pay for it again; another hash in the file makes another digest. Wrong
//! ones are paid for each time: only so many are verified at once, only so many wait, and few of one client.

use crate::core::client::ClientKey;
use crate::core::credentials::Credentials;
use crate::core::htpasswd::Htpasswd;
use crate::core::secret::{Key, Secret, hmac};
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Passwords that a worker remembers, about.
const REMEMBERED: usize = 1024;
/// Requests that may wait for their password to be verified, in all and of one client; and how long.
const MOST_WAITING: usize = 64;
const MOST_OF_CLIENT: usize = 8;
const PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    static PROVEN: RefCell<ProvenPasswords> = RefCell::default();
}

/// Where passwords are verified. All workers share it.
#[derive(Debug)]
pub struct PasswordDoor {
    /// Of the digests.
    key: Key,
    verifying: Arc<Semaphore>,
    /// Who waits, once for each request.
    waiting: Mutex<Vec<ClientKey>>,
}

/// What came of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PasswordCheck {
    Right,
    Wrong,
    /// Too many are to be verified already.
    Crowded,
}

impl PasswordDoor {
    /// Beside so many workers, half as many passwords are verified at once.
    pub fn new(secret: &Secret, workers: usize) -> Self {
        PasswordDoor {
            key: secret.key("passwords", ""),
            verifying: Arc::new(Semaphore::new((workers / 2).max(1))),
            waiting: Mutex::default(),
        }
    }

    /// Whether a client shows a password of these users.
    pub(super) async fn check(
        &self,
        users: &Arc<Htpasswd>,
        shown: Credentials,
        client: ClientKey,
    ) -> PasswordCheck {
        let proof = self.proof(users, &shown);
        if PROVEN.with_borrow_mut(|proven| proven.has(&proof)) {
            return PasswordCheck::Right;
        }
        let Some(_place) = self.wait(client) else { return PasswordCheck::Crowded };
        let Ok(Ok(turn)) = timeout(PATIENCE, self.verifying.clone().acquire_owned()).await else {
            return PasswordCheck::Crowded;
        };
        // Another request may have shown the same meanwhile.
        if PROVEN.with_borrow_mut(|proven| proven.has(&proof)) {
            return PasswordCheck::Right;
        }
        let users = users.clone();
        let verified = spawn_blocking(move || {
            let _turn = turn;
            users.verify(&shown.name, &shown.password)
        });
        if verified.await.unwrap_or(false) {
            PROVEN.with_borrow_mut(|proven| proven.add(proof));
            PasswordCheck::Right
        } else {
            PasswordCheck::Wrong
        }
    }

    fn proof(&self, users: &Htpasswd, shown: &Credentials) -> [u8; 32] {
        let hash = users.hash_of(&shown.name).map_or(&b""[..], |hash| hash.as_bytes());
        // Neither a hash nor a name has a line feed.
        hmac(&self.key, &[hash, b"\n", shown.name.as_bytes(), b"\n", &shown.password])
    }

    fn wait(&self, client: ClientKey) -> Option<WaitingPlace<'_>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let of_client = waiting.iter().filter(|other| **other == client).count();
        if waiting.len() >= MOST_WAITING || of_client >= MOST_OF_CLIENT {
            return None;
        }
        waiting.push(client);
        Some(WaitingPlace { door: self, client })
    }
}

/// A place among those who wait, until it is dropped.
struct WaitingPlace<'a> {
    door: &'a PasswordDoor,
    client: ClientKey,
}

impl Drop for WaitingPlace<'_> {
    fn drop(&mut self) {
        let mut waiting = self.door.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = waiting.iter().position(|client| *client == self.client) {
            waiting.swap_remove(place);
        }
    }
}

/// Digests of what a worker has proven, in two generations: the older one goes when the newer one is full.
#[derive(Default)]
struct ProvenPasswords {
    new: HashSet<[u8; 32]>,
    old: HashSet<[u8; 32]>,
}

impl ProvenPasswords {
    fn has(&mut self, proof: &[u8; 32]) -> bool {
        if self.new.contains(proof) {
            return true;
        }
        let is_old = self.old.remove(proof);
        if is_old {
            self.add(*proof);
        }
        is_old
    }

    fn add(&mut self, proof: [u8; 32]) {
        if self.new.len() >= REMEMBERED / 2 {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(proof);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_is_remembered_and_what_is_not_goes() {
        let digest = |n: usize| std::array::from_fn(|at| n.to_be_bytes().get(at).copied().unwrap_or(0));
        let mut proven = ProvenPasswords::default();
        for n in 0..REMEMBERED * 2 {
            assert!(n == 0 || proven.has(&digest(0)), "{n}");
            proven.add(digest(n));
        }
        assert!(!proven.has(&digest(1)) && proven.has(&digest(REMEMBERED * 2 - 1)));
        assert!(proven.new.len() + proven.old.len() <= REMEMBERED);
    }

    #[test]
    fn few_wait_and_fewer_of_one_client() {
        let door = PasswordDoor::new(&Secret::new([7; 32]), 1);
        let client = |n: u8| ClientKey::of([192, 0, 2, n].into());
        let mine: Vec<_> = (0..MOST_OF_CLIENT).map(|_| door.wait(client(1)).expect("room")).collect();
        assert!(door.wait(client(1)).is_none());
        let others: Vec<_> =
            (0..MOST_WAITING - MOST_OF_CLIENT).map(|n| door.wait(client(n as u8 + 2))).collect();
        assert!(others.iter().all(Option::is_some) && door.wait(client(200)).is_none());
        drop(mine);
        assert!(door.wait(client(1)).is_some());
    }
}
