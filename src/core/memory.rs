//! What bodies and unread answers hold together in memory, over all workers.
//!
//! Whoever means to hold bytes reserves them first, in large steps, since the account is shared; where there is no room,
//! bodies and answers stream. What is read and passed on at once is not counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The account of the process.
#[derive(Debug)]
pub struct MemoryAccount {
    limit_bytes: u64,
    held_bytes: AtomicU64,
}

/// Bytes that are reserved until it is dropped.
#[derive(Debug)]
pub struct Lease {
    account: Arc<MemoryAccount>,
    bytes: u64,
}

impl MemoryAccount {
    pub fn new(limit_bytes: u64) -> Self {
        MemoryAccount { limit_bytes, held_bytes: AtomicU64::new(0) }
    }

    pub fn held_bytes(&self) -> u64 {
        self.held_bytes.load(Relaxed)
    }

    /// `None` where there is no room for so many more.
    pub fn try_reserve(self: &Arc<Self>, bytes: u64) -> Option<Lease> {
        self.take(bytes).then(|| Lease { account: self.clone(), bytes })
    }

    fn take(&self, bytes: u64) -> bool {
        let before = self.held_bytes.fetch_add(bytes, Relaxed);
        let fits = before.checked_add(bytes).is_some_and(|held| held <= self.limit_bytes);
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: u64) {
        self.held_bytes.fetch_sub(bytes, Relaxed);
    }
}

impl Lease {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Has it cover so many bytes in all; `false` where there is no room for that. It never becomes smaller.
    pub fn try_cover(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let has_room = more == 0 || self.account.take(more);
        if has_room {
            self.bytes += more;
        }
        has_room
    }

    /// Gives back what is beyond so many bytes.
    pub fn shrink_to(&mut self, bytes: u64) {
        let less = self.bytes.saturating_sub(bytes);
        self.account.give_back(less);
        self.bytes -= less;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.account.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_reserved_is_given_back() {
        let account = Arc::new(MemoryAccount::new(100));
        let mut one = account.try_reserve(60).expect("room");
        assert!(account.try_reserve(41).is_none());
        assert_eq!(account.held_bytes(), 60, "what is refused is not held");
        assert!(one.try_cover(50) && one.try_cover(100) && !one.try_cover(101));
        assert_eq!(account.held_bytes(), 100);
        one.shrink_to(30);
        assert_eq!(account.held_bytes(), 30);
        let other = account.try_reserve(70).expect("room");
        drop((one, other));
        assert_eq!(account.held_bytes(), 0);
        assert!(account.try_reserve(u64::MAX).is_none() && account.held_bytes() == 0);
    }
}
