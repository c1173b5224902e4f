//! Limits by client: connections of a listener; requests at a time and rates of a route.

use super::harness::{Answer, Connection, Origin, Pointsman, Reaction, eventually, get, send};
use super::listeners::{config, curl};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A connection from one of the many addresses of this machine, and the status of a GET on it.
fn from(client: [u8; 4], to: SocketAddr) -> (u16, Connection) {
    let mut connection = from_address(client, to);
    (connection.get("/").status, connection)
}

fn from_address(client: [u8; 4], to: SocketAddr) -> Connection {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((client, 0)).into()).expect("bound");
    socket.connect(&to.into()).expect("connected");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    Connection::over(socket.into())
}

const ONE: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];

#[test]
fn a_client_has_so_many_connections_and_others_have_theirs() {
    let origin = Origin::named("blue");
    let pointsman = Pointsman::start(&config(&origin, "limits = { connections_per_client = 3 }"));
    let http = pointsman.http();
    let held: Vec<_> = (0..3).map(|_| from(ONE, http)).collect();
    assert!(held.iter().all(|(status, _)| *status == 200));
    for _ in 0..10 {
        assert_eq!(from(ONE, http).0, 0, "closed at once");
    }
    assert_eq!(from(OTHER, http).0, 200);
    drop(held);
    eventually("closed connections make room", || from(ONE, http).0 == 200);
}

#[test]
fn a_listener_has_so_many_connections_in_all() {
    let origin = Origin::named("blue");
    let pointsman = Pointsman::start(&config(&origin, "limits = { connections = 2 }"));
    let http = pointsman.http();
    let held = [from(ONE, http), from(OTHER, http)];
    assert_eq!((held[0].0, held[1].0), (200, 200));
    assert_eq!(from([127, 0, 0, 3], http).0, 0);
    drop(held);
    eventually("closed connections make room", || from([127, 0, 0, 3], http).0 == 200);
}

#[test]
fn trusted_proxies_count_towards_the_total_only() {
    let origin = Origin::named("blue");
    let keys = "trusted_proxies = [\"127.0.0.1\"]\nlimits = { connections_per_client = 1, connections = 4 }";
    let pointsman = Pointsman::start(&config(&origin, keys));
    let held: Vec<_> = (0..4).map(|_| from(ONE, pointsman.http())).collect();
    assert!(held.iter().all(|(status, _)| *status == 200), "they speak for many clients");
    assert_eq!(from(ONE, pointsman.http()).0, 0);
}

/// A site whose routes have these limits, on as many workers as there are tests for.
fn site(origin: &Origin, limits: &str, routes: &str) -> String {
    format!(
        "{limits}\n[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\ntrusted_proxies = [\"127.0.0.9\"]\n\
         limits = {{ requests_per_connection = 1000000 }}\n{routes}\n\
         [services.web]\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n",
        origin.address
    )
}

fn everything(limits: &str) -> String {
    format!("[[routes]]\nservice = \"web\"\nlimits = {limits}\n")
}

fn with_header(to: SocketAddr, field: &str) -> Answer {
    send(to, &format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n"))
}

#[test]
fn a_burst_is_served_and_then_the_rate() {
    let origin = Origin::named("blue");
    let limits = "[rate_limits.api]\nrate = \"20/s\"\nburst = 10";
    let pointsman = Pointsman::start(&site(&origin, limits, &everything("{ rates = [\"api\"] }")));
    let http = pointsman.http();
    let (mut served, mut refused) = (0u32, 0u32);
    // Over many connections, so that every worker has its part.
    let mut connections: Vec<_> = (0..8).map(|_| Connection::open(http)).collect();
    let begun = Instant::now();
    // As many as it takes to see the rate beyond the burst, however long a busy machine takes for it.
    while served < 41 {
        for connection in &mut connections {
            let answer = connection.get("/");
            match answer.status {
                200 => served += 1,
                429 => {
                    refused += 1;
                    assert_eq!(answer.header("retry-after"), Some("1"));
                }
                other => panic!("{other}"),
            }
        }
    }
    let most = 11.0 + 20.0 * begun.elapsed().as_secs_f64();
    assert!(f64::from(served) <= most + 1.0, "{served} of at most {most}");
    assert!(refused > served, "{refused}");
    assert_eq!(origin.requests(), u64::from(served), "what is refused goes nowhere");
    assert_eq!(from(OTHER, http).0, 200, "another client has a burst of its own");
    let web = pointsman.web();
    assert_eq!(web["pools"]["blue"]["window"]["failures"], 0, "nor is it anybody's failure");
}

const BY: &str = r#"
    [rate_limits.by_key]
    rate = "1/m"
    by = "header:X-Api-Key"
    status = 503
    [rate_limits.by_service]
    rate = "1/m"
    burst = 2
    by = "service"
    [rate_limits.by_client]
    rate = "1/m"
    burst = 1"#;

const ROUTES: &str = r#"
    [[routes]]
    path = "= /key"
    service = "web"
    limits = { rates = ["by_key"] }
    [[routes]]
    path = "= /all"
    service = "web"
    limits = { rates = ["by_service"] }
    [[routes]]
    path = "= /reply"
    reply = { body = "fixed" }
    limits = { rates = ["by_client"] }
    [[routes]]
    path = "= /both"
    service = "web"
    limits = { rates = ["by_client", "by_key"] }"#;

fn ask(pointsman: &Pointsman, path: &str, client: [u8; 4], fields: &str) -> Answer {
    let mut connection = from_address(client, pointsman.http());
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes())
}

#[test]
fn a_limit_counts_by_what_it_says() {
    let origin = Origin::named("blue");
    let pointsman = Pointsman::start(&site(&origin, BY, ROUTES));
    let status = |path: &str, client: [u8; 4], fields: &str| ask(&pointsman, path, client, fields).status;
    assert_eq!(status("/key", ONE, "X-Api-Key: one\r\n"), 200);
    let refused = ask(&pointsman, "/key", OTHER, "X-Api-Key: one\r\n");
    assert_eq!(refused.status, 503, "the key counts, wherever it comes from");
    let wait: u64 = refused.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((30..=60).contains(&wait), "{wait}");
    assert_eq!(status("/key", ONE, "X-Api-Key: two\r\n"), 200);
    // Without the header, by address.
    assert_eq!(
        [status("/key", ONE, ""), status("/key", ONE, ""), status("/key", OTHER, "")],
        [200, 503, 200]
    );
    let all: Vec<_> = (2..7).map(|last| status("/all", [127, 0, 0, last], "")).collect();
    assert_eq!(all, [200, 200, 200, 429, 429], "all clients of the service together");
    // The proxy's own answers are limited, too, and by whom a trusted proxy names.
    let named = |client: &str| status("/reply", [127, 0, 0, 9], &format!("X-Forwarded-For: {client}\r\n"));
    assert_eq!(["192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"].map(named), [200, 200, 429, 200]);
    let whole_net = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"].map(named);
    assert_eq!(whole_net, [200, 200, 429, 200], "IPv6 by /64");
}

#[test]
fn all_limits_of_a_route_apply_and_a_refusal_counts_nowhere() {
    let origin = Origin::named("blue");
    let pointsman = Pointsman::start(&site(&origin, BY, ROUTES));
    let with_key = |key: &str| ask(&pointsman, "/both", ONE, &format!("X-Api-Key: {key}\r\n")).status;
    // The key is refused twice, which leaves the client its second request.
    assert_eq!(["a", "a", "a", "b", "c"].map(with_key), [200, 503, 503, 200, 429]);
}

#[test]
fn a_reload_keeps_the_counts_and_a_small_table_forgets() {
    let origin = Origin::named("blue");
    let limits = "[rate_limits.api]\nrate = \"1/m\"\nby = \"header:X-Api-Key\"";
    let routes = everything("{ rates = [\"api\"] }");
    let text = site(&origin, limits, &routes);
    let pointsman = Pointsman::start(&text);
    let http = pointsman.http();
    assert_eq!(
        [with_header(http, "X-Api-Key: a").status, with_header(http, "X-Api-Key: a").status],
        [200, 429]
    );
    pointsman.configure(&text.replace("\"1/m\"", "\"1/m\"\nstatus = 403"));
    let answer = pointsman.call("POST", "/v1/reload", "");
    assert!(answer.text().contains("rate_limits.api"), "{}", answer.text());
    assert_eq!(with_header(http, "X-Api-Key: a").status, 403, "no new burst, but the new status");
    for n in 0..200 {
        assert_eq!(with_header(http, &format!("X-Api-Key: {n}")).status, 200, "nobody else is shut out");
    }
    assert_eq!(with_header(http, "X-Api-Key: a").status, 403);
    let small = Pointsman::start(&site(&origin, &format!("{limits}\nsize = 8"), &routes));
    let http = small.http();
    assert_eq!(
        [with_header(http, "X-Api-Key: a").status, with_header(http, "X-Api-Key: a").status],
        [200, 429]
    );
    for n in 0..200 {
        assert_eq!(with_header(http, &format!("X-Api-Key: {n}")).status, 200);
    }
    assert_eq!(with_header(http, "X-Api-Key: a").status, 200, "forgotten for the newer ones");
}

#[test]
fn a_client_has_so_many_requests_at_a_time_on_a_route() {
    let origin = Origin::new(|request| match request.path() {
        "/slow" => Reaction::Late(Duration::from_millis(700), 200, "slow".into()),
        "/hang" => Reaction::Hang,
        _ => Reaction::ok("fine"),
    });
    let routes = "[[routes]]\npath = \"/free\"\nservice = \"web\"\n".to_owned()
        + &everything("{ connections_per_client = 2 }");
    let pointsman = Pointsman::start(&site(&origin, "", &routes));
    let http = pointsman.http();
    let hang = || {
        let mut connection = Connection::open(http);
        connection.write(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
        connection
    };
    let held = [hang(), hang()];
    eventually("both are under way", || origin.requests() == 2);
    let refused = get(http, "/");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!((from(OTHER, http).0, get(http, "/free").status), (200, 200), "other clients, other routes");
    drop(held);
    eventually("those that went away make room", || get(http, "/").status == 200);
    // The streams of one HTTP/2 connection count each.
    let url = format!("http://{http}/slow");
    let mut args =
        vec!["--http2-prior-knowledge", "--parallel", "--parallel-immediate", "-w", "%{http_code}\n"];
    (0..6).for_each(|_| args.extend(["-o", "/dev/null", url.as_str()]));
    let codes = curl(&args);
    let of = |code: &str| codes.lines().filter(|line| *line == code).count();
    assert_eq!((of("200"), of("429")), (2, 4), "{codes}");
    assert_eq!(get(http, "/").status, 200);
}
