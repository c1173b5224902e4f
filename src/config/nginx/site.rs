//! The configuration that is being made: what nginx's says, in the words of Pointsman.

use super::conditions::RouteCondition;
use super::cookies::Cookies;
use super::credentials::{Authorize, BasicAuth};
use super::pages::Page;
use super::retries::Retry;
use super::tree::Place;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Site {
    /// 0: one per core.
    pub threads: u64,
    pub access_log: Option<AccessLog>,
    pub listeners: Vec<Listener>,
    /// What most routes have; set by [`super::settle`].
    pub headers: Headers,
    /// Set by [`super::settle`] where all routes have the same.
    pub error_pages: BTreeMap<u16, Page>,
    pub compression: Option<Compression>,
    pub rate_limits: Vec<RateLimit>,
    /// Those that a text may refer to; only what does is written.
    pub maps: Vec<LookupBlock>,
    pub routes: Vec<Route>,
    pub services: Vec<Service>,
}

#[derive(Debug)]
pub(super) struct AccessLog {
    pub from: Option<Place>,
    pub path: String,
    pub format: &'static str,
}

#[derive(Debug)]
pub(super) struct Listener {
    pub from: Place,
    pub address: String,
    pub h2c: bool,
    pub underscores: bool,
    pub proxy_protocol: bool,
    pub trusted_proxies: Vec<String>,
    /// Where they say who the client is, unless in `X-Forwarded-For`.
    pub client_header: Option<String>,
    /// Whether the last address there is the client's, whoever it is.
    pub is_last_hop: bool,
    pub header_timeout: Option<Duration>,
    pub body_timeout: Option<Duration>,
    pub write_timeout: Option<Duration>,
    pub keepalive: Option<Duration>,
    pub body: u64,
    pub header_size: Option<u64>,
    pub requests: Option<u64>,
    pub tls: Option<Tls>,
}

#[derive(Debug, Default, PartialEq)]
pub(super) struct Tls {
    pub from: Option<Place>,
    /// Certificate, key and OCSP answer.
    pub certificates: Vec<(String, String, Option<String>)>,
    pub http2: bool,
    pub min_version: Option<&'static str>,
    pub session_tickets: bool,
    pub client_ca: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Edits {
    pub remove: Vec<String>,
    pub set: Vec<(String, String)>,
    pub add: Vec<AddedField>,
}

/// One that is added to answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AddedField {
    pub name: String,
    pub value: String,
    pub of_successes: bool,
}

/// Towards the client and towards the upstream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Headers {
    pub response: Edits,
    pub request: Edits,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Compression {
    pub from: Place,
    pub algorithms: Vec<&'static str>,
    pub types: Vec<String>,
    pub min_size: u64,
    pub gzip_level: Option<u64>,
    pub br_level: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct RateLimit {
    pub from: Place,
    pub name: String,
    pub rate: String,
    pub burst: u64,
    pub by: String,
    pub status: u64,
}

/// `[maps.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LookupBlock {
    pub from: Place,
    pub name: String,
    pub of: String,
    /// As keys are written, and a text for each.
    pub values: Vec<(String, String)>,
    pub default: String,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Timeouts {
    pub connect: Duration,
    pub read: Duration,
    pub write: Duration,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Route {
    pub from: Place,
    pub comments: Vec<String>,
    pub hosts: Vec<String>,
    /// Empty: all.
    pub listeners: Vec<String>,
    /// As `path` is written.
    pub path: String,
    /// It comes before those of all locations.
    pub is_first: bool,
    /// What is asked beside the path.
    pub when: Vec<RouteCondition>,
    /// The prefix that a regex is tried within.
    pub within: Option<String>,
    pub lead: Lead,
    pub rewriting: Rewriting,
    pub access_log: bool,
    pub timeouts: Timeouts,
    pub headers: Headers,
    pub body: u64,
    pub rates: Vec<String>,
    pub connections_per_client: Option<u64>,
    pub compression: bool,
    /// As it is written.
    pub expires: Option<String>,
    pub allow: Vec<String>,
    pub deny_from: Vec<String>,
    pub basic_auth: Option<BasicAuth>,
    pub authorize: Option<Authorize>,
    /// One of what is asked is enough.
    pub satisfy_any: bool,
    pub internal: bool,
    pub intercept: bool,
    /// As it is written.
    pub forwarded: Option<String>,
    pub cookies: Cookies,
    /// By status.
    pub error_pages: BTreeMap<u16, Page>,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lead {
    Service(String),
    Redirect {
        to: String,
        status: u16,
    },
    Reply {
        status: u16,
        body: String,
        kind: Option<String>,
    },
    Files {
        root: String,
        alias: bool,
        index: Vec<String>,
        tries: Tries,
        /// Other keys, as they are written.
        more: Vec<String>,
    },
    Deny,
    /// To the routes behind it.
    Onward,
}

/// What becomes of the path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rewriting {
    pub rules: Vec<Rule>,
    pub path_to: Option<String>,
    /// What places of the upstream begin with, and what they become.
    pub relocations: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    pub pattern: String,
    pub to: String,
    pub then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Stay,
    Next,
    Route,
    Redirect(u16),
}

/// What is looked for in a folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tries {
    /// As `try` has them; none: the file of the path, and what stands for a folder.
    pub candidates: Vec<String>,
    pub fallback: Option<Fallback>,
}

/// What answers where there is no file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fallback {
    Status(u16),
    Path(String),
    Route(String),
}

impl Lead {
    pub(super) fn status(status: u16) -> Self {
        Lead::Reply { status, body: String::new(), kind: None }
    }

    /// In place of what cannot be expressed: an error that is seen, not something else that works.
    pub(super) fn not_imported(place: &Place) -> Self {
        let body = format!("not imported: {place}\n").replace('$', "$$");
        Lead::Reply { status: 501, body, kind: Some("text/plain".to_owned()) }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Service {
    pub from: Place,
    pub comments: Vec<String>,
    pub name: String,
    pub stable: String,
    /// As it is written.
    pub cohort: Option<String>,
    /// Of all its pools; `None` until a location leads to it.
    pub buffer: Option<Buffering>,
    /// Of all its pools; `None` until a location leads to it.
    pub retry: Option<Option<Retry>>,
    /// What answers name is sent in their place.
    pub accel: bool,
    pub pools: Vec<Pool>,
}

/// The sizes of what is taken in whole; `None` where it is streamed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Buffering {
    pub request: Option<u64>,
    pub response: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Pool {
    pub name: String,
    pub from: Place,
    pub balance: &'static str,
    pub hash_by: Option<String>,
    /// Set by [`super::settle`]: what most routes have.
    pub timeouts: Option<Timeouts>,
    pub passive: Option<(u64, Duration)>,
    pub keepalive: Option<Duration>,
    /// Connections to one upstream.
    pub kept: Option<u64>,
    pub tries: Option<u64>,
    pub slow_start: Option<Duration>,
    /// On one connection.
    pub requests: Option<u64>,
    pub http2: bool,
    pub tls: Option<UpstreamTls>,
    pub upstreams: Vec<Upstream>,
}

/// TLS towards the upstreams of a pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct UpstreamTls {
    pub verify: bool,
    pub ca: Option<String>,
    pub name: Option<String>,
    /// Certificate and key.
    pub client: Option<(String, String)>,
    /// Whether nginx says the name to the upstream; Pointsman always does.
    pub sni: bool,
}

/// How the upstreams of a service are spoken to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Speech {
    pub http2: bool,
    pub tls: Option<UpstreamTls>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Upstream {
    pub address: String,
    pub weight: u64,
    pub backup: bool,
    pub max_conns: u64,
}
