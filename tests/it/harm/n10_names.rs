//! Names with addresses of both families, and names that move.
//!
//! The product reads a file of hosts of its own here, which takes a mount that only root may make; without, these
//! tests say so and the unit tests of `health::resolve` stand alone.

use super::super::harness::{Load, Pointsman, eventually, get, whole};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A pointsman with a file of hosts of its own.
struct Named {
    pointsman: Pointsman,
    hosts: PathBuf,
}

impl Named {
    /// `None` where no mount is allowed.
    fn start(hosts: &str, config: &str) -> Option<Self> {
        let dir = TempDir::new().expect("a directory");
        let file = dir.path().join("hosts");
        std::fs::write(&file, hosts).expect("a file");
        let mount = |then: &str| {
            let mut command = Command::new("unshare");
            command.args(["-m", "sh", "-c", &format!("mount --bind \"$0\" /etc/hosts && {then}")]).arg(&file);
            command
        };
        if !mount("true").status().is_ok_and(|status| status.success()) {
            println!("skipped: a file of hosts of its own needs a mount, which only root may make");
            return None;
        }
        std::fs::write(dir.path().join("pointsman.toml"), whole(config)).expect("a file");
        let mut command = mount("exec \"$@\"");
        command.arg(env!("CARGO_BIN_EXE_pointsman"));
        Some(Named { pointsman: Pointsman::start_by(&mut command, dir), hosts: file })
    }

    /// In place: the mount shows the same file.
    fn name(&self, hosts: &str) {
        std::fs::write(&self.hosts, hosts).expect("a file");
    }

    fn upstreams(&self) -> Vec<Value> {
        self.pointsman.web()["pools"]["blue"]["upstreams"].as_array().cloned().unwrap_or_default()
    }

    fn resolved(&self) -> Vec<String> {
        let shown = |upstream: &Value| upstream["resolved"].as_str().unwrap_or_default().to_owned();
        self.upstreams().iter().map(shown).collect()
    }

    fn all_are(&self, state: &str) -> bool {
        let upstreams = self.upstreams();
        !upstreams.is_empty() && upstreams.iter().all(|upstream| upstream["state"] == state)
    }
}

/// An app at one address, which can be stopped.
struct App {
    address: SocketAddr,
    open: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
}

impl App {
    fn at(address: &str, name: &'static str) -> Self {
        let listener = TcpListener::bind(address).expect("an address of this machine");
        let address = listener.local_addr().expect("an address");
        let (open, requests) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let app = App { address, open: open.clone(), requests: requests.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if !open.load(Ordering::SeqCst) {
                    return;
                }
                let (open, requests) = (open.clone(), requests.clone());
                std::thread::spawn(move || serve(stream, name, &open, &requests));
            }
        });
        app
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    /// Nobody listens there any more, and every connection ends.
    fn stop(&self) {
        self.open.store(false, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        eventually("it refuses", || TcpStream::connect(self.address).is_err());
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.open.store(false, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: TcpStream, name: &str, open: &AtomicBool, requests: &AtomicU64) {
    let Ok(mut writer) = stream.try_clone() else { return };
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
        if line.trim_end().is_empty() {
            if !open.load(Ordering::SeqCst) {
                return;
            }
            requests.fetch_add(1, Ordering::SeqCst);
            // Without kept connections a stop is seen by the next request.
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{name}",
                name.len()
            );
            let _ = writer.write_all(answer.as_bytes());
            return;
        }
        line.clear();
    }
}

fn pool(port: u16, more: &str) -> String {
    format!(
        "[services.web.pools.blue]\nupstreams = [\"app.test:{port}\"]\npassive = {{ max_fails = 0 }}\n{more}\n"
    )
}

const CHECKED: &str = "health = { path = \"/health\", interval = \"100ms\" }";

#[test]
fn a_name_of_both_families_with_an_app_on_ipv4_only_is_one_upstream() {
    let app = App::at("127.0.0.1:0", "four");
    let Some(named) = Named::start("127.0.0.1 app.test\n::1 app.test\n", &pool(app.port(), CHECKED)) else {
        return;
    };
    eventually("the app has been checked", || app.requests.load(Ordering::SeqCst) > 3);
    let shown: Vec<_> =
        named.upstreams().iter().map(|u| format!("{} {}", u["resolved"], u["state"])).collect();
    println!("an app on IPv4 only under a name of both families is shown as {shown:?}");
    eventually("one upstream, up", || {
        named.all_are("ready") && named.resolved() == [app.address.to_string()]
    });
    let metrics = named.pointsman.get("/metrics").text();
    assert!(metrics.contains(&format!("upstream=\"app.test:{}\"}} 1", app.port())), "{metrics}");
    assert_eq!(get(named.pointsman.http(), "/").text(), "four");
    eventually("every check is shown as answered", || {
        !named.pointsman.web()["checks"].to_string().contains("\"ok\":false")
    });
}

#[test]
fn without_a_check_every_request_is_served_where_the_app_listens_on_ipv4_only() {
    let app = App::at("127.0.0.1:0", "four");
    let Some(named) = Named::start("127.0.0.1 app.test\n::1 app.test\n", &pool(app.port(), "tries = 1"))
    else {
        return;
    };
    let failed = (0..30).filter(|_| get(named.pointsman.http(), "/").status != 200).count();
    println!("{failed} of 30 requests fail");
    assert_eq!(failed, 0);
}

#[test]
fn where_ipv6_stops_answering_ipv4_takes_over() {
    let four = App::at("127.0.0.1:0", "four");
    let six = App::at(&format!("[::1]:{}", four.port()), "six");
    let Some(named) = Named::start("127.0.0.1 app.test\n::1 app.test\n", &pool(four.port(), "tries = 1"))
    else {
        return;
    };
    assert_eq!(get(named.pointsman.http(), "/").text(), "six", "it is tried first");
    six.stop();
    let (since, mut failed) = (Instant::now(), 0);
    eventually("the other family serves", || {
        let answer = get(named.pointsman.http(), "/");
        failed += usize::from(answer.status != 200);
        answer.text() == "four"
    });
    println!("IPv4 after {} ms, {failed} requests failed", since.elapsed().as_millis());
    assert_eq!(named.resolved(), [four.address.to_string()]);
    assert!((0..20).all(|_| get(named.pointsman.http(), "/").text() == "four"));
}

#[test]
fn several_addresses_of_one_family_stay_several_upstreams() {
    let one = App::at("127.0.0.1:0", "one");
    let two = App::at(&format!("127.0.0.2:{}", one.port()), "two");
    let hosts = "127.0.0.1 app.test\n127.0.0.2 app.test\n::1 app.test\n";
    let Some(named) = Named::start(hosts, &pool(one.port(), CHECKED)) else { return };
    eventually("two upstreams", || named.all_are("ready") && named.upstreams().len() == 2);
    assert_eq!(named.resolved(), [one.address.to_string(), two.address.to_string()]);
    let texts: Vec<_> = (0..20).map(|_| get(named.pointsman.http(), "/").text()).collect();
    assert!(texts.iter().any(|text| text == "one") && texts.iter().any(|text| text == "two"), "{texts:?}");
}

#[test]
fn a_container_that_moved_is_found_at_once() {
    let old = App::at("127.0.0.1:0", "old");
    let new = App::at(&format!("127.0.0.2:{}", old.port()), "new");
    let Some(named) = Named::start("127.0.0.1 app.test\n", &pool(old.port(), CHECKED)) else { return };
    eventually("it serves", || get(named.pointsman.http(), "/").text() == "old");
    let load = Load::start(named.pointsman.http(), 2);
    // A look-up has just been made when the old address has been seen for a while.
    let good = load.good();
    eventually("the load goes on", || load.good() > good + 50);
    named.name("127.0.0.2 app.test\n");
    let since = Instant::now();
    old.stop();
    eventually("the new address serves", || get(named.pointsman.http(), "/").text() == "new");
    let took = since.elapsed();
    println!("the new address serves after {} ms", took.as_millis());
    load.stop();
    // Without a word of the failed connection it is looked up every 5 s.
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(named.resolved(), [new.address.to_string()]);
}

#[test]
fn a_name_that_is_gone_keeps_its_addresses() {
    let app = App::at("127.0.0.1:0", "still");
    let Some(named) = Named::start("127.0.0.1 app.test\n", &pool(app.port(), CHECKED)) else { return };
    eventually("it serves", || get(named.pointsman.http(), "/").text() == "still");
    named.name("127.0.0.1 other.test\n");
    eventually("it is told", || {
        let details = named.upstreams()[0]["detail"].as_str().unwrap_or_default().to_owned();
        details.contains("resolve") || details.contains("no address")
    });
    assert!((0..10).all(|_| get(named.pointsman.http(), "/").text() == "still"));
    named.name("127.0.0.1 app.test\n");
    eventually("and that it is back", || named.upstreams()[0]["detail"].is_null());
}

#[test]
fn a_name_that_moves_to_this_proxy_is_not_used_and_told() {
    let app = App::at("127.0.0.2:0", "app");
    let text =
        format!("[[listeners]]\naddress = \"127.0.0.1:{}\"\n", app.port()) + &pool(app.port(), CHECKED);
    let Some(named) = Named::start("127.0.0.2 app.test\n", &text) else { return };
    eventually("it serves", || get(named.pointsman.http(), "/").text() == "app");
    named.name("127.0.0.1 app.test\n");
    app.stop();
    eventually("it is down, and says why", || {
        let upstream = named.upstreams()[0].clone();
        let why = upstream["detail"].as_str().unwrap_or_default().to_owned();
        upstream["state"] == "down" && why.contains("this proxy itself listens")
    });
    assert_eq!(get(named.pointsman.http(), "/").status, 503);
    assert!(named.pointsman.log().contains("this proxy itself listens"), "{}", named.pointsman.log());
}

#[test]
fn a_registered_name_is_one_upstream_too() {
    let app = App::at("127.0.0.1:0", "four");
    let text = pool(app.port(), CHECKED).replace("app.test", "127.0.0.1");
    let text = text + &format!("[services.web.pools.green]\nupstreams = [\"127.0.0.1:{}\"]\n", app.port());
    let text = text.replace(
        "[services.web.pools.blue]",
        "[services.web]\nstable = \"green\"\n[services.web.pools.blue]",
    );
    let Some(named) = Named::start("127.0.0.1 app.test\n::1 app.test\n", &text) else { return };
    let name = format!("app.test:{}", app.port());
    assert_eq!(named.pointsman.cli(&["upstreams", "set", "web", "blue", &name]).code, 0);
    eventually("one upstream, up", || {
        named.all_are("ready") && named.resolved() == [app.address.to_string()]
    });
    assert_eq!(named.pointsman.cli(&["drain", "web", "blue", &name]).code, 0);
    assert_eq!(named.upstreams()[0]["state"], "draining");
}
