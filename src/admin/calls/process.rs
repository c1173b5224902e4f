//! Calls about the process, and about who asks.

use super::call::{Call, delete, get, post, put};
use crate::admin::events::{self, EventFilter};
use crate::admin::figures::{self, FiguresFilter};
use crate::admin::services::{self, Paging};
use crate::admin::shapes::{
    FiguresView, HealthView, HistoryPage, MaintenanceBody, ProcessView, SessionBody, WhoamiView,
};
use crate::admin::{maintenance, openapi, operations, process, session};
use crate::control::command::{ReloadReport, UpgradeReport};
use crate::control::view::MaintenanceView;
use crate::core::settings::ADMIN_MAINTENANCE;

pub(super) fn calls() -> Vec<Call> {
    let health = [("healthz", "/healthz"), ("health", "/api/health")].map(|(id, path)| {
        get(id, path, operations::healthy)
            .open()
            .says("Whether the process lives.")
            .answers::<HealthView>(200, "It lives.")
    });
    let ready = [("readyz", "/readyz"), ("ready", "/api/ready")].map(|(id, path)| {
        get(id, path, operations::ready)
            .open()
            .says("Whether the process could serve: each service has an upstream that is ready.")
            .answers::<HealthView>(200, "It could; `degraded` where its state was damaged at the start.")
            .answers::<HealthView>(503, "It could not, for these reasons.")
    });
    let rest = [session_calls(), maintenance_calls(), operation_calls()];
    health.into_iter().chain(ready).chain(rest.into_iter().flatten()).collect()
}

fn session_calls() -> Vec<Call> {
    vec![
        get("whoami", "/v1/whoami", session::whoami)
            .says("Who the token is of.")
            .answers::<WhoamiView>(200, "The name and the role."),
        get("showSession", "/v1/session", session::show)
            .open()
            .says("The session that the cookie names.")
            .answers_maybe::<WhoamiView>(200, "Whose it is; `null` where there is none."),
        post("openSession", "/v1/session", session::open)
            .open()
            .says("Opens a session for a token, in the body or in `Authorization`.")
            .maybe_body::<SessionBody>()
            .refuses_guesses()
            .answers::<WhoamiView>(200, "It is open; the cookie stands for the token.")
            .with("Set-Cookie"),
        delete("endSession", "/v1/session", session::end)
            .says("Ends the session on the server, so that no copy of its cookie opens anything.")
            .answers_nothing(204, "It has ended.")
            .with("Set-Cookie"),
    ]
}

fn maintenance_calls() -> Vec<Call> {
    vec![
        get("showMaintenance", "/v1/maintenance", maintenance::show)
            .says("What is under maintenance.")
            .answers::<MaintenanceView>(200, "The site's, and that of single services."),
        put("setMaintenance", "/v1/maintenance", maintenance::put)
            .says("Switches maintenance of a service, or of the whole site.")
            .body::<MaintenanceBody>()
            .names_something()
            .if_match()
            .answers::<MaintenanceView>(200, "What is under maintenance now."),
        post("postMaintenance", ADMIN_MAINTENANCE, maintenance::post)
            .says("The same for runbooks, whatever `Content-Type` says.")
            .any_body::<MaintenanceBody>()
            .names_something()
            .if_match()
            .answers::<MaintenanceView>(200, "What is under maintenance now."),
    ]
}

fn operation_calls() -> Vec<Call> {
    vec![
        get("describe", "/openapi.json", openapi::show)
            .open()
            .says("This description.")
            .answers_object("OpenAPI 3.1.", "openapi"),
        get("showInstance", "/v1/instance", process::show)
            .says("The process: listeners, certificates, limits with their use, configuration, policies.")
            .answers::<ProcessView>(200, "As it is now."),
        post("reload", "/v1/reload", operations::reload)
            .says("Reads the configuration again, as SIGHUP does; nothing changes where it has a fault.")
            .answers::<ReloadReport>(200, "What changed, and what takes effect at the next start."),
        post("upgrade", "/v1/upgrade", operations::upgrade)
            .says("Replaces the process by one of the binary that is there now.")
            .changes()
            .answers::<UpgradeReport>(200, "Another process serves."),
        get("history", "/v1/history", services::whole_history)
            .says("The history over all services, newest first.")
            .query::<Paging>()
            .answers::<HistoryPage>(200, "One page."),
        get("events", "/v1/events", events::stream)
            .says("The rows of the history as they are written, as server-sent events.")
            .query::<EventFilter>()
            .header("Last-Event-ID")
            .names_something()
            .answers_text("text/event-stream", "A stream that does not end.", "events"),
        get("runbookFigures", "/api/metrics", figures::show)
            .says("The figures under the names that runbooks know.")
            .query::<FiguresFilter>()
            .names_something()
            .answers::<FiguresView>(200, "Of one service, or of all together."),
        get("metrics", "/metrics", operations::metrics).says("The metrics, for Prometheus.").answers_text(
            "text/plain",
            "Prometheus' text format.",
            "metrics",
        ),
    ]
}
