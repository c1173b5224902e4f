//! One attempt to make a candidate stable: the plan, and the machine that carries it out.
//!
//! The machine takes `(state, input, now)` and yields effects; it knows nothing of pools' names,
//! tables or journals. Time counts only while the verdict passes, so a hold or a pause costs time and
//! never weakens a step, and a restart counts nothing.

mod machine;
mod plan;

pub use machine::{Action, Effect, Input, Note, Observation, Phase, Rollout};
pub use plan::{Idle, Plan, Step, Strategy};
