//! What the requests of one connection of HTTP/2 have to know of their streams.

use super::active::Busy;
use crate::observe::access_log::Cut;
use crate::proxy::wire::frames::Heard;
use crate::proxy::wire::interim::Interim;
use std::sync::{Arc, Mutex, PoisonError};

/// One stream.
pub(super) struct Stream {
    heard: Arc<Heard>,
    /// What is said on the connection before answers.
    pub interim: Arc<Interim>,
    /// Its place among the streams that are served. Taken twice in its life, by one thread.
    turn: Mutex<Option<Busy>>,
}

impl Stream {
    pub(super) fn new(heard: Arc<Heard>, interim: Arc<Interim>, busy: Busy) -> Self {
        Stream { heard, interim, turn: Mutex::new(Some(busy)) }
    }

    /// What has ended its connection, if anything did.
    pub(super) fn cut(&self) -> Option<Cut> {
        self.heard.ended()
    }

    /// It has lived so long that it counts as served.
    pub(super) fn served(&self) {
        self.heard.served();
    }

    /// It has been answered, and only waits for its end: another may be served.
    pub(super) fn give_turn(&self) {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
