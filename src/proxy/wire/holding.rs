//! What a worker's connections hold of the memory for bodies and unread answers.
//!
//! Bytes are entered once they have to wait, so that an answer that its client takes at once costs nothing. While
//! the account is full, less is read at a time ([`scratch`](super::scratch)).

use crate::core::memory::{Lease, MemoryAccount};
use std::cell::OnceCell;
use std::sync::Arc;

thread_local! {
    static ACCOUNT: OnceCell<Arc<MemoryAccount>> = const { OnceCell::new() };
}

/// From now on, what waits on this thread is entered there.
pub(in crate::proxy) fn charge_to(account: &Arc<MemoryAccount>) {
    ACCOUNT.with(|own| drop(own.set(account.clone())));
}

/// Whether there is too little memory to read ahead.
pub(in crate::proxy) fn is_full() -> bool {
    ACCOUNT.with(|own| own.get().is_some_and(|account| account.is_full()))
}

/// What one buffer holds, until it is dropped.
#[derive(Debug, Default)]
pub(in crate::proxy) struct HeldMemory(Option<Lease>);

impl HeldMemory {
    /// So many bytes from the start.
    pub(in crate::proxy) fn of(bytes: usize) -> Self {
        let mut held = HeldMemory::default();
        held.settle(bytes);
        held
    }

    /// It holds so many bytes now.
    pub(in crate::proxy) fn settle(&mut self, bytes: usize) {
        match &mut self.0 {
            Some(lease) if bytes > 0 => lease.settle(bytes),
            Some(_) => self.0 = None,
            None if bytes > 0 => {
                self.0 = ACCOUNT.with(|own| own.get().map(MemoryAccount::lease));
                self.0.iter_mut().for_each(|lease| lease.settle(bytes));
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_entered_and_given_back() {
        let account = Arc::new(MemoryAccount::new(100));
        let mut nobodys = HeldMemory::default();
        nobodys.settle(1000);
        charge_to(&account);
        assert!(!is_full() && nobodys.0.is_none(), "there was no account");
        let (mut one, mut other) = (HeldMemory::default(), HeldMemory::default());
        one.settle(60);
        other.settle(60);
        assert!(is_full());
        one.settle(0);
        assert_eq!(account.held(), 60);
        other.settle(10);
        drop(other);
        assert_eq!(account.held(), 0);
    }
}
