//! What the clients of each route were answered, for the table. The counts outlive tables and reloads: those of a route
//! that is there no more end with the table that had it.

use crate::core::settings::Config;
use crate::core::table::RouteAnswers;
use crate::observe::recorder::Recorder;
use std::collections::HashMap;
use std::sync::Arc;

/// By what routes are called. Routes of one name have one count.
#[derive(Debug, Default)]
pub(super) struct Answers(HashMap<String, Arc<RouteAnswers>>);

impl Answers {
    /// The counts of every route, in their order.
    pub(super) fn of_routes(&mut self, config: &Config, recorder: &Recorder) -> Arc<[Arc<RouteAnswers>]> {
        let before = std::mem::take(&mut self.0);
        let specs = config.routes.specs().iter();
        let counts = specs.map(|spec| {
            let label = spec.label();
            let known = before.get(&label).cloned();
            self.0.entry(label).or_insert_with(|| known.unwrap_or_else(|| recorder.answers())).clone()
        });
        counts.collect()
    }
}
