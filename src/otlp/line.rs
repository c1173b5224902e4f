//! A sampled request, as its worker has written it: a line of the access log in JSON, and what only spans say.

use serde::Deserialize;
use std::borrow::Cow;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SpanLine<'a> {
    #[serde(borrow)]
    pub start: Cow<'a, str>,
    pub request_time: f64,
    pub client: Option<Cow<'a, str>>,
    pub method: Cow<'a, str>,
    pub host: Cow<'a, str>,
    pub uri: Cow<'a, str>,
    pub protocol: Cow<'a, str>,
    pub scheme: Cow<'a, str>,
    pub status: u16,
    pub bytes: u64,
    pub service: Option<Cow<'a, str>>,
    pub group: Option<Cow<'a, str>>,
    pub ended: Option<Cow<'a, str>>,
    pub user_agent: Option<Cow<'a, str>>,
    pub request_id: Cow<'a, str>,
    pub trace_id: Cow<'a, str>,
    pub span_id: Cow<'a, str>,
    pub parent_id: Option<Cow<'a, str>>,
    pub upstream_header_time: Option<f64>,
    /// The last attempt, where there is one: then it has an outcome.
    #[serde(flatten)]
    pub last: AttemptLine<'a>,
    pub earlier: Vec<AttemptLine<'a>>,
    /// Of the attempts, the last one last: by which their spans differ.
    pub numbers: Vec<u8>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AttemptLine<'a> {
    #[serde(borrow)]
    pub outcome: Option<Cow<'a, str>>,
    /// Of its own answer, 0 without one.
    #[serde(alias = "attempt_status")]
    pub status: u16,
    pub pool: Option<Cow<'a, str>>,
    pub upstream: Option<Cow<'a, str>>,
    pub grpc: Option<u8>,
    pub began: f64,
    pub outcome_time: Option<f64>,
    pub duration: Option<f64>,
    pub broke_time: Option<f64>,
    pub cut_time: Option<f64>,
}
