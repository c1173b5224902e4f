//! Requests and answers on their way through: what is passed on, what is not, and what an upstream's
//! failure looks like from outside.

use super::harness::{Connection, Origin, Pointsman, Reaction, eventually, get, send};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::time::Duration;

/// A pool of these upstreams, with more keys.
fn config(upstreams: &[SocketAddr], keys: &str) -> String {
    let list: Vec<_> = upstreams.iter().map(|address| format!("\"{address}\"")).collect();
    format!("[services.web]\n[services.web.pools.blue]\nupstreams = [{}]\n{keys}\n", list.join(", "))
}

fn before(origin: &Origin) -> Pointsman {
    Pointsman::start(&config(&[origin.address], ""))
}

fn failures(pointsman: &Pointsman) -> u64 {
    let metrics = pointsman.get("/metrics").text();
    let lines = metrics.lines().filter(|line| line.starts_with("pointsman_attempt_failures_total"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[test]
fn headers_arrive_as_they_should_and_hop_by_hop_ones_do_not() {
    let origin = Origin::new(|_| {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=3\r\nX-Kept: yes\r\n\r\nok";
        Reaction::Raw(answer.as_bytes().to_vec())
    });
    let pointsman = before(&origin);
    let request = "GET /a%20b?c=d HTTP/1.1\r\nHost: shop.example\r\nConnection: x-mine\r\nX-Mine: 1\r\nTE: trailers\r\nX-Other: 2\r\n\r\n";
    let answer = send(pointsman.http(), request);
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.header("x-kept"), Some("yes"));
    for hop in ["x-hop", "keep-alive", "via", "server"] {
        assert_eq!(answer.header(hop), None, "{hop}");
    }
    let received = origin.last();
    assert_eq!(received.line, "GET /a%20b?c=d HTTP/1.1");
    assert_eq!(received.header("host"), Some("shop.example"));
    assert_eq!(received.header("x-other"), Some("2"));
    assert_eq!(received.header("x-mine"), None);
    assert_eq!(received.header("te"), None);
    assert!(received.header("x-request-id").is_some());
}

#[test]
fn bodies_stream_both_ways_without_waiting_for_their_end() {
    let origin = Origin::new(|_| Reaction::Echo);
    let pointsman = before(&origin);
    let mut connection = Connection::open(pointsman.http());
    connection.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").expect("written");
    assert_eq!(connection.head().expect("a head").status, 200);
    for piece in ["one", "two", "three"] {
        connection.write(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).expect("written");
        assert_eq!(connection.chunk().expect("a chunk"), piece.as_bytes(), "before the next one is sent");
    }
    connection.write(b"0\r\n\r\n").expect("written");
    assert!(connection.chunk().expect("the end").is_empty());
    // Whole both ways: the origin reads all of it, then answers as much.
    origin.react(|_| Reaction::ok(&"y".repeat(20_000_000)));
    let mut large = Connection::open(pointsman.http());
    let body = vec![b'z'; 20_000_000];
    let mut writer = large.reader.get_ref().try_clone().expect("a socket");
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let sending =
        std::thread::spawn(move || writer.write_all(head.as_bytes()).and_then(|()| writer.write_all(&body)));
    assert_eq!(large.answer(false).body.len(), 20_000_000);
    sending.join().expect("no panic").expect("written");
    assert_eq!(origin.last().body.len(), 20_000_000);
}

#[test]
fn answers_without_a_body_and_interim_ones_pass() {
    let origin = Origin::new(|request| match request.path() {
        "/204" => Reaction::Raw(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        "/304" => Reaction::Raw(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n".to_vec()),
        "/hints" => Reaction::Raw(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
                .to_vec(),
        ),
        "/close" => Reaction::RawThenClose(b"HTTP/1.1 200 OK\r\n\r\nuntil the end".to_vec()),
        _ => Reaction::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n".to_vec()),
    });
    let pointsman = before(&origin);
    let mut connection = Connection::open(pointsman.http());
    assert_eq!(connection.get("/204").status, 204);
    assert_eq!(connection.get("/304").status, 304);
    assert_eq!(connection.get("/hints").text(), "done");
    let head = connection.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, Some("4")));
    assert_eq!(connection.get("/close").text(), "until the end");
}

#[test]
fn websockets_pass_bytes_both_ways_and_may_be_silent() {
    let origin = Origin::new(|_| Reaction::Upgrade);
    let text = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntimeouts = { header = \"1s\", body = \"300ms\", keepalive = \"1s\" }\n";
    let pointsman = Pointsman::start(&(text.to_owned() + &config(&[origin.address], "")));
    let mut socket = Connection::open(pointsman.http());
    let request = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n";
    assert_eq!(socket.send(request).status, 101);
    let received = origin.last();
    assert_eq!(received.header("upgrade"), Some("websocket"));
    let mut ping = |bytes: &[u8]| {
        socket.write(bytes).expect("written");
        let mut back = vec![0; bytes.len()];
        socket.reader.read_exact(&mut back).expect("an echo");
        assert_eq!(back, bytes);
    };
    ping(b"first");
    // Silence beyond every timeout of the listener.
    let calm = std::time::Instant::now();
    eventually("a silent stretch has passed", || calm.elapsed() > Duration::from_millis(1500));
    ping(&[0, 1, 2, 255]);
    let web = pointsman.web();
    assert_eq!(web["pools"]["blue"]["window"]["failures"], 0, "{web}");
    drop(socket);
    eventually("nothing is in flight", || pointsman.web()["pools"]["blue"]["upstreams"][0]["in_flight"] == 0);
}

#[test]
fn the_connection_of_a_websocket_serves_no_other_request() {
    let origin = Origin::new(|request| match request.path() {
        "/ws" => Reaction::Upgrade,
        _ => Reaction::ok("plain"),
    });
    let pointsman = before(&origin);
    for _ in 0..5 {
        let mut socket = Connection::open(pointsman.http());
        let ask = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        assert_eq!(socket.send(ask).status, 101);
        drop(socket);
        let in_flight = || pointsman.web()["pools"]["blue"]["upstreams"][0]["in_flight"].clone();
        eventually("it is over", || in_flight() == 0);
        let answer = get(pointsman.http(), "/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "plain"));
    }
}

/// Either side may speak first once the protocol is switched, and while it is.
#[test]
fn who_speaks_first_on_a_websocket_is_heard() {
    const SWITCH: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a port");
    let pointsman =
        Pointsman::start(&config(&[upstream.local_addr().expect("an address")], "health = false"));
    // What the upstream sends with its 101 and the client with its request.
    for (greeting, early) in [(&b""[..], &b""[..]), (b"hello", b""), (b"", b"early"), (b"hello", b"early")] {
        let mut client = Connection::open(pointsman.http());
        client.write(&[ASK, early].concat()).expect("written");
        let mut stream = upstream.accept().expect("a connection").0;
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.extend(byte);
        }
        stream.write_all(&[SWITCH, greeting].concat()).expect("written");
        assert_eq!(client.head().expect("a head").status, 101);
        let heard = |from: &mut dyn Read, wanted: &[u8]| {
            let mut bytes = vec![0; wanted.len()];
            from.read_exact(&mut bytes).expect("bytes");
            assert_eq!(bytes, wanted);
        };
        heard(&mut client.reader, greeting);
        heard(&mut stream, early);
        // The client has said nothing since.
        stream.write_all(b"then this").expect("written");
        heard(&mut client.reader, b"then this");
        client.write(b"and that").expect("written");
        heard(&mut stream, b"and that");
    }
}

#[test]
fn a_failing_upstream_is_502_503_or_504_in_the_form_the_client_likes() {
    let origin = Origin::new(|request| match request.path() {
        "/hang" => Reaction::Hang,
        "/close" => Reaction::Close,
        "/noise" => Reaction::RawThenClose(b"no HTTP at all\r\n\r\n".to_vec()),
        "/own" => Reaction::Answer(500, "its own page".into()),
        _ => Reaction::ok("fine"),
    });
    let keys = "timeouts = { read = \"300ms\" }\npassive = { max_fails = 0 }";
    let pointsman = Pointsman::start(&config(&[origin.address], keys));
    let http = pointsman.http();
    assert_eq!(get(http, "/hang").status, 504);
    assert_eq!(get(http, "/close").status, 502);
    assert_eq!(get(http, "/noise").status, 502);
    let own = get(http, "/own");
    assert_eq!((own.status, own.text().as_str()), (500, "its own page"), "an answer is an answer");
    assert_eq!(failures(&pointsman), 4, "one each");
    let with =
        |accept: &str| send(http, &format!("GET /hang HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"));
    assert!(with("text/html").header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    let json = with("application/json");
    assert_eq!(json.header("content-type"), Some("application/problem+json"));
    assert_eq!(json.json()["status"], 504);
    assert!(with("*/*").header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let gone = Pointsman::start(&config(&["127.0.0.1:1".parse().expect("an address")], ""));
    assert_eq!(get(gone.http(), "/").status, 502);
}

#[test]
fn a_connect_that_hangs_is_given_up_in_time() {
    // A full backlog: the kernel drops further connection requests.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    full.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("bound");
    full.listen(0).expect("listens");
    let address = full.local_addr().expect("an address").as_socket().expect("IP");
    let _held: Vec<_> = (0..4)
        .filter_map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok())
        .collect();
    let pointsman = Pointsman::start(&config(&[address], "timeouts = { connect = \"200ms\" }\ntries = 1"));
    let since = std::time::Instant::now();
    let status = get(pointsman.http(), "/").status;
    assert!(matches!(status, 502 | 504), "{status}");
    assert!(since.elapsed() < Duration::from_secs(5), "the default of the kernel is minutes");
}

#[test]
fn an_upstream_that_takes_no_bytes_is_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let holding = std::thread::spawn(move || {
        // Accepted, and never read from, until the client has its answer.
        let (stream, _) = listener.accept().expect("a connection");
        let _ = is_done.recv();
        drop(stream);
    });
    let listener = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntimeouts = { body = \"1s\" }\n";
    let text =
        config(&[address], "timeouts = { write = \"300ms\", read = \"1s\" }\ntries = 1\nhealth = false");
    let pointsman = Pointsman::start(&(listener.to_owned() + &text));
    let mut client = Connection::open(pointsman.http());
    let length = 50_000_000;
    client
        .write(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n").as_bytes())
        .expect("written");
    let mut writer = client.reader.get_ref().try_clone().expect("a socket");
    let sending = std::thread::spawn(move || {
        let piece = [b'x'; 65536];
        while writer.write_all(&piece).is_ok() {}
    });
    let answer = client.answer(false);
    assert!(matches!(answer.status, 502 | 504), "{}", answer.status);
    eventually("it is the upstream's failure", || {
        pointsman.get("/v1/services/web").json()["pools"]["blue"]["window"]["failures"] == 1
    });
    drop(done);
    // What it goes on sending would be dropped for half a minute.
    client.reader.get_ref().shutdown(std::net::Shutdown::Both).expect("a socket");
    sending.join().expect("no panic");
    holding.join().expect("no panic");
}

#[test]
fn what_is_safe_is_tried_elsewhere_and_what_is_not_is_not() {
    let well = Origin::named("well");
    let closing = Origin::new(|_| Reaction::Close);
    let keys = "balance = \"round_robin\"\npassive = { max_fails = 0 }\ntries = 2";
    let pointsman = Pointsman::start(&config(&[closing.address, well.address], keys));
    for _ in 0..20 {
        assert_eq!(get(pointsman.http(), "/").text(), "well");
    }
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let statuses: Vec<_> = (0..20).map(|_| send(pointsman.http(), post).status).collect();
    assert!(statuses.contains(&502), "a POST that was sent is not repeated: {statuses:?}");
    assert!(failures(&pointsman) >= 20, "every attempt counts, hidden or not");
    // Refused connections saw nothing of the request: any method may go elsewhere.
    let refused: SocketAddr = "127.0.0.1:1".parse().expect("an address");
    let pointsman = Pointsman::start(&config(&[refused, well.address], keys));
    for _ in 0..10 {
        assert_eq!(send(pointsman.http(), post).text(), "well");
    }
    let once = keys.replace("tries = 2", "tries = 1");
    let pointsman = Pointsman::start(&config(&[refused, well.address], &once));
    let statuses: Vec<_> = (0..10).map(|_| get(pointsman.http(), "/").status).collect();
    assert!(statuses.contains(&502), "{statuses:?}");
}

#[test]
fn connections_to_upstreams_are_kept_for_their_time() {
    let origin = Origin::named("blue");
    let one = "[server]\nstate_dir = \"state\"\nthreads = 1\n";
    let pointsman = Pointsman::start(&(one.to_owned() + &config(&[origin.address], "keepalive = \"500ms\"")));
    let mut connection = Connection::open(pointsman.http());
    for _ in 0..50 {
        assert_eq!(connection.get("/").status, 200);
    }
    assert_eq!(origin.connections(), 1);
    let calm = std::time::Instant::now();
    eventually("the idle time has passed", || calm.elapsed() > Duration::from_millis(900));
    assert_eq!(connection.get("/").status, 200);
    assert_eq!(origin.connections(), 2, "the old one was closed");
}

#[test]
fn a_connection_to_an_upstream_carries_so_many_requests() {
    let origin = Origin::named("blue");
    let one = "[server]\nstate_dir = \"state\"\nthreads = 1\n";
    let keys = "requests_per_connection = 5";
    let pointsman = Pointsman::start(&(one.to_owned() + &config(&[origin.address], keys)));
    let mut connection = Connection::open(pointsman.http());
    for n in 1..=20 {
        assert_eq!(connection.get("/").status, 200);
        let last = origin.last().header("connection").is_some_and(|value| value == "close");
        assert_eq!(last, n % 5 == 0, "request {n}");
    }
    assert_eq!(origin.connections(), 4);
    assert_eq!(failures(&pointsman), 0);
}

#[test]
fn so_many_connections_to_an_upstream_are_kept() {
    let together = Arc::new(Barrier::new(12));
    let origin = Origin::new(move |request| {
        if request.path() == "/together" {
            together.wait();
        }
        Reaction::ok("blue")
    });
    let one = "[server]\nstate_dir = \"state\"\nthreads = 1\n";
    let keys = "keepalive_connections = 3\nkeepalive = \"60s\"";
    let pointsman = Pointsman::start(&(one.to_owned() + &config(&[origin.address], keys)));
    let rush = || {
        let client = |_| {
            let http = pointsman.http();
            std::thread::spawn(move || Connection::open(http).get("/together").status)
        };
        let clients: Vec<_> = (0..12).map(client).collect();
        assert!(clients.into_iter().all(|client| client.join().expect("no panic") == 200));
    };
    rush();
    assert_eq!(origin.connections(), 12, "all at the same time");
    rush();
    let all = origin.connections();
    assert!((12 + 9..24).contains(&all), "{all}: of twelve, no more than three were kept, and not none");
    let mut connection = Connection::open(pointsman.http());
    assert!((0..20).all(|_| connection.get("/").status == 200));
    assert_eq!(origin.connections(), all, "one at a time needs no more");
    assert_eq!(failures(&pointsman), 0);
}

#[test]
fn a_kept_connection_that_the_upstream_has_closed_is_nobodys_failure() {
    let origin =
        Origin::new(|_| Reaction::RawThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()));
    let pointsman = before(&origin);
    let mut connection = Connection::open(pointsman.http());
    for _ in 0..100 {
        assert_eq!(connection.get("/").status, 200);
    }
    assert_eq!(failures(&pointsman), 0);
}

#[test]
fn a_client_that_goes_away_is_not_the_upstreams_failure() {
    let origin = Origin::new(|request| match request.path() {
        "/slow" => Reaction::Late(Duration::from_millis(200), 200, "late".into()),
        _ => Reaction::ok("fine"),
    });
    let pointsman = before(&origin);
    for _ in 0..5 {
        let mut leaving = Connection::open(pointsman.http());
        leaving.write(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
        let seen = origin.requests();
        eventually("it is in flight", || {
            origin.requests() > seen || origin.all().last().is_some_and(|r| r.path() == "/slow")
        });
    }
    eventually("all have ended", || pointsman.web()["pools"]["blue"]["upstreams"][0]["in_flight"] == 0);
    assert_eq!(get(pointsman.http(), "/").status, 200);
    assert_eq!(failures(&pointsman), 0);
}

#[test]
fn ambiguous_requests_are_refused() {
    let origin = Origin::named("blue");
    let pointsman = before(&origin);
    for request in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "NONSENSE\r\n\r\n",
    ] {
        let answer = send(pointsman.http(), request);
        assert!(matches!(answer.status, 0 | 400..=499), "{request:?} was answered {}", answer.status);
    }
    assert_eq!(origin.requests(), 0);
    assert_eq!(get(pointsman.http(), "/").status, 200);
}

#[test]
fn an_unrequested_upgrade_is_a_bad_gateway() {
    let origin = Origin::new(|_| {
        Reaction::Raw(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET "
                .to_vec(),
        )
    });
    let pointsman = before(&origin);
    assert_eq!(get(pointsman.http(), "/").status, 502);
}

#[test]
fn routes_follow_host_and_path() {
    let origins: Vec<_> =
        ["default", "exact", "prefix", "regex", "host"].map(Origin::named).into_iter().collect();
    let mut text = String::new();
    for (keys, service) in [
        ("", "default"),
        ("path = \"= /x\"", "exact"),
        ("path = \"/x/\"", "prefix"),
        ("path = \"~ \\\\.php$\"", "regex"),
        ("hosts = [\"api.example\", \"*.api.example\"]", "host"),
    ] {
        text.push_str(&format!("[[routes]]\n{keys}\nservice = \"{service}\"\n"));
    }
    for (name, origin) in ["default", "exact", "prefix", "regex", "host"].iter().zip(&origins) {
        text.push_str(&format!(
            "[services.{name}]\n[services.{name}.pools.one]\nupstreams = [\"{}\"]\n",
            origin.address
        ));
    }
    let pointsman = Pointsman::start(&text);
    let ask = |host: &str, path: &str| {
        send(pointsman.http(), &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).text()
    };
    for (host, path, service) in [
        ("a.example", "/", "default"),
        ("a.example", "/x", "exact"),
        ("a.example", "/x/y", "prefix"),
        ("a.example", "/x/y.php", "regex"),
        ("api.example", "/x", "host"),
        ("V1.API.example:8080", "/", "host"),
    ] {
        assert_eq!(ask(host, path), service, "{host}{path}");
    }
    let lone = Pointsman::start(&format!(
        "[[routes]]\npath = \"/only\"\nservice = \"web\"\n{}",
        config(&[origins[0].address], "")
    ));
    assert_eq!(get(lone.http(), "/other").status, 404);
}

#[test]
fn pipelined_requests_are_all_answered_in_order() {
    let origin = Origin::new(|request| Reaction::ok(request.path()));
    let pointsman = before(&origin);
    let mut connection = Connection::open(pointsman.http());
    let requests: String = (0..5).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    connection.write(requests.as_bytes()).expect("written");
    for n in 0..5 {
        assert_eq!(connection.answer(false).text(), format!("/{n}"));
    }
    assert_eq!(connection.get("/last").text(), "/last");
}
