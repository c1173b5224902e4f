//! Answers compared: what counts as a difference, what is told of it, and what it leads to.

use super::super::harness::{Origin, Pointsman, Reaction, answer, eventually, get};
use super::{LENIENT, config, metric, mirror, mirroring};
use std::sync::atomic::{AtomicU64, Ordering};

fn typed(kind: &str, body: &str) -> Reaction {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    Reaction::Raw([head.as_bytes(), body.as_bytes()].concat())
}

/// Mirrors and compares everything.
fn comparing(blue: &Origin, green: &Origin, compare: &str, policy: &str) -> Pointsman {
    let more = format!("{policy}[services.web.mirror]\ncompare = {{ {compare} }}\n");
    Pointsman::start(&config(blue.address, green.address, 100, &more))
}

/// How many answers were compared after so many requests to a path, and how many differ.
fn found(pointsman: &Pointsman, path: &str, compared: u64) -> (u64, u64) {
    let counts = || {
        let view = mirror(pointsman);
        (view["compared"].as_u64().unwrap_or(0), view["differences"].as_u64().unwrap_or(0))
    };
    let before = counts();
    (0..3).for_each(|_| drop(get(pointsman.http(), path)));
    eventually("it is compared", || counts().0 >= before.0 + compared);
    let after = counts();
    (after.0 - before.0, after.1 - before.1)
}

#[test]
fn status_headers_and_json_are_held_against_stables() {
    let count = AtomicU64::new(0);
    let blue = Origin::new(|request| match request.path() {
        "/type" => typed("text/html", "same"),
        "/empty" => Reaction::Answer(204, String::new()),
        _ => typed("application/json", r#"{"a": 1, "at": 1, "items": [{"id": 1, "n": "x"}]}"#),
    });
    let green = Origin::new(move |request| match request.path() {
        "/status" => Reaction::Answer(404, "gone".into()),
        "/type" => typed("text/plain", "same"),
        "/empty" => Reaction::Answer(204, String::new()),
        "/value?token=secret" => typed("application/json", r#"{"a": 1, "items": [{"n": "y"}]}"#),
        _ => {
            let at = count.fetch_add(1, Ordering::SeqCst);
            let body = format!("{{\"items\":[{{\"n\":\"x\",\"id\":{at}}}],\"at\":{at},\"a\":1}}");
            typed("application/json", &body)
        }
    });
    let compare = r#"headers = ["content-type"], body = "json", ignore = ["/at", "/items/*/id"]"#;
    let pointsman = comparing(&blue, &green, compare, LENIENT);
    mirroring(&pointsman);
    assert_eq!(found(&pointsman, "/", 3), (3, 0), "what is ignored and the order of keys differ");
    assert_eq!(found(&pointsman, "/empty", 3), (3, 0));
    assert_eq!(found(&pointsman, "/value?token=secret", 3), (3, 3));
    let text = pointsman.row("difference")["text"].as_str().unwrap_or_default().to_owned();
    assert_eq!(text, "mirrored GET /value?token: /items/0/n differs");
    assert_eq!(found(&pointsman, "/type", 3), (3, 3));
    assert_eq!(found(&pointsman, "/status", 3), (3, 3));
    assert_eq!(metric(&pointsman, "pointsman_mirror_compared_total"), 15.0);
    assert_eq!(metric(&pointsman, "pointsman_mirror_differences_total"), 9.0);
    assert_eq!(mirror(&pointsman)["samples"][0], "GET /value?token: /items/0/n differs");
    let status = pointsman.cli(&["rollout", "status", "web"]).out;
    assert!(status.contains("9 of 15 compared answers differ"), "{status}");
    assert!(status.contains("differs: GET /value?token: /items/0/n differs"), "{status}");
    let rows = pointsman.history().iter().filter(|row| row["action"] == "difference").count();
    assert!((1..=5).contains(&rows), "{rows} samples");
}

#[test]
fn bytes_count_as_far_as_they_are_told() {
    let large = "x".repeat(3000);
    let (stable, other) = (large.clone(), large.replace("xxx", "xyx"));
    let blue = Origin::new(move |request| match request.path() {
        "/large" => Reaction::ok(&stable),
        _ => Reaction::ok("{\"a\":1}"),
    });
    let green = Origin::new(move |request| match request.path() {
        "/large" => Reaction::ok(&other),
        "/same" => Reaction::ok("{\"a\":1}"),
        _ => Reaction::ok("{\"a\": 1}"),
    });
    let pointsman = comparing(&blue, &green, r#"status = false, body = "bytes", limit = "1k""#, LENIENT);
    mirroring(&pointsman);
    assert_eq!(found(&pointsman, "/same", 3), (3, 0));
    assert_eq!(found(&pointsman, "/", 3), (3, 3));
    (0..3).for_each(|_| drop(get(pointsman.http(), "/large")));
    assert_eq!(found(&pointsman, "/same", 3), (3, 0), "what is too large is not compared");
    assert_eq!(mirror(&pointsman)["requests"], 12);
}

#[test]
fn too_many_differences_abort_by_the_policy() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let count = AtomicU64::new(0);
    green.react(move |_| match count.fetch_add(1, Ordering::SeqCst) % 4 {
        0 => Reaction::ok("other"),
        _ => Reaction::RawThenClose(answer(200, "blue")),
    });
    let policy = "[policies.default]\ndifferences = { warning = \"1%\", critical = \"5%\" }\n";
    let pointsman = comparing(&blue, &green, "body = \"bytes\"", policy);
    let id = mirroring(&pointsman);
    let mut view = serde_json::Value::Null;
    eventually("it is aborted", || {
        (0..20).for_each(|_| assert_eq!(get(pointsman.http(), "/").text(), "blue"));
        view = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
        view["outcome"].is_string()
    });
    assert_eq!(view["outcome"], "aborted", "{view}");
    let reason = view["reason"].as_str().unwrap_or_default();
    println!("{reason}");
    assert!(
        reason.contains("of the answers differ from stable's, over the critical limit of 5 %"),
        "{reason}"
    );
    assert_eq!(view["verdict"]["reasons"][0]["metric"], "differences");
    let row = pointsman.row("aborted");
    assert!(row["figures"]["weights"]["green"] == 0.0, "{row}");
    let samples = pointsman.row("difference")["text"].as_str().unwrap_or_default().to_owned();
    assert_eq!(samples, "mirrored GET /: the body differs");
}
