//! A client of etcd: keys, transactions, leases and watches, by gRPC over HTTP/2.
//!
//! It is small since it knows what a fleet needs and nothing else. The messages are read and written by `prost`, whose
//! derives need no `protoc`; the framing of gRPC and its calls are a few lines over `h2`. What it is about is how etcd
//! fails: every call has a deadline of its own, a member that stalls is noticed within a second, a call that may have taken
//! effect says so, and a store that is not the one it was is told apart from a member that lags behind.
//!
//! It does not retry what writes, keeps no lease by itself and elects nobody: that is for its users.

mod base;
mod call;
mod client;
mod cluster;
mod connection;
mod dial;
mod endpoints;
mod fault;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod judged;
mod keys;
mod leases;
mod login;
mod messages;
mod seen;
mod status;
mod times;
mod txn;
mod watch;

pub use client::Etcd;
pub use cluster::MemberStatus;
pub use fault::{EtcdFault, EtcdRefusal, RefusalReason};
pub use keys::{KeyRange, KeyScope, Listing};
pub use leases::LeaseGrant;
pub use messages::{KeyValue, Member};
pub use seen::Rewound;
pub use times::EtcdTimes;
pub use txn::{KeyCondition, KeyOp, Relation, Txn, TxnOutcome};
pub use watch::{KeyChange, KeyWatch, WatchEvent, WatchSpec};
