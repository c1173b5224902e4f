//! What texts and patterns do not do, whatever a client sends.

use super::{Origin, ask, start};

/// A path is compared in its plain form, whichever way it is written, and so are keys; written, it is as it was sent.
#[test]
fn no_way_to_write_a_path_is_a_way_around() {
    let origin = Origin::named("web");
    let routes = r#"
        [maps.closed]
        of = "$path"
        values = { "/secret" = "1", '~^/admin(/|$)' = "1" }
        [maps.go]
        of = "$path"
        values = { '~^/go(/.*)$' = "$1" }
        [rate_limits.paths]
        rate = "1/m"
        by = "$path"
        [[routes]]
        first = true
        when = { value = { of = "$path", matches = "^/private" } }
        deny = true
        [[routes]]
        first = true
        when = { value = { of = "$closed" } }
        deny = true
        [[routes]]
        first = true
        when = { value = { of = "$go" } }
        redirect = { to = "$go" }
        [[routes]]
        path = "/limited"
        service = "web"
        limits = { rates = ["paths"] }
        [[routes]]
        service = "web"
        headers = { request = { set = { X-Path = "$path" } } }
        [services.web]"#;
    let pointsman = start(&origin, routes);
    let status = |target: &str| ask(&pointsman, &format!("GET {target}"), "").status;
    for closed in [
        "/private",
        "/%70rivate",
        "//private",
        "/x/../private",
        "/./secret",
        "/secre%74",
        "/%61dmin",
        "/x/%2e%2e/admin/",
    ] {
        assert_eq!(status(closed), 403, "{closed}");
    }
    assert_eq!([status("/public"), status("/secret2"), status("/Admin")], [200, 200, 200]);
    assert_eq!([status("/limited"), status("/l%69mited"), status("//limited")], [200, 429, 429]);
    assert_eq!(status("/a%20b/%C3%A9"), 200);
    assert_eq!(origin.last().header("x-path"), Some("/a%20b/%C3%A9"));
    // What is taken of a path is written as one, and what browsers take for two slashes names no host.
    for (target, place) in [
        ("/go/%2f/evil.example", Some("/evil.example")),
        ("/go/%09/evil.example", Some("/%09/evil.example")),
        ("/go/%5Cevil.example", Some("/%5Cevil.example")),
        ("/go/a%20b%25%3F", Some("/a%20b%25%3F")),
        ("/go/%0d%0aX-A:b", None),
    ] {
        let answer = ask(&pointsman, &format!("GET {target}"), "");
        assert_eq!((answer.header("location"), answer.header("x-a")), (place, None), "{target}");
    }
}

/// A pattern that does not come to an end decides nothing, in neither direction.
#[test]
fn a_pattern_that_takes_too_long_lets_nobody_by() {
    let origin = Origin::named("web");
    let routes = r#"
        [maps.plan]
        of = "$http_x_plan"
        values = { '~^(?=.*gold)' = "gold" }
        default = "none"
        [[routes]]
        first = true
        when = { header = { name = "x-run", matches = '^(?:a|a|(?=a)a)+(?<!b)c$' } }
        reply = { status = 200, body = "runs" }
        [[routes]]
        first = true
        when = { header = { name = "x-not", matches = '^(?:a|a|(?=a)a)+(?<!b)c$', not = true }, query = { name = "not" } }
        reply = { status = 200, body = "does not" }
        [[routes]]
        path = '~ ^/(?!admin)'
        service = "web"
        headers = { response = { set = { X-Plan = "$plan" } } }
        [[routes]]
        deny = true
        [services.web]"#;
    let pointsman = start(&origin, routes);
    let answer = |target: &str, headers: &str| ask(&pointsman, &format!("GET {target}"), headers);
    let long = "a".repeat(64);
    assert_eq!(answer("/x", &format!("X-Run: {long}c\r\n")).text(), "runs");
    assert_eq!(answer("/x", &format!("X-Run: {long}\r\n")).status, 500);
    assert_eq!(answer("/x?not", &format!("X-Not: {long}\r\n")).status, 500);
    assert_eq!((answer("/x", "").text(), answer("/admin", "").status), ("web".to_owned(), 403));
    let deep = "a/".repeat(4200);
    assert_eq!(
        [answer(&format!("/admin/{deep}"), "").status, answer(&format!("/x/{deep}"), "").status],
        [500, 500]
    );
    // On its way back, a request is answered all the same, and the next one is none the worse.
    let wide = format!("X-Plan: gold{}\r\n", "x".repeat(9000));
    for (headers, plan) in [("X-Plan: gold\r\n", "gold"), (&*wide, "none"), ("", "none")] {
        let answer = answer("/x", headers);
        assert_eq!((answer.status, answer.header("x-plan")), (200, Some(plan)));
    }
    assert_eq!(origin.all().len(), 4);
}

/// A request keeps its host where values make none of another; a route that only rewrites leads to internal ones.
#[test]
fn what_values_do_not_say_stays() {
    let origin = Origin::named("web");
    let routes = r#"
        [values]
        inner = "outer $host"
        [maps.tenant]
        of = "$arg_t"
        values = { a = "a.internal", bad = "a b", '~^x' = "${inner}/" }
        [[routes]]
        first = true
        onward = true
        rewrite = [{ match = '^/download/(.*)$', to = "/files/$1" }]
        [[routes]]
        path = "/files/"
        internal = true
        reply = { status = 200, body = "a file" }
        [[routes]]
        service = "web"
        headers = { request = { set = { Host = "$tenant", X-Inner = "$inner" } } }
        [services.web]"#;
    let pointsman = start(&origin, routes);
    for (query, host) in
        [("t=a", "a.internal"), ("t=bad", "a.example"), ("t=x", "a.example"), ("", "a.example")]
    {
        assert_eq!(ask(&pointsman, &format!("GET /?{query}"), "").status, 200);
        assert_eq!(origin.last().header("host"), Some(host), "{query}");
    }
    assert_eq!(ask(&pointsman, "GET /files/x", "").status, 404);
    assert_eq!(ask(&pointsman, "GET /download/x", "").text(), "a file");
    // A text has what it refers to from a reload on, too; a reload with a circle changes nothing.
    let config = std::fs::read_to_string(pointsman.dir.path().join("pointsman.toml")).expect("a file");
    let changed = config.replace("inner = \"outer $host\"", "name = \"new\"\ninner = \"$name $host\"");
    pointsman.configure(&changed);
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    pointsman.configure(&changed.replace("name = \"new\"", "name = \"$inner\""));
    let refused = pointsman.cli(&["reload"]);
    assert!(refused.code == 1 && refused.err.contains("refers to itself"), "{}", refused.err);
    ask(&pointsman, "GET /", "");
    assert_eq!(origin.last().header("x-inner"), Some("new a.example"));
    pointsman.configure(&changed.replace("name = \"new\"", "name = \"newer\""));
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    ask(&pointsman, "GET /", "");
    assert_eq!(origin.last().header("x-inner"), Some("newer a.example"));
}
