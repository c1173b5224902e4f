//! What the controller shows of its state: the shapes of the admin API's answers.
//!
//! Weights are percent with two decimals, times are RFC 3339 in UTC, latencies are milliseconds.

mod last_check;
mod services;
mod sets;

pub use last_check::LastCheck;
pub use services::ServiceViews;
pub use sets::{SetRolloutView, SetView};

use crate::core::rollout::Stage;
use crate::core::service::SetPart;
use crate::core::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// Everything, as of one moment. Published through a `tokio::sync::watch` channel at every change and at least
/// every quarter of a second. What is measured of a service is as old at most while only few serve anybody;
/// where hundreds do, each has its turn.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub services: ServiceViews,
    /// Rollouts that have ended, by id.
    pub ended: Arc<BTreeMap<String, Arc<RolloutView>>>,
    pub maintenance: MaintenanceView,
    /// What was found wrong with the state at the start, a sentence each: the process has started with
    /// what is safe.
    pub degraded: Arc<[String]>,
    /// Services of which nothing is known before their fleet is heard. Without a fleet there are none.
    pub unheard: Arc<[String]>,
}

/// What is under maintenance now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MaintenanceView {
    /// The whole site's.
    pub site: Option<StretchView>,
    /// Single services' own, by name.
    pub services: BTreeMap<String, StretchView>,
}

/// One stretch of maintenance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StretchView {
    /// When it ends by itself, RFC 3339; absent where it lasts until it is switched off.
    pub until: Option<String>,
    pub remaining_seconds: Option<u64>,
    /// Who switched it on.
    pub by: String,
}

impl Snapshot {
    /// A service's rollout, running or ended.
    pub fn rollout(&self, service: &str, id: &str) -> Option<RolloutView> {
        let current = self.services.get(service).and_then(|view| view.rollout.as_ref());
        let current = current.filter(|view| view.id == id);
        let ended = self.ended.get(id).map(|view| &**view).filter(|view| view.service == service);
        // The requests that failed outlive the process in what was written of it.
        let (live, written) = (current.cloned(), ended.cloned());
        let failures = written.as_ref().map(|view| view.failures.clone()).unwrap_or_default();
        match live {
            Some(live) if live.failures.is_empty() => Some(RolloutView { failures, ..live }),
            live => live.or(written),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceView {
    pub name: String,
    pub stable: String,
    /// The pool a running rollout makes stable.
    pub candidate: Option<String>,
    /// Where a rollback goes.
    pub previous: Option<String>,
    /// The pool that a rollout to `idle` goes to.
    #[serde(default)]
    pub idle: Option<String>,
    /// Why it goes nowhere, where a pool was stable before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub no_way_back: Option<String>,
    /// The pool that serves in place of those with weight, which cannot.
    #[serde(default)]
    pub refuge: Option<String>,
    /// In the answer to a command: what it did.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    /// Grows with every change of weights, roles, upstream states or rollout; the ETag.
    pub revision: u64,
    /// What users keep their pool by: `request` (they do not), `cookie`, `client_ip` or `header`.
    #[serde(default)]
    pub cohort: String,
    pub pools: BTreeMap<String, PoolView>,
    pub rollout: Option<RolloutView>,
    /// While the policy keeps watch over what was promoted last, or over weights that were set by hand.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub watch: Option<WatchView>,
    /// Its own maintenance or the site's, whichever ends later.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub maintenance: Option<StretchView>,
    /// What has to hold after a deployment or a rollback, for the pools that traffic goes to.
    #[serde(default)]
    pub checks: Vec<CheckView>,
}

/// One point of the verification of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckView {
    /// `health`, `errors`, `timeouts`, a signal's name, or `running`.
    pub name: String,
    pub ok: bool,
    /// What was found.
    pub detail: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PoolView {
    /// As the rollout that brought it named it; `null` where that is not known.
    #[serde(default)]
    pub version: Option<String>,
    /// When the pool became candidate, or got other upstreams, last.
    #[serde(default)]
    pub since: Option<String>,
    /// Why its version gets no traffic: it was aborted, taken back or rolled back.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quarantine: Option<String>,
    pub weight: f64,
    /// What the traffic is really split by: a pool that is down has 0 while another is up.
    pub effective_weight: f64,
    pub upstreams: Vec<UpstreamView>,
    pub window: WindowView,
    /// The worst latest value of each of the policy's signals over the upstreams, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub signals: BTreeMap<String, f64>,
}

/// The detail of an upstream whose first check is still to come.
pub const UNCHECKED: &str = "not checked yet";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UpstreamView {
    /// As configured; a name, or a container, is followed by the address it is reached at.
    pub address: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resolved: Option<String>,
    /// The id of the container that it is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub container: Option<String>,
    pub weight: u16,
    /// `ready`, `draining` or `down`.
    pub state: String,
    /// Since when it has this state, RFC 3339, as far as this process knows: not before its start.
    #[serde(default)]
    pub since: Option<String>,
    /// When its last health check ended, RFC 3339; `null` where none has been made of what it is now.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub checked: LastCheck,
    /// Why it is not ready, or its last failed check.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<String>,
    pub in_flight: u32,
}

/// A pool's figures over the last seconds: for people to look at; evidence decides. Attempts of routes with
/// `measure = false` are in none of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WindowView {
    pub seconds: f64,
    pub requests: u64,
    pub failures: u64,
    /// Failures because the upstream stayed silent.
    #[serde(default)]
    pub timeouts: u64,
    /// Failures that no user saw: stable answered instead.
    #[serde(default)]
    pub shielded: u64,
    /// Requests kept from it by what the proxy itself is short of, `max_conns` first of all; charged to nobody.
    #[serde(default)]
    pub own_limits: u64,
    /// Attempts on upstreams that warmed up, which count for nothing else.
    #[serde(default)]
    pub warming: u64,
    /// Share of failed attempts, 0–1.
    pub error_rate: f64,
    pub latency_ms: LatencyView,
}

/// Milliseconds to the head of the answer; quantiles are exact to 12.5 %. Zero without requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LatencyView {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RolloutView {
    pub id: String,
    pub service: String,
    /// `canary`, `blue-green` or `rolling`.
    pub strategy: String,
    /// Whether nothing moves.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub dry_run: bool,
    pub from: String,
    pub to: String,
    pub version: Option<String>,
    /// `preparing`, `testing`, `shifting`, `baking`, `paused`, `promoted` or `aborted`.
    pub phase: String,
    /// What it waits for outside of itself: `approval`, or a hook, such as `before-shifting`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waits_for: Option<String>,
    /// Index of the current step, or batch.
    pub step: usize,
    pub steps: Vec<StepView>,
    /// The upstreams of a rolling update, in its order.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub instances: Vec<InstanceView>,
    /// The candidate's weight in percent.
    pub weight: f64,
    /// Percent that an operator had given the candidate before it began: an abort puts it on stable, too, unless
    /// nothing moves.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub by_hand: f64,
    /// The set that it is a part of, with what its services have in common: an action on one is an action on all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub set: Option<SetPart>,
    /// What the mirror step under way has brought.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mirror: Option<MirrorView>,
    pub verdict: Verdict,
    /// How far the candidate is from an abort: each critical limit, each comparison with stable, and the groups of
    /// requests with any evidence against them, the strongest first. Empty once it has ended.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub evidence: Vec<EvidenceView>,
    /// The last attempts that failed on the candidate, or that their clients gave up, oldest first: at most 20.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub failures: Vec<FailureView>,
    /// When it is aborted if it has not ended before, RFC 3339: by its `deadline`, or, while it waits for approval,
    /// by its `gate_timeout`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub deadline: Option<String>,
    /// What the current step, or the bake, still takes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hold: Option<HoldView>,
    pub started_at: String,
    pub updated_at: String,
    pub ended_at: Option<String>,
    /// `promoted` or `aborted` once ended.
    pub outcome: Option<String>,
    /// Why it ended, paused or waits.
    pub reason: Option<String>,
    /// The service's revision at the last change; pass it as `after` to wait for the next.
    pub revision: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
fn is_zero(percent: &f64) -> bool {
    *percent == 0.0
}

/// An attempt that spoke against the candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureView {
    /// RFC 3339.
    pub at: String,
    /// As the upstream got it, and as the access log has it.
    pub request_id: String,
    /// The method and the shape of the path: `GET /users/*`.
    pub request: String,
    /// The status of its answer, if one came.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// `abandoned` by its client, or why it counts as a failure: `connect`, `reset`, `timeout`, `status`, `malformed`,
    /// `unavailable`, `grpc` or `websocket`.
    pub outcome: String,
    /// As in the configuration; absent where no upstream could take the request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub upstream: Option<String>,
}

/// The evidence of one limit, or of one comparison with stable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceView {
    /// `errors`, `abandoned`, `latency`, `duration`, `4xx`, `3xx`, `empty` or `differences`.
    pub kind: String,
    /// The group of requests, such as `GET /checkout`; absent for all of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub group: Option<String>,
    /// As in the reasons of a verdict.
    pub metric: String,
    pub limit: f64,
    /// The share of attempts that are events, or how many times as often as with stable.
    pub observed: f64,
    /// Since the evidence last stood at zero.
    pub attempts: u64,
    pub events: u64,
    /// The evidence, and the evidence needed: natural logarithms.
    pub ln: f64,
    pub needed: f64,
    /// So many events in a row break the limit; absent of comparisons.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub events_to_abort: Option<u64>,
}

/// What a step takes before the next begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HoldView {
    /// Seconds that it has to pass, and has passed.
    pub needed_s: f64,
    pub passed_s: f64,
    /// Attempts of the candidate in it, and how many there must be.
    pub attempts: u64,
    pub min_attempts: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    /// Percent; 0 in a mirror step.
    pub weight: f64,
    /// Percent of stable's safe requests that are copied to the candidate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mirror: Option<f64>,
    /// As in the configuration: `5m`.
    pub hold: String,
    /// Whether somebody must approve before it goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub gate: bool,
}

/// What a mirror step has brought so far; a restart counts from zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MirrorView {
    /// Percent of stable's safe requests.
    pub share: f64,
    /// Copies sent, and how many of them failed; no user met these.
    pub requests: u64,
    pub failures: u64,
    /// Copies not sent, for want of room.
    pub dropped: u64,
    /// Answers compared with stable's, and how many of them differ.
    pub compared: u64,
    pub differences: u64,
    /// A few of those.
    pub samples: Vec<String>,
}

/// One upstream of a rolling update.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InstanceView {
    pub upstream: String,
    /// `waiting`, `draining`, `updating`, `proving`, `testing`, `serving` or `failed`.
    pub stage: Stage,
}

/// The watch over a version after its promotion, or over a pool that an operator gave weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WatchView {
    /// The pool that is watched.
    #[serde(default)]
    pub pool: String,
    /// Whether it is watched since an operator gave it weight.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub by_hand: bool,
    /// The rollout that promoted it; empty where none did.
    #[serde(default)]
    pub rollout: String,
    /// Seconds it has been watched, and will be in all; the latter 0 for a weight set by hand, which is watched as
    /// long as it stands.
    pub seconds: f64,
    pub of_seconds: f64,
    /// Whether a broken limit goes back to the previous pool, or takes the weight back, by itself.
    pub rollback: bool,
    pub verdict: Verdict,
    /// How far it is from that, as of a rollout.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub evidence: Vec<EvidenceView>,
}

/// One row of a service's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistoryView {
    /// Ascending over all services.
    pub id: u64,
    /// RFC 3339, UTC.
    pub at: String,
    pub service: String,
    /// The token's name, `pointsman` for its own decisions, `local` where no token is configured.
    pub actor: String,
    /// `weights`, `flip`, `rollback`, `drain`, `ready`, `upstreams`, `maintenance`, `health`; of rollouts
    /// `started`, `hook`, `testing`, `tested`, `approval`, `approved`, `step`, `updating`, `updated`, `held`,
    /// `passing`, `difference`, `baking`, `paused`, `resumed`, `promoted`, `aborted`; after a promotion `degraded`,
    /// `verified`, `returned`; `taken-back` of a weight that was set by hand; `refuge` and `refuge-over`; and
    /// `recovered`.
    pub action: String,
    /// A sentence that says what happened and why.
    pub text: String,
    /// The figures it was based on.
    pub figures: serde_json::Value,
    pub rollout: Option<String>,
    /// Where it was asked for: an address, or `ADDRESS for ADDRESS` where a proxy on this machine names
    /// another; absent for our own decisions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<String>,
}
