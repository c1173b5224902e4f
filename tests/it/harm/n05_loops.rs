//! Pools that lead back to the proxy itself.
//!
//! What can be seen is refused: by `check`, by a reload and by `upstreams set`. What cannot be seen, since others stand
//! between, ends by the mark that every request carries.

use super::super::harness::{Connection, Origin, Pointsman, Printed, Reaction, eventually, get, send, whole};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tempfile::TempDir;

/// Hops that a request may make before a proxy that meets its own mark refuses it.
const HOPS: u64 = 10;
/// Descriptors of a process under test, so that a loop that does not end stays small.
const FEW: &str = "--nofile=400:400";
/// Connections that a relay passes on, for the same reason.
const MOST: u64 = 150;

/// A port that nobody listens on at the moment.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}

fn config(listener: &str, admin: &str, upstream: &str) -> String {
    format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\n[admin]\nlisten = \"{admin}\"\n{ADMIN_TOKEN}\
         [[listeners]]\naddress = \"{listener}\"\n[[routes]]\nservice = \"web\"\n\
         [services.web.pools.blue]\nupstreams = [\"{upstream}\"]\n"
    )
}

const ADMIN_TOKEN: &str = "tokens = [{ name = \"a\", role = \"admin\", \
    sha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\" }]\n";

fn checked(text: &str) -> Printed {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("pointsman.toml"), text).expect("a file");
    Printed::of(&["check", "--config", "pointsman.toml"], dir.path())
}

#[test]
fn check_refuses_a_pool_of_our_own_listener_or_admin_address() {
    let (here, admin) = ("127.0.0.1:8080", "127.0.0.1:9900");
    let cases = [
        (here, admin, "127.0.0.1:8080"),
        ("0.0.0.0:8080", admin, "127.0.0.1:8080"),
        ("0.0.0.0:8080", admin, "127.9.9.9:8080"),
        ("0.0.0.0:8080", admin, "0.0.0.0:8080"),
        (here, admin, "0.0.0.0:8080"),
        (here, admin, "[::ffff:127.0.0.1]:8080"),
        (here, admin, "localhost:8080"),
        ("0.0.0.0:8080", admin, "localhost:8080"),
        ("[::]:8080", admin, "[::1]:8080"),
        (here, admin, "127.0.0.1:9900"),
        (here, admin, "localhost:9900"),
        (here, "0.0.0.0:9900", "127.0.0.1:9900"),
        (here, "[::]:9900", "127.0.0.1:9900"),
    ];
    let accepted: Vec<_> = cases
        .iter()
        .filter(|(listener, admin, upstream)| checked(&config(listener, admin, upstream)).code == 0)
        .collect();
    println!("{} of {} pools of the proxy itself are accepted", accepted.len(), cases.len());
    assert!(accepted.is_empty(), "{accepted:?}");
    let told = checked(&config("0.0.0.0:8080", admin, "localhost:8080"));
    let place = "pointsman.toml:12:14: services.web.pools.blue.upstreams[0]:";
    for word in [place, "localhost:8080", "the listener 0.0.0.0:8080", "would never end"] {
        assert!(told.err.contains(word), "{word} in {}", told.err);
    }
}

#[test]
fn check_takes_neighbours_of_our_own_addresses() {
    let (here, admin) = ("127.0.0.1:8080", "127.0.0.1:9900");
    for (listener, upstream) in [
        (here, "127.0.0.1:8081"),
        (here, "127.0.0.2:8080"),
        ("0.0.0.0:8080", "192.0.2.7:8080"),
        ("[::]:8080", "127.0.0.1:8080"),
        ("[::1]:8080", "127.0.0.1:8080"),
        ("0.0.0.0:8080", "nowhere.invalid:8080"),
        ("127.0.0.1:0", "127.0.0.1:80"),
    ] {
        let told = checked(&config(listener, admin, upstream));
        assert_eq!(told.code, 0, "{listener} and {upstream}: {}", told.err);
    }
}

#[test]
fn upstreams_set_and_reload_refuse_our_own_addresses() {
    let origin = Origin::named("blue");
    let port = free_port();
    let text = |upstream: &str| {
        whole(&format!(
            "[[listeners]]\naddress = \"127.0.0.1:{port}\"\n[services.web]\nstable = \"blue\"\n\
             [services.web.pools.blue]\nupstreams = [\"{}\"]\n\
             [services.web.pools.green]\nupstreams = [\"{upstream}\"]\n",
            origin.address
        ))
    };
    let pointsman = Pointsman::start(&text(&origin.address.to_string()));
    let (own, admin) = (format!("127.0.0.1:{port}"), pointsman.admin.to_string());
    let named = format!("localhost:{port}");
    let mut accepted = Vec::new();
    for address in [&own, &named, &admin] {
        let set = pointsman.cli(&["upstreams", "set", "web", "green", address]);
        if set.code == 0 {
            accepted.push(address.clone());
        } else {
            assert!(set.err.contains("this proxy"), "{}", set.err);
        }
        pointsman.configure(&text(address));
        let reload = pointsman.cli(&["reload"]);
        if reload.code == 0 {
            accepted.push(format!("{address} by reload"));
        }
    }
    println!("accepted of 6: {accepted:?}");
    assert!(accepted.is_empty());
    let shown = &pointsman.web()["pools"]["green"]["upstreams"];
    assert_eq!(shown[0]["address"], origin.address.to_string(), "nothing has changed");
}

#[test]
fn a_pool_that_was_registered_before_the_listener_came_there_is_not_used() {
    let (origin, port) = (Origin::named("blue"), free_port());
    let text = |listener: &str| {
        whole(&format!(
            "[[listeners]]\naddress = \"{listener}\"\n[services.web]\nstable = \"blue\"\n\
             [services.web.pools.blue]\nupstreams = [\"{0}\"]\n\
             [services.web.pools.green]\nupstreams = [\"{0}\"]\n",
            origin.address
        ))
    };
    let pointsman = Pointsman::start(&text("127.0.0.1:0"));
    let own = format!("127.0.0.1:{port}");
    assert_eq!(pointsman.cli(&["upstreams", "set", "web", "green", &own]).code, 0);
    pointsman.configure(&text(&own));
    let pointsman = pointsman.kill_and_restart();
    assert_eq!(pointsman.listeners[0].port(), port);
    eventually("it is down and says why", || {
        let upstream = pointsman.web()["pools"]["green"]["upstreams"][0].clone();
        let why = upstream["detail"].as_str().unwrap_or_default().to_owned();
        upstream["state"] == "down" && why.contains("this proxy itself listens")
    });
    assert_eq!(get(pointsman.http(), "/").text(), "blue");
}

/// Passes connections on to an address that is set later, as a balancer between would.
struct Relay {
    address: SocketAddr,
    to: Arc<AtomicUsize>,
    connections: Arc<AtomicU64>,
}

impl Relay {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (to, connections) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(0)));
        let relay = Relay { address, to: to.clone(), connections: connections.clone() };
        std::thread::spawn(move || {
            for from in listener.incoming().map_while(Result::ok) {
                let port = to.load(Ordering::SeqCst) as u16;
                if connections.fetch_add(1, Ordering::SeqCst) >= MOST || port == 0 {
                    continue;
                }
                let Ok(onward) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                let (Ok(back), Ok(forth)) = (onward.try_clone(), from.try_clone()) else { continue };
                std::thread::spawn(move || pass(from, onward));
                std::thread::spawn(move || pass(back, forth));
            }
        });
        relay
    }

    fn lead_to(&self, address: SocketAddr) {
        self.to.store(usize::from(address.port()), Ordering::SeqCst);
    }

    fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// Started with few descriptors.
fn limited(text: &str) -> Pointsman {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("pointsman.toml"), whole(text)).expect("a file");
    let mut command = Command::new("prlimit");
    command.arg(FEW).arg(env!("CARGO_BIN_EXE_pointsman"));
    Pointsman::start_by(&mut command, dir)
}

#[test]
fn a_loop_through_others_ends_within_ten_hops() {
    let relay = Relay::start();
    let pool = format!("[services.web.pools.blue]\nhealth = false\nupstreams = [\"{}\"]\n", relay.address);
    let pointsman = limited(&pool);
    relay.lead_to(pointsman.http());
    let answer = get(pointsman.http(), "/");
    let plain = relay.connections();
    println!("one GET in a loop: {} after {plain} connections", answer.status);
    assert_eq!(answer.status, 508, "{}", answer.text());
    assert!(plain <= HOPS, "{plain} connections");
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(send(pointsman.http(), upgrade).status, 508, "a WebSocket, too");
    assert!(relay.connections() <= 3 * HOPS, "{}", relay.connections());
    let told = || pointsman.get("/metrics").text();
    eventually("it is counted", || told().contains("pointsman_own_limit_total{limit=\"hops\"} 2"));
    eventually("it is told", || pointsman.log().contains("came back to this proxy"));
}

#[test]
fn a_loop_over_http2_ends_within_ten_hops() {
    let relay = Relay::start();
    let text = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n\
         [services.web.pools.blue]\nhttp2 = true\nhealth = false\nupstreams = [\"{}\"]\n",
        relay.address
    );
    let pointsman = limited(&text);
    relay.lead_to(pointsman.http());
    let url = format!("http://{}/", pointsman.http());
    let arguments =
        ["-s", "--max-time", "20", "--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_code}"];
    let output = Command::new("curl").args(arguments).arg(url).output().expect("curl is installed");
    let status = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("one GET in a loop of HTTP/2: {status} after {} connections", relay.connections());
    assert_eq!(status, "508");
    assert!(relay.connections() <= HOPS, "{}", relay.connections());
}

#[test]
fn health_checks_and_mirrored_requests_do_not_loop_on() {
    let (relay, stable) = (Relay::start(), Origin::named("stable"));
    let text = format!(
        "[services.web]\nstable = \"blue\"\n\
         rollout = {{ steps = [{{ mirror = 100, hold = \"1h\" }}, {{ weight = 100 }}] }}\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{}\"]\n\
         health = {{ path = \"/health\", interval = \"200ms\", timeout = \"5s\" }}\n",
        stable.address, relay.address
    );
    let pointsman = limited(&text);
    relay.lead_to(pointsman.http());
    // Its checks lead to stable by way of the proxy, which is no loop, and so do copies.
    eventually("it is up", || pointsman.web()["pools"]["green"]["upstreams"][0]["state"] == "ready");
    pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it mirrors", || !pointsman.web()["rollout"]["mirror"].is_null());
    let before = stable.requests();
    let mut client = Connection::open(pointsman.http());
    for _ in 0..20 {
        assert_eq!(client.get("/mirrored").text(), "stable");
    }
    let mirrored = || stable.all().iter().filter(|request| request.path() == "/mirrored").count();
    eventually("originals and copies came", || mirrored() >= 40);
    println!("20 requests and their copies: {} requests at stable", stable.requests() - before);
    assert_eq!(mirrored(), 40, "a copy is not copied again");
    let marks =
        stable.all().iter().filter(|r| r.path() == "/mirrored").fold(Vec::new(), |mut all, request| {
            all.push(request.header("x-pointsman-hops").map_or(0, |mark| mark.split(',').count()));
            all
        });
    let (one, two) = (marks.iter().filter(|n| **n == 1).count(), marks.iter().filter(|n| **n == 2).count());
    assert_eq!((one, two), (20, 20), "{marks:?}");
}

#[test]
fn nine_in_a_row_work() {
    let origin = Origin::new(|request| {
        let mark = request.header("x-pointsman-hops").unwrap_or_default();
        Reaction::ok(&mark.split(',').filter(|hop| !hop.trim().is_empty()).count().to_string())
    });
    let mut row: Vec<Pointsman> = Vec::new();
    for _ in 0..9 {
        let next = row.last().map_or(origin.address, Pointsman::http);
        let server = "[server]\nstate_dir = \"state\"\nthreads = 1\n";
        row.push(Pointsman::start(&format!("{server}[services.web.pools.blue]\nupstreams = [\"{next}\"]\n")));
    }
    let last = row.last().expect("nine");
    let answer = get(last.http(), "/");
    assert_eq!((answer.status, answer.text().as_str()), (200, "9"));
    assert!(
        answer.headers.iter().all(|(name, _)| !name.contains("hops") && name != "via"),
        "{:?}",
        answer.headers
    );
}

#[test]
fn a_mark_that_a_client_sends_hurts_nobody() {
    let origin = Origin::new(|request| Reaction::ok(request.header("x-pointsman-hops").unwrap_or("none")));
    let second =
        Pointsman::start(&format!("[services.web.pools.blue]\nupstreams = [\"{}\"]\n", origin.address));
    let first =
        Pointsman::start(&format!("[services.web.pools.blue]\nupstreams = [\"{}\"]\n", second.http()));
    let own = get(first.http(), "/").text();
    assert_eq!(own.split(',').count(), 2, "{own}");
    let long = ["x"; 500].join(", ");
    for mark in
        ["9", "10", "4294967296", "-1", "a, b, c, d, e, f, g, h, i, j, k", &long, "\u{e9}", ",,,,,,,,,,,,"]
    {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Pointsman-Hops: {mark}\r\n\r\n");
        let answer = send(first.http(), &request);
        assert_eq!(answer.status, 200, "{mark:.40}: {}", answer.text());
        let sent = answer.text();
        assert!(sent.len() < 400 && sent.ends_with(&own), "{mark:.40} became {sent}");
    }
    // Many lines are one list.
    let lines = "X-Pointsman-Hops: a, b\r\n".repeat(20);
    assert_eq!(send(first.http(), &format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")).status, 200);
    let web = first.web();
    assert_eq!(web["pools"]["blue"]["window"]["failures"], 0, "and no pool is charged");
}
