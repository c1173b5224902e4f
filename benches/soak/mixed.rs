//! Everything clients do, for a long time.

use super::clients::Clients;
use super::harness::{Nginx, Origin, Pointsman, Reaction, eventually};
use super::watched::Watched;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Lines that are printed.
const LINES: u32 = 20;
/// Samples for each of them.
const SAMPLES: u32 = 10;

pub(super) fn run(length: Duration) {
    let nginx = Nginx::start(&["blue", "green"]);
    let app = Origin::new(|request| match request.path() {
        "/ws" => Reaction::Upgrade,
        "/echo" => Reaction::Echo,
        _ => Reaction::Answer(404, "no such page".into()),
    });
    let dir = TempDir::new().expect("a directory");
    let pointsman = Pointsman::start(&config(&nginx, &app, &certificate(&dir)));
    let [http, https] = [0, 1].map(|index| pointsman.listeners[index]);
    let mut watched = Watched::new(pointsman.pid());
    let before = watched.sample();
    let clients = Clients::start(http);
    let mut over_h2 = H2Load::start(https, length);
    println!("{length:?} of mixed requests, {} kinds of clients and h2load", super::clients::KINDS.len());
    println!("  {:>8} {:>10} {:>12} {:>8} {:>12}", "s", "RSS KiB", "descriptors", "threads", "requests");
    for line in 0..LINES {
        for _ in 0..SAMPLES {
            std::thread::sleep(length / (LINES * SAMPLES));
            watched.sample();
        }
        // A reload and a switch are part of a long life.
        assert_eq!(pointsman.call("POST", "/v1/reload", "").status, 200);
        let to = if line % 2 == 0 { "green" } else { "blue" };
        let flipped = pointsman.call("POST", "/v1/services/web/flip", &format!("{{\"to\": \"{to}\"}}"));
        assert_eq!(flipped.status, 200, "{}", flipped.text());
        let now = watched.sample();
        let requests = pointsman.get("/api/metrics").json()["http_requests_total"].as_f64().unwrap_or(0.0);
        println!(
            "  {:>8.1} {:>10.0} {:>12.0} {:>8.0} {requests:>12.0}",
            now.at_s, now.rss_kib, now.descriptors, now.threads
        );
    }
    let h2 = over_h2.finish();
    watched.report();
    let mut wrong = 0;
    for (name, good, bad) in clients.stop() {
        println!("  {name}: {good} as they should be, {bad} not");
        wrong += bad;
    }
    println!("  h2load: {h2}");
    println!("  requests that went wrong: {wrong}");
    // Kept connections to upstreams end by themselves; clients' are gone.
    eventually("descriptors are given back", || watched.sample().descriptors < before.descriptors + 60.0);
    let after = watched.sample();
    println!(
        "  at rest: {:.0} descriptors before, {:.0} after; RSS {:.0} KiB before, {:.0} after",
        before.descriptors, after.descriptors, before.rss_kib, after.rss_kib
    );
    assert_eq!(wrong, 0);
}

fn config(nginx: &Nginx, app: &Origin, files: &str) -> String {
    let limits = "limits = { requests_per_connection = 5000 }";
    format!(
        "[access_log]\npath = \"/dev/null\"\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\n{limits}\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\n{limits}\ntls = {{ certificates = [{files}] }}\n\
         [[routes]]\nservice = \"web\"\n\
         [[routes]]\npath = \"~ ^/(ws|echo|missing)$\"\nservice = \"app\"\n\
         [services.web]\nstable = \"blue\"\n\
         [services.web.pools.blue]\nupstreams = [\"{}\"]\n\
         [services.web.pools.green]\nupstreams = [\"{}\"]\n\
         [services.app]\n[services.app.pools.one]\nupstreams = [\"{}\"]\n",
        nginx.addresses[0], nginx.addresses[1], app.address
    )
}

fn certificate(dir: &TempDir) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("a file");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("a file");
    format!("{{ cert = \"{}\", key = \"{}\" }}", cert.display(), key.display())
}

/// HTTP/2 over TLS, at a steady rate.
struct H2Load(Option<Child>);

impl H2Load {
    fn start(address: SocketAddr, length: Duration) -> Self {
        let child = Command::new("h2load")
            .args(["-c4", "-m10", "--rps=25", &format!("-D{}", length.as_secs())])
            .arg(format!("https://{address}/"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("h2load is installed: make setup-test");
        H2Load(Some(child))
    }

    /// Its own summary.
    fn finish(&mut self) -> String {
        let output = self.0.take().expect("it runs").wait_with_output().expect("an output");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines =
            text.lines().filter(|line| line.starts_with("requests:") || line.starts_with("status codes:"));
        lines.collect::<Vec<_>>().join("; ")
    }
}

impl Drop for H2Load {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
