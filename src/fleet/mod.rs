//! Several instances that act as one, over a store that they share.
//!
//! So far it holds the client of that store, [`etcd`], and one instance's part in it, [`session`]. Nothing of the running
//! product uses them yet.

pub mod etcd;
pub mod session;
