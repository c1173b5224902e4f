//! How the workers hear whose waiting requests go elsewhere ([`Recall`]).

use crate::core::recall::Recall;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// Recalls that a worker may be behind by; older ones are of no use any more.
const REMEMBERED: usize = 256;

/// The latest recalls, each with its number.
#[derive(Clone, Debug, Default)]
struct Latest {
    recalls: VecDeque<(u64, Recall)>,
    next: u64,
}

/// Where the controller gives recalls.
#[derive(Debug)]
pub struct Recalls(watch::Sender<Arc<Latest>>);

impl Default for Recalls {
    fn default() -> Self {
        Recalls(watch::Sender::new(Arc::default()))
    }
}

impl Recalls {
    pub fn give(&self, recalls: Vec<Recall>) {
        if recalls.is_empty() {
            return;
        }
        self.0.send_modify(|latest| {
            let latest = Arc::make_mut(latest);
            for recall in recalls {
                latest.recalls.push_back((latest.next, recall));
                latest.next += 1;
            }
            let surplus = latest.recalls.len().saturating_sub(REMEMBERED);
            latest.recalls.drain(..surplus);
        });
    }

    /// Hears what is given from now on.
    pub fn hear(&self) -> RecallReceiver {
        let receiver = self.0.subscribe();
        let seen = receiver.borrow().next;
        RecallReceiver { receiver, seen }
    }
}

/// One worker's ear.
#[derive(Debug)]
pub struct RecallReceiver {
    receiver: watch::Receiver<Arc<Latest>>,
    seen: u64,
}

impl RecallReceiver {
    /// The next recalls; `None` once nobody can give any.
    pub async fn next(&mut self) -> Option<Vec<Recall>> {
        self.receiver.changed().await.ok()?;
        let latest = self.receiver.borrow_and_update().clone();
        let fresh = latest.recalls.iter().filter(|(number, _)| *number >= self.seen);
        let fresh = fresh.map(|(_, recall)| *recall).collect();
        self.seen = latest.next;
        Some(fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::outcome::ArmId;

    #[tokio::test]
    async fn each_is_heard_once_and_none_is_lost_that_came_in_between() {
        let recalls = Recalls::default();
        let recall = |arm| Recall { arm: ArmId(arm), upstream: None, revision: 1 };
        recalls.give(vec![recall(0)]);
        let mut ear = recalls.hear();
        recalls.give(vec![recall(1)]);
        recalls.give(Vec::new());
        recalls.give(vec![recall(2), recall(3)]);
        assert_eq!(ear.next().await, Some(vec![recall(1), recall(2), recall(3)]));
        recalls.give(vec![recall(4)]);
        assert_eq!(ear.next().await, Some(vec![recall(4)]));
        drop(recalls);
        assert_eq!(ear.next().await, None);
    }
}
