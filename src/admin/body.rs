//! Bodies of requests: JSON, small, and refused with the path of the fault.

use super::problem::Problem;
use super::server::Seat;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Largest body; every real one is far below.
const LARGEST: usize = 64 * 1024;
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// A JSON body.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let detail = "send JSON, with `Content-Type: application/json`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported media type", detail));
        }
        parse(&collect(request).await?)
    }
}

/// A JSON body, whatever its `Content-Type` says: `curl -d` calls it a form.
pub(super) struct AnyBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for AnyBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        parse(&collect(request).await?).map(|Body(value)| AnyBody(value))
    }
}

/// A JSON body, or none, whatever its `Content-Type` says.
pub(super) struct MaybeBody<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for MaybeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = collect(request).await?;
        if bytes.is_empty() {
            return Ok(MaybeBody(T::default()));
        }
        parse(&bytes).map(|Body(value)| MaybeBody(value))
    }
}

/// No body, or one that does not matter: read so that the connection can be used again.
pub(super) struct NoBody;

impl<S: Send + Sync> FromRequest<S> for NoBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = collect(request).await?;
        let empty = bytes.is_empty()
            || serde_json::from_slice(&bytes)
                .is_ok_and(|body: serde_json::Value| body.as_object().is_some_and(serde_json::Map::is_empty));
        if empty { Ok(NoBody) } else { Err(Problem::invalid_field("", "this takes no body; send none")) }
    }
}

async fn collect(request: Request) -> Result<Bytes, Problem> {
    let seat = request.extensions().get::<Seat>().cloned();
    let read = axum::body::to_bytes(request.into_body(), LARGEST);
    match tokio::time::timeout(PATIENCE, read).await {
        Ok(Ok(bytes)) => {
            if let Some(seat) = seat {
                seat.has_body();
            }
            Ok(bytes)
        }
        Ok(Err(_)) => {
            let detail = format!("the body is larger than {LARGEST} bytes, or broke off");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "content too large", detail))
        }
        Err(_) => {
            let detail = format!("the body did not arrive within {PATIENCE:?}");
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "request timeout", detail))
        }
    }
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<Body<T>, Problem> {
    // Else a list of the values of fields, without their names, would be taken for them.
    if bytes.trim_ascii_start().starts_with(b"[") {
        let detail = "is a list where a JSON object, a map of names to values, is expected";
        return Err(Problem::invalid_field("", detail));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(&mut json);
    let value = parsed.map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        let inner = error.into_inner();
        if inner.is_data() { Problem::invalid_field(&path, inner.to_string()) } else { not_json(&inner) }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(Body(value))
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed JSON", format!("the body is not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::shapes::FlipBody;

    #[test]
    fn a_body_has_names_for_its_values() {
        let to =
            |json: &[u8]| parse::<FlipBody>(json).map(|Body(body)| body.to).map_err(|p| p.status.as_u16());
        assert_eq!(to(b" {\"to\": \"green\"} "), Ok("green".to_owned()));
        assert_eq!(to(b" [\"green\"]"), Err(422));
        assert_eq!(to(b"{\"to\": \"green\"} x"), Err(400));
    }
}
