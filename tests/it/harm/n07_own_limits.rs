//! What the proxy itself runs out of is never held against a version.

use super::super::harness::{Answer, Connection, Origin, Pointsman, Reaction, eventually, get, whole};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const POLICY: &str = "[policies.default]\nerror_rate = { warning = \"0.5%\", critical = \"1%\" }\nhealth = { critical = true }\n";

/// A stable pool, and one whose only upstream takes so many at a time.
fn services(blue: SocketAddr, green: SocketAddr, max_conns: u32, more: &str) -> String {
    format!(
        "{POLICY}[services.web]\nstable = \"blue\"\npolicy = \"default\"\n{more}\n\
         [services.web.rollout]\nsteps = [{{ weight = 50, hold = \"1h\" }}, {{ weight = 100 }}]\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n{CHECKED}\n\
         [services.web.pools.green]\nupstreams = [{{ address = \"{green}\", max_conns = {max_conns} }}]\n{CHECKED}\n"
    )
}

const CHECKED: &str = "health = { path = \"/health\", interval = \"50ms\", timeout = \"2s\" }";

/// Takes its time with everything but checks.
fn slow(name: &'static str) -> Origin {
    Origin::new(move |request| match request.path() {
        "/health" => Reaction::ok(name),
        _ => Reaction::Late(Duration::from_millis(100), 200, name.into()),
    })
}

/// A value of the metrics; 0 where there is none.
fn metric(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    line.unwrap_or(0.0)
}

fn own_limit(pointsman: &Pointsman, limit: &str) -> f64 {
    metric(&pointsman.get("/metrics").text(), &format!("pointsman_own_limit_total{{limit=\"{limit}\"}}"))
}

/// The statuses that so many users get at the same time, each some times.
fn users(address: SocketAddr, count: usize, times: usize) -> Vec<u16> {
    let user = |_| {
        std::thread::spawn(move || {
            let mut client = Connection::open(address);
            (0..times).map(|_| client.get("/").status).collect::<Vec<_>>()
        })
    };
    let users: Vec<_> = (0..count).map(user).collect();
    users.into_iter().flat_map(|user| user.join().expect("no panic")).collect()
}

/// What is shown of a candidate: its phase, failures and whether every upstream is ready.
fn candidate(pointsman: &Pointsman) -> (String, u64, bool) {
    let web = pointsman.web();
    let (pool, phase) = (&web["pools"]["green"], web["rollout"]["phase"].as_str().unwrap_or("none"));
    let ready = pool["upstreams"].as_array().is_some_and(|all| all.iter().all(|u| u["state"] == "ready"));
    (phase.to_owned(), pool["window"]["failures"].as_u64().unwrap_or(0), ready)
}

#[test]
fn max_conns_serves_everybody_and_is_charged_to_nobody() {
    let (blue, green) = (slow("blue"), slow("green"));
    let pointsman = Pointsman::start(&services(blue.address, green.address, 1, ""));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it shifts", || pointsman.weight("green") == 50.0);
    let statuses = users(pointsman.http(), 30, 4);
    let served = statuses.iter().filter(|status| **status == 200).count();
    let (phase, failures, _) = candidate(&pointsman);
    let metrics = pointsman.get("/metrics").text();
    let shielded = metric(&metrics, "pointsman_shielded_total{service=\"web\"}");
    println!(
        "max_conns: {served} of {} served, {failures} failures charged, {shielded} shielded, the rollout is {phase}",
        statuses.len()
    );
    assert_eq!((served, failures, phase.as_str()), (statuses.len(), 0, "shifting"));
    assert_eq!(shielded, 0.0, "no budget of the shield is spent");
    assert!(!metrics.contains("reason=\"unavailable\",service=\"web\"} 1"), "{metrics}");
    assert!(own_limit(&pointsman, "max_conns") >= 10.0, "{metrics}");
    assert!(green.requests() > 0);
    let kept = pointsman.web()["pools"]["green"]["window"]["own_limits"].as_u64().unwrap_or(0);
    assert!(kept >= 10, "{kept}");
    let status = pointsman.cli(&["status", "web"]);
    assert!(status.out.contains("kept out by our own limits"), "{}", status.out);
    eventually("it is told", || pointsman.log().contains("max_conns"));
    assert_eq!(pointsman.ended_by_promotion(&id), "promoted");
}

impl Pointsman {
    fn ended_by_promotion(&self, id: &str) -> String {
        self.call("POST", &format!("/v1/services/web/rollouts/{id}/promote"), "");
        self.ended(id)["outcome"].as_str().unwrap_or_default().to_owned()
    }
}

#[test]
fn a_full_stable_pool_answers_503_and_keeps_its_good_name() {
    let (blue, green) = (slow("blue"), slow("green"));
    let text =
        services(green.address, blue.address, 1, "").replace("stable = \"blue\"", "stable = \"green\"");
    let pointsman = Pointsman::start(&text);
    let statuses = users(pointsman.http(), 20, 1);
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&503), "there is no other pool with weight");
    let (_, failures, ready) = candidate(&pointsman);
    assert_eq!((failures, ready), (0, true));
    eventually("nothing is held against it", || {
        !pointsman.web()["checks"].to_string().contains("\"ok\":false")
    });
}

#[test]
fn without_a_shield_what_was_never_sent_goes_to_another_pool_with_weight() {
    let (blue, green) = (slow("blue"), slow("green"));
    let pointsman = Pointsman::start(&services(blue.address, green.address, 1, "shield = false"));
    pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it shifts", || pointsman.weight("green") == 50.0);
    let statuses = users(pointsman.http(), 20, 2);
    let served = statuses.iter().filter(|status| **status == 200).count();
    println!("max_conns without a shield: {served} of {} served", statuses.len());
    assert_eq!(served, statuses.len());
    assert_eq!(candidate(&pointsman).1, 0);
}

#[test]
fn copies_beyond_max_conns_are_dropped_and_not_failed() {
    let (blue, green) = (slow("blue"), slow("green"));
    let text = services(blue.address, green.address, 1, "")
        .replace("{ weight = 50, hold = \"1h\" }", "{ mirror = 100, hold = \"1h\" }");
    let pointsman = Pointsman::start(&text);
    pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it mirrors", || !pointsman.web()["rollout"]["mirror"].is_null());
    users(pointsman.http(), 10, 3);
    eventually("copies are dropped", || pointsman.web()["rollout"]["mirror"]["dropped"].as_u64() > Some(5));
    let mirror = pointsman.web()["rollout"]["mirror"].clone();
    println!("copies beyond max_conns: {mirror}");
    assert_eq!(mirror["failures"], 0, "{mirror}");
    assert_eq!(candidate(&pointsman).0, "shifting");
}

/// Started with so many descriptors at most.
fn limited(text: &str, descriptors: u32) -> Pointsman {
    let dir = TempDir::new().expect("a directory");
    std::fs::write(dir.path().join("pointsman.toml"), whole(text)).expect("a file");
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={descriptors}:{descriptors}")).arg(env!("CARGO_BIN_EXE_pointsman"));
    Pointsman::start_by(&mut command, dir)
}

fn open_descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

#[test]
fn clients_that_take_every_place_leave_descriptors_for_upstreams_checks_and_admin() {
    let (blue, green) = (slow("blue"), slow("green"));
    let pointsman = limited(&services(blue.address, green.address, 0, ""), 256);
    pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it shifts", || pointsman.weight("green") == 50.0);
    // The first are served later; the others say nothing.
    let mut first: Vec<_> = (0..20).map(|_| Connection::open(pointsman.http())).collect();
    let first_served =
        first.iter_mut().filter_map(|client| Some(client.get("/").status).filter(|s| *s == 200)).count();
    let crowd: Vec<_> = (0..400).map(|_| TcpStream::connect(pointsman.http())).collect();
    let settled = || {
        let before = open_descriptors(pointsman.pid());
        std::thread::sleep(Duration::from_millis(100));
        before == open_descriptors(pointsman.pid())
    };
    eventually("the crowd is in, or waits", settled);
    let checked = green.requests();
    eventually("checks go on", || green.requests() > checked + 5);
    let handles: Vec<_> =
        first.into_iter().map(|mut client| std::thread::spawn(move || client.get("/").status)).collect();
    let statuses: Vec<u16> = handles.into_iter().map(|handle| handle.join().expect("no panic")).collect();
    let served = statuses.iter().filter(|status| **status == 200).count();
    let admin = get(pointsman.admin, "/healthz").status;
    let (phase, failures, ready) = candidate(&pointsman);
    println!(
        "400 silent clients, 256 descriptors ({} open): {first_served} and {served} of 20 served, admin {admin}, \
         rollout {phase}, {failures} failures charged, upstreams ready {ready}",
        open_descriptors(pointsman.pid())
    );
    assert_eq!((first_served, served, admin), (20, 20, 200), "{statuses:?}");
    assert_eq!((phase.as_str(), failures, ready), ("shifting", 0, true));
    // The state store writes, too.
    assert_eq!(pointsman.cli(&["maintenance", "on"]).code, 0);
    assert!(own_limit(&pointsman, "connections") > 0.0);
    eventually("it is told", || pointsman.log().contains("limits.connections"));
    drop(crowd);
    assert_eq!(pointsman.cli(&["maintenance", "off"]).code, 0);
    eventually("new clients are served again", || get(pointsman.http(), "/").status == 200);
}

#[test]
fn streams_of_http2_cannot_take_the_last_descriptors_either() {
    let (blue, green) = (slow("blue"), slow("green"));
    let listener = "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\nlimits = { streams = 100 }\n";
    let pointsman = limited(&(listener.to_owned() + &services(blue.address, green.address, 0, "")), 256);
    pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it shifts", || pointsman.weight("green") == 50.0);
    let url = format!("http://{}/", pointsman.http());
    let load = Command::new("h2load")
        .args(["-n", "3000", "-c", "10", "-m", "100", "-T", "20", &url])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("h2load is installed");
    let pid = load.id();
    let mut muted = 0;
    let output = std::thread::spawn(move || load.wait_with_output().expect("an output"));
    while !output.is_finished() {
        let answer = Connection::try_open(pointsman.admin)
            .map_or_else(|_| Answer::default(), |mut c| c.get("/healthz"));
        muted += usize::from(answer.status != 200);
    }
    let text = String::from_utf8_lossy(&output.join().expect("no panic").stdout).into_owned();
    let codes = text.lines().find(|line| line.starts_with("status codes")).unwrap_or_default().to_owned();
    let (phase, failures, ready) = candidate(&pointsman);
    println!(
        "1,000 streams at a time ({pid}): {codes}; admin mute {muted} times, {phase}, {failures} failures, ready {ready}"
    );
    assert_eq!((muted, phase.as_str(), failures, ready), (0, "shifting", 0, true));
    assert!(own_limit(&pointsman, "descriptors") > 0.0);
}

/// From now on no descriptor can be opened beyond so many.
fn limit_descriptors(pid: u32, most: usize) {
    let arguments = ["--pid", &pid.to_string(), &format!("--nofile={most}:")];
    assert!(Command::new("prlimit").args(arguments).status().expect("prlimit").success());
}

#[test]
fn without_a_free_descriptor_no_upstream_goes_down_and_no_rollout_is_aborted() {
    let (blue, green) = (slow("blue"), slow("green"));
    let signal = "[[policies.default.signals]]\nname = \"load\"\nfrom = \"/load\"\nat = \"/load\"\n\
                  interval = \"100ms\"\ncritical = 50\n";
    let text = services(blue.address, green.address, 0, "")
        .replace("[services.web]\n", &format!("{signal}[services.web]\n"));
    let load = |name: &'static str| {
        move |request: &super::super::harness::Received| match request.path() {
            "/load" => Reaction::ok("{\"load\": 1}"),
            "/health" => Reaction::ok(name),
            _ => Reaction::RawThenClose(
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok".to_vec(),
            ),
        }
    };
    blue.react(load("blue"));
    green.react(load("green"));
    let pointsman = Pointsman::start(&text);
    pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it shifts", || pointsman.weight("green") == 50.0);
    let mut admin = Connection::open(pointsman.admin);
    assert_eq!(admin.get("/healthz").status, 200);
    // Each has its connection already.
    let mut clients: Vec<_> = (0..40).map(|_| Connection::open(pointsman.http())).collect();
    assert!(clients.iter_mut().all(|client| client.get("/").status == 200));
    limit_descriptors(pointsman.pid(), 3);
    let statuses: Vec<_> = clients.iter_mut().map(|client| client.get("/").status).collect();
    // Long enough for `fall` checks of each upstream, and of signals.
    let short = |admin: &mut Connection| {
        metric(&admin.get("/metrics").text(), "pointsman_own_limit_total{limit=\"descriptors\"}")
    };
    let since = std::time::Instant::now();
    while since.elapsed() < Duration::from_millis(1500) {
        std::thread::sleep(Duration::from_millis(50));
    }
    let web = admin.get("/v1/services/web").json();
    let counted = short(&mut admin);
    let (phase, pool) = (web["rollout"]["phase"].clone(), web["pools"]["green"].clone());
    let failures = pool["window"]["failures"].as_u64().unwrap_or(0);
    println!(
        "no descriptor: {} of 40 got 503, {failures} failures charged, rollout {phase}, green is {}, counted {counted}",
        statuses.iter().filter(|status| **status == 503).count(),
        pool["upstreams"][0]["state"]
    );
    limit_descriptors(pointsman.pid(), 5000);
    assert_eq!((phase.as_str(), failures), (Some("shifting"), 0));
    assert_eq!(web["pools"]["blue"]["window"]["failures"], 0);
    for name in ["blue", "green"] {
        assert_eq!(web["pools"][name]["upstreams"][0]["state"], "ready");
    }
    assert!(statuses.iter().all(|status| *status == 503), "our own lack is no 502: {statuses:?}");
    assert!(counted > 20.0);
    eventually("it is told", || pointsman.log().contains("file descriptor"));
    eventually("it serves again", || get(pointsman.http(), "/").status == 200);
    assert!(
        !pointsman.history().iter().any(|row| row["text"].as_str().is_some_and(|t| t.contains("is down")))
    );
}

#[test]
fn smoke_tests_wait_for_a_descriptor() {
    let (blue, green) = (slow("blue"), slow("green"));
    let text = services(blue.address, green.address, 0, "").replace(
        "[services.web.rollout]\n",
        "[services.web.rollout]\nsmoke = [{ path = \"/smoke\" }]\ngate = false\n",
    );
    let text = text.replace(CHECKED, "health = false");
    let pointsman = Pointsman::start(&text);
    let mut admin = Connection::open(pointsman.admin);
    assert_eq!(admin.get("/healthz").status, 200);
    limit_descriptors(pointsman.pid(), 3);
    let start = "POST /v1/services/web/rollouts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 Content-Length: 15\r\n\r\n{\"to\": \"green\"}";
    assert_eq!(admin.send(start.as_bytes()).status, 201);
    let counted = |admin: &mut Connection| {
        metric(&admin.get("/metrics").text(), "pointsman_own_limit_total{limit=\"descriptors\"}")
    };
    let mut phase = String::new();
    let since = std::time::Instant::now();
    while since.elapsed() < Duration::from_millis(800) {
        let web = admin.get("/v1/services/web").json();
        phase = web["rollout"]["phase"].as_str().unwrap_or_default().to_owned();
    }
    println!("smoke tests without a descriptor: {phase}");
    assert_eq!(phase, "testing");
    assert!(counted(&mut admin) > 0.0);
    limit_descriptors(pointsman.pid(), 5000);
    eventually("it goes on", || pointsman.weight("green") == 50.0);
}

#[test]
fn the_limit_of_connections_is_that_of_all_listeners_together() {
    let origin = Origin::named("blue");
    let text = format!(
        "[limits]\nconnections = 5\n[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n",
        origin.address
    );
    let pointsman = Pointsman::start(&text);
    let open = |n: usize| {
        let mut client = Connection::open(pointsman.listeners[n % 2]);
        assert_eq!(client.get("/").text(), "blue");
        client
    };
    let mut held: Vec<_> = (0..5).map(open).collect();
    // None of them is idle.
    for client in &mut held {
        client.write(b"GET /").expect("a head begins");
    }
    // The sixth waits, on either listener, and is served once one has left.
    let address = pointsman.listeners[0];
    let waiting = std::thread::spawn(move || Connection::open(address).get("/").text());
    eventually("it waits", || own_limit(&pointsman, "connections") == 1.0);
    assert!(!waiting.is_finished());
    held.pop();
    assert_eq!(waiting.join().expect("no panic"), "blue");
}

#[test]
fn what_a_client_did_wrong_or_too_often_is_counted_apart() {
    let origin = Origin::named("blue");
    let text = format!(
        "[rate_limits.few]\nrate = \"1/m\"\nby = \"service\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
         limits = {{ body = \"1k\", header_size = \"2k\" }}\ntimeouts = {{ body = \"100ms\" }}\n\
         [[routes]]\nservice = \"web\"\n[[routes]]\npath = \"/few\"\nservice = \"web\"\nlimits = {{ rates = [\"few\"] }}\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n",
        origin.address
    );
    let pointsman = Pointsman::start(&text);
    let status = |request: &str| super::super::harness::send(pointsman.http(), request).status;
    assert_eq!((get(pointsman.http(), "/few").status, get(pointsman.http(), "/few").status), (200, 429));
    assert_eq!(status(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(3000))), 431);
    assert_eq!(status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n"), 413);
    assert_eq!(status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\nhalf"), 408);
    for limit in ["rate", "header", "body", "client_time"] {
        assert_eq!(own_limit(&pointsman, limit), 1.0, "{limit}");
    }
    let window = || pointsman.web()["pools"]["blue"]["window"].clone();
    eventually("the one that was served is counted", || window()["requests"] == 1);
    assert_eq!(window()["failures"], 0);
}
