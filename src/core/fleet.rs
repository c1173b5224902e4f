//! Several instances that act as one, over a store that all of them reach: what is decided, never how it travels.
//!
//! Each instance (a member of the fleet) serves by itself and counts by itself. Of all of them, one leads: it alone
//! advances a rollout and promotes it, by the [`evidence::PooledEvidence`] of all members. Anybody aborts.
//!
//! What all share lies in a store, as documents ([`documents`]) under keys with revisions; it is changed by transactions
//! that compare before they write ([`transactions`]). What a member makes of it is [`member`]'s business, and whether the
//! leader may go on is asked in one place ([`ground`]). After a new connection it waits until all have read the store
//! ([`roll_call`]).
//!
//! Nothing here knows of a clock, a connection or a disk. The store must tell all changes in their order, each process
//! must read everything before it writes on a new connection, and a lease must end by itself. In the simulation a model stands
//! for it, with delays, losses, partitions, pauses, crashes and restored backups.

pub mod documents;
pub mod evidence;
pub mod ground;
pub mod keys;
pub mod lineage;
pub mod member;
pub mod retention;
pub mod roll_call;
#[cfg(test)]
mod simulation;
pub mod status;
pub mod store;
pub mod summary;
pub mod transactions;
pub mod view;

/// The number that one process of a member has: the next one of the same name has a greater one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Incarnation(pub u64);
