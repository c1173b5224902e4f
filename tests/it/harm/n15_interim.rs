//! 15: interim answers and answers without a body. `103` never reached HTTP/2 clients and reached those of
//! HTTP/1.0, which know none; `100` was the upstream's business; `204` kept whatever framing it came with.

use crate::harness::{Connection, Pointsman};
use crate::hostile::h2::{DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, H2, HEADERS, RST_STREAM, request};
use crate::hostile::recorder::Recorder;
use std::io::Read;

/// By path: what the upstream says before its answer, and the answer.
fn upstream() -> Recorder {
    Recorder::reacting(|request| {
        let path = request.line.split(' ').nth(1)?;
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nContent-Length: 3\r\n\r\n";
        let ok = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Body: {}\r\n\r\nok", request.body.len());
        let bytes = match path {
            "/hints" => format!("{hints}{hints}{ok}"),
            "/continue" => format!("HTTP/1.1 100 Continue\r\n\r\n{ok}"),
            "/processing" => format!("HTTP/1.1 102 Processing\r\n\r\n{ok}"),
            "/204" => "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nX-Kept: y\r\n\r\n".to_owned(),
            "/204-length" => "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nX-Kept: y\r\n\r\n".to_owned(),
            "/204-chunked" => {
                "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\nX-Kept: y\r\n\r\n0\r\n\r\n"
                    .to_owned()
            }
            "/204-body" => {
                "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nX-Kept: y\r\n\r\nhello".to_owned()
            }
            "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nX-Kept: y\r\n\r\n".to_owned(),
            "/304-chunked" => {
                "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\nX-Kept: y\r\n\r\n".to_owned()
            }
            "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Kept: y\r\n\r\n".to_owned(),
            _ => ok,
        };
        Some(bytes.into_bytes())
    })
}

fn before(recorder: &Recorder) -> Pointsman {
    Pointsman::start(&format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\nlimits = {{ body = \"1k\" }}\n\
         [[routes]]\npath = \"/\"\nservice = \"web\"\n[[routes]]\npath = \"= /denied\"\ndeny = true\n\
         [[routes]]\npath = \"= /moved\"\nredirect = {{ to = \"/x\", status = 301 }}\n\
         [[routes]]\npath = \"= /nobody\"\nservice = \"gone\"\n\
         [compression]\ntypes = [\"*\"]\nmin_size = \"1\"\n\
         [services.web]\n[services.web.pools.blue]\npassive = {{ max_fails = 0 }}\nupstreams = [\"{}\"]\n\
         [services.gone]\n[services.gone.pools.blue]\nhealth = false\nupstreams = [\"127.0.0.1:1\"]\n",
        recorder.address
    ))
}

/// The heads of all answers to one request, up to the final one.
fn heads(connection: &mut Connection, head: &str) -> Vec<(u16, Vec<(String, String)>)> {
    connection.write(head.as_bytes()).expect("written");
    let mut heads = Vec::new();
    while let Ok(answer) = connection.head() {
        heads.push((answer.status, answer.headers));
        if answer.status >= 200 || answer.status == 0 {
            break;
        }
    }
    heads
}

/// The frames of a stream up to its end.
fn frames(h2: &mut H2, stream: u32) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = h2.next() {
        let is_mine = frame.stream == stream && matches!(frame.kind, HEADERS | DATA | RST_STREAM);
        let ends = is_mine && (frame.flags & END_STREAM != 0 || frame.kind == RST_STREAM);
        let is_over = ends || frame.kind == GOAWAY;
        if is_mine {
            frames.push(frame);
        }
        if is_over {
            break;
        }
    }
    frames
}

fn open(pointsman: &Pointsman) -> H2 {
    H2::plain(pointsman.http()).and_then(H2::begun).expect("a connection")
}

fn statuses(frames: &[Frame]) -> Vec<u16> {
    frames.iter().filter(|frame| frame.kind == HEADERS).map(Frame::status).collect()
}

#[test]
fn hints_reach_clients_of_http1_1_and_http2_and_none_of_http1_0() {
    let recorder = upstream();
    let pointsman = before(&recorder);
    let mut heard = Vec::new();
    for (version, path) in
        [("1.1", "/hints"), ("1.1", "/processing"), ("1.0", "/hints"), ("1.0", "/continue")]
    {
        let mut connection = Connection::open(pointsman.http());
        let heads = heads(&mut connection, &format!("GET {path} HTTP/{version}\r\nHost: a\r\n\r\n"));
        let framed = heads.iter().filter(|(status, headers)| {
            *status < 200 && headers.iter().any(|(name, _)| name == "content-length")
        });
        assert_eq!(framed.count(), 0, "an interim answer has no framing: {heads:?}");
        if path == "/hints" && version == "1.1" {
            assert!(heads[0].1.iter().any(|(name, _)| name == "link"), "{heads:?}");
        }
        heard.push((version, path, heads.iter().map(|(status, _)| *status).collect::<Vec<_>>()));
    }
    let mut h2 = open(&pointsman);
    h2.get(1, "/hints").expect("written");
    let seen = frames(&mut h2, 1);
    heard.push(("2", "/hints", statuses(&seen)));
    let link = seen.first().is_some_and(|frame| frame.payload.windows(7).any(|part| part == b"preload"));
    h2.get(3, "/continue").expect("written");
    heard.push(("2", "/continue", statuses(&frames(&mut h2, 3))));
    println!("interim answers: {heard:?}");
    let expected: [(&str, &str, &[u16]); 6] = [
        ("1.1", "/hints", &[103, 103, 200]),
        ("1.1", "/processing", &[102, 200]),
        ("1.0", "/hints", &[200]),
        ("1.0", "/continue", &[200]),
        ("2", "/hints", &[103, 103, 200]),
        ("2", "/continue", &[200]),
    ];
    let heard: Vec<_> = heard.iter().map(|(version, path, all)| (*version, *path, &all[..])).collect();
    assert_eq!(heard, expected);
    assert!(link, "with its fields");
}

#[test]
fn many_streams_get_hints_of_their_own_beside_large_answers() {
    let recorder = upstream();
    let pointsman = before(&recorder);
    let mut h2 = open(&pointsman);
    (0..20).try_for_each(|n| h2.get(2 * n + 1, "/hints")).expect("written");
    let mut heads = vec![Vec::new(); 20];
    let mut ended = 0;
    while ended < 20 {
        let frame = h2.next().expect("in time").expect("a frame");
        assert!(!matches!(frame.kind, GOAWAY | RST_STREAM), "{frame:?}");
        if frame.kind == HEADERS {
            heads[frame.stream as usize / 2].push(frame.status());
        }
        ended += usize::from(matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0);
    }
    assert!(heads.iter().all(|all| *all == [103, 103, 200]), "{heads:?}");
}

#[test]
fn a_client_that_waits_for_100_gets_it_once_and_not_before_a_refusal() {
    let recorder = upstream();
    let pointsman = before(&recorder);
    let mut told = Vec::new();
    let expecting = |path: &str, length: usize, version: &str| {
        format!(
            "POST {path} HTTP/{version}\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    // The upstream says nothing of its own, or says 100 itself.
    for path in ["/x", "/continue"] {
        let mut connection = Connection::open(pointsman.http());
        connection.write(expecting(path, 5, "1.1").as_bytes()).expect("written");
        let mut before = [0; 25];
        let read = connection.reader.read_exact(&mut before);
        told.push((path, read.is_ok() && before == *b"HTTP/1.1 100 Continue\r\n\r\n"));
        connection.write(b"hello").expect("written");
        let head = connection.head().expect("an answer");
        assert_eq!((head.status, head.header("x-body")), (200, Some("5")), "{path}: not twice");
        let mut body = [0; 2];
        connection.reader.read_exact(&mut body).expect("its body");
        assert_eq!(connection.get("/next").status, 200, "{path}: the connection is kept");
    }
    for (path, length, status) in
        [("/denied", 5, 403), ("/moved", 5, 301), ("/x", 5000, 413), ("/nobody", 5, 502)]
    {
        let mut connection = Connection::open(pointsman.http());
        let heads = heads(&mut connection, &expecting(path, length, "1.1"));
        let seen: Vec<_> = heads.iter().map(|(status, _)| *status).collect();
        assert_eq!(seen, [status], "{path}: no body is asked for that is not wanted");
    }
    // A wish of HTTP/1.0 is none (RFC 9110, 10.1.1).
    let mut old = Connection::open(pointsman.http());
    let seen = heads(&mut old, &(expecting("/x", 5, "1.0") + "hello"));
    assert_eq!(seen.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200]);
    let refused = heads(
        &mut Connection::open(pointsman.http()),
        "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 5\r\n\r\n",
    );
    assert_eq!(refused.first().map(|(status, _)| *status), Some(417));
    let log = recorder.take();
    assert!(log.faults.is_empty(), "{:?}", log.faults);
    let passed = log.whole.iter().filter(|request| request.value("expect").is_some()).count();
    println!("100 Continue: {told:?}, the wish reached the upstream {passed} times");
    assert!(told.iter().all(|(_, is_so)| *is_so) && passed == 0);
}

#[test]
fn over_http2_too() {
    let recorder = upstream();
    let pointsman = before(&recorder);
    let mut h2 = open(&pointsman);
    let expecting = |path: &str| request("POST", path, &[("expect", "100-continue")]);
    for (index, path) in ["/x", "/continue", "/hints"].iter().enumerate() {
        let stream = 2 * index as u32 + 1;
        h2.frame(HEADERS, END_HEADERS, stream, &expecting(path)).expect("written");
        assert_eq!(h2.status(stream), 100, "{path}");
        h2.frame(DATA, END_STREAM, stream, b"hello").expect("written");
        let rest = statuses(&frames(&mut h2, stream));
        let expected: &[u16] = if *path == "/hints" { &[103, 103, 200] } else { &[200] };
        assert_eq!(rest, expected, "{path}");
    }
    for (index, (path, status)) in [("/denied", 403), ("/nobody", 502)].iter().enumerate() {
        let stream = 2 * index as u32 + 11;
        h2.frame(HEADERS, END_HEADERS, stream, &expecting(path)).expect("written");
        assert_eq!(h2.status(stream), *status, "{path}");
    }
}

#[test]
fn answers_that_have_no_body_have_no_framing() {
    let recorder = upstream();
    let pointsman = before(&recorder);
    let mut faults = Vec::new();
    let paths = ["/204", "/204-length", "/204-chunked", "/204-body", "/304", "/304-chunked"];
    let mut h2 = open(&pointsman);
    for (index, path) in paths.iter().enumerate() {
        for version in ["1.1", "1.0"] {
            let mut connection = Connection::open(pointsman.http());
            let gzip = "Accept-Encoding: gzip\r\n";
            let head =
                format!("GET {path} HTTP/{version}\r\nHost: a\r\nConnection: keep-alive\r\n{gzip}\r\n");
            connection.write(head.as_bytes()).expect("written");
            let answer = connection.head().expect("an answer");
            let framed = ["content-length", "transfer-encoding", "content-encoding"]
                .iter()
                .filter_map(|name| answer.header(name));
            if framed.count() > 0 || answer.header("x-kept").is_none() {
                faults.push(format!("{path}, HTTP/{version}: {:?}", answer.headers));
            }
            if connection.get("/next").status != 200 {
                faults.push(format!("{path}, HTTP/{version}: not followed by the next"));
            }
        }
        let stream = 2 * index as u32 + 1;
        h2.get(stream, path).expect("written");
        let seen = frames(&mut h2, stream);
        let named = |name: &[u8]| seen.iter().any(|f| f.payload.windows(name.len()).any(|part| part == name));
        // Header compression is off; only Huffman's code would hide a name, and `content-length` is index 28.
        let has_length =
            seen.first().is_some_and(|frame| frame.payload.windows(2).any(|p| p == [0x0f, 0x0d]));
        let body: usize =
            seen.iter().filter(|frame| frame.kind == DATA).map(|frame| frame.payload.len()).sum();
        if body > 0 || has_length || named(b"transfer-encoding") {
            faults.push(format!("{path}, HTTP/2: {seen:?}"));
        }
    }
    let mut connection = Connection::open(pointsman.http());
    let answer = connection.send(b"HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, Some("5")),
        "HEAD tells of its length"
    );
    assert_eq!(connection.get("/next").status, 200);
    println!("answers without a body: {} of {} with framing", faults.len(), 3 * paths.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
