//! Sets of upstreams registered over the API: unproven at first, kept over a restart, told at a reload.

use super::harness::{Load, Origin, Pointsman, Reaction, eventually, get};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn config(blue: SocketAddr, green: SocketAddr, health: &str) -> String {
    format!(
        "[services.web]\nstable = \"blue\"\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n{health}\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n{health}\n"
    )
}

const CHECKED: &str = "health = { path = \"/health\", interval = \"50ms\" }";

fn register(pointsman: &Pointsman, pool: &str, addresses: &[SocketAddr]) -> super::harness::Answer {
    let list: Vec<_> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    let body = format!("{{\"upstreams\": [{}]}}", list.join(", "));
    pointsman.call("PUT", &format!("/v1/services/web/pools/{pool}/upstreams"), &body)
}

fn state_of(pointsman: &Pointsman, pool: &str, address: SocketAddr) -> String {
    let upstreams = pointsman.web()["pools"][pool]["upstreams"].clone();
    let all = upstreams.as_array().cloned().unwrap_or_default();
    let found = all.iter().find(|upstream| upstream["address"] == address.to_string());
    found.and_then(|upstream| upstream["state"].as_str()).unwrap_or("absent").to_owned()
}

/// Answers its name; its health can be switched.
fn app(name: &'static str) -> (Origin, Arc<AtomicBool>) {
    let healthy = Arc::new(AtomicBool::new(true));
    let is_healthy = healthy.clone();
    let origin = Origin::new(move |request| match request.path() {
        "/health" if !is_healthy.load(Ordering::SeqCst) => Reaction::Answer(503, "starting".into()),
        _ => Reaction::ok(name),
    });
    (origin, healthy)
}

#[test]
fn what_is_registered_gets_no_traffic_before_its_first_passed_check() {
    let ((blue, _), (fresh, healthy)) = (app("blue"), app("fresh"));
    healthy.store(false, Ordering::SeqCst);
    let pointsman = Pointsman::start(&config(blue.address, "127.0.0.1:1".parse().expect("one"), CHECKED));
    let load = Load::start(pointsman.http(), 4);
    let set = register(&pointsman, "blue", &[blue.address, fresh.address]);
    assert_eq!(set.status, 200, "{}", set.text());
    eventually("it has been checked", || fresh.all().iter().any(|request| request.path() == "/health"));
    let good = load.good();
    eventually("the load goes on", || load.good() > good + 300);
    assert!(fresh.all().iter().all(|request| request.path() == "/health"), "checks only");
    assert_eq!(state_of(&pointsman, "blue", fresh.address), "down");

    // Kept over a restart, and still unproven.
    load.stop();
    let pointsman = pointsman.kill_and_restart();
    assert_eq!(get(pointsman.http(), "/").text(), "blue");
    assert_ne!(state_of(&pointsman, "blue", fresh.address), "ready");
    let load = Load::start(pointsman.http(), 4);
    let good = load.good();
    eventually("the load goes on", || load.good() > good + 300);
    assert!(fresh.all().iter().all(|request| request.path() == "/health"), "checks only");
    healthy.store(true, Ordering::SeqCst);
    eventually("it serves once a check has passed", || {
        fresh.all().iter().any(|request| request.path() == "/")
    });
    let (_, failed, broken) = load.stop();
    assert_eq!((failed, broken), (0, 0), "no user noticed");
    let row = pointsman.row("upstreams");
    assert!(row["text"].as_str().is_some_and(|text| text.contains("registered by local")), "{row}");
}

#[test]
fn without_a_health_check_it_must_accept_a_connection_first() {
    let (blue, _) = app("blue");
    let pointsman = Pointsman::start(&config(blue.address, blue.address, ""));
    // Nobody listens there.
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = held.local_addr().expect("an address");
    drop(held);
    assert_eq!(register(&pointsman, "green", &[closed]).status, 200);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it waits and says why", || {
        let view = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
        view["phase"] == "preparing" && view["reason"].as_str().is_some_and(|why| why.contains("connect"))
    });
    let (fresh, _) = app("fresh");
    assert_eq!(register(&pointsman, "green", &[fresh.address]).status, 200);
    eventually("it shifts once it accepts connections", || pointsman.weight("green") == 5.0);
}

#[test]
fn a_pool_with_traffic_keeps_somebody_who_serves() {
    let ((blue, _), (fresh, _)) = (app("blue"), app("fresh"));
    let pointsman = Pointsman::start(&config(blue.address, blue.address, CHECKED));
    let before = pointsman.web();
    let refused = register(&pointsman, "blue", &[fresh.address]);
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("first passed check"), "{}", refused.text());
    for (body, path) in [
        (r#"{"upstreams": []}"#, "upstreams"),
        (r#"{"upstreams": ["10.0.0.1:80", "10.0.0.1:80"]}"#, "upstreams[1]"),
        (r#"{"upstreams": ["nonsense"]}"#, "upstreams[0]"),
        (r#"{"upstreams": [{"address": "10.0.0.1:80", "weight": 0}]}"#, "upstreams[0].weight"),
        (r#"{"upstreams": [{"address": "10.0.0.1:80", "color": 1}]}"#, "upstreams[0].color"),
    ] {
        let answer = pointsman.call("PUT", "/v1/services/web/pools/blue/upstreams", body);
        assert_eq!((answer.status, answer.json()["errors"][0]["path"].as_str()), (422, Some(path)), "{body}");
    }
    assert_eq!(register(&pointsman, "pink", &[fresh.address]).status, 404);
    let after = pointsman.web();
    assert_eq!(
        (&before["revision"], &before["pools"]["blue"]["upstreams"][0]["address"]),
        (&after["revision"], &after["pools"]["blue"]["upstreams"][0]["address"])
    );
}

#[test]
fn a_reload_says_when_the_file_and_the_live_set_differ_and_reset_goes_back() {
    let ((blue, _), (green, _), (fresh, _)) = (app("blue"), app("green"), app("fresh"));
    let pointsman = Pointsman::start(&config(blue.address, green.address, CHECKED));
    let address = fresh.address.to_string();
    let set = pointsman.cli(&["upstreams", "set", "web", "green", &address]);
    assert_eq!(set.code, 0, "{set:?}");
    eventually("it is proven", || state_of(&pointsman, "green", fresh.address) == "ready");
    assert_eq!(state_of(&pointsman, "green", green.address), "absent");
    let reload = pointsman.cli(&["reload"]);
    assert!(reload.out.contains("services.web.pools.green.upstreams"), "{reload:?}");
    assert_eq!(state_of(&pointsman, "green", fresh.address), "ready", "the live set stays");
    assert_eq!(pointsman.cli(&["upstreams", "reset", "web", "green"]).code, 0);
    eventually("the file's is back", || state_of(&pointsman, "green", green.address) == "ready");
    assert!(!pointsman.cli(&["reload"]).out.contains("green"), "nothing differs any more");
}

fn upstream_of(pointsman: &Pointsman, pool: &str) -> serde_json::Value {
    pointsman.web()["pools"][pool]["upstreams"][0].clone()
}

/// RFC 3339 with milliseconds in UTC: texts compare as times do.
fn time(view: &serde_json::Value, key: &str) -> String {
    let text = view[key].as_str().unwrap_or_else(|| panic!("{key} of {view}")).to_owned();
    assert!(text.len() == 24 && text.ends_with('Z'), "{text}");
    text
}

#[test]
fn an_upstream_says_since_when_it_has_its_state_and_when_it_was_checked() {
    let ((blue, _), (green, healthy)) = (app("blue"), app("green"));
    let pointsman = Pointsman::start(&config(blue.address, green.address, CHECKED));
    let is = |state: &str| eventually(state, || upstream_of(&pointsman, "green")["state"] == state);
    eventually("its first check", || upstream_of(&pointsman, "green")["checked"].is_string());
    let first = upstream_of(&pointsman, "green");
    let (since, checked) = (time(&first, "since"), time(&first, "checked"));
    let checked_after = |before: &str| {
        eventually("another check", || time(&upstream_of(&pointsman, "green"), "checked").as_str() > before);
        upstream_of(&pointsman, "green")
    };
    let second = checked_after(&checked);
    let revision = pointsman.web()["revision"].clone();
    let later = checked_after(&time(&second, "checked"));
    assert_eq!((time(&later, "since"), &later["state"]), (since.clone(), &first["state"]));
    assert_eq!(pointsman.web()["revision"], revision, "a check that changes nothing is no news");

    healthy.store(false, Ordering::SeqCst);
    is("down");
    let down = upstream_of(&pointsman, "green");
    assert!(time(&down, "since") > since && time(&down, "checked") > checked, "{down}");
    assert!(down["detail"].as_str().is_some_and(|detail| detail.contains("503")), "{down}");
    let shown = pointsman.cli(&["status", "web"]).out;
    let line =
        shown.lines().find(|line| line.contains(&green.address.to_string()) && line.contains(" down "));
    let line = line.unwrap_or_else(|| panic!("{shown}"));
    assert!(line.contains(&time(&down, "since")[..19].replace('T', " ")), "{line}");
    assert!(shown.lines().all(|line| !line.contains("checked") || line.len() < 80), "{shown}");

    healthy.store(true, Ordering::SeqCst);
    is("ready");
    let label = green.address.to_string();
    assert_eq!(pointsman.cli(&["drain", "web", "green", &label]).code, 0);
    is("draining");
    let drained = upstream_of(&pointsman, "green");
    assert!(time(&drained, "since") > time(&down, "since"), "{drained}");
}

#[test]
fn an_upstream_without_a_check_was_never_checked() {
    let (blue, _) = app("blue");
    let pointsman = Pointsman::start(&config(blue.address, blue.address, "health = false"));
    let load = Load::start(pointsman.http(), 1);
    eventually("it serves", || load.good() > 100);
    load.stop();
    let upstream = upstream_of(&pointsman, "blue");
    assert!(upstream["checked"].is_null() && upstream["state"] == "ready", "{upstream}");
    time(&upstream, "since");
}
