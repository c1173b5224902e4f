//! Room for clients: what is idle gives way, what is in use does not; memory is bounded; workers share evenly.

use super::harness::{Answer, Connection, Origin, Pointsman, Reaction, eventually};
use super::hostile::h2::H2;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// More than the system buffers for a client that does not read.
const LARGE: usize = 4 << 20;

/// Answers at once, `/slow` after a while, `/large` with much.
fn origin() -> Origin {
    Origin::new(|received| match received.path() {
        "/slow" => Reaction::Late(Duration::from_secs(3), 200, "late".to_owned()),
        "/large" => Reaction::Answer(200, "x".repeat(LARGE)),
        _ => Reaction::ok("blue"),
    })
}

fn site(origin: &Origin, more: &str) -> String {
    format!(
        "{more}\n[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n",
        origin.address
    )
}

fn metric(pointsman: &Pointsman, name: &str) -> f64 {
    let text = pointsman.get("/metrics").text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("{name} is not in\n{text}"))
}

/// A connection that is kept after one request.
fn kept(address: SocketAddr) -> Connection {
    let mut client = Connection::open(address);
    assert_eq!(client.get("/").text(), "blue");
    client
}

#[test]
fn the_oldest_idle_connection_gives_way_and_a_request_under_way_does_not() {
    let origin = origin();
    let pointsman = Pointsman::start(&site(&origin, "[limits]\nconnections = 3"));
    let http = pointsman.http();
    let mut busy = kept(http);
    busy.write(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    eventually("it is under way", || origin.requests() == 2);
    let (mut oldest, mut younger) = (kept(http), kept(http));
    assert_eq!(metric(&pointsman, "pointsman_client_connections_limit"), 3.0);
    let open = format!("pointsman_client_connections{{listener=\"{http}\"}}");
    assert_eq!(metric(&pointsman, &open), 3.0);
    let mut new = kept(http);
    assert!(oldest.is_closed(), "it made room");
    assert_eq!((younger.get("/").status, new.get("/").status), (200, 200));
    assert_eq!(busy.answer(false).text(), "late");
    assert!(metric(&pointsman, "pointsman_own_limit_total{limit=\"connections\"}") >= 1.0);
}

#[test]
fn who_says_nothing_gives_way_before_those_who_were_served() {
    let origin = origin();
    let pointsman = Pointsman::start(&site(&origin, "[limits]\nconnections = 4"));
    let mut served = kept(pointsman.http());
    let silent: Vec<_> =
        (0..3).map(|n| TcpStream::connect(pointsman.listeners[n % 2]).expect("connected")).collect();
    let open = || {
        let of =
            |address| metric(&pointsman, &format!("pointsman_client_connections{{listener=\"{address}\"}}"));
        pointsman.listeners.iter().map(of).sum::<f64>()
    };
    eventually("all are in", || open() == 4.0);
    let mut new = [kept(pointsman.http()), kept(pointsman.http())];
    let closed = |mut stream: &TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("an option");
        stream.read(&mut [0]).is_ok_and(|count| count == 0)
    };
    eventually("two made room", || silent.iter().filter(|stream| closed(stream)).count() == 2);
    assert_eq!(served.get("/").text(), "blue");
    assert!(new.iter_mut().all(|client| client.get("/").status == 200));
}

#[test]
fn idle_connections_of_http2_give_way_too() {
    let origin = origin();
    let pointsman = Pointsman::start(&site(&origin, "[limits]\nconnections = 2"));
    let mut idle = H2::plain(pointsman.listeners[1]).and_then(H2::begun).expect("a connection");
    idle.get(1, "/").expect("sent");
    assert_eq!(idle.status(1), 200);
    let mut busy = H2::plain(pointsman.listeners[1]).and_then(H2::begun).expect("a connection");
    busy.get(1, "/slow").expect("sent");
    eventually("it is under way", || origin.requests() == 2);
    let since = Instant::now();
    let mut new = kept(pointsman.http());
    // It does not linger: that takes five seconds.
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert!(idle.find(|_| false).is_none(), "it ended");
    assert_eq!(busy.status(1), 200);
    assert_eq!(new.get("/").status, 200);
}

#[test]
fn a_reload_changes_the_limits_at_once() {
    let origin = origin();
    let pointsman = Pointsman::start(&site(&origin, "[limits]\nconnections = 1\nmemory = \"2M\""));
    let mut busy = kept(pointsman.http());
    busy.write(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    eventually("it is under way", || origin.requests() == 2);
    let http = pointsman.http();
    let since = Instant::now();
    let waiting = std::thread::spawn(move || (Connection::open(http).get("/").status, since.elapsed()));
    eventually("it waits", || metric(&pointsman, "pointsman_own_limit_total{limit=\"connections\"}") >= 1.0);
    assert_eq!(metric(&pointsman, "pointsman_memory_limit_bytes"), f64::from(2 << 20));
    pointsman.configure(&site(&origin, "[limits]\nconnections = 2\nmemory = \"3M\""));
    let reloaded = pointsman.cli(&["reload"]);
    assert!(reloaded.code == 0 && reloaded.out.contains("limits"), "{reloaded:?}");
    let (status, took) = waiting.join().expect("no panic");
    assert!(status == 200 && took < Duration::from_secs(3), "{status} after {took:?}");
    assert_eq!(metric(&pointsman, "pointsman_memory_limit_bytes"), f64::from(3 << 20));
    assert_eq!(metric(&pointsman, "pointsman_client_connections_limit"), 2.0);
    assert_eq!(busy.answer(false).text(), "late");
}

/// A client of a narrow window that asks for much, and does not read.
fn unread(address: SocketAddr) -> Connection {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(16 << 10).expect("an option");
    socket.connect(&address.into()).expect("connected");
    let mut client = Connection::over(socket.into());
    client.write(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    client
}

#[test]
fn unread_answers_hold_no_more_memory_than_they_may_and_lose_nothing() {
    const CLIENTS: usize = 96;
    let origin = origin();
    let held = |memory: &str| {
        let pointsman = Pointsman::start(&site(&origin, &format!("[limits]\nmemory = \"{memory}\"")));
        let clients: Vec<_> = (0..CLIENTS).map(|_| unread(pointsman.http())).collect();
        let (mut last, mut since) = (0.0, Instant::now());
        eventually("nothing moves any more", || {
            let now = metric(&pointsman, "pointsman_memory_held_bytes");
            if now != last || now == 0.0 {
                (last, since) = (now, Instant::now());
            }
            since.elapsed() > Duration::from_millis(500)
        });
        assert_eq!(kept(pointsman.http()).get("/").status, 200, "others are served");
        // One after the other, so that the rest goes on waiting.
        let whole = |mut client: Connection| client.answer(false);
        let is_whole = |answer: Answer| answer.status == 200 && answer.body.len() == LARGE;
        assert!(clients.into_iter().take(8).map(whole).all(is_whole));
        eventually("it is given back", || metric(&pointsman, "pointsman_memory_held_bytes") == 0.0);
        last
    };
    let (bounded, free) = (held("1M"), held("64M"));
    println!("{CLIENTS} unread answers hold {bounded} bytes where they may hold 1 MiB, else {free}");
    // Each reads a little at a time beyond the limit, and one of each worker was about to read much.
    assert!(bounded < f64::from(2 << 20) && free > bounded, "{bounded}, {free}");
    assert!(free < (CLIENTS * (96 << 10)) as f64, "64 KiB are read ahead, and a head");
}

/// The resident set of a process.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    value.and_then(|kib| kib.trim().parse().ok()).expect("a size")
}

#[test]
fn what_a_wave_of_clients_took_is_given_back() {
    const CLIENTS: usize = 1000;
    let origin = origin();
    let pointsman = Pointsman::start(&site(&origin, ""));
    let client = || {
        let mut h2 = H2::plain(pointsman.listeners[1]).and_then(H2::begun).expect("a connection");
        h2.get(1, "/").expect("sent");
        assert_eq!(h2.status(1), 200);
        h2
    };
    // What is made once is not the wave's.
    (0..50).for_each(|_| drop(client()));
    let before = resident_kib(pointsman.pid());
    let wave: Vec<_> = (0..CLIENTS).map(|_| client()).collect();
    let taken = resident_kib(pointsman.pid()).saturating_sub(before);
    drop(wave);
    let kept = || resident_kib(pointsman.pid()).saturating_sub(before);
    let since = Instant::now();
    eventually("most of it is given back", || kept() < taken * 3 / 10);
    println!("{CLIENTS} clients took {taken} KiB, {} of them kept after {:?}", kept(), since.elapsed());
    assert!(taken > 4 * 1024 && taken < 30 * CLIENTS as u64, "{taken} KiB");
}

/// How many connections to an address each event loop of a process serves.
fn by_event_loop(pid: u32, address: SocketAddr) -> Vec<usize> {
    let port = format!(":{:04X}", address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the system's sockets");
    let served = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_open = fields.get(3) == Some(&"01") && fields.get(1)?.ends_with(&port);
        is_open.then(|| format!("socket:[{}]", fields.get(9).copied().unwrap_or_default()))
    });
    let served: BTreeSet<String> = served.collect();
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors");
    let target = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        let to = std::fs::read_link(&path).ok()?.to_string_lossy().into_owned();
        Some((path.file_name()?.to_string_lossy().into_owned(), to))
    };
    let open: BTreeMap<String, String> = entries.filter_map(target).collect();
    let loops = open.iter().filter(|(_, to)| to.contains("eventpoll")).map(|(fd, _)| {
        let info = std::fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).unwrap_or_default();
        let watched = info.lines().filter_map(|line| line.strip_prefix("tfd:")?.split_whitespace().next());
        let watched = watched.filter(|fd| open.get(*fd).is_some_and(|to| served.contains(to)));
        watched.map(str::to_owned).collect::<BTreeSet<_>>()
    });
    // An event loop has several descriptors.
    let distinct: BTreeSet<BTreeSet<String>> = loops.filter(|watched| !watched.is_empty()).collect();
    distinct.iter().map(BTreeSet::len).collect()
}

#[test]
fn connections_are_spread_evenly_over_the_workers() {
    let origin = origin();
    for threads in [2, 4] {
        let server = format!("[server]\nstate_dir = \"state\"\ngrace = \"5s\"\nthreads = {threads}");
        let pointsman = Pointsman::start(&site(&origin, &server));
        let clients: Vec<_> = (0..64).map(|_| kept(pointsman.http())).collect();
        let counts = by_event_loop(pointsman.pid(), pointsman.http());
        println!("{threads} workers: {counts:?}");
        assert_eq!(counts, vec![64 / threads; threads]);
        drop(clients);
    }
}
