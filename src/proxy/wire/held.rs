//! A part of an answer that is held in memory until its client takes it.
//!
//! It lies in pieces of one size, so that what has been taken is given back at once, and so is its part of the
//! [`MemoryAccount`].

use super::scratch::SCRATCH_BYTES;
use crate::core::memory::{Lease, MemoryAccount};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bytes of a piece.
const PIECE_BYTES: usize = 16 << 10;

/// What has come of an answer and was not taken yet.
#[derive(Debug, Default)]
pub(in crate::proxy) struct HeldAnswer {
    pieces: VecDeque<Vec<u8>>,
    /// The most bytes that are held; 0 holds none.
    most: usize,
    lease: Option<Lease>,
}

impl HeldAnswer {
    pub(in crate::proxy) fn new(most: usize) -> Self {
        HeldAnswer { most, ..HeldAnswer::default() }
    }

    /// Whether answers are held at all.
    pub(in crate::proxy) fn is_used(&self) -> bool {
        self.most > 0
    }

    pub(in crate::proxy) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether as much as is read at a time can be held, and the account has room for it.
    pub(in crate::proxy) fn has_room(&mut self, account: &Arc<MemoryAccount>) -> bool {
        let held = self.pieces.len() * PIECE_BYTES;
        if held >= self.most {
            return false;
        }
        let needed = held + SCRATCH_BYTES;
        match &mut self.lease {
            Some(lease) => lease.try_cover(needed),
            None => {
                self.lease = account.try_reserve(needed);
                self.lease.is_some()
            }
        }
    }

    /// Holds what has come.
    pub(in crate::proxy) fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.pieces.back_mut().filter(|last| last.len() < PIECE_BYTES) {
                Some(last) => {
                    let (fits, more) = rest.split_at(rest.len().min(PIECE_BYTES - last.len()));
                    last.extend_from_slice(fits);
                    rest = more;
                }
                None => self.pieces.push_back(Vec::with_capacity(PIECE_BYTES)),
            }
        }
    }

    /// The piece that is next.
    pub(in crate::proxy) fn pop(&mut self) -> Option<Vec<u8>> {
        let piece = self.pieces.pop_front();
        if self.pieces.is_empty() {
            self.lease = None;
        } else if let Some(lease) = &mut self.lease {
            lease.settle(self.pieces.len() * PIECE_BYTES);
        }
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_comes_out_in_order_and_is_counted_until_then() {
        let account = Arc::new(MemoryAccount::new(1 << 20));
        let mut held = HeldAnswer::new(256 << 10);
        let (mut came, mut sent) = (Vec::new(), Vec::new());
        for n in 0.. {
            if !held.has_room(&account) {
                break;
            }
            let piece = vec![n as u8; 1 + 7_777 * (n % 9)];
            held.push(&piece);
            came.extend(piece);
        }
        assert!((256 << 10..320 << 10).contains(&came.len()), "{}", came.len());
        assert!(account.held() >= came.len());
        while let Some(piece) = held.pop() {
            sent.extend(piece);
        }
        assert!(sent == came && held.is_empty() && account.held() == 0);
    }

    #[test]
    fn without_room_in_the_account_nothing_more_is_held() {
        let account = Arc::new(MemoryAccount::new(100 << 10));
        let (mut one, mut other) = (HeldAnswer::new(1 << 20), HeldAnswer::new(1 << 20));
        assert!(one.has_room(&account));
        one.push(&[1; 20_000]);
        assert!(!other.has_room(&account));
        while one.pop().is_some() {}
        assert!(other.has_room(&account));
        assert!(!HeldAnswer::new(0).has_room(&account));
    }
}
