//! Who a member is, what it wants done, and what becomes of that.

use crate::core::fleet::Incarnation;
use crate::core::fleet::ground::Missing;
use crate::core::fleet::store::{StoreRevision, StoreTransaction};
use std::time::Duration;

/// Who a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberIdentity {
    pub name: String,
    /// Drawn at its start.
    pub process: String,
    /// Greater than that of all processes of this name before, as far as its disk knows.
    pub incarnation: Incarnation,
    pub version: String,
    /// Digests, see [`AliveDocument`](crate::core::fleet::documents::AliveDocument).
    pub config: String,
    pub secret: String,
    pub missing: Missing,
    pub forget: Duration,
    /// The running process that it takes the place of, in an upgrade.
    pub takes_over: Option<String>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum FleetOutput {
    /// Everything under the prefix is to be read, and watched from the next revision on; nothing of a former watch comes after
    /// this. A read that fails is a connection that is lost.
    ReadAll,
    Commit(StoreTransaction),
    /// What a service has come to is to be kept on the own disk.
    Keep(String),
    /// The table is to show a service as [`FleetMember::state`](super::FleetMember::state) has it now.
    Publish(String),
    /// Something an operator must hear of.
    Say(String),
    /// This process must not serve: another one of the same name does.
    Refuse(String),
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    Done(StoreRevision),
    /// A compare did not hold.
    Overtaken,
    /// The store has no room.
    NoSpace,
    /// Nobody knows.
    Unknown,
}

/// Why a member cannot be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForgetFault {
    /// There is none of that name.
    Unknown,
    /// It is there.
    Alive,
    /// The store is not heard.
    Unheard,
}
