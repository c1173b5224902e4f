//! Members that are forgotten for good, as somebody asks.

use super::FleetTask;
use crate::control::command::Refusal;
use crate::core::fleet::member::{CommitOutcome, ForgetFault};
use tokio::sync::oneshot;

impl FleetTask {
    pub(super) fn forget(&mut self, name: &str, by: &str, to: oneshot::Sender<Result<(), Refusal>>) {
        let refusal = match self.member.forget_member(name) {
            Ok(transaction) => {
                tracing::info!(by, "the member {name} is forgotten");
                self.forgets.push((transaction.id.clone(), to));
                return self.commit(transaction);
            }
            Err(ForgetFault::Unknown) => Refusal::NotFound(format!("the fleet has no member {name}")),
            Err(ForgetFault::Alive) => {
                let detail = format!("{name} is there; stop it first");
                Refusal::Conflict { detail, rollout: None }
            }
            Err(ForgetFault::Unheard) => Refusal::Unavailable("the fleet's store cannot be reached".into()),
        };
        // Who asked may not wait any more.
        let _ = to.send(Err(refusal));
    }

    /// Whether a transaction was one that forgets a member.
    pub(super) fn forgotten(&mut self, id: &str, outcome: CommitOutcome) -> bool {
        let Some(at) = self.forgets.iter().position(|(of, _)| of == id) else { return false };
        let (_, to) = self.forgets.remove(at);
        let again =
            "the members have changed meanwhile, or the store did not answer: look at them and ask again";
        let _ = to.send(match outcome {
            CommitOutcome::Done(_) => Ok(()),
            _ => Err(Refusal::Conflict { detail: again.to_owned(), rollout: None }),
        });
        true
    }
}
