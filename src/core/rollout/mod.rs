//! One attempt to make a candidate stable: the plan, and the machine that carries it out.
//!
//! The machine takes `(state, input, now)` and yields effects; it knows nothing of pools' names,
//! tables or journals. Time counts only while the verdict passes, so a hold or a pause costs time and
//! never weakens a step, and a restart counts nothing.

mod crossing;
mod deadline;
mod guard;
mod input;
mod machine;
mod plan;
mod rolling;
mod shifting;
mod standing;
mod state;
mod together;

pub(in crate::core) use guard::LookClock;
pub use guard::{Guard, Smoke};
pub use input::{Action, Effect, Input, Note, Observation, UpstreamSeen, Work, WorkResult};
pub use plan::{After, HookPoint, Idle, Plan, Rolling, Step, Strategy};
pub use state::{Approval, Crossing, Instance, Lifetime, Phase, Rollout, Stage};
pub use together::READY;
