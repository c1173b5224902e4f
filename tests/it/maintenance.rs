//! Maintenance, as the runbook switches it and as its visitors meet it.

use super::harness::{Answer, Connection, Origin, Pointsman, Printed, Reaction, eventually, get, send};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use std::process::Command;

const SERVICES: &str = "[[routes]]\npath = \"/api/v2/\"\nservice = \"api\"\n[[routes]]\nservice = \"web\"\n";

/// Two services, `web` and `api`, on one origin.
fn config(origin: &Origin, keys: &str) -> String {
    let address = origin.address;
    format!(
        "{SERVICES}{keys}\n[services.web.pools.blue]\nupstreams = [\"{address}\"]\n\
         health = {{ path = \"/api/health?deep=1\", interval = \"50ms\" }}\n\
         [services.api.pools.one]\nupstreams = [\"{address}\"]\n"
    )
}

fn tokens() -> String {
    let token = |name: &str| {
        let hash: String =
            Sha256::digest(format!("secret-{name}")).iter().map(|b| format!("{b:02x}")).collect();
        format!(
            "{{ name = \"{name}\", role = \"{}\", sha256 = \"{hash}\" }}",
            if name == "eye" { "read" } else { "deploy" }
        )
    };
    format!("[admin]\nlisten = \"127.0.0.1:0\"\ntokens = [{}, {}]\n", token("ci"), token("eye"))
}

/// The runbook's command, as it stands there but for the address.
fn runbook(address: SocketAddr, token: &str, body: &str) -> Printed {
    let line = format!(
        "curl -s -w '%{{http_code}}' -X POST http://{address}/api/maintenance \
         -H \"Authorization: Bearer $ADMIN_TOKEN\" -d '{body}'"
    );
    let output = Command::new("sh").args(["-c", &line]).env("ADMIN_TOKEN", token).output().expect("curl");
    Printed {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn asks_for(address: SocketAddr, path: &str, accept: &str) -> Answer {
    send(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n"))
}

fn switch(pointsman: &Pointsman, body: &str) -> Value {
    let answer = pointsman.call("PUT", "/v1/maintenance", body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn the_runbooks_commands_work_unchanged_against_both_addresses() {
    let origin = Origin::named("served");
    let route = "[[routes]]\npath = \"= /api/maintenance\"\nadmin = \"maintenance\"\n";
    let pointsman = Pointsman::start(&(tokens() + &config(&origin, route)));
    let on = r#"{"status":"maintenance","duration_minutes":30}"#;
    let off = r#"{"status":"operational"}"#;
    for address in [pointsman.http(), pointsman.admin] {
        assert_eq!(get(pointsman.http(), "/").text(), "served");
        let printed = runbook(address, "secret-ci", on);
        assert!(printed.out.ends_with("200") && printed.out.contains("\"by\":\"ci\""), "{printed:?}");
        let refused = get(pointsman.http(), "/");
        let seconds: u64 = refused.header("retry-after").expect("a header").parse().expect("seconds");
        assert!(refused.status == 503 && (1700..=1800).contains(&seconds), "{seconds}");
        assert_eq!(refused.header("cache-control"), Some("no-store"));
        let printed = runbook(address, "secret-ci", off);
        assert!(printed.out.ends_with("200"), "{printed:?}");
        assert_eq!(get(pointsman.http(), "/").text(), "served");
        for (token, code) in [("secret-eye", "403"), ("guess", "401"), ("", "401")] {
            let printed = runbook(address, token, on);
            assert!(printed.out.ends_with(code), "{token}: {printed:?}");
        }
    }
    let before = origin.requests();
    for path in ["/api/maintenance/", "/api/maintenance/../v1/services", "/v1/services", "/metrics"] {
        let answer = get(pointsman.http(), path);
        assert_eq!(answer.text(), "served", "{path} does not reach the admin API");
    }
    assert!(origin.requests() >= before + 4);
    for path in ["//api/maintenance", "/api/%6daintenance", "/v1/reload/..%2f../api/maintenance"] {
        assert_eq!(get(pointsman.http(), path).status, 404, "{path} is not the way to write it");
    }
    let row =
        &pointsman.call_with("GET", "/v1/services/web/history", "Authorization: Bearer secret-eye\r\n", "");
    let rows = row.json();
    let text = rows["history"][3]["text"].as_str().expect("a row").to_owned();
    assert!(text.starts_with("the whole site is under maintenance for 30m, until 2"), "{text}");
    assert!(rows["history"][0]["actor"] == "ci" && rows["history"][0]["action"] == "maintenance", "{rows}");
}

#[test]
fn a_way_to_the_admin_needs_a_token_and_leads_to_one_call_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let check = |text: &str| {
        std::fs::write(dir.path().join("p.toml"), text).expect("a file");
        Printed::of(&["check", "--config", "p.toml"], dir.path())
    };
    let origin = Origin::named("served");
    let listener = "[[listeners]]\naddress = \"127.0.0.1:0\"\n";
    let whole = |admin: &str, route: &str| format!("{admin}{listener}{}", config(&origin, route));
    let exact = "[[routes]]\npath = \"= /api/maintenance\"\nadmin = \"maintenance\"\n";
    assert_eq!(check(&whole(&tokens(), exact)).code, 0);
    for (admin, route, says) in [
        ("", exact.to_owned(), "needs a token"),
        (&tokens(), exact.replace("= /api/maintenance", "/api/maintenance"), "path = \"= /api/maintenance\""),
        (&tokens(), exact.replace("/api/maintenance", "/v1/reload"), "path = \"= /api/maintenance\""),
        (&tokens(), exact.replace("\"maintenance\"", "\"everything\""), "is none of maintenance"),
        (&tokens(), format!("{exact}service = \"web\"\n"), "not to both"),
    ] {
        let printed = check(&whole(admin, &route));
        assert!(printed.code == 1 && printed.err.contains(says), "{says}: {}", printed.err);
    }
}

#[test]
fn the_answer_takes_the_form_the_client_likes_and_is_charged_to_no_pool() {
    let origin = Origin::named("served");
    let pointsman = Pointsman::start(&config(&origin, ""));
    switch(&pointsman, r#"{"status": "maintenance"}"#);
    let html = asks_for(pointsman.http(), "/", "text/html");
    assert!(html.status == 503 && html.text().contains("<h1>"), "{}", html.text());
    assert_eq!(html.header("retry-after"), Some("300"), "nobody has said how long");
    let json = asks_for(pointsman.http(), "/", "application/json");
    assert_eq!(json.header("content-type"), Some("application/problem+json"));
    assert!(json.json()["detail"].to_string().contains("maintenance"));
    let plain = asks_for(pointsman.http(), "/", "*/*");
    assert!(plain.text().contains("under maintenance"), "{}", plain.text());
    let mut kept = Connection::open(pointsman.http());
    let body = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n{}", "x".repeat(5000));
    assert_eq!(kept.send(body.as_bytes()).status, 503);
    let next = kept.get("/");
    assert!(matches!(next.status, 503 | 0), "what was sent is no request of its own: {}", next.text());
    let head = send(pointsman.http(), "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.status, head.body.len()), (503, 0));
    let window = &pointsman.web()["pools"]["blue"]["window"];
    assert_eq!((window["requests"].as_u64(), window["failures"].as_u64()), (Some(0), Some(0)), "{window}");
}

#[test]
fn allowed_clients_and_health_paths_pass_and_a_reload_changes_who() {
    let origin = Origin::new(|request| Reaction::ok(request.path()));
    let listener = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let with = |keys: &str| listener.to_owned() + &config(&origin, keys);
    let pointsman = Pointsman::start(&with("[maintenance]\nallow = [\"203.0.113.0/24\"]\n"));
    switch(&pointsman, r#"{"status": "maintenance", "duration": "1h"}"#);
    let from = |client: &str, path: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\nAccept: text/html\r\n\r\n"
        );
        send(pointsman.http(), &request)
    };
    assert_eq!(from("203.0.113.9", "/").status, 200);
    assert_eq!(from("192.0.2.1", "/").status, 503);
    assert_eq!(from("192.0.2.1", "/api/health").status, 200, "the health check's path passes by itself");
    assert_eq!(from("192.0.2.1", "/api/health/deep").status, 503);
    eventually("the checks go on", || {
        pointsman.web()["pools"]["blue"]["upstreams"][0]["state"] == "ready"
            && origin.all().iter().any(|request| request.path().contains("deep"))
    });
    std::fs::write(pointsman.dir.path().join("page.html"), "<h1>Back at noon</h1>").expect("a file");
    pointsman.configure(&with("[maintenance]\npage = \"page.html\"\npass = [\"/status\"]\n"));
    assert_eq!(pointsman.call("POST", "/v1/reload", "").json()["changed"][0], "maintenance");
    assert_eq!(from("203.0.113.9", "/").text(), "<h1>Back at noon</h1>");
    assert_eq!(from("192.0.2.1", "/api/health").status, 503);
    assert_eq!(from("192.0.2.1", "/status").status, 200);
    pointsman.configure(&with("[maintenance]\npage = \"none.html\"\npass = [\"status\"]\n"));
    let refused = pointsman.call("POST", "/v1/reload", "").text();
    assert!(refused.contains("none.html") && refused.contains("no path"), "{refused}");
}

#[test]
fn one_service_alone_or_all_of_them() {
    let origin = Origin::named("served");
    let pointsman = Pointsman::start(&config(&origin, ""));
    let statuses = || (get(pointsman.http(), "/").status, get(pointsman.http(), "/api/v2/x").status);
    let cli = |args: &[&str]| {
        let printed = pointsman.cli(&[&["maintenance"], args].concat());
        assert_eq!(printed.code, 0, "{printed:?}");
        printed.out
    };
    assert!(cli(&["status"]).contains("nothing is under maintenance"));
    assert!(
        cli(&["on", "--service", "api", "--duration", "30m"]).starts_with("api is under maintenance until 2")
    );
    assert_eq!(statuses(), (200, 503));
    assert!(cli(&["on"]).contains("the whole site is under maintenance until it is switched off"));
    assert_eq!(statuses(), (503, 503));
    let status = pointsman.cli(&["status", "web"]).out;
    assert!(status.contains("web is under maintenance until it is switched off"), "{status}");
    let view = pointsman.get("/v1/maintenance").json();
    assert!(view["site"]["until"].is_null() && view["services"]["api"]["until"].is_string(), "{view}");
    assert!(view["services"]["api"]["remaining_seconds"].as_u64().is_some_and(|left| left > 1790), "{view}");
    cli(&["off"]);
    assert_eq!(statuses(), (200, 503), "a service's own goes on");
    assert!(cli(&["off", "--service", "api"]).contains("nothing"));
    assert_eq!(statuses(), (200, 200));
    let texts: Vec<_> =
        pointsman.history().iter().map(|row| row["text"].as_str().map(str::to_owned)).collect();
    assert_eq!(texts.len(), 2, "the other service's are not its own: {texts:?}");
    assert!(cli(&["off"]).contains("nothing"), "switching off what is off is no fault");
    assert_eq!(pointsman.history().len(), 2, "and nothing to remember");
}

#[test]
fn it_ends_by_itself_and_a_restart_neither_ends_nor_prolongs_it() {
    let origin = Origin::named("served");
    let pointsman = Pointsman::start(&config(&origin, ""));
    switch(&pointsman, r#"{"status": "maintenance", "duration": "1h", "service": "api"}"#);
    switch(&pointsman, r#"{"status": "maintenance", "duration": "1s"}"#);
    assert_eq!(get(pointsman.http(), "/").header("retry-after"), Some("1"));
    eventually("it ends", || get(pointsman.http(), "/").status == 200);
    eventually("the history says so", || {
        pointsman.history()[0]["text"] == "the maintenance of the whole site is over"
    });
    switch(&pointsman, r#"{"status": "maintenance", "duration": "3s"}"#);
    let pointsman = pointsman.kill_and_restart();
    assert_eq!(get(pointsman.http(), "/").status, 503, "it goes on");
    let retry = get(pointsman.http(), "/").header("retry-after").and_then(|s| s.parse::<u64>().ok());
    assert!(retry.is_some_and(|seconds| (1..=3).contains(&seconds)), "{retry:?}");
    eventually("it ends", || get(pointsman.http(), "/").status == 200);
    assert_eq!(get(pointsman.http(), "/api/v2/x").status, 503, "the other one goes on");
    eventually("the history says so", || {
        pointsman.history()[0]["text"] == "the maintenance of the whole site is over"
    });
    let pointsman = pointsman.kill_and_restart();
    assert_eq!((get(pointsman.http(), "/").status, get(pointsman.http(), "/api/v2/x").status), (200, 503));
}

#[test]
fn bad_input_is_refused_and_switches_nothing() {
    let origin = Origin::named("served");
    let pointsman = Pointsman::start(&config(&origin, ""));
    for (body, status, says) in [
        (r#"{"status": "maintenance", "service": "nope"}"#, 404, "there is no service nope"),
        (r#"{"status": "off"}"#, 422, "maintenance, operational"),
        (r#"{}"#, 422, "status"),
        (r#"{"status": "maintenance", "minutes": 3}"#, 422, "minutes"),
        (r#"{"status": "maintenance", "duration_minutes": -5}"#, 422, "duration_minutes"),
        (r#"{"status": "maintenance", "duration": "soon"}"#, 422, "soon"),
        (r#"{"status": "operational", "duration": "5m"}"#, 422, "no duration"),
        ("status=maintenance", 400, "not JSON"),
    ] {
        for (method, path) in [("PUT", "/v1/maintenance"), ("POST", "/api/maintenance")] {
            let answer = pointsman.call(method, path, body);
            assert_eq!(answer.status, status, "{body}: {}", answer.text());
            assert!(answer.text().contains(says), "{body}: {}", answer.text());
        }
    }
    assert_eq!(pointsman.get("/v1/maintenance").json(), serde_json::json!({ "site": null, "services": {} }));
    assert_eq!(get(pointsman.http(), "/").status, 200);
    assert_eq!(pointsman.history().len(), 0);
    let off = pointsman.cli(&["maintenance", "on", "--duration", "soon"]);
    assert_eq!(off.code, 2, "{off:?}");
}

#[test]
fn a_store_that_cannot_write_switches_nothing_and_keeps_nobody_out_for_longer() {
    let origin = Origin::named("served");
    let pointsman = Pointsman::start(&config(&origin, ""));
    switch(&pointsman, r#"{"status": "maintenance", "duration": "1s"}"#);
    let pid = pointsman.pid().to_string();
    let limit = |size: &str| {
        let limited = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={size}:")]).status();
        assert!(limited.expect("prlimit").success());
    };
    limit("1");
    let refused = pointsman.call("PUT", "/v1/maintenance", r#"{"status": "maintenance"}"#);
    assert!(refused.status == 503 && refused.text().contains("nothing was changed"), "{}", refused.text());
    eventually("it ends all the same", || get(pointsman.http(), "/").status == 200);
    eventually("and is shown to have", || pointsman.get("/v1/maintenance").json()["site"].is_null());
    limit("unlimited");
    eventually("the history follows", || {
        pointsman.row("maintenance")["text"].to_string().contains("is over")
    });
}
