//! What is known of a candidate beside its counters.

use super::readings::Readings;
use crate::core::client::{ClientCount, Met};
use crate::core::passive::Accusation;
use crate::core::window::Figures;
use std::time::Duration;

/// Who knows which clients met what speaks against the candidate.
pub trait Witnesses: std::fmt::Debug {
    /// How many clients met it since then, as far as they are distinguished.
    fn clients(&self, met: Met, since: Duration) -> ClientCount;
}

/// What is known of the candidate beside its counters.
#[derive(Clone, Debug, Default)]
pub struct Circumstances<'a> {
    /// The candidate's, over the policy's window.
    pub figures: Figures,
    /// Without any, all clients are one.
    pub witnesses: Option<&'a dyn Witnesses>,
    /// An upstream of the candidate that active checks found down, with its last answer.
    pub down: Option<String>,
    /// The upstream of the candidate that fails the most of its requests, of those that were taken out for it;
    /// and whether stable has one that fails more than it may.
    pub ejected: Option<Accusation>,
    pub stable_ejected: bool,
    /// Whether a stable upstream is up. `true` where there is no stable pool.
    pub stable_up: bool,
    /// What the candidate's upstreams say of themselves.
    pub readings: Option<&'a Readings>,
}
