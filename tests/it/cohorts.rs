//! Cohorts through the real binary: who is sent where while the weights move, and what cookies carry.

mod cookies;
mod rules;
mod testers;

use super::harness::{Answer, Connection, Origin, Pointsman, Reaction, blue_green, eventually, whole};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tempfile::TempDir;

/// One listener that believes this machine, and a site with these keys of the service; the top comes first.
fn site(blue: &Origin, green: &Origin, top: &str, web: &str) -> String {
    let pools = blue_green(blue.address, green.address);
    let pools = pools.replacen("stable = \"blue\"\n", &format!("stable = \"blue\"\n{web}\n"), 1);
    format!(
        "{top}\n[[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\nh2c = true\n\
         limits = {{ requests_per_connection = 1000000 }}\n{pools}"
    )
}

/// A request with these header lines.
fn ask(connection: &mut Connection, path: &str, fields: &[&str]) -> Answer {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n").as_bytes())
}

fn ask_once(to: SocketAddr, path: &str, fields: &[&str]) -> Answer {
    ask(&mut Connection::open(to), path, fields)
}

/// The cookies that an answer sets, by name: value and attributes.
fn set_cookies(answer: &Answer) -> BTreeMap<String, (String, String)> {
    let lines: Vec<_> = answer.headers.iter().filter(|(name, _)| name == "set-cookie").collect();
    let cookies = lines.iter().map(|(_, line)| {
        let (pair, attributes) = line.split_once("; ").expect("attributes");
        let (name, value) = pair.split_once('=').expect("a pair");
        (name.to_owned(), (value.to_owned(), attributes.to_owned()))
    });
    let cookies: BTreeMap<_, _> = cookies.collect();
    assert_eq!(cookies.len(), lines.len(), "none is set twice");
    cookies
}

fn set_weights(pointsman: &Pointsman, green: f64) {
    let body = format!("{{\"blue\": {}, \"green\": {green}}}", 100.0 - green);
    assert_eq!(pointsman.call("PUT", "/v1/services/web/weights", &body).status, 200);
}

/// Starts with a secret that is always the same, so that everybody's place is.
fn start(config: &str) -> Pointsman {
    let dir = TempDir::new().expect("a directory");
    std::fs::create_dir(dir.path().join("state")).expect("a directory");
    std::fs::write(dir.path().join("state/secret"), "5a".repeat(32)).expect("a file");
    std::fs::write(dir.path().join("pointsman.toml"), whole(config)).expect("a file");
    Pointsman::start_in(dir)
}

/// Has everybody ask at each weight; `fields` is what user `n` sends.
fn walk(pointsman: &Pointsman, kind: &str, users: usize, fields: impl Fn(usize) -> String) {
    let mut connection = Connection::open(pointsman.http());
    let mut before = vec![false; users];
    let mut last = 0.0;
    for weight in [0.0, 5.0, 25.0, 100.0, 0.0] {
        set_weights(pointsman, weight);
        let mut on_green = 0u32;
        for (n, before) in before.iter_mut().enumerate() {
            let field = fields(n);
            let page = ask(&mut connection, "/", &[&field]).text();
            let asset = ask(&mut connection, "/app.js", &[&field]).text();
            assert_eq!(page, asset, "the page's assets follow the page's version");
            let now = page == "green";
            assert!(
                now == *before || now == (weight > last),
                "user {n} went against the weight at {weight} %"
            );
            *before = now;
            on_green += u32::from(now);
        }
        let share = weight / 100.0;
        let (expected, sd) = (users as f64 * share, (users as f64 * share * (1.0 - share)).sqrt());
        println!(
            "by {kind}, green at {weight} %: {on_green} of {users} users, {expected} expected (sd {sd:.1})"
        );
        assert!((f64::from(on_green) - expected).abs() <= 4.0 * sd);
        last = weight;
    }
}

#[test]
fn users_move_with_the_weight_by_address_and_by_header() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = start(&site(&blue, &green, "", "cohort = { by = \"client_ip\" }"));
    walk(&pointsman, "client_ip", 400, |n| format!("X-Forwarded-For: 198.51.{}.{}", n / 250, n % 250));
    assert_eq!(pointsman.web()["cohort"], "client_ip");
    // From now on by a header.
    pointsman.configure(&site(&blue, &green, "", "cohort = { by = \"header\", name = \"X-User\" }"));
    let reloaded = pointsman.call("POST", "/v1/reload", "");
    assert_eq!(reloaded.json()["changed"][0], "services.web.cohort", "{}", reloaded.text());
    walk(&pointsman, "header", 400, |n| format!("X-User: user-{n}"));
    // Without it, by the address.
    walk(&pointsman, "address for want of the header", 400, |n| {
        format!("X-Forwarded-For: 198.51.{}.{}", n / 250, n % 250)
    });
    assert!(pointsman.cli(&["status"]).out.contains("web  stable blue, cohort by header"));
}

#[test]
fn an_abort_takes_everyone_back_at_once() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let config = site(&blue, &green, "", "cohort = { by = \"header\", name = \"X-User\" }");
    let pointsman = start(&config);
    let steps = "[{\"weight\": 50, \"hold\": \"1h\"}, {\"weight\": 100}]";
    let id = pointsman.start_rollout(&format!("{{\"to\": \"green\", \"steps\": {steps}}}"));
    eventually("the candidate has its weight", || (pointsman.weight("green") - 50.0).abs() < 1e-9);
    let mut connection = Connection::open(pointsman.http());
    let mut on_green = || {
        let users =
            (0..100).filter(|n| ask(&mut connection, "/", &[&format!("X-User: {n}")]).text() == "green");
        users.count()
    };
    let before = on_green();
    assert!((30..=70).contains(&before), "{before} of 100");
    let aborted = pointsman.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "");
    assert_eq!(aborted.status, 200, "{}", aborted.text());
    assert_eq!(on_green(), 0);
}

#[test]
fn a_pool_that_is_down_gives_its_users_away_and_gets_them_back() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let upstream = format!("upstreams = [\"{}\"]\n", green.address);
    let checked = format!(
        "{upstream}health = {{ path = \"/health\", interval = \"20ms\", timeout = \"10s\", rise = 1, fall = 1 }}\n"
    );
    // Nobody takes the weight of the pool that is down.
    let web = "watch_manual = false\ncohort = { by = \"header\", name = \"X-User\" }";
    let config = site(&blue, &green, "", web);
    let pointsman = start(&config.replace(&upstream, &checked));
    set_weights(&pointsman, 50.0);
    let mut connection = Connection::open(pointsman.http());
    let mut places = || -> Vec<String> {
        (0..50).map(|n| ask(&mut connection, "/", &[&format!("X-User: {n}")]).text()).collect()
    };
    let before = places();
    assert!(before.iter().any(|pool| pool == "green") && before.iter().any(|pool| pool == "blue"));
    green.react(|request| match request.path() {
        "/health" => Reaction::Answer(500, "down".into()),
        _ => Reaction::ok("green"),
    });
    eventually("it is found down", || places().iter().all(|pool| pool == "blue"));
    green.react(|_| Reaction::ok("green"));
    eventually("everybody is back", || places() == before);
}

#[test]
fn the_pool_is_shown_where_it_is_asked_for() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = start(&site(&blue, &green, "", ""));
    assert_eq!(ask_once(pointsman.http(), "/", &[]).header("x-pool"), None);
    let server = "[server]\nstate_dir = \"state\"\nthreads = 1\nexpose_pool = \"X-Pool\"\n";
    pointsman.configure(&site(&blue, &green, server, ""));
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    assert_eq!(ask_once(pointsman.http(), "/", &[]).header("x-pool"), Some("blue"));
    // What an upstream says of it is replaced; errors of our own tell it, too.
    blue.react(|_| Reaction::Raw(b"HTTP/1.1 200 OK\r\nx-version: 9\r\nContent-Length: 0\r\n\r\n".to_vec()));
    pointsman.configure(&site(&blue, &green, server, "expose_pool = \"X-Version\""));
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    let answer = ask_once(pointsman.http(), "/", &[]);
    assert_eq!((answer.header("x-pool"), answer.header("x-version")), (None, Some("blue")));
    blue.react(|_| Reaction::Close);
    let answer = ask_once(pointsman.http(), "/", &[]);
    assert_eq!((answer.status, answer.header("x-version")), (502, Some("blue")));
}
