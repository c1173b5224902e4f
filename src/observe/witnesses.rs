//! The clients that met what speaks against an arm, for a policy that asks.

use super::recorder::Recorder;
use crate::core::client::{ClientCount, Met};
use crate::core::outcome::{ArmId, SlowLimits};
use crate::core::policy::Witnesses;
use std::time::Duration;

/// Those of one arm.
#[derive(Clone, Copy, Debug)]
pub struct ArmWitnesses<'a> {
    pub recorder: &'a Recorder,
    pub arm: ArmId,
    /// The times that its attempts are counted by.
    pub slow: &'a SlowLimits,
    pub now_us: u64,
}

impl Witnesses for ArmWitnesses<'_> {
    fn clients(&self, met: Met, since: Duration) -> ClientCount {
        self.recorder.clients(self.arm, met, self.slow, (since.as_micros() as u64, self.now_us))
    }
}
