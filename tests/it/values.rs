//! Texts with variables, values and look-ups, where each of them counts.

mod bounds;

use super::harness::{Answer, Origin, Pointsman, Printed, Reaction, send};
use std::collections::BTreeSet;
use std::process::Command;

const LISTENER: &str =
    "[[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\nh2c = true\n";

fn start(origin: &Origin, config: &str) -> Pointsman {
    let pool = format!("[services.web.pools.blue]\nupstreams = [\"{}\"]\n", origin.address);
    Pointsman::start(&format!("{LISTENER}{config}\n{pool}"))
}

fn ask(pointsman: &Pointsman, line: &str, headers: &str) -> Answer {
    let headers =
        if headers.contains("Host: ") { headers.to_owned() } else { format!("Host: a.example\r\n{headers}") };
    send(pointsman.http(), &format!("{line} HTTP/1.1\r\n{headers}\r\n"))
}

const SITE: &str = r#"
[values]
site = "$scheme://$host"
greeting = "hello from ${site}/, $app"
[maps.app]
of = "$host"
values = { "a.example" = "shop", "*.beta.example" = "beta", "mail.*" = "mail", '~^(?<name>[a-z]+)[.]dev$' = "dev-$name-$1" }
default = "none"
[maps.office]
of = "$remote_addr"
values = { "10.0.0.0/8" = "office", "10.6.0.0/16" = "" }
[maps.caching]
of = "$sent_http_content_type"
values = { "text/plain" = "max-age=60", "~^image/" = "max-age=3600" }
[maps.moved]
of = "$path"
values = { "/old" = "/new?x=1", '~^/blog/(\d+)$' = "/posts/$1", "/away" = "https://other.example/" }
[[routes]]
first = true
when = { value = { of = "$moved" } }
redirect = { to = "$moved", status = 302 }
[[routes]]
path = "= /hello"
reply = { status = 200, body = "$greeting for $arg_name by $request_method\n" }
[[routes]]
path = "/"
service = "web"
[routes.headers.request]
set = { X-App = "$app", X-Office = "$office", X-Agent = "$http_user_agent/$cookie_plan/$arg_q" }
[routes.headers.response]
set = { Cache-Control = "$caching", X-Was = "$status $sent_http_content_type $pool" }
[services.web]
"#;

/// What a request says, and what the configuration makes of it, in header fields both ways, replies and redirects.
#[test]
fn values_and_maps_are_filled_in_wherever_they_stand() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nweb";
    let origin = Origin::new(|_| Reaction::Raw(answer.to_vec()));
    let pointsman = start(&origin, SITE);
    let answer = ask(
        &pointsman,
        "GET /x?q=a%20b",
        "User-Agent: curl\r\nCookie: a=b; plan=gold\r\nX-Forwarded-For: 10.1.2.3\r\n",
    );
    assert_eq!(answer.header("x-was"), Some("200 text/plain blue"));
    assert_eq!(answer.header("cache-control"), Some("max-age=60"));
    let asked = origin.last();
    assert_eq!(asked.header("x-app"), Some("shop"));
    assert_eq!(asked.header("x-office"), Some("office"));
    assert_eq!(asked.header("x-agent"), Some("curl/gold/a%20b"));
    // A look-up that says nothing sets nothing, and takes off what the client has written.
    ask(&pointsman, "GET /x", "X-Forwarded-For: 10.6.2.3\r\nX-Office: forged\r\n");
    assert_eq!(origin.last().header("x-office"), None);
    for (host, app) in
        [("X.beta.example", "beta"), ("mail.org", "mail"), ("shop.dev", "dev-shop-shop"), ("b", "none")]
    {
        ask(&pointsman, "GET /x", &format!("Host: {host}\r\n"));
        assert_eq!(origin.last().header("x-app"), Some(app), "{host}");
    }
    assert_eq!(
        ask(&pointsman, "GET /hello?name=you", "").text(),
        "hello from http://a.example/, shop for you by GET\n"
    );
    for (path, place) in
        [("/old", "/new?x=1"), ("/blog/12", "/posts/12"), ("/away", "https://other.example/")]
    {
        let answer = ask(&pointsman, &format!("GET {path}"), "");
        assert_eq!((answer.status, answer.header("location")), (302, Some(place)), "{path}");
    }
    assert_eq!(ask(&pointsman, "GET /blog/x", "").status, 200);
    let url = format!("http://{}/hello?name=h2", pointsman.http());
    let curl =
        Command::new("curl").args(["-s", "--http2-prior-knowledge", "-H", "Host: shop.dev", &url]).output();
    let text = String::from_utf8(curl.expect("curl").stdout).expect("text");
    assert_eq!(text, "hello from http://shop.dev/, dev-shop-shop for h2 by GET\n");
    // Another look-up is in effect after a reload.
    let config = std::fs::read_to_string(pointsman.dir.path().join("pointsman.toml")).expect("a file");
    pointsman.configure(&config.replace("\"mail.*\" = \"mail\"", "\"mail.*\" = \"post\""));
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    ask(&pointsman, "GET /x", "Host: mail.org\r\n");
    assert_eq!(origin.last().header("x-app"), Some("post"));
}

/// What an answer may say of the upstream that gave it, and of one that gave none.
#[test]
fn answers_say_what_their_upstream_did() {
    let origin = Origin::new(|request| match request.path() {
        "/cut" => Reaction::Close,
        _ => Reaction::Answer(404, "none".into()),
    });
    let routes = r#"
        [[routes]]
        service = "web"
        [routes.headers.response]
        set = { X-By = "$upstream_addr", X-Code = "$upstream_status", X-Head = "$upstream_header_time", X-Whole = "$upstream_response_time", X-Connect = "$upstream_connect_time" }
        [services.web]"#;
    let pointsman = start(&origin, routes);
    let address = origin.address.to_string();
    for _ in 0..2 {
        let answer = ask(&pointsman, "GET /", "");
        assert_eq!(answer.header("x-by"), Some(&*address));
        assert_eq!((answer.status, answer.header("x-code")), (404, Some("404")));
        for name in ["x-head", "x-whole", "x-connect"] {
            let value = answer.header(name).unwrap_or_default();
            let is_time = value.split_once('.').is_some_and(|(s, ms)| {
                s.parse::<u64>().is_ok_and(|s| s < 60) && ms.len() == 3 && ms.parse::<u64>().is_ok()
            });
            assert!(is_time, "{name}: {value}");
        }
    }
    let answer = ask(&pointsman, "GET /cut", "");
    assert_eq!((answer.status, answer.header("x-by")), (502, Some(&*address)));
    assert_eq!([answer.header("x-code"), answer.header("x-head")], [None, None]);
}

/// What a client writes into a text becomes neither another field, nor another line, nor another host.
#[test]
fn what_clients_write_stays_where_it_stands() {
    let origin = Origin::named("web");
    let routes = r#"
        [maps.next]
        of = "$arg_next"
        values = { '~^(.+)$' = "$1" }
        [[routes]]
        path = "= /go"
        redirect = { to = "$next" }
        [[routes]]
        path = "/r/"
        redirect = { to = "https://$http_host/x?from=$path" }
        [[routes]]
        service = "web"
        headers = { request = { set = { X-Got = "$arg_v" } }, response = { set = { X-Got = "$http_x_v" } } }
        [services.web]"#;
    let pointsman = start(&origin, routes);
    for (target, status, place) in [
        ("/go?next=//evil.example", 400, None),
        ("/go?next=/%5cevil", 301, Some("/%5cevil")),
        ("/go?next=/fine", 301, Some("/fine")),
        ("/go", 400, None),
        ("/r/%0d%0aX:y", 301, Some("https://a.example/x?from=/r/%0d%0aX:y")),
    ] {
        let answer = ask(&pointsman, &format!("GET {target}"), "");
        assert_eq!((answer.status, answer.header("location")), (status, place), "{target}");
    }
    let answer = ask(&pointsman, "GET /x?v=%0d%0aX-Evil:1", "X-V: \u{e9}\r\n");
    assert_eq!(origin.last().header("x-got"), Some("%0d%0aX-Evil:1"));
    assert_eq!((answer.header("x-evil"), answer.status), (None, 200));
}

/// Conditions of texts and files, and the contrary of each; routes that come first, and those that lead onward.
#[test]
fn routes_that_come_first_are_asked_before_all_paths() {
    let origin = Origin::named("web");
    let routes = r#"
        [[routes]]
        path = "= /exact"
        reply = { status = 200, body = "exact" }
        [[routes]]
        first = true
        when = { value = { of = "$http_user_agent", matches = "(?i)badbot" } }
        deny = true
        [[routes]]
        first = true
        when = { file = { path = "down.on" }, networks = ["10.0.0.0/8"] }
        reply = { status = 503, body = "down" }
        [[routes]]
        first = true
        hosts = ["a.example"]
        when = { value = [{ of = "$arg_v", equals = "1" }, { of = "$request_method", matches = "^(GET|HEAD)$" }] }
        onward = true
        rewrite = [{ match = '^/v1/(.*)$', to = "/v2/$1" }]
        [[routes]]
        first = true
        onward = true
        rewrite = [{ match = '^/v2/gone$', to = "/exact", then = "route" }]
        [[routes]]
        first = true
        when = { value = { of = "$path", equals = "/kept/page.html" } }
        deny = true
        [[routes]]
        path = "/files/"
        files = { root = ".", fallback = "/kept/page.html" }
        [[routes]]
        path = "/v2/"
        reply = { status = 200, body = "second" }
        [[routes]]
        path = "/"
        when = { cookie = { name = "sid", not = true }, query = { name = "in", not = true } }
        reply = { status = 401, body = "no cookie" }
        [[routes]]
        service = "web"
        [services.web]"#;
    let pointsman = start(&origin, routes);
    let body = |line: &str, headers: &str| ask(&pointsman, line, headers).text();
    assert_eq!(body("GET /exact", ""), "exact");
    assert_eq!(ask(&pointsman, "GET /exact", "User-Agent: my BADBOT\r\n").status, 403);
    assert_eq!(body("GET /v1/x?v=1", ""), "second");
    assert_eq!(body("GET /v1/x?v=2", ""), "no cookie");
    assert_eq!(body("GET /v1/x?v=1", "Host: b.example\r\n"), "no cookie");
    assert_eq!(body("GET /v1/gone?v=1", ""), "exact", "the second sees what the first has made");
    assert_eq!(body("DELETE /v1/x?v=1", "Cookie: sid=1\r\n"), "web");
    assert_eq!(body("GET /x?in", ""), "web");
    assert_eq!(ask(&pointsman, "GET /files/none", "").status, 403, "what files lead to is asked, too");
    let office = "X-Forwarded-For: 10.0.0.1\r\n";
    assert_eq!(body("GET /exact", office), "exact");
    std::fs::write(pointsman.dir.path().join("down.on"), "").expect("a file");
    assert_eq!((body("GET /exact", office), body("GET /exact", "")), ("down".into(), "exact".into()));
    std::fs::remove_file(pointsman.dir.path().join("down.on")).expect("a file");
    assert_eq!(body("GET /exact", office), "exact");
}

/// Hosts by the end of their names and by patterns, with look-around.
#[test]
fn hosts_are_found_by_pattern() {
    let origin = Origin::named("web");
    let reply = |hosts: &str, body: &str| {
        format!("[[routes]]\nhosts = [{hosts}]\nreply = {{ status = 200, body = \"{body}\" }}\n")
    };
    let routes = [
        reply("'~^(?!www)[a-z]+[.]shop[.]example$'", "pattern"),
        reply("\"app.*\"", "app"),
        reply("\"*.shop.example\"", "any shop"),
        reply("\"www.shop.example\"", "www"),
        reply("'~[.]eu$'", "eu"),
    ];
    let pointsman =
        start(&origin, &format!("{}[[routes]]\nservice = \"web\"\n[services.web]\n", routes.concat()));
    for (host, body) in [
        ("WWW.shop.example:81", "www"),
        ("x.shop.example", "any shop"),
        ("app.example", "app"),
        ("App.EU", "app"),
        ("b.EU", "eu"),
        ("other", "web"),
    ] {
        assert_eq!(ask(&pointsman, "GET /", &format!("Host: {host}\r\n")).text(), body, "{host}");
    }
}

/// Rate limits, cohorts, the balancer's hash and rules go by texts.
#[test]
fn keys_of_limits_cohorts_and_hashes_are_texts() {
    let [one, two] = ["one", "two"].map(Origin::named);
    let config = format!(
        r#"{LISTENER}
        [rate_limits.keys]
        rate = "1/m"
        by = "$arg_key"
        [[routes]]
        path = "/limited"
        service = "web"
        limits = {{ rates = ["keys"] }}
        [[routes]]
        path = "/"
        service = "web"
        [[routes]]
        path = "/hash"
        service = "hashed"
        [services.hashed.pools.blue]
        balance = "hash"
        hash_by = "$cookie_session"
        upstreams = ["{one}", "{two}"]
        [services.web]
        stable = "blue"
        cohort = {{ by = "text", of = "$cookie_user" }}
        [[services.web.rules]]
        pool = "green"
        value = {{ of = "$arg_pool", equals = "green" }}
        [services.web.pools.blue]
        upstreams = ["{one}"]
        [services.web.pools.green]
        upstreams = ["{two}"]"#,
        one = one.address,
        two = two.address
    );
    let pointsman = Pointsman::start(&config);
    let status = |target: &str| ask(&pointsman, &format!("GET {target}"), "").status;
    assert_eq!(
        [status("/limited?key=a"), status("/limited?key=a"), status("/limited?key=b")],
        [200, 429, 200]
    );
    assert_eq!([status("/limited"), status("/limited")], [200, 200], "without a key nothing is counted");
    assert_eq!(ask(&pointsman, "GET /?pool=green", "").text(), "two");
    assert_eq!(pointsman.cli(&["weights", "web", "blue=50", "green=50"]).code, 0);
    for (path, cookie) in [("/", "user"), ("/hash", "session")] {
        let of = |user: usize| {
            let answers = (0..5).map(|_| {
                ask(&pointsman, &format!("GET {path}"), &format!("Cookie: {cookie}=u{user}\r\n")).text()
            });
            answers.collect::<BTreeSet<_>>()
        };
        let users: Vec<_> = (0..40).map(of).collect();
        assert!(users.iter().all(|answers| answers.len() == 1), "{path}: each keeps its own");
        let all: BTreeSet<_> = users.into_iter().flatten().collect();
        assert_eq!(all.len(), 2, "{path}: both have users");
    }
}

/// What is wrong with a text is said with its place, and what could stand there.
#[test]
fn faults_of_values_name_the_place_and_the_remedy() {
    let dir = tempfile::tempdir().expect("a directory");
    for (text, expected) in [
        ("[values]\nhost = \"x\"", "values.host: $host is known already"),
        ("[values]\nA = \"x\"", "values.A: a name that texts refer to begins with a letter"),
        (
            "[values]\na = \"$b\"\nb = \"$c\"\nc = \"$a\"",
            "values.a: $a refers to itself, by way of others or at once",
        ),
        ("[values]\na = \"$hots\"", "values.a: $hots is none of $host"),
        ("[values]\na = \"x\"\n[maps.a]\nof = \"$host\"", "maps.a: [values] and [maps] both say what $a is"),
        ("[maps.a]\nvalues = {}", "maps.a.of: is missing; what is looked up?"),
        ("[maps.a]\nof = \"$host\"\nvalues = { '~(' = \"\" }", "maps.a.values.~(: "),
        (
            "[maps.a]\nof = \"$host\"\nvalues = { '~(x)' = \"$2\" }",
            "$2 is a group that the pattern does not have: it has 1",
        ),
        ("[maps.a]\nof = \"$host\"\nvalues = { X = \"\", x = \"\" }", "maps.a.values.x: stands twice"),
        (
            "[maps.s]\nof = \"$status\"\n[headers.request.set]\nX = \"$s\"",
            "$s is known with an answer; here there is none yet",
        ),
        ("[[routes]]\nredirect = { to = \"$http_x\" }", "does not say where to"),
        ("[[routes]]\nonward = true", "onward leads to the routes behind it"),
        (
            "[[routes]]\npath = \"@a\"\nfirst = true\ndeny = true",
            "routes[0].first: has no effect on a route with a name",
        ),
        ("[[routes]]\nhosts = ['~(']\ndeny = true", "routes[0].hosts[0]: "),
        (
            "[[routes]]\nwhen = { value = { of = \"$host\", equal = \"x\" } }\ndeny = true",
            "did you mean equals?",
        ),
    ] {
        let routes = if text.contains("[[routes]]") { "" } else { "[[routes]]\ndeny = true\n" };
        std::fs::write(
            dir.path().join("a.toml"),
            format!("[[listeners]]\naddress = \":80\"\n{text}\n{routes}"),
        )
        .expect("a file");
        let checked = Printed::of(&["check", "--config", "a.toml"], dir.path());
        assert!(checked.code == 1 && checked.err.contains(expected), "{text}: {}", checked.err);
    }
}
