//! What bodies and unread answers hold together, and may hold: one account for the whole process.
//!
//! Whoever can do without reserves first ([`MemoryAccount::try_reserve`]) and does less where there is no room. What
//! has to be held, since it has come already, is entered whatever the limit says ([`Lease::settle`]): what is in use
//! is never dropped, but all others do with less until it is gone. A lease gives back what it holds when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bytes that are held, and their limit.
#[derive(Debug)]
pub struct MemoryAccount {
    limit: AtomicUsize,
    held: AtomicUsize,
}

impl MemoryAccount {
    /// An account of so many bytes.
    pub fn new(limit: usize) -> Self {
        MemoryAccount { limit: AtomicUsize::new(limit), held: AtomicUsize::new(0) }
    }

    /// Another limit, from now on; what is held stays.
    pub fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Relaxed);
    }

    /// Bytes that may be held.
    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Whether nothing more can be reserved.
    pub fn is_full(&self) -> bool {
        self.held() >= self.limit()
    }

    /// Bytes that are held beyond the limit.
    pub fn excess(&self) -> usize {
        self.held().saturating_sub(self.limit())
    }

    /// So many bytes, if there is room for all of them.
    pub fn try_reserve(self: &Arc<Self>, bytes: usize) -> Option<Lease> {
        let mut lease = self.lease();
        lease.try_grow(bytes).then_some(lease)
    }

    /// A lease that holds nothing yet.
    pub fn lease(self: &Arc<Self>) -> Lease {
        Lease { account: self.clone(), bytes: 0 }
    }
}

/// Bytes that somebody holds, until it is dropped.
#[derive(Debug)]
pub struct Lease {
    account: Arc<MemoryAccount>,
    bytes: usize,
}

impl Lease {
    /// How many they are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// So many more, if there is room for them; else nothing changes.
    pub fn try_grow(&mut self, more: usize) -> bool {
        let account = &self.account;
        let limit = account.limit();
        let grown = |held: usize| held.checked_add(more).filter(|sum| *sum <= limit);
        let is_granted = account.held.fetch_update(Relaxed, Relaxed, grown).is_ok();
        self.bytes += if is_granted { more } else { 0 };
        is_granted
    }

    /// So many in all, if there is room for them; it never holds less than before.
    pub fn try_cover(&mut self, bytes: usize) -> bool {
        self.try_grow(bytes.saturating_sub(self.bytes))
    }

    /// So many, no more and no less, whether or not there is room for them.
    pub fn settle(&mut self, bytes: usize) {
        match bytes.checked_sub(self.bytes) {
            Some(0) => {}
            Some(more) => drop(self.account.held.fetch_add(more, Relaxed)),
            None => drop(self.account.held.fetch_sub(self.bytes - bytes, Relaxed)),
        }
        self.bytes = bytes;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.settle(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_more_is_reserved_than_there_is() {
        let account = Arc::new(MemoryAccount::new(100));
        let first = account.try_reserve(60).expect("there is room");
        assert!(account.try_reserve(41).is_none());
        let mut second = account.try_reserve(30).expect("there is room");
        assert!(!second.try_grow(11) && second.try_grow(10) && account.is_full());
        assert!(account.try_reserve(usize::MAX).is_none(), "no sum overflows");
        drop(first);
        assert_eq!((account.held(), second.bytes()), (40, 40));
        account.set_limit(50);
        assert!(!second.try_grow(20) && second.try_grow(10));
        drop(second);
        assert_eq!(account.held(), 0);
    }

    #[test]
    fn what_is_there_already_is_entered_beyond_the_limit() {
        let account = Arc::new(MemoryAccount::new(100));
        let mut lease = account.lease();
        lease.settle(150);
        assert!(account.is_full() && account.excess() == 50 && account.try_reserve(1).is_none());
        lease.settle(20);
        assert_eq!(account.try_reserve(80).map(|lease| lease.bytes()), Some(80));
        drop(lease);
        assert_eq!(account.held(), 0);
    }

    proptest! {
        #[test]
        fn all_of_it_comes_back(steps in prop::collection::vec((0usize..4, 0usize..200, any::<bool>()), 0..60)) {
            let account = Arc::new(MemoryAccount::new(300));
            let mut leases: Vec<_> = (0..4).map(|_| account.lease()).collect();
            for (index, bytes, is_settled) in steps {
                if is_settled {
                    leases[index].settle(bytes);
                } else if leases[index].try_grow(bytes) {
                    prop_assert!(account.held() <= 300);
                }
                prop_assert_eq!(account.held(), leases.iter().map(Lease::bytes).sum::<usize>());
            }
            drop(leases);
            prop_assert_eq!(account.held(), 0);
        }
    }
}
