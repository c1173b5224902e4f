//! Calls about one service and its rollouts.

use super::call::{Call, delete, get, post, put};
use crate::admin::rollouts::{self, RolloutPaging};
use crate::admin::services::{self, Force, Paging};
use crate::admin::shapes::{
    FlipBody, HistoryPage, RollbackBody, RolloutList, SeriesView, StartBody, TesterBody, TesterView,
    UpstreamsBody, WeightsBody,
};
use crate::admin::waiting::Waits;
use crate::admin::{course, frames, testers};
use crate::control::view::{RolloutView, ServiceView};

/// What is answered by the service as it is then.
const NOW: &str = "The service as it is now.";

pub(super) fn calls() -> Vec<Call> {
    [views(), traffic(), upstreams()].into_iter().flatten().collect()
}

fn views() -> Vec<Call> {
    vec![
        get("listServices", "/v1/services", services::list)
            .says("All services.")
            .answers_list::<ServiceView>(200, "In the order of their names."),
        get("showService", "/v1/services/{service}", services::show)
            .says("One service; `wait` holds the answer back until there is news.")
            .query::<Waits>()
            .answers::<ServiceView>(200, NOW)
            .with("ETag"),
        get("showFigures", "/v1/services/{service}/figures", frames::series)
            .says("15 minutes of each pool, a point a second.")
            .answers::<SeriesView>(200, "Lists of points, oldest first."),
        get("serviceHistory", "/v1/services/{service}/history", services::history)
            .says("Who did what, when, why and from where; newest first.")
            .query::<Paging>()
            .answers::<HistoryPage>(200, "One page."),
        post("issueTester", "/v1/services/{service}/testers", testers::issue)
            .says("A signed value that takes whom it is sent by to a pool, whatever the weights are.")
            .body::<TesterBody>()
            .changes()
            .answers::<TesterView>(200, "The value, and where it may be sent."),
    ]
}

fn traffic() -> Vec<Call> {
    vec![
        put("setWeights", "/v1/services/{service}/weights", services::weights)
            .says("Sets the weights in percent; they sum to 100, and pools left out get 0.")
            .query::<Force>()
            .body::<WeightsBody>()
            .if_match()
            .answers::<ServiceView>(200, NOW)
            .with("ETag"),
        post("flip", "/v1/services/{service}/flip", services::flip)
            .says("Gives all traffic to another pool at once, and makes it stable.")
            .query::<Force>()
            .body::<FlipBody>()
            .if_match()
            .answers::<ServiceView>(200, NOW)
            .with("ETag"),
        post("rollback", "/v1/services/{service}/rollback", services::rollback)
            .says("Aborts the running rollout; after a promotion, goes back to the version before, once.")
            .query::<Force>()
            .maybe_body::<RollbackBody>()
            .if_match()
            .answers::<ServiceView>(200, NOW)
            .with("ETag"),
    ]
}

fn upstreams() -> Vec<Call> {
    let path = "/v1/services/{service}/pools/{pool}/upstreams";
    vec![
        put("setUpstreams", path, services::register)
            .says("Replaces the upstreams of a pool; they get no traffic before their first passed check.")
            .body::<UpstreamsBody>()
            .if_match()
            .answers::<ServiceView>(200, NOW)
            .with("ETag"),
        delete("resetUpstreams", path, services::unregister)
            .says("Goes back to the upstreams of the configuration.")
            .if_match()
            .answers::<ServiceView>(200, NOW)
            .with("ETag"),
        post(
            "actOnUpstream",
            "/v1/services/{service}/pools/{pool}/upstreams/{upstream}/{action}",
            services::upstream,
        )
        .says("Drains an upstream, so that it gets no new requests, or takes it back.")
        .acts(&["drain", "ready"])
        .if_match()
        .answers::<ServiceView>(200, NOW)
        .with("ETag"),
    ]
}

pub(super) fn rollouts() -> Vec<Call> {
    let path = "/v1/services/{service}/rollouts";
    vec![
        get("listRollouts", path, rollouts::list)
            .says("The rollouts of a service, newest first.")
            .query::<RolloutPaging>()
            .answers::<RolloutList>(200, "One page."),
        post("startRollout", path, rollouts::start)
            .says("Begins to make a pool stable, under the policy.")
            .body::<StartBody>()
            .header("Idempotency-Key")
            .if_match()
            .answers::<RolloutView>(201, "It has begun.")
            .with("Location")
            .answers::<RolloutView>(200, "The key has started this one before.")
            .with("Location"),
        get("showRollout", "/v1/services/{service}/rollouts/{id}", rollouts::show)
            .says("One rollout; `wait` holds the answer back until there is news.")
            .query::<Waits>()
            .answers::<RolloutView>(200, "The rollout as it is now."),
        get("drawRollout", "/v1/services/{service}/rollouts/{id}/course.svg", course::show)
            .says("The course of a rollout as a picture: weights, holds, gates, failures, the end.")
            .answers_text("image/svg+xml", "It stands alone, on light and dark pages.", "course"),
        post("actOnRollout", "/v1/services/{service}/rollouts/{id}/{action}", rollouts::act)
            .says("Pauses it, goes on (past a gate: the approval), skips the remaining steps, or aborts it.")
            .acts(&["pause", "resume", "promote", "abort"])
            .if_match()
            .answers::<RolloutView>(200, "The rollout as it is now."),
    ]
}
