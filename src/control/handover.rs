//! Handing the state over to another process of ours, and taking it back.
//!
//! The state has one owner. Before another process may have it, everything that is in effect is written,
//! nothing new is decided, and the store is closed. From then on this process serves by its last table:
//! checks still take upstreams out and bring them back, but weights and rollouts stand still, and
//! commands wait. Where the other process fails, the store is opened again and what is found
//! in it holds, since the other may have decided something before it ended.

use super::answer::answer;
use super::command::{Input, Refusal};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long what is in effect may take to become durable.
const WRITING: Duration = Duration::from_secs(5);
/// Pause before the store is tried again that could not be taken back.
const RETRY: Duration = Duration::from_secs(1);

pub(super) type Answer = oneshot::Sender<Result<(), String>>;

/// Whose the state is.
#[derive(Debug)]
pub(super) enum Custody {
    Ours,
    /// Nothing is decided any more; what is in effect is being written.
    Leaving {
        until: Duration,
        to: Answer,
    },
    /// Another process has it.
    Left,
    /// And has it for good.
    Gone,
    /// It should be ours again, but the store cannot be opened; tried again at this time.
    Missed(Duration),
}

/// What is to be done with the state store now.
pub(super) enum Duty {
    Nothing,
    /// Everything is written: it is to be closed.
    Close(Answer),
    /// It took too long to write everything: the state stays ours.
    Stay(Answer),
    /// It is to be opened again.
    Reopen,
}

impl Custody {
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Custody::Ours)
    }

    pub(super) fn may_write(&self) -> bool {
        matches!(self, Custody::Ours | Custody::Leaving { .. })
    }

    pub(super) fn is_leaving(&self) -> bool {
        matches!(self, Custody::Leaving { .. })
    }

    /// Nothing is decided from now on.
    pub(super) fn leave(&mut self, now: Duration, to: Answer) {
        *self = Custody::Leaving { until: now + WRITING, to };
    }

    /// The store could not be opened.
    pub(super) fn miss(&mut self, now: Duration) {
        *self = Custody::Missed(now + RETRY);
    }

    /// Whether an input is taken in now.
    pub(super) fn admit(&self, input: Input) -> Admission {
        match input {
            input if self.is_ours() => Admission::Now(input),
            Input::Health { .. }
            | Input::Resolved { .. }
            | Input::Containers { .. }
            | Input::OwnLimit { .. } => Admission::Now(input),
            Input::Command { .. } => match self {
                Custody::Gone => {
                    refer(input);
                    Admission::Never
                }
                _ => Admission::Later(input),
            },
            Input::JobDone { .. } | Input::Signals { .. } => Admission::Never,
        }
    }

    /// What is due; `is_all_written` says that everything in effect is durable.
    pub(super) fn duty(&mut self, now: Duration, is_all_written: bool) -> Duty {
        match std::mem::replace(self, Custody::Ours) {
            Custody::Leaving { to, .. } if is_all_written => {
                *self = Custody::Left;
                Duty::Close(to)
            }
            Custody::Leaving { until, to } if now >= until => Duty::Stay(to),
            Custody::Missed(at) if now >= at => {
                *self = Custody::Missed(at);
                Duty::Reopen
            }
            other => {
                *self = other;
                Duty::Nothing
            }
        }
    }
}

/// What becomes of an input while the state is not ours.
pub(super) enum Admission {
    /// It is taken in.
    Now(Input),
    /// It waits until the state is ours again.
    Later(Input),
    /// It goes nowhere: it is asked for again afterwards, or who asked was referred to the other process.
    Never,
}

pub(super) enum Order {
    Release(Answer),
    TakeBack(Answer),
    Leave,
}

/// The way to hand the state over; cheap to clone. Its calls block.
#[derive(Clone, Debug)]
pub struct Handover {
    orders: mpsc::UnboundedSender<Order>,
}

impl Handover {
    pub(super) fn channel() -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (orders, received) = mpsc::unbounded_channel();
        (Handover { orders }, received)
    }

    /// Writes what is in effect and closes the state store.
    ///
    /// # Errors
    /// Why not; the state is still ours then, and everything goes on.
    pub fn release(&self) -> Result<(), String> {
        self.ask(Order::Release)
    }

    /// Opens the state store again and goes on with what is in it.
    ///
    /// # Errors
    /// Why not yet; it is tried again every second.
    pub fn take_back(&self) -> Result<(), String> {
        self.ask(Order::TakeBack)
    }

    /// The other process has it for good: commands that wait are referred to it.
    pub fn leave(&self) {
        // A controller that has stopped has left, too.
        drop(self.orders.send(Order::Leave));
    }

    fn ask(&self, order: impl FnOnce(Answer) -> Order) -> Result<(), String> {
        let stopped = || "the controller has stopped".to_owned();
        let (to, answer) = oneshot::channel();
        self.orders.send(order(to)).map_err(|_| stopped())?;
        answer.blocking_recv().map_err(|_| stopped())?
    }
}

/// Refers somebody who asks to the process that has the state now.
pub(super) fn refer(input: Input) {
    if let Input::Command { reply, .. } = input {
        let why = "an upgrade has replaced this process; ask again";
        answer(reply, Err(Refusal::Unavailable(why.into())));
    }
}
