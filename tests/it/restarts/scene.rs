//! The actors around a pointsman: upstreams and a receiver of hooks, each of which does as it is told.

use crate::harness::{Origin, Reaction};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};

/// What an origin or a hook receiver does now; requests that hang are answered once it says otherwise.
#[derive(Clone, Copy)]
pub struct Mode {
    pub healthy: bool,
    /// Smoke tests and hooks.
    pub answers: bool,
    pub good: bool,
    /// Requests of users.
    pub hangs: bool,
}

pub const WELL: Mode = Mode { healthy: true, answers: true, good: true, hangs: false };

pub struct Actor {
    pub origin: Origin,
    pub mode: Arc<(Mutex<Mode>, Condvar)>,
}

impl Actor {
    pub fn new() -> Self {
        let mode = Arc::new((Mutex::new(WELL), Condvar::new()));
        let seen = mode.clone();
        let origin = Origin::new(move |request| {
            let (mode, changed) = &*seen;
            let hangs = |mode: &mut Mode| match request.path() {
                "/health" => false,
                "/smoke" | "/hook" => !mode.answers,
                _ => mode.hangs,
            };
            let mode = changed.wait_while(mode.lock().expect("no panic"), hangs).expect("no panic");
            let fails = match request.path() {
                "/health" => !mode.healthy,
                "/smoke" | "/hook" => false,
                _ => !mode.good,
            };
            if fails { Reaction::Answer(500, "broken".into()) } else { Reaction::ok("fine") }
        });
        Actor { origin, mode }
    }

    pub fn becomes(&self, mode: Mode) {
        *self.mode.0.lock().expect("no panic") = mode;
        self.mode.1.notify_all();
    }

    pub fn address(&self) -> SocketAddr {
        self.origin.address
    }

    /// Requests for a path.
    pub fn asked(&self, path: &str) -> usize {
        self.origin.all().iter().filter(|request| request.path() == path).count()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.becomes(WELL);
    }
}

/// Everything around one pointsman: two pools, the upstreams of a third, and a receiver of hooks.
pub struct Scene {
    pub blue: Actor,
    pub green: Actor,
    /// Of the pool `fleet`, which is updated in place.
    pub fleet: [Actor; 3],
    pub hook: Actor,
}

impl Scene {
    pub fn new() -> Self {
        let actor = |_| Actor::new();
        Scene { blue: Actor::new(), green: Actor::new(), fleet: [0; 3].map(actor), hook: Actor::new() }
    }

    /// `rollout` are keys of the rollout; `SMOKE`, `HOOK` and `UPDATE` stand for what has an address.
    pub fn config(&self, stable: &str, rollout: &str) -> String {
        let fleet: Vec<_> = self.fleet.iter().map(Actor::address).collect();
        let pools = [("blue", vec![self.blue.address()]), ("green", vec![self.green.address()])];
        let pools =
            pools.into_iter().chain([("fleet", fleet)]).map(|(name, upstreams)| pool(name, &upstreams));
        let url = format!("url = \"http://{}/hook\", timeout = \"20s\"", self.hook.address());
        let rollout = rollout
            .replace("SMOKE", "smoke = [{ path = \"/smoke\", timeout = \"20s\" }]")
            .replace("HOOK", &format!("hooks = [{{ at = \"before-shifting\", {url} }}]"))
            .replace("UPDATE", &format!("hook = {{ {url} }}"));
        let bake = if rollout.contains("bake =") { "" } else { "bake = \"0s\"\n" };
        format!("[services.web]\nstable = \"{stable}\"\npolicy = \"default\"\n")
            + &pools.collect::<String>()
            + &format!("[services.web.rollout]\nmin_attempts = 0\n{bake}{rollout}\n")
            + "[policies.default]\nerror_rate = { critical = \"1%\" }\n"
    }
}

pub fn pool(name: &str, upstreams: &[SocketAddr]) -> String {
    let upstreams: Vec<_> = upstreams.iter().map(|address| format!("\"{address}\"")).collect();
    format!(
        "[services.web.pools.{name}]\nupstreams = [{}]\n\
         health = {{ path = \"/health\", interval = \"50ms\", timeout = \"5s\", rise = 1, fall = 2 }}\n",
        upstreams.join(", ")
    )
}
