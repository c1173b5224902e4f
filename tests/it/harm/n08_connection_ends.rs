//! The normal end of a connection is nobody's fault: what the upstream did not process goes out again,
//! whatever its method, and what it may have processed is charged to nobody.

mod goaway;

use super::n04_frozen::h2::{Client, Origin as Http2, Reaction as Answer2, runtime};
use crate::harness::{Connection, Nginx, Pointsman, answer, eventually};
use goaway::GoAway;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Two equal servers of HTTP/2 in the clear, whose connections end after 20 requests.
fn nginx() -> Nginx {
    let held: Vec<_> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let addresses: Vec<_> = held.iter().map(|port| port.local_addr().expect("an address")).collect();
    drop(held);
    let server = |address: &SocketAddr| {
        format!(
            "server {{ listen {address} http2; keepalive_requests 20; location / {{ return 200 \"ok\"; }} }}\n"
        )
    };
    let servers: String = addresses.iter().map(server).collect();
    let dir = tempfile::tempdir().expect("a directory");
    let conf = format!(
        "worker_processes 1; events {{ worker_connections 4096; }}\nhttp {{ access_log off; {servers} }}\n"
    );
    std::fs::write(dir.path().join("nginx.conf"), conf).expect("a file");
    Nginx::serve(dir, addresses)
}

fn two_pools(blue: SocketAddr, green: SocketAddr) -> String {
    format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\nlimits = {{ requests_per_connection = 1000000 }}\n\
         [services.web]\nstable = \"blue\"\npolicy = \"default\"\nshield = false\n\
         [services.web.pools.blue]\nhttp2 = true\nhealth = false\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nhttp2 = true\nhealth = false\nupstreams = [\"{green}\"]\n\
         [services.web.rollout]\nsteps = [{{ weight = 50, hold = \"300ms\" }}, {{ weight = 100 }}]\nbake = \"300ms\"\n\
         min_attempts = 20\n\
         [policies.default]\nerror_rate = {{ warning = \"0.5%\", critical = \"1%\" }}\n"
    )
}

/// `status codes:` of h2load: answers by class, 2xx first.
fn h2load(address: SocketAddr, requests: u32, clients: u32, more: &[&str]) -> [u64; 4] {
    let output = Command::new("h2load")
        .args(["-n", &requests.to_string(), "-c", &clients.to_string()])
        .args(more)
        .arg(format!("http://{address}/"))
        .output()
        .expect("h2load is installed: make setup-test");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("n08: {}", text.lines().find(|line| line.starts_with("finished in")).unwrap_or_default());
    let line = text.lines().find_map(|line| line.strip_prefix("status codes: ")).unwrap_or_default();
    let mut numbers = line.split(", ").map(|part| part.split(' ').next().and_then(|n| n.parse().ok()));
    std::array::from_fn(|_| numbers.next().flatten().unwrap_or(0))
}

#[test]
fn goaway_of_an_http2_upstream_loses_no_request_and_blames_nobody() {
    let nginx = nginx();
    let pointsman = Pointsman::start(&two_pools(nginx.addresses[0], nginx.addresses[1]));
    let [good, _, _, bad] = h2load(pointsman.http(), 6_000, 50, &["--h1"]);
    println!("n08: 6,000 requests of 50 HTTP/1 clients, keepalive_requests 20: {good} x 2xx, {bad} x 5xx");
    let [good2, _, _, bad2] = h2load(pointsman.http(), 1_500, 5, &["-m", "10"]);
    println!("n08: 1,500 requests of 50 HTTP/2 streams, keepalive_requests 20: {good2} x 2xx, {bad2} x 5xx");
    let failures = pointsman.web()["pools"]["blue"]["window"]["failures"].as_u64();
    println!("n08: charged to the pool: {failures:?}");
    assert_eq!((good, bad, good2, bad2, failures), (6_000, 0, 1_500, 0, Some(0)));
}

#[test]
fn a_rollout_between_two_equal_pools_that_end_their_connections_is_promoted() {
    let nginx = nginx();
    let pointsman = Pointsman::start(&two_pools(nginx.addresses[0], nginx.addresses[1]));
    let address = pointsman.http();
    let ended = Arc::new(AtomicBool::new(false));
    let has_ended = ended.clone();
    let load = std::thread::spawn(move || {
        let mut bad = 0;
        while !has_ended.load(Ordering::SeqCst) {
            bad += h2load(address, 500, 50, &["--h1"])[3];
        }
        bad
    });
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let view = pointsman.ended(&id);
    ended.store(true, Ordering::SeqCst);
    println!("n08: two equal pools with keepalive_requests 20: {} {}", view["outcome"], view["reason"]);
    assert_eq!(view["outcome"], "promoted", "{view}");
    assert_eq!(load.join().expect("a load"), 0);
}

#[test]
fn a_post_above_the_last_stream_goes_out_again_with_its_body() {
    let origin = GoAway::start(&[3, 0]);
    let pointsman = Pointsman::start(&two_pools(origin.address, origin.address));
    runtime().block_on(async {
        let client = Client::open(pointsman.http()).await;
        for n in 0..8 {
            let (status, _) =
                client.send("POST", &format!("/{n}"), &[(std::time::Duration::ZERO, "body")]).await;
            assert_eq!(status, 200, "request {n}");
        }
    });
    println!("n08: {} connections ended by GOAWAY", origin.ended());
    assert!(origin.ended() > 0);
    let window = || pointsman.web()["pools"]["blue"]["window"].clone();
    eventually("all are counted, each once", || window()["requests"] == 8);
    assert_eq!(window()["failures"], 0, "{}", window());
}

#[test]
fn refused_streams_go_out_again_whatever_the_method_but_not_for_ever() {
    let asked = AtomicU64::new(0);
    let origin = Http2::new(move |head| match head.uri.path() {
        "/never" => Answer2::Refuse,
        _ if asked.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) => Answer2::Refuse,
        _ => Answer2::Answer(200, "ok".into()),
    });
    let pointsman = Pointsman::start(&two_pools(origin.address, origin.address));
    let mut client = Connection::open(pointsman.http());
    for _ in 0..5 {
        let answer = client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
        assert_eq!((answer.status, answer.text()), (200, "ok".into()));
    }
    let failures = || pointsman.web()["pools"]["blue"]["window"]["failures"].as_u64();
    assert_eq!(failures(), Some(0));
    let before = origin.requests();
    assert_eq!(client.get("/never").status, 502);
    let tries = origin.requests() - before;
    println!("n08: an upstream that refuses every stream was asked {tries} times");
    assert!((2..=8).contains(&tries), "{tries}");
    eventually("one that refuses everything is charged", || failures() == Some(1));
}

/// An upstream that closes each connection when its second request has come, without an answer.
fn closing() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let count = Arc::new(AtomicU64::new(0));
    let requests = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let requests = requests.clone();
            std::thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                for turn in 0..2 {
                    let mut line = String::new();
                    while stream.read_line(&mut line).is_ok_and(|count| count > 2) {
                        line.clear();
                    }
                    if line.is_empty() {
                        return;
                    }
                    requests.fetch_add(1, Ordering::SeqCst);
                    if turn == 0 {
                        let _ = stream.get_mut().write_all(&answer(200, "ok"));
                    }
                }
            });
        }
    });
    (address, count)
}

#[test]
fn a_kept_connection_that_closes_under_a_request_is_charged_to_nobody() {
    let (address, requests) = closing();
    let text = format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\n[services.web]\n[services.web.pools.blue]\nupstreams = [\"{address}\"]\n\
         passive = {{ max_fails = 1, fail_timeout = \"60s\" }}\n"
    );
    let pointsman = Pointsman::start(&text);
    let mut client = Connection::open(pointsman.http());
    for n in 0..20 {
        // The second of a connection is closed without an answer, and asked again on a fresh one.
        assert_eq!(client.get("/").status, 200, "request {n}");
    }
    let window = || pointsman.web()["pools"]["blue"]["window"].clone();
    eventually("all are counted", || window()["requests"] == 20);
    assert_eq!(window()["failures"], 0, "{}", window());
    assert_eq!(requests.load(Ordering::SeqCst), 30);
    // What may have been carried out and must not be repeated is not; a version that closes on what it
    // dislikes looks the same, so it is charged.
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(client.send(post.as_bytes()).status, 200, "on a fresh connection");
    assert_eq!(Connection::open(pointsman.http()).send(post.as_bytes()).status, 502);
    assert_eq!(requests.load(Ordering::SeqCst), 32, "it was sent once");
    eventually("it is charged", || window()["failures"] == 1);
}
