//! Errors of the API: RFC 9457 problem documents.

use super::shapes::ProblemView;
use crate::control::command::{Fault, Refusal};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Characters of a detail: it may repeat what was sent.
const LONGEST: usize = 2000;
/// Faults that are reported at once.
const FAULTS: usize = 100;

fn bounded(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// What is wrong with a request; each has a status of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ProblemType {
    MalformedJson,
    Unauthorized,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    Conflict,
    PreconditionFailed,
    ContentTooLarge,
    UnsupportedMediaType,
    Invalid,
    Unavailable,
}

impl ProblemType {
    pub(super) const ALL: [ProblemType; 13] = [
        ProblemType::MalformedJson,
        ProblemType::Unauthorized,
        ProblemType::Forbidden,
        ProblemType::NotFound,
        ProblemType::MethodNotAllowed,
        ProblemType::NotAcceptable,
        ProblemType::RequestTimeout,
        ProblemType::Conflict,
        ProblemType::PreconditionFailed,
        ProblemType::ContentTooLarge,
        ProblemType::UnsupportedMediaType,
        ProblemType::Invalid,
        ProblemType::Unavailable,
    ];

    pub(super) fn status(self) -> StatusCode {
        self.row().0
    }

    pub(super) fn title(self) -> &'static str {
        self.row().1
    }

    /// What helps.
    pub(super) fn remedy(self) -> &'static str {
        self.row().2
    }

    /// The `type` of its documents.
    pub(super) fn urn(self) -> String {
        format!("urn:pointsman:problem:{}", self.title().replace(' ', "-"))
    }

    #[rustfmt::skip]
    fn row(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            ProblemType::MalformedJson => (StatusCode::BAD_REQUEST, "malformed JSON",
                "The body is not JSON; `detail` names the line and the column."),
            ProblemType::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized",
                "Send a token that is configured: `Authorization: Bearer TOKEN`."),
            ProblemType::Forbidden => (StatusCode::FORBIDDEN, "forbidden",
                "Take a token of the role that `detail` names; pages of other sites may not ask at all."),
            ProblemType::NotFound => (StatusCode::NOT_FOUND, "not found",
                "`detail` names what does not exist: a path, a service, a pool, an upstream, a rollout, a fleet or its member."),
            ProblemType::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed",
                "The header `Allow` lists the methods of this path."),
            ProblemType::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "not acceptable",
                "Accept the media type that `detail` names, or `*/*`."),
            ProblemType::RequestTimeout => (StatusCode::REQUEST_TIMEOUT, "request timeout",
                "Send the body within ten seconds."),
            ProblemType::Conflict => (StatusCode::CONFLICT, "conflict",
                "`detail` says what stands in the way, `rollout` which rollout does."),
            ProblemType::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "precondition failed",
                "The service has changed since: read it again, and decide with its new `ETag`."),
            ProblemType::ContentTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "content too large",
                "Send at most 64 KiB."),
            ProblemType::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported media type",
                "Send JSON, with `Content-Type: application/json`."),
            ProblemType::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid",
                "Correct every field that `errors` names; nothing was changed."),
            ProblemType::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable",
                "Ask again in a second; `detail` says what is missing."),
        }
    }
}

/// An error on its way to the client.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) view: Box<ProblemView>,
}

impl Problem {
    pub(super) fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        let status = kind.status();
        let view = Box::new(ProblemView {
            kind: kind.urn(),
            title: kind.title().to_owned(),
            status: status.as_u16(),
            detail: bounded(detail.into()),
            errors: Vec::new(),
            rollout: None,
            rollout_url: None,
        });
        Problem { status, view }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Problem::new(ProblemType::NotFound, detail)
    }

    /// Everything that can be carried out at a time is.
    pub(super) fn busy() -> Self {
        let detail = "the admin API is busy with as many requests as it takes; ask again in a second";
        Problem::new(ProblemType::Unavailable, detail)
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
        let mut problem = Problem::new(ProblemType::Invalid, detail);
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
                let mut problem = Problem::new(ProblemType::Conflict, detail);
                problem.view.rollout = rollout;
                problem
            }
            Refusal::Precondition { .. } => Problem::new(ProblemType::PreconditionFailed, detail),
            Refusal::Invalid(errors) => Problem::invalid(errors),
            Refusal::Unavailable(_) => Problem::new(ProblemType::Unavailable, detail),
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
