//! The admin API under bad input: a clear error by the contract, and nothing changed.

use super::harness::{Answer, Connection, Nginx, Origin, Pointsman, Reaction, blue_green, eventually, send};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::net::TcpStream;

fn config(nginx: &Nginx) -> String {
    blue_green(nginx.addresses[0], nginx.addresses[1])
}

/// A problem document with this status; its detail and faults as text.
#[track_caller]
fn problem(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let body = answer.json();
    assert_eq!(body["status"].as_u64(), Some(u64::from(status)));
    for field in ["type", "title", "detail"] {
        assert!(body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {body}");
    }
    format!("{} {}", body["detail"], body["errors"])
}

#[test]
fn bad_input_is_told_clearly_and_changes_nothing() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx));
    let before = pointsman.web();
    let weights = "/v1/services/web/weights";
    let rollouts = "/v1/services/web/rollouts";
    let upstream = format!("/v1/services/web/pools/blue/upstreams/{}", nginx.addresses[0]);
    for (method, path, body, status, says) in [
        ("PUT", weights, r#"{"blue": 50, "green": 40}"#, 422, "sum to 90"),
        ("PUT", weights, r#"{"blue": 50, "red": 50}"#, 422, "there is no pool red"),
        ("PUT", weights, r#"{"blue": 150, "green": -50}"#, 422, "0 to 100"),
        ("PUT", weights, r#"{"blue": 33.333, "green": 66.667}"#, 422, "two decimals"),
        ("PUT", weights, r#"{"blue": "all"}"#, 422, "blue"),
        ("PUT", weights, "{}", 422, "sum to 0"),
        ("PUT", weights, r#"{"blue": 100"#, 400, "line 1 column"),
        ("PUT", weights, r#"{"blue": 100} {"#, 400, "line 1 column 15"),
        ("PUT", weights, "[1]", 422, "a list where an object"),
        ("PUT", "/v1/services/nope/weights", r#"{"blue": 100}"#, 404, "there is no service nope"),
        ("POST", "/v1/services/web/flip", r#"{"to": "red"}"#, 422, "there is no pool red"),
        ("POST", "/v1/services/web/flip", r#"{"to": "green", "forced": true}"#, 422, "forced"),
        ("POST", "/v1/services/web/flip?force=1", r#"{"to": "green"}"#, 422, "force"),
        ("PUT", weights, r#"{"blue": true, "green": 100}"#, 422, "blue"),
        ("POST", "/v1/services/web/flip", r#"{}"#, 422, "to"),
        ("POST", "/v1/services/web/rollback", "", 409, "previous"),
        ("POST", "/v1/services/web/rollback", r#"{"to": 1}"#, 422, "to: is not known; there are: force"),
        ("POST", "/v1/services/web/rollback", r#"{"force": true}"#, 409, "previous"),
        ("POST", rollouts, r#"{"to": "red"}"#, 422, "there is no pool red"),
        ("POST", rollouts, r#"{"to": "blue"}"#, 422, "stable already"),
        ("POST", rollouts, r#"{"to": "green", "strategy": "yolo"}"#, 422, "there are: canary, blue-green"),
        (
            "POST",
            rollouts,
            r#"{"to": "green", "steps": [{"weight": 50, "hold": "soon"}]}"#,
            422,
            "steps[0].hold",
        ),
        ("POST", rollouts, r#"{"to": "green", "steps": [{"weight": 50}, {"weight": 20}]}"#, 422, "steps[1]"),
        ("POST", rollouts, r#"{"to": "green", "steps": []}"#, 422, "steps"),
        ("POST", rollouts, r#"{"to": "green", "stepz": []}"#, 422, "stepz"),
        ("POST", rollouts, r#"{"to": "green", "policy": "strict"}"#, 422, "there is no policy strict"),
        ("POST", "/v1/services/web/rollouts/web-1/abort", "", 404, "web-1"),
        ("POST", "/v1/services/web/rollouts/web-1/explode", "", 404, "explode"),
        ("GET", "/v1/services/web/rollouts/web-1", "", 404, "web-1"),
        ("GET", "/v1/services/web/rollouts/web-1?wait=soon", "", 422, "wait"),
        ("GET", "/v1/services/web/history?limit=0", "", 422, "limit"),
        ("GET", "/v1/services/web/history?page=2", "", 422, "page"),
        ("POST", &format!("{upstream}/drain"), "", 409, "last ready upstream"),
        ("POST", "/v1/services/web/pools/blue/upstreams/1.2.3.4:5/drain", "", 404, "1.2.3.4:5"),
        ("POST", "/v1/services/web/pools/red/upstreams/1.2.3.4:5/drain", "", 404, "pool red"),
        ("DELETE", "/v1/services/web", "", 405, "DELETE"),
        ("GET", "/v2/services", "", 404, "no path"),
    ] {
        let text = problem(&pointsman.call(method, path, body), status);
        assert!(text.contains(says), "{method} {path} {body}: {says:?} is not in {text}");
    }
    let now = pointsman.web();
    assert_eq!(now["revision"], before["revision"], "nothing has changed");
    assert_eq!(now["pools"]["blue"]["weight"], before["pools"]["blue"]["weight"]);
    assert_eq!(pointsman.history().len(), 0);
}

#[test]
fn bodies_must_be_small_and_json() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx));
    let large = format!("{{\"blue\": 100, \"x\": \"{}\"}}", "y".repeat(70_000));
    problem(&pointsman.call("PUT", "/v1/services/web/weights", &large), 413);
    let form = "PUT /v1/services/web/weights HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}";
    problem(&send(pointsman.admin, form), 415);
    assert_eq!(pointsman.history().len(), 0);
}

#[test]
fn roles_and_tokens_open_what_they_should() {
    let nginx = Nginx::start(&["blue", "green"]);
    let token = |name: &str, role: &str| {
        let hash: String =
            Sha256::digest(format!("secret-{name}")).iter().map(|b| format!("{b:02x}")).collect();
        format!("{{ name = \"{name}\", role = \"{role}\", sha256 = \"{hash}\" }}")
    };
    let tokens = [token("eye", "read"), token("ci", "deploy"), token("root", "admin")].join(", ");
    let admin = format!("[admin]\nlisten = \"127.0.0.1:0\"\ntokens = [{tokens}]\n");
    let pointsman = Pointsman::start(&(admin + &config(&nginx)));
    let as_whom = |who: &str| format!("Authorization: Bearer secret-{who}\r\n");
    let flip = |headers: &str, to: &str| {
        pointsman.call_with("POST", "/v1/services/web/flip", headers, &format!("{{\"to\": \"{to}\"}}"))
    };
    let nobody = flip("", "green");
    assert!(problem(&nobody, 401).contains("Authorization"));
    assert!(nobody.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")));
    assert!(problem(&flip(&as_whom("guess"), "green"), 401).contains("not known"));
    let text = problem(&flip(&as_whom("eye"), "green"), 403);
    assert!(text.contains("eye") && text.contains("read") && text.contains("deploy"), "{text}");
    let service = || pointsman.call_with("GET", "/v1/services/web", &as_whom("eye"), "");
    assert_eq!(service().json()["stable"], "blue", "nothing has changed");
    assert_eq!(flip(&as_whom("ci"), "green").status, 200);
    assert_eq!(service().json()["stable"], "green");
    problem(&pointsman.call_with("POST", "/v1/reload", &as_whom("ci"), ""), 403);
    assert_eq!(pointsman.call_with("POST", "/v1/reload", &as_whom("root"), "").status, 200);
    let history = pointsman.call_with("GET", "/v1/services/web/history", &as_whom("eye"), "").json();
    assert_eq!(history["history"][0]["actor"], "ci");
    problem(&pointsman.call("GET", "/metrics", ""), 401);
    assert_eq!(pointsman.get("/healthz").status, 200, "health needs no token");
    let cli = pointsman.cli(&["status", "--token", "secret-eye"]);
    assert_eq!(cli.code, 0, "{}", cli.err);
    let cli = pointsman.cli(&["status"]);
    assert!(cli.code == 1 && cli.err.contains("POINTSMAN_TOKEN"), "{}", cli.err);
}

#[test]
fn the_admin_does_not_listen_off_loopback_without_a_token() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = "[admin]\nlisten = \"0.0.0.0:9900\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
                [[routes]]\nservice = \"web\"\n[services.web.pools.blue]\nupstreams = [\"127.0.0.1:1\"]\n";
    std::fs::write(dir.path().join("p.toml"), text).expect("a file");
    let printed = super::harness::Printed::of(&["run", "--config", "p.toml"], dir.path());
    assert_eq!(printed.code, 1);
    assert!(printed.err.contains("p.toml:2:") && printed.err.contains("token"), "{}", printed.err);
}

#[test]
fn pages_of_other_sites_cannot_use_the_open_admin() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx));
    let ask = |headers: &str| {
        let body = r#"{"to": "green"}"#;
        send(
            pointsman.admin,
            &format!(
                "POST /v1/services/web/flip HTTP/1.1\r\n{headers}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
    };
    problem(&ask("Host: rebound.example\r\n"), 403);
    problem(&ask("Host: localhost\r\nOrigin: https://evil.example\r\n"), 403);
    assert_eq!(pointsman.web()["stable"], "blue");
    assert_eq!(ask("Host: localhost\r\n").status, 200);
}

#[test]
fn a_revision_that_has_passed_is_told() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx));
    let etag = pointsman.get("/v1/services/web").header("etag").expect("an ETag").to_owned();
    let put = |etag: &str| {
        let headers = format!("If-Match: {etag}\r\n");
        pointsman.call_with("PUT", "/v1/services/web/weights", &headers, r#"{"blue": 90, "green": 10}"#)
    };
    let first = put(&etag);
    assert_eq!(first.status, 200, "{}", first.text());
    assert_ne!(first.header("etag"), Some(etag.as_str()));
    problem(&put(&etag), 412);
    problem(&put("\"new\""), 422);
    assert_eq!(put("*").status, 200);
}

#[test]
fn waiting_for_news_returns_when_there_are_some() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx));
    let id = pointsman
        .start_rollout(r#"{"to": "green", "steps": [{"weight": 5, "hold": "1h"}, {"weight": 100}]}"#);
    eventually("it shifts", || pointsman.weight("green") == 5.0);
    let path = format!("/v1/services/web/rollouts/{id}");
    let revision = pointsman.get(&path).json()["revision"].as_u64().expect("a revision");
    let admin = pointsman.admin;
    let waiting = std::thread::spawn(move || {
        super::harness::get(admin, &format!("{path}?wait=20s&after={revision}")).json()
    });
    assert_eq!(pointsman.cli(&["rollout", "abort", "web"]).code, 0);
    let news = waiting.join().expect("an answer");
    assert_eq!(news["outcome"], "aborted");
    assert!(news["revision"].as_u64() > Some(revision));
}

#[test]
fn a_service_is_waited_for_like_a_rollout() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx));
    let revision = pointsman.web()["revision"].as_u64().expect("a revision");
    let admin = pointsman.admin;
    let path = format!("/v1/services/web?wait=20s&after={revision}");
    let waiting = std::thread::spawn(move || super::harness::get(admin, &path));
    assert_eq!(pointsman.cli(&["flip", "web", "--to", "green"]).code, 0);
    let news = waiting.join().expect("an answer");
    assert_eq!(news.json()["stable"], "green");
    assert!(news.json()["revision"].as_u64() > Some(revision) && news.header("etag").is_some());
    let old = pointsman.get(&format!("/v1/services/web?wait=1h&after={revision}"));
    assert_eq!(old.json()["stable"], "green", "what has happened already is not waited for");
    let now = pointsman.get("/v1/services/web?wait=50ms");
    assert_eq!((now.status, &now.json()["stable"]), (200, &"green".into()), "the wait ends");
    problem(&pointsman.get("/v1/services/web?wait=soon"), 422);
    problem(&pointsman.get("/v1/services/web?until=5"), 422);
    problem(&pointsman.get("/v1/services/nope?wait=1s"), 404);
}

#[test]
fn a_conflict_shows_the_way_to_the_rollout_that_owns_the_weights() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    for (method, path, body) in [
        ("PUT", "/v1/services/web/weights", r#"{"blue": 100}"#),
        ("POST", "/v1/services/web/flip", r#"{"to": "green"}"#),
        ("POST", "/v1/services/web/rollouts", r#"{"to": "green"}"#),
    ] {
        let answer = pointsman.call(method, path, body);
        problem(&answer, 409);
        let url = answer.header("location").expect("a way").to_owned();
        assert_eq!(answer.json()["rollout_url"], url.as_str());
        assert_eq!(pointsman.get(&url).json()["id"], id.as_str(), "{method} {path}");
    }
}

#[test]
fn the_figures_that_runbooks_grep_are_there() {
    let (blue, api) = (Origin::named("blue"), Origin::named("api"));
    let pointsman = Pointsman::start(&format!(
        "[[routes]]\npath = \"/api/\"\nservice = \"api\"\n[[routes]]\nservice = \"web\"\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n[services.api.pools.one]\nupstreams = [\"{}\"]\n",
        blue.address, api.address
    ));
    api.react(|_| Reaction::Answer(500, "broken".into()));
    for n in 0..100 {
        super::harness::get(pointsman.http(), if n < 4 { "/api/" } else { "/" });
    }
    let figures = |path: &str| pointsman.get(path).json();
    eventually("all is counted", || figures("/api/metrics")["http_requests_total"] == 100);
    eventually("the window too", || figures("/api/metrics")["error_rate_percent"] == 4.0);
    let all = figures("/api/metrics");
    assert_eq!(all["http_requests_failed"], 4);
    for measured in ["http_requests_duration_seconds", "response_time_ms"] {
        assert!(all[measured].as_f64().is_some_and(|value| value > 0.0), "{measured} in {all}");
    }
    for signal in ["database_connections", "memory_usage_mb", "cpu_usage_percent"] {
        assert!(all.get(signal).is_some_and(serde_json::Value::is_null), "{signal} in {all}");
    }
    assert_eq!(figures("/api/metrics?service=web")["http_requests_failed"], 0);
    assert_eq!(figures("/api/metrics?service=api")["error_rate_percent"], 100.0);
    problem(&pointsman.get("/api/metrics?service=nope"), 404);
    // As the runbook reads it.
    let line = format!("curl -s http://{}/api/metrics | grep error_rate", pointsman.admin);
    let grepped = std::process::Command::new("sh").args(["-c", &line]).output().expect("sh");
    assert!(String::from_utf8_lossy(&grepped.stdout).contains("\"error_rate_percent\":4.0"));
}

#[test]
fn the_history_is_paged_newest_first() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx));
    for to in ["green", "blue", "green", "blue", "green"] {
        assert_eq!(pointsman.cli(&["flip", "web", "--to", to]).code, 0);
    }
    let mut path = "/v1/services/web/history?limit=2".to_owned();
    let mut texts = Vec::new();
    loop {
        let page = pointsman.get(&path).json();
        texts.extend(page["history"].as_array().expect("rows").iter().map(|row| row["text"].to_string()));
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut path),
            None => break,
        }
    }
    assert_eq!(texts.len(), 5);
    assert!(texts[0].contains("green") && texts[1].contains("blue"), "{texts:?}");
}

#[test]
fn a_client_that_dawdles_or_breaks_off_harms_nobody() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx));
    let dawdlers: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = TcpStream::connect(pointsman.admin).expect("a connection");
            stream.write_all(b"PUT /v1/services/web/weights HTTP/1.1\r\nHost: loc").expect("written");
            stream
        })
        .collect();
    let mut broken = Connection::open(pointsman.admin);
    let head = "PUT /v1/services/web/weights HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"blue\"";
    broken.write(head.as_bytes()).expect("written");
    drop(broken);
    assert_eq!(pointsman.get("/readyz").status, 200);
    assert_eq!(pointsman.history().len(), 0);
    drop(dawdlers);
}

#[test]
fn readiness_tells_why_not() {
    let nginx = Nginx::start(&["blue"]);
    let text = format!(
        "[services.web]\nstable = \"blue\"\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n\
         [services.api]\nstable = \"one\"\n[services.api.pools.one]\nupstreams = [\"127.0.0.1:1\"]\n\
         health = {{ path = \"/\", interval = \"50ms\" }}\n",
        nginx.addresses[0]
    );
    let pointsman = Pointsman::start(&text);
    for path in ["/readyz", "/api/ready"] {
        eventually("the check fails", || pointsman.get(path).status == 503);
        let body = pointsman.get(path).json();
        assert_eq!(body["reasons"][0], "service api: no upstream is ready");
    }
    assert_eq!(pointsman.get("/api/health").status, 200);
}
