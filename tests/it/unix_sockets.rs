//! Upstreams that listen on a socket in the file system: as any other, wherever an upstream is named.

use super::harness::{Connection, Origin, Pointsman, Printed, Reaction, UnixDoor, eventually, get, send};
use std::time::Duration;

fn config(blue: &str, green: &str, more: &str) -> String {
    format!(
        "[services.web]\nstable = \"blue\"\n\
         [services.web.pools.blue]\nupstreams = [\"{blue}\"]\n{more}\n\
         [services.web.pools.green]\nupstreams = [\"{green}\"]\n{more}\n"
    )
}

fn state(pointsman: &Pointsman, pool: &str) -> String {
    pointsman.web()["pools"][pool]["upstreams"][0]["state"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn requests_go_over_connections_that_are_kept_and_the_path_is_the_label() {
    let origin = Origin::new(|request| match request.path() {
        "/echo" => Reaction::Echo,
        _ => Reaction::ok("by a path"),
    });
    let door = UnixDoor::to(origin.address);
    let pointsman = Pointsman::start(&format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\n[access_log]\npath = \"log\"\n{}",
        config(&door.label(), &door.label(), "health = false")
    ));
    let mut connection = Connection::open(pointsman.http());
    for _ in 0..20 {
        assert_eq!(connection.get("/").text(), "by a path");
    }
    assert_eq!((door.connections(), origin.last().header("host")), (1, Some("localhost")));
    let body = "x".repeat(300_000);
    let post = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    assert!(send(pointsman.http(), &post).text() == body, "large bodies pass both ways");
    // An old client names no host.
    assert_eq!(send(pointsman.http(), "GET / HTTP/1.0\r\n\r\n").status, 200);
    assert_eq!(origin.last().header("host"), Some("localhost"));
    let label = door.label();
    assert_eq!(pointsman.web()["pools"]["blue"]["upstreams"][0]["address"], label);
    let metrics = pointsman.get("/metrics").text();
    assert!(metrics.contains(&format!("upstream=\"{label}\"")), "{metrics}");
    assert!(pointsman.cli(&["--output", "json", "status"]).out.contains(&label));
    let log = || std::fs::read_to_string(pointsman.dir.path().join("log")).unwrap_or_default();
    eventually("the access log names it", || log().contains(&format!("\"upstream\":\"{label}\"")));
}

#[test]
fn checks_find_out_what_listens_on_a_path() {
    let origin = Origin::new(|request| match request.path() {
        "/health" if request.header("host") != Some("localhost") => Reaction::Answer(400, "host".into()),
        _ => Reaction::ok("up"),
    });
    let checked = "health = { path = \"/health\", interval = \"50ms\", rise = 1, fall = 1 }";
    let (blue, green) = (UnixDoor::to(origin.address), UnixDoor::to(origin.address));
    let pointsman = Pointsman::start(&config(&blue.label(), &green.label(), checked));
    eventually("both have passed", || state(&pointsman, "blue") == "ready" && green.connections() > 1);
    assert_eq!(get(pointsman.http(), "/").text(), "up");
    drop(green);
    eventually("nobody listens there any more", || state(&pointsman, "green") == "down");
    let detail = pointsman.web()["pools"]["green"]["upstreams"][0]["detail"].clone();
    assert!(detail.as_str().is_some_and(|why| why.starts_with("connect: ")), "{detail}");
}

#[test]
fn a_path_is_registered_drained_and_known_after_a_restart() {
    let (old, new) = (Origin::named("old"), Origin::named("new"));
    let (first, second) = (UnixDoor::to(old.address), UnixDoor::to(new.address));
    let pointsman = Pointsman::start(&config(&first.label(), &first.label(), ""));
    // A connection is what a registered upstream is checked by, where nothing else is configured.
    let set = pointsman.cli(&["upstreams", "set", "web", "green", &second.label()]);
    assert_eq!(set.code, 0, "{set:?}");
    eventually("it takes connections", || second.connections() > 0);
    let pointsman = pointsman.kill_and_restart();
    eventually("the state database knows it", || {
        pointsman.web()["pools"]["green"]["upstreams"][0]["address"] == second.label()
    });
    eventually("it is proven", || pointsman.cli(&["flip", "web", "--to", "green"]).code == 0);
    eventually("it serves", || get(pointsman.http(), "/").text() == "new");
    let drained = pointsman.cli(&["drain", "web", "blue", &first.label()]);
    assert_eq!((drained.code, state(&pointsman, "blue").as_str()), (0, "draining"), "{drained:?}");
    assert_eq!(pointsman.cli(&["ready", "web", "blue", &first.label()]).code, 0);
    eventually("it is back", || state(&pointsman, "blue") == "ready");
    pointsman.configure(&config(&second.label(), &first.label(), ""));
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    eventually("a reload takes the file's", || {
        pointsman.web()["pools"]["blue"]["upstreams"][0]["address"] == second.label()
    });
}

#[test]
fn what_is_no_path_of_a_socket_is_refused_with_its_remedy() {
    let origin = Origin::named("blue");
    let pointsman = Pointsman::start(&config(&origin.address.to_string(), &origin.address.to_string(), ""));
    let long = format!("unix:/{}", "a".repeat(107));
    for (wrong, remedy) in [
        ("unix:run/app.sock", "from the root"),
        ("unix:/a\\u0000b", "control character"),
        (&long, "at most 107"),
    ] {
        let text = config(wrong, &origin.address.to_string(), "");
        pointsman.configure(&text);
        let file = pointsman.dir.path().join("pointsman.toml").display().to_string();
        let checked = Printed::of(&["check", "--config", &file], pointsman.dir.path());
        let place = "services.web.pools.blue.upstreams[0]: ";
        assert!(
            checked.code == 1 && checked.err.contains(place) && checked.err.contains(remedy),
            "{checked:?}"
        );
        let body = format!("{{\"upstreams\": [\"{wrong}\"]}}");
        let answer = pointsman.call("PUT", "/v1/services/web/pools/green/upstreams", &body);
        assert!(answer.status == 422 && answer.text().contains(remedy), "{}", answer.text());
    }
}

#[test]
fn users_are_placed_by_paths_as_by_addresses() {
    let origins = ["one", "two", "three"].map(Origin::named);
    let doors = [0, 1, 2].map(|index| UnixDoor::to(origins[index].address));
    let labels = doors.each_ref().map(|door| format!("\"{}\"", door.label())).join(", ");
    let text = format!(
        "[services.web.pools.blue]\nbalance = \"hash\"\nhash_by = \"header:x-user\"\nupstreams = [{labels}]\n"
    );
    let pointsman = Pointsman::start(&text);
    let served = |pointsman: &Pointsman| -> Vec<String> {
        let of =
            |n| send(pointsman.http(), &format!("GET / HTTP/1.1\r\nHost: a\r\nX-User: {n}\r\n\r\n")).text();
        (0..60).map(of).collect()
    };
    let before = served(&pointsman);
    for name in ["one", "two", "three"] {
        assert!(before.iter().any(|by| by == name), "{before:?}");
    }
    let pointsman = pointsman.kill_and_restart();
    assert_eq!(served(&pointsman), before, "the same for each after a restart");
}

#[test]
fn a_rollout_tests_mirrors_and_aborts_over_paths() {
    let blue = Origin::named("blue");
    let green = Origin::new(|request| match request.path() {
        "/bad" => Reaction::Answer(500, "bad".into()),
        "/hang" => Reaction::Hang,
        _ => Reaction::ok("green"),
    });
    let (stable, candidate) = (UnixDoor::to(blue.address), UnixDoor::to(green.address));
    let pointsman = Pointsman::start(&format!(
        "{}[services.web.rollout]\nsmoke = [{{ path = \"/smoke\", match = \"green\" }}]\n\
         steps = [{{ mirror = 100, hold = \"1h\" }}, {{ weight = 100 }}]\n",
        config(&stable.label(), &candidate.label(), "health = false")
    ));
    pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it mirrors", || pointsman.web()["rollout"]["mirror"]["share"].is_number());
    assert!(green.all().iter().any(|request| request.path() == "/smoke"), "it was tested first");
    let mut connection = Connection::open(pointsman.http());
    for _ in 0..20 {
        assert_eq!(connection.get("/copied").text(), "blue");
    }
    let copies = || green.all().iter().filter(|request| request.path() == "/copied").count();
    eventually("all are copied", || copies() == 20);
    assert!(candidate.connections() < 15, "over connections that are kept: {}", candidate.connections());
}

#[test]
fn a_request_that_waits_is_taken_back_when_its_version_is_aborted() {
    let blue = Origin::named("blue");
    let green = Origin::new(|request| match request.path() {
        "/hang" => Reaction::Hang,
        _ => Reaction::ok("green"),
    });
    let (stable, candidate) = (UnixDoor::to(blue.address), UnixDoor::to(green.address));
    let pointsman = Pointsman::start(&format!(
        "{}[services.web.rollout]\nsteps = [{{ weight = 99.99, hold = \"1h\" }}, {{ weight = 100 }}]\n",
        config(&stable.label(), &candidate.label(), "")
    ));
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    eventually("it has weight", || pointsman.weight("green") > 99.0);
    let http = pointsman.http();
    let waiting: Vec<_> = (0..3).map(|_| std::thread::spawn(move || get(http, "/hang").text())).collect();
    eventually("they wait there", || green.all().iter().filter(|r| r.path() == "/hang").count() == 3);
    assert_eq!(pointsman.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "").status, 200);
    for request in waiting {
        assert_eq!(request.join().expect("no panic"), "blue");
    }
}

#[test]
fn a_socket_whose_queue_is_full_is_waited_for_within_the_connect_timeout() {
    let dir = tempfile::TempDir::new().expect("a directory");
    let path = dir.path().join("full.sock");
    let full = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).expect("a socket");
    full.bind(&socket2::SockAddr::unix(&path).expect("a path")).expect("bound");
    full.listen(0).expect("listens");
    let held = std::os::unix::net::UnixStream::connect(&path).expect("the queue takes one");
    let label = format!("unix:{}", path.display());
    let pointsman = Pointsman::start(&config(
        &label,
        &label,
        "timeouts = { connect = \"20s\" }\ntries = 1\nhealth = false",
    ));
    let http = pointsman.http();
    let asked = std::thread::spawn(move || get(http, "/"));
    eventually("it is under way", || pointsman.web()["pools"]["blue"]["upstreams"][0]["in_flight"] == 1);
    drop((full.accept().expect("the one that was held"), held));
    let (mut app, _) = full.accept().expect("a connection once there is room");
    let mut head = [0; 1024];
    let read = std::io::Read::read(&mut app, &mut head).expect("a request");
    assert!(head[..read].starts_with(b"GET / HTTP/1.1\r\n"));
    std::io::Write::write_all(&mut app, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
        .expect("written");
    assert_eq!(asked.join().expect("no panic").text(), "done");
    // Nobody accepts: it is given up in time.
    let filler = std::os::unix::net::UnixStream::connect(&path).expect("the queue takes one");
    pointsman.configure(&config(
        &label,
        &label,
        "timeouts = { connect = \"100ms\" }\ntries = 1\nhealth = false",
    ));
    assert_eq!(pointsman.cli(&["reload"]).code, 0);
    drop(app);
    let since = std::time::Instant::now();
    assert_eq!(get(http, "/").status, 504);
    assert!(since.elapsed() < Duration::from_secs(10));
    drop(filler);
}
