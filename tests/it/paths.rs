//! What becomes of a request's path: prefixes taken off and replaced, rules, and what answers where there is
//! no file.

use super::harness::{Answer, Connection, Origin, Pointsman, Reaction, eventually, get, send};
use std::path::Path;

/// A site of these routes, with `web` before an origin.
fn site(origin: &Origin, routes: &str) -> String {
    format!("{routes}\n[services.web]\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n", origin.address)
}

fn ask(pointsman: &Pointsman, line: &str) -> Answer {
    send(pointsman.http(), &format!("{line} HTTP/1.1\r\nHost: shop.example\r\n\r\n"))
}

/// What the upstream is asked for.
fn reaches(pointsman: &Pointsman, origin: &Origin, path: &str) -> String {
    let answer = ask(pointsman, &format!("GET {path}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    origin.last().path().to_owned()
}

#[test]
fn a_prefix_is_taken_off_or_replaced_on_the_way_to_the_upstream() {
    let origin = Origin::named("web");
    let routes = r#"
        [access_log]
        path = "access.log"
        [[routes]]
        path = "/api"
        service = "web"
        strip_prefix = "/api"
        [[routes]]
        path = "/old/"
        service = "web"
        path_to = "/new%20place/"
        [[routes]]
        path = "= /one"
        service = "web"
        path_to = "/two"
        [[routes]]
        service = "web""#;
    let pointsman = Pointsman::start(&site(&origin, routes));
    for (path, expected) in [
        ("/api/users?q=1&r=%2F", "/users?q=1&r=%2F"),
        ("/api", "/"),
        ("/api?", "/"),
        ("/api/a%20b%3Fc%23d%25", "/a%20b%3Fc%23d%25"),
        ("/apis", "/apis"),
        ("/%61pi//x/./y", "/x/y"),
        ("/old/x/", "/new%20place/x/"),
        ("/old/%0d%0aX:%20y", "/new%20place/%0D%0AX:%20y"),
        ("/one?a", "/two?a"),
        ("/other//x?a", "/other//x?a"),
    ] {
        assert_eq!(reaches(&pointsman, &origin, path), expected, "{path}");
    }
    let asked = origin.requests();
    for path in ["/api/../../x", "/old/%2e%2e/%2e%2e/%2e%2e/x", "/api/%00"] {
        assert_eq!(ask(&pointsman, &format!("GET {path}")).status, 400, "{path}");
    }
    assert_eq!(origin.requests(), asked);
    let log = pointsman.dir.path().join("access.log");
    let logged = || std::fs::read_to_string(&log).unwrap_or_default();
    eventually("the log says what was asked", || logged().contains("\"uri\":\"/api/users?q=1&r=%2F\""));
    assert!(!logged().contains("\"/users"), "{}", logged());
}

#[test]
fn rules_change_paths_choose_routes_and_send_away() {
    let origin = Origin::named("web");
    let routes = r#"
        [[routes]]
        path = "/shop/"
        service = "web"
        path_to = "/store/"
        rewrite = [
          { match = '^/shop/item/(\d+)$', to = "/item?id=$1" },
          { match = '^/shop/search/(.*)$', to = "/search?q=$1?" },
          { match = '^/shop/go/(.*)$', to = "/elsewhere/$1", then = "route" },
          { match = '^/shop/v(\d)/(.*)$', to = "/shop/$2", then = "next" },
          { match = '^/shop/(.*)/$', to = "/shop/$1", status = 308 },
          { match = '(?s)^/shop/out/(.*)$', to = "https://$host/$1?", status = 302 },
        ]
        [[routes]]
        path = "/elsewhere/"
        reply = { body = "elsewhere" }
        [[routes]]
        path = "/hosts/"
        service = "web"
        rewrite = [{ match = "^", to = "/$host$path" }]"#;
    let pointsman = Pointsman::start(&site(&origin, routes));
    for (path, expected) in [
        ("/shop/item/7", "/item?id=7"),
        ("/shop/item/7?a=b", "/item?id=7&a=b"),
        ("/shop/search/a%26b?x", "/search?q=a%26b"),
        ("/shop/item/x", "/store/item/x"),
        ("/hosts/a", "/shop.example/hosts/a"),
    ] {
        assert_eq!(reaches(&pointsman, &origin, path), expected, "{path}");
    }
    assert_eq!(ask(&pointsman, "GET /shop/go/x").text(), "elsewhere");
    assert_eq!(reaches(&pointsman, &origin, "/shop/v2/item/9"), "/item?id=9", "the rules see the new path");
    for (path, status, location) in [
        ("/shop/a%20b/?q", 308, "/shop/a%20b?q"),
        ("/shop/out/%0d%0aSet-Cookie:a?q", 302, "https://shop.example/%0D%0ASet-Cookie:a"),
        ("/shop/out//evil.example", 302, "https://shop.example/evil.example"),
    ] {
        let answer = ask(&pointsman, &format!("GET {path}"));
        assert_eq!((answer.status, answer.header("location")), (status, Some(location)), "{path}");
    }
}

#[test]
fn rules_come_to_an_end_and_lead_on_nobody_whom_their_route_is_not_for() {
    let origin = Origin::named("web");
    let routes = r#"
        [[routes]]
        path = "/elsewhere/"
        reply = { body = "elsewhere" }
        [[routes]]
        path = "/hosts/"
        service = "web"
        rewrite = [{ match = "^", to = "/$host$path" }]
        [[routes]]
        path = "/loop"
        service = "web"
        rewrite = [{ match = "^/loop", to = "/loop", then = "route" }]
        [[routes]]
        path = '~ ^/c/(\d)'
        service = "web"
        rewrite = [{ match = '^/c/0$', to = "/end" }, { match = '^/c/(.*)0$', to = "/c/$1", then = "route" }]
        [[routes]]
        path = "/denied/"
        service = "web"
        deny_from = ["127.0.0.0/8"]
        rewrite = [{ match = "^", to = "/elsewhere/", then = "route" }]"#;
    let pointsman = Pointsman::start(&site(&origin, routes));
    assert_eq!(reaches(&pointsman, &origin, "/c/00000000000"), "/end", "ten changes are followed");
    let asked = origin.requests();
    assert_eq!(ask(&pointsman, "GET /loop").status, 500, "it never ends");
    assert_eq!(ask(&pointsman, "GET /c/000000000000").status, 500, "and no more");
    assert_eq!(ask(&pointsman, "GET /denied/x").status, 403, "no rule leads on whom its route is not for");
    let climbing = send(pointsman.http(), "GET /hosts/a HTTP/1.1\r\nHost: ..\r\n\r\n");
    assert_eq!(climbing.status, 400);
    assert_eq!(origin.requests(), asked);
}

/// The same over HTTP/2 from the client, with a body and with another attempt.
#[test]
fn a_rewritten_request_keeps_everything_else() {
    let origin = Origin::new(|request| match request.path() {
        "/first" => Reaction::Close,
        _ => Reaction::Echo,
    });
    let second = Origin::new(|_| Reaction::Echo);
    let routes = r#"
        [[listeners]]
        address = "127.0.0.1:0"
        h2c = true
        [headers]
        request = { set = { "X-Asked" = "$request_uri" } }
        [[routes]]
        path = "/api/"
        service = "web"
        path_to = "/""#;
    let text = format!(
        "{routes}\n[services.web]\n[services.web.pools.blue]\nupstreams = [\"{}\", \"{}\"]\n",
        origin.address, second.address
    );
    let pointsman = Pointsman::start(&text);
    let output = std::process::Command::new("curl")
        .args(["-s", "--max-time", "20", "--http2-prior-knowledge", "--data-binary", "the body"])
        .arg(format!("http://{}/api/echo?x=1", pointsman.http()))
        .output()
        .expect("curl");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "the body");
    let told =
        [&origin, &second].into_iter().find(|origin| origin.requests() > 0).expect("one of them").last();
    assert_eq!((told.path(), told.header("x-asked")), ("/echo?x=1", Some("/api/echo?x=1")));
    let host = pointsman.http().to_string();
    assert_eq!(told.header("host"), Some(host.as_str()));
    for _ in 0..4 {
        assert_eq!(get(pointsman.http(), "/api/first").status, 200, "the other upstream answers");
    }
    assert_eq!(second.last().path(), "/first");
    let whole = send(pointsman.http(), "GET http://a.example/api/x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    assert_eq!(whole.status, 200);
    let told = [&origin, &second].map(|origin| origin.last()).into_iter().find(|told| told.path() == "/x");
    assert_eq!(told.expect("it came").header("host"), Some("a.example"));
}

#[test]
fn places_that_name_the_upstream_become_the_sites() {
    let origin = Origin::new(|request| {
        let place = request.path().split_once("to=").map_or("", |(_, place)| place);
        Reaction::Raw(
            format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n").into_bytes(),
        )
    });
    let routes = r#"
        [[routes]]
        path = "/api/"
        service = "web"
        path_to = "/v2/"
        relocate = [{ from = "http://app/v2/", to = "/api/" }, { from = "http://app", to = "$scheme://$host" }]"#;
    let pointsman = Pointsman::start(&site(&origin, routes));
    for (place, expected) in [
        ("http://app/v2/x?y", "/api/x?y"),
        ("http://app/v2//evil.example", "/api/evil.example"),
        ("http://app/v3/x", "http://shop.example/v3/x"),
        ("http://other/v2/x", "http://other/v2/x"),
        ("/v2/x", "/v2/x"),
    ] {
        let answer = ask(&pointsman, &format!("GET /api/?to={place}"));
        assert_eq!((answer.status, answer.header("location")), (302, Some(expected)), "{place}");
    }
}

/// A folder of a single page application.
fn folder(at: &Path) {
    let www = at.join("www");
    std::fs::create_dir_all(www.join("assets")).expect("a folder");
    for (name, body) in [
        ("index.html", "the application"),
        ("assets/app.js", "run()"),
        ("assets/index.html", "assets"),
        (".env", "secret"),
    ] {
        std::fs::write(www.join(name), body).expect("a file");
    }
}

fn serving(origin: &Origin, routes: &str) -> Pointsman {
    let dir = tempfile::tempdir().expect("a directory");
    folder(dir.path());
    let text = format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n{}",
        site(origin, &format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{routes}"))
    );
    std::fs::write(dir.path().join("pointsman.toml"), text).expect("a file");
    Pointsman::start_in(dir)
}

#[test]
fn a_path_without_a_file_is_answered_by_another_path() {
    let origin = Origin::named("web");
    let routes = r#"
        [rate_limits.few]
        rate = "1/m"
        burst = 20
        [[routes]]
        path = "/"
        files = { root = "www", fallback = "/index.html" }
        limits = { rates = ["few"] }
        [[routes]]
        path = "= /index.html"
        files = { root = "www" }
        limits = { rates = ["few"] }
        headers = { response = { set = { "Cache-Control" = "no-cache" } } }
        [[routes]]
        path = "/php/"
        files = { root = "www", fallback = "/run?path=$path&$args" }
        [[routes]]
        path = "/run"
        service = "web"
        [[routes]]
        path = "/status/"
        files = { root = "www", alias = true, fallback = 410, folders = false }
        [[routes]]
        path = "/loop/"
        files = { root = "www", fallback = "/loop/" }"#;
    let pointsman = serving(&origin, routes);
    let application = (200, "the application".to_owned());
    for (line, expected) in [
        ("GET /", application.clone()),
        ("GET /cart/7?a", application.clone()),
        ("GET /.env", application.clone()),
        ("GET /assets/app.js", (200, "run()".to_owned())),
        ("GET /assets/", (200, "assets".to_owned())),
        ("GET /status/index.html", application.clone()),
    ] {
        let answer = ask(&pointsman, line);
        assert_eq!((answer.status, answer.text()), expected, "{line}");
    }
    let answer = ask(&pointsman, "GET /cart");
    assert_eq!(answer.header("cache-control"), Some("no-cache"), "the route for the other path answers");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(ask(&pointsman, "GET /").header("cache-control"), Some("no-cache"), "and for the index");
    assert_eq!(ask(&pointsman, "GET /assets/").header("cache-control"), None);
    assert_eq!(ask(&pointsman, "HEAD /cart").header("content-length"), Some("15"));
    for (line, status) in [
        ("GET /assets", 301),
        ("GET /status/none", 410),
        ("GET /status/assets", 410),
        ("GET /status/assets/", 410),
        ("GET /status/", 410),
        ("GET /loop/x", 500),
        ("GET /cart/../../x", 400),
    ] {
        assert_eq!(ask(&pointsman, line).status, status, "{line}");
    }
    assert_eq!(ask(&pointsman, "GET /php/a%20b?c=d").status, 200);
    assert_eq!(origin.last().path(), "/run?path=/php/a%20b&c=d");
    // Twenty so far: were each counted by both of its routes, there would have been no room for as many.
    assert!((0..10).all(|_| ask(&pointsman, "GET /cart").status == 200), "counted once");
    assert!((0..40).any(|_| ask(&pointsman, "GET /cart").status == 429), "and counted");
}

#[test]
fn a_path_without_a_file_is_answered_by_a_service() {
    let origin = Origin::new(|request| match request.path() {
        "/teapot" => Reaction::Answer(418, "tea".to_owned()),
        _ => Reaction::Echo,
    });
    let routes = r#"
        [[routes]]
        path = "/"
        files = { root = "www", fallback = "@app" }
        [[routes]]
        path = "@app"
        service = "web"
        strip_prefix = "/base"
        headers = { response = { set = { "X-By" = "app" } } }
        limits = { body = "10" }"#;
    let pointsman = serving(&origin, routes);
    assert_eq!(ask(&pointsman, "GET /assets/app.js").text(), "run()");
    assert_eq!(origin.requests(), 0);
    let teapot = ask(&pointsman, "GET /teapot");
    assert_eq!((teapot.status, teapot.header("x-by")), (418, Some("app")));
    assert_eq!(
        reaches(&pointsman, &origin, "/a//b%2Fc?d"),
        "/a//b%2Fc?d",
        "what is kept stays as it was sent"
    );
    assert_eq!(reaches(&pointsman, &origin, "/base/x"), "/x");
    assert_eq!(reaches(&pointsman, &origin, "/.env"), "/.env", "what is hidden is no file");
    let mut connection = Connection::open(pointsman.http());
    let post = |path: &str, body: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            .into_bytes()
    };
    assert_eq!(connection.send(&post("/form", "a=b")).text(), "a=b", "the body is still there");
    let file = connection.send(&post("/assets/app.js", "a=b"));
    assert_eq!((file.status, file.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!(connection.get("/assets/app.js").text(), "run()", "the connection goes on");
    assert_eq!(connection.send(&post("/form", "longer than ten")).status, 413);
    let on = pointsman.call("PUT", "/v1/maintenance", r#"{"status": "maintenance"}"#);
    assert_eq!(on.status, 200);
    assert_eq!(ask(&pointsman, "GET /x").status, 503, "maintenance is of the service");
    assert_eq!(ask(&pointsman, "GET /assets/app.js").status, 200);
}

#[test]
fn a_path_with_a_name_is_nobodys_to_ask_for() {
    let origin = Origin::named("web");
    let routes = r#"
        [[routes]]
        path = "/files/"
        files = { root = "www", fallback = "@app" }
        [[routes]]
        path = "@app"
        service = "web""#;
    let pointsman = serving(&origin, routes);
    assert_eq!(ask(&pointsman, "GET /@app").status, 404);
    // It asks the server itself, and not a route.
    assert_eq!(send(pointsman.http(), "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
    assert_eq!(ask(&pointsman, "GET /files/x").text(), "web");
}
