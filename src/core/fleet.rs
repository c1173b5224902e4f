//! Several instances that act as one, over a store that all of them reach: what is decided, never how it travels.
//!
//! Each instance (a member of the fleet) serves by itself and counts by itself. Of all of them, one leads: it alone
//! advances a rollout and promotes it, by the [`evidence::PooledEvidence`] of all members. Anybody aborts.
//!
//! Nothing here knows of a clock, a connection or a disk. The store is the one of `shared`
//! state: keys with revisions, and transactions that compare before they write (`store`).

pub mod evidence;

/// The number that one process of a member has: the next one of the same name has a greater one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Incarnation(pub u64);
