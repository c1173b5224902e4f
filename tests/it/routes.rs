//! Where routes lead beside services, and what holds on the way: what nginx's servers and locations do.

use super::harness::{Answer, Connection, Origin, Pointsman, Printed, Reaction, eventually, get, send};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// A site of these routes, with `web` before an origin.
fn site(origin: &Origin, routes: &str) -> String {
    format!("{routes}\n[services.web]\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n", origin.address)
}

fn ask(pointsman: &Pointsman, line: &str, headers: &str) -> Answer {
    send(pointsman.http(), &format!("{line} HTTP/1.1\r\nHost: Shop.example:8080\r\n{headers}\r\n"))
}

fn log_lines(pointsman: &Pointsman) -> Vec<Value> {
    let text = std::fs::read_to_string(pointsman.dir.path().join("access.log")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

const LOG: &str = "[access_log]\npath = \"access.log\"\n";

/// Of routes with one path, the first whose conditions hold; of HTTP/2 and HTTP/1 alike.
#[test]
fn conditions_choose_among_routes_of_a_path() {
    let origin = Origin::named("web");
    let reply = |name: &str, when: &str| {
        format!(
            "[[routes]]\npath = \"/api/\"\nwhen = {when}\nreply = {{ status = 200, body = \"{name}\" }}\n"
        )
    };
    let routes = [
        "[[routes]]\npath = \"/api/\"\nreply = { status = 200, body = \"plain\" }\n".to_owned(),
        reply("post", "{ methods = [\"POST\"], header = { name = \"X-Team\" } }"),
        reply("gold", "{ cookie = { name = \"plan\", matches = \"^gold\" } }"),
        reply("beta", "{ query = { name = \"beta\", equals = \"1\" } }"),
        "[[routes]]\npath = \"/api/admin/\"\nwhen = { networks = [\"10.0.0.0/8\"] }\n\
         reply = { status = 200, body = \"admin\" }\n[[routes]]\nservice = \"web\"\n"
            .to_owned(),
    ];
    let config = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\nh2c = true\n{}",
        site(&origin, &routes.concat())
    );
    let pointsman = Pointsman::start(&config);
    for (line, headers, body) in [
        ("GET /api/x", "", "plain"),
        ("POST /api/x", "X-Team: red\r\nContent-Length: 0\r\n", "post"),
        ("GET /api/x", "X-Team: red\r\n", "plain"),
        ("GET /api/x", "Cookie: a=b; plan=gold-1\r\n", "gold"),
        ("GET /api/x?beta=1", "Cookie: plan=silver\r\n", "beta"),
        ("GET /api/x?beta=2", "", "plain"),
        ("GET /api/admin/x", "X-Forwarded-For: 10.1.2.3\r\n", "admin"),
        ("GET /api/admin/x", "X-Forwarded-For: 192.0.2.1\r\n", "plain"),
        ("GET /other", "", "web"),
    ] {
        assert_eq!(ask(&pointsman, line, headers).text(), body, "{line} {headers}");
    }
    let url = format!("http://{}/api/x?beta=1", pointsman.http());
    let curl = std::process::Command::new("curl").args(["-s", "--http2-prior-knowledge", &url]).output();
    assert_eq!(curl.expect("curl").stdout, b"beta");
    // Another condition is in effect after a reload.
    pointsman.configure(&config.replace("equals = \"1\"", "equals = \"2\""));
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    assert_eq!(ask(&pointsman, "GET /api/x?beta=2", "").text(), "beta");
}

#[test]
fn redirects_keep_host_path_and_query_and_cannot_be_steered() {
    let origin = Origin::named("web");
    let routes = r#"
        [[routes]]
        path = "/old/"
        redirect = { to = "/new$path?$args", status = 308 }
        [[routes]]
        path = "= /see"
        redirect = { to = "$scheme://other.example/", status = 303 }
        [[routes]]
        redirect = { to = "https://$host$request_uri" }"#;
    let pointsman = Pointsman::start(&site(&origin, routes));
    let answer = ask(&pointsman, "GET /a%20b?c=d", "");
    assert_eq!((answer.status, answer.header("location")), (301, Some("https://shop.example/a%20b?c=d")));
    assert_eq!((answer.header("content-length"), answer.header("server")), (Some("0"), None));
    let answer = ask(&pointsman, "GET /old/x?y", "");
    assert_eq!((answer.status, answer.header("location")), (308, Some("/new/old/x?y")));
    let answer = ask(&pointsman, "HEAD /see", "");
    assert_eq!((answer.status, answer.header("location")), (303, Some("http://other.example/")));
    let answer = send(pointsman.http(), "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(answer.header("location"), Some("https://a.example/x"), "the target may name the host");
    for line in ["GET /%0d%0aSet-Cookie:%20a=b", "GET //evil.example/"] {
        let answer = ask(&pointsman, line, "");
        assert!(
            answer.header("location").is_some_and(|to| to.starts_with("https://shop.example/")),
            "{line}"
        );
        assert_eq!(answer.header("set-cookie"), None);
    }
    let nameless = send(pointsman.http(), "GET / HTTP/1.0\r\n\r\n");
    assert_eq!(nameless.status, 400, "no host to redirect to");
    assert_eq!(origin.requests(), 0);
}

#[test]
fn replies_are_fixed_and_connections_go_on() {
    let origin = Origin::named("web");
    let routes = r#"
        [[routes]]
        path = "= /health"
        reply = { status = 200, body = "healthy\n", type = "text/plain" }
        [[routes]]
        path = "= /gone"
        reply = { status = 410 }
        [[routes]]
        path = "= /none"
        reply = { status = 204 }
        [[routes]]
        service = "web""#;
    let pointsman = Pointsman::start(&site(&origin, routes));
    let mut connection = Connection::open(pointsman.http());
    let answer = connection.get("/health");
    assert_eq!((answer.status, answer.text().as_str()), (200, "healthy\n"));
    assert_eq!(answer.header("content-type"), Some("text/plain"));
    let head = connection.send(b"HEAD /health HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.status, head.header("content-length")), (200, Some("8")));
    let posted = connection.send(b"POST /health HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(posted.text(), "healthy\n");
    let gone = connection.get("/gone");
    assert_eq!(
        (gone.status, gone.header("content-length"), gone.header("content-type")),
        (410, Some("0"), None)
    );
    assert_eq!(connection.get("/none").header("content-length"), None);
    assert_eq!(connection.get("/healthy").text(), "web", "exactly that path");
    // A body of unknown length is not read for nothing: the connection ends.
    let mut endless = Connection::open(pointsman.http());
    let chunked = b"POST /health HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(endless.send(chunked).header("connection"), Some("close"));
    assert!(endless.is_closed());
}

#[test]
fn a_route_may_be_of_one_listener() {
    let origin = Origin::named("web");
    let routes = r#"
        [[listeners]]
        address = "127.0.0.1:0"
        [[listeners]]
        address = "127.0.0.2:0"
        [[routes]]
        service = "web"
        [[routes]]
        listeners = ["127.0.0.1:0"]
        redirect = { to = "https://$host$request_uri" }"#;
    let pointsman = Pointsman::start(&site(&origin, routes));
    assert_eq!(get(pointsman.listeners[0], "/").status, 301);
    assert_eq!(get(pointsman.listeners[1], "/").text(), "web");
}

#[test]
fn nobody_gets_to_what_is_denied_however_it_is_written() {
    let origin = Origin::named("web");
    let routes = r#"
        [[routes]]
        path = "~ /\\."
        deny = true
        [[routes]]
        path = "/admin"
        service = "web"
        allow = ["10.0.0.0/8"]
        [[routes]]
        path = "/most"
        service = "web"
        deny_from = ["192.0.2.0/24"]
        [[routes]]
        service = "web""#;
    let trusted = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let pointsman = Pointsman::start(&(trusted.to_owned() + &site(&origin, routes)));
    for path in ["/.env", "/%2eenv", "/a/.git/config", "/a/%2Egit/config", "//.env", "/a/b/../.env"] {
        assert_eq!(ask(&pointsman, &format!("GET {path}"), "").status, 403, "{path}");
    }
    for path in ["/admin", "/%61dmin", "//admin", "/x/../admin", "/x/%2e%2e/admin", "/./admin", "/adm%69n/x"]
    {
        assert_eq!(ask(&pointsman, &format!("GET {path}"), "").status, 403, "{path}");
    }
    for path in ["/..", "/a/../../b", "/%00", "/%zz"] {
        assert_eq!(ask(&pointsman, &format!("GET {path}"), "").status, 400, "{path}");
    }
    assert_eq!(origin.requests(), 0);
    let from = |path: &str, client: &str| {
        ask(&pointsman, &format!("GET {path}"), &format!("X-Forwarded-For: {client}\r\n")).status
    };
    assert_eq!((from("/admin", "10.1.2.3"), from("/admin", "192.0.2.7")), (200, 403));
    assert_eq!((from("/most", "10.1.2.3"), from("/most", "192.0.2.7")), (200, 403));
    assert_eq!(ask(&pointsman, "GET /a%2Fb/../c", "").status, 200);
    assert_eq!(origin.last().path(), "/a%2Fb/../c", "what goes on stays as it was sent");
}

/// The body answers with what the origin was told.
fn telling() -> Origin {
    Origin::new(|request| match request.path() {
        "/fail" => Reaction::Close,
        "/own" => Reaction::Raw(
            b"HTTP/1.1 500 No\r\nServer: app/1.2\r\nX-Frame-Options: NONE\r\nContent-Length: 3\r\n\r\nown"
                .to_vec(),
        ),
        _ => Reaction::Raw(b"HTTP/1.1 200 OK\r\nServer: app/1.2\r\nContent-Length: 2\r\n\r\nok".to_vec()),
    })
}

#[test]
fn header_fields_are_set_on_every_answer_and_replaced_by_a_routes_own() {
    let origin = telling();
    let routes = r#"
        [headers]
        response = { set = { "X-Frame-Options" = "DENY", "X-Id" = "$request_id" }, add = { "Link" = "</a>" }, remove = ["Server"] }
        [error_pages]
        [[routes]]
        path = "/own-set"
        service = "web"
        headers = { response = { set = { "Cache-Control" = "max-age=1" } } }
        [[routes]]
        path = "= /redirect"
        redirect = { to = "https://$host/" }
        [[routes]]
        path = "= /reply"
        reply = { body = "x" }
        [[routes]]
        path = "/denied"
        deny = true
        [[routes]]
        path = "/files/"
        files = { root = ".", alias = true }
        [[routes]]
        service = "web""#;
    let pointsman = Pointsman::start(&site(&origin, routes));
    std::fs::write(pointsman.dir.path().join("a.txt"), "file").expect("a file");
    for (path, status) in [
        ("/", 200),
        ("/own", 500),
        ("/fail", 502),
        ("/redirect", 301),
        ("/reply", 200),
        ("/denied", 403),
        ("/files/a.txt", 200),
        ("/files/none", 404),
    ] {
        let answer = ask(&pointsman, &format!("GET {path}"), "");
        assert_eq!((answer.status, answer.header("x-frame-options")), (status, Some("DENY")), "{path}");
        assert_eq!((answer.header("server"), answer.header("link")), (None, Some("</a>")), "{path}");
        assert_eq!(answer.header("x-id").map(str::len), Some(32), "{path}");
        let count = answer.headers.iter().filter(|(name, _)| name == "x-frame-options").count();
        assert_eq!(count, 1, "{path}: set, not added");
    }
    assert_eq!(origin.last().header("x-request-id").map(str::len), Some(32));
    let nowhere = ask(&pointsman, "GET /..", "");
    assert_eq!((nowhere.status, nowhere.header("x-frame-options")), (400, Some("DENY")), "without a route");
    let own = ask(&pointsman, "GET /own-set", "");
    assert_eq!((own.header("cache-control"), own.header("x-frame-options")), (Some("max-age=1"), None));
    assert_eq!(own.header("server"), Some("app/1.2"), "replaced as a whole");
    let on = pointsman.call("PUT", "/v1/maintenance", r#"{"status": "maintenance"}"#);
    assert_eq!(on.status, 200);
    let answer = ask(&pointsman, "GET /", "");
    assert_eq!((answer.status, answer.header("x-frame-options")), (503, Some("DENY")), "maintenance");
    assert_eq!(ask(&pointsman, "GET /reply", "").status, 200, "maintenance is of services");
}

#[test]
fn no_answer_names_the_software() {
    let origin = Origin::named("web");
    let pointsman = Pointsman::start(&site(&origin, ""));
    for (request, status) in [
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405),
        ("GET /.. HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    ] {
        let answer = send(pointsman.http(), request);
        assert_eq!(
            (answer.status, answer.header("server"), answer.header("via")),
            (status, None, None),
            "{request}"
        );
        assert!(!answer.text().to_lowercase().contains("pingora"), "{request}");
    }
    assert_eq!(origin.requests(), 1);
}

#[test]
fn the_upstream_is_told_what_the_site_wants() {
    let origin = telling();
    let routes = r#"
        [headers]
        request = { set = { Host = "app.internal", "X-Where" = "$scheme://$host$request_uri from $remote_addr", "X-Version" = "$pool" }, add = { "X-Seen" = "$request_id" }, remove = ["X-Secret"] }
        [[routes]]
        path = "/bare"
        service = "web"
        headers = { request = {} }
        [[routes]]
        service = "web""#;
    let pointsman = Pointsman::start(&site(&origin, routes));
    assert_eq!(ask(&pointsman, "GET /a?b", "X-Secret: 1\r\nX-Where: mine\r\nX-Seen: mine\r\n").status, 200);
    let told = origin.last();
    assert_eq!(told.header("host"), Some("app.internal"));
    assert_eq!(told.header("x-where"), Some("http://shop.example/a?b from 127.0.0.1"));
    assert_eq!((told.header("x-secret"), told.header("x-version")), (None, Some("blue")));
    let seen: Vec<_> =
        told.headers.iter().filter(|(name, _)| name == "x-seen").map(|(_, value)| value).collect();
    assert_eq!(seen, ["mine", told.header("x-request-id").expect("an id")]);
    assert_eq!(told.header("x-forwarded-host"), Some("Shop.example:8080"));
    assert_eq!(told.header("x-forwarded-port"), Some(pointsman.http().port().to_string().as_str()));
    assert_eq!(ask(&pointsman, "GET /bare", "X-Secret: 1\r\nX-Forwarded-Port: 1\r\n").status, 200);
    let told = origin.last();
    assert_eq!((told.header("host"), told.header("x-secret")), (Some("Shop.example:8080"), Some("1")));
    assert_ne!(told.header("x-forwarded-port"), Some("1"), "the client's word does not count");
}

#[test]
fn an_error_page_that_is_not_there_keeps_nobody_from_serving() {
    let routes = "[error_pages]\n404 = \"missing.html\"\n[[routes]]\npath = \"/app/\"\nservice = \"web\"\n";
    let pointsman = Pointsman::start(&site(&Origin::named("web"), routes));
    assert!(pointsman.log().contains("error_pages.404: there is no file"), "{}", pointsman.log());
    let answer = ask(&pointsman, "GET /none", "Accept: text/html\r\n");
    assert!(answer.status == 404 && answer.text().contains("404"), "{}", answer.text());
    // There is one after the next reload.
    std::fs::write(pointsman.dir.path().join("missing.html"), "ours").expect("a file");
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    assert_eq!(ask(&pointsman, "GET /none", "Accept: text/html\r\n").text(), "ours");
}

#[test]
fn errors_of_the_proxy_have_the_sites_page_but_for_json() {
    let origin = telling();
    let dir = tempfile::tempdir().expect("a directory");
    let page = dir.path().join("50x.html");
    std::fs::write(&page, "<h1>Back soon</h1>").expect("a file");
    let page = page.display();
    let text = format!(
        "[error_pages]\n502 = \"{page}\"\n\"404\" = \"{page}\"\n[[routes]]\npath = \"/\"\nservice = \"web\"\n"
    );
    let pointsman = Pointsman::start(&site(&origin, &text));
    for accept in ["", "Accept: */*\r\n", "Accept: text/html\r\n"] {
        let answer = ask(&pointsman, "GET /fail", accept);
        assert_eq!((answer.status, answer.text().as_str()), (502, "<h1>Back soon</h1>"), "{accept}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    let json = ask(&pointsman, "GET /fail", "Accept: application/json\r\n");
    assert_eq!(json.json()["status"], 502);
    assert_eq!(ask(&pointsman, "GET /own", "").text(), "own", "an upstream's own error stays");
    std::fs::write(dir.path().join("50x.html"), "<h1>Changed</h1>").expect("a file");
    assert_eq!(pointsman.call("POST", "/v1/reload", "").status, 200);
    eventually("the page is read again", || ask(&pointsman, "GET /fail", "").text() == "<h1>Changed</h1>");
}

#[test]
fn a_route_has_timeouts_and_a_body_limit_of_its_own() {
    let origin = Origin::new(|request| match request.path() {
        path if path.starts_with("/late") => Reaction::Late(Duration::from_secs(4), 200, "late".into()),
        _ => Reaction::Echo,
    });
    let routes = r#"
        [[listeners]]
        address = "127.0.0.1:0"
        limits = { body = "1k" }
        [[routes]]
        path = "/late/patient"
        service = "web"
        timeouts = { read = "20s" }
        [[routes]]
        path = "/small"
        service = "web"
        limits = { body = "10" }
        [[routes]]
        path = "/large"
        service = "web"
        limits = { body = "1M" }
        [[routes]]
        service = "web""#;
    let pool = "timeouts = { read = \"2s\" }\ntries = 1\npassive = { max_fails = 0 }\n";
    let pointsman = Pointsman::start(&(site(&origin, routes) + pool));
    assert_eq!(ask(&pointsman, "GET /late", "").status, 504);
    assert_eq!(ask(&pointsman, "GET /late/patient", "").text(), "late");
    let post = |path: &str, length: usize| {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        send(pointsman.http(), &(head + &"x".repeat(length))).status
    };
    for (path, fits, over) in [("/", 1024, 1025), ("/small", 10, 11), ("/large", 100_000, (1 << 20) + 1)] {
        assert_eq!((post(path, fits), post(path, over)), (200, 413), "{path}");
    }
    let chunked = "POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n";
    let answer = send(pointsman.http(), &format!("{chunked}{}\r\n0\r\n\r\n", "x".repeat(20)));
    assert!(answer.status == 413 || answer.body.is_empty(), "{}", answer.status);
}

#[test]
fn a_silent_websocket_lives_as_long_as_its_route_says() {
    let origin = Origin::new(|_| Reaction::Upgrade);
    let routes = r#"
        [[listeners]]
        address = "127.0.0.1:0"
        timeouts = { header = "1s", body = "300ms", keepalive = "1s" }
        [[routes]]
        path = "/signaling"
        service = "web"
        timeouts = { connect = "7d", read = "7d", write = "7d" }
        [[routes]]
        service = "web""#;
    let pointsman = Pointsman::start(&(site(&origin, routes) + "timeouts = { read = \"400ms\" }\n"));
    let open = |path: &str| {
        let mut socket = Connection::open(pointsman.http());
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        assert_eq!(socket.send(request.as_bytes()).status, 101);
        socket
    };
    let (mut long, mut short) = (open("/signaling/1"), open("/other"));
    let since = Instant::now();
    assert!(short.is_closed(), "silent beyond the pool's time");
    eventually("it has been silent for long", || since.elapsed() > Duration::from_millis(1500));
    long.write(b"still here").expect("written");
    let mut back = [0; 10];
    std::io::Read::read_exact(&mut long.reader, &mut back).expect("an echo");
    assert_eq!(&back, b"still here");
}

#[test]
fn the_log_says_all_that_nginxs_does_and_not_what_it_need_not() {
    let origin = telling();
    let routes = r#"
        [[routes]]
        path = "= /health"
        reply = { body = "healthy" }
        access_log = false
        [[routes]]
        path = "/quiet"
        service = "web"
        access_log = false
        [[routes]]
        path = "= /reply"
        reply = { body = "fixed" }
        [[routes]]
        path = "/"
        service = "web""#;
    let headers = "User-Agent: test/1\r\nReferer: http://a/\r\nX-Forwarded-For: 203.0.113.7\r\n";
    let pointsman = Pointsman::start(&(LOG.to_owned() + &site(&origin, routes)));
    for line in ["GET /health", "GET /quiet", "GET /reply", "POST /x?y"] {
        assert_eq!(ask(&pointsman, line, &format!("{headers}Content-Length: 0\r\n")).status, 200);
    }
    eventually("what is logged is there", || log_lines(&pointsman).len() >= 2);
    // The lines of two workers are in order to a tenth of a second only.
    let mut lines = log_lines(&pointsman);
    lines.sort_by_key(|line| line["start"].to_string());
    let uris: Vec<_> = lines.iter().map(|line| line["uri"].as_str().unwrap_or_default()).collect();
    assert_eq!(uris, ["/reply", "/x?y"]);
    let (fixed, proxied) = (&lines[0], &lines[1]);
    assert!(fixed["service"].is_null() && fixed["status"] == 200 && fixed["bytes"] == 5, "{fixed}");
    for (key, value) in [
        ("client", "127.0.0.1"),
        ("method", "POST"),
        ("protocol", "HTTP/1.1"),
        ("referer", "http://a/"),
        ("user_agent", "test/1"),
        ("forwarded_for", "203.0.113.7"),
    ] {
        assert_eq!(proxied[key], value, "{proxied}");
    }
    assert_eq!((&proxied["status"], &proxied["bytes"]), (&200.into(), &2.into()));
    for key in ["request_time", "upstream_connect_time", "upstream_header_time", "upstream_response_time"] {
        assert!(proxied[key].as_f64().is_some(), "{key} in {proxied}");
    }
    assert_eq!(proxied["request_id"].as_str(), origin.last().header("x-request-id"));
    let combined = LOG.to_owned() + "format = \"combined\"\n" + &site(&origin, "");
    let pointsman = Pointsman::start(&combined);
    assert_eq!(ask(&pointsman, "GET /x", headers).status, 200);
    let path = pointsman.dir.path().join("access.log");
    let text = || std::fs::read_to_string(&path).unwrap_or_default();
    eventually("a line is written", || text().ends_with('\n'));
    let line = text();
    for part in [
        "\"GET /x HTTP/1.1\" 200 2 \"http://a/\" \"test/1\" \"203.0.113.7\" rt=",
        " uct=0.",
        " uht=0.",
        " urt=0.",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn a_reload_brings_all_of_it_at_once_or_none_of_it() {
    let origin = Origin::named("web");
    let pointsman = Pointsman::start(&site(&origin, "[[routes]]\nservice = \"web\"\n"));
    assert_eq!(get(pointsman.http(), "/").text(), "web");
    let next = "[headers]\nresponse = { set = { \"X-New\" = \"1\" } }\n[[routes]]\nreply = { status = 418, body = \"tea\" }\n";
    pointsman.configure(&site(&origin, next));
    let report = pointsman.call("POST", "/v1/reload", "").json();
    assert_eq!(report["changed"].to_string(), "[\"routes\",\"headers\"]");
    let answer = get(pointsman.http(), "/");
    assert_eq!((answer.status, answer.header("x-new")), (418, Some("1")));
    pointsman.configure(&site(
        &origin,
        "[[routes]]\nreply = { status = 9 }\n[[routes]]\nredirect = { to = \"x\" }\n",
    ));
    let refused = pointsman.call("POST", "/v1/reload", "");
    assert_eq!((refused.status, refused.json()["errors"].as_array().map(Vec::len)), (422, Some(2)));
    assert_eq!(get(pointsman.http(), "/").status, 418);
    let printed = Printed::of(&["check", "--config", "pointsman.toml"], pointsman.dir.path());
    assert_eq!((printed.code, printed.err.matches("routes[").count()), (1, 2), "{}", printed.err);
}

/// A folder as sites have it, beside something that is nobody's business.
fn folder(at: &Path) {
    let root = at.join("www");
    std::fs::create_dir_all(root.join("docs")).expect("a folder");
    std::fs::create_dir_all(root.join(".well-known/acme-challenge")).expect("a folder");
    for (name, body) in [
        ("index.html", "<h1>front</h1>"),
        ("docs/index.html", "docs"),
        ("a b.css", "body {}"),
        (".htpasswd", "secret"),
        (".well-known/acme-challenge/token", "token.key"),
        ("../secret.txt", "secret"),
        ("empty", ""),
    ] {
        std::fs::write(root.join(name), body).expect("a file");
    }
    std::fs::write(root.join("large.bin"), large()).expect("a file");
    std::os::unix::fs::symlink("../secret.txt", root.join("out.txt")).expect("a link");
    std::os::unix::fs::symlink("docs/index.html", root.join("in.txt")).expect("a link");
}

fn large() -> Vec<u8> {
    (0..3_000_000_u32).map(|n| (n / 7) as u8).collect()
}

fn serving_files() -> Pointsman {
    let dir = tempfile::tempdir().expect("a directory");
    folder(dir.path());
    let routes = "[[routes]]\npath = \"/static/\"\nfiles = { root = \"www\", alias = true }\n\
                  [[routes]]\nfiles = { root = \"www\" }\n";
    let text = format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\n{}",
        site(&Origin::named("web"), routes)
    );
    std::fs::write(dir.path().join("pointsman.toml"), text).expect("a file");
    Pointsman::start_in(dir)
}

#[test]
fn files_are_served_with_their_kind_and_marks() {
    let pointsman = serving_files();
    for (path, kind, body) in [
        ("/", "text/html; charset=utf-8", "<h1>front</h1>"),
        ("/docs/", "text/html; charset=utf-8", "docs"),
        ("/a%20b.css?v=1", "text/css; charset=utf-8", "body {}"),
        ("/static/docs/index.html", "text/html; charset=utf-8", "docs"),
        ("/static/", "text/html; charset=utf-8", "<h1>front</h1>"),
        ("/.well-known/acme-challenge/token", "application/octet-stream", "token.key"),
        ("/in.txt", "text/plain; charset=utf-8", "docs"),
        ("/empty", "application/octet-stream", ""),
    ] {
        let answer = ask(&pointsman, &format!("GET {path}"), "");
        assert_eq!((answer.status, answer.text().as_str()), (200, body), "{path}");
        assert_eq!(answer.header("content-type"), Some(kind), "{path}");
        assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()));
        assert!(answer.header("last-modified").is_some_and(|date| date.ends_with(" GMT")), "{path}");
        let head = ask(&pointsman, &format!("HEAD {path}"), "");
        assert_eq!((head.status, head.header("content-length")), (200, answer.header("content-length")));
        for condition in [
            format!("If-None-Match: {}\r\n", answer.header("etag").expect("a tag")),
            format!("If-Modified-Since: {}\r\n", answer.header("last-modified").expect("a date")),
        ] {
            assert_eq!(ask(&pointsman, &format!("GET {path}"), &condition).status, 304, "{condition}");
        }
    }
    let post = ask(&pointsman, "POST /", "Content-Length: 0\r\n");
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    let to = ask(&pointsman, "GET /docs?a=b", "");
    assert_eq!((to.status, to.header("location")), (301, Some("/docs/?a=b")));
}

#[test]
fn large_files_stream_whole_and_in_parts() {
    let pointsman = serving_files();
    let mut connection = Connection::open(pointsman.http());
    let body = large();
    assert!(connection.get("/large.bin").body == body);
    let part = |connection: &mut Connection, range: &str| {
        connection
            .send(format!("GET /large.bin HTTP/1.1\r\nHost: a\r\nRange: bytes={range}\r\n\r\n").as_bytes())
    };
    for (range, start, end) in [
        ("0-9", 0, 10),
        ("131000-400000", 131_000, 400_001),
        ("2999990-", 2_999_990, 3_000_000),
        ("-5", 2_999_995, 3_000_000),
    ] {
        let answer = part(&mut connection, range);
        assert!(answer.status == 206 && answer.body == body[start..end], "{range}");
        let said = format!("bytes {start}-{}/3000000", end - 1);
        assert_eq!(answer.header("content-range"), Some(said.as_str()));
    }
    let beyond = part(&mut connection, "3000000-");
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */3000000")));
    // A client that does not read holds up nobody.
    let mut slow = Connection::open(pointsman.http());
    for _ in 0..20 {
        slow.write(b"GET /large.bin HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
    }
    assert_eq!(get(pointsman.http(), "/docs/").text(), "docs");
    for _ in 0..20 {
        assert_eq!(slow.answer(false).body.len(), body.len());
    }
}

#[test]
fn all_of_it_goes_over_http2_too() {
    let origin = telling();
    let dir = tempfile::tempdir().expect("a directory");
    folder(dir.path());
    let routes = format!(
        r#"
        [[listeners]]
        address = "127.0.0.1:0"
        h2c = true
        [headers]
        response = {{ set = {{ "X-Frame-Options" = "DENY" }} }}
        request = {{ set = {{ Host = "app.internal" }} }}
        [[routes]]
        path = "= /redirect"
        redirect = {{ to = "https://$host$request_uri" }}
        [[routes]]
        path = "/files/"
        files = {{ root = "{}", alias = true }}
        [[routes]]
        service = "web""#,
        dir.path().join("www").display()
    );
    let pointsman = Pointsman::start(&site(&origin, &routes));
    let curl = |path: &str, args: &[&str]| {
        let mut command = std::process::Command::new("curl");
        command.args(["-s", "--max-time", "20", "--http2-prior-knowledge", "-D", "-"]).args(args);
        let output = command.arg(format!("http://{}{path}", pointsman.http())).output().expect("curl");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let redirected = curl("/redirect?a", &[]);
    assert!(redirected.contains("location: https://127.0.0.1/redirect?a\r\n"), "{redirected}");
    let part = curl("/files/large.bin", &["-r", "0-2999998", "-o", "/dev/null", "-w", "%{size_download}"]);
    assert!(part.starts_with("HTTP/2 206") && part.ends_with("2999999"), "{part}");
    let posted = curl("/files/", &["-d", "x=y"]);
    assert!(posted.starts_with("HTTP/2 405") && posted.contains("allow: GET, HEAD"), "{posted}");
    let proxied = curl("/", &[]);
    assert!(proxied.contains("x-frame-options: DENY") && proxied.ends_with("ok"), "{proxied}");
    assert_eq!(origin.last().header("host"), Some("app.internal"));
    assert_eq!(origin.last().header("x-forwarded-port"), Some(pointsman.http().port().to_string().as_str()));
}

#[test]
fn nothing_outside_the_folder_is_served_and_nothing_hidden() {
    let pointsman = serving_files();
    for path in [
        "/../secret.txt",
        "/docs/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/docs/%2e%2e/%2e%2e/secret.txt",
        "/static/../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static..%2fsecret.txt",
        "/..%5csecret.txt",
        "/out.txt",
        "/out.txt%00.css",
        "/.htpasswd",
        "/%2ehtpasswd",
        "/static/.htpasswd",
        "/docs/none",
        "/index.html/none",
        "//secret.txt",
        "/etc/passwd",
    ] {
        let answer = ask(&pointsman, &format!("GET {path}"), "");
        assert!(matches!(answer.status, 400 | 403 | 404), "{path}: {}", answer.status);
        assert!(!answer.text().contains("secret\n") && answer.text() != "secret", "{path}");
    }
    assert_eq!(ask(&pointsman, "GET /out.txt", "").status, 403);
    assert_eq!(ask(&pointsman, "GET /docs/none", "").status, 404);
}

#[test]
fn a_site_may_have_no_service_at_all() {
    let route = |body: &str| format!("[[routes]]\nreply = {{ body = \"{body}\" }}\n");
    let pointsman = Pointsman::start(&route("one"));
    assert_eq!(get(pointsman.http(), "/").text(), "one");
    pointsman.configure(&route("two"));
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    eventually("the new route counts", || get(pointsman.http(), "/").text() == "two");
}
