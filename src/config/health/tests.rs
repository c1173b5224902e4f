use super::*;
use crate::config::{Config, Faults, diff, parse};
use crate::core::settings::Statuses;
use std::fmt::Write;
use std::path::Path;

const MINIMAL: &str = "[admin]\nlisten = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"127.0.0.1:8080\"\n\
                       [[routes]]\nservice = \"web\"\n[services.web.pools.blue]\n";

fn read(pool: &str) -> Result<Config, Faults> {
    let env = |name: &str| (name == "KEY").then(|| "s3cret-key".to_owned());
    parse(&format!("{MINIMAL}{pool}"), "test.toml", &env, Path::new("/nowhere"))
}

/// The check of a pool with one upstream and these keys.
fn check(keys: &str) -> Option<Health> {
    let config = read(&format!("upstreams = [\"10.0.0.1:3000\"]\n{keys}\n")).expect(keys);
    config.services["web"].pools["blue"].health.clone()
}

fn http_check(keys: &str) -> HttpCheck {
    match check(&format!("health = {{ path = \"/h\"{keys} }}")).expect("a check").kind {
        CheckKind::Http(check) => check,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pool_that_says_nothing_is_checked_for_connections() {
    let default = check("").expect("a check");
    assert_eq!(default, Health { is_default: true, ..Health::connect(false) });
    assert_eq!(check("health = false"), None);
    assert!(check("http2 = true").is_some_and(|health| health.http2));
    for (connect, timeout) in [("100ms", 1), ("3s", 3), ("1m", 10)] {
        let health = check(&format!("timeouts = {{ connect = \"{connect}\" }}")).expect("a check");
        assert_eq!(health.timeout, Duration::from_secs(timeout), "{connect}");
    }
    let asked = check("health = { type = \"connect\", interval = \"9s\", rise = 4 }").expect("a check");
    let expected = Health { interval: Duration::from_secs(9), rise: 4, ..Health::connect(false) };
    assert_eq!(asked, expected);
}

#[test]
fn a_request_is_read_with_all_its_keys() {
    let plain = http_check("");
    assert_eq!((plain.method, plain.host, plain.matches.is_none()), (Method::GET, None, true));
    assert_eq!(plain.expect, Statuses::success(), "a redirect is not healthy");
    let check = http_check(
        ", method = \"POST\", host = \"app.example\", headers = { X-Key = \"${KEY}\" }, match = \"^ok\", \
         expect = [200, \"302-303\"]",
    );
    assert_eq!((check.method.as_str(), check.host.as_deref()), ("POST", Some("app.example")));
    assert_eq!(
        (&check.headers["x-key"], check.expect.to_string()),
        (&"s3cret-key".parse().expect("one"), "200, 302-303".into())
    );
    assert_eq!(check.matches.as_ref().map(|pattern| pattern.text()), Some("^ok"));
    assert!(!format!("{check:?}").contains("s3cret"), "what is sent may be a secret");
    assert_eq!(http_check(", expect = 204").expect.to_string(), "204");
    assert_eq!(http_check(", expect = \"200-399\"").expect.to_string(), "200-399");
}

#[test]
fn port_protocol_and_tls_may_differ_from_the_pools() {
    let of = |keys: &str| check(&format!("health = {{ path = \"/h\"{keys} }}\n{OVER}")).expect("a check");
    const OVER: &str = "http2 = true\ntls = { verify = false }";
    assert!(of("").http2 && of("").tls);
    let other = of(", port = 9000, http2 = false, tls = false");
    assert_eq!((other.port, other.http2, other.tls), (Some(9000), false, false));
    let grpc =
        check("health = { type = \"grpc\", service = \"a.B\", headers = { x = \"1\" }, host = \"h\" }")
            .expect("a check");
    assert!(grpc.http2, "gRPC is, whatever the pool is");
    let CheckKind::Grpc(GrpcCheck { service, host, headers }) = grpc.kind else { panic!("{:?}", grpc.kind) };
    assert_eq!((service.as_str(), host.as_deref(), headers.len()), ("a.B", Some("h"), 1));
}

#[test]
fn keys_that_say_nothing_are_refused_with_their_remedy() {
    for (health, path, why) in [
        ("true", "health", "write { path = \"/health\" } or { type = \"connect\" }"),
        ("{ }", "health.path", "or write type = \"connect\""),
        ("{ type = \"tcp\" }", "health.type", "is none of http, grpc, connect"),
        (
            "{ type = \"connect\", path = \"/\" }",
            "health.path",
            "type = \"connect\", which asks for a connection alone; take it out, or write type = \"http\"",
        ),
        ("{ type = \"connect\", headers = { } }", "health.headers", "take it out"),
        ("{ type = \"connect\", service = \"a\" }", "health.service", "or write type = \"grpc\""),
        ("{ type = \"grpc\", match = \"x\" }", "health.match", "which asks grpc.health.v1.Health/Check"),
        ("{ type = \"grpc\", http2 = false }", "health.http2", "HTTP/2 always"),
        ("{ path = \"/\", service = \"a\" }", "health.service", "write type = \"grpc\" with it"),
        ("{ path = \"/\", method = \"HEAD\", match = \"x\" }", "health.match", "take one of the two out"),
        ("{ path = \"/\", method = \"CONNECT\" }", "health.method", "write GET, HEAD or POST"),
        ("{ path = \"/\", match = \"(\" }", "health.match", "unclosed group"),
        ("{ path = \"/\", expect = [] }", "health.expect", "names no status"),
        ("{ path = \"/\", expect = [200, 99] }", "health.expect[1]", "from 100 to 599"),
        ("{ path = \"/\", headers = { Host = \"a\" } }", "health.headers.Host", "write host = "),
        (
            "{ path = \"/\", headers = { Connection = \"a\" } }",
            "health.headers.Connection",
            "frames the message",
        ),
        ("{ path = \"/\", headers = { x = \"a\\nb\" } }", "health.headers.x", "control character"),
        ("{ path = \"/\", host = \"a b\" }", "health.host", "is no host"),
        ("{ path = \"/\", port = 0 }", "health.port", "from 1 to 65535"),
        ("{ path = \"/\", tls = true }", "health.tls", "set tls of the pool"),
        ("{ path = \"/\", colour = 1 }", "health.colour", "unknown key"),
    ] {
        let faults =
            read(&format!("upstreams = [\"10.0.0.1:3000\"]\nhealth = {health}\n")).expect_err(health);
        let path = format!("services.web.pools.blue.{path}");
        let fault = faults.faults.iter().find(|fault| fault.path == path);
        let told = fault.map(|fault| fault.detail.as_str()).unwrap_or_default();
        assert!(told.contains(why) && faults.faults.len() == 1, "{health}: {faults}");
    }
    let socket = "upstreams = [\"unix:/run/app.sock\"]\nhealth = { path = \"/\", port = 9000 }\n";
    assert!(read(socket).expect_err("no port").to_string().contains("in the file system, which has no port"));
}

#[test]
fn a_reload_that_changes_a_check_changes_its_pool() {
    let of = |keys: &str| read(&format!("upstreams = [\"10.0.0.1:3000\"]\n{keys}\n")).expect(keys);
    let checks = [
        "",
        "health = false",
        "health = { type = \"connect\" }",
        "health = { path = \"/h\" }",
        "health = { path = \"/h\", match = \"a\" }",
        "health = { path = \"/h\", match = \"b\" }",
    ];
    for pair in checks.windows(2) {
        let (at_once, at_start) = diff(&of(pair[0]), &of(pair[1]));
        let is_told = at_once.iter().any(|path| path == "services.web.pools.blue");
        assert!(is_told && at_start.is_empty(), "{pair:?}: {at_once:?}");
    }
}

#[test]
fn of_many_upstreams_those_that_nobody_asked_to_have_checked_take_turns() {
    let interval = |upstreams: usize| {
        let mut keys = String::from("upstreams = [");
        for at in 0..upstreams {
            write!(keys, "\"10.1.{}.{}:80\", ", at / 250, at % 250).expect("a text");
        }
        keys +=
            "]\n[services.web.pools.green]\nupstreams = [\"10.0.0.1:80\"]\nhealth = { type = \"connect\" }\n";
        let text = format!("{MINIMAL}{keys}").replace(
            "[services.web.pools.blue]",
            "[services.web]\nstable = \"blue\"\n[services.web.pools.blue]",
        );
        let config = parse(&text, "test.toml", &|_| None, Path::new("/nowhere")).expect("accepted");
        let of = |pool: &str| config.services["web"].pools[pool].health.clone().expect("a check");
        assert_eq!(of("green").interval, Duration::from_secs(2), "one that is asked for is kept to");
        (of("blue").interval.as_secs(), of("blue").is_rare())
    };
    let intervals = [1, 100, 101, 400, 4000].map(interval);
    assert_eq!(intervals, [(2, false), (2, false), (4, true), (8, true), (128, true)]);
}
