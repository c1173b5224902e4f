//! What the cluster says of itself.

use super::client::{Etcd, Method};
use super::fault::EtcdFault;
use super::messages::{Member, MemberListRequest, MemberListResponse, StatusRequest, StatusResponse};

const MEMBERS: Method = Method { path: "/etcdserverpb.Cluster/MemberList", writes: false, is_of_all: false };
const STATUS: Method = Method { path: "/etcdserverpb.Maintenance/Status", writes: false, is_of_all: false };

/// The state of the member that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    pub id: u64,
    /// Of etcd, such as `3.4.23`.
    pub version: String,
    /// The id of the member that leads; 0 while none does.
    pub leader: u64,
    /// What its database takes, in bytes.
    pub database_bytes: i64,
    /// What is wrong with it, in its own words: alarms, mostly.
    pub errors: Vec<String>,
}

impl Etcd {
    /// The members of the cluster, as one of them knows them.
    ///
    /// # Errors
    /// [`EtcdFault`].
    pub async fn members(&self) -> Result<Vec<Member>, EtcdFault> {
        Ok(self.call::<MemberListResponse>(MEMBERS, &MemberListRequest {}).await?.members)
    }

    /// The state of the member that is asked at present.
    ///
    /// # Errors
    /// [`EtcdFault`].
    pub async fn status(&self) -> Result<MemberStatus, EtcdFault> {
        let answer: StatusResponse = self.call(STATUS, &StatusRequest {}).await?;
        let id = answer.header.map(|header| header.member_id).unwrap_or_default();
        let StatusResponse { version, leader, db_size: database_bytes, errors, .. } = answer;
        Ok(MemberStatus { id, version, leader, database_bytes, errors })
    }
}
