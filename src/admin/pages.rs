//! Answers to what is not part of the API.

use super::problem::{Problem, ProblemType};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

pub(super) async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(format!("{} is no path of this API", uri.path()))
}

/// The router adds `Allow`. `OPTIONS` asks for that alone.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let detail = format!("{} does not take {method}; see the Allow header", uri.path());
    Problem::new(ProblemType::MethodNotAllowed, detail).into_response()
}
