//! What survives `kill -9`, a full disk and a second instance.

use super::harness::{Load, Nginx, Origin, Pointsman, Printed, Reaction, eventually};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;

fn config(blue: SocketAddr, green: SocketAddr, red: SocketAddr) -> String {
    format!(
        "[services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n\
         [services.web.pools.red]\nupstreams = [\"{red}\"]\n\
         [services.web.rollout]\n\
         steps = [{{ weight = 5, hold = \"20ms\" }}, {{ weight = 25, hold = \"20ms\" }}, {{ weight = 100 }}]\n\
         bake = \"20ms\"\nmin_attempts = 5\n\
         [policies.default]\nerror_rate = {{ critical = \"1%\" }}\n"
    )
}

/// What outside observers know of one rollout.
#[derive(Debug, Default)]
struct Known {
    aborted: bool,
    promoted: bool,
}

/// Kills at a moment that a seeded sequence chooses: so many views of the running rollout later.
#[test]
fn fifty_kills_at_random_moments_never_bring_back_an_aborted_candidate() {
    let nginx = Nginx::start(&["blue", "green"]);
    let red = Origin::new(|_| Reaction::Answer(500, "broken".into()));
    let mut pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], red.address));
    let mut random = 0x5EED_u64;
    let mut draw = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let mut rows: BTreeMap<u64, Value> = BTreeMap::new();
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    let (mut killed_running, mut marks) = (0, 0);
    for kill in 0..50 {
        let load = Load::start(pointsman.http(), 4);
        let before = pointsman.web();
        let stable = before["stable"].as_str().expect("a pool").to_owned();
        let running = before["rollout"]["outcome"].is_null() && before["rollout"].is_object();
        if !running {
            let good = if stable == "blue" { "green" } else { "blue" };
            let to = if draw(2) == 0 { "red" } else { good };
            pointsman.start_rollout(&format!("{{\"to\": \"{to}\"}}"));
        }
        for _ in 0..draw(60) {
            let view = pointsman.web();
            watch(&view, &mut known);
            if view["rollout"]["outcome"].is_string() && draw(3) == 0 {
                break;
            }
        }
        for row in pointsman.history() {
            rows.insert(row["id"].as_u64().expect("an id"), row);
        }
        killed_running += usize::from(pointsman.web()["candidate"].is_string());
        watch(&pointsman.web(), &mut known);
        drop(load);
        pointsman = pointsman.kill_and_restart();
        check(&pointsman, &known, kill);
        marks +=
            pointsman.history().iter().filter(|row| row["text"].to_string().contains("just before")).count();
        whole(&pointsman, &rows);
    }
    println!(
        "50 kills, {killed_running} while a rollout ran; {} rollouts, {} seen aborted, {} seen promoted, \
         {marks} aborts taken from the marks; {} rows of history, none lost",
        known.len(),
        known.values().filter(|known| known.aborted).count(),
        known.values().filter(|known| known.promoted).count(),
        rows.len()
    );
    assert!(killed_running >= 5, "kills must meet running rollouts: {killed_running}");
}

fn watch(view: &Value, known: &mut BTreeMap<String, Known>) {
    let rollout = &view["rollout"];
    let Some(id) = rollout["id"].as_str() else { return };
    let entry = known.entry(id.to_owned()).or_default();
    entry.aborted |= rollout["outcome"] == "aborted";
    entry.promoted |= rollout["outcome"] == "promoted";
}

fn check(pointsman: &Pointsman, known: &BTreeMap<String, Known>, kill: usize) {
    let view = pointsman.web();
    let pools = view["pools"].as_object().expect("pools");
    let sum: f64 = pools.values().map(|pool| pool["weight"].as_f64().unwrap_or(0.0)).sum();
    assert!((sum - 100.0).abs() < 1e-9, "kill {kill}: {view}");
    for (id, seen) in known {
        let now = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
        if seen.aborted {
            assert_eq!(now["outcome"], "aborted", "kill {kill}: {now}");
        }
        if seen.promoted {
            assert_eq!(now["outcome"], "promoted", "kill {kill}: {now}");
        }
    }
    let last = &view["rollout"];
    if last["outcome"] == "aborted" {
        let candidate = last["to"].as_str().expect("a pool");
        assert_eq!(pools[candidate]["weight"].as_f64(), Some(0.0), "kill {kill}: {view}");
    }
    if last["outcome"].is_null() {
        let (from, to) = (last["from"].as_str().expect("a pool"), last["to"].as_str().expect("a pool"));
        assert_eq!(view["stable"], from, "kill {kill}: {view}");
        let to = pools[to]["weight"].as_f64().expect("a weight");
        assert!([0.0, 5.0, 25.0, 100.0].contains(&to), "kill {kill}: {view}");
    }
}

/// Every row that was once read is still there, as it was.
fn whole(pointsman: &Pointsman, rows: &BTreeMap<u64, Value>) {
    let mut now = BTreeMap::new();
    let mut before = String::new();
    loop {
        let page = pointsman.get(&format!("/v1/services/web/history?limit=500{before}")).json();
        let page = page["history"].as_array().expect("rows").clone();
        let Some(last) = page.last() else { break };
        before = format!("&before={}", last["id"]);
        now.extend(page.iter().map(|row| (row["id"].as_u64().expect("an id"), row.clone())));
    }
    for (id, row) in rows {
        assert_eq!(now.get(id), Some(row));
    }
}

#[test]
fn weights_flips_and_drains_are_there_after_a_kill() {
    let nginx = Nginx::start(&["blue", "green", "red"]);
    let [blue, green, red] = [0, 1, 2].map(|index| nginx.addresses[index]);
    let pointsman = Pointsman::start(&config(blue, green, red));
    assert_eq!(pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#).status, 200);
    let weights = r#"{"blue": 12.34, "green": 87.66}"#;
    let set = pointsman.call("PUT", "/v1/services/web/weights", weights);
    assert_eq!(set.status, 200);
    let drain = format!("/v1/services/web/pools/red/upstreams/{red}/drain");
    assert_eq!(pointsman.call("POST", &drain, "").status, 200);
    let before = pointsman.web();
    let pointsman = pointsman.kill_and_restart();
    let after = pointsman.web();
    assert_eq!((&after["stable"], &after["previous"]), (&before["stable"], &before["previous"]));
    assert_eq!((pointsman.weight("blue"), pointsman.weight("green")), (12.34, 87.66));
    assert_eq!(after["pools"]["red"]["upstreams"][0]["state"], "draining");
    assert!(after["revision"].as_u64() > before["revision"].as_u64(), "revisions never repeat");
}

#[test]
fn a_second_instance_on_the_same_state_is_refused() {
    let nginx = Nginx::start(&["blue", "green", "red"]);
    let pointsman = Pointsman::start(&config(nginx.addresses[0], nginx.addresses[1], nginx.addresses[2]));
    let second = Printed::of(&["run", "--config", "pointsman.toml"], pointsman.dir.path());
    assert_eq!(second.code, 1);
    assert!(second.err.contains("in use by another process"), "{}", second.err);
    assert!(second.err.contains(&pointsman.pid().to_string()), "it names the owner: {}", second.err);
}

#[test]
fn an_abort_is_not_delayed_by_a_state_store_that_cannot_write() {
    let nginx = Nginx::start(&["blue", "green"]);
    let red = Origin::named("red");
    let text = config(nginx.addresses[0], nginx.addresses[1], red.address)
        .replace("hold = \"20ms\"", "hold = \"1h\"");
    let pointsman = Pointsman::start(&text);
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "red"}"#);
    eventually("it shifts", || pointsman.weight("red") == 5.0);
    // Every write of the process fails from now on, as on a full disk.
    let pid = pointsman.pid().to_string();
    let limited = std::process::Command::new("prlimit").args(["--pid", &pid, "--fsize=1:"]).status();
    assert!(limited.expect("prlimit").success());
    let refused = pointsman.call("POST", "/v1/services/web/rollouts/x/abort", "");
    assert_eq!(refused.status, 404, "it still answers");
    red.react(|_| Reaction::Answer(500, "broken".into()));
    let view = pointsman.ended(&id);
    assert_eq!(view["outcome"], "aborted");
    assert_eq!(pointsman.weight("red"), 0.0);
    let flip = pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#);
    assert_eq!(flip.status, 503, "what gives traffic must be written first: {}", flip.text());
    assert_eq!(pointsman.web()["stable"], "blue", "and nothing has changed");
    load.stop();
    let limited = std::process::Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status();
    assert!(limited.expect("prlimit").success());
    pointsman.row("aborted");
    assert_eq!(pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#).status, 200);
}
