//! Handing the state over to another process of ours, and taking it back.
//!
//! The state has one owner. Before another process may have it, everything that is in effect is written,
//! nothing new is decided, and the store is closed. From then on this process serves by its last table:
//! checks still take upstreams out and bring them back, but weights and rollouts stand still, and
//! commands wait. Where the other process comes to nothing, the store is opened again and what is found
//! in it holds, since the other may have decided something before it ended.

use super::command::{Input, Refusal};
use super::controller::Task;
use super::maintenance::Maintenance;
use super::recovery;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long what is in effect may take to become durable.
const WRITING: Duration = Duration::from_secs(5);
/// Pause before the store is tried again that could not be taken back.
const RETRY: Duration = Duration::from_secs(1);

type Answer = oneshot::Sender<Result<(), String>>;

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

impl Custody {
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Custody::Ours)
    }

    pub(super) fn may_write(&self) -> bool {
        matches!(self, Custody::Ours | Custody::Leaving { .. })
    }
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

    /// The other process has it for good: whoever waits is told to ask there.
    pub fn leave(&self) {
        // A controller that has stopped has left, too.
        let _ = self.orders.send(Order::Leave);
    }

    fn ask(&self, order: impl FnOnce(Answer) -> Order) -> Result<(), String> {
        let stopped = || "the controller has stopped".to_owned();
        let (to, answer) = oneshot::channel();
        self.orders.send(order(to)).map_err(|_| stopped())?;
        answer.blocking_recv().map_err(|_| stopped())?
    }
}

impl Task {
    pub(super) async fn order(&mut self, order: Order) {
        match order {
            Order::Release(to) if self.custody.is_ours() => {
                self.lives.touch_all().for_each(|live| live.saving.write_now());
                let until = self.links.clock.now() + WRITING;
                self.custody = Custody::Leaving { until, to };
            }
            Order::Release(to) => drop(to.send(Err("the state is not this process's".into()))),
            // Whoever asked may have gone.
            Order::TakeBack(to) => drop(to.send(self.take_back().await)),
            Order::Leave => {
                self.custody = Custody::Gone;
                self.held.drain(..).for_each(refer);
            }
        }
    }

    /// What must wait while the state is not ours is kept or dropped; the rest comes back.
    pub(super) fn unless_held(&mut self, input: Input) -> Option<Input> {
        match input {
            input if self.custody.is_ours() => Some(input),
            Input::Health { .. } | Input::Resolved { .. } | Input::OwnLimit { .. } => Some(input),
            Input::Command { .. } => {
                match self.custody {
                    Custody::Gone => refer(input),
                    _ => self.held.push(input),
                }
                None
            }
            // Asked for again afterwards.
            Input::JobDone { .. } | Input::Signals { .. } => None,
        }
    }

    /// Closes the store once everything is written, or opens it again once it can be.
    pub(super) async fn settle_custody(&mut self) {
        let now = self.links.clock.now();
        let written = matches!(self.custody, Custody::Leaving { .. }) && self.is_all_written();
        match std::mem::replace(&mut self.custody, Custody::Ours) {
            Custody::Leaving { to, .. } if written => {
                self.links.journal.close().await;
                self.custody = Custody::Left;
                let _ = to.send(Ok(()));
            }
            Custody::Leaving { until, to } if now >= until => {
                self.decide_again();
                let _ = to.send(Err("the state store cannot write".into()));
            }
            Custody::Missed(at) if now >= at && self.take_back().await.is_ok() => {
                tracing::info!("the state is taken back");
            }
            Custody::Missed(at) if now >= at => (),
            other => self.custody = other,
        }
    }

    fn is_all_written(&self) -> bool {
        let lives = self.lives.values().all(|live| live.saving.is_all_written());
        lives && !self.maintenance.is_busy() && self.reloads.is_empty()
    }

    async fn take_back(&mut self) -> Result<(), String> {
        let recovered = match self.links.journal.reopen().await {
            Ok(recovered) => recovered,
            Err(error) => {
                self.custody = Custody::Missed(self.links.clock.now() + RETRY);
                return Err(error.to_string());
            }
        };
        *self.links.ended.borrow_mut() = Arc::new(recovery::ended(&recovered));
        self.maintenance = Maintenance::recovered(&recovered, self.maintenance.admin, &self.links);
        for live in self.lives.touch_all() {
            recovery::take_back(live, &recovered, &self.links);
        }
        self.decide_again();
        Ok(())
    }

    /// What was asked for meanwhile is carried out now.
    fn decide_again(&mut self) {
        self.custody = Custody::Ours;
        for live in self.lives.touch_all() {
            live.jobs = Default::default();
            live.saving.write_later();
            live.upstreams_changed();
        }
        for input in std::mem::take(&mut self.held) {
            self.input(input);
        }
        self.carry_out();
    }
}

/// Tells whoever asks where to ask.
fn refer(input: Input) {
    if let Input::Command { reply, .. } = input {
        let why = "an upgrade has replaced this process; ask again";
        // Whoever asked may have gone.
        let _ = reply.send(Err(Refusal::Unavailable(why.into())));
    }
}
