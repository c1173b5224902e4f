//! Error pages: files with another status, other routes, redirects; for own errors and for those of upstreams.

use super::{ask, nginx, site, start};
use crate::harness::{Connection, Nginx, Origin, Pointsman, Reaction, eventually};
use std::net::SocketAddr;
use std::process::Command;

/// Answers with the status that its path ends in; `/close` not at all.
fn statuses() -> Origin {
    Origin::new(|request| {
        let last = request.path().rsplit('/').next().unwrap_or_default();
        match last.parse() {
            Ok(status) => Reaction::Answer(status, "application".to_owned()),
            Err(_) if last == "close" => Reaction::Close,
            Err(_) if last == "named" => Reaction::Echo,
            Err(_) => Reaction::Answer(200, request.line.clone()),
        }
    })
}

const FILES: [(&str, &str); 3] = [
    ("www/errors/404.html", "<h1>lost</h1>"),
    ("www/errors/50x.html", "<h1>broken</h1>"),
    ("www/index.html", "home"),
];

const ROUTES: &str = r#"
[error_pages]
404 = { path = "/errors/404.html" }
"500, 502-504" = { path = "/errors/50x.html", status = 503 }
[[routes]]
files = { root = "www" }
[[routes]]
path = "/errors/"
internal = true
files = { root = "www" }
headers = { response = { set = { X-Page = "yes" } } }
[[routes]]
path = "/api/"
service = "web"
intercept = true
[[routes]]
path = "/plain/"
service = "web"
[[routes]]
path = "= /gone"
reply = { status = 404 }
[[routes]]
path = "= /said"
reply = { status = 404, body = "said" }
[[routes]]
path = "= /kept"
reply = { status = 404 }
error_pages = { 404 = { route = "@app" } }
[[routes]]
path = "= /taken"
reply = { status = 404 }
error_pages = { 404 = { route = "@app", status = "answer" } }
[[routes]]
path = "= /moved"
deny = true
error_pages = { 403 = { redirect = "http://other.example/login", status = 307 } }
[[routes]]
path = "= /denied"
deny = true
error_pages = { 403 = { path = "/errors/404.html" } }
[[routes]]
path = "= /ok"
reply = { status = 404 }
error_pages = { 404 = { path = "/errors/404.html", status = 200 } }
[[routes]]
path = "@app"
service = "web""#;

/// What nginx is told of these routes, and what Pointsman is.
fn both(origin: &Origin) -> (Nginx, Pointsman) {
    let app = origin.address;
    let real = nginx(
        &format!(
            "root @DIR@/www; error_page 404 /errors/404.html; error_page 500 502 503 504 =503 /errors/50x.html;
             location /errors/ {{ internal; add_header X-Page yes always; }}
             location /api/ {{ proxy_pass http://{app}; proxy_intercept_errors on; }}
             location /plain/ {{ proxy_pass http://{app}; }}
             location = /gone {{ return 404; }}
             location = /said {{ return 404 said; }}
             location = /kept {{ error_page 404 @app; return 404; }}
             location = /taken {{ error_page 404 = @app; return 404; }}
             location = /moved {{ error_page 403 =307 http://other.example/login; return 403; }}
             location = /denied {{ error_page 403 /errors/404.html; deny all; }}
             location = /ok {{ error_page 404 =200 /errors/404.html; return 404; }}
             location @app {{ proxy_pass http://{app}; }}"
        ),
        &FILES,
    );
    (real, start(&site(origin, ROUTES), &FILES))
}

#[test]
fn pages_are_shown_as_with_nginx() {
    let origin = statuses();
    let (real, pointsman) = both(&origin);
    let get = |to: SocketAddr, line: &str| ask(to, line, "Accept: text/html\r\n");
    for line in [
        "GET /",
        "GET /none",
        "HEAD /none",
        "POST /api/404",
        "GET /errors/404.html",
        "GET /api/200",
        "GET /api/404",
        "GET /api/500",
        "GET /api/403",
        "GET /api/close",
        "GET /plain/404",
        "GET /plain/close",
        "GET /gone",
        "GET /said",
        "GET /kept",
        "GET /taken",
        "POST /taken",
        "GET /moved",
        "GET /denied",
        "GET /ok",
    ] {
        let (theirs, ours) = (get(real.addresses[0], line), get(pointsman.http(), line));
        assert_eq!(ours.status, theirs.status, "{line}");
        for name in ["x-page", "location", "content-length"] {
            assert_eq!(
                ours.header(name).is_some(),
                theirs.header(name).is_some(),
                "{name} of {line}: {ours:?}"
            );
        }
        // What is built in differs.
        if !theirs.text().contains("nginx") {
            let body = |text: String| text.replace("HTTP/1.0", "HTTP/1.1");
            assert_eq!(body(ours.text()), body(theirs.text()), "{line}");
        }
    }
    let conditional = ask(pointsman.http(), "GET /none", "If-None-Match: *\r\nRange: bytes=0-0\r\n");
    assert_eq!(
        (conditional.status, conditional.text().as_str()),
        (404, "<h1>lost</h1>"),
        "an error has no parts"
    );
}

#[test]
fn an_intercepted_answer_counts_as_what_it_was_and_its_connection_stays() {
    let origin = statuses();
    let (_real, pointsman) = both(&origin);
    let mut client = Connection::open(pointsman.http());
    for _ in 0..5 {
        let answer = client.get("/api/500");
        assert_eq!((answer.status, answer.text().as_str()), (503, "<h1>broken</h1>"));
    }
    assert_eq!((origin.requests(), origin.connections()), (5, 1), "one connection serves all");
    let counted = "pointsman_requests_total{code=\"5xx\",pool=\"blue\",service=\"web\"} 5";
    eventually("five failures of the pool", || pointsman.get("/metrics").text().contains(counted));
}

#[test]
fn an_error_in_place_of_an_error_is_the_built_in_one() {
    let origin = statuses();
    let routes = r#"
        [[routes]]
        path = "/lost/"
        error_pages = { "404-599" = { path = "/nowhere" } }
        reply = { status = 404 }
        [[routes]]
        path = "/round/"
        error_pages = { 502 = { path = "/round/close" } }
        service = "web"
        [[routes]]
        path = "/app/"
        error_pages = { 404 = { route = "@app", status = "answer" } }
        reply = { status = 404 }
        [[routes]]
        path = "@app"
        error_pages = { 502 = { route = "@app" } }
        service = "web"
        [[routes]]
        path = "/host/"
        error_pages = { 404 = { redirect = "https://$host/" } }
        reply = { status = 404 }"#;
    let pointsman = Pointsman::start(&site(&origin, routes));
    for (path, status) in [("/lost/x", 404), ("/round/close", 502), ("/app/close", 502), ("/host/", 302)] {
        let answer = ask(pointsman.http(), &format!("GET {path}"), "");
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    // Two requests: one of the route, and one in place of its error.
    let before = origin.requests();
    ask(pointsman.http(), "GET /round/close", "");
    assert!(origin.requests() - before <= 4, "{}", origin.requests() - before);
}

/// The body of a request goes to the route that answers where that is asked as the client asked, and is left out else.
#[test]
fn bodies_go_on_with_their_request_or_are_left_out() {
    let origin = statuses();
    let routes = r#"
        [[listeners]]
        address = "127.0.0.1:0"
        h2c = true
        [[routes]]
        path = "/named"
        service = "dead"
        error_pages = { "502, 503" = { route = "@app", status = "answer" } }
        [[routes]]
        path = "/page"
        service = "dead"
        error_pages = { "502, 503" = { path = "/app", status = "answer" } }
        [[routes]]
        path = "/app"
        service = "web"
        [[routes]]
        path = "@app"
        service = "web"
        [access_log]
        path = "access.log"
        [services.dead.pools.blue]
        upstreams = ["127.0.0.1:1"]"#;
    let pointsman = Pointsman::start(&site(&origin, routes));
    let url = |path: &str| format!("http://{}{path}", pointsman.http());
    for (path, http, body) in [
        ("/named", "--http1.1", "a=b"),
        ("/page", "--http1.1", "GET /app HTTP/1.1"),
        ("/named", "--http2-prior-knowledge", "a=b"),
        ("/page", "--http2-prior-knowledge", "GET /app HTTP/1.1"),
    ] {
        // curl 7.88 cannot send two bodies over one connection of HTTP/2.
        let urls = vec![url(path); if http == "--http1.1" { 2 } else { 1 }];
        let curl = Command::new("curl").args(["-s", http, "-d", "a=b"]).args(&urls).output().expect("curl");
        assert_eq!(String::from_utf8_lossy(&curl.stdout), body.repeat(urls.len()), "{path} {http}");
    }
    let log = || std::fs::read_to_string(pointsman.dir.path().join("access.log")).unwrap_or_default();
    eventually("six lines", || log().lines().count() == 6);
    assert_eq!(log().matches("\"POST\"").count(), 6, "what the client asked by: {}", log());
}

/// A page is no place to change the protocol.
#[test]
fn an_upgrade_gets_the_page_of_its_error_and_no_other_protocol() {
    let origin = Origin::new(|request| match request.header("upgrade") {
        Some(_) => Reaction::Upgrade,
        None => Reaction::Answer(200, "page".to_owned()),
    });
    let routes = r#"
        [[routes]]
        path = "/socket"
        service = "dead"
        error_pages = { "502, 503" = { path = "/page" } }
        [[routes]]
        service = "web"
        [services.dead.pools.blue]
        upstreams = ["127.0.0.1:1"]"#;
    let pointsman = Pointsman::start(&site(&origin, routes));
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answer = ask(pointsman.http(), "GET /socket", upgrade);
    assert!(matches!(answer.status, 502 | 503) && answer.text() == "page", "{answer:?}");
}

/// A client that sends too much hears the page while it sends; an answer without end is not waited for.
#[test]
fn pages_are_shown_before_bodies_and_answers_end() {
    let origin = Origin::new(|_| {
        Reaction::Raw(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n".to_vec())
    });
    let routes = r#"
        [[routes]]
        intercept = true
        limits = { body = "1k" }
        error_pages = { "413, 500" = { path = "/errors/50x.html" } }
        service = "web"
        [[routes]]
        path = "/errors/"
        internal = true
        files = { root = "www" }"#;
    let pointsman = start(&site(&origin, routes), &FILES);
    let head = "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n0123456789";
    let mut client = Connection::open(pointsman.http());
    client.write(head.as_bytes()).expect("written");
    let early = client.answer(false);
    assert_eq!((early.status, early.text().as_str()), (413, "<h1>broken</h1>"));
    let endless = ask(pointsman.http(), "GET /endless", "");
    assert_eq!((endless.status, endless.text().as_str()), (500, "<h1>broken</h1>"));
}

/// A page that is shown with 200 is whole, or says that it is not.
#[test]
fn a_page_with_200_is_asked_about_as_any_other() {
    let config = r#"
        [[routes]]
        path = "/down"
        service = "web"
        error_pages = { "502, 503" = { path = "/page.html", status = 200 } }
        [[routes]]
        path = "/page.html"
        internal = true
        files = { root = "www" }
        [services.web.pools.blue]
        upstreams = ["127.0.0.1:1"]"#;
    let pointsman = start(config, &[("www/page.html", "we are down")]);
    let ask = |headers: &str| super::ask(pointsman.http(), "GET /down", headers);
    let whole = ask("");
    assert_eq!((whole.status, whole.text()), (200, "we are down".to_owned()));
    let etag = whole.header("etag").expect("a tag");
    assert_eq!(ask(&format!("If-None-Match: {etag}\r\n")).status, 304);
    let part = ask("Range: bytes=3-5\r\n");
    assert_eq!(
        (part.status, part.header("content-range"), part.text()),
        (206, Some("bytes 3-5/11"), "are".to_owned())
    );
}
