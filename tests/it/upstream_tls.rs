//! TLS to the upstreams: whom Pointsman believes, what it says of itself, and what it tells of a refusal.

use super::harness::{Authority, Pointsman, Printed, TlsOrigin, eventually, get};
use http::Version;
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Command;

/// An origin with the certificate of a file of the authority.
fn origin(authority: &Authority, file: &str) -> TlsOrigin {
    TlsOrigin::start(authority.server_config_for(file, None))
}

/// A service of one pool, and the route to it.
fn service(name: &str, upstreams: &[SocketAddr], keys: &str) -> String {
    let list: Vec<_> = upstreams.iter().map(|address| format!("\"{address}\"")).collect();
    format!(
        "[[routes]]\npath = \"/{name}\"\nservice = \"{name}\"\n\
         [services.{name}.pools.blue]\nupstreams = [{}]\n{PATIENT}\n{keys}\n",
        list.join(", ")
    )
}

/// A handshake takes its time on a busy machine.
const PATIENT: &str = "timeouts = { connect = \"20s\" }";
const HEALTH: &str =
    "health = { path = \"/health\", interval = \"50ms\", timeout = \"20s\", fall = 1, rise = 1 }";

fn failures(pointsman: &Pointsman, service: &str, reason: &str) -> u64 {
    let metrics = pointsman.get("/metrics").text();
    let labels = format!("{{pool=\"blue\",reason=\"{reason}\",service=\"{service}\"}}");
    let line = metrics.lines().find_map(|line| line.strip_prefix("pointsman_attempt_failures_total"));
    assert!(line.is_some(), "{metrics}");
    let lines = metrics.lines().filter(|line| line.contains(&labels));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// Why the only upstream of a service's pool is down; empty where it is not.
fn why_down(pointsman: &Pointsman, service: &str, pool: &str) -> String {
    let view: Value = pointsman.get(&format!("/v1/services/{service}")).json();
    let upstream = &view["pools"][pool]["upstreams"][0];
    let detail = upstream["detail"].as_str().unwrap_or_default().to_owned();
    if upstream["state"] == "down" { detail } else { String::new() }
}

#[test]
fn only_the_right_certificate_is_accepted_and_why_another_is_not_is_told() {
    let (ours, foreign) = (Authority::new(), Authority::called("another"));
    ours.write("app", &["app.internal"]);
    ours.write("other", &["other.internal"]);
    ours.write_expired("old", &["app.internal"]);
    foreign.write("app", &["app.internal"]);
    let cases = [
        ("right", origin(&ours, "app"), ""),
        ("authority", origin(&foreign, "app"), "UnknownIssuer"),
        ("name", origin(&ours, "other"), "not valid for name"),
        ("expired", origin(&ours, "old"), "expired"),
    ];
    let tls = format!("tls = {{ ca = \"{}\", name = \"app.internal\" }}", ours.ca());
    let mut text = service("unverified", &[cases[1].1.address], "tls = { verify = false }");
    for (name, origin, _) in &cases {
        text += &service(name, &[origin.address], &tls);
        text += &service(&format!("{name}-checked"), &[origin.address], &format!("{tls}\n{HEALTH}"));
    }
    let pointsman = Pointsman::start_told(&text, &[("POINTSMAN_LOG", "info,pointsman::proxy=debug")]);
    for (name, origin, why) in &cases {
        let (status, charged) = if why.is_empty() { (200, 0) } else { (502, 1) };
        assert_eq!(get(pointsman.http(), &format!("/{name}")).status, status, "{name}");
        assert_eq!(failures(&pointsman, name, "connect"), charged, "{name}");
        assert_eq!(origin.was_asked(&format!("/{name}")), why.is_empty(), "{name}");
        let told = || why_down(&pointsman, &format!("{name}-checked"), "blue");
        if why.is_empty() {
            eventually("it is healthy", || origin.was_asked("/health") && told().is_empty());
        } else {
            eventually(name, || told().starts_with("TLS: ") && told().contains(why));
            eventually("the log says why", || {
                let log = pointsman.log();
                log.lines().any(|line| line.contains(&origin.address.to_string()) && line.contains(why))
            });
        }
    }
    assert_eq!(get(pointsman.http(), "/unverified").status, 200);
    assert_eq!(failures(&pointsman, "unverified", "connect"), 0);
}

#[test]
fn a_refused_certificate_is_retried_on_another_upstream() {
    let (ours, foreign) = (Authority::new(), Authority::called("another"));
    ours.write("app", &["127.0.0.1"]);
    foreign.write("app", &["127.0.0.1"]);
    let (good, bad) = (origin(&ours, "app"), origin(&foreign, "app"));
    let keys = format!("tls = {{ ca = \"{}\" }}\npassive = {{ max_fails = 0 }}", ours.ca());
    let pointsman = Pointsman::start(&service("web", &[bad.address, good.address], &keys));
    for _ in 0..6 {
        assert_eq!(get(pointsman.http(), "/web").status, 200);
    }
    let request = "POST /web HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nok";
    for _ in 0..4 {
        let answer = super::harness::send(pointsman.http(), request);
        assert_eq!(answer.status, 200, "nothing of it was sent, so it may be sent again");
    }
    let charged = failures(&pointsman, "web", "connect");
    assert!((1..=10).contains(&charged), "{charged}");
    assert!(good.asked().iter().all(|asked| asked.sni.is_none()), "an address is no name to ask for");
}

#[test]
fn upstreams_are_told_a_name_and_shown_a_certificate() {
    let (ours, clients) = (Authority::new(), Authority::called("another"));
    ours.write("app", &["app.internal", "other.internal"]);
    let shown = clients.write("us", &["pointsman"]);
    let origin = TlsOrigin::start(ours.server_config_for("app", Some(&clients)));
    let tls = format!("ca = \"{}\", name = \"app.internal\"", ours.ca());
    let text =
        service("web", &[origin.address], &format!("tls = {{ {tls}, client = {{ {shown} }} }}\n{HEALTH}"))
            + &service("bare", &[origin.address], &format!("tls = {{ {tls} }}"))
            + &service("bare-checked", &[origin.address], &format!("tls = {{ {tls} }}\n{HEALTH}"));
    let pointsman = Pointsman::start(&text);
    assert_eq!(get(pointsman.http(), "/web").status, 200);
    for path in ["/web", "/health"] {
        eventually("it is asked", || origin.was_asked(path));
        let asked = origin.last(path);
        assert_eq!((asked.sni.as_deref(), asked.client), (Some("app.internal"), true), "{path}");
    }
    assert_eq!(get(pointsman.http(), "/bare").status, 502);
    assert!(!origin.was_asked("/bare"));
    eventually("without one, checks fail", || !why_down(&pointsman, "bare-checked", "blue").is_empty());
}

#[test]
fn http2_is_agreed_on_and_one_connection_carries_many_requests() {
    let ours = Authority::new();
    ours.write("app", &["127.0.0.1"]);
    let origin = origin(&ours, "app");
    let tls = format!("tls = {{ ca = \"{}\" }}\n{HEALTH}", ours.ca());
    let text = "[server]\nstate_dir = \"state\"\nthreads = 1\n".to_owned()
        + &service("two", &[origin.address], &format!("http2 = true\n{tls}"))
        + &service("one", &[origin.address], &tls);
    let pointsman = Pointsman::start(&text);
    for (path, version) in [("/two", Version::HTTP_2), ("/one", Version::HTTP_11)] {
        for _ in 0..10 {
            assert_eq!(get(pointsman.http(), path).status, 200);
        }
        let asked: Vec<_> = origin.asked().into_iter().filter(|asked| asked.path == path).collect();
        assert!(asked.iter().all(|asked| asked.version == version), "{asked:?}");
        let mut connections: Vec<_> = asked.iter().map(|asked| asked.connection).collect();
        connections.dedup();
        assert!(connections.len() < 10, "connections are kept: {connections:?}");
    }
    for version in [Version::HTTP_2, Version::HTTP_11] {
        let checks = |version| origin.asked().iter().any(|a| a.path == "/health" && a.version == version);
        eventually("checks speak as requests do", || checks(version));
    }
    // Who does not agree is not healthy.
    let mut config = rustls::ServerConfig::clone(&ours.server_config_for("app", None));
    config.alpn_protocols.clear();
    origin.greet_by(std::sync::Arc::new(config));
    eventually("it is told", || why_down(&pointsman, "two", "blue").contains("HTTP/2 was not agreed on"));
    assert_eq!(why_down(&pointsman, "one", "blue"), "");
}

#[test]
fn all_that_is_asked_beside_traffic_goes_over_tls() {
    let (ours, foreign) = (Authority::new(), Authority::called("another"));
    ours.write("app", &["app.internal"]);
    foreign.write("app", &["app.internal"]);
    let (blue, green, stranger) = (origin(&ours, "app"), origin(&ours, "app"), origin(&foreign, "app"));
    let pool = |name: &str, address: SocketAddr, keys: &str| {
        let tls = format!("tls = {{ ca = \"{}\", name = \"app.internal\" }}", ours.ca());
        format!("[services.web.pools.{name}]\nupstreams = [\"{address}\"]\n{tls}\n{keys}\n")
    };
    let text = "[services.web]\nstable = \"blue\"\npolicy = \"default\"\n".to_owned()
        + &pool("blue", blue.address, HEALTH)
        + &pool("green", green.address, HEALTH)
        + &pool("canary", green.address, "")
        + "[services.web.rollout]\nsteps = [{ weight = 5, hold = \"1h\" }, { weight = 100 }]\n\
           smoke = [{ path = \"/smoke\", match = \"db\" }]\n\
           [policies.default]\nsignals = [{ name = \"db\", from = \"/signals\", at = \"/db\", critical = 9, interval = \"50ms\" }]\n";
    let pointsman = Pointsman::start(&text);
    pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("its smoke tests have passed", || pointsman.weight("green") == 5.0);
    assert!(green.was_asked("/smoke"));
    eventually("signals are scraped", || pointsman.web()["pools"]["blue"]["signals"]["db"] == 3.0);
    // What is registered is proven by a connection, where there is no check: that is the handshake, too.
    let body = format!("{{\"upstreams\": [\"{}\"]}}", stranger.address);
    let set = pointsman.call("PUT", "/v1/services/web/pools/canary/upstreams", &body);
    assert_eq!(set.status, 200, "{}", set.text());
    eventually("it is refused", || why_down(&pointsman, "web", "canary").contains("UnknownIssuer"));
}

#[test]
fn a_reload_takes_what_the_files_hold_for_new_connections() {
    let (first, second) = (Authority::new(), Authority::called("another"));
    for authority in [&first, &second] {
        authority.write("app", &["app.internal"]);
        authority.write("us", &["pointsman"]);
    }
    let origin = TlsOrigin::start(first.server_config_for("app", Some(&first)));
    let dir = tempfile::tempdir().expect("a directory");
    let take = |from: &Authority, file: &str| {
        std::fs::copy(from.path(file), dir.path().join(file)).expect("copied");
    };
    ["ca.pem", "us.pem", "us.key"].iter().for_each(|file| take(&first, file));
    let at = |file: &str| dir.path().join(file).display().to_string();
    let keys = format!(
        "requests_per_connection = 1\ntls = {{ name = \"app.internal\", ca = \"{}\", client = {{ cert = \"{}\", key = \"{}\" }} }}",
        at("ca.pem"),
        at("us.pem"),
        at("us.key")
    );
    let pointsman = Pointsman::start(&service("web", &[origin.address], &keys));
    let status = || get(pointsman.http(), "/web").status;
    assert_eq!(status(), 200);
    origin.greet_by(second.server_config_for("app", Some(&first)));
    take(&second, "ca.pem");
    assert_eq!(status(), 502, "what was read holds until the reload");
    pointsman.signal("HUP");
    eventually("the new authority is believed", || status() == 200);
    origin.greet_by(second.server_config_for("app", Some(&second)));
    assert_eq!(status(), 502);
    ["us.pem", "us.key"].iter().for_each(|file| take(&second, file));
    let report = pointsman.call("POST", "/v1/reload", "").json();
    assert_eq!(report["changed"].to_string(), "[\"services.web.pools.blue\"]", "{report}");
    assert_eq!(status(), 200, "the new certificate is shown");
    take(&first, "us.key");
    let refused = pointsman.call("POST", "/v1/reload", "");
    assert!(refused.status == 422 && refused.text().contains("us.key"), "{}", refused.text());
    assert_eq!(status(), 200, "nothing has changed");
}

#[test]
fn connections_are_kept_apart_by_settings() {
    let ours = Authority::new();
    ours.write("app", &["a.internal", "b.internal"]);
    let origin = origin(&ours, "app");
    let config = |name: &str| {
        "[server]\nstate_dir = \"state\"\nthreads = 1\n".to_owned()
            + &service(
                "web",
                &[origin.address],
                &format!("tls = {{ ca = \"{}\", name = \"{name}\" }}", ours.ca()),
            )
    };
    let pointsman = Pointsman::start(&config("a.internal"));
    let ask = || {
        assert_eq!(get(pointsman.http(), "/web").status, 200);
        origin.last("/web")
    };
    eventually("a connection is used again", || ask().connection == ask().connection);
    pointsman.configure(&config("b.internal"));
    assert_eq!(pointsman.call("POST", "/v1/reload", "").status, 200);
    assert_eq!(ask().sni.as_deref(), Some("b.internal"));
}

#[test]
fn without_more_words_the_systems_authorities_and_the_addresss_name_count() {
    let (ours, foreign) = (Authority::new(), Authority::called("another"));
    ours.write("app", &["localhost"]);
    foreign.write("app", &["localhost"]);
    let (known, unknown) = (origin(&ours, "app"), origin(&foreign, "app"));
    let named = |name: &str, origin: &TlsOrigin| {
        let address = format!("\"localhost:{}\"", origin.address.port());
        service(name, &[], "tls = true").replacen("[]", &format!("[{address}]"), 1)
    };
    let text = named("known", &known)
        + &named("unknown", &unknown)
        + &service("plain", &[known.address], "tls = false");
    let pointsman =
        Pointsman::start_told(&text, &system(&ours).each_ref().map(|(name, value)| (*name, value.as_str())));
    let status = |path: &str| get(pointsman.http(), path).status;
    eventually("the name is resolved, and the upstream believed", || status("/known") == 200);
    assert_eq!(known.last("/known").sni.as_deref(), Some("localhost"));
    eventually("the other is refused", || status("/unknown") == 502);
    assert_eq!(status("/plain"), 502, "it speaks no HTTP in the clear");
}

#[test]
fn who_verifies_nothing_needs_no_authority() {
    let (ours, nobody) = (Authority::new(), tempfile::tempdir().expect("a directory"));
    ours.write("app", &["app.internal"]);
    let origin = origin(&ours, "app");
    let keys = format!("tls = {{ verify = false }}\n{HEALTH}");
    let path = nobody.path().display().to_string();
    let environment = [("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", path.as_str())];
    let pointsman = Pointsman::start_told(&service("web", &[origin.address], &keys), &environment);
    eventually("it is healthy", || {
        origin.was_asked("/health") && why_down(&pointsman, "web", "blue").is_empty()
    });
    assert_eq!(get(pointsman.http(), "/web").status, 200);
}

/// An environment in which the system knows one authority.
fn system(authority: &Authority) -> [(&'static str, String); 2] {
    [("SSL_CERT_FILE", authority.ca()), ("SSL_CERT_DIR", authority.dir.path().display().to_string())]
}

#[test]
fn what_cannot_be_used_is_told_with_its_place() {
    let ours = Authority::new();
    let (us, other) = (ours.write("us", &["us"]), ours.write("other", &["other"]));
    std::fs::write(ours.path("text.pem"), "no certificate").expect("a file");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(ours.path("broken.pem"), broken).expect("a file");
    let mixed =
        us.split(", ").next().expect("a part").to_owned() + ", " + other.split(", ").nth(1).expect("a part");
    for (tls, column, expected) in [
        ("{ ca = \"none.pem\" }", 14, "none.pem: No such file"),
        ("{ ca = \"text.pem\" }", 14, "text.pem: holds no certificate"),
        ("{ ca = \"broken.pem\" }", 14, "broken.pem: a certificate in it cannot be read"),
        ("{ ca = \"ca.pem\", verify = false }", 14, "has no effect with verify = false"),
        ("{ ca = \"ca.pem\", name = \"no name\" }", 31, "no name that a certificate can be for"),
        ("{ ca = \"ca.pem\", names = \"x\" }", 24, "did you mean name?"),
        ("{ ca = \"ca.pem\", client = { cert = \"us.pem\" } }", 33, "client.key: is missing"),
        ("{ ca = \"ca.pem\", client = { cert = \"us.pem\", key = \"us.pem\" } }", 58, "holds no private key"),
        (
            &format!("{{ ca = \"ca.pem\", client = {{ {mixed} }} }}"),
            0,
            "the key must be the certificate's own",
        ),
        ("\"yes\"", 7, "is a string where a table is expected"),
        ("true", 7, "the system knows no authority"),
    ] {
        let text = format!(
            "[[routes]]\nservice = \"web\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[services.web.pools.blue]\nupstreams = [\"127.0.0.1:1\"]\ntls = {tls}\n"
        );
        std::fs::write(ours.path("p.toml"), text).expect("a file");
        let printed = check(&ours);
        let place = if column > 0 { format!("p.toml:9:{column}") } else { "p.toml:9:".to_owned() };
        assert!(printed.code == 1 && printed.err.contains(expected), "{tls}: {}", printed.err);
        assert!(printed.err.contains(&place), "{tls}: {}", printed.err);
    }
}

/// `pointsman check`, where the system knows no authority.
fn check(authority: &Authority) -> Printed {
    let output = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["check", "--config", "p.toml"])
        .current_dir(authority.dir.path())
        .env("SSL_CERT_FILE", authority.path("text.pem"))
        .env("SSL_CERT_DIR", authority.dir.path())
        .output()
        .expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Printed { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}
