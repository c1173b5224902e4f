//! 14: what the library below refused by itself, with a bare 400 that nobody logged and, in HTTP/2, with the end
//! of the whole connection. What nginx takes is taken, and goes on as it was sent; the rest is refused here.

mod nginx_front;

use crate::harness::{Connection, Pointsman, eventually, send};
use crate::hostile::h2::{DATA, END_HEADERS, END_STREAM, H2, HEADERS, block};
use crate::hostile::recorder::Recorder;
use nginx_front::NginxFront;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

const LOG: &str = "[access_log]\npath = \"access.log\"\n";

fn before(recorder: &Recorder, more: &str) -> Pointsman {
    Pointsman::start(&format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\n{LOG}[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n\
         {more}\n[services.web]\n[services.web.pools.blue]\npassive = {{ max_fails = 0 }}\nupstreams = [\"{}\"]\n",
        recorder.address
    ))
}

/// What an answer counts for that the library below has made.
const NOT_OURS: u16 = 1000;

/// The status of the first answer to these bytes; 0 for none.
fn status(address: SocketAddr, bytes: &[u8]) -> u16 {
    let Ok(mut stream) = TcpStream::connect(address) else { return 0 };
    let patience = std::time::Duration::from_secs(5);
    let _ = stream.set_read_timeout(Some(patience)).and_then(|()| stream.write_all(bytes));
    let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
    while !seen.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(count @ 1..) => seen.extend_from_slice(&piece[..count]),
            _ => break,
        }
    }
    let text = String::from_utf8_lossy(&seen);
    let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
    if text.to_lowercase().contains("pingora") { NOT_OURS + status } else { status }
}

/// Targets of requests, as nginx takes them or not.
fn targets() -> Vec<Vec<u8>> {
    let mut targets: Vec<Vec<u8>> = [
        &b"/plain?a=b"[..],
        b"/\xc3\xa9",
        b"/\xff",
        b"/a\xe9b?c=\xe9",
        b"/?json={\"a\":[\"<b>\"]}",
        b"/a%3Cb<c",
        b"/x?%",
        b"/%zz",
        b"/%",
        b"/a\x7f",
        b"/a\x01",
        b"/a\tb",
        b"/..",
        b"/a/../b<c",
        b"//a<b",
        b"/;a=b",
        b"/a:b@c",
        b"/!$&'()*+,;=~",
        b"HTTP://a/x",
        b"http://a:80/x",
        b"http://A/x",
        b"http://a",
        b"http://a?b",
        b"https://a/x",
        b"http://b.example:8080/x?<y>",
        b"x",
        b"?a",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    for odd in b"\"<>`{}|\\^[]" {
        targets.push([b"/path", &[*odd][..], b"end"].concat());
        targets.push([b"/?query", &[*odd][..], b"end"].concat());
    }
    targets
}

fn line(target: &[u8]) -> Vec<u8> {
    [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"].concat()
}

/// The target and the host that arrived, if one did.
fn arrived(recorder: &Recorder) -> Option<(String, String)> {
    let log = recorder.take();
    assert!(log.faults.is_empty(), "{:?}", log.faults);
    let request = log.whole.into_iter().next()?;
    Some((request.line.clone(), request.value("host").unwrap_or_default().to_owned()))
}

#[test]
fn what_nginx_takes_goes_on_byte_for_byte() {
    let recorder = Recorder::start();
    let pointsman = before(&recorder, "");
    let nginx = NginxFront::before(recorder.address);
    let (mut same, mut faults) = (0, Vec::new());
    for target in targets() {
        let theirs = (status(nginx.address(), &line(&target)), arrived(&recorder));
        let ours = (status(pointsman.http(), &line(&target)), arrived(&recorder));
        // Its `$host` is in small letters and without the port.
        let fold = |of: &(u16, Option<(String, String)>)| {
            let name = |host: &str| host.split(':').next().unwrap_or_default().to_lowercase();
            (of.0, of.1.as_ref().map(|(line, host)| (line.clone(), name(host))))
        };
        match fold(&theirs) == fold(&ours) {
            true => same += 1,
            false => faults.push(format!("{}: nginx {theirs:?}, ours {ours:?}", target.escape_ascii())),
        }
    }
    println!("targets: {same} of {} as with nginx", same + faults.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn h2(pointsman: &Pointsman) -> H2 {
    H2::plain(pointsman.http()).and_then(H2::begun).expect("a connection")
}

fn ask(h2: &mut H2, stream: u32, fields: &[(&[u8], &[u8])]) -> u16 {
    let sent = h2.frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(fields));
    sent.map_or(0, |()| h2.status(stream))
}

#[test]
fn over_http2_an_odd_target_arrives_too_and_the_connection_goes_on() {
    let recorder = Recorder::start();
    let pointsman = before(&recorder, "");
    let (mut client, mut stream, mut taken, mut faults) = (h2(&pointsman), 1, 0, Vec::new());
    let targets: Vec<_> = targets().into_iter().filter(|target| target.starts_with(b"/")).collect();
    for target in &targets {
        let http1 = (status(pointsman.http(), &line(target)), arrived(&recorder));
        let fields: &[(&[u8], &[u8])] =
            &[(b":method", b"GET"), (b":scheme", b"http"), (b":path", target), (b":authority", b"a")];
        let http2 = (ask(&mut client, stream, fields), arrived(&recorder));
        stream += 2;
        match http1 == http2 {
            true => taken += 1,
            false => {
                faults.push(format!("{}: HTTP/1 {http1:?}, HTTP/2 {http2:?}", target.escape_ascii()));
            }
        }
        if http2.0 == 0 {
            (client, stream) = (h2(&pointsman), 1);
        }
    }
    println!("targets over HTTP/2: {taken} of {} as over HTTP/1", targets.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn malformed_requests_over_http2_are_answered_and_harm_no_other_stream() {
    let recorder = Recorder::start();
    let pointsman = before(&recorder, "");
    let mut client = h2(&pointsman);
    let with = |name: &'static [u8], value: &'static [u8]| {
        let mut fields: Vec<(&[u8], &[u8])> =
            vec![(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/x"), (b":authority", b"a")];
        match fields.iter_mut().find(|field| field.0 == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
        fields
    };
    let cases = [
        (b":method" as &[u8], b"G ET" as &[u8]),
        (b":method", b""),
        (b":path", b"/a b"),
        (b":path", b"/a\x00"),
        (b":path", b"http://b/"),
        (b":path", b""),
        (b":authority", b"u@a"),
        (b":authority", b"a:99999"),
        (b":authority", b"a:80:90"),
        (b":authority", b"["),
        (b":authority", b"a:"),
        (b"host", b"b"),
        (b"X-Upper", b"y"),
        (b"x y", b"z"),
        (b"x", b"a\x00b"),
        (b"x", b"a\nb"),
        (b"content-length", b"+5"),
        (b"connection", b"close"),
        (b"te", b"gzip"),
        (b":unknown", b"y"),
    ];
    let mut faults = Vec::new();
    let mut stream = 1;
    for (name, value) in cases {
        let answered = ask(&mut client, stream, &with(name, value));
        let next = ask(&mut client, stream + 2, &with(b"x-fine", b"y"));
        if answered != 400 || next != 200 {
            let case = format!("{}: {}", name.escape_ascii(), value.escape_ascii());
            faults.push(format!("{case}: answered {answered}, and the next one {next}"));
            client = h2(&pointsman);
            stream = 1;
        } else {
            stream += 4;
        }
    }
    println!(
        "malformed requests over HTTP/2: {} of {} ended more than themselves",
        faults.len(),
        cases.len()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(recorder.take().whole.iter().all(|request| request.value("x-fine").is_some()));
}

/// The access log's lines for a path that begins so: method, target, host and status.
fn logged(pointsman: &Pointsman) -> Vec<(String, String, String, u64)> {
    let text = std::fs::read_to_string(pointsman.dir.path().join("access.log")).unwrap_or_default();
    let line = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        Some((text("method"), text("uri"), text("host"), line["status"].as_u64()?))
    };
    text.lines().filter_map(line).collect()
}

#[test]
fn refusals_are_logged_with_what_was_asked() {
    let recorder = Recorder::start();
    let pointsman = before(&recorder, "");
    type Logged<'a> = (&'a str, &'a str, &'a str, u64);
    let requests: [(&[u8], Logged<'_>); 8] = [
        (b"GET /a\x01b HTTP/1.1\r\nHost: shop.example\r\n\r\n", ("GET", "/a\u{1}b", "shop.example", 400)),
        (b"POST /b HTTP/1.1\r\nHost: u@shop.example\r\n\r\n", ("POST", "/b", "u@shop.example", 400)),
        (b"GET /c HTTP/1.1\r\nHost: a:99999\r\n\r\n", ("GET", "/c", "a:99999", 400)),
        (b"GET http://u@a/d HTTP/1.1\r\nHost: a\r\n\r\n", ("GET", "http://u@a/d", "a", 400)),
        (b"GET /e HTTP/2.0\r\nHost: a\r\n\r\n", ("GET", "/e", "a", 505)),
        (b"GET /f HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", ("GET", "/f", "a", 400)),
        (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", ("CONNECT", "a:443", "a:443", 405)),
        (b"GET /g HTTP/1.1\r\n\r\n", ("GET", "/g", "", 400)),
    ];
    for (bytes, (_, _, _, expected)) in requests {
        assert_eq!(u64::from(status(pointsman.http(), bytes)), expected, "{}", bytes.escape_ascii());
    }
    let mut client = h2(&pointsman);
    let fields: &[(&[u8], &[u8])] =
        &[(b":method", b"PUT"), (b":scheme", b"http"), (b":path", b"/h2 x"), (b":authority", b"h2.example")];
    assert_eq!(ask(&mut client, 1, fields), 400);
    let odd = &b"GET /odd<\xff>?\" HTTP/1.1\r\nHost: a\r\n\r\n"[..];
    assert_eq!(status(pointsman.http(), odd), 200);
    eventually("all are logged", || logged(&pointsman).len() == requests.len() + 2);
    let lines = logged(&pointsman);
    let wanted =
        |line: (&str, &str, &str, u64)| (line.0.to_owned(), line.1.to_owned(), line.2.to_owned(), line.3);
    let mut expected: Vec<_> = requests.iter().map(|(_, line)| wanted(*line)).collect();
    expected.push(wanted(("PUT", "/h2 x", "h2.example", 400)));
    let missing: Vec<_> = expected.iter().filter(|line| !lines.contains(line)).collect();
    println!(
        "refusals: {} of {} are logged with what was asked",
        expected.len() - missing.len(),
        expected.len()
    );
    assert!(missing.is_empty(), "{missing:?} in {lines:?}");
    assert!(lines.iter().any(|line| line.1.starts_with("/odd<") && line.1.ends_with(">?\"")), "{lines:?}");
}

#[test]
fn a_host_is_a_name_and_perhaps_a_port() {
    let recorder = Recorder::start();
    let pointsman = before(&recorder, "");
    let good = ["a", "a.b", "a.", "A-1_b.example:8080", "127.0.0.1:1", "[::1]", "[2001:db8::1]:65535"];
    let bad = [
        "[", "]", "[]", "[::1", "::1", "a:99999", "a:80:90", "a:", "a:x", "a:-1", "a:+80", "a:080000", "u@a",
        "a..b", ".a", ".", "[::1]a", "[g::1]", "[::1]:", "a:80@b", "a:80/", "a%41", "*", "",
    ];
    let http1 =
        |host: &str| status(pointsman.http(), format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
    let target = |host: &str| {
        status(pointsman.http(), format!("GET http://{host}/x HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())
    };
    let http2 = |host: &str| {
        let fields: &[(&[u8], &[u8])] = &[
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":path", b"/x"),
            (b":authority", host.as_bytes()),
        ];
        ask(&mut h2(&pointsman), 1, fields)
    };
    let mut wrong = Vec::new();
    for (hosts, expected) in [(&good[..], 200), (&bad[..], 400)] {
        for host in hosts {
            // In a target a slash would begin its path.
            let whole = if host.ends_with('/') { expected } else { target(host) };
            let answered = (http1(host), whole, http2(host));
            if answered != (expected, expected, expected) {
                wrong.push(format!("{host:?}: {answered:?}"));
            }
        }
    }
    println!("hosts: {} of {} taken or refused wrongly", wrong.len(), good.len() + bad.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn requests_without_a_host_and_for_the_server_itself_and_of_later_versions() {
    let recorder = Recorder::start();
    let pointsman = before(&recorder, "");
    assert_eq!(status(pointsman.http(), b"GET /old HTTP/1.0\r\n\r\n"), 200);
    let (_, host) = arrived(&recorder).expect("it arrived");
    assert_eq!(host, recorder.address.to_string(), "the upstream's address, as nginx names it");
    // Of the target, its host wins; the path alone goes on.
    assert_eq!(status(pointsman.http(), b"GET HTTP://b.example:80/x HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_eq!(arrived(&recorder), Some(("GET /x HTTP/1.1".into(), "b.example:80".into())));
    assert_eq!(status(pointsman.http(), b"GET http://b/x HTTP/1.1\r\n\r\n"), 400, "HTTP/1.1 without Host");
    assert_eq!(status(pointsman.http(), b"GET http://b/x HTTP/1.1\r\nHost: [\r\n\r\n"), 400);
    assert_eq!(arrived(&recorder), None);
    for version in ["1.2", "1.9", "1.10"] {
        let head = format!("GET /later HTTP/{version}\r\nHost: a\r\n\r\n");
        assert_eq!(status(pointsman.http(), head.as_bytes()), 200, "{version}");
        assert_eq!(arrived(&recorder).map(|(line, _)| line).as_deref(), Some("GET /later HTTP/1.1"));
    }
    for (head, expected) in [
        ("OPTIONS * HTTP/1.1", 200),
        ("OPTIONS http://a HTTP/1.1", 200),
        ("TRACE /x HTTP/1.1", 405),
        ("GET * HTTP/1.1", 400),
    ] {
        let answer = send(pointsman.http(), &format!("{head}\r\nHost: a\r\n\r\n"));
        assert_eq!((answer.status, answer.header("allow").is_some()), (expected, expected != 400), "{head}");
        assert_eq!(arrived(&recorder), None, "{head} is answered here");
    }
    let mut kept = Connection::open(pointsman.http());
    assert_eq!(kept.send(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    assert_eq!(kept.get("/kept").status, 200, "its connection stays");
    let asterisk: &[(&[u8], &[u8])] =
        &[(b":method", b"OPTIONS"), (b":scheme", b"http"), (b":path", b"*"), (b":authority", b"a")];
    assert_eq!(ask(&mut h2(&pointsman), 1, asterisk), 200);
    let trace: &[(&[u8], &[u8])] =
        &[(b":method", b"TRACE"), (b":scheme", b"http"), (b":path", b"/x"), (b":authority", b"a")];
    assert_eq!(ask(&mut h2(&pointsman), 1, trace), 405);
}

#[test]
fn no_route_is_dodged_by_an_odd_way_to_write_it() {
    let recorder = Recorder::start();
    let pointsman = before(
        &recorder,
        "[[routes]]\nhosts = [\"a\"]\npath = \"/\"\nservice = \"web\"\n\
         [[routes]]\nhosts = [\"a\"]\npath = \"/private\"\ndeny = true\n\
         [[routes]]\nhosts = [\"a\"]\npath = \"~ /<[a-z]+>/secret$\"\ndeny = true\n\
         [[routes]]\nhosts = [\"a\"]\npath = \"~ \\\\.php$\"\ndeny = true",
    );
    let denied: [&[u8]; 15] = [
        b"/private/<",
        b"/private/\xff",
        b"/%70rivate\"x",
        b"/x<y/../private",
        b"//private`",
        b"/private/?<>",
        b"http://a/private",
        b"HTTP://A:80/private/<",
        b"http://a/private?\"",
        b"/<x>/secret",
        b"/%3cx%3E/secret",
        b"/<x%3E/secret?`",
        b"/x\xff.php",
        b"/x<.php?y",
        b"/x.php%0a",
    ];
    for target in denied {
        // Whatever the Host field says.
        let head = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        assert_eq!(status(pointsman.http(), &head), 403, "{}", target.escape_ascii());
        if target.starts_with(b"/") {
            let fields: &[(&[u8], &[u8])] =
                &[(b":method", b"GET"), (b":scheme", b"http"), (b":path", target), (b":authority", b"a")];
            assert_eq!(ask(&mut h2(&pointsman), 1, fields), 403, "{}", target.escape_ascii());
        }
    }
    assert_eq!(status(pointsman.http(), b"GET http://a/private HTTP/1.1\r\nHost: other\r\n\r\n"), 403);
    assert_eq!(arrived(&recorder), None);
    // What is asked for is never taken from a field of the client's own.
    let head =
        b"GET /fine HTTP/1.1\r\nHost: a\r\nX-Pointsman-Asked: /private\r\nX-Pointsman-Stream: 1\r\n\r\n";
    assert_eq!(status(pointsman.http(), head), 200);
    let log = recorder.take();
    assert!(log.whole[0].line.starts_with("GET /fine "), "{log:?}");
    let own = ["x-pointsman-asked", "x-pointsman-stream"].map(|name| log.whole[0].value(name).is_some());
    assert_eq!(own, [false, false], "{log:?}");
}

#[test]
fn a_body_follows_a_head_that_was_put_into_other_words() {
    let recorder = Recorder::start();
    let pointsman = before(&recorder, "");
    let body = "y".repeat(20_000);
    let mut connection = Connection::open(pointsman.http());
    for target in ["/<x>", "http://b/x", "/plain"] {
        let head = format!("PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        let next = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
        connection.write(format!("{head}{body}{next}").as_bytes()).expect("written");
        assert_eq!(
            (connection.answer(false).status, connection.answer(false).status),
            (200, 200),
            "{target}"
        );
        let log = recorder.take();
        assert_eq!(log.whole.first().map(|request| request.body.len()), Some(body.len()), "{target}");
        assert_eq!((log.whole.len(), log.faults), (2, Vec::<String>::new()), "{target}");
    }
    let mut client = h2(&pointsman);
    let fields: &[(&[u8], &[u8])] =
        &[(b":method", b"PUT"), (b":scheme", b"http"), (b":path", b"/<x>"), (b":authority", b"a")];
    client.frame(HEADERS, END_HEADERS, 1, &block(fields)).expect("written");
    client.frame(DATA, END_STREAM, 1, b"hello").expect("written");
    assert_eq!(client.status(1), 200);
    assert_eq!(recorder.take().whole[0].body, b"hello");
}
