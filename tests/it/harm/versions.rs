//! A service with three versions side by side, and who of them its users met.

use crate::harness::{Load, Origin, Pointsman, Reaction, eventually, get};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// One pool's origin: it answers with its name, and can be taken ill.
pub struct Version {
    pub origin: Origin,
    healthy: Arc<AtomicBool>,
    good: Arc<AtomicBool>,
    tested: Arc<AtomicBool>,
}

impl Version {
    pub fn named(name: &'static str) -> Self {
        let [healthy, good, tested] = [(); 3].map(|()| Arc::new(AtomicBool::new(true)));
        let (is_healthy, is_good, passes) = (healthy.clone(), good.clone(), tested.clone());
        let origin = Origin::new(move |request| {
            let (flag, what) = match request.path() {
                "/health" => (&is_healthy, "sick"),
                "/smoke" => (&passes, "burnt"),
                _ => (&is_good, "broken"),
            };
            if flag.load(Ordering::SeqCst) { Reaction::ok(name) } else { Reaction::Answer(500, what.into()) }
        });
        Version { origin, healthy, good, tested }
    }

    /// Its health checks.
    pub fn is_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::SeqCst);
    }

    /// Its answers to users.
    pub fn is_good(&self, good: bool) {
        self.good.store(good, Ordering::SeqCst);
    }

    /// Its answers to smoke tests.
    pub fn passes_tests(&self, tested: bool) {
        self.tested.store(tested, Ordering::SeqCst);
    }
}

pub struct Versions {
    pub blue: Version,
    pub green: Version,
    pub red: Version,
}

impl Versions {
    pub fn new() -> Self {
        let [blue, green, red] = ["blue", "green", "red"].map(Version::named);
        Versions { blue, green, red }
    }

    /// Rollouts promote at once, unless a start says otherwise. `service` are keys of the service, `rollout` of
    /// its rollouts; `pools` are those of the three that it has.
    pub fn config(&self, pools: &[&str], service: &str, rollout: &str) -> String {
        let mut text =
            format!("[services.web]\nstable = \"blue\"\npolicy = \"default\"\nshield = false\n{service}\n");
        for (name, version) in [("blue", &self.blue), ("green", &self.green), ("red", &self.red)] {
            if pools.contains(&name) {
                text.push_str(&pool(name, version));
            }
        }
        let steps = if rollout.contains("steps =") { "" } else { "steps = [{ weight = 100 }]\n" };
        text + &format!("[services.web.rollout]\nmin_attempts = 0\nbake = \"0s\"\n{steps}{rollout}\n")
            + "[policies.default]\nerror_rate = { critical = \"1%\" }\n"
    }
}

pub fn pool(name: &str, version: &Version) -> String {
    format!(
        "[services.web.pools.{name}]\nupstreams = [\"{}\"]\n\
         health = {{ path = \"/health\", interval = \"30ms\", timeout = \"5s\", rise = 1, fall = 2 }}\n",
        version.origin.address
    )
}

/// Half of the traffic for as long as it takes.
pub const HALF: &str = r#""steps": [{"weight": 50, "hold": "1h"}, {"weight": 100}]"#;

/// A rollout that is promoted at once.
#[track_caller]
pub fn promote(pointsman: &Pointsman, to: &str, version: &str) {
    let id = pointsman.start_rollout(&format!(r#"{{"to": "{to}", "version": "{version}"}}"#));
    assert_eq!(pointsman.ended(&id)["outcome"], "promoted");
}

/// A rollout whose version fails every request: the policy aborts it.
#[track_caller]
pub fn abort(pointsman: &Pointsman, to: &str, bad: &Version, version: &str) {
    bad.is_good(false);
    let load = Load::start(pointsman.http(), 2);
    let id = pointsman.start_rollout(&format!(r#"{{"to": "{to}", "version": "{version}", {HALF}}}"#));
    assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
    load.stop();
    pointsman.row("aborted");
}

/// Whom so many requests met: an answer's text where it is good, else its status.
pub fn met(pointsman: &Pointsman, requests: usize) -> BTreeMap<String, usize> {
    let mut met = BTreeMap::new();
    for _ in 0..requests {
        let answer = get(pointsman.http(), "/");
        let who = if answer.status == 200 { answer.text() } else { answer.status.to_string() };
        *met.entry(who).or_default() += 1;
    }
    met
}

/// Waits until the first upstream of a pool is in a state.
#[track_caller]
pub fn becomes(pointsman: &Pointsman, pool: &str, state: &str) {
    eventually("the upstream is seen so", || {
        pointsman.web()["pools"][pool]["upstreams"][0]["state"] == state
    });
}
