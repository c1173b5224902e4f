//! What an instance needs to know to act as one with others.

use super::EtcdSettings;
use crate::core::fleet::ground::Missing;
use crate::core::secret::Secret;
use std::sync::Arc;
use std::time::Duration;

/// The fleet that this instance is a member of. But for `name`, all members have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetSettings {
    /// Of this member: another one at each; no slash, at most 63 characters.
    pub name: Arc<str>,
    pub etcd: EtcdSettings,
    /// What all keys of the fleet begin with, without a slash at its end.
    pub prefix: Arc<str>,
    /// In place of the one in the state directory.
    pub secret: Secret,
    /// How long a member that is silent counts as there: whole seconds, 2 to 60.
    pub lease: Duration,
    /// After so long without a word a member counts no more; not shorter than `lease`.
    pub forget: Duration,
    /// What becomes of rollouts while a member is missing.
    pub missing: Missing,
}
