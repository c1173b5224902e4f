//! Testers: they choose by header, query and cookie, from named networks or with a signed value.

use super::super::harness::{Origin, Pointsman, eventually};
use super::super::listeners::curl;
use super::{ask_once, set_cookies, set_weights, site};
use std::net::SocketAddr;

const TESTERS: &str = "testers = { networks = [\"10.0.0.0/8\"] }";
const INSIDE: &str = "X-Forwarded-For: 10.1.2.3";
const OUTSIDE: &str = "X-Forwarded-For: 192.0.2.1";
const AGES: &str = "Path=/; HttpOnly; SameSite=Lax";

fn pool(to: SocketAddr, path: &str, fields: &[&str]) -> String {
    ask_once(to, path, fields).text()
}

#[test]
fn inside_the_networks_a_name_is_enough() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = Pointsman::start(&site(&blue, &green, "", TESTERS));
    let http = pointsman.http();
    assert_eq!(pool(http, "/", &[INSIDE]), "blue");
    assert_eq!(pool(http, "/", &[INSIDE, "X-Pointsman-Pool: green"]), "green");
    assert_eq!(pool(http, "/", &[OUTSIDE, "X-Pointsman-Pool: green"]), "blue");
    assert_eq!(green.last().header("x-pointsman-pool"), None);
    assert_eq!(blue.last().header("x-pointsman-pool"), None, "nor where it did not count");
    // The query is for browsers: its cookie makes the page's assets follow.
    let answer = ask_once(http, "/a?x=1&pointsman-pool=green&y=%20", &[INSIDE]);
    assert_eq!((answer.text().as_str(), green.last().path()), ("green", "/a?x=1&y=%20"));
    let cookies = set_cookies(&answer);
    assert_eq!(cookies["pointsman-pool"], ("green".into(), format!("Max-Age=28800; {AGES}")));
    // Over HTTP/2, too.
    let url = format!("http://{http}/b?pointsman-pool=green&x=1");
    assert_eq!(curl(&["--http2-prior-knowledge", "-H", INSIDE, &url]), "green");
    assert_eq!(
        (green.last().path(), green.last().header("host")),
        ("/b?x=1", Some(http.to_string().as_str()))
    );
    let from = "Referer: https://shop.example/a?pointsman-pool=green&x=1";
    assert_eq!(pool(http, "/", &[INSIDE, from]), "blue");
    assert_eq!(blue.last().header("referer"), Some("https://shop.example/a?x=1"));
    let kept = "Cookie: a=1; pointsman-pool=green";
    assert_eq!(pool(http, "/app.js", &[INSIDE, kept]), "green");
    assert_eq!(green.last().header("cookie"), Some("a=1"));
    assert_eq!(pool(http, "/app.js", &[OUTSIDE, kept]), "blue");
    let answer = ask_once(http, "/?pointsman-pool=green", &[OUTSIDE]);
    assert_eq!((answer.text().as_str(), set_cookies(&answer).len()), ("blue", 0));
    assert_eq!(blue.last().path(), "/");
    // Whoever has enough goes back, from anywhere.
    let answer = ask_once(http, "/?pointsman-pool=out", &[OUTSIDE, kept]);
    let cookies = set_cookies(&answer);
    assert_eq!(answer.text(), "blue");
    assert_eq!(cookies["pointsman-pool"], (String::new(), format!("Max-Age=0; {AGES}")));
    set_weights(&pointsman, 100.0);
    assert_eq!(pool(http, "/", &[INSIDE, "X-Pointsman-Pool: stable"]), "blue");
    assert_eq!(
        pool(http, "/", &[INSIDE, "X-Pointsman-Pool: candidate"]),
        "green",
        "there is none: by the weights"
    );
    assert_eq!(
        pool(http, "/", &[INSIDE, "X-Pointsman-Pool: stable", kept]),
        "blue",
        "the header before the cookie"
    );
}

#[test]
fn a_signed_value_counts_from_anywhere() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let other = format!("[services.api]\n[services.api.pools.blue]\nupstreams = [\"{}\"]\n", blue.address);
    let own = "testers = { header = \"X-Try\", cookie = \"try\", query = \"try\" }";
    let pointsman = Pointsman::start(&(site(&blue, &green, "", own) + &other));
    let http = pointsman.http();
    let printed =
        pointsman.cli(&["--output", "json", "cohort", "link", "web", "--to", "green", "--ttl", "1h"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    let link: serde_json::Value = serde_json::from_str(&printed.out).expect("JSON");
    let value = link["value"].as_str().expect("a value");
    assert_eq!(
        (&link["header"], &link["cookie"], &link["query"]),
        (&"x-try".into(), &"try".into(), &"try".into())
    );
    assert!(link["expires_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{link}");
    let answer = ask_once(http, &format!("/?try={value}"), &[OUTSIDE]);
    let cookies = set_cookies(&answer);
    let (kept, attributes) = &cookies["try"];
    assert_eq!((answer.text().as_str(), kept.as_str(), green.last().path()), ("green", value, "/"));
    let age = attributes.split(';').next().and_then(|age| age.strip_prefix("Max-Age=")?.parse::<u64>().ok());
    assert!(age.is_some_and(|age| (3000..=3600).contains(&age)), "{attributes}");
    assert_eq!(pool(http, "/", &[OUTSIDE, &format!("Cookie: try={kept}")]), "green");
    assert_eq!(pool(http, "/", &[OUTSIDE, &format!("X-Try: {value}")]), "green");
    for forged in [value.replace("green.", "green.1"), value.replace("green", "blue"), "green".into()] {
        let answer = ask_once(http, &format!("/?try={forged}"), &[OUTSIDE]);
        assert_eq!((answer.text().as_str(), set_cookies(&answer).len()), ("blue", 0), "{forged}");
    }
    // It is over by itself.
    let short =
        pointsman.call("POST", "/v1/services/web/testers", "{\"to\": \"green\", \"ttl\": \"2s\"}").json();
    let field = format!("X-Try: {}", short["value"].as_str().expect("a value"));
    eventually("its time is over", || pool(http, "/", &[OUTSIDE, &field]) == "blue");
    let text = pointsman.cli(&["cohort", "link", "web", "--to", "candidate"]).out;
    assert!(text.contains("?try=candidate.") && text.contains("x-try: candidate."), "{text}");
    refuses(&pointsman);
}

fn refuses(pointsman: &Pointsman) {
    let issue = |service: &str, body: &str| {
        let answer = pointsman.call("POST", &format!("/v1/services/{service}/testers"), body);
        (answer.status, answer.text())
    };
    for (service, body, status, said) in [
        ("web", "{\"to\": \"red\"}", 422, "there is no pool red; there are: blue, green"),
        ("web", "{\"to\": \"green\", \"ttl\": \"31d\"}", 422, "must be from 1s to 30d"),
        ("web", "{\"to\": \"green\", \"ttl\": \"soon\"}", 422, "is no duration"),
        ("web", "{\"to\": \"green\", \"til\": \"1h\"}", 422, "did you mean ttl?"),
        ("api", "{\"to\": \"blue\"}", 409, "add [services.api.testers] to the configuration"),
        ("shop", "{\"to\": \"blue\"}", 404, "there is no service shop"),
    ] {
        let (got, text) = issue(service, body);
        assert!(got == status && text.contains(said), "{body}: {got} {text}");
    }
}

#[test]
fn a_choice_outlives_an_abort_but_not_its_pool() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let keys = format!("{TESTERS}\ncohort = {{ by = \"cookie\" }}");
    let pointsman = Pointsman::start(&site(&blue, &green, "", &keys));
    let http = pointsman.http();
    let fields = [INSIDE, "X-Pointsman-Pool: green"];
    let steps = "[{\"weight\": 5, \"hold\": \"1h\"}, {\"weight\": 100}]";
    let id = pointsman.start_rollout(&format!("{{\"to\": \"green\", \"steps\": {steps}}}"));
    assert_eq!(pool(http, "/", &[INSIDE, "X-Pointsman-Pool: candidate"]), "green");
    assert_eq!(pool(http, "/", &fields), "green");
    let answer = ask_once(http, "/", &fields);
    assert_eq!(set_cookies(&answer).len(), 0, "the cohort has not been asked");
    let aborted = pointsman.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "");
    assert_eq!(aborted.status, 200);
    assert_eq!(pool(http, "/", &fields), "green", "to look at what failed");
    let upstream = green.address.to_string();
    assert_eq!(pointsman.cli(&["drain", "web", "green", &upstream]).code, 0);
    // The pool is not ready: by the cohort, and both cookies are set.
    let answer = ask_once(http, "/?pointsman-pool=green", &[INSIDE]);
    let cookies = set_cookies(&answer);
    assert_eq!(answer.text(), "blue");
    assert_eq!(cookies.keys().collect::<Vec<_>>(), ["pointsman", "pointsman-pool"]);
    assert_eq!(pointsman.cli(&["ready", "web", "green", &upstream]).code, 0);
    assert_eq!(pool(http, "/", &fields), "green");
}
