//! Answers to what is not part of the API.

use super::problem::Problem;
use axum::http::{Method, StatusCode, Uri};

pub(super) async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(format!("{} is no path of this API", uri.path()))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}; see the Allow header", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", detail)
}
