//! `[docker]`: containers come and go as upstreams.

mod compose;
mod real;
mod scarce;

use super::harness::{Docker, Load, Origin, Pointsman, Reaction, eventually, get};
use serde_json::{Value, json};
use std::net::SocketAddr;

pub(super) const CHECK: &str = "health = { path = \"/health\", interval = \"20ms\", timeout = \"1s\" }\n";

/// The pools blue and green without upstreams of their own; all traffic on blue.
fn config(docker: &Docker, more: &str) -> String {
    let socket = docker.socket();
    format!(
        "[docker]\nsocket = \"{}\"\n[services.web]\nstable = \"blue\"\n\
         [services.web.pools.blue]\n{CHECK}[services.web.pools.green]\n{CHECK}{more}",
        socket.display()
    )
}

/// The id and the state of each upstream of a pool.
fn upstreams(pointsman: &Pointsman, pool: &str) -> Vec<(String, String)> {
    let view = pointsman.web();
    let upstreams = view["pools"][pool]["upstreams"].as_array().expect("upstreams").clone();
    let one = |upstream: &Value| {
        let text = |key: &str| upstream[key].as_str().unwrap_or_default().to_owned();
        (text("container"), text("state"))
    };
    upstreams.iter().map(one).collect()
}

fn states(pointsman: &Pointsman, pool: &str) -> String {
    let all: Vec<String> =
        upstreams(pointsman, pool).into_iter().map(|(id, state)| format!("{id} {state}")).collect();
    all.join(", ")
}

#[track_caller]
pub(super) fn becomes(pointsman: &Pointsman, pool: &str, expected: &str) {
    let mut last = String::new();
    let is_so = || {
        last = states(pointsman, pool);
        last == expected
    };
    eventually(&format!("{pool} is {expected:?}"), is_so);
}

fn unhealthy(name: &str) -> Origin {
    let name = name.to_owned();
    Origin::new(move |request| match request.path() {
        "/health" => Reaction::Answer(503, "starting".into()),
        _ => Reaction::ok(&name),
    })
}

#[test]
fn a_container_serves_once_its_check_has_passed() {
    let docker = Docker::start();
    let (first, second) = (Origin::named("first"), unhealthy("second"));
    docker.runs("aa", "web-1", "blue", first.address);
    let pointsman = Pointsman::start(&config(&docker, ""));
    // It was known before the first request.
    assert_eq!(
        (get(pointsman.http(), "/").text(), &*states(&pointsman, "blue")),
        ("first".into(), "aa ready")
    );
    let load = Load::start(pointsman.http(), 4);
    docker.runs("bb", "web-2", "blue", second.address);
    becomes(&pointsman, "blue", "aa ready, bb down");
    let label = format!("web-2:{}", second.address.port());
    let view = pointsman.web();
    let upstream = &view["pools"]["blue"]["upstreams"][1];
    assert_eq!(
        (&upstream["address"], &upstream["resolved"]),
        (&label.into(), &second.address.to_string().into()),
        "{view:#}"
    );
    let before = load.good();
    eventually("requests go on", || load.good() > before + 200);
    let is_check = |path: &str| path == "/health";
    assert!(second.all().iter().all(|request| is_check(request.path())), "no traffic before a passed check");
    second.react(|_| Reaction::ok("second"));
    becomes(&pointsman, "blue", "aa ready, bb ready");
    eventually("it serves", || second.all().iter().any(|request| !is_check(request.path())));
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
    let row = pointsman.row("upstreams");
    assert_eq!(row["actor"], "docker", "{row:#}");
    assert!(
        row["text"]
            .as_str()
            .is_some_and(|text| text.contains("web-2:") && text.contains("started in Docker"))
    );
}

/// `docker stop`: SIGTERM, then the end, then it is gone.
#[test]
fn a_container_that_is_stopped_under_load_loses_no_request() {
    let docker = Docker::start();
    let [first, second] = ["first", "second"].map(Origin::named);
    docker.runs("aa", "web-1", "blue", first.address);
    docker.runs("bb", "web-2", "blue", second.address);
    let pointsman = Pointsman::start(&config(&docker, ""));
    becomes(&pointsman, "blue", "aa ready, bb ready");
    let load = Load::start(pointsman.http(), 8);
    eventually("both serve", || first.requests().min(second.requests()) > 50);
    // What ends no process takes nobody out.
    docker.kill("bb", "1");
    docker.kill("bb", "SIGUSR1");
    docker.kill("bb", "15");
    becomes(&pointsman, "blue", "aa ready, bb draining");
    let served = second.requests();
    let before = load.good();
    eventually("the other one serves all", || load.good() > before + 200);
    let checks = second.all().iter().skip(served as usize).filter(|r| r.path() != "/health").count();
    assert!(checks <= 8, "{checks} requests came after the signal: at most those under way");
    docker.dies("bb");
    drop(second);
    becomes(&pointsman, "blue", "aa ready");
    docker.is_removed("bb");
    let before = load.good();
    eventually("requests go on", || load.good() > before + 200);
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
}

#[test]
fn a_stop_signal_of_its_own_drains_too_and_no_other_does() {
    let docker = Docker::start();
    let [first, second] = ["first", "second"].map(Origin::named);
    docker.runs("aa", "web-1", "blue", first.address);
    docker.runs("bb", "web-2", "blue", second.address);
    docker.is_stopped_by("bb", "SIGUSR1");
    let pointsman = Pointsman::start(&config(&docker, ""));
    becomes(&pointsman, "blue", "aa ready, bb ready");
    docker.kill("aa", "10");
    docker.kill("bb", "10");
    becomes(&pointsman, "blue", "aa ready, bb draining");
}

/// The same name at another address needs no wait; the same container is the same version.
#[test]
fn a_container_that_starts_again_elsewhere_is_followed_at_once() {
    let docker = Docker::start();
    let port = Origin::named("first");
    let other = Origin::at(SocketAddr::new([127, 0, 0, 2].into(), port.address.port()), "moved");
    docker.runs("aa", "web-1", "blue", port.address);
    let pointsman = Pointsman::start(&config(&docker, ""));
    assert_eq!(get(pointsman.http(), "/").text(), "first");
    docker.dies("aa");
    becomes(&pointsman, "blue", "");
    docker.runs("aa", "web-1", "blue", other.address);
    becomes(&pointsman, "blue", "aa ready");
    assert_eq!(get(pointsman.http(), "/").text(), "moved");
    let resolved = pointsman.web()["pools"]["blue"]["upstreams"][0]["resolved"].clone();
    assert_eq!(resolved, other.address.to_string());
}

/// A recreated container is another version than the one that was rolled back; one that restarts is not.
#[test]
fn what_is_held_against_a_version_goes_with_its_container() {
    let docker = Docker::start();
    let (blue, bad) = (
        Origin::named("blue"),
        Origin::new(|request| match request.path() {
            "/health" => Reaction::ok("up"),
            _ => Reaction::Answer(500, "bad".into()),
        }),
    );
    docker.runs("aa", "web-blue", "blue", blue.address);
    docker.runs("bb", "web-green", "green", bad.address);
    let more = "[services.web.rollout]\nsteps = [{ weight = 50, hold = \"1h\" }, { weight = 100 }]\nbake = \"1h\"\n\
        [policies.default]\nerror_rate = { critical = \"1%\" }\n";
    let pointsman = Pointsman::start(&config(&docker, more));
    becomes(&pointsman, "green", "bb ready");
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    assert_eq!(pointsman.ended(&id)["outcome"], "aborted");
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0), "no user saw it");
    let flip = || pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#).status;
    assert_eq!(flip(), 409, "it was aborted");
    docker.dies("bb");
    becomes(&pointsman, "green", "");
    docker.runs("bb", "web-green", "green", bad.address);
    becomes(&pointsman, "green", "bb ready");
    assert_eq!(flip(), 409, "it is the same container");
    docker.dies("bb");
    docker.is_removed("bb");
    becomes(&pointsman, "green", "");
    assert_eq!(flip(), 409, "there is none");
    bad.react(|_| Reaction::ok("good"));
    docker.runs("cc", "web-green", "green", bad.address);
    becomes(&pointsman, "green", "cc ready");
    assert_eq!(flip(), 200, "another version");
    assert_eq!(get(pointsman.http(), "/").text(), "good");
}

/// The daemon is gone, meanwhile containers change; nothing changes here until it is back.
#[test]
fn without_docker_everything_stays_as_it_is() {
    let docker = Docker::start();
    let [first, second] = ["first", "second"].map(Origin::named);
    docker.runs("aa", "web-1", "blue", first.address);
    docker.runs("bb", "web-2", "blue", second.address);
    let pointsman = Pointsman::start(&config(&docker, ""));
    becomes(&pointsman, "blue", "aa ready, bb ready");
    let load = Load::start(pointsman.http(), 4);
    docker.goes_down();
    let down = |pointsman: &Pointsman| pointsman.get("/v1/instance").json()["docker"]["down"].clone();
    eventually("it is known to be down", || down(&pointsman).is_string());
    assert!(pointsman.get("/metrics").text().contains("pointsman_docker_up 0"));
    let third = Origin::named("third");
    docker.runs("cc", "web-3", "blue", third.address);
    docker.is_removed("bb");
    let before = load.good();
    eventually("requests go on", || load.good() > before + 500);
    assert_eq!(states(&pointsman, "blue"), "aa ready, bb ready");
    // A restart meanwhile knows what it knew.
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
    let pointsman = pointsman.kill_and_restart();
    assert_eq!(states(&pointsman, "blue"), "aa ready, bb ready");
    let load = Load::start(pointsman.http(), 4);
    docker.comes_back();
    becomes(&pointsman, "blue", "aa ready, cc ready");
    assert!(down(&pointsman).is_null());
    assert!(pointsman.get("/metrics").text().contains("pointsman_docker_up 1"));
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
}

#[test]
fn a_wrong_label_is_said_with_its_remedy() {
    let docker = Docker::start();
    let origin = Origin::named("first");
    let pointsman = Pointsman::start(&config(&docker, ""));
    let labels = json!({"pointsman.service": "wbe", "pointsman.port": "80"});
    docker.runs_with("aa", "web-1", labels, origin.address);
    let refused = || pointsman.get("/v1/instance").json()["docker"]["refused"][0].clone();
    eventually("it is refused", || refused().is_object());
    let says = "the label pointsman.service names \"wbe\", which is no service; there are: web";
    assert_eq!(refused(), json!({"container": "web-1", "detail": says}));
    assert!(pointsman.log().contains(says), "{}", pointsman.log());
    let beside = json!({"pointsman.service": "web", "pointsman.pool": "blue", "pointsman.port": "80",
        "com.docker.compose.oneoff": "True"});
    docker.runs_with("bb", "web-run-1", beside, origin.address);
    docker.runs("cc", "web-2", "blue", origin.address);
    becomes(&pointsman, "blue", "cc ready");
}

/// `[docker]` comes and goes by reloads, beside upstreams of the file.
#[test]
fn a_reload_begins_and_ends_it() {
    let docker = Docker::start();
    let [listed, contained] = ["listed", "contained"].map(Origin::named);
    docker.runs("aa", "web-1", "blue", contained.address);
    let without = format!("[services.web.pools.blue]\nupstreams = [\"{}\"]\n{CHECK}", listed.address);
    let with = format!("[docker]\nsocket = \"{}\"\n{without}", docker.socket().display());
    let pointsman = Pointsman::start(&without);
    assert!(pointsman.get("/v1/instance").json()["docker"].is_null());
    pointsman.configure(&with);
    assert!(pointsman.cli(&["reload"]).out.contains("docker"));
    becomes(&pointsman, "blue", " ready, aa ready");
    pointsman.configure(&without);
    assert!(pointsman.cli(&["reload"]).out.contains("docker"));
    becomes(&pointsman, "blue", " ready");
    assert!(docker.listings() > 0);
    assert!(!pointsman.get("/metrics").text().contains("pointsman_docker_up"));
}

/// Each instance is replaced by a container of the same name, as compose does it.
#[test]
fn a_rolling_update_follows_containers_by_their_names() {
    let docker = Docker::start();
    let old = ["old", "old"].map(Origin::named);
    let moved = |of: &Origin| Origin::at(SocketAddr::new([127, 0, 0, 2].into(), of.address.port()), "new");
    let new = [moved(&old[0]), moved(&old[1])];
    docker.runs("a0", "web-0", "blue", old[0].address);
    docker.runs("a1", "web-1", "blue", old[1].address);
    let more = "[services.web.rollout]\nstrategy = \"rolling\"\nbake = \"0s\"\nmin_attempts = 0\n\
        rolling = { watch = \"0s\" }\n";
    let pointsman = Pointsman::start(&config(&docker, more));
    becomes(&pointsman, "blue", "a0 ready, a1 ready");
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "blue"}"#);
    let view = || pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
    for at in 0..2 {
        let label = format!("web-{at}:{}", old[at].address.port());
        let is_updating = |of: &Value| of["upstream"] == *label && of["stage"] == "updating";
        eventually("it is to be updated", || {
            view()["instances"].as_array().is_some_and(|all| all.iter().any(is_updating))
        });
        let (before, after) = (format!("a{at}"), format!("b{at}"));
        docker.kill(&before, "15");
        docker.dies(&before);
        docker.is_removed(&before);
        eventually("it is gone", || !states(&pointsman, "blue").contains(&before));
        docker.runs(&after, &format!("web-{at}"), "blue", new[at].address);
        let path = format!("/v1/services/web/pools/blue/upstreams/{label}/ready");
        assert_eq!(pointsman.call("POST", &path, "").status, 200);
    }
    let ended = pointsman.ended(&id);
    assert_eq!(ended["outcome"], "promoted", "{ended:#}");
    becomes(&pointsman, "blue", "b0 ready, b1 ready");
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
}

/// The containers of a candidate crash: the rollout is not blind to it.
#[test]
fn a_candidate_whose_containers_are_gone_is_aborted() {
    let docker = Docker::start();
    let [blue, green] = ["blue", "green"].map(Origin::named);
    docker.runs("aa", "web-blue", "blue", blue.address);
    docker.runs("bb", "web-green", "green", green.address);
    let more = "[services.web.rollout]\nsteps = [{ weight = 50, hold = \"1h\" }, { weight = 100 }]\nbake = \"1h\"\n\
        [policies.default]\nhealth = { critical = true }\n";
    let pointsman = Pointsman::start(&config(&docker, more));
    becomes(&pointsman, "green", "bb ready");
    let load = Load::start(pointsman.http(), 4);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it serves", || pointsman.weight("green") == 50.0 && green.requests() > 20);
    docker.dies("bb");
    let ended = pointsman.ended(&id);
    assert_eq!(ended["outcome"], "aborted", "{ended:#}");
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0));
}
