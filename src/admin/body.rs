//! Bodies of requests: JSON, small, and refused with the path of the fault.

use super::described;
use super::problem::{Problem, ProblemType};
use super::server::Seat;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Value};
use std::fmt;
use std::time::Duration;
use utoipa::ToSchema;

/// Largest body; every real one is far below.
const LARGEST: usize = 64 * 1024;
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// A JSON body.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned + ToSchema, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            let detail = "send JSON, with `Content-Type: application/json`";
            return Err(Problem::new(ProblemType::UnsupportedMediaType, detail));
        }
        parse(&collect(request).await?)
    }
}

/// A JSON body, whatever its `Content-Type` says: `curl -d` calls it a form.
pub(super) struct AnyBody<T>(pub T);

impl<T: DeserializeOwned + ToSchema, S: Send + Sync> FromRequest<S> for AnyBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        parse(&collect(request).await?).map(|Body(value)| AnyBody(value))
    }
}

/// A JSON body, or none, whatever its `Content-Type` says.
pub(super) struct MaybeBody<T>(pub T);

impl<T: DeserializeOwned + Default + ToSchema, S: Send + Sync> FromRequest<S> for MaybeBody<T> {
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
            Err(Problem::new(ProblemType::ContentTooLarge, detail))
        }
        Err(_) => {
            let detail = format!("the body did not arrive within {PATIENCE:?}");
            Err(Problem::new(ProblemType::RequestTimeout, detail))
        }
    }
}

pub(super) fn parse<T: DeserializeOwned + ToSchema>(bytes: &[u8]) -> Result<Body<T>, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let sent = Strict::deserialize(&mut json).and_then(|Strict(sent)| json.end().map(|()| sent));
    let sent = sent.map_err(|error| not_read(&error))?;
    described::read(sent).map(Body).map_err(Problem::invalid)
}

fn not_read(error: &serde_json::Error) -> Problem {
    let place = format!("at line {} column {}", error.line(), error.column());
    match error.classify() {
        Category::Data => Problem::invalid_field("", error.to_string()),
        Category::Eof => Problem::new(ProblemType::MalformedJson, format!("the JSON breaks off {place}")),
        Category::Io | Category::Syntax => {
            Problem::new(ProblemType::MalformedJson, format!("the body is not JSON {place}"))
        }
    }
}

/// Any JSON in which no key of an object stands twice: which one was meant, nobody knows.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = list.next_element()? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Strict(value))) = object.next_entry::<String, _>()? {
            if fields.contains_key(&name) {
                return Err(A::Error::custom(format!("the key {name:?} stands twice,")));
            }
            fields.insert(name, value);
        }
        Ok(fields.into())
    }
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
        assert_eq!(to(b"{\"to\": \"green\", \"to\": \"blue\"}"), Err(422));
    }
}
