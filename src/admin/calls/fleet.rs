//! Calls about the fleet.

use super::call::{Call, delete, get};
use crate::admin::fleet;
use crate::core::fleet::status::FleetView;

pub(super) fn calls() -> Vec<Call> {
    vec![
        get("showFleet", "/v1/fleet", fleet::show)
            .says("The fleet, as this member of it knows it; 404 where the instance is alone.")
            .names_something()
            .answers::<FleetView>(200, "Its members, and what holds rollouts."),
        delete("forgetMember", "/v1/fleet/members/{member}", fleet::forget)
            .says("Forgets a member that is gone for good: rollouts wait for it no more.")
            .changes()
            .answers::<FleetView>(200, "The fleet without it."),
    ]
}
