//! Leases: keys that go when whoever holds them has not been heard of for a while.

use super::client::{Etcd, Method};
use super::fault::{EtcdFault, EtcdRefusal, RefusalReason};
use super::messages::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseRevokeRequest,
    LeaseRevokeResponse,
};
use std::time::Duration;

/// A lease more or less is no harm: one whose grant was not heard of ends by itself. So another member is asked.
const GRANT: Method = Method { path: "/etcdserverpb.Lease/LeaseGrant", writes: false, is_of_all: true };
const REVOKE: Method = Method { path: "/etcdserverpb.Lease/LeaseRevoke", writes: true, is_of_all: true };
/// The leader's word, under the header of the member that was asked.
const KEEP_ALIVE: Method =
    Method { path: "/etcdserverpb.Lease/LeaseKeepAlive", writes: false, is_of_all: false };

/// A lease that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseGrant {
    /// Never 0.
    pub id: i64,
    /// How long it lasts without being renewed; etcd may grant more than was asked for.
    pub ttl: Duration,
}

impl Etcd {
    /// Takes a lease, of whole seconds.
    ///
    /// # Errors
    /// [`EtcdFault`].
    pub async fn grant_lease(&self, ttl: Duration) -> Result<LeaseGrant, EtcdFault> {
        let ttl = i64::try_from(ttl.as_secs().max(1)).unwrap_or(i64::MAX);
        let answer: LeaseGrantResponse = self.call(GRANT, &LeaseGrantRequest { ttl, id: 0 }).await?;
        Ok(LeaseGrant { id: answer.id, ttl: seconds(answer.ttl) })
    }

    /// Renews a lease; how long it lasts from the moment when this was sent.
    ///
    /// # Errors
    /// [`EtcdFault`]; refused by [`RefusalReason::LeaseNotFound`] where it has ended, and its keys with it.
    pub async fn keep_lease(&self, id: i64) -> Result<Duration, EtcdFault> {
        let answer: LeaseKeepAliveResponse = self.call(KEEP_ALIVE, &LeaseKeepAliveRequest { id }).await?;
        if answer.ttl <= 0 {
            return Err(EtcdFault::Refused(EtcdRefusal {
                endpoint: "etcd".into(),
                reason: RefusalReason::LeaseNotFound,
                said: format!("there is no lease {id:x}"),
            }));
        }
        Ok(seconds(answer.ttl))
    }

    /// Ends a lease, and its keys with it.
    ///
    /// # Errors
    /// [`EtcdFault`].
    pub async fn revoke_lease(&self, id: i64) -> Result<(), EtcdFault> {
        self.call::<LeaseRevokeResponse>(REVOKE, &LeaseRevokeRequest { id }).await.map(|_| ())
    }
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or_default())
}
