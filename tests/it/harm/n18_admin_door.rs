//! Number 18: connections that do nothing to the admin port lock nobody out of it.
//!
//! Everybody here comes from one address, which is the hardest case: no cap an address can tell the
//! flood from the operator.

use crate::harness::{Answer, Authority, Connection, Nginx, Pointsman, blue_green, eventually};
use sha2::{Digest, Sha256};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_pointsman");
/// More than anybody should wait, on a machine that does other things, too.
const BOUND: Duration = Duration::from_secs(20);

/// What a crowd of connections does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Habit {
    /// Nothing.
    Silent,
    /// A byte of a head from time to time.
    Dripping,
    /// A byte of a body from time to time, after a head that promises one.
    DrippingBody,
    /// The client has closed its half without a word.
    HalfOpen,
    /// Requests whose answers nobody reads.
    Unread,
    /// One answered request, then silence.
    Idle,
}

/// Connections that stay until they are dropped.
struct Crowd {
    _streams: Arc<Vec<TcpStream>>,
    over: Arc<AtomicBool>,
    drips: Option<JoinHandle<()>>,
}

impl Crowd {
    fn of(habit: Habit, count: usize, admin: SocketAddr) -> Self {
        let streams: Arc<Vec<_>> = Arc::new((0..count).filter_map(|_| guest(habit, admin)).collect());
        let over = Arc::new(AtomicBool::new(false));
        let drips = matches!(habit, Habit::Dripping | Habit::DrippingBody).then(|| {
            let (streams, over) = (streams.clone(), over.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    for mut stream in streams.iter() {
                        // One that was closed takes no more.
                        let _ = stream.write_all(b"x");
                    }
                    std::thread::sleep(Duration::from_millis(200));
                }
            })
        });
        Crowd { _streams: streams, over, drips }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(drips) = self.drips.take() {
            let _ = drips.join();
        }
    }
}

/// `None` where the server would not have it; a flood tries on.
fn guest(habit: Habit, admin: SocketAddr) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&admin, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    stream.set_write_timeout(Some(Duration::from_millis(50))).expect("a timeout");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let sent = match habit {
        Habit::Silent => Ok(()),
        Habit::Dripping => stream.write_all(b"GET /readyz HTTP/1.1\r\nX: "),
        Habit::DrippingBody => stream.write_all(
            b"PUT /v1/services/web/weights HTTP/1.1\r\nHost: localhost\r\n\
              Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n",
        ),
        Habit::HalfOpen => stream.shutdown(Shutdown::Write),
        Habit::Unread => stream.write_all(get("/metrics").repeat(8).as_bytes()),
        Habit::Idle => {
            let sent = stream.write_all(get("/healthz").as_bytes());
            // Where no answer comes, the silence is the same.
            let _ = stream.read(&mut [0; 1024]);
            sent
        }
    };
    // What was closed meanwhile is as good as any other.
    let _ = sent;
    Some(stream)
}

fn many_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("more descriptors");
}

/// Milliseconds until an answer of this status; `None` where none came within the bound.
fn asked(admin: SocketAddr, head: &str, status: u16) -> Option<u128> {
    let since = Instant::now();
    let stream = TcpStream::connect_timeout(&admin, BOUND).ok()?;
    stream.set_read_timeout(Some(BOUND)).expect("a timeout");
    let mut connection = Connection { reader: std::io::BufReader::new(stream) };
    connection.write(head.as_bytes()).ok()?;
    (connection.answer(false).status == status).then(|| since.elapsed().as_millis())
}

/// Milliseconds until a command has ended with this code; one that fails is tried again, as people do.
fn ran(admin: SocketAddr, args: &[&str], code: i32) -> Option<u128> {
    let since = Instant::now();
    while since.elapsed() < BOUND {
        let mut command = Command::new("timeout");
        command.arg(BOUND.as_secs().to_string()).arg(BINARY).args(args);
        let output = command.env("POINTSMAN_ADMIN", format!("http://{admin}")).output().expect("it runs");
        if output.status.code() == Some(code) {
            return Some(since.elapsed().as_millis());
        }
    }
    None
}

fn is_let_in(habit: Habit, count: usize) {
    many_descriptors();
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    assert_eq!(pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#).status, 200);
    let admin = pointsman.admin;
    let crowd = Crowd::of(habit, count, admin);
    let ready = asked(admin, "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200);
    let health = ran(admin, &["healthcheck", "--ready"], 0);
    let rollback = ran(admin, &["rollback", "web"], 0);
    let shown = |took: Option<u128>| took.map_or("never".into(), |ms| format!("{ms} ms"));
    println!(
        "n18 {count} x {habit:?}: /readyz {}, healthcheck {}, rollback {}",
        shown(ready),
        shown(health),
        shown(rollback)
    );
    assert!(ready.is_some() && health.is_some() && rollback.is_some(), "{count} x {habit:?}");
    drop(crowd);
    assert_eq!(pointsman.web()["stable"], "blue");
}

#[test]
fn silent_connections_lock_nobody_out() {
    is_let_in(Habit::Silent, 512);
    is_let_in(Habit::Silent, 2000);
}

#[test]
fn dripping_heads_lock_nobody_out() {
    is_let_in(Habit::Dripping, 512);
    is_let_in(Habit::Dripping, 2000);
}

#[test]
fn dripping_bodies_lock_nobody_out() {
    is_let_in(Habit::DrippingBody, 512);
    is_let_in(Habit::DrippingBody, 2000);
}

#[test]
fn half_open_connections_lock_nobody_out() {
    is_let_in(Habit::HalfOpen, 512);
    is_let_in(Habit::HalfOpen, 2000);
}

#[test]
fn answers_that_nobody_reads_lock_nobody_out() {
    is_let_in(Habit::Unread, 512);
    is_let_in(Habit::Unread, 2000);
}

#[test]
fn idle_connections_lock_nobody_out() {
    is_let_in(Habit::Idle, 512);
    is_let_in(Habit::Idle, 2000);
}

/// How long the server keeps a connection on which this was sent, and nothing after.
fn kept(pointsman: &Pointsman, sent: &[u8]) -> Duration {
    let since = Instant::now();
    let mut stream = TcpStream::connect(pointsman.admin).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
    stream.write_all(sent).expect("sent");
    let mut rest = Vec::new();
    // However it is closed.
    let _ = stream.read_to_end(&mut rest);
    since.elapsed()
}

#[test]
fn each_stage_of_a_connection_has_its_time() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    std::thread::scope(|scope| {
        let silent = scope.spawn(|| kept(&pointsman, b""));
        let head = scope.spawn(|| kept(&pointsman, b"GET /readyz HTTP/1.1\r\n"));
        let idle = scope.spawn(|| kept(&pointsman, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        let [silent, head, idle] = [silent, head, idle].map(|thread| thread.join().expect("a time"));
        println!("n18 kept: silent {silent:?}, half a head {head:?}, idle {idle:?}");
        assert!(silent < Duration::from_secs(10), "{silent:?}");
        assert!(head < Duration::from_secs(12), "{head:?}");
        assert!(idle > Duration::from_secs(5) && idle < Duration::from_secs(25), "{idle:?}");
    });
    let text = pointsman.get("/metrics").text();
    for reason in ["first_byte", "head", "idle"] {
        let line = format!("pointsman_admin_connections_closed_total{{reason=\"{reason}\"}} 1");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
}

/// Those who have a stream keep it while a flood comes and goes.
#[test]
fn a_flood_ends_no_stream_and_no_wait() {
    many_descriptors();
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    let mut events = Connection::open(pointsman.admin);
    events.write(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    assert_eq!(events.head().expect("a head").status, 200);
    let mut waits = Connection::open(pointsman.admin);
    waits.write(b"GET /v1/services/web?wait=30s HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    // Its head has arrived once another request that came later is answered.
    assert_eq!(pointsman.get("/healthz").status, 200);
    let crowd = Crowd::of(Habit::Silent, 1500, pointsman.admin);
    assert_eq!(pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#).status, 200);
    drop(crowd);
    let waited: Answer = waits.answer(false);
    assert_eq!(waited.json()["stable"], "green");
    let mut event = String::new();
    // Comments keep it alive in between.
    while !event.contains("event: ") {
        event = String::from_utf8(events.chunk().expect("an event")).expect("text");
    }
    assert!(event.contains("event: flip"), "{event}");
}

/// An answer on its way to somebody who does not take it is given up.
#[test]
fn an_answer_that_is_not_taken_is_given_up() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    let mut stream = TcpStream::connect(pointsman.admin).expect("a connection");
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    let requests = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2000);
    // It stops taking requests once its answers are not taken.
    let _ = stream.write_all(requests.as_bytes());
    let line = "pointsman_admin_connections_closed_total{reason=\"unread\"} 1";
    eventually("it is given up", || pointsman.get("/metrics").text().contains(line));
}

/// Guesses are distinguished from operators: counted, logged once, slowed; the right token is not.
#[test]
fn wrong_tokens_are_counted_told_once_and_slowed() {
    let nginx = Nginx::start(&["blue", "green"]);
    let hash: String = Sha256::digest("a-token-of-some-length").iter().map(|b| format!("{b:02x}")).collect();
    let admin = format!(
        "[admin]\nlisten = \"127.0.0.1:0\"\ntokens = [{{ name = \"ci\", role = \"admin\", sha256 = \"{hash}\" }}]\n"
    );
    let pointsman = Pointsman::start(&(admin + &blue_green(nginx.addresses[0], nginx.addresses[1])));
    let ask = |token: &str| {
        let since = Instant::now();
        let headers = format!("Authorization: Bearer {token}\r\n");
        let answer = pointsman.call_with("GET", "/metrics", &headers, "");
        (answer, since.elapsed())
    };
    let mut slowest = Duration::ZERO;
    for guess in 0..6 {
        let (answer, took) = ask(&format!("guess-{guess}"));
        assert_eq!(answer.status, 401);
        slowest = slowest.max(took);
    }
    let (answer, right) = ask("a-token-of-some-length");
    println!("n18 the slowest guess {slowest:?}, the right token after it {right:?}");
    assert!(slowest >= Duration::from_millis(300), "{slowest:?}");
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("pointsman_admin_refused_tokens_total 6"), "{}", answer.text());
    let log = pointsman.log();
    let told: Vec<_> = log.lines().filter(|line| line.contains("token")).collect();
    assert_eq!(told.len(), 1, "once a minute and address: {told:?}");
    assert!(told[0].contains("127.0.0.1") && !log.contains("guess-"), "{told:?}");
}

/// The same over TLS: handshakes that are never finished.
#[test]
fn unfinished_handshakes_lock_nobody_out() {
    many_descriptors();
    let nginx = Nginx::start(&["blue", "green"]);
    let authority = Authority::new();
    let certificate = authority.write("admin", &["localhost"]);
    let admin =
        format!("[admin]\nlisten = \"127.0.0.1:0\"\ntls = {{ certificates = [{{ {certificate} }}] }}\n");
    let pointsman = Pointsman::start(&(admin + &blue_green(nginx.addresses[0], nginx.addresses[1])));
    let crowd = Crowd::of(Habit::Silent, 1000, pointsman.admin);
    let since = Instant::now();
    let mut command = Command::new("timeout");
    command.args(["20", BINARY, "healthcheck", "--ca"]).arg(authority.ca());
    let url = format!("https://localhost:{}", pointsman.admin.port());
    let output = command.env("POINTSMAN_ADMIN", url).output().expect("it runs");
    println!("n18 1000 unfinished handshakes: healthcheck {:?}", since.elapsed());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    drop(crowd);
}
