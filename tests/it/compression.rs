//! Compressed answers, as curl and plain sockets meet them.

use super::harness::{Answer, Connection, Origin, Pointsman, Reaction, get, send};
use super::listeners::{certificate, curl};
use std::io::Read;

fn config(origin: &Origin, compression: &str) -> String {
    format!(
        "[compression]\n{compression}\n[services.web]\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n",
        origin.address
    )
}

/// A page of 7000 bytes with these fields.
fn page(fields: &str) -> Reaction {
    let body = "a page ".repeat(1000);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
    Reaction::Raw([head, body].concat().into_bytes())
}

fn html() -> Reaction {
    page("Content-Type: text/html; charset=utf-8\r\nETag: \"one\"\r\nAccept-Ranges: bytes\r\n")
}

fn ask(pointsman: &Pointsman, method: &str, accepted: &str) -> Answer {
    let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accepted}\r\n\r\n");
    send(pointsman.http(), &request)
}

fn plain(answer: &Answer) -> Vec<u8> {
    let mut plain = Vec::new();
    let body = &answer.body[..];
    match answer.header("content-encoding") {
        Some("gzip") => flate2::read::GzDecoder::new(body).read_to_end(&mut plain),
        Some("br") => brotli::Decompressor::new(body, 4096).read_to_end(&mut plain),
        _ => return answer.body.clone(),
    }
    .expect("whole and right");
    plain
}

/// As with nginx's `gzip_types`.
#[test]
fn html_is_compressed_whatever_types_are_named() {
    let origin = Origin::new(|request| match request.path() {
        "/css" => page("Content-Type: text/css\r\n"),
        "/json" => page("Content-Type: application/json\r\n"),
        _ => html(),
    });
    let pointsman = Pointsman::start(&config(&origin, "types = [\"text/css\"]"));
    for (path, encoding) in [("/", Some("gzip")), ("/css", Some("gzip")), ("/json", None)] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
        assert_eq!(send(pointsman.http(), &request).header("content-encoding"), encoding, "{path}");
    }
}

#[test]
fn the_client_gets_what_it_accepts_and_caches_are_told() {
    let origin = Origin::new(|_| html());
    let pointsman = Pointsman::start(&config(&origin, ""));
    for (accepted, encoding) in [
        ("gzip, br", Some("br")),
        ("gzip", Some("gzip")),
        ("br;q=0.1, gzip", Some("gzip")),
        ("identity", None),
    ] {
        let answer = ask(&pointsman, "GET", accepted);
        assert_eq!(answer.header("content-encoding"), encoding);
        assert_eq!(plain(&answer), "a page ".repeat(1000).as_bytes(), "{accepted}");
        assert_eq!(answer.header("vary"), Some("Accept-Encoding"), "{accepted}");
        let (tag, ranges) = if encoding.is_some() { ("W/\"one\"", None) } else { ("\"one\"", Some("bytes")) };
        assert_eq!((answer.header("etag"), answer.header("accept-ranges")), (Some(tag), ranges));
        assert_eq!(answer.header("content-length").is_some(), encoding.is_none());
        assert!(encoding.is_none() || answer.body.len() < 200, "{}", answer.body.len());
        let head = ask(&pointsman, "HEAD", accepted);
        for name in ["content-encoding", "etag", "content-length", "vary"] {
            assert_eq!(head.header(name), answer.header(name), "HEAD says the same of {name}");
        }
    }
    let old = b"GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n";
    assert_eq!(Connection::open(pointsman.http()).send(old).header("content-encoding"), None);
}

#[test]
fn what_is_small_encoded_partial_or_of_another_type_stays_as_it_is() {
    let origin = Origin::new(|request| {
        match request.path() {
        "/small" => Reaction::Raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nsmall".to_vec()),
        "/encoded" => page("Content-Type: text/html\r\nContent-Encoding: br\r\n"),
        "/fixed" => page("Content-Type: text/html\r\nCache-Control: no-transform\r\n"),
        "/part" => Reaction::Raw(b"HTTP/1.1 206 Partial Content\r\nContent-Type: text/html\r\nContent-Range: bytes 0-3/9\r\nContent-Length: 4\r\n\r\npart".to_vec()),
        "/204" => Reaction::Raw(b"HTTP/1.1 204 No Content\r\nContent-Type: text/html\r\n\r\n".to_vec()),
        "/304" => Reaction::Raw(b"HTTP/1.1 304 Not Modified\r\nETag: \"one\"\r\n\r\n".to_vec()),
        _ => page("Content-Type: image/png\r\n"),
    }
    });
    let pointsman = Pointsman::start(&config(&origin, "min_size = \"6\""));
    let mut connection = Connection::open(pointsman.http());
    for path in ["/small", "/encoded", "/fixed", "/part", "/204", "/304", "/image"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip, br\r\n\r\n");
        let answer = connection.send(request.as_bytes());
        let before = if path == "/encoded" { Some("br") } else { None };
        assert_eq!(answer.header("content-encoding"), before, "{path}");
        let varies = !matches!(path, "/204" | "/image");
        assert_eq!(answer.header("vary").is_some(), varies, "{path}");
    }
    let off = Pointsman::start(&config(&origin, "").replace("[compression]", ""));
    let answer = ask(&off, "GET", "gzip");
    assert_eq!((answer.header("content-encoding"), answer.header("vary")), (None, None));
}

#[test]
fn the_keys_of_the_configuration_take_effect() {
    let origin = Origin::new(|request| match request.path() {
        "/own" => page("Content-Type: application/x-own\r\n"),
        _ => html(),
    });
    let size = |keys: &str, path: &str| {
        let pointsman = Pointsman::start(&config(&origin, keys));
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip, br\r\n\r\n");
        let answer = send(pointsman.http(), &request);
        (answer.header("content-encoding").map(str::to_owned), answer.body.len())
    };
    assert_eq!(
        size("algorithms = [\"gzip\", \"br\"]", "/").0.as_deref(),
        Some("gzip"),
        "the order is a preference"
    );
    assert_eq!(size("algorithms = [\"br\"]", "/").0.as_deref(), Some("br"));
    assert_eq!(size("types = [\"text/css\"]", "/own").0, None);
    assert_eq!(size("types = [\"application/x-own\"]", "/own").0.as_deref(), Some("br"));
    assert_eq!(size("min_size = \"8k\"", "/").0, None);
    // The lowest level of each takes the page less well.
    for (algorithm, key, least, most) in [("gzip", "gzip_level", 1, 9), ("br", "br_level", 0, 11)] {
        let at = |level: u32| size(&format!("algorithms = [\"{algorithm}\"]\n{key} = {level}"), "/").1;
        assert!(at(least) > at(most), "{algorithm}: {} and {}", at(least), at(most));
    }
}

#[test]
fn a_stream_of_unknown_length_arrives_piece_by_piece() {
    let origin = Origin::new(|_| Reaction::EchoAs("text/html".to_owned()));
    let pointsman = Pointsman::start(&config(&origin, ""));
    let mut connection = Connection::open(pointsman.http());
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nAccept-Encoding: gzip\r\n\r\n";
    connection.write(head.as_bytes()).expect("written");
    assert_eq!(connection.head().expect("a head").header("content-encoding"), Some("gzip"));
    let mut sent = Vec::new();
    for piece in ["one", "two", "three"] {
        connection.write(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes()).expect("written");
        let whole_before = sent.len();
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).ends_with(piece) {
            sent.extend(connection.chunk().expect("a chunk"));
            read.clear();
            // The end has not come yet.
            let _ = flate2::read::GzDecoder::new(&sent[..]).read_to_end(&mut read);
        }
        assert!(sent.len() > whole_before, "{piece} arrived before the next was sent");
    }
    connection.write(b"0\r\n\r\n").expect("written");
    loop {
        let piece = connection.chunk().expect("a chunk");
        if piece.is_empty() {
            break;
        }
        sent.extend(piece);
    }
    let mut plain = String::new();
    flate2::read::GzDecoder::new(&sent[..]).read_to_string(&mut plain).expect("whole");
    assert_eq!(plain, "onetwothree");
}

#[test]
fn events_are_neither_compressed_nor_held_back() {
    let origin = Origin::new(|_| Reaction::EchoAs("text/event-stream".to_owned()));
    let pointsman = Pointsman::start(&config(&origin, "types = [\"*\"]"));
    let mut connection = Connection::open(pointsman.http());
    let head =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nAccept-Encoding: gzip, br\r\n\r\n";
    connection.write(head.as_bytes()).expect("written");
    let answer = connection.head().expect("a head");
    assert_eq!((answer.header("content-encoding"), answer.header("vary")), (None, None));
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        connection.write(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).expect("written");
        assert_eq!(connection.chunk().expect("a chunk"), event.as_bytes());
    }
}

#[test]
fn large_bodies_and_http2_are_compressed_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let text: String = (0..400_000).map(|n| format!("{} ", n % 977)).collect();
    let body = text.clone();
    let origin = Origin::new(move |_| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Reaction::Raw([head.as_bytes(), body.as_bytes()].concat())
    });
    let listeners = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{ certificates = [{}] }}\n",
        certificate(dir.path(), "one.example")
    );
    let pointsman = Pointsman::start(&(listeners + &config(&origin, "")));
    let url = format!("https://{}/", pointsman.http());
    for (version, encoding) in
        [("--http2", "br"), ("--http2", "gzip"), ("--http1.1", "br"), ("--http1.1", "gzip")]
    {
        let header = format!("Accept-Encoding: {encoding}");
        let file = dir.path().join("body");
        let out = file.display().to_string();
        let compressed: u64 = curl(&[version, "-H", &header, "-o", &out, "-w", "%{size_download}", &url])
            .parse()
            .expect("a size");
        assert!(compressed < text.len() as u64 / 3, "{version} {encoding}: {compressed} of {}", text.len());
        let answer = Answer {
            status: 200,
            headers: vec![("content-encoding".to_owned(), encoding.to_owned())],
            body: std::fs::read(&file).expect("a file"),
            ..Answer::default()
        };
        assert!(plain(&answer) == text.as_bytes(), "{version} {encoding}");
    }
}

#[test]
fn a_reload_switches_it_on_and_off() {
    let origin = Origin::new(|_| html());
    let on = config(&origin, "");
    let pointsman = Pointsman::start(&on.replace("[compression]", ""));
    assert_eq!(ask(&pointsman, "GET", "gzip").header("content-encoding"), None);
    pointsman.configure(&on);
    let answer = pointsman.call("POST", "/v1/reload", "");
    assert!(answer.text().contains("compression"), "{}", answer.text());
    assert_eq!(ask(&pointsman, "GET", "gzip").header("content-encoding"), Some("gzip"));
    assert_eq!(get(pointsman.http(), "/").header("content-encoding"), None, "nothing is accepted");
}

#[test]
fn a_route_may_refuse_it_and_own_answers_have_it() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("page.html"), "a page ".repeat(50_000)).expect("a file");
    let origin = Origin::new(|_| html());
    let routes = format!(
        "[[routes]]\npath = \"/plain\"\nservice = \"web\"\ncompression = false\n\
         [[routes]]\npath = \"= /reply\"\nreply = {{ body = \"{}\", type = \"text/plain\" }}\n\
         [[routes]]\npath = \"/page.html\"\nfiles = {{ root = \"{}\" }}\n\
         [[routes]]\nservice = \"web\"\n",
        "fixed ".repeat(200),
        dir.path().display()
    );
    let pointsman = Pointsman::start(&(routes + &config(&origin, "")));
    let mut connection = Connection::open(pointsman.http());
    let mut ask = |line: &str, fields: &str| {
        connection
            .send(format!("{line} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n{fields}\r\n").as_bytes())
    };
    let refused = ask("GET /plain", "");
    assert_eq!((refused.header("content-encoding"), refused.header("vary")), (None, None));
    assert_eq!(ask("GET /", "").header("content-encoding"), Some("gzip"));
    let reply = ask("GET /reply", "");
    assert_eq!(
        (reply.header("content-encoding"), plain(&reply)),
        (Some("gzip"), "fixed ".repeat(200).into_bytes())
    );
    let file = ask("GET /page.html", "");
    assert_eq!((file.header("content-encoding"), file.header("accept-ranges")), (Some("gzip"), None));
    assert!(plain(&file) == "a page ".repeat(50_000).as_bytes());
    for line in ["HEAD /reply", "HEAD /page.html"] {
        let head = ask(line, "");
        assert_eq!(
            (head.header("content-encoding"), head.header("content-length")),
            (Some("gzip"), None),
            "{line}"
        );
    }
    // The weak tag stands for the file: it is not sent again.
    let tag = file.header("etag").expect("a tag").to_owned();
    assert!(tag.starts_with("W/"), "{tag}");
    assert_eq!(ask("GET /page.html", &format!("If-None-Match: {tag}\r\n")).status, 304);
    let part = ask("GET /page.html", "Range: bytes=2-5\r\n");
    assert_eq!((part.status, part.header("content-encoding"), part.text().as_str()), (206, None, "page"));
}
