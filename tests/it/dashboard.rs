//! The dashboard: its sessions and figures as any client meets them, and its pages in a real browser.

mod browser;

use super::harness::{
    Answer, Connection, Load, Nginx, Origin, Pointsman, Reaction, Received, blue_green, eventually,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;

fn hash(name: &str) -> String {
    Sha256::digest(format!("secret-{name}")).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `[admin]` with a token for each role.
fn admin() -> String {
    let token = |(name, role): (&str, &str)| {
        let hash = hash(name);
        format!("{{ name = \"{name}\", role = \"{role}\", sha256 = \"{hash}\" }}")
    };
    let tokens = [("eye", "read"), ("ci", "deploy"), ("root", "admin")].map(token).join(", ");
    format!("[admin]\nlisten = \"127.0.0.1:0\"\ntokens = [{tokens}]\n")
}

/// Opens a session with the token in the body; the cookie's line for further requests.
fn sign_in(pointsman: &Pointsman, who: &str) -> String {
    let body = format!("{{\"token\": \"secret-{who}\"}}");
    let answer = pointsman.call("POST", "/v1/session", &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let cookie = answer.header("set-cookie").expect("a cookie").to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains("Secure"), "not over plain HTTP: {cookie}");
    let pair = cookie.split(';').next().expect("a pair");
    format!("Cookie: {pair}\r\n")
}

const SAME: &str = "Sec-Fetch-Site: same-origin\r\n";

#[test]
fn a_session_stands_for_its_token_until_it_ends_on_the_server() {
    let nginx = Nginx::start(&["blue", "green"]);
    let text = |admin: &str| format!("{admin}{}", blue_green(nginx.addresses[0], nginx.addresses[1]));
    let pointsman = Pointsman::start(&text(&admin()));
    let ask = |method: &str, path: &str, headers: &str| pointsman.call_with(method, path, headers, "");
    assert_eq!(pointsman.call("POST", "/v1/session", "{\"token\": \"guess\"}").status, 401);
    assert_eq!(pointsman.call("POST", "/v1/session", "{\"tokens\": 1}").status, 422);
    let [eye, ci, root] = ["eye", "ci", "root"].map(|who| sign_in(&pointsman, who));
    let who = ask("GET", "/v1/whoami", &ci).json();
    assert_eq!((who["name"].as_str(), who["role"].as_str()), (Some("ci"), Some("deploy")));
    let by_token = ask("POST", "/v1/session", "Authorization: Bearer secret-eye\r\n");
    assert_eq!((by_token.status, by_token.json()["role"].as_str()), (200, Some("read")));
    assert_eq!(ask("GET", "/v1/session", &eye).json()["name"], "eye");
    assert_eq!(ask("GET", "/v1/session", "").json(), Value::Null);
    let flip = |headers: &str, to: &str| -> Answer {
        pointsman.call_with("POST", "/v1/services/web/flip", headers, &format!("{{\"to\": \"{to}\"}}"))
    };
    assert_eq!(flip(&ci, "green").status, 403, "nothing says where it comes from");
    for site in ["cross-site", "same-site", "none"] {
        assert_eq!(flip(&format!("{ci}Sec-Fetch-Site: {site}\r\nX-Pointsman: 1\r\n"), "green").status, 403);
    }
    assert_eq!(flip(&format!("{ci}{SAME}Origin: https://evil.example\r\n"), "green").status, 403);
    assert_eq!(flip(&format!("{eye}{SAME}"), "green").status, 403, "the role is the token's");
    assert_eq!(flip(&format!("{ci}{SAME}"), "green").status, 200);
    assert_eq!(flip(&format!("{ci}X-Pointsman: 1\r\n"), "blue").status, 200);
    let rows = ask("GET", "/v1/services/web/history", &eye).json();
    assert_eq!(rows["history"][0]["actor"], "ci");
    let ended = ask("DELETE", "/v1/session", &format!("{eye}{SAME}"));
    assert_eq!(ended.status, 204);
    assert!(ended.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")));
    assert_eq!(ask("GET", "/v1/services", &eye).status, 401, "ended on the server");
    let without = admin().replace("role = \"deploy\"", "role = \"read\"");
    pointsman.configure(&text(&without));
    assert_eq!(ask("POST", "/v1/reload", &format!("{root}{SAME}")).status, 200);
    assert_eq!(ask("GET", "/v1/whoami", &ci).json()["role"], "read", "the role of the token in effect");
    let alone = admin().replace(&hash("ci"), &hash("new")).replace(&hash("root"), &hash("other"));
    pointsman.configure(&text(&alone));
    assert_eq!(ask("POST", "/v1/reload", &format!("{root}{SAME}")).status, 200);
    for session in [&ci, &root] {
        assert_eq!(ask("GET", "/v1/whoami", session).status, 401, "its token is gone");
    }
}

#[test]
fn the_pages_are_open_and_their_policy_is_strict() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&(admin() + &blue_green(nginx.addresses[0], nginx.addresses[1])));
    let page = pointsman.get("/");
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").expect("a policy").to_owned();
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    let tag = page.header("etag").expect("an ETag").to_owned();
    let again = pointsman.call_with("GET", "/s/web", &format!("If-None-Match: {tag}\r\n"), "");
    assert_eq!(again.status, 304, "{}", again.text());
    let text = page.text();
    let script = text.split("src=\"").nth(2).and_then(|rest| rest.split('"').next()).expect("a script");
    let file = pointsman.get(script);
    assert_eq!(file.status, 200, "{script}");
    assert!(file.header("cache-control").is_some_and(|kept| kept.contains("immutable")));
    assert!(file.header("content-type").is_some_and(|kind| kind.starts_with("text/javascript")));
    let packed = pointsman.call_with("GET", script, "Accept-Encoding: gzip, br\r\n", "");
    assert_eq!(packed.header("content-encoding"), Some("br"));
    assert_eq!(pointsman.get("/ui/0/app.js").status, 404, "of another version");
    for data in ["/v1/services", "/v1/whoami", "/v1/events?figures=true", "/v1/services/web/figures"] {
        assert_eq!(pointsman.get(data).status, 401, "{data} is not for everybody");
    }
}

#[test]
fn figures_come_as_a_past_and_once_a_second() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    let who = pointsman.get("/v1/whoami").json();
    assert_eq!((who["name"].as_str(), who["role"].as_str()), (Some("local"), Some("admin")));
    let load = Load::start(pointsman.http(), 2);
    let mut series = Value::Null;
    eventually("two seconds with requests", || {
        series = pointsman.get("/v1/services/web/figures").json();
        let blue = series["pools"]["blue"]["requests"].as_array().cloned().unwrap_or_default();
        blue.iter().filter(|count| count.as_u64() > Some(0)).count() >= 2
    });
    let seconds = series["seconds"].as_u64().expect("a number") as usize;
    for pool in ["blue", "green"] {
        for list in ["weight", "requests", "failures", "p95_ms"] {
            assert_eq!(series["pools"][pool][list].as_array().map(Vec::len), Some(seconds), "{pool} {list}");
        }
    }
    assert_eq!(series["pools"]["blue"]["weight"][0], 100.0);
    assert_eq!(pointsman.get("/v1/services/nope/figures").status, 404);
    let mut stream = Connection::open(pointsman.admin);
    stream
        .write(b"GET /v1/events?figures=true&service=web HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("it is read");
    assert_eq!(stream.head().expect("a head").status, 200);
    let mut frames = Vec::new();
    while frames.len() < 3 {
        let chunk = String::from_utf8(stream.chunk().expect("a chunk")).expect("text");
        let data = chunk.strip_prefix("event: figures\ndata: ").map(|data| data.trim_end().to_owned());
        frames.extend(data.map(|data| serde_json::from_str::<Value>(&data).expect("JSON")));
    }
    let blue = &frames[2]["services"]["web"]["pools"]["blue"];
    assert_eq!((blue["weight"].as_f64(), blue["up"][0].as_u64()), (Some(100.0), Some(1)));
    assert!(blue["rate"].as_u64() > Some(0), "{blue}");
    let at = |frame: &Value| frame["at"].as_u64().expect("a time");
    assert!(at(&frames[2]) > at(&frames[0]), "a second each");
    load.stop();
}

/// A service whose green pool can be made bad, with steps that only people and the policy end.
fn watched(blue: &Origin, green: &Origin) -> String {
    format!(
        "{}[services.web]\nstable = \"blue\"\npolicy = \"default\"\nshield = false\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{}\"]\n\
         [services.web.rollout]\nsteps = [{{ weight = 25, hold = \"1h\" }}, {{ weight = 100 }}]\nbake = \"0s\"\n\
         [policies.default]\nerror_rate = {{ critical = \"1%\" }}\n",
        admin(),
        blue.address,
        green.address
    )
}

/// An answer that takes a little, so that the load is no flood.
fn calm(status: u16) -> impl Fn(&Received) -> Reaction + Send + Sync + 'static {
    move |_| Reaction::Late(Duration::from_millis(5), status, "body".to_owned())
}
