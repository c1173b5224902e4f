//! Samples of attempts that speak against their pool: which requests they were is asked afterwards.

use super::meter::Meter;
use crate::core::failed_attempt::FailedAttempt;
use crate::core::group;
use crate::core::outcome::{ArmId, Outcome};
use crate::proxy::exchange::Request;

/// Offers an attempt that has failed, or was given up; where samples wait already, nothing is made of it.
pub(in crate::proxy) fn offer(
    meter: &Meter,
    request: &Request,
    (arm, at_us): (ArmId, u64),
    (outcome, status): (Outcome, u16),
) {
    let outcome = match outcome {
        Outcome::Failure(reason) => reason.label(),
        Outcome::Abandoned => "abandoned",
        Outcome::Success | Outcome::Ignored => return,
    };
    meter.recorder.failures.offer(arm, || FailedAttempt {
        at_us,
        request_id: String::from_utf8_lossy(request.id()).into_owned(),
        request: group::name(request.head.method.as_str(), request.head.raw_path()),
        status,
        outcome,
        upstream: request.upstream().map(|upstream| upstream.label.to_string()).unwrap_or_default(),
    });
}
