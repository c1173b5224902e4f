//! Listeners: protocols, certificates, and the limits that hostile clients meet.

use super::harness::{Connection, Origin, Pointsman, Reaction, eventually, get, send};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A listener with these keys before an origin.
pub fn config(origin: &Origin, listener: &str) -> String {
    format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n{listener}\n\
         [services.web]\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n",
        origin.address
    )
}

pub fn certificate(dir: &Path, name: &str) -> String {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
    let (cert, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    std::fs::write(&cert, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    format!("{{ cert = \"{}\", key = \"{}\" }}", cert.display(), key.display())
}

/// What curl prints.
pub fn curl(args: &[&str]) -> String {
    let output = Command::new("curl").args(["-sk", "--max-time", "20"]).args(args).output().expect("curl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn tls_speaks_both_versions_of_http_and_knows_names() {
    let dir = tempfile::tempdir().expect("a directory");
    let origin = Origin::new(|request| {
        Reaction::ok(&format!("{} {}", request.header("x-forwarded-proto").unwrap_or("none"), request.line))
    });
    let certificates =
        [certificate(dir.path(), "one.example"), certificate(dir.path(), "two.example")].join(", ");
    for (http2, version) in [("true", "2"), ("false", "1.1")] {
        let listener = format!("tls = {{ certificates = [{certificates}], http2 = {http2} }}");
        let pointsman = Pointsman::start(&config(&origin, &listener));
        let port = pointsman.http().port();
        for name in ["one.example", "two.example"] {
            let url = format!("https://{name}:{port}/x");
            let resolve = format!("{name}:{port}:127.0.0.1");
            let ca = dir.path().join(format!("{name}.pem")).display().to_string();
            // Verified by its own certificate: the right one for the name was sent.
            let output = Command::new("curl")
                .args(["-s", "--max-time", "20", "--cacert", &ca, "--resolve", &resolve])
                .args(["-w", " %{http_version}", &url])
                .output()
                .expect("curl");
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("https GET /x HTTP/1.1 {version}"));
        }
    }
}

#[test]
fn http2_carries_many_requests_at_once_and_large_bodies() {
    let dir = tempfile::tempdir().expect("a directory");
    let origin = Origin::new(|_| Reaction::Echo);
    let certificates = certificate(dir.path(), "one.example");
    let pointsman =
        Pointsman::start(&config(&origin, &format!("tls = {{ certificates = [{certificates}] }}")));
    let file = dir.path().join("large");
    std::fs::write(&file, vec![b'x'; 300_000]).expect("a file");
    let url = format!("https://127.0.0.1:{}/", pointsman.http().port());
    let upload = format!("@{}", file.display());
    let out = curl(&[
        "--http2",
        "--data-binary",
        &upload,
        "-o",
        "/dev/null",
        "-w",
        "%{size_download} %{http_version}",
        &url,
    ]);
    assert_eq!(out, "300000 2");
    let parallel =
        ["--http2", "--parallel", "--parallel-max", "50", "-o", "/dev/null", "-w", "%{http_code}\n"];
    let urls: Vec<String> = (0..100).map(|n| format!("{url}{n}")).collect();
    let mut args = parallel.to_vec();
    for url in &urls {
        args.extend(["-o", "/dev/null", url.as_str()]);
    }
    assert_eq!(curl(&args).lines().filter(|line| *line == "200").count(), 100);
}

#[test]
fn http2_without_tls_only_where_it_is_allowed() {
    let origin = Origin::named("blue");
    for (keys, expected) in [("h2c = true", "blue 2"), ("", "")] {
        let pointsman = Pointsman::start(&config(&origin, keys));
        let url = format!("http://{}/", pointsman.http());
        let out = curl(&["--http2-prior-knowledge", "-w", " %{http_version}", &url]);
        assert_eq!(out.trim_end_matches(" 0"), expected, "{keys:?}");
    }
}

#[test]
fn the_head_must_arrive_in_time_however_it_drips() {
    let origin = Origin::named("blue");
    let pointsman =
        Pointsman::start(&config(&origin, "timeouts = { header = \"400ms\", keepalive = \"30s\" }"));
    let mut dripping = Connection::open(pointsman.http());
    dripping.write(b"GET / HTTP/1.1\r\nHost: a\r\nX: ").expect("written");
    let mut stream = dripping.reader.get_ref().try_clone().expect("a socket");
    let answered = Arc::new(AtomicBool::new(false));
    let is_answered = answered.clone();
    let drip = std::thread::spawn(move || {
        // Until it has been answered; its rest would be dropped for half a minute.
        while !is_answered.load(Ordering::Relaxed) && stream.write_all(b"y").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    });
    assert_eq!(dripping.answer(false).status, 408);
    answered.store(true, Ordering::Relaxed);
    drip.join().expect("no panic");
    assert_eq!(origin.requests(), 0);
    let mut calm = Connection::open(pointsman.http());
    assert_eq!(calm.get("/").status, 200);
    assert_eq!(calm.get("/").status, 200, "the limit is for each head");
}

#[test]
fn a_silent_body_and_an_idle_connection_are_cut() {
    // It waits for the whole body: once it answers, nobody waits for the rest of it any more.
    let origin = Origin::named("abc");
    let listener = "timeouts = { body = \"300ms\", keepalive = \"300ms\" }";
    let pointsman = Pointsman::start(&config(&origin, listener));
    let mut silent = Connection::open(pointsman.http());
    let answer = silent.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    assert!(matches!(answer.status, 0 | 200 | 408), "{}", answer.status);
    assert!(silent.is_closed());
    let mut idle = Connection::open(pointsman.http());
    assert_eq!(idle.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").text(), "abc");
    assert!(idle.is_closed(), "after the keep-alive time");
}

#[test]
fn limits_are_answered_by_their_codes() {
    let origin = Origin::new(|_| Reaction::Echo);
    let listener =
        "limits = { header_size = \"2k\", headers = 20, body = \"1k\", requests_per_connection = 3 }";
    let pointsman = Pointsman::start(&config(&origin, listener));
    let http = pointsman.http();
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(3000));
    assert_eq!(send(http, &large).status, 431);
    let many: String = (0..30).map(|n| format!("X-{n}: y\r\n")).collect();
    assert_eq!(send(http, &format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")).status, 431);
    let post = |length: usize| {
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{}", "b".repeat(length))
    };
    assert_eq!(send(http, &post(1024)).body.len(), 1024);
    assert_eq!(origin.requests(), 1, "only what is within the limits went on");
    assert_eq!(send(http, &post(1025)).status, 413);
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n{}\r\n0\r\n\r\n",
        "c".repeat(2048)
    );
    let answer = send(http, &chunked);
    assert!(answer.status == 413 || answer.body.len() <= 1024, "{}", answer.status);
    let mut connection = Connection::open(http);
    for request in 1..=3 {
        let answer = connection.get("/");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("connection") == Some("close"), request == 3);
    }
    assert!(connection.is_closed());
}

#[test]
fn only_trusted_proxies_are_believed() {
    let origin = Origin::named("blue");
    let request = "GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n\
                   X-Forwarded-Host: evil.example\r\nX-Real-IP: 203.0.113.7\r\nX-Request-Id: abc-1\r\n\r\n";
    let header = |name: &str| origin.last().header(name).map(str::to_owned);
    let pointsman = Pointsman::start(&config(&origin, ""));
    assert_eq!(send(pointsman.http(), request).status, 200);
    assert_eq!(header("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(header("x-real-ip").as_deref(), Some("127.0.0.1"));
    assert_eq!(header("x-forwarded-proto").as_deref(), Some("http"));
    assert_eq!(header("x-forwarded-host").as_deref(), Some("shop.example"));
    assert!(header("x-request-id").is_some_and(|id| id != "abc-1" && id.len() >= 16));
    let pointsman = Pointsman::start(&config(&origin, "trusted_proxies = [\"127.0.0.0/8\"]"));
    assert_eq!(send(pointsman.http(), request).status, 200);
    assert_eq!(header("x-forwarded-for").as_deref(), Some("203.0.113.7, 127.0.0.1"));
    assert_eq!(header("x-real-ip").as_deref(), Some("203.0.113.7"));
    assert_eq!(header("x-forwarded-proto").as_deref(), Some("https"));
    assert_eq!(header("x-request-id").as_deref(), Some("abc-1"));
}

#[test]
fn as_many_workers_as_configured_and_all_of_them_serve() {
    let origin = Origin::named("blue");
    let text = format!("[server]\nstate_dir = \"elsewhere\"\nthreads = 3\n{}", config(&origin, ""));
    let pointsman = Pointsman::start(&text);
    let tasks = format!("/proc/{}/task", pointsman.pid());
    let workers = || {
        let names = std::fs::read_dir(&tasks)
            .expect("threads")
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.starts_with("worker-")).count()
    };
    // A thread has its name a moment after its start.
    eventually("three workers", || workers() == 3);
    assert!(pointsman.dir.path().join("elsewhere").is_dir(), "relative to the file");
    for _ in 0..30 {
        assert_eq!(get(pointsman.http(), "/").status, 200);
    }
}

#[test]
fn a_taken_address_is_an_error_at_the_start() {
    let (origin, taken) = (Origin::named("blue"), Origin::named("taken"));
    let dir = tempfile::tempdir().expect("a directory");
    let text = config(&origin, "").replace("127.0.0.1:0", &taken.address.to_string());
    std::fs::write(
        dir.path().join("p.toml"),
        format!("[server]\nstate_dir = \"s\"\n[[routes]]\nservice = \"web\"\n{text}"),
    )
    .expect("a file");
    let printed = super::harness::Printed::of(&["run", "--config", "p.toml"], dir.path());
    assert_eq!(printed.code, 1);
    assert!(printed.err.contains(&format!("cannot listen on {}", taken.address)), "{}", printed.err);
}

#[test]
fn the_access_log_is_json_or_combined_and_follows_a_rotation() {
    let origin = Origin::named("blue");
    let start = |format: &str| {
        let log = format!("[access_log]\npath = \"access.log\"\nformat = \"{format}\"\n");
        Pointsman::start(&(log + &config(&origin, "")))
    };
    let pointsman = start("json");
    let path = pointsman.dir.path().join("access.log");
    let lines = |path: &Path| -> Vec<String> {
        std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
    };
    assert_eq!(get(pointsman.http(), "/x?y=1").status, 200);
    eventually("a line is written", || lines(&path).len() == 1);
    let line: serde_json::Value = serde_json::from_str(&lines(&path)[0]).expect("JSON");
    assert_eq!(
        (line["status"].as_u64(), line["service"].as_str(), line["pool"].as_str()),
        (Some(200), Some("web"), Some("blue"))
    );
    assert_eq!(line["upstream"].as_str(), Some(origin.address.to_string().as_str()));
    assert_eq!((&line["outcome"], &line["group"]), (&"success".into(), &"GET /x".into()), "{line}");
    assert!(line["duration"].as_f64() >= line["upstream_header_time"].as_f64(), "{line}");
    let rotated = pointsman.dir.path().join("access.log.1");
    std::fs::rename(&path, &rotated).expect("renamed");
    pointsman.signal("USR1");
    eventually("the new file is used", || {
        get(pointsman.http(), "/again");
        !lines(&path).is_empty()
    });
    let pointsman = start("combined");
    let path = pointsman.dir.path().join("access.log");
    assert_eq!(get(pointsman.http(), "/x").status, 200);
    eventually("a line is written", || lines(&path).len() == 1);
    assert!(lines(&path)[0].starts_with("127.0.0.1 - - ["), "{}", lines(&path)[0]);
    let pointsman = Pointsman::start(&("[access_log]\npath = \"-\"\n".to_owned() + &config(&origin, "")));
    assert_eq!(get(pointsman.http(), "/x").status, 200);
    eventually("standard output has it", || lines(&pointsman.dir.path().join("stdout")).len() == 1);
}

#[test]
fn one_port_of_both_families_is_two_listeners() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = held.local_addr().expect("an address").port();
    drop(held);
    let pointsman = Pointsman::start(&format!(
        "[[listeners]]\naddress = \"0.0.0.0:{port}\"\n[[listeners]]\naddress = \"[::]:{port}\"\n\
         [[routes]]\nlisteners = [\"[::]:{port}\"]\nreply = {{ body = \"six\" }}\n[[routes]]\nreply = {{ body = \"four\" }}\n"
    ));
    let over = |host: &str| get(format!("{host}:{port}").parse().expect("an address"), "/").text();
    assert_eq!((over("127.0.0.1"), over("[::1]")), ("four".into(), "six".into()));
    assert_eq!(pointsman.listeners.len(), 2);
}

#[test]
fn a_port_alone_listens_on_all_interfaces_by_both_families() {
    let origin = Origin::named("blue");
    let config =
        format!("[[listeners]]\naddress = \":0\"\n[services.web]\nupstreams = [\"{}\"]\n", origin.address);
    let pointsman = Pointsman::start(&config);
    let ports: Vec<u16> = pointsman.listeners.iter().map(|listener| listener.port()).collect();
    assert!(pointsman.listeners.iter().all(|listener| listener.ip().is_unspecified()));
    assert_eq!(get(([127, 0, 0, 1], ports[0]).into(), "/").text(), "blue");
    let here = std::net::Ipv6Addr::LOCALHOST;
    if std::net::UdpSocket::bind((std::net::Ipv6Addr::UNSPECIFIED, 0)).is_err() {
        assert_eq!(ports.len(), 1);
        return println!("left out: this machine has no IPv6");
    }
    assert_eq!(get((here, ports[1]).into(), "/").text(), "blue");
    let view = pointsman.call("GET", "/v1/services/web", "").json();
    assert_eq!(
        (&view["stable"], view["pools"].as_object().map(|pools| pools.len())),
        (&"blue".into(), Some(1))
    );
}
