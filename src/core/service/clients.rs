//! What clients and limits of ours may do to a rollout: nothing.

mod simulation;
