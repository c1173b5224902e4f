//! Have all members read the store since the leader's connection began?
//!
//! A store that is restored from a backup may have lost an abort that the leader never heard of. To that leader nothing
//! has happened: no revision fell below one that it has seen, and all members are there as they were. Whoever has the
//! abort puts it back, but only once it has read the store; and time proves nothing, since a lease is renewed by
//! processes that have not read yet.
//!
//! So the leader calls the roll. Each of its connections has a number, which stands in its [`AliveDocument`]. A member
//! answers that number once it has read the store and has no change and no abort that the store lacks. A restore ends
//! all connections, so a member that answers a number has read the store that the leader writes to. A call costs each member one write,
//! when a leader begins and when it connects again; nobody waits for time to pass.
//!
//! What it does not do: a member that the restored list does not name, or that was forgotten, is not waited for. An
//! abort that it alone has is put back when it returns, and takes back a promotion that came first ([`lost_abort`]).
//!
//! [`AliveDocument`]: super::documents::AliveDocument
//! [`lost_abort`]: super::lineage::lost_abort

use serde::{Deserialize, Serialize};

/// One connection of one process to the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollCall {
    pub process: String,
    /// Grows with each connection of the process, from 1.
    pub connection: u64,
}
