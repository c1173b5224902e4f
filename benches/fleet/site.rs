//! A fleet with its site: three members of etcd, two origins, and instances.

use super::harness::{Connection, EtcdCluster, Origin, Pointsman, Reaction, eventually, whole};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tempfile::TempDir;

const ENV: [(&str, &str); 1] =
    [("FLEET_SECRET", "b7e1c0a94d2f5b8e6a3c1d7f9e0b2a4c6d8f1e3a5b7c9d0e2f4a6b8c0d1e3f5a")];
/// Half of the traffic, for as long as nobody ends it.
pub(super) const HALF: &str = r#"{"to": "green", "strategy": "canary",
    "steps": [{"weight": 50, "hold": "1h"}, {"weight": 100, "hold": "0s"}]}"#;

pub(super) struct Fleet {
    pub cluster: EtcdCluster,
    pub green: Candidate,
    pub members: Vec<Pointsman>,
    blue: Origin,
}

/// An origin that fails a share of its requests.
pub(super) struct Candidate {
    origin: Origin,
    shared: Arc<Failing>,
}

#[derive(Default)]
struct Failing {
    per_mille: AtomicU64,
    requests: AtomicU64,
    failures: AtomicU64,
    last: Mutex<Option<Instant>>,
}

impl Fleet {
    /// So many instances, in step.
    pub(super) fn start(count: usize) -> Self {
        let mut fleet = Fleet::of(Vec::new());
        let endpoints = fleet.cluster.endpoints();
        fleet.members =
            (1..=count).map(|number| fleet.member(&format!("edge-{number}"), &endpoints)).collect();
        fleet.in_step();
        fleet
    }

    /// With these members.
    pub(super) fn of(members: Vec<Pointsman>) -> Self {
        let blue = Origin::named("blue");
        Fleet { cluster: EtcdCluster::start(3), green: Candidate::start(), members, blue }
    }

    /// An instance that reaches etcd at these endpoints.
    pub(super) fn member(&self, name: &str, endpoints: &[String]) -> Pointsman {
        let fleet = format!(
            "[fleet]\nname = \"{name}\"\nsecret = {{ env = \"FLEET_SECRET\" }}\netcd = {{ endpoints = {endpoints:?} }}\n"
        );
        start(&(fleet + &self.alone()))
    }

    /// The configuration of an instance without a fleet.
    pub(super) fn alone(&self) -> String {
        format!(
            "[server]\nstate_dir = \"state\"\nthreads = 1\ngrace = \"5s\"\n\
             [services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
             [services.web.rollout]\nmin_attempts = 0\nbake = \"0s\"\n\
             [services.web.pools.blue]\nupstreams = [\"{}\"]\n\
             [services.web.pools.green]\nupstreams = [\"{}\"]\n\
             [policies.default]\nerror_rate = {{ critical = \"1%\" }}\n",
            self.blue.address, self.green.origin.address
        )
    }

    pub(super) fn again(dir: TempDir) -> Pointsman {
        start_in(dir)
    }

    pub(super) fn doors(&self) -> Vec<SocketAddr> {
        self.members.iter().map(Pointsman::http).collect()
    }

    /// Waits until all are ready, hear etcd, know each other and show the same.
    pub(super) fn in_step(&self) {
        eventually("all are in step", || {
            let of = |member: &Pointsman| {
                let view = member.get("/v1/fleet").json();
                let known = view["members"].as_array().map(Vec::as_slice).unwrap_or_default();
                let alive = known.iter().filter(|other| other["alive"] == true).count();
                let is_whole = view["connected"] == true && alive == self.members.len();
                (is_whole && member.get("/readyz").status == 200).then(|| member.web()["revision"].clone())
            };
            let shown: Vec<Option<Value>> = self.members.iter().map(of).collect();
            shown.iter().all(Option::is_some) && shown.windows(2).all(|pair| pair[0] == pair[1])
        });
    }

    /// The number of the member that leads, as another one knows it, if it knows one.
    pub(super) fn leader_at(&self, other: usize) -> Option<usize> {
        let view = self.members[other].get("/v1/fleet").json();
        let leads = |member: &&Value| member["leader"] == true;
        let name = view["members"].as_array()?.iter().find(leads)?["name"].as_str()?.to_owned();
        name.strip_prefix("edge-")?.parse::<usize>().ok()?.checked_sub(1)
    }

    /// The member that leads.
    pub(super) fn leader(&self) -> usize {
        let mut found = None;
        eventually("one leads", || {
            found = self.leader_at(0);
            found.is_some()
        });
        found.expect("found")
    }

    /// The member of etcd that leads.
    pub(super) fn etcd_leader(&self) -> usize {
        let mut found = None;
        eventually("etcd has a leader", || {
            let led = |member: &SocketAddr| {
                let asked =
                    "POST /v3/maintenance/status HTTP/1.1\r\nHost: etcd\r\nContent-Length: 2\r\n\r\n{}";
                let answer = Connection::try_open(*member).ok()?.send(asked.as_bytes());
                let status: Value = serde_json::from_slice(&answer.body).ok()?;
                (status["leader"].is_string() && status["leader"] == status["header"]["member_id"])
                    .then_some(())
            };
            found = self.cluster.members.iter().position(|member| led(&member.client).is_some());
            found.is_some()
        });
        found.expect("found")
    }
}

/// An instance with this configuration.
pub(super) fn start(config: &str) -> Pointsman {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("pointsman.toml"), whole(config)).expect("a file");
    start_in(dir)
}

fn start_in(dir: TempDir) -> Pointsman {
    match std::env::var_os("FLEET_BINARY") {
        Some(binary) => Pointsman::start_by(Command::new(binary).envs(ENV), dir),
        None => Pointsman::start_with(dir, &ENV),
    }
}

/// Weights set at a member, over a connection of its own; whether they were taken.
pub(super) fn set_green(member: &Pointsman, green: usize) -> bool {
    let body = format!("{{\"blue\": {}, \"green\": {green}}}", 100 - green);
    member.call("PUT", "/v1/services/web/weights", &body).status == 200
}

/// Starts a rollout, once what went before is written.
pub(super) fn start_rollout(member: &Pointsman, body: &str) -> String {
    let mut id = None;
    eventually("a rollout begins", || {
        let answer = member.call("POST", "/v1/services/web/rollouts", body);
        assert!(matches!(answer.status, 201 | 409 | 503), "{}", answer.text());
        id = (answer.status == 201).then(|| answer.json()["id"].as_str().expect("an id").to_owned());
        id.is_some()
    });
    id.expect("begun")
}

pub(super) fn abort(member: &Pointsman, id: &str) {
    let answer = member.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

impl Candidate {
    fn start() -> Self {
        let shared = Arc::new(Failing::default());
        let failing = shared.clone();
        let origin = Origin::new(move |_| match failing.fails() {
            true => Reaction::Answer(500, "broken".to_owned()),
            false => Reaction::ok("green"),
        });
        Candidate { origin, shared }
    }

    /// Fails so many of a thousand from now on.
    pub(super) fn fail(&self, per_mille: u64) {
        self.shared.per_mille.store(per_mille, Ordering::SeqCst);
    }

    pub(super) fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::SeqCst)
    }

    /// When it failed a request last.
    pub(super) fn failed_at(&self) -> Instant {
        self.shared.last.lock().expect("no panic").expect("a failure")
    }
}

impl Failing {
    fn fails(&self) -> bool {
        // A draw that is the same in each run.
        let number = self.requests.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let draw = ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33) % 1000;
        let fails = draw < self.per_mille.load(Ordering::SeqCst);
        if fails {
            self.failures.fetch_add(1, Ordering::SeqCst);
            *self.last.lock().expect("no panic") = Some(Instant::now());
        }
        fails
    }
}
