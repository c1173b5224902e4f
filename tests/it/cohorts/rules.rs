//! Rules ahead of the weights, and what the access log says of all ways to a pool.

use super::super::harness::{Origin, Pointsman, eventually, send};
use super::{ask_once, site};

const RULES: &str = r#"
    [[services.web.rules]]
    pool = "green"
    header = { name = "X-Team", equals = "payments" }
    [[services.web.rules]]
    pool = "green"
    cookie = { name = "plan", matches = "^(gold|silver)$" }
    [[services.web.rules]]
    pool = "blue"
    query = { name = "beta", equals = "no" }
    [[services.web.rules]]
    pool = "green"
    query = { name = "beta" }
    [[services.web.rules]]
    pool = "green"
    methods = ["PUT", "DELETE"]
    networks = ["203.0.113.0/24"]
"#;

#[test]
fn the_first_rule_that_holds_decides() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = Pointsman::start(&site(&blue, &green, "", RULES));
    let http = pointsman.http();
    for (path, field, pool) in [
        ("/", "X-Other: 1", "blue"),
        ("/", "X-Team: payments", "green"),
        ("/", "X-Team: Payments", "blue"),
        ("/", "Cookie: a=1; plan=gold", "green"),
        ("/", "Cookie: plan=golden", "blue"),
        ("/?a=1&beta=1", "X-Other: 1", "green"),
        ("/?beta", "X-Other: 1", "green"),
        ("/?beta=no", "X-Other: 1", "blue"),
        ("/?beta=no", "X-Team: payments", "green"),
        ("/?beta2=1", "X-Other: 1", "blue"),
        ("/", "X-Forwarded-For: 203.0.113.9", "blue"),
    ] {
        assert_eq!(ask_once(http, path, &[field]).text(), pool, "{path} with {field}");
    }
    let put = |client: &str| {
        let head =
            format!("PUT / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {client}\r\nContent-Length: 0\r\n\r\n");
        send(http, &head).text()
    };
    assert_eq!((put("203.0.113.9").as_str(), put("192.0.2.1").as_str()), ("green", "blue"));
    let seen = green.all();
    assert!(seen.iter().any(|request| request.path() == "/?a=1&beta=1"), "what rules read stays");
    pointsman.configure(&site(
        &blue,
        &green,
        "",
        "rules = [{ pool = \"green\", query = { name = \"gamma\" } }]",
    ));
    let reloaded = pointsman.call("POST", "/v1/reload", "").json();
    assert_eq!(reloaded["changed"], serde_json::json!(["services.web.rules"]));
    assert_eq!(ask_once(http, "/?beta=1", &[]).text(), "blue");
    assert_eq!(ask_once(http, "/?gamma=1", &[]).text(), "green");
}

#[test]
fn a_rule_to_a_pool_that_is_not_ready_is_passed_over_unless_it_is_strict() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let rules = r#"
        [[services.web.rules]]
        pool = "green"
        query = { name = "beta" }
        [[services.web.rules]]
        pool = "green"
        strict = true
        query = { name = "only" }
        [[services.web.rules]]
        pool = "candidate"
        query = { name = "next" }
    "#;
    let pointsman = Pointsman::start(&site(&blue, &green, "", rules));
    let http = pointsman.http();
    let asked = |path: &str| {
        let answer = ask_once(http, path, &[]);
        (answer.status, if answer.status == 200 { answer.text() } else { String::new() })
    };
    let served = |pool: &str| (200, pool.to_owned());
    assert_eq!((asked("/?beta"), asked("/?only")), (served("green"), served("green")));
    assert_eq!(asked("/?next"), served("blue"), "there is no candidate");
    let upstream = green.address.to_string();
    assert_eq!(pointsman.cli(&["drain", "web", "green", &upstream]).code, 0);
    assert_eq!((asked("/?beta"), asked("/?only").0), (served("blue"), 503));
    assert_eq!(pointsman.cli(&["ready", "web", "green", &upstream]).code, 0);
    assert_eq!(asked("/?only"), served("green"));
    pointsman.start_rollout(
        "{\"to\": \"green\", \"steps\": [{\"weight\": 1, \"hold\": \"1h\"}, {\"weight\": 100}]}",
    );
    assert_eq!(asked("/?next"), served("green"), "whichever pool it is");
}

#[test]
fn the_access_log_says_how_a_pool_was_chosen_and_holds_no_signed_value() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let keys = "cohort = { by = \"header\", name = \"X-User\" }\ntesters = {}\n\
                rules = [{ pool = \"green\", query = { name = \"beta\" } }]";
    let log = "[access_log]\npath = \"access.log\"\n[[routes]]\npath = \"/plain\"\nservice = \"plain\"\n\
               [[routes]]\npath = \"/cookie\"\nservice = \"cookie\"\n[[routes]]\nservice = \"web\"\n";
    let more = format!(
        "[services.plain.pools.blue]\nupstreams = [\"{0}\"]\n[services.cookie]\ncohort = {{ by = \"cookie\" }}\n\
         [services.cookie.pools.blue]\nupstreams = [\"{0}\"]\n",
        blue.address
    );
    let pointsman = Pointsman::start(&(site(&blue, &green, log, keys) + &more));
    let http = pointsman.http();
    let link = pointsman.call("POST", "/v1/services/web/testers", "{\"to\": \"green\"}").json();
    let value = link["value"].as_str().expect("a value");
    let cookie = super::set_cookies(&ask_once(http, "/cookie", &[]))["pointsman"].0.clone();
    let asked = [
        ("/plain", "X-User: 1".to_owned(), "weights"),
        ("/cookie?again", format!("Cookie: pointsman={cookie}"), "cookie"),
        ("/header", "X-User: 1".to_owned(), "header"),
        ("/address", "X-Other: 1".to_owned(), "client_ip"),
        ("/tester", format!("X-Pointsman-Pool: {value}"), "tester"),
        ("/kept", format!("Cookie: pointsman-pool={value}"), "tester"),
        ("/rule?beta=1", "X-User: 1".to_owned(), "rule"),
    ];
    for (path, field, _) in &asked {
        assert_eq!(ask_once(http, path, &[field]).status, 200);
    }
    assert_eq!(ask_once(http, &format!("/query?pointsman-pool={value}"), &[]).text(), "green");
    let path = pointsman.dir.path().join("access.log");
    let read = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("the log is written", || read().lines().count() == asked.len() + 2);
    let text = read();
    let by = |uri: &str| {
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        lines.filter(|line| line["uri"] == uri).map(|line| line["by"].clone()).next().expect("a line")
    };
    for (path, _, expected) in &asked {
        assert_eq!(by(path), *expected, "{path}");
    }
    assert_eq!(by("/query"), "tester", "without the parameter");
    assert!(!text.contains(value) && !text.contains(&cookie), "{text}");
}

/// Rules ask for texts and files, and for the contrary.
#[test]
fn rules_ask_for_texts_files_and_the_contrary() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let rules = r#"
    [[services.web.rules]]
    pool = "green"
    value = [{ of = "$request_method$arg_v", matches = "^GET1" }, { of = "$cookie_out", not = true }]
    [[services.web.rules]]
    pool = "green"
    file = [{ path = "beta.on" }, { path = "beta.off", not = true }]
    "#;
    let pointsman = Pointsman::start(&site(&blue, &green, "", rules));
    let asked = |path: &str, field: &str| ask_once(pointsman.http(), path, &[field]).text();
    assert_eq!(
        [asked("/?v=12", "X-A: 1"), asked("/?v=12", "Cookie: out=1"), asked("/", "X-A: 1")],
        ["green", "blue", "blue"]
    );
    std::fs::write(pointsman.dir.path().join("beta.on"), "").expect("a file");
    assert_eq!(asked("/", "X-A: 1"), "green");
    std::fs::write(pointsman.dir.path().join("beta.off"), "").expect("a file");
    assert_eq!(asked("/", "X-A: 1"), "blue");
}
