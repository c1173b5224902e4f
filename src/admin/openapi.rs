//! The description of the API: OpenAPI 3.1, from the calls that are served and the types that serve them.
//!
//! `docs/openapi.json` is the same, committed; a test says when it is out of date.

#[cfg(test)]
mod tests;

use super::calls::{self, Call, Shape};
use super::problem::ProblemType;
use super::shapes::ProblemView;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

const EXAMPLES: &str = include_str!("openapi/examples.json");
const ABOUT: &str = "Reads need a token of the role `read`, changes `deploy`, a reload or an upgrade `admin`. Where no \
                     token is configured, all is open to this machine. Errors are problems by RFC 9457.";

static TEXT: LazyLock<String> = LazyLock::new(|| {
    // Texts and numbers: there is nothing JSON cannot hold.
    let text = serde_json::to_string_pretty(&document(&calls::all())).unwrap_or_default();
    text + "\n"
});

/// The description as JSON.
pub fn openapi() -> &'static str {
    &TEXT
}

/// It takes no token, as health does not.
pub(super) async fn show() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi()).into_response()
}

fn document(calls: &[Call]) -> Value {
    let examples: Map<String, Value> = serde_json::from_str(EXAMPLES).unwrap_or_default();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    let problem = Shape::of::<ProblemView>();
    let shapes = calls.iter().flat_map(|call| {
        let answers = call.answers.iter().filter_map(|answer| answer.media.as_ref().map(|(_, shape)| shape));
        call.body.iter().chain(answers)
    });
    shapes.chain([&problem]).for_each(|shape| schemas.extend(shape.nested.iter().cloned()));
    for call in calls {
        let method = call.method.as_str().to_lowercase();
        paths.entry(call.path).or_default().insert(method, operation(call, &examples));
    }
    let shown = examples.iter().map(|(name, value)| (name.clone(), json!({ "value": value })));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Pointsman",
            "summary": "The admin API of a front load balancer that deploys safely by itself.",
            "description": ABOUT,
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://127.0.0.1:9900" }],
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": Map::from_iter(ProblemType::ALL.map(|kind| (component(kind), response(kind)))),
            "headers": headers(),
            "examples": shown.collect::<Map<_, _>>(),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "description": "`Authorization: Bearer TOKEN`" },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "pointsman_session",
                    "description": "A session of the dashboard; changes need `Sec-Fetch-Site: same-origin`, too",
                },
            },
        },
    })
}

fn operation(call: &Call, examples: &Map<String, Value>) -> Value {
    let mut operation = json!({
        "operationId": call.id,
        "summary": call.summary,
        "parameters": parameters(call),
        "responses": responses(call, examples),
    });
    let Some(fields) = operation.as_object_mut() else { return operation };
    match call.role() {
        Some(role) => drop(fields.insert("x-role".into(), json!(role))),
        None => drop(fields.insert("security".into(), json!([]))),
    }
    if let Some(body) = &call.body {
        let content = json!({ "application/json": media(body, examples) });
        fields.insert("requestBody".into(), json!({ "required": call.needs_body, "content": content }));
    }
    operation
}

/// The names in the path, the fields of the query, and the headers.
fn parameters(call: &Call) -> Vec<Value> {
    let names = call.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let names = names.map(|name| match (name, call.actions) {
        ("action", actions) => json!({
            "name": name, "in": "path", "required": true, "schema": { "type": "string", "enum": actions },
        }),
        _ => json!({
            "name": name, "in": "path", "required": true,
            "schema": { "type": "string", "minLength": 1 }, "example": example_of(name),
        }),
    });
    let fields = call.query.iter().flat_map(|query| {
        let fields = query.get("properties").and_then(Value::as_object);
        fields.into_iter().flatten().map(|(name, schema)| query_parameter(name, schema))
    });
    let headers = call.headers.iter().map(|name| {
        let (about, pattern, example) = header_of(name);
        json!({
            "name": name, "in": "header", "required": false, "description": about,
            "schema": { "type": "string", "pattern": pattern }, "example": example,
        })
    });
    names.chain(fields).chain(headers).collect()
}

/// A field of a query is left out rather than null.
fn query_parameter(name: &str, schema: &Value) -> Value {
    let mut schema = schema.clone();
    let about = schema.as_object_mut().and_then(|fields| fields.remove("description"));
    if let Some(kind) = schema.get_mut("type") {
        let first = kind.as_array().and_then(|kinds| kinds.iter().find(|kind| *kind != "null")).cloned();
        first.into_iter().for_each(|first| *kind = first);
    }
    let mut parameter = json!({ "name": name, "in": "query", "required": false, "schema": schema });
    if let (Some(about), Some(fields)) = (about, parameter.as_object_mut()) {
        fields.insert("description".into(), about);
    }
    parameter
}

fn example_of(name: &str) -> &'static str {
    match name {
        "service" => "web",
        "set" => "shop",
        "member" => "edge-3",
        "pool" => "green",
        "upstream" => "10.0.0.3:3000",
        _ => "web-20261128T101500-12",
    }
}

/// What a header of a request is for, how it is written, and one as it looks.
fn header_of(name: &str) -> (&'static str, &'static str, &'static str) {
    match name {
        "If-Match" => {
            let about =
                "The `ETag` of what is changed, as it was read: refused (412) if that has changed since.";
            (about, "^(\\*|(W/)?\"[0-9]{1,18}\")$", "\"17\"")
        }
        "Idempotency-Key" => {
            ("A key that was seen before starts nothing again.", "^[!-~]([ -~]{0,253}[!-~])?$", "ci-4711")
        }
        _ => (
            "The id of the last event that was seen: what came after it is sent first.",
            "^[0-9]{1,18}$",
            "4711",
        ),
    }
}

fn headers() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "ETag": { "description": "The revision, for `If-Match`.", "schema": text, "example": "\"17\"" },
        "Location": { "description": "Where the rollout is shown.", "schema": text },
        "Set-Cookie": { "description": "The session, `HttpOnly` and `SameSite=Strict`.", "schema": text },
        "WWW-Authenticate": { "description": "What is to be sent.", "schema": text },
    })
}

fn responses(call: &Call, examples: &Map<String, Value>) -> Map<String, Value> {
    let problems = call.problems.iter().map(|kind| {
        let reference = format!("#/components/responses/{}", component(*kind));
        (kind.status().as_u16().to_string(), json!({ "$ref": reference }))
    });
    let answers = call.answers.iter().map(|answer| {
        let mut response = json!({ "description": answer.text });
        if let (Some((name, shape)), Some(fields)) = (&answer.media, response.as_object_mut()) {
            fields.insert("content".into(), json!({ *name: media(shape, examples) }));
        }
        if let (false, Some(fields)) = (answer.headers.is_empty(), response.as_object_mut()) {
            let named = answer
                .headers
                .iter()
                .map(|name| ((*name).to_owned(), json!({ "$ref": format!("#/components/headers/{name}") })));
            fields.insert("headers".into(), named.collect::<Map<_, _>>().into());
        }
        (answer.status.to_string(), response)
    });
    problems.chain(answers).collect()
}

fn media(shape: &Shape, examples: &Map<String, Value>) -> Value {
    let one = || examples.get(&shape.name).cloned().unwrap_or_default();
    match shape.is_list {
        true => json!({ "schema": shape.schema, "example": [one()] }),
        false => {
            let reference = format!("#/components/examples/{}", shape.name);
            json!({ "schema": shape.schema, "examples": { &shape.name: { "$ref": reference } } })
        }
    }
}

/// The name of a problem among the components: its title in one word.
fn component(kind: ProblemType) -> String {
    let words = kind.title().split(' ');
    let capital = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    };
    words.map(capital).collect()
}

fn response(kind: ProblemType) -> Value {
    let (status, urn) = (kind.status().as_u16(), kind.urn());
    let example = json!({ "type": urn, "title": kind.title(), "status": status, "detail": detail(kind) });
    let of_this = json!({ "properties": { "type": { "const": urn }, "status": { "const": status } } });
    let schema = json!({ "allOf": [{ "$ref": "#/components/schemas/ProblemView" }, of_this] });
    let content = json!({ "application/problem+json": { "schema": schema, "example": example } });
    let mut response = json!({ "description": kind.remedy(), "content": content });
    let header = match kind {
        ProblemType::Unauthorized => "WWW-Authenticate",
        ProblemType::Conflict => "Location",
        _ => return response,
    };
    if let Some(fields) = response.as_object_mut() {
        let reference = json!({ "$ref": format!("#/components/headers/{header}") });
        fields.insert("headers".into(), json!({ header: reference }));
    }
    response
}

/// A detail as it is said.
fn detail(kind: ProblemType) -> &'static str {
    match kind {
        ProblemType::MalformedJson => "the body is not JSON at line 1 column 15",
        ProblemType::Unauthorized => "this token is not known",
        ProblemType::Forbidden => "the token eye has the role read; this needs deploy",
        ProblemType::NotFound => "there is no service shop",
        ProblemType::MethodNotAllowed => "/v1/services does not take PUT; see the Allow header",
        ProblemType::NotAcceptable => "this is answered with application/json",
        ProblemType::RequestTimeout => "the body did not arrive within 10s",
        ProblemType::Conflict => "a rollout of web is running; pause or abort it first",
        ProblemType::PreconditionFailed => "the revision is 18, not the one given",
        ProblemType::ContentTooLarge => "the body is larger than 65536 bytes, or broke off",
        ProblemType::UnsupportedMediaType => "send JSON, with `Content-Type: application/json`",
        ProblemType::Invalid => "to: is missing",
        ProblemType::Unavailable => "the state store does not write",
    }
}
