//! Active checks with real origins: what they ask, what they say is missing, and what is checked where nobody asked.

use super::harness::{Authority, Origin, Pointsman, Reaction, TlsOrigin, UnixDoor, eventually, get};
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

mod grpc_server;
use grpc_server::GrpcServer;

/// A stable pool `blue`, and a pool `green` with these keys.
fn config(blue: &str, green: &str, keys: &str) -> String {
    format!(
        "[services.web]\nstable = \"blue\"\n[services.web.pools.blue]\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n{keys}\n"
    )
}

const BRISK: &str = "interval = \"50ms\", timeout = \"20s\", rise = 1, fall = 1";

/// A port where nobody listens, and what keeps others from it.
fn closed_port() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).expect("a port");
    let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
    (socket, address)
}

/// The state of the first upstream of `green`, and its detail.
fn green(pointsman: &Pointsman) -> (String, String) {
    let upstream = pointsman.web()["pools"]["green"]["upstreams"][0].clone();
    let text = |key: &str| upstream[key].as_str().unwrap_or_default().to_owned();
    (text("state"), text("detail"))
}

#[track_caller]
fn is_down_for(pointsman: &Pointsman, why: &str) {
    eventually(why, || {
        let (state, detail) = green(pointsman);
        state == "down" && detail.contains(why)
    });
}

#[track_caller]
fn is_ready(pointsman: &Pointsman, what: &str) {
    eventually(what, || green(pointsman) == ("ready".to_owned(), String::new()));
}

#[track_caller]
fn reload(pointsman: &Pointsman, config: &str) {
    pointsman.configure(config);
    let reloaded = pointsman.cli(&["reload"]);
    assert!(reloaded.code == 0 && reloaded.out.contains("services.web.pools.green"), "{reloaded:?}");
}

#[test]
fn a_redirect_is_not_healthy_unless_it_is_expected() {
    let blue = Origin::named("blue");
    let moved = "HTTP/1.1 302 Found\r\nLocation: /login?next=secret\r\nContent-Length: 0\r\n\r\n";
    let app = Origin::new(move |_| Reaction::Raw(moved.into()));
    let with = |expect: &str| {
        let health = format!("health = {{ path = \"/health\", {BRISK}{expect} }}");
        config(&blue.address.to_string(), &app.address.to_string(), &health)
    };
    let pointsman = Pointsman::start(&with(""));
    let why = "GET /health: status 302 to /login, expected 200-299";
    is_down_for(&pointsman, why);
    let told = |row: &serde_json::Value| row["text"].as_str().is_some_and(|text| text.contains(why));
    eventually("the history says why", || pointsman.history().iter().any(told));
    assert!(pointsman.cli(&["status", "web"]).out.contains(why), "status shows the last answer");
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("a rollout waits for it, and says why", || {
        let view = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
        view["phase"] == "preparing" && view["reason"].as_str().is_some_and(|reason| reason.contains(why))
    });
    reload(&pointsman, &with(", expect = [200, \"301-302\"]"));
    is_ready(&pointsman, "it is expected");
}

#[test]
fn a_header_is_sent_and_a_body_must_match() {
    let blue = Origin::named("blue");
    let is_started = Arc::new(AtomicBool::new(false));
    let started = is_started.clone();
    let app = Origin::new(move |request| match request.header("x-key") {
        Some("7") if started.load(Ordering::SeqCst) => Reaction::ok("ready\n"),
        Some("7") => Reaction::ok("starting"),
        _ => Reaction::Answer(401, "who?".into()),
    });
    let with = |keys: &str| {
        let health = format!("health = {{ path = \"/health\", {BRISK}, match = \"^ready$\"{keys} }}");
        config(&blue.address.to_string(), &app.address.to_string(), &health)
    };
    let pointsman = Pointsman::start(&with(""));
    is_down_for(&pointsman, "GET /health: status 401, expected 200-299");
    reload(&pointsman, &with(", headers = { X-Key = \"7\" }, host = \"app.example\""));
    is_down_for(&pointsman, "GET /health: the body does not match \"^ready$\"");
    assert_eq!(app.last().header("host"), Some("app.example"));
    is_started.store(true, Ordering::SeqCst);
    is_ready(&pointsman, "it says that it is ready");
}

#[test]
fn another_port_is_asked_in_its_own_protocol() {
    let authority = Authority::new();
    authority.write("app", &["127.0.0.1"]);
    let app = TlsOrigin::start(authority.server_config_for("app", None));
    let is_well = Arc::new(AtomicBool::new(true));
    let well = is_well.clone();
    let management = Origin::new(move |_| match well.load(Ordering::SeqCst) {
        true => Reaction::Raw(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        false => Reaction::Raw(b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\n".to_vec()),
    });
    let port = management.address.port();
    let with = |keys: &str| {
        let tls = format!("http2 = true\ntls = {{ ca = \"{}\" }}", authority.ca());
        let health =
            format!("health = {{ path = \"/ready\", method = \"HEAD\", {BRISK}, port = {port}{keys} }}");
        config("127.0.0.1:1", &app.address.to_string(), &format!("{tls}\n{health}"))
    };
    let pointsman = Pointsman::start(&with(", tls = false, http2 = false"));
    is_ready(&pointsman, "it is asked in the clear, by HTTP/1");
    eventually("it has been asked", || management.requests() > 0);
    let asked = management.last();
    assert_eq!(asked.line, "HEAD /ready HTTP/1.1");
    assert_eq!(asked.header("host"), Some(format!("127.0.0.1:{port}").as_str()));
    is_well.store(false, Ordering::SeqCst);
    is_down_for(&pointsman, &format!("HEAD /ready on port {port}: status 503, expected 200-299"));
    reload(&pointsman, &with(""));
    is_down_for(&pointsman, &format!("port {port}: TLS: "));
    assert!(app.asked().is_empty(), "the port of requests is not asked");
}

#[test]
fn a_grpc_server_says_whether_it_serves() {
    let blue = Origin::named("blue");
    let server = GrpcServer::start();
    let door = UnixDoor::to(server.address);
    for upstream in [server.address.to_string(), door.label()] {
        server.set("", Ok(1));
        server.set("shop.Cart", Ok(2));
        let with = |keys: &str| {
            let health = format!("http2 = true\nhealth = {{ type = \"grpc\", {BRISK}{keys} }}");
            config(&blue.address.to_string(), &upstream, &health)
        };
        let pointsman = Pointsman::start(&with(", headers = { X-Key = \"7\" }"));
        is_ready(&pointsman, "the server serves");
        eventually("it has been asked", || server.last_key().is_some());
        assert_eq!(server.last_key().as_deref(), Some("7"), "metadata");
        server.set("", Ok(2));
        is_down_for(&pointsman, "grpc: NOT_SERVING");
        server.set("", Err((12, "")));
        is_down_for(&pointsman, "grpc: the upstream has no health service (UNIMPLEMENTED)");
        reload(&pointsman, &with(", service = \"shop.Cart\""));
        is_down_for(&pointsman, "grpc: NOT_SERVING");
        server.set("shop.Cart", Ok(1));
        is_ready(&pointsman, "the service serves, whatever the server says");
        server.set("shop.Cart", Err((14, "draining")));
        is_down_for(&pointsman, "grpc: UNAVAILABLE: draining");
        reload(&pointsman, &with(", service = \"shop.Nobody\""));
        is_down_for(&pointsman, "knows no service \"shop.Nobody\" (NOT_FOUND)");
    }
}

#[test]
fn grpc_is_asked_where_the_pool_speaks_http_1() {
    let server = GrpcServer::start();
    server.set("", Ok(1));
    let app = Origin::named("app");
    let health = format!("health = {{ type = \"grpc\", {BRISK}, port = {} }}", server.address.port());
    let pointsman = Pointsman::start(&config("127.0.0.1:1", &app.address.to_string(), &health));
    is_ready(&pointsman, "it serves");
    let plain = format!("health = {{ type = \"grpc\", {BRISK} }}");
    reload(&pointsman, &config("127.0.0.1:1", &app.address.to_string(), &plain));
    eventually("a server that speaks no HTTP/2 does not", || {
        let (state, detail) = green(&pointsman);
        state == "down" && detail.starts_with("grpc: ")
    });
}

#[test]
fn a_connection_is_what_is_checked_where_nothing_is_said() {
    let up = Origin::named("up");
    let door = UnixDoor::to(up.address);
    let (_held, closed) = closed_port();
    let text = format!(
        "[services.web]\nstable = \"blue\"\n\
         [services.web.pools.blue]\nupstreams = [\"{}\", \"{closed}\"]\npassive = {{ max_fails = 0 }}\n\
         [services.web.pools.green]\nupstreams = [\"{}\"]\n",
        up.address,
        door.label()
    );
    let pointsman = Pointsman::start(&text);
    assert_eq!(get(pointsman.http(), "/").text(), "up", "nothing waits for a first check");
    let checks = pointsman.web()["checks"].to_string();
    assert!(!checks.contains("not checked yet"), "and nothing is held against it: {checks}");
    is_ready(&pointsman, "its socket takes connections");
    let blue = |index: usize| pointsman.web()["pools"]["blue"]["upstreams"][index].clone();
    eventually("the closed port is found without any request", || {
        let closed = blue(1);
        closed["state"] == "down" && closed["detail"].as_str().is_some_and(|why| why.starts_with("connect: "))
    });
    assert_eq!(blue(0)["state"], "ready");
    drop(door);
    is_down_for(&pointsman, "connect: ");
    let more = Origin::named("more");
    pointsman.configure(&text.replace(&format!("\"{closed}\""), &format!("\"{}\"", more.address)));
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    assert_eq!(blue(1)["state"], "ready", "what a reload brings waits for no check that nobody asked for");
    assert!(up.all().iter().all(|request| request.path() == "/"), "nothing is sent");
}

#[test]
fn a_check_can_be_switched_off_and_a_connection_check_ends_in_order() {
    let (checked, unchecked) = (TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
    let (checked, unchecked) = (checked.expect("a port"), unchecked.expect("a port"));
    let at = |listener: &TcpListener| listener.local_addr().expect("an address").to_string();
    let health = "health = { type = \"connect\", interval = \"50ms\" }";
    let text = config(&at(&checked), &at(&unchecked), "health = false")
        .replace("[services.web.pools.green]", &format!("{health}\n[services.web.pools.green]"));
    let _pointsman = Pointsman::start(&text);
    for _ in 0..3 {
        let (mut stream, _) = checked.accept().expect("a check");
        assert_eq!(stream.read(&mut [0; 16]).expect("no reset"), 0, "nothing is sent");
    }
    unchecked.set_nonblocking(true).expect("a socket");
    assert!(unchecked.accept().is_err(), "nobody has come");
}

#[test]
fn a_candidate_that_takes_no_connection_gets_no_traffic() {
    let blue = Origin::named("blue");
    let (_held, closed) = closed_port();
    let pointsman = Pointsman::start(&config(&blue.address.to_string(), &closed.to_string(), ""));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it waits, and says why", || {
        let view = pointsman.get(&format!("/v1/services/web/rollouts/{id}")).json();
        view["phase"] == "preparing" && view["reason"].as_str().is_some_and(|why| why.contains("connect: "))
    });
    assert_eq!(pointsman.weight("green"), 0.0);
}

#[test]
fn smoke_tests_send_headers_and_a_body() {
    let blue = Origin::named("blue");
    let app = Origin::new(|request| match request.header("x-key") {
        Some("7") if request.line.starts_with("POST /login ") => Reaction::ok("welcome"),
        _ if request.path() == "/home" => {
            Reaction::Raw(b"HTTP/1.1 303 X\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n".to_vec())
        }
        _ => Reaction::Answer(401, "who?".into()),
    });
    let login =
        r#"{ path = "/login", body = '{"user": "smoke"}', headers = { X-Key = "7" }, match = "welcome" }"#;
    let with = |more: &str| {
        config(&blue.address.to_string(), &app.address.to_string(), "")
            + &format!("[services.web.rollout]\nsmoke = [{login}{more}]\n")
    };
    let pointsman = Pointsman::start(&with(", { path = \"/home\" }"));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let view = pointsman.ended(&id);
    let why = "GET /home: status 303 to /login, expected 200-299";
    let told = view["reason"].as_str().unwrap_or_default();
    assert!(view["outcome"] == "aborted" && told.contains(why) && !told.contains("POST"), "{view}");
    let posted = app.all().into_iter().find(|request| request.path() == "/login").expect("asked");
    assert_eq!(posted.header("content-type"), Some("application/json"));
    assert_eq!(posted.body, br#"{"user": "smoke"}"#);
    pointsman.configure(&with(""));
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it gets traffic once its tests pass", || pointsman.weight("green") > 0.0);
}
