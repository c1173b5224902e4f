//! The messages of etcd's watches.

use super::{KeyValue, ResponseHeader};
use bytes::Bytes;
use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(in crate::fleet::etcd) struct WatchRequest {
    #[prost(oneof = "WatchOrder", tags = "1, 2, 3")]
    pub order: Option<WatchOrder>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(in crate::fleet::etcd) enum WatchOrder {
    #[prost(message, tag = "1")]
    Create(WatchCreateRequest),
    #[prost(message, tag = "2")]
    Cancel(WatchCancelRequest),
    #[prost(message, tag = "3")]
    Progress(WatchProgressRequest),
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::fleet::etcd) struct WatchCreateRequest {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub range_end: Bytes,
    #[prost(int64, tag = "3")]
    pub start_revision: i64,
    #[prost(bool, tag = "6")]
    pub prev_kv: bool,
    #[prost(bool, tag = "8")]
    pub fragment: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::fleet::etcd) struct WatchCancelRequest {
    #[prost(int64, tag = "1")]
    pub watch_id: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::fleet::etcd) struct WatchProgressRequest {}

#[derive(Clone, PartialEq, Message)]
pub(in crate::fleet::etcd) struct WatchResponse {
    #[prost(message, optional, tag = "1")]
    pub header: Option<ResponseHeader>,
    #[prost(int64, tag = "2")]
    pub watch_id: i64,
    #[prost(bool, tag = "3")]
    pub created: bool,
    #[prost(bool, tag = "4")]
    pub canceled: bool,
    #[prost(int64, tag = "5")]
    pub compact_revision: i64,
    #[prost(string, tag = "6")]
    pub cancel_reason: String,
    /// Whether more of the same answer follows.
    #[prost(bool, tag = "7")]
    pub fragment: bool,
    #[prost(message, repeated, tag = "11")]
    pub events: Vec<WatchedEvent>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::fleet::etcd) struct WatchedEvent {
    /// 0 is a put, 1 is a delete.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// Of a delete, the key and its revision alone.
    #[prost(message, optional, tag = "2")]
    pub kv: Option<KeyValue>,
    #[prost(message, optional, tag = "3")]
    pub prev_kv: Option<KeyValue>,
}
