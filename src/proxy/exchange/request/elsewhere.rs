//! What becomes of a request's attempt that is taken back, and of its place among those of the worker.

use super::Request;
use crate::core::balance::Tried;
use crate::core::table::Table;
use crate::proxy::decide::plan::Target;
use std::sync::Arc;

impl Request {
    /// It goes elsewhere, as a request that has not been tried yet.
    pub(in crate::proxy) fn turn_to(&mut self, table: Arc<Table>, target: Target) {
        let is_same = self.target == Some(target) && Arc::ptr_eq(&self.table, &table);
        if !is_same {
            self.tried = Tried::default();
        }
        self.recalls += 1;
        self.attempts_before = self.attempts;
        self.table = table;
        self.target = Some(target);
    }

    /// Its attempt is over, or somebody else's business; whether it was ended to take the request back.
    pub(in crate::proxy) fn leave_registry(&mut self) -> bool {
        self.place.take().is_some_and(|place| self.registry.leave(place))
    }

    /// Its attempt cannot be taken back any more.
    pub(in crate::proxy) fn settle(&mut self) {
        if let Some(place) = &mut self.place {
            self.registry.settle(place);
        }
    }

    /// Whether the proxy still waits for a part of it.
    pub(in crate::proxy) fn is_held(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.started.is_held())
    }
}
