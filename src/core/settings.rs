//! What is meant: the resolved configuration. Everything here is valid, complete and free of text
//! that still needs parsing; defaults are filled in. `config` makes it from what was typed.

mod checks;
mod docker;
mod etcd;
mod fleet;
pub(super) mod forwarded;
mod notify;
mod otlp;
mod retry;
mod tls;
pub(super) mod transfer;
pub(super) mod upstream;
mod upstream_tls;

pub use checks::{CheckKind, GrpcCheck, Health, HttpCheck, SmokeTest, Statuses};
pub use docker::{Docker, DockerSocket};
pub use etcd::{EtcdEndpoint, EtcdSettings, EtcdUser};
pub use fleet::FleetSettings;
pub use forwarded::{Forwarded, ForwardedField};
pub use notify::{Github, Notify, Receiver};
pub use otlp::Otlp;
pub use retry::Retry;
pub use tls::{Acme, Certificate, Tls, TlsVersion};
pub use transfer::{Buffer, HostSent, Passive, Timeouts};
pub use upstream::{Upstream, UpstreamHost, container_identity};
pub use upstream_tls::{Identity, Trust, UpstreamTls};

use crate::core::balance::Balance;
use crate::core::cohort::Cohort;
use crate::core::compression::Compression;
use crate::core::limit::RateLimit;
use crate::core::mirror::Mirror;
use crate::core::policy::Policy;
use crate::core::refuge::Refuge;
use crate::core::retention::Retention;
use crate::core::rollout::{HookPoint, Plan};
use crate::core::route::Routes;
use crate::core::rule::Rule;
use crate::core::shield::Shield;
use crate::core::tester::Testers;
use crate::core::trace::Tracing;
use crate::core::variable::Variable;
use crate::core::warm_up::WarmUp;
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A whole configuration file, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub server: Server,
    /// Of the process.
    pub limits: ProcessLimits,
    pub admin: Admin,
    pub access_log: Option<AccessLog>,
    pub otlp: Option<Otlp>,
    /// Where containers are asked for.
    pub docker: Option<Docker>,
    /// Of several instances that act as one; `None`: this instance is alone.
    pub fleet: Option<FleetSettings>,
    pub listeners: Vec<Listener>,
    pub acme: Option<Acme>,
    pub maintenance: Arc<Maintenance>,
    /// For all routes that do not refuse it.
    pub compression: Option<Arc<Compression>>,
    /// Texts and look-ups that others refer to, by their place: `values.NAME`, `maps.NAME`.
    pub values: BTreeMap<String, Variable>,
    pub rate_limits: BTreeMap<String, RateLimit>,
    /// Each leads to something that exists.
    pub routes: Arc<Routes>,
    pub services: BTreeMap<String, Arc<Service>>,
    /// In file order; no service is in two.
    pub sets: Vec<ServiceSet>,
    pub policies: BTreeMap<String, Arc<Policy>>,
    /// In file order; names are unique.
    pub notify: Vec<Notify>,
    /// What is allowed and hardly meant.
    pub warnings: Vec<Remark>,
    /// Of all that the members of a fleet must have the same, in hexadecimal digits.
    pub shared_digest: String,
}

/// Something to be said of a place in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// What the file is called.
    pub file: String,
    /// Dotted: `services.web.pools.blue.upstreams[1]`.
    pub path: String,
    /// From 1.
    pub line: usize,
    pub column: usize,
    pub detail: String,
}

impl std::fmt::Display for Remark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Remark { file, path, line, column, detail } = self;
        write!(f, "{file}:{line}:{column}: {path}: {detail}")
    }
}

/// Several services that can be deployed as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSet {
    /// No service has it.
    pub name: String,
    /// In the order in which they go on; at least two.
    pub services: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Worker threads, at least 1 (0 in the file means one per core).
    pub threads: usize,
    pub state_dir: PathBuf,
    /// How long a shutdown waits for requests in flight.
    pub grace: Duration,
    /// How long a shutdown goes on accepting after it has said that it is not ready any more.
    pub drain_delay: Duration,
    /// For services that say nothing else.
    pub expose_pool: Option<HeaderName>,
    /// How much of the past is kept.
    pub retention: Retention,
    pub tracing: Tracing,
    /// How the process writes its own log, on standard error.
    pub log: ProcessLog,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProcessLog {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line: `timestamp`, `level`, `message`, and the fields beside them.
    Json,
}

/// What the process may take, over all listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessLimits {
    /// Connections of clients at a time; `None` is as many as the limit of file descriptors allows.
    pub connections: Option<u32>,
    /// Bytes that bodies and unread answers may hold together; `None` is a share of what the process may have.
    pub memory: Option<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Admin {
    pub listen: SocketAddr,
    pub tokens: Vec<Token>,
    /// HTTPS in place of HTTP.
    pub tls: Option<Tls>,
}

impl Admin {
    /// Whether the handshake keeps out clients without a certificate.
    pub fn knows_clients(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
    }
}

/// What a route with `admin = "maintenance"` leads to is called: the admin API's own listener. No service
/// of a configuration can have this name.
pub const ADMIN_SERVICE: &str = "@admin";
/// The only path of the admin API that such a route may open.
pub const ADMIN_MAINTENANCE: &str = "/api/maintenance";

/// What is answered during maintenance, and whom it lets pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// The page for browsers, in place of the built-in one.
    pub page: Option<Bytes>,
    /// Clients that are served all the same.
    pub allow: Vec<ipnet::IpNet>,
    /// Exact paths that are served all the same.
    pub pass: Vec<String>,
}

/// A bearer token of the admin API: only its hash is known.
#[derive(Clone, PartialEq)]
pub struct Token {
    pub name: String,
    pub role: Role,
    pub sha256: [u8; 32],
}

/// What a token may do; each role includes the ones before it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Read,
    Deploy,
    Admin,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AccessLog {
    /// `None` is standard output.
    pub path: Option<PathBuf>,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    /// nginx's combined format, with request and upstream times appended.
    Combined,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    pub address: SocketAddr,
    /// Which of `[[listeners]]` says so, from 0: one of them may stand for several addresses.
    pub entry: usize,
    pub tls: Option<Tls>,
    /// `Strict-Transport-Security` of every answer; only with TLS.
    pub hsts: Option<HeaderValue>,
    /// HTTP/2 without TLS, by prior knowledge.
    pub h2c: bool,
    /// Whether fields with an underscore in their name pass.
    pub underscores: bool,
    /// Silence tolerated between two reads of a request body.
    pub body_timeout: Duration,
    /// The whole head of a request must arrive within this, from its first byte.
    pub header_timeout: Duration,
    /// How long a client may take no byte of an answer.
    pub write_timeout: Duration,
    /// Idle time of a kept-alive connection.
    pub keepalive: Duration,
    /// Largest request body in bytes.
    pub max_body: u64,
    /// Bytes a second that a request body must bring on average, beyond a grace as long as a head may
    /// take; 0 is any.
    pub body_rate: u64,
    /// Largest request head in bytes, and most header fields.
    pub max_header_size: usize,
    pub max_headers: usize,
    pub requests_per_connection: u32,
    /// Requests of HTTP/2 that are served at a time on a connection. Each may hold some 100 KiB of an answer
    /// that its client does not take.
    pub max_streams: u32,
    /// Most connections at a time, in all and by client; 0 is no limit.
    pub max_connections: u32,
    pub connections_per_client: u32,
    /// Whether connections begin with a PROXY protocol header; trusted proxies only may connect then.
    pub proxy_protocol: bool,
    /// Proxies whose `X-Forwarded-*` and `X-Request-Id` are believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Where they say who the client is.
    pub client_field: ClientField,
}

/// The field of a request in which a trusted proxy says who the client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientField {
    pub name: HeaderName,
    /// How many of its addresses are believed, from the last one on; `None`: as long as they are trusted proxies.
    pub hops: Option<usize>,
}

impl Default for ClientField {
    fn default() -> Self {
        ClientField { name: HeaderName::from_static("x-forwarded-for"), hops: None }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    pub name: Arc<str>,
    /// The pool that is stable when the state store knows nothing yet.
    pub stable: Arc<str>,
    pub policy: Option<Arc<Policy>>,
    /// Whether its users are spared a candidate's failures, and how.
    pub shield: Option<Arc<Shield>>,
    /// How its requests are mirrored in a rollout's mirror steps.
    pub mirror: Arc<Mirror>,
    /// Who serves while no pool with weight can.
    pub refuge: Refuge,
    /// Whether the policy watches weights that were set by hand, and takes them back.
    pub watch_manual: bool,
    /// By when long streams have left a pool that has lost its weight; `None`: they stay until they end.
    pub close_streams: Option<Duration>,
    pub pools: BTreeMap<Arc<str>, Pool>,
    pub cohort: Cohort,
    pub testers: Option<Testers>,
    /// In file order: the first that holds counts.
    pub rules: Arc<[Rule]>,
    /// Where clients learn which pool answered.
    pub expose_pool: Option<HeaderName>,
    /// The defaults of its rollouts.
    pub rollout: Plan,
    /// What of each upstream is no evidence yet, whether or not a rollout runs.
    pub warm_up: Option<WarmUp>,
    pub smoke: Vec<SmokeTest>,
    pub hooks: BTreeMap<HookPoint, Hook>,
    /// The hook that updates an upstream in a rolling update.
    pub update: Option<Hook>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    pub name: Arc<str>,
    pub balance: Balance,
    pub timeouts: Timeouts,
    pub passive: Passive,
    /// Idle time after which a kept connection to an upstream is closed.
    pub keepalive: Duration,
    /// Time in which a new or recovered upstream reaches its whole share; zero is at once.
    pub slow_start: Duration,
    pub retry: Retry,
    /// Requests sent over one connection to an upstream; 0 is no limit.
    pub requests_per_connection: u16,
    /// Connections to one upstream that are kept for more requests; 0 is no limit.
    pub keepalive_connections: u32,
    /// Whether its upstreams speak HTTP/2.
    pub http2: bool,
    /// `None`: they are spoken to in the clear.
    pub tls: Option<Arc<UpstreamTls>>,
    pub upstreams: Vec<Upstream>,
    /// `None` where nothing is checked.
    pub health: Option<Health>,
    /// What its upstreams learn of clients, where a route does not say otherwise.
    pub forwarded: Forwarded,
    /// The `Host` that they are asked for.
    pub host: HostSent,
    pub buffer: Buffer,
    /// Whether its answers may name a place of this site that is shown in their place (`X-Accel-Redirect`).
    pub accel: bool,
}

/// A webhook that is asked before something happens, and may refuse it.
#[derive(Clone, PartialEq, Eq)]
pub struct Hook {
    pub url: String,
    pub timeout: Duration,
    /// Signs the body: HMAC-SHA-256, sent as `X-Pointsman-Signature: sha256=HEX`.
    pub secret: Option<String>,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the secret nor the URL, which often holds one.
        write!(f, "Hook({:?})", self.timeout)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({:?}, {:?})", self.name, self.role)
    }
}
