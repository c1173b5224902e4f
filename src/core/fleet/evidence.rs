//! One verdict over what all members count.
//!
//! A candidate with 2 % of errors on ten instances needs ten times as many users if each instance judges for itself.
//! So the leader holds the sum of all counts against the policy, by the tests of [`crate::core::policy`] and no others.
//!
//! **When.** A test that looks at what members push, as it comes, is unsound: a failure is pushed at once, and brings
//! the successes of its own instance, while those of the others are still to come. So the leader asks, all members
//! answer, and only then is judged: a round ([`rounds::EvidenceRounds`]). A failure begins one, and a second without any does. An
//! attempt that ended before the leader asked is in the round or in one before it; one that ended after the last answer
//! is in a later one. Two attempts that stand in another order than they happened in have therefore ended within the same
//! round on two instances, and cannot have known of each other.
//!
//! **In which order.** Within a round nobody knows: all events come first
//! ([`BatchOrder::EventsFirst`](crate::core::evidence::BatchOrder)), from which no order of the same attempts leads to less.
//!
//! **How strong.** Each member goes on judging its own attempts, so that one that is cut off still aborts. The sum of
//! all members' attempts is what the leader judges, so both together see each attempt twice, and each needs twice the
//! evidence ([`Policy::in_fleet`](crate::core::policy::Policy::in_fleet)). The bound is per attempt, so it makes no difference how many members there are.
//!
//! **What it does not do.** A member that does not answer within [`rounds::PATIENCE`] is judged without, for an abort must
//! not wait for a process that hangs: its last answer counts, and what it has had since is missing. A new leader
//! begins with no evidence and with all counts; they are one round to it, and speak against a candidate only where they do in
//! the order that is best for it.

pub mod clients;
pub mod counts;
pub mod merged;
pub mod pool;
pub mod pusher;
pub mod rounds;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use clients::{ClientNote, ClientSeen, MemberClients, PooledClients};
pub use counts::{ArmTally, GroupTally, MemberCounts, MemberPast};
pub use merged::{MemberReport, held, merged};
pub use pool::{EvidencePush, PooledEvidence};
pub use pusher::{EvidencePusher, PushStamp};
pub use rounds::{EvidenceRounds, RoundStep};
