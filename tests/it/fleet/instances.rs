//! Several processes of the product that act as one, over a real etcd.

mod aborts;
mod acme;
mod clients;
mod docker;
mod leading;
mod mishaps;
mod state;
mod together;

use crate::harness::{EtcdCluster, Origin, Pointsman, Relay, eventually};
use serde_json::Value;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SECRET: &str = "b7e1c0a94d2f5b8e6a3c1d7f9e0b2a4c6d8f1e3a5b7c9d0e2f4a6b8c0d1e3f5a";
const ENV: [(&str, &str); 1] = [("FLEET_SECRET", SECRET)];

/// A site that a fleet serves.
pub(super) struct Site {
    pub cluster: EtcdCluster,
    pub blue: Origin,
    pub green: Origin,
    /// What follows in every member's file.
    pub more: String,
}

impl Site {
    pub fn new() -> Self {
        Site::of(Origin::named("green"))
    }

    /// With this candidate.
    pub fn of(green: Origin) -> Self {
        let more = String::new();
        Site { cluster: EtcdCluster::start(1), blue: Origin::named("blue"), green, more }
    }

    /// The configuration of a member that reaches etcd at these endpoints.
    pub fn config(&self, name: &str, endpoints: &[String]) -> String {
        format!(
            "[fleet]\nname = \"{name}\"\nsecret = {{ env = \"FLEET_SECRET\" }}\nlease = \"2s\"\n\
             etcd = {{ endpoints = {endpoints:?} }}\n\
             [services.web]\nstable = \"blue\"\npolicy = \"default\"\nshield = false\n\
             [services.web.pools.blue]\nupstreams = [\"{}\"]\n\
             [services.web.pools.green]\nupstreams = [\"{}\"]\n\
             [policies.default]\nerror_rate = {{ critical = \"1%\" }}\n{}",
            self.blue.address, self.green.address, self.more
        )
    }

    pub fn member(&self, name: &str) -> Pointsman {
        Pointsman::start_told(&self.config(name, &self.cluster.endpoints()), &ENV)
    }

    /// One that reaches etcd by a relay.
    pub fn member_by(&self, name: &str, relay: &Relay) -> Pointsman {
        let endpoints = [self.cluster.endpoint(relay.address())];
        Pointsman::start_told(&self.config(name, &endpoints), &ENV)
    }

    /// So many members, in step.
    pub fn members(&self, count: usize) -> Vec<Pointsman> {
        let members: Vec<_> = (1..=count).map(|number| self.member(&format!("edge-{number}"))).collect();
        in_step(&members.iter().collect::<Vec<_>>());
        members
    }
}

/// Starts again with what a process has left behind.
pub(super) fn again(dir: TempDir) -> Pointsman {
    Pointsman::start_with(dir, &ENV)
}

pub(super) fn is_ready(member: &Pointsman) -> bool {
    member.get("/readyz").status == 200
}

/// Percent of green, at each.
pub(super) fn weights(members: &[&Pointsman]) -> Vec<f64> {
    members.iter().map(|member| member.weight("green")).collect()
}

/// Waits until all are ready and show the same revision.
#[track_caller]
pub(super) fn in_step(members: &[&Pointsman]) {
    eventually("all are in step", || {
        let revisions: Vec<Value> = members.iter().map(|member| member.web()["revision"].clone()).collect();
        members.iter().all(|member| is_ready(member)) && revisions.windows(2).all(|pair| pair[0] == pair[1])
    });
}

/// Waits until green has so much at all of them; how long it took.
#[track_caller]
pub(super) fn all_have(members: &[&Pointsman], green: f64) -> Duration {
    let since = Instant::now();
    eventually("all have the weights", || weights(members).iter().all(|weight| *weight == green));
    since.elapsed()
}

#[track_caller]
pub(super) fn flip(member: &Pointsman, to: &str) {
    let answer = member.call("POST", "/v1/services/web/flip", &format!("{{\"to\": \"{to}\"}}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// The texts of the common history, newest first: without what each instance sees by itself.
pub(super) fn common(member: &Pointsman) -> Vec<String> {
    let own = ["health", "refuge", "refuge-over", "recovered", "difference"];
    let rows = member.history();
    let rows = rows.iter().filter(|row| !own.contains(&row["action"].as_str().unwrap_or_default()));
    rows.map(|row| format!("{}: {}", row["actor"].as_str().unwrap_or_default(), row["text"])).collect()
}

/// The view of a rollout, as this member has it.
pub(super) fn rollout(member: &Pointsman, id: &str) -> Value {
    member.get(&format!("/v1/services/web/rollouts/{id}")).json()
}

/// Waits until a rollout has come to this phase at all of them.
#[track_caller]
pub(super) fn all_say(members: &[&Pointsman], id: &str, phase: &str) {
    let since = Instant::now();
    eventually("all say so", || {
        let is_so = members.iter().all(|member| rollout(member, id)["phase"] == phase);
        if since.elapsed() > Duration::from_secs(20) {
            members.iter().for_each(|member| println!("{} {}", member.web(), rollout(member, id)));
        }
        is_so
    });
}

/// The one that leads.
#[track_caller]
pub(super) fn leader(site: &Site) -> String {
    let mut found = Value::Null;
    eventually("one leads", || {
        let key = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, "pointsman/leader");
        let answer = site.cluster.gateway("/v3/kv/range", &serde_json::json!({ "key": key }));
        let value = answer["kvs"][0]["value"].as_str().unwrap_or_default().to_owned();
        let value = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, value).unwrap_or_default();
        found = serde_json::from_slice(&value).unwrap_or_default();
        found["member"].is_string()
    });
    found["member"].as_str().expect("a name").to_owned()
}
