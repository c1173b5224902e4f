//! Where the controller and the task of the fleet meet.
//!
//! The controller stays the one writer of the table. In a fleet what it wants to become durable goes to that task
//! instead of the journal alone, and what others have decided comes from there. Without a fleet none of this is there.

use super::command::Refusal;
use crate::core::fleet::status::FleetView;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// A request to forget a member for good: its name, by whom, and where the answer goes.
pub type Forget = (String, String, oneshot::Sender<Result<(), Refusal>>);

/// The fleet, for those who show it; cheap to clone.
#[derive(Clone, Debug)]
pub struct FleetHandle {
    pub view: watch::Receiver<Arc<FleetView>>,
    pub(crate) forgets: mpsc::Sender<Forget>,
}

impl FleetHandle {
    /// Forgets a member that is gone: nothing waits for it any more.
    ///
    /// # Errors
    /// [`Refusal`]: `NotFound` of a name that is none of the fleet, `Conflict` of a member that is there, `Unavailable`
    /// while the store cannot be reached.
    pub async fn forget(&self, name: &str, actor: &str) -> Result<(), Refusal> {
        let stopped = || Refusal::Unavailable("the task of the fleet has stopped".into());
        let (to, answer) = oneshot::channel();
        let asked = (name.to_owned(), actor.to_owned(), to);
        self.forgets.send(asked).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}
