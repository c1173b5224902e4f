//! Who may come in on a route: by a password, by the word of a service, or by one of several.

use super::harness::{
    Answer, Connection, Nginx, Origin, Pointsman, Reaction, Received, eventually, run, send,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use std::process::Command;
use tempfile::TempDir;

fn hash(scheme: &str, password: &str) -> String {
    let made = run(Command::new("openssl").args(["passwd", scheme, password]));
    assert_eq!(made.code, 0, "{}", made.err);
    made.out.trim().to_owned()
}

/// Of `secret`, with the cost of 5.
const BCRYPT: &str = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";

fn authorization(user: &str) -> String {
    format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(user))
}

fn ask(pointsman: &Pointsman, path: &str, fields: &str) -> Answer {
    send(pointsman.http(), &format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n"))
}

/// With a file of passwords beside the configuration.
fn with_users(config: &str, users: &str) -> Pointsman {
    let dir = TempDir::new().expect("a folder");
    std::fs::write(dir.path().join("users"), users).expect("written");
    std::fs::write(dir.path().join("pointsman.toml"), super::harness::whole(config)).expect("written");
    Pointsman::start_in(dir)
}

fn upstream(name: &str, origin: &Origin) -> String {
    format!("[services.{name}.pools.blue]\nupstreams = [\"{}\"]\n", origin.address)
}

#[test]
fn a_password_protects_whatever_a_route_leads_to() {
    let origin = Origin::named("app");
    let basic = "basic_auth = { realm = \"a \\\"b\\\"\", file = \"users\" }";
    let config = format!(
        "[[routes]]\nservice = \"web\"\n{basic}\n\
         [[routes]]\npath = \"/reply\"\nreply = {{ body = \"secret\" }}\n{basic}\n\
         [[routes]]\npath = \"/away\"\nredirect = {{ to = \"/there\" }}\n{basic}\n\
         [[routes]]\npath = \"/rewritten\"\nservice = \"web\"\nrewrite = [{{ match = \"^\", to = \"/there\", status = 302 }}]\n{basic}\n\
         [[routes]]\npath = \"/files/\"\nfiles = {{ root = \".\", alias = true, fallback = \"@open\" }}\n{basic}\n\
         [[routes]]\npath = \"@open\"\nservice = \"web\"\n\
         [[routes]]\npath = \"/open\"\nservice = \"web\"\n\
         [access_log]\npath = \"log\"\n{}",
        upstream("web", &origin)
    );
    let users = format!("ana:{BCRYPT}\nbo:{}\ncy:{}\n", hash("-apr1", "geheim"), hash("-6", "päss:wort"));
    let pointsman = with_users(&config, &users);
    for path in ["/", "/reply", "/away", "/rewritten", "/files/users", "/files/none", "/%72eply"] {
        let answer = ask(&pointsman, path, "Accept: application/json\r\n");
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"a \\\"b\\\"\""));
        assert_eq!(answer.json()["status"], 401);
        assert!(answer.header("location").is_none() && !answer.text().contains("secret"));
        for wrong in ["ana:Secret", "ana:", "bo:secret", "nobody:secret", ":", "ana"] {
            assert_eq!(ask(&pointsman, path, &authorization(wrong)).status, 401, "{path} {wrong}");
        }
        let twice = authorization("ana:secret").repeat(2);
        assert_eq!(ask(&pointsman, path, &twice).status, 401, "two lines are none");
        let bearer = "Authorization: Bearer YW5hOnNlY3JldA==\r\n";
        assert_eq!(ask(&pointsman, path, bearer).status, 401, "{path}");
    }
    assert_eq!(origin.requests(), 0, "nothing of it reached the upstream");
    for (path, status) in [
        ("/", 200),
        ("/reply", 200),
        ("/away", 301),
        ("/rewritten", 302),
        ("/files/users", 200),
        ("/files/none", 200),
    ] {
        for right in ["ana:secret", "bo:geheim", "cy:päss:wort"] {
            assert_eq!(ask(&pointsman, path, &authorization(right)).status, status, "{path} {right}");
        }
    }
    assert_eq!(origin.last().header("authorization").map(|line| line.starts_with("Basic ")), Some(true));
    assert_eq!(ask(&pointsman, "/open", "").status, 200);
    let log = || std::fs::read_to_string(pointsman.dir.path().join("log")).unwrap_or_default();
    eventually("the log has names", || {
        log().contains("\"user\":\"ana\"") && log().contains("\"user\":\"nobody\"")
    });
    assert!(!log().contains("secret\"") && !log().contains("geheim"), "and no password");
}

#[test]
fn curl_comes_in_and_a_reload_takes_a_new_file_or_none() {
    let origin = Origin::named("app");
    let config = format!(
        "[[routes]]\nservice = \"web\"\nbasic_auth = {{ realm = \"site\", file = \"users\" }}\n\
         [access_log]\npath = \"log\"\nformat = \"combined\"\n{}",
        upstream("web", &origin)
    );
    let pointsman = with_users(&config, &format!("a b]:{BCRYPT}\n"));
    let curl = |user: &str| {
        let url = format!("http://{}/", pointsman.http());
        run(Command::new("curl").args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-u", user, &url])).out
    };
    assert_eq!((curl("a b]:secret"), curl("a b]:other")), ("200".into(), "401".into()));
    let log = || std::fs::read_to_string(pointsman.dir.path().join("log")).unwrap_or_default();
    eventually("the log has the name", || log().contains("127.0.0.1 - a\\x20b\\x5D ["));
    let users = pointsman.dir.path().join("users");
    std::fs::write(&users, "bo:x\n").expect("written");
    let refused = pointsman.cli(&["reload"]);
    assert_eq!(refused.code, 1);
    let told = format!("{}{}", refused.out, refused.err);
    assert!(told.contains("users:1: has no hash that is known") && told.contains("htpasswd -B"), "{told}");
    assert_eq!(curl("a b]:secret"), "200", "what was in force stays");
    std::fs::write(&users, format!("a b]:{}\nbo:{BCRYPT}\n", hash("-apr1", "new"))).expect("written");
    let taken = pointsman.cli(&["reload"]);
    assert!(taken.code == 0 && taken.out.contains("routes"), "{taken:?}");
    assert_eq!(
        (curl("a b]:secret"), curl("a b]:new"), curl("bo:secret")),
        ("401".into(), "200".into(), "200".into())
    );
}

#[test]
fn a_flood_of_wrong_passwords_keeps_nobody_who_has_shown_the_right_one() {
    let origin = Origin::named("app");
    let config = format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\ngrace = \"5s\"\n\
         [[routes]]\nservice = \"web\"\nbasic_auth = {{ realm = \"site\", file = \"users\" }}\n\
         [[routes]]\npath = \"/open\"\nservice = \"web\"\n{}",
        upstream("web", &origin)
    );
    // A cost of 12 takes a few hundred milliseconds.
    let costly = "$2y$12$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
    let pointsman = with_users(&config, &format!("ana:{BCRYPT}\nbo:{costly}\n"));
    assert_eq!(ask(&pointsman, "/", &authorization("ana:secret")).status, 200);
    let wrong = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", authorization("bo:wrong"));
    let mut flood: Vec<_> = (0..30).map(|_| Connection::open(pointsman.http())).collect();
    flood.iter_mut().for_each(|connection| connection.write(wrong.as_bytes()).expect("written"));
    let right = authorization("ana:secret");
    for _ in 0..50 {
        assert_eq!(ask(&pointsman, "/", &right).status, 200, "what was proven is known");
        assert_eq!(ask(&pointsman, "/open", "").status, 200, "the worker is free");
    }
    let mut statuses: Vec<_> = flood.iter_mut().map(|connection| connection.answer(false).status).collect();
    statuses.sort_unstable();
    // Eight may wait at a time; on a busy machine, for longer than they do, or one after the other.
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert!((1..=20).contains(&count(401)) && count(401) + count(503) == 30, "{statuses:?}");
}

/// A small oauth2-proxy: who has its cookie is signed in.
fn signed_in(request: &Received) -> Reaction {
    let line = |status: &str, fields: &str, body: &str| {
        Reaction::Raw(
            format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes(),
        )
    };
    let (path, query) = request.path().split_once('?').unwrap_or((request.path(), ""));
    match path {
        "/oauth2/auth" if request.header("cookie").is_some_and(|all| all.contains("_oauth2_proxy=ana")) => {
            line(
                "202 Accepted",
                "X-User: ana\r\nX-Groups: a\r\nX-Groups: b\r\nSet-Cookie: _oauth2_proxy=ana2\r\n",
                "",
            )
        }
        "/oauth2/auth" => {
            line("401 Unauthorized", "WWW-Authenticate: Bearer\r\nContent-Type: text/x\r\n", "who?")
        }
        "/oauth2/start" => {
            let back = query.strip_prefix("rd=").unwrap_or("/");
            line(
                "302 Found",
                &format!("Location: /oauth2/callback?state={back}\r\nSet-Cookie: csrf=1\r\n"),
                "",
            )
        }
        "/oauth2/callback" => {
            let state = query.strip_prefix("state=").unwrap_or_default();
            let back = state.replace("%2F", "/").replace("%3F", "?").replace("%3D", "=").replace("%26", "&");
            line("302 Found", &format!("Location: {back}\r\nSet-Cookie: _oauth2_proxy=ana; Path=/\r\n"), "")
        }
        _ => line("404 Not Found", "", ""),
    }
}

fn authorized(more: &str, app: &Origin, sso: &Origin) -> Pointsman {
    Pointsman::start(&format!(
        "[[routes]]\nservice = \"web\"\nauthorize = {{ service = \"sso\", path = \"/oauth2/auth\", forward = [\"X-User\", \"X-Groups\"]{more} }}\n\
         [[routes]]\npath = \"/oauth2/\"\nservice = \"sso\"\n{}{}",
        upstream("web", app),
        upstream("sso", sso)
    ))
}

#[test]
fn curl_signs_in_as_with_oauth2_proxy() {
    let (app, sso) = (Origin::named("app"), Origin::new(signed_in));
    let pointsman = authorized(", signin = \"/oauth2/start?rd=$request_uri\"", &app, &sso);
    let url = format!("http://{}/cart?a=1&b=2", pointsman.http());
    let answer = ask(&pointsman, "/cart?a=1&b=2", "Accept: text/html\r\n");
    assert_eq!((answer.status, answer.header("cache-control")), (302, Some("no-store")));
    assert_eq!(answer.header("location"), Some("/oauth2/start?rd=%2Fcart%3Fa%3D1%26b%3D2"));
    let jar = pointsman.dir.path().join("jar");
    let jar = jar.to_str().expect("text");
    let browse = ["-s", "-L", "-b", jar, "-c", jar, "-H", "Accept: text/html", "-H", "X-User: root"];
    let said = run(Command::new("curl").args(browse).args(["-w", " %{http_code} %{url_effective}", &url]));
    assert_eq!(said.out, format!("app 200 {url}"));
    let received = app.last();
    assert_eq!((received.path(), received.header("x-user")), ("/cart?a=1&b=2", Some("ana")));
    let groups: Vec<_> = received.headers.iter().filter(|(name, _)| name == "x-groups").collect();
    assert_eq!(groups.len(), 2, "{received:?}");
    let kept = std::fs::read_to_string(jar).expect("a jar");
    assert!(kept.contains("ana2"), "the service's cookie came along: {kept}");
    let asked = sso.all().into_iter().rfind(|asked| asked.path() == "/oauth2/auth").expect("it was asked");
    for (name, value) in [
        ("x-original-uri", "/cart?a=1&b=2"),
        ("x-original-method", "GET"),
        ("x-original-url", &url),
        ("x-forwarded-uri", "/cart?a=1&b=2"),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("host", &pointsman.http().to_string()),
        ("x-forwarded-host", &pointsman.http().to_string()),
    ] {
        assert_eq!(asked.header(name), Some(value), "{name}");
    }
}

#[test]
fn only_2xx_lets_pass_and_the_service_alone_says_who_it_is() {
    let (app, sso) = (Origin::named("app"), Origin::new(signed_in));
    let pointsman = authorized("", &app, &sso);
    let refused = ask(&pointsman, "/", "Accept: text/html\r\n");
    assert_eq!((refused.status, refused.text().as_str()), (401, "who?"));
    assert_eq!(
        (refused.header("www-authenticate"), refused.header("content-type")),
        (Some("Bearer"), Some("text/x"))
    );
    for (answer, expected) in [
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", 403),
        ("HTTP/1.1 302 Found\r\nLocation: https://sso.example/\r\nContent-Length: 0\r\n\r\n", 302),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", 500),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 500),
        ("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", 500),
        ("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n", 500),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 500),
        ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 500),
        ("SSH-2.0-x\r\n", 500),
    ] {
        sso.react(move |_| Reaction::RawThenClose(answer.into()));
        let got = ask(&pointsman, "/", "");
        assert_eq!(got.status, expected, "{answer}");
    }
    sso.react(|_| Reaction::Close);
    assert_eq!(ask(&pointsman, "/", "").status, 500);
    // Its head is its word, whatever becomes of the body.
    for cut in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz",
    ] {
        sso.react(move |_| Reaction::RawThenClose(cut.into()));
        assert_eq!(ask(&pointsman, "/let", "").status, 200, "{cut}");
    }
    assert_eq!(app.requests(), 2);
    let large = "y".repeat(300_000);
    sso.react(move |_| Reaction::Answer(403, large.clone()));
    let got = ask(&pointsman, "/", "");
    assert!(got.status == 403 && got.body.len() < 1000, "a page of ours in place of what is too large");
    assert_eq!(app.requests(), 2, "nobody else came in");
    // In every spelling, named as for one connection only, and of two lines.
    sso.react(|_| Reaction::Raw(b"HTTP/1.1 200 OK\r\nX-User: ana\r\nContent-Length: 0\r\n\r\n".to_vec()));
    let forged = "X-User: root\r\nx-user: root\r\nX_User: root\r\nX.User: root\r\nX-Groups: admin\r\nConnection: x-user, x-groups\r\n";
    assert_eq!(ask(&pointsman, "/", forged).status, 200);
    let received = app.last();
    let said: Vec<_> = received.headers.iter().filter(|(name, _)| name.contains("user")).collect();
    assert_eq!(said, [&("x-user".to_owned(), "ana".to_owned())], "{received:?}");
    assert_eq!(received.header("x-groups"), None, "what the service does not say, nobody does");
}

#[test]
fn a_body_waits_for_the_word_and_does_not_go_to_the_service() {
    let (app, sso) = (Origin::named("app"), Origin::named("yes"));
    let pointsman = authorized("", &app, &sso);
    let mut connection = Connection::open(pointsman.http());
    for _ in 0..3 {
        let request = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nIf-None-Match: \"x\"\r\nRange: bytes=0-1\r\n\r\nbody";
        assert_eq!(connection.send(request.as_bytes()).status, 200);
        let asked = sso.last();
        assert!(asked.line == "GET /oauth2/auth HTTP/1.1" && asked.body.is_empty(), "{asked:?}");
        for name in ["content-length", "transfer-encoding", "if-none-match", "range"] {
            assert_eq!(asked.header(name), None, "{name}");
        }
        assert_eq!(asked.header("x-original-method"), Some("POST"));
        assert_eq!(
            (app.last().body.as_slice(), app.last().header("range")),
            (&b"body"[..], Some("bytes=0-1"))
        );
    }
    assert!(sso.connections() < 3, "connections to the service are kept: {}", sso.connections());
    // It refuses before the body has come: the client hears it all the same.
    sso.react(|_| Reaction::Answer(403, "no".into()));
    let mut waits = Connection::open(pointsman.http());
    let request = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    waits.write(request.as_bytes()).expect("written");
    assert_eq!(waits.head().expect("a head").status, 403, "and no 100 before it");
}

#[test]
fn another_upstream_is_asked_and_what_the_service_does_is_counted() {
    let (app, good, bad) = (Origin::named("app"), Origin::named("yes"), Origin::new(|_| Reaction::Close));
    let pointsman = Pointsman::start(&format!(
        "[[routes]]\nservice = \"web\"\nauthorize = {{ service = \"sso\" }}\n{}\
         [services.sso.pools.blue]\nupstreams = [\"{}\", \"{}\"]\nhealth = false\npassive = {{ max_fails = 0 }}\n",
        upstream("web", &app),
        bad.address,
        good.address
    ));
    assert!((0..6).all(|_| ask(&pointsman, "/", "").status == 200));
    let counted = |name: &str, label: &str| {
        let text = pointsman.get("/metrics").text();
        let is_it =
            |line: &&str| line.starts_with(name) && line.contains("service=\"sso\"") && line.contains(label);
        let lines: Vec<_> = text.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next()).collect();
        lines.iter().filter_map(|count| count.parse::<f64>().ok()).sum::<f64>()
    };
    eventually("both are counted", || {
        counted("pointsman_requests_total", "2xx") == 6.0
            && bad.requests() > 0
            && counted("pointsman_attempt_failures_total", "reset") == bad.requests() as f64
    });
    assert_eq!(counted("pointsman_in_flight", ""), 0.0, "and none is under way");
}

#[test]
fn nginx_is_asked_by_http_2_and_one_thing_may_be_enough() {
    let dir = TempDir::new().expect("a folder");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|held| held.local_addr()).expect("a port");
    std::fs::write(
        dir.path().join("nginx.conf"),
        format!(
            "events {{ worker_connections 64; }}\nhttp {{\naccess_log off;\nserver {{\nlisten {port} http2;\n\
             location = /check {{ if ($http_x_key = \"k\") {{ return 204; }} return 401; }}\n}}\n}}\n"
        ),
    )
    .expect("written");
    let nginx = Nginx::serve(dir, vec![port]);
    let app = Origin::named("app");
    let pointsman = with_users(
        &format!(
            "[[routes]]\nservice = \"web\"\nsatisfy = \"any\"\nallow = [\"192.0.2.0/24\"]\n\
             basic_auth = {{ realm = \"site\", file = \"users\" }}\nauthorize = {{ service = \"nginx\", path = \"/check\", forward = [\"X-User\"] }}\n\
             [[routes]]\npath = \"/near\"\nservice = \"web\"\nsatisfy = \"any\"\nallow = [\"127.0.0.0/8\"]\n\
             authorize = {{ service = \"nginx\", path = \"/check\", forward = [\"X-User\"] }}\n\
             [[routes]]\npath = \"/both\"\nservice = \"web\"\nbasic_auth = {{ realm = \"site\", file = \"users\" }}\n\
             authorize = {{ service = \"nginx\", path = \"/check\" }}\n{}\
             [services.nginx.pools.blue]\nhttp2 = true\nupstreams = [\"{}\"]\n",
            upstream("web", &app),
            nginx.addresses[0]
        ),
        &format!("ana:{BCRYPT}\n"),
    );
    let (key, password) = ("X-Key: k\r\n", authorization("ana:secret"));
    let both = format!("{key}{password}");
    for (path, fields, status) in [
        ("/", "", 401),
        ("/", key, 200),
        ("/", &*password, 200),
        ("/near", "X-User: root\r\n", 200),
        ("/both", key, 401),
        ("/both", &*password, 401),
        ("/both", &*both, 200),
    ] {
        let answer = ask(&pointsman, path, fields);
        assert_eq!(answer.status, status, "{path} {fields}");
        if path == "/" && status == 401 {
            assert!(
                answer.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Basic"))
            );
        }
    }
    let near = app.all().into_iter().find(|request| request.path() == "/near").expect("a request");
    assert_eq!(near.header("x-user"), None, "nobody asked the service, and no client says it");
}

#[test]
fn a_websocket_is_asked_about_and_then_opened() {
    let app = Origin::new(|_| Reaction::Upgrade);
    let sso = Origin::new(|request| match request.header("upgrade") {
        // One that takes the question itself for a WebSocket says no.
        Some(_) => Reaction::Answer(400, "no".into()),
        None => Reaction::ok("yes"),
    });
    let pointsman = authorized("", &app, &sso);
    let mut connection = Connection::open(pointsman.http());
    let request = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    connection.write(request.as_bytes()).expect("written");
    assert_eq!(connection.head().expect("a head").status, 101);
}

#[test]
fn an_answer_that_does_not_end_lets_pass_by_its_head() {
    let (app, sso) = (Origin::named("app"), Origin::named("yes"));
    let endless = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = endless.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in endless.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx");
            kept.push(stream);
        }
    });
    let pointsman = Pointsman::start(&format!(
        "[[routes]]\nservice = \"web\"\nauthorize = {{ service = \"endless\" }}\n\
         [[routes]]\npath = \"/late\"\nservice = \"web\"\nauthorize = {{ service = \"sso\" }}\n{}\
         [services.endless.pools.blue]\nupstreams = [\"{address}\"]\nhealth = false\n\
         [services.sso.pools.blue]\nupstreams = [\"{}\"]\ntimeouts = {{ read = \"200ms\" }}\n",
        upstream("web", &app),
        sso.address
    ));
    assert_eq!(ask(&pointsman, "/", "").status, 200);
    sso.react(|_| Reaction::Hang);
    assert_eq!(ask(&pointsman, "/late", "").status, 500, "late is no word");
    assert_eq!(app.requests(), 1);
}

#[test]
fn a_candidate_of_the_service_that_fails_keeps_nobody_out() {
    let (app, blue, green) = (Origin::named("app"), Origin::named("yes"), Origin::named("yes"));
    let pointsman = Pointsman::start(&format!(
        "[[routes]]\nservice = \"app\"\nauthorize = {{ service = \"web\" }}\n{}{}\
         [services.web.rollout]\nsteps = [{{ weight = 50, hold = \"1h\" }}, {{ weight = 100 }}]\n",
        upstream("app", &app),
        super::harness::blue_green(blue.address, green.address)
    ));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("green has weight", || pointsman.weight("green") > 0.0);
    green.react(|_| Reaction::Answer(500, "bad".into()));
    eventually("what it does speaks against it", || {
        assert_eq!(ask(&pointsman, "/", "").status, 200, "stable answers in its place");
        pointsman.weight("green") == 0.0
    });
    let view = pointsman.ended(&id);
    assert!(view["outcome"] == "aborted" && green.requests() > 0, "{view}");
}

#[test]
fn the_service_sees_the_credentials_that_it_replaces() {
    let (app, sso) = (
        Origin::named("app"),
        Origin::new(|request| match request.header("authorization") {
            Some("Bearer client") => Reaction::Raw(
                b"HTTP/1.1 200 OK\r\nAuthorization: Bearer inner\r\nContent-Length: 0\r\n\r\n".to_vec(),
            ),
            _ => Reaction::Answer(401, "who?".into()),
        }),
    );
    let pointsman = Pointsman::start(&format!(
        "[[routes]]\nservice = \"web\"\nauthorize = {{ service = \"sso\", forward = [\"Authorization\", \"X-User\"] }}\n{}{}",
        upstream("web", &app),
        upstream("sso", &sso)
    ));
    assert_eq!(ask(&pointsman, "/", "Authorization: Bearer other\r\n").status, 401);
    assert_eq!(ask(&pointsman, "/", "Authorization: Bearer client\r\nX-User: root\r\n").status, 200);
    let lines: Vec<_> = app.last().headers.into_iter().filter(|(name, _)| name == "authorization").collect();
    assert_eq!(lines, [("authorization".to_owned(), "Bearer inner".to_owned())]);
    assert_eq!(sso.last().header("x-user"), None);
}

/// The site's own page for an error goes before what the service says with it.
#[test]
fn the_page_of_a_route_is_shown_in_place_of_the_services_body() {
    let (app, sso) = (Origin::named("app"), Origin::new(signed_in));
    let pages = "\nerror_pages = { 401 = { route = \"@who\" } }\n[[routes]]\npath = \"@who\"\nreply = { status = 200, body = \"sign in\" }\n\
                 [[routes]]\npath = \"/bare\"\nservice = \"web\"\nauthorize = { service = \"sso\", path = \"/oauth2/auth\" }";
    let config = format!(
        "[[routes]]\npath = \"/x\"\nservice = \"web\"\nauthorize = {{ service = \"sso\", path = \"/oauth2/auth\" }}{pages}\n{}{}",
        upstream("web", &app),
        upstream("sso", &sso)
    );
    let pointsman = Pointsman::start(&config);
    let page = ask(&pointsman, "/x", "");
    assert_eq!(
        (page.status, page.text(), page.header("www-authenticate")),
        (401, "sign in".into(), Some("Bearer"))
    );
    let bare = ask(&pointsman, "/bare", "");
    assert_eq!((bare.status, bare.text(), bare.header("content-type")), (401, "who?".into(), Some("text/x")));
    assert!(app.all().is_empty());
}

/// `$remote_user` is nobody who has only said so, where the route asks for a password.
#[test]
fn a_name_without_its_password_is_nobodys() {
    let app = Origin::named("app");
    let config = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [maps.plan]\nof = \"$remote_user\"\nvalues = {{ ana = \"gold\" }}\ndefault = \"none\"\n\
         [[routes]]\nservice = \"web\"\nsatisfy = \"any\"\nallow = [\"10.0.0.0/8\"]\nbasic_auth = {{ realm = \"site\", file = \"users\" }}\n\
         headers = {{ request = {{ set = {{ X-User = \"$remote_user\", X-Plan = \"$plan\" }} }}, response = {{ set = {{ X-Said = \"$remote_user\" }} }} }}\n\
         [[routes]]\npath = \"/open\"\nservice = \"web\"\nheaders = {{ request = {{ set = {{ X-User = \"$remote_user\" }} }} }}\n{}",
        upstream("web", &app)
    );
    let pointsman = with_users(&config, &format!("ana:{BCRYPT}\n"));
    let office = "X-Forwarded-For: 10.1.1.1\r\nX-User: ana\r\n";
    for (fields, user, plan) in [
        (authorization("ana:secret"), Some("ana"), "gold"),
        (format!("{office}{}", authorization("ana:secret")), None, "none"),
        (format!("{office}{}", authorization("ana:wrong")), None, "none"),
        (office.to_owned(), None, "none"),
    ] {
        let answer = ask(&pointsman, "/", &fields);
        let asked = app.last();
        assert_eq!((answer.status, answer.header("x-said")), (200, user), "{fields}");
        assert_eq!((asked.header("x-user"), asked.header("x-plan")), (user, Some(plan)), "{fields}");
    }
    let refused = ask(&pointsman, "/", &authorization("ana:wrong"));
    assert_eq!((refused.status, refused.header("x-said")), (401, None));
    ask(&pointsman, "/open", &authorization("bo:x"));
    assert_eq!(app.last().header("x-user"), Some("bo"), "where nothing is asked, it is what the client says");
}
