//! What clients do is never held against a version: the clock of slow stands still while the proxy waits
//! for them.

use super::n04_frozen::h2::{Client, Origin as Http2, Reaction as Answer2, runtime};
use crate::harness::{Connection, Origin, Pointsman, Reaction, eventually};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const UPLOADS: usize = 60;
/// Of each upload, and the pause before each.
const PIECES: usize = 40;
const PAUSE: Duration = Duration::from_millis(100);

/// All traffic goes to a candidate that may take 2.5 s.
fn config(blue: SocketAddr, green: SocketAddr, http2: bool, more: &str) -> String {
    format!(
        "[server]\nstate_dir = \"state\"\nthreads = 2\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [services.web]\nstable = \"blue\"\npolicy = \"default\"\nshield = false\n\
         [services.web.pools.blue]\nhttp2 = {http2}\nupstreams = [\"{blue}\"]\n\
         [services.web.pools.green]\nhttp2 = {http2}\nupstreams = [\"{green}\"]\n{more}\n\
         [services.web.rollout]\nsteps = [{{ weight = 100, hold = \"1h\" }}]\n\
         [policies.default]\nlatency_p95 = {{ critical = \"2500ms\" }}\nerror_rate = {{ critical = \"1%\" }}\n"
    )
}

fn all_to_green(pointsman: &Pointsman) -> String {
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("green has all", || pointsman.weight("green") == 100.0);
    id
}

/// One upload, a byte at a time; what came of it.
fn upload(address: SocketAddr, n: usize, head: &str, chunked: bool) -> u16 {
    let mut client = Connection::open(address);
    let mut head = format!("POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.{n}\r\n{head}");
    head += &if chunked {
        "Transfer-Encoding: chunked\r\n\r\n".into()
    } else {
        format!("Content-Length: {PIECES}\r\n\r\n")
    };
    let _ = client.write(head.as_bytes());
    for _ in 0..PIECES {
        std::thread::sleep(PAUSE);
        let _ = client.write(if chunked { b"1\r\nx\r\n" } else { b"x" });
    }
    if chunked {
        let _ = client.write(b"0\r\n\r\n");
    }
    client.answer(false).status
}

/// The rollout goes on, nobody failed, and the figures say how fast the candidate was.
fn is_unharmed(case: &str, pointsman: &Pointsman, id: &str, requests: usize) {
    eventually("all are counted", || {
        let counted = pointsman.web()["pools"]["green"]["window"]["requests"].as_u64();
        counted >= Some(requests as u64) || !pointsman.web()["rollout"]["outcome"].is_null()
    });
    let view = pointsman.call("GET", &format!("/v1/services/web/rollouts/{id}"), "").json();
    let window = pointsman.web()["pools"]["green"]["window"].clone();
    println!(
        "n06: {case}: outcome {}, reason {}, p95 {} ms, {} failures",
        view["outcome"], view["reason"], window["latency_ms"]["p95"], window["failures"]
    );
    assert!(view["outcome"].is_null(), "{view}");
    assert_eq!(pointsman.weight("green"), 100.0, "{view}");
    assert_eq!(window["failures"], 0, "{window}");
    let p95 = window["latency_ms"]["p95"].as_f64();
    assert!(p95.is_none_or(|p95| p95 < 2500.0), "{window}");
}

/// By Content-Length, chunked, and with the expectation of a 100.
fn slow_uploads(case: &str, pointsman: &Pointsman) {
    let id = all_to_green(pointsman);
    let address = pointsman.http();
    let client = |n: usize| {
        let head = if n % 3 == 2 { "Expect: 100-continue\r\n" } else { "" };
        std::thread::spawn(move || upload(address, n, head, n % 3 == 1))
    };
    let clients: Vec<_> = (0..UPLOADS).map(client).collect();
    let statuses: Vec<_> = clients.into_iter().map(|client| client.join().expect("a client")).collect();
    is_unharmed(case, pointsman, &id, UPLOADS);
    assert_eq!(statuses, [200; UPLOADS], "{case}");
}

#[test]
fn slow_uploads_do_not_abort_a_rollout() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = Pointsman::start(&config(blue.address, green.address, false, ""));
    slow_uploads("60 uploads", &pointsman);
}

#[test]
fn nor_do_they_on_http2_upstreams() {
    let (blue, green) = (
        Http2::new(|_| Answer2::Answer(200, "ok".into())),
        Http2::new(|_| Answer2::Answer(200, "ok".into())),
    );
    let pointsman = Pointsman::start(&config(blue.address, green.address, true, ""));
    slow_uploads("60 uploads to an HTTP/2 upstream", &pointsman);
}

#[test]
fn nor_do_those_of_http2_clients() {
    let origins = (Origin::named("blue"), Origin::named("green"));
    let (blue, green) = (
        Http2::new(|_| Answer2::Answer(200, "ok".into())),
        Http2::new(|_| Answer2::Answer(200, "ok".into())),
    );
    for (http2, blue, green) in
        [(false, origins.0.address, origins.1.address), (true, blue.address, green.address)]
    {
        let pointsman = Pointsman::start(&config(blue, green, http2, ""));
        let id = all_to_green(&pointsman);
        let runtime = runtime();
        let address = pointsman.http();
        let uploads: Vec<_> = (0..UPLOADS)
            .map(|_| {
                runtime.spawn(async move {
                    Client::open(address).await.send("POST", "/", &[(PAUSE, "x"); PIECES]).await.0
                })
            })
            .collect();
        let statuses: Vec<_> =
            uploads.into_iter().map(|one| runtime.block_on(one).expect("a client")).collect();
        is_unharmed(&format!("60 uploads of HTTP/2 clients, http2 = {http2}"), &pointsman, &id, UPLOADS);
        assert_eq!(statuses, [200; UPLOADS]);
    }
}

#[test]
fn clients_that_leave_within_their_upload_charge_nobody() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = Pointsman::start(&config(
        blue.address,
        green.address,
        false,
        "passive = { max_fails = 1, fail_timeout = \"60s\" }",
    ));
    let id = all_to_green(&pointsman);
    let address = pointsman.http();
    let clients: Vec<_> = (0..UPLOADS)
        .map(|n| {
            std::thread::spawn(move || {
                let mut client = Connection::open(address);
                let head = format!("POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.{n}\r\nContent-Length: 100\r\n\r\nx");
                let _ = client.write(head.as_bytes());
                std::thread::sleep(PAUSE * 30);
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("a client"));
    let runtime = runtime();
    let uploads: Vec<_> = (0..UPLOADS)
        .map(|_| {
            runtime.spawn(async move { Client::open(address).await.begin_and_leave("/", PAUSE * 30).await })
        })
        .collect();
    uploads.into_iter().for_each(|one| runtime.block_on(one).expect("a client"));
    eventually("all have left", || pointsman.web()["pools"]["green"]["upstreams"][0]["in_flight"] == 0);
    for _ in 0..200 {
        assert_eq!(Connection::open(address).get("/").status, 200);
    }
    is_unharmed("120 clients that left within their uploads", &pointsman, &id, 200);
}

#[test]
fn a_client_that_pauses_longer_than_the_answer_may_take_is_served() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let (blue2, green2) = (
        Http2::new(|_| Answer2::Answer(200, "ok".into())),
        Http2::new(|_| Answer2::Answer(200, "ok".into())),
    );
    for (http2, blue, green) in [(false, blue.address, green.address), (true, blue2.address, green2.address)]
    {
        let pointsman = Pointsman::start(&config(
            blue,
            green,
            http2,
            "timeouts = { connect = \"1s\", read = \"3s\", write = \"5s\" }",
        ));
        let id = all_to_green(&pointsman);
        let address = pointsman.http();
        let clients: Vec<_> = (0..20)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut client = Connection::open(address);
                    let _ = client.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nx");
                    std::thread::sleep(Duration::from_millis(4500));
                    client.send(b"xx").status
                })
            })
            .collect();
        let statuses: Vec<_> = clients.into_iter().map(|client| client.join().expect("a client")).collect();
        println!("n06: 20 uploads with a pause longer than `read`, http2 = {http2}: {statuses:?}");
        is_unharmed("pauses longer than `read`", &pointsman, &id, 20);
        assert_eq!(statuses, [200; 20]);
    }
}

#[test]
fn an_upload_that_the_upstream_closes_on_a_waiting_client_charges_nobody() {
    // As servers do that give a request so long to arrive.
    let blue = Origin::named("blue");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let green = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(3500));
                drop(stream);
            });
        }
    });
    let pointsman = Pointsman::start(&config(blue.address, green, false, ""));
    let id = all_to_green(&pointsman);
    let address = pointsman.http();
    let clients: Vec<_> = (0..20)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Connection::open(address);
                let _ = client.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\nx");
                client.answer(false).status
            })
        })
        .collect();
    let statuses: Vec<_> = clients.into_iter().map(|client| client.join().expect("a client")).collect();
    println!("n06: the upstream closed 20 uploads of silent clients: {statuses:?}");
    is_unharmed("uploads closed by the upstream", &pointsman, &id, 0);
}

#[test]
fn a_version_that_hangs_after_the_whole_upload_is_slow_all_the_same() {
    let (blue, green) = (Origin::named("blue"), Origin::new(|_| Reaction::Hang));
    let pointsman = Pointsman::start(&config(blue.address, green.address, false, ""));
    let id = all_to_green(&pointsman);
    let address = pointsman.http();
    let since = Instant::now();
    for n in 0..UPLOADS {
        // Not waited for.
        std::thread::spawn(move || upload(address, n, "", n % 2 == 0));
    }
    let view = pointsman.ended(&id);
    println!("n06: one that hangs after slow uploads: {} after {:?}", view["reason"], since.elapsed());
    assert_eq!(view["outcome"], "aborted", "{view}");
    assert!(since.elapsed() >= PAUSE * PIECES as u32, "not before it had a whole request");
}

#[test]
fn an_answer_that_a_client_does_not_take_breaks_at_nobodys_cost() {
    // As servers do that give an answer so long to be taken.
    let blue = Origin::named("blue");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let green = listener.local_addr().expect("an address");
    let gave_up = Arc::new(AtomicU64::new(0));
    let count = gave_up.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let count = count.clone();
            std::thread::spawn(move || {
                let _ = stream.set_write_timeout(Some(Duration::from_secs(2)));
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 64000000\r\n\r\n");
                if stream.write_all(&vec![b'x'; 64_000_000]).is_err() {
                    count.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let pointsman = Pointsman::start(&config(blue.address, green, false, "health = false"));
    let id = all_to_green(&pointsman);
    let mut clients: Vec<_> = (0..10).map(|_| Connection::open(pointsman.http())).collect();
    for client in &mut clients {
        client.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
    }
    eventually("all are answered", || pointsman.web()["pools"]["green"]["window"]["requests"] == 10);
    eventually("the upstream has given them up", || gave_up.load(Ordering::SeqCst) == 10);
    for mut client in clients {
        let mut taken = 0;
        let mut piece = vec![0; 1 << 20];
        while let Ok(count @ 1..) = client.reader.read(&mut piece) {
            taken += count;
        }
        assert!(taken < 64_000_000, "the upstream has given it up");
    }
    is_unharmed("10 answers that their clients did not take", &pointsman, &id, 10);
}
