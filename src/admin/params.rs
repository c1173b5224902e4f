//! What comes beside a body: the names in the path, the query, and the headers that state a condition.

use super::described;
use super::problem::{Problem, ProblemType};
use crate::control::command::Fault;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Longest idempotency key.
const LONGEST_KEY: usize = 255;

/// The names in a path.
pub(super) struct Named<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = Path::<T>::from_request_parts(parts, state).await;
        let foreign = |_| Problem::not_found(format!("{} holds bytes that are no text", parts.uri.path()));
        found.map(|Path(names)| Named(names)).map_err(foreign)
    }
}

/// The query, held against its description as a body is.
pub(super) struct Query<T>(pub T);

impl<T: DeserializeOwned + ToSchema, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let sent = sent::<T>(parts.uri.query().unwrap_or_default())?;
        described::read(sent).map(Query).map_err(Problem::invalid)
    }
}

/// A query as the values that its description asks for, where they are such.
fn sent<T: ToSchema>(query: &str) -> Result<Value, Problem> {
    let schema = serde_json::to_value(T::schema()).unwrap_or_default();
    let mut fields = Map::new();
    let mut faults = Vec::new();
    for (name, text) in form_urlencoded::parse(query.as_bytes()) {
        let types = schema.pointer(&format!("/properties/{name}/type"));
        let is = |kind: &str| match types {
            Some(Value::String(one)) => one == kind,
            Some(Value::Array(all)) => all.iter().any(|one| one == kind),
            _ => false,
        };
        let value = match &*text {
            "true" | "false" if is("boolean") => Value::Bool(text == "true"),
            digits if is("integer") => digits.parse::<u64>().map_or_else(|_| digits.into(), Value::from),
            other => other.into(),
        };
        if fields.insert(name.to_string(), value).is_some() {
            faults.push(Fault { path: name.into_owned(), detail: "stands twice".to_owned() });
        }
    }
    if faults.is_empty() { Ok(Value::Object(fields)) } else { Err(Problem::invalid(faults)) }
}

/// The revision that a change is for, if `If-Match` names one.
pub(super) struct IfMatch(pub Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(IfMatch(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(IfMatch(None));
        }
        let revision = text.trim_start_matches("W/").trim_matches('"').parse();
        revision.map(|revision| IfMatch(Some(revision))).map_err(|_| {
            let detail = format!("{text:?} is not one ETag of a service, such as \"17\"");
            Problem::invalid_field("If-Match", detail)
        })
    }
}

/// The key that makes a start of a rollout happen once, if there is one.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY);
    let fault = || Problem::invalid_field("Idempotency-Key", format!("1 to {LONGEST_KEY} ASCII characters"));
    key.map(|key| Some(key.to_owned())).ok_or_else(fault)
}

/// Refuses a request that takes none of the media types that its answer may have.
pub(super) fn acceptable(headers: &HeaderMap, kinds: &[&str]) -> Result<(), Problem> {
    let lists: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let ranges =
        || lists.iter().flat_map(|list| list.split(',')).map(str::trim).filter(|range| !range.is_empty());
    let takes = |kind: &str| ranges().any(|range| covers(range, kind));
    if ranges().next().is_none() || kinds.iter().any(|kind| takes(kind)) {
        return Ok(());
    }
    let detail = format!("this is answered with {}", kinds.join(" or "));
    Err(Problem::new(ProblemType::NotAcceptable, detail))
}

/// Whether a media range takes a type; one of weight 0 takes none.
fn covers(range: &str, kind: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let is_refused = weight.and_then(|weight| weight.parse::<f64>().ok()).is_some_and(|weight| weight <= 0.0);
    let family = kind.split('/').next().unwrap_or_default();
    let is_family =
        name.strip_suffix("/*").is_some_and(|name| name == "*" || name.eq_ignore_ascii_case(family));
    !is_refused && (is_family || name == "*" || name.eq_ignore_ascii_case(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_takes_something_else_alone_is_refused() {
        let takes = |accept: &str, kind: &str| {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().expect("a value"))]);
            acceptable(&headers, &[kind]).is_ok()
        };
        for accept in [
            "",
            "*/*",
            "application/json",
            "text/html, application/*;q=0.8",
            "text/html,*/*;q=0.1",
            "APPLICATION/JSON",
        ] {
            assert!(takes(accept, "application/json"), "{accept}");
        }
        for accept in ["text/html", "application/json;q=0", "image/*", "applications/*"] {
            assert!(!takes(accept, "application/json"), "{accept}");
        }
        assert!(acceptable(&HeaderMap::new(), &["image/svg+xml"]).is_ok());
    }
}
