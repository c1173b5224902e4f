//! The PROXY protocol on a listener: real balancers' bytes, and what comes after them.

use super::harness::{Answer, Connection, Origin, Pointsman, eventually};
use super::listeners::{certificate, config, curl};
use std::io::Read;

const TRUSTING: &str = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]";

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([0x20 | command, family]);
    bytes.extend((body.len() as u16).to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A header and a request in one write.
fn ask(pointsman: &Pointsman, header: &[u8]) -> Answer {
    let mut connection = Connection::open(pointsman.http());
    connection.send(&[header, b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"].concat())
}

fn seen_by(origin: &Origin) -> (String, String) {
    let last = origin.last();
    let header = |name: &str| last.header(name).unwrap_or_default().to_owned();
    (header("x-forwarded-for"), header("x-real-ip"))
}

#[test]
fn both_versions_name_the_client() {
    let origin = Origin::named("blue");
    let log = "[access_log]\npath = \"access.log\"\n";
    let pointsman = Pointsman::start(&(log.to_owned() + &config(&origin, TRUSTING)));
    let v4 = v2(1, 0x11, &[203, 0, 113, 9, 10, 0, 0, 1, 4, 1, 1, 187]);
    let v6 = v2(
        1,
        0x21,
        &[
            [0x20, 1, 0xd, 0xb8],
            [0; 4],
            [0; 4],
            [0, 0, 0, 5],
            [0; 4],
            [0; 4],
            [0; 4],
            [0, 0, 0, 1],
            [4, 1, 1, 187],
        ]
        .concat(),
    );
    for (header, client) in [
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 1025 443\r\n".to_vec(), "203.0.113.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 1025 443\r\n".to_vec(), "2001:db8::7"),
        (v4.clone(), "203.0.113.9"),
        (v6, "2001:db8::5"),
        // With something appended that we have no use for.
        (v2(1, 0x11, &[&v4[16..], &[3, 0, 4, 1, 2, 3, 4]].concat()), "203.0.113.9"),
    ] {
        assert_eq!(ask(&pointsman, &header).status, 200, "{client}");
        assert_eq!(
            seen_by(&origin),
            (client.to_owned(), client.to_owned()),
            "what the client says is replaced"
        );
    }
    // The balancer itself, which looks whether we are there.
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), v2(0, 0, &[])] {
        assert_eq!(ask(&pointsman, &header).status, 200);
        assert!(seen_by(&origin).0.ends_with("127.0.0.1"), "{:?}", seen_by(&origin));
    }
    let file = pointsman.dir.path().join("access.log");
    eventually("the log names the client", || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains("\"2001:db8::5\""))
    });
}

#[test]
fn curl_speaks_it_before_http1_h2c_and_tls() {
    let dir = tempfile::tempdir().expect("a directory");
    let origin = Origin::named("blue");
    let tls = format!("tls = {{ certificates = [{}] }}", certificate(dir.path(), "one.example"));
    for (keys, scheme, args, version) in [
        ("", "http", &["--http1.1"][..], "1.1"),
        ("h2c = true", "http", &["--http2-prior-knowledge"], "2"),
        (&tls, "https", &["--http2"], "2"),
        (&tls, "https", &["--http1.1"], "1.1"),
    ] {
        let pointsman = Pointsman::start(&config(&origin, &format!("{TRUSTING}\n{keys}")));
        let url = format!("{scheme}://{}/", pointsman.http());
        let args = [args, &["--haproxy-protocol", "-w", " %{http_version}", &url]].concat();
        assert_eq!(curl(&args), format!("blue {version}"), "{scheme} {args:?}");
        assert!(seen_by(&origin).0.ends_with("127.0.0.1"));
    }
}

#[test]
fn no_header_a_false_one_or_a_late_one_is_no_connection() {
    let origin = Origin::named("blue");
    let pointsman =
        Pointsman::start(&config(&origin, &format!("{TRUSTING}\ntimeouts = {{ header = \"300ms\" }}")));
    for header in [
        &b""[..],
        b"PROXY TCP4 203.0.113.7 10.0.0.1 1025\r\n",
        b"PROXY TCP4 203.0.113.777 10.0.0.1 1025 443\r\n",
        &v2(3, 0x11, &[0; 12]),
        &v2(1, 0x11, &[0; 4]),
    ] {
        assert_eq!(ask(&pointsman, header).status, 0, "{header:?}");
    }
    let mut late = Connection::open(pointsman.http());
    late.write(b"PROXY TCP4 203").expect("written");
    assert!(matches!(late.reader.read(&mut [0; 1]), Ok(0)), "closed at its deadline");
    let others = "proxy_protocol = true\ntrusted_proxies = [\"10.0.0.0/8\"]";
    let stranger = Pointsman::start(&config(&origin, others));
    assert_eq!(ask(&stranger, b"PROXY TCP4 10.0.0.7 10.0.0.1 1025 443\r\n").status, 0);
    assert_eq!(origin.requests(), 0);
    assert_eq!(ask(&pointsman, b"PROXY TCP4 203.0.113.7 10.0.0.1 1025 443\r\n").status, 200);
}

#[test]
fn clients_behind_a_balancer_are_limited_one_by_one() {
    let origin = Origin::named("blue");
    let keys = format!("{TRUSTING}\nlimits = {{ connections_per_client = 2 }}");
    let pointsman = Pointsman::start(&config(&origin, &keys));
    let open = |client: &str| {
        let mut connection = Connection::open(pointsman.http());
        let header = format!("PROXY TCP4 {client} 10.0.0.1 1025 443\r\n");
        let request = [header.as_bytes(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        (connection.send(&request).status, connection)
    };
    let held: Vec<_> = ["203.0.113.7", "203.0.113.7", "203.0.113.8"].map(open).into_iter().collect();
    assert!(held.iter().all(|(status, _)| *status == 200));
    assert_eq!(open("203.0.113.7").0, 0, "a third connection of one client");
    drop(held);
    eventually("there is room again", || open("203.0.113.7").0 == 200);
}
