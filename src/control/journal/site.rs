//! Changes that belong to no one service: the whole site's state, with rows in several histories.

use super::{HistoryRow, Journal, JournalError, Message};
use crate::control::answer::answer;
use std::sync::mpsc;
use tokio::sync::oneshot;

/// One transaction.
#[derive(Clone, Debug)]
pub struct SiteChange {
    /// The whole site's state, as the controller stores it.
    pub state: String,
    /// Each with the service whose history it belongs to.
    pub history: Vec<(String, HistoryRow)>,
}

impl Journal {
    /// Makes a change durable, as [`Journal::append`] does.
    pub fn append_site(&self, change: SiteChange) -> oneshot::Receiver<Result<(), JournalError>> {
        let (to, receiver) = oneshot::channel();
        if let Err(mpsc::SendError(Message::Site(_, to))) = self.messages.send(Message::Site(change, to)) {
            answer(to, Err(JournalError::Write("its thread has ended".into())));
        }
        receiver
    }
}
