//! What `/metrics` says of clients, upstreams, certificates and the process, and that promtool finds nothing wrong
//! with it.

use super::harness::{
    Authority, Connection, Origin, Pointsman, Reaction, TlsClient, answer, eventually, get, send,
};
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

mod promtool;

/// All series of a metric with their values, without the name.
fn series(pointsman: &Pointsman, name: &str) -> BTreeMap<String, f64> {
    let text = pointsman.get("/metrics").text();
    let samples = text.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    let labelled = samples.filter(|(labels, _)| labels.is_empty() || labels.starts_with('{'));
    labelled.map(|(labels, value)| (labels.to_owned(), value.parse().expect("a number"))).collect()
}

/// The counts of answers at the first listener, by route and code.
fn answers(pointsman: &Pointsman) -> BTreeMap<String, f64> {
    let listener = format!("listener=\"{}\",", pointsman.http());
    let all = series(pointsman, "pointsman_http_requests_total").into_iter();
    all.map(|(labels, count)| (labels.replace(&listener, ""), count)).collect()
}

fn routes(web: SocketAddr, more: &str) -> String {
    format!(
        "[[routes]]\nhosts = [\"web.example\", \"www.example\"]\nservice = \"web\"\n\
         [services.web]\nstable = \"blue\"\n\
         [services.web.pools.blue]\nupstreams = [\"{web}\"]\n{more}"
    )
}

const REDIRECT: &str =
    "[[routes]]\npath = \"= /old\"\nredirect = { to = \"https://web.example/\", status = 301 }\n";

fn ask(pointsman: &Pointsman, host: &str, path: &str) -> u16 {
    send(pointsman.http(), &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).status
}

#[test]
fn every_answer_counts_by_listener_route_and_status_whoever_makes_it() {
    let web = Origin::new(|request| match request.path() {
        "/teapot" => Reaction::Raw(answer(418, "short and stout")),
        "/odd" => Reaction::Raw(answer(299, "odd")),
        "/close" => Reaction::Close,
        _ => Reaction::ok("blue"),
    });
    let more = format!("{REDIRECT}[[routes]]\npath = \"~ ^/private\"\ndeny = true\n");
    let pointsman = Pointsman::start(&routes(web.address, &more));
    for (host, path, status) in [
        ("web.example", "/", 200),
        ("www.example", "/a", 200),
        ("web.example", "/teapot", 418),
        ("web.example", "/odd", 299),
        ("web.example", "/close", 502),
        ("other.example", "/old", 301),
        ("other.example", "/private/x", 403),
        ("other.example", "/", 404),
    ] {
        assert_eq!(ask(&pointsman, host, path), status, "{host}{path}");
    }
    assert_eq!(send(pointsman.http(), "GET / HTTP/1.1\r\nHost: a b\r\n\r\n").status, 400);
    assert_eq!(send(pointsman.http(), "GET / HTTP/9.9\r\n\r\n").status, 505);
    let counts = answers(&pointsman);
    let expected = [
        ("{code=\"200\",route=\"web.example/\"}", 2.0),
        ("{code=\"2xx\",route=\"web.example/\"}", 1.0),
        ("{code=\"418\",route=\"web.example/\"}", 1.0),
        ("{code=\"502\",route=\"web.example/\"}", 1.0),
        ("{code=\"301\",route=\"= /old\"}", 1.0),
        ("{code=\"403\",route=\"~ ^/private\"}", 1.0),
        ("{code=\"400\",route=\"none\"}", 1.0),
        ("{code=\"404\",route=\"none\"}", 1.0),
        ("{code=\"505\",route=\"none\"}", 1.0),
    ];
    assert_eq!(counts, expected.map(|(labels, count)| (labels.to_owned(), count)).into());
}

#[test]
fn a_request_that_gets_no_answer_counts_as_none() {
    let web = Origin::new(|_| Reaction::Hang);
    let pointsman = Pointsman::start(&routes(web.address, ""));
    let mut client = Connection::open(pointsman.http());
    client.write(b"GET / HTTP/1.1\r\nHost: web.example\r\n\r\n").expect("written");
    eventually("the origin has it", || web.requests() == 1);
    drop(client);
    eventually("it is counted", || {
        answers(&pointsman).get("{code=\"none\",route=\"web.example/\"}") == Some(&1.0)
    });
}

#[test]
fn what_stays_over_a_reload_goes_on_and_what_is_gone_has_no_series() {
    let (web, other) = (Origin::named("blue"), Origin::named("green"));
    let pool = |name: &str, upstream: SocketAddr| {
        format!("[services.web.pools.{name}]\nupstreams = [\"{upstream}\"]\n")
    };
    let more = pool("green", other.address)
        + REDIRECT
        + "[services.api]\n[services.api.pools.one]\n"
        + &format!("upstreams = [\"{0}\"]\n[[routes]]\npath = \"/api/\"\nservice = \"api\"\n", other.address);
    let pointsman = Pointsman::start(&routes(web.address, &more));
    let ask = |host: &str, path: &str, times: usize| {
        (0..times).for_each(|_| assert_ne!(ask(&pointsman, host, path), 0))
    };
    ask("web.example", "/", 3);
    ask("x.example", "/old", 1);
    ask("x.example", "/api/", 2);
    let upstream = |service: &str, pool: &str, at: &Origin| {
        format!("{{pool=\"{pool}\",service=\"{service}\",upstream=\"{}\"}}", at.address)
    };
    let tried = series(&pointsman, "pointsman_upstream_requests_total");
    assert_eq!(
        tried,
        BTreeMap::from([
            (upstream("web", "blue", &web), 3.0),
            (upstream("web", "green", &other), 0.0),
            (upstream("api", "one", &other), 2.0),
        ])
    );
    pointsman.configure(&routes(web.address, ""));
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    ask("web.example", "/", 1);
    let text = pointsman.get("/metrics").text();
    let gone = text.lines().filter(|line| {
        ["green", "api", "/old"]
            .iter()
            .any(|name| line.contains(&format!("\"{name}")) || line.contains("= /old"))
    });
    assert_eq!(gone.collect::<Vec<_>>(), Vec::<&str>::new());
    assert_eq!(
        answers(&pointsman),
        BTreeMap::from([("{code=\"200\",route=\"web.example/\"}".to_owned(), 4.0)])
    );
    let tried = series(&pointsman, "pointsman_upstream_requests_total");
    assert_eq!(tried, BTreeMap::from([(upstream("web", "blue", &web), 4.0)]));
}

#[test]
fn a_refused_configuration_shows_until_the_next_is_in_effect() {
    let web = Origin::named("blue");
    let pointsman = Pointsman::start(&routes(web.address, ""));
    let successful = || series(&pointsman, "pointsman_config_last_reload_successful").remove("");
    assert_eq!(successful(), Some(1.0));
    pointsman.configure("[services.web]\nnonsense = 1\n");
    assert_ne!(pointsman.cli(&["reload"]).code, 0);
    assert_eq!(successful(), Some(0.0));
    pointsman.configure(&routes(web.address, REDIRECT));
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    assert_eq!(successful(), Some(1.0));
}

/// A listener with a certificate for two names, before an origin.
fn with_tls(authority: &Authority, web: &Origin, more: &str) -> String {
    let certificate = authority.write("one", &["one.example", "*.one.example"]);
    format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{ certificates = [{{ {certificate} }}] }}\n{}",
        routes(web.address, more)
    )
}

#[test]
fn certificates_show_when_they_end_and_listeners_which_handshakes_failed() {
    let (authority, web) = (Authority::new(), Origin::named("blue"));
    let pointsman = Pointsman::start(&with_tls(&authority, &web, ""));
    let ends = series(&pointsman, "pointsman_certificate_expiry_timestamp_seconds");
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs_f64();
    for name in ["one.example", "*.one.example"] {
        let end = ends.get(&format!("{{name=\"{name}\"}}")).copied().unwrap_or_default();
        assert!(end > now, "{name} ends at {end}");
    }
    let failed = || series(&pointsman, "pointsman_tls_handshake_failures_total");
    let labels = format!("{{listener=\"{}\"}}", pointsman.http());
    assert_eq!(failed(), BTreeMap::from([(labels.clone(), 0.0)]));
    // Who only looks whether the port is open fails nothing, nor does who succeeds.
    drop(TcpStream::connect(pointsman.http()).expect("connected"));
    assert!(TlsClient::new(&authority).trusts(pointsman.http(), "one.example"));
    let mut plain = TcpStream::connect(pointsman.http()).expect("connected");
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("written");
    eventually("the failure counts", || failed().get(&labels) == Some(&1.0));
}

#[test]
fn the_process_shows_itself() {
    let web = Origin::named("blue");
    let pointsman = Pointsman::start(&routes(web.address, ""));
    let figure = |name: &str| series(&pointsman, name).remove("").expect("a figure");
    let open = figure("process_open_fds");
    let held: Vec<_> = (0..20).map(|_| Connection::open(pointsman.http())).collect();
    eventually("their descriptors show", || figure("process_open_fds") >= open + 10.0);
    drop(held);
    for name in ["process_resident_memory_bytes", "process_virtual_memory_bytes", "process_max_fds"] {
        assert!(figure(name) > 100.0, "{name}");
    }
    let work = || (0..50).for_each(|_| drop(get(pointsman.http(), "/")));
    eventually("it takes CPU", || {
        work();
        figure("process_cpu_seconds_total") > 0.0
    });
    assert!(figure("process_threads") >= 3.0 && figure("process_start_time_seconds") > 1.6e9);
}
