//! The effect of each line, but for the limits.

use super::each;
use super::site::{HOST, Site};
use crate::harness::{Answer, Connection, TlsClient, eventually, send};
use std::process::Command;

const SECURITY: [&str; 7] = [
    "strict-transport-security",
    "x-frame-options",
    "x-content-type-options",
    "x-xss-protection",
    "referrer-policy",
    "permissions-policy",
    "content-security-policy",
];

#[test]
fn plain_http_answers_health_and_acme_and_leads_to_https() {
    each(|site| {
        for address in site.http {
            let health = send(address, &format!("GET /health HTTP/1.1\r\nHost: {HOST}\r\n\r\n"));
            assert_eq!((health.status, health.text().as_str()), (200, "healthy\n"));
            assert_eq!(health.header("content-type"), Some("text/plain"));
        }
        // `wget --spider http://localhost/health`, every 10 s.
        let spider = send(site.http[0], "HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(spider.status, 200);
        assert_eq!(site.plain("/.well-known/acme-challenge/token").text(), "proof");
        assert_eq!(site.plain("/.well-known/acme-challenge/none").status, 404);
        let moved = site.plain("/a%20b?c=d");
        assert_eq!((moved.status, moved.header("location")), (301, Some("https://tallow.example/a%20b?c=d")));
        assert_eq!(moved.header("server"), None);
    });
}

#[test]
fn tls_speaks_both_versions_and_http2_without_tickets_and_follows_its_files() {
    each(|site| {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let client = TlsClient::with(&site.authority, &[version]);
            assert!(site.https.iter().all(|address| client.trusts(*address, HOST)), "{version:?}");
        }
        let address = site.https[0].to_string();
        let s_client = |options: &[&str]| {
            let whole =
                [&["s_client", "-connect", &address, "-servername", HOST, "-status"], options].concat();
            let output = Command::new("openssl").args(whole).stdin(std::process::Stdio::null()).output();
            String::from_utf8_lossy(&output.expect("openssl").stdout).into_owned()
        };
        let old = s_client(&["-tls1_2"]);
        assert!(old.contains("Cipher is ECDHE-ECDSA-") && old.contains("GCM"), "{old}");
        assert!(!old.contains("TLS session ticket:"), "{old}");
        assert!(old.contains("OCSP Response Status: successful"), "{old}");
        assert!(!s_client(&["-tls1_1"]).contains("Cipher is ECDHE"));
        let output = Command::new("curl")
            .args([
                "-sk",
                "--http2",
                "-o",
                "/dev/null",
                "-w",
                "%{http_version}",
                &format!("https://{address}/"),
            ])
            .output()
            .expect("curl");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "2");
        site.authority.write("site", &[HOST]);
        let renewed = site.authority.leaf("site");
        eventually("the renewed certificate is served", || {
            site.client.served(site.https[0], HOST) == renewed
        });
    });
}

#[test]
fn the_access_log_has_what_nginx_wrote_and_not_what_is_unlogged() {
    each(|site| {
        for quiet in ["/api/health", "/robots.txt", "/favicon.ico", "/.git/config"] {
            site.get(quiet);
        }
        site.plain("/health");
        site.ask(
            "GET",
            "/logged?x=1",
            "Referer: http://r.example/\r\nUser-Agent: agent/1\r\nX-Forwarded-For: 192.0.2.9\r\n",
        );
        eventually("it is logged", || site.access_log().contains("/logged"));
        let log = site.access_log();
        let line = log.lines().next().expect("a line");
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
        let middle = "\"GET /logged?x=1 HTTP/1.1\" 200 3 \"http://r.example/\" \"agent/1\" \"192.0.2.9\" rt=";
        assert!(line.contains(middle), "{line}");
        for time in ["rt=", "uct=", "uht=", "urt="] {
            assert!(
                line.split(time).nth(1).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())),
                "{line}"
            );
        }
    });
}

#[test]
fn answers_are_compressed_by_type_and_size() {
    each(|site| {
        let get = |path: &str| site.ask("GET", path, "Accept-Encoding: gzip\r\nVia: 1.1 proxy\r\n");
        let long = get("/long");
        assert_eq!(
            (long.header("content-encoding"), long.header("vary")),
            (Some("gzip"), Some("Accept-Encoding"))
        );
        assert_eq!(get("/long.png").header("content-encoding"), None);
        assert_eq!(get("/short").header("content-encoding"), None);
        assert_eq!(site.get("/long").text().len(), 700);
    });
}

#[test]
fn security_headers_are_on_every_answer_and_replaced_where_a_location_has_its_own() {
    each(|site| {
        let has = |answer: &Answer| SECURITY.iter().filter(|name| answer.header(name).is_some()).count();
        for (path, status) in
            [("/", 200), ("/api/x", 200), ("/.env", 403), ("/50x.html", 404), ("/broken", 502)]
        {
            let answer = site.get(path);
            assert_eq!(
                (answer.status, has(&answer)),
                (status, SECURITY.len()),
                "{path}: {:?}",
                answer.headers
            );
            assert_eq!(answer.header("server"), None, "{path}");
        }
        assert_eq!(site.get("/").header("x-frame-options"), Some("DENY"));
        for (path, cache) in [
            ("/_next/static/a.js", "public, max-age=31536000, immutable"),
            ("/_next/image?url=x", "public, max-age=2592000"),
            ("/public/a.svg", "public, max-age=604800"),
            ("/favicon.ico", "public, max-age=604800"),
            ("/robots.txt", "public, max-age=86400"),
        ] {
            let answer = site.get(path);
            assert_eq!(
                (answer.status, answer.header("cache-control"), has(&answer)),
                (200, Some(cache), 0),
                "{path}"
            );
        }
    });
}

#[test]
fn the_application_is_told_of_the_client() {
    each(|site| {
        site.ask("GET", "/a%20b?c=d", "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: http\r\n");
        let received = site.app.last();
        assert_eq!(received.line, "GET /a%20b?c=d HTTP/1.1");
        let port = site.https[0].port().to_string();
        for (name, value) in [
            ("host", HOST),
            ("x-real-ip", "127.0.0.1"),
            // Appended to what a trusted proxy says; a client is not believed.
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", HOST),
            ("x-forwarded-port", &port),
        ] {
            assert_eq!(received.header(name), Some(value), "{name}");
        }
    });
}

#[test]
fn websockets_reach_signaling() {
    each(|site| {
        let mut connection = site.client.open(site.https[0], HOST).expect("a handshake").0;
        let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n";
        let answer =
            connection.send(format!("GET /signaling HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n").as_bytes());
        assert_eq!(answer.status, 101);
        connection.write(b"to and fro").expect("written");
        let mut echo = [0; 10];
        std::io::Read::read_exact(&mut connection.reader, &mut echo).expect("an echo");
        assert_eq!((&echo, site.signaling.requests()), (b"to and fro", 1));
    });
}

#[test]
fn errors_of_the_proxy_show_the_page_which_has_no_address() {
    each(|site| {
        for (path, status) in [("/broken", 502), ("/api/slow", 504)] {
            let answer = site.get(path);
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (status, "<p>We will be back.</p>"),
                "{path}"
            );
            assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
        }
        assert_eq!(site.get("/50x.html").status, 404);
    });
}

#[test]
fn a_connection_is_kept_for_a_while_and_for_a_hundred_requests() {
    each(|site: &Site| {
        let mut connection = Connection::open(site.http[0]);
        let ask = format!("GET /health HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        for number in 1..=100 {
            assert_eq!(connection.send(ask.as_bytes()).status, 200, "request {number}");
        }
        assert!(connection.is_closed(), "a hundred are enough");
        let mut idle = Connection::open(site.http[0]);
        assert_eq!(idle.send(ask.as_bytes()).status, 200);
        assert!(idle.is_closed(), "it was idle for too long");
    });
}
