//! Errors of the API: RFC 9457 problem documents.

use super::shapes::ProblemView;
use crate::control::command::{Fault, Refusal};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Characters of a detail: it may repeat what was sent.
const LONGEST: usize = 2000;
/// Faults that are told at once.
const FAULTS: usize = 100;

fn bounded(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// An error on its way to the client.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) view: Box<ProblemView>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, title: &str, detail: impl Into<String>) -> Self {
        let kind = format!("urn:pointsman:problem:{}", title.replace(' ', "-"));
        let view = Box::new(ProblemView {
            kind,
            title: title.to_owned(),
            status: status.as_u16(),
            detail: bounded(detail.into()),
            errors: Vec::new(),
            rollout: None,
            rollout_url: None,
        });
        Problem { status, view }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, "not found", detail)
    }

    /// Everything that can be carried out at a time is.
    pub(super) fn busy() -> Self {
        let detail = "the admin API is busy with as many requests as it takes; ask again in a second";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// Well-formed, but it can never be right.
    pub(super) fn invalid(errors: Vec<Fault>) -> Self {
        let shown = |fault: Fault| Fault { path: bounded(fault.path), detail: bounded(fault.detail) };
        let errors: Vec<_> = errors.into_iter().take(FAULTS).map(shown).collect();
        let detail = match errors.as_slice() {
            [only] if only.path.is_empty() => only.detail.clone(),
            [only] => format!("{}: {}", only.path, only.detail),
            many => format!("{} faults; nothing was changed", many.len()),
        };
        let mut problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail);
        problem.view.errors = errors;
        problem
    }

    pub(super) fn invalid_field(path: &str, detail: impl Into<String>) -> Self {
        Problem::invalid(vec![Fault { path: path.to_owned(), detail: detail.into() }])
    }
}

impl Problem {
    /// A refusal of a command about a service: with the way to the rollout that stands in the way.
    pub(super) fn about(service: &str, refusal: Refusal) -> Self {
        let mut problem = Problem::from(refusal);
        let rollout = problem.view.rollout.as_ref();
        problem.view.rollout_url = rollout.map(|id| rollout_path(service, id));
        problem
    }
}

/// Where a rollout is shown.
pub(super) fn rollout_path(service: &str, id: &str) -> String {
    format!("/v1/services/{service}/rollouts/{id}")
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NotFound(_) => Problem::not_found(detail),
            Refusal::Conflict { rollout, .. } => {
                let mut problem = Problem::new(StatusCode::CONFLICT, "conflict", detail);
                problem.view.rollout = rollout;
                problem
            }
            Refusal::Precondition { .. } => {
                Problem::new(StatusCode::PRECONDITION_FAILED, "precondition failed", detail)
            }
            Refusal::Invalid(errors) => Problem::invalid(errors),
            Refusal::Unavailable(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Texts and numbers: there is nothing JSON cannot hold.
        let body = serde_json::to_string(&self.view).unwrap_or_default();
        let mut response =
            (self.status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        let location = self.view.rollout_url.as_ref().and_then(|url| url.parse().ok());
        if let Some(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Bearer realm=\"pointsman\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
