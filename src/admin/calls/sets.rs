//! Calls about sets of services.

use super::call::{Call, get, post};
use crate::admin::services::{Force, Paging};
use crate::admin::sets;
use crate::admin::shapes::{HistoryPage, RollbackBody, StartBody};
use crate::admin::waiting::Waits;
use crate::control::view::SetView;

pub(super) fn calls() -> Vec<Call> {
    vec![
        get("listSets", "/v1/sets", sets::list)
            .says("All sets of services that are deployed as one.")
            .answers_list::<SetView>(200, "In the order of the configuration."),
        get("showSet", "/v1/sets/{set}", sets::show)
            .says("One set; `wait` holds the answer back until there is news.")
            .query::<Waits>()
            .answers::<SetView>(200, "The set as it is now.")
            .with("ETag"),
        get("setHistory", "/v1/sets/{set}/history", sets::history)
            .says("The history of all its services, newest first.")
            .query::<Paging>()
            .answers::<HistoryPage>(200, "One page."),
        post("rollbackSet", "/v1/sets/{set}/rollback", sets::rollback)
            .says("Takes all services of the set back together.")
            .query::<Force>()
            .maybe_body::<RollbackBody>()
            .if_match()
            .answers::<SetView>(200, "The set as it is now."),
        post("startSetRollout", "/v1/sets/{set}/rollouts", sets::start)
            .says("Begins a rollout of all services of the set, or of none.")
            .body::<StartBody>()
            .header("Idempotency-Key")
            .if_match()
            .answers::<SetView>(201, "It has begun.")
            .answers::<SetView>(200, "The key has started this one before."),
        post("actOnSetRollout", "/v1/sets/{set}/rollouts/{id}/{action}", sets::act)
            .says("Acts on the rollouts of all its services.")
            .acts(&["pause", "resume", "promote", "abort"])
            .if_match()
            .answers::<SetView>(200, "The set as it is now."),
    ]
}
