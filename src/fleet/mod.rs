//! Several instances that act as one, over a store that they share.
//!
//! So far it holds the client of that store, [`etcd`]. Nothing of the running product uses it yet.

pub mod etcd;
