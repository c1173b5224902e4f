//! Whether it is still the same store: no answer may be of an earlier revision than what was known when it was asked for.
//!
//! A store that was wiped or restored from a backup keeps its cluster id, and a watch from a later revision is silent on
//! it for ever; its revision alone gives it away. A member that lags behind answers with an earlier one, too, but only
//! to questions that it answers by itself: those are not held against the mark.

use super::messages::ResponseHeader;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

/// The store has fallen back: all that was read of it is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewound {
    /// The highest revision that was seen before.
    pub seen: i64,
    pub now: i64,
}

/// The highest revision that any answer had.
#[derive(Debug)]
pub(super) struct Seen {
    known: Mutex<Known>,
    rewound: watch::Sender<Option<Rewound>>,
}

#[derive(Debug, Default)]
struct Known {
    /// 0 until the first answer.
    cluster: u64,
    mark: Mark,
}

/// What an answer to a question that is asked now must not fall below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Grows when the store falls back.
    era: u64,
    revision: i64,
}

/// An answer came from another cluster than the ones before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this member belongs to the cluster {now:x}, and those before to {known:x}; list members of one cluster alone, or \
     restart if etcd was set up again on purpose"
)]
pub(super) struct OtherCluster {
    known: u64,
    now: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Seen { known: Mutex::default(), rewound: watch::Sender::new(None) }
    }
}

impl Seen {
    /// Taken before a question is asked.
    pub(super) fn mark(&self) -> Mark {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).mark
    }

    pub(super) fn revision(&self) -> i64 {
        self.mark().revision
    }

    /// A revision that is known from elsewhere, such as from a disk.
    pub(super) fn expect(&self, revision: i64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.mark.revision = known.mark.revision.max(revision);
    }

    /// Changes with every fall.
    pub(super) fn falls(&self) -> watch::Receiver<Option<Rewound>> {
        self.rewound.subscribe()
    }

    /// Takes an answer in. `asked_at` is the mark where the cluster as a whole has answered, `None` where a member has
    /// by itself.
    ///
    /// # Errors
    /// [`OtherCluster`]: the answer must not be used.
    pub(super) fn hear(&self, header: &ResponseHeader, asked_at: Option<Mark>) -> Result<(), OtherCluster> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match (known.cluster, header.cluster_id) {
            (_, 0) => {}
            (0, now) => known.cluster = now,
            (known, now) if known != now => return Err(OtherCluster { known, now }),
            _ => {}
        }
        let now = header.revision;
        match asked_at {
            _ if now <= 0 => {}
            Some(mark) if mark.era != known.mark.era => {}
            Some(mark) if now < mark.revision => {
                let seen = known.mark.revision;
                known.mark = Mark { era: mark.era + 1, revision: now };
                self.rewound.send_replace(Some(Rewound { seen, now }));
            }
            _ => known.mark.revision = known.mark.revision.max(now),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(revision: i64) -> ResponseHeader {
        ResponseHeader { cluster_id: 7, member_id: 1, revision }
    }

    #[test]
    fn a_fall_is_seen_once_and_not_where_answers_cross() {
        let seen = Seen::default();
        let mut falls = seen.falls();
        let early = seen.mark();
        seen.hear(&header(10), Some(seen.mark())).expect("heard");
        seen.hear(&header(9), Some(early)).expect("asked before 10 was known");
        seen.hear(&header(3), None).expect("a member that lags");
        assert!(!falls.has_changed().expect("alive"));
        let mark = seen.mark();
        seen.hear(&header(4), Some(mark)).expect("heard");
        assert_eq!(*falls.borrow_and_update(), Some(Rewound { seen: 10, now: 4 }));
        seen.hear(&header(5), Some(mark)).expect("asked before the fall");
        seen.hear(&header(11), Some(mark)).expect("the old store once more");
        assert!(!falls.has_changed().expect("alive"));
        assert_eq!(seen.revision(), 4);
        seen.expect(20);
        seen.hear(&header(6), Some(seen.mark())).expect("heard");
        assert_eq!(*falls.borrow_and_update(), Some(Rewound { seen: 20, now: 6 }));
    }

    #[test]
    fn another_cluster_is_not_listened_to() {
        let seen = Seen::default();
        seen.hear(&header(10), Some(seen.mark())).expect("heard");
        let other = ResponseHeader { cluster_id: 8, ..header(2) };
        let fault = seen.hear(&other, Some(seen.mark())).expect_err("another cluster");
        assert!(fault.to_string().contains("members of one cluster"));
        assert_eq!(seen.revision(), 10);
    }
}
