//! What an input leads to, as values: the parts of a service say what is to be done, and the controller does it.
//!
//! A part is given the collector of its service (`&mut Outputs`) instead of returning a list. One input passes
//! through several parts, whose outputs follow each other in the order of the calls; most methods also have an
//! answer of their own, and a health check that changes nothing allocates nothing. The order among the kinds is not
//! the parts' business: the interpreter (`controller.rs`) publishes and marks before it writes.

use super::command::{Job, Refusal, Reply};
use super::fleet::{FleetOrder, WritePurpose};
use super::journal::outbox::Outgoing;
use super::journal::{Change, HistoryRow, RolloutRecord};
use super::log::LogLine;
use super::view::RolloutView;
use crate::core::service::ServiceState;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::oneshot;

/// One thing to be done for one service.
#[derive(Debug)]
pub(super) enum Output {
    /// The next table has the service as it is then, and so has what is shown.
    Publish,
    /// Other upstreams are to be checked, or other signals scraped.
    Watch,
    /// The version in a pool loses its traffic with the next table: what did that is marked until it is durable.
    /// `rung_us` is when the bell was rung that led to it.
    Mark { mark: String, pool: String, rung_us: Option<u64> },
    /// What was marked is durable.
    Unmark,
    /// A line for the process's log, once the table is out.
    Log(LogLine),
    /// A rollout has ended.
    Ended(Box<RolloutView>),
    /// Work outside of this process.
    Ask(Box<Job>),
    /// A transaction of the journal; what becomes of it comes back under the same number.
    /// In a fleet it is the fleet's, with what that needs to know.
    Write { serial: u64, change: Box<Durable>, ask: Option<FleetAsk> },
    /// A rollout is aborted in the table: the fleet is to hear of it, with what the history says.
    Abort { rollout: String, why: String, rows: Vec<HistoryRow> },
    /// Something else for the fleet.
    Order(Box<FleetOrder>),
    /// Rows of history of this instance alone.
    Archive(Vec<HistoryRow>),
    /// What the fleet has written, for the own disk.
    Copy(Box<Durable>),
    /// A notice that no row of history goes with.
    Post(Box<Outgoing>),
    /// Somebody's change is so: answered once the table is out, with the service or the rollout as it is then.
    Answer(Answer),
    /// An answer that depends on nothing more.
    Reply(ReplyTo, Result<Reply, Refusal>),
}

/// What becomes durable at once: a service's state, with a rollout that was started or changed, and rows of history.
#[derive(Debug)]
pub(super) struct Durable {
    pub stored: Stored,
    pub rollout: Option<RolloutRecord>,
    pub history: Vec<HistoryRow>,
}

/// What a change is made of and for, in a fleet.
#[derive(Debug)]
pub(super) struct FleetAsk {
    pub purpose: WritePurpose,
    /// The transaction of the document that it was made of.
    pub base: Option<Arc<str>>,
    /// A rollout that begins with it.
    pub begins: Option<String>,
}

/// A service's state as it is stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    pub state: ServiceState,
}

impl Durable {
    /// As one transaction of the journal.
    pub(super) fn transaction(self, service: &str) -> Change {
        let Durable { stored, rollout, history } = self;
        // Maps with text keys, numbers and texts: there is nothing JSON cannot hold.
        let state = serde_json::to_string(&stored).unwrap_or_default();
        Change { service: service.to_owned(), state, rollout, history }
    }
}

/// Where the answer to a command goes.
pub(super) type ReplyTo = oneshot::Sender<Result<Reply, Refusal>>;

/// Somebody who waits for an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub to: ReplyTo,
    /// Whether the answer is the rollout, and if so, whether it is a new one.
    pub rollout: Option<bool>,
    /// What was done, for people.
    pub detail: Option<String>,
}

/// The outputs of one service, in the order in which its parts came to them.
#[derive(Debug, Default)]
pub(super) struct Outputs(Vec<Output>);

impl Outputs {
    pub(super) fn push(&mut self, output: Output) {
        self.0.push(output);
    }

    pub(super) fn publish(&mut self) {
        if !self.publishes() {
            self.0.push(Output::Publish);
        }
    }

    pub(super) fn watch(&mut self) {
        if !self.0.iter().any(|output| matches!(output, Output::Watch)) {
            self.0.push(Output::Watch);
        }
    }

    pub(super) fn log(&mut self, lines: impl IntoIterator<Item = LogLine>) {
        self.0.extend(lines.into_iter().map(Output::Log));
    }

    pub(super) fn refuse(&mut self, answer: Answer, refusal: Refusal) {
        self.0.push(Output::Reply(answer.to, Err(refusal)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn publishes(&self) -> bool {
        self.0.iter().any(|output| matches!(output, Output::Publish))
    }

    /// The pool whose version loses its traffic with the next table.
    pub(super) fn marked(&self) -> Option<&str> {
        self.0.iter().find_map(|output| match output {
            Output::Mark { pool, .. } => Some(pool.as_str()),
            _ => None,
        })
    }

    /// Takes out those of some kinds; the others keep their order.
    pub(super) fn take(&mut self, kinds: fn(&Output) -> bool) -> Vec<Output> {
        self.0.extract_if(.., |output| kinds(output)).collect()
    }
}
