//! 11: where a body ends is said once. An HTTP/2 body that an empty DATA frame ended reached an HTTP/1 upstream
//! with two last chunks; the second one was read as the next request, and everybody's answers behind it were
//! another's.

mod h2_origin;
mod shapes;

use crate::harness::{Connection, Pointsman, eventually};
use crate::hostile::h2::{DATA, END_HEADERS, H2, HEADERS, RST_STREAM, request};
use crate::hostile::recorder::{Forwarded, Recorder};
use h2_origin::H2Origin;
use shapes::Client;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One worker, so that all requests share the upstream's connection.
fn before(pool: &str) -> Pointsman {
    Pointsman::start(&format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\n[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n\
         [services.web]\n[services.web.pools.blue]\npassive = {{ max_fails = 0 }}\n{pool}\n"
    ))
}

fn upstreams(addresses: &[SocketAddr]) -> String {
    let list: Vec<String> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
    format!("upstreams = [{}]", list.join(", "))
}

/// Says what it was asked, so that an answer to another request is seen.
fn told(request: &Forwarded) -> Option<Vec<u8>> {
    let mut words = request.line.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let body = format!("{method} {path} {}", request.body.len());
    Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

/// Two upstreams with one count: the first attempt of each request fails after its body, the next is answered.
fn failing_every_second() -> [Recorder; 2] {
    let asked = Arc::new(AtomicUsize::new(0));
    [(), ()].map(|()| {
        let asked = asked.clone();
        Recorder::reacting(move |request| {
            told(request).filter(|_| !asked.fetch_add(1, Ordering::SeqCst).is_multiple_of(2))
        })
    })
}

/// What one protocol of clients met before one of upstreams: shapes that went wrong, and how.
fn faults(
    what: &str,
    pointsman: &Pointsman,
    connect: impl Fn(SocketAddr) -> Client,
    taken: &dyn Fn() -> Vec<(String, Vec<u8>)>,
) -> Vec<String> {
    let mut faults = Vec::new();
    let mut client = connect(pointsman.http());
    for (index, shape) in shapes::all().iter().enumerate() {
        // A length that the protocol itself makes true is no case of HTTP/1.
        if matches!(client, Client::Http1(_)) && !shape.is_sound() {
            continue;
        }
        let path = format!("/body-{index}");
        let answered = client.send(&path, shape);
        let mut wrong = Vec::new();
        if shape.is_sound() {
            let expected = (200, format!("PUT {path} {}", shape.body().len()));
            if answered != expected {
                wrong.push(format!("answered {answered:?}"));
            }
        }
        // Others, who share the connection to the upstream.
        for next in 0..3 {
            let path = format!("/next-{index}-{next}");
            let mut other = connect(pointsman.http());
            let answered = other.get(&path);
            if answered != (200, format!("GET {path} 0")) {
                wrong.push(format!("the next one was answered {answered:?}"));
            }
        }
        let bodies: Vec<_> = taken().into_iter().filter(|(line, _)| line.contains("/body")).collect();
        let arrived: Vec<_> = bodies.iter().map(|(_, body)| body.clone()).collect();
        let expected = if shape.is_sound() { vec![shape.body()] } else { Vec::new() };
        if arrived != expected {
            wrong.push(format!("{} arrived", arrived.len()));
        }
        if !wrong.is_empty() {
            faults.push(format!("{what}, {}: {}", shape.name, wrong.join("; ")));
        }
        if !shape.is_sound() || answered.0 != 200 {
            client = connect(pointsman.http());
        }
    }
    faults
}

#[test]
fn bodies_of_every_shape_arrive_once_from_both_protocols_to_both() {
    let recorder = Recorder::reacting(told);
    let plain = before(&upstreams(&[recorder.address]));
    let lines = std::cell::RefCell::new(Vec::new());
    let taken = || {
        let log = recorder.take();
        lines.borrow_mut().extend(log.faults);
        log.whole.into_iter().map(|request| (request.line, request.body)).collect()
    };
    let mut all = faults("HTTP/1 to HTTP/1", &plain, Client::http1, &taken);
    all.extend(faults("HTTP/2 to HTTP/1", &plain, Client::http2, &taken));
    let origin = H2Origin::start();
    let second = before(&format!("http2 = true\n{}", upstreams(&[origin.address])));
    let taken = || {
        let line = |one: h2_origin::Taken| (format!("{} {}", one.method, one.path), one.body);
        origin.take().into_iter().map(line).collect()
    };
    all.extend(faults("HTTP/1 to HTTP/2", &second, Client::http1, &taken));
    all.extend(faults("HTTP/2 to HTTP/2", &second, Client::http2, &taken));
    let lines = lines.into_inner();
    println!(
        "bodies: {} of {} ways with a fault; {} times an upstream read something that was no request",
        all.len(),
        4 * shapes::all().len() - 6,
        lines.len()
    );
    assert!(all.is_empty() && lines.is_empty(), "{}\n{}", all.join("\n"), lines.join("\n"));
}

#[test]
fn bodies_that_are_sent_again_arrive_whole_and_once() {
    let [one, other] = failing_every_second();
    let pool = format!("tries = 2\n{}", upstreams(&[one.address, other.address]));
    let pointsman = before(&pool);
    let mut faults = Vec::new();
    for connect in [Client::http1, Client::http2] {
        for (index, shape) in shapes::all().iter().filter(|shape| shape.is_sound()).enumerate() {
            let path = format!("/body-{index}");
            let mut client = connect(pointsman.http());
            let answered = client.send(&path, shape);
            if answered != (200, format!("PUT {path} {}", shape.body().len())) {
                faults.push(format!("{}: answered {answered:?}", shape.name));
            }
            // Where a kept connection had closed, both go to the same one.
            let (mut log, second) = (one.take(), other.take());
            log.whole.extend(second.whole);
            log.faults.extend(second.faults);
            let whole = log.whole.iter().filter(|request| request.body == shape.body()).count();
            if whole != 2 || log.whole.len() != 2 || !log.faults.is_empty() {
                faults.push(format!("{}: {} arrived, {:?}", shape.name, log.whole.len(), log.faults));
            }
        }
    }
    println!("bodies sent again: {} with a fault", faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_large_body_that_is_sent_again_is_not_taken_for_a_larger_one() {
    let [first, second] = failing_every_second().map(|recorder| (recorder.address, recorder));
    let pointsman = Pointsman::start(&format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\nlimits = {{ body = \"70k\" }}\n\
         [services.web]\n[services.web.pools.blue]\ntries = 2\nupstreams = [\"{}\", \"{}\"]\n",
        first.0, second.0
    ));
    let body = "x".repeat(60_000);
    let request = format!("PUT /body HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let answer = crate::harness::send(pointsman.http(), &request);
    assert_eq!((answer.status, answer.text()), (200, "PUT /body 60000".to_owned()));
}

#[test]
fn a_body_that_breaks_off_is_never_ended_for_its_client() {
    let recorder = Recorder::reacting(told);
    let pointsman = before(&upstreams(&[recorder.address]));
    let open = || H2::plain(pointsman.http()).and_then(H2::begun).expect("a connection");
    let begun = |h2: &mut H2| {
        h2.frame(HEADERS, END_HEADERS, 1, &request("PUT", "/body", &[])).expect("written");
        h2.frame(DATA, 0, 1, b"half of it").expect("written");
        eventually("the first half has arrived", || recorder.take().bytes > 0);
    };
    for code in [0_u32, 8, 5] {
        let mut h2 = open();
        begun(&mut h2);
        h2.frame(RST_STREAM, 0, 1, &code.to_be_bytes()).expect("written");
        assert_eq!(Client::http1(pointsman.http()).get("/next").1, "GET /next 0");
    }
    let mut h2 = open();
    begun(&mut h2);
    drop(h2);
    let mut plain = Connection::open(pointsman.http());
    plain
        .write(b"PUT /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .expect("written");
    eventually("the first half has arrived", || recorder.take().bytes > 0);
    drop(plain);
    for _ in 0..3 {
        assert_eq!(Client::http1(pointsman.http()).get("/next").1, "GET /next 0");
    }
    let log = recorder.take();
    let ended = log.whole.iter().filter(|request| request.line.contains("/body")).count();
    assert_eq!((ended, log.faults), (0, Vec::<String>::new()), "an end that no client has sent");
}

#[test]
fn answers_of_http2_upstreams_end_once_for_clients_of_both_protocols() {
    let origin = H2Origin::start();
    let pool = format!("http2 = true\n{}", upstreams(&[origin.address]));
    let pointsman = before(&format!("{pool}\n[compression]\ntypes = [\"*\"]\nmin_size = \"1\""));
    let shapes =
        ["", "ended", "empty", "empty-ended", "trailers", "length", "length-ended", "length-trailers"];
    let mut faults = Vec::new();
    for connect in [Client::http1, Client::http2] {
        let mut client = connect(pointsman.http());
        for shape in shapes {
            let path = format!("/a?{shape}");
            let answered = client.get(&path);
            if answered != (200, format!("GET {path} 0")) {
                faults.push(format!("{shape:?}: {answered:?}"));
            }
        }
    }
    // Compressed, of HTTP/1: a last chunk too many would be the next answer's first line.
    let mut client = Connection::open(pointsman.http());
    for shape in shapes {
        let head = format!("GET /a?{shape} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
        let answer = client.send(head.as_bytes());
        if answer.status != 200 || answer.header("content-encoding") != Some("gzip") {
            faults.push(format!("{shape:?}, compressed: {answer:?}"));
        }
    }
    // HTTP/1.0 knows no chunks, and a body that broke off must not look whole.
    for shape in shapes {
        let head = format!("GET /a?{shape} HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        let answer = crate::harness::send(pointsman.http(), &head);
        if answer.header("transfer-encoding").is_some() || answer.text() != format!("GET /a?{shape} 0") {
            faults.push(format!("{shape:?}, HTTP/1.0: {answer:?}"));
        }
    }
    let mut client = Connection::open(pointsman.http());
    client.write(b"GET /a?breaks HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
    let mut bytes = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client.reader, &mut bytes);
    if bytes.ends_with(b"0\r\n\r\n") {
        faults.push("a body that broke off was ended".to_owned());
    }
    println!("answers: {} with a fault", faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
