//! Certificates that change while they are served.

use super::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[test]
fn a_renewal_in_place_loses_no_request_and_no_connection() {
    let (authority, origin) = (Authority::new(), Origin::named("blue"));
    let certificate = authority.write("one", &["one.example"]);
    let keys = format!("certificates = [{{ {certificate} }}], reload = \"10ms\"");
    let pointsman = Pointsman::start(&config(&origin, &keys));
    let (client, address) = (TlsClient::new(&authority), pointsman.http());
    let mut old = client.open(address, "one.example").expect("a handshake");
    let first = old.leaf();
    let (stop, good, failed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let client = TlsClient::new(&authority);
            let (stop, good, failed) = (&stop, &good, &failed);
            scope.spawn(move || Handshakes { client, address, stop, good, failed }.run());
        }
        for _ in 0..10 {
            let before = good.load(Ordering::SeqCst);
            // Certificate first, key later: in between they do not match.
            authority.write("one", &["one.example"]);
            let fresh = authority.leaf("one");
            eventually("the new one is served", || {
                TlsClient::new(&authority).served(address, "one.example") == fresh
            });
            eventually("the load goes on", || good.load(Ordering::SeqCst) > before + 2);
            assert_eq!(old.0.get("/").status, 200, "a connection of before");
        }
        stop.store(true, Ordering::SeqCst);
    });
    println!(
        "{} connections, {} failed, over 10 renewals",
        good.load(Ordering::SeqCst),
        failed.load(Ordering::SeqCst)
    );
    assert_eq!(failed.load(Ordering::SeqCst), 0);
    assert_eq!(old.leaf(), first);
}

#[test]
fn what_cannot_be_used_leaves_the_old_one_and_is_told_once() {
    let (authority, origin) = (Authority::new(), Origin::named("blue"));
    let certificates = [authority.write("one", &["one.example"]), authority.write("two", &["two.example"])];
    let keys =
        format!("certificates = [{{ {} }}, {{ {} }}], reload = \"10ms\"", certificates[0], certificates[1]);
    let pointsman = Pointsman::start(&config(&origin, &keys));
    let (client, address) = (TlsClient::new(&authority), pointsman.http());
    let first = authority.leaf("one");
    let (cert, key) = authority.issue(&["one.example"]);
    let told = || pointsman.log().matches("the new certificate cannot be used").count();
    // One change, not a truncation and a write.
    std::fs::write(authority.path("next.pem"), cert).expect("a file");
    std::fs::rename(authority.path("next.pem"), authority.path("one.pem")).expect("renamed");
    eventually("the mismatch is told", || told() == 1);
    let fault = pointsman.log();
    assert!(fault.contains("one.pem") && fault.contains("one.key"), "{fault}");
    // The other one is still followed, and shows that time goes by.
    for _ in 0..3 {
        authority.write("two", &["two.example"]);
        let fresh = authority.leaf("two");
        eventually("the other is exchanged", || client.served(address, "two.example") == fresh);
    }
    let about_one = || {
        let log = pointsman.log();
        log.lines().filter(|l| l.contains("cannot be used") && l.contains("one.pem with")).count()
    };
    assert_eq!(about_one(), 1, "{}", pointsman.log());
    assert_eq!(client.served(address, "one.example"), first);
    let refused = pointsman.call("POST", "/v1/reload", "");
    assert!(refused.status == 422 && refused.text().contains("one.key"), "{}", refused.text());
    std::fs::write(authority.path("one.key"), key).expect("a file");
    let fresh = authority.leaf("one");
    eventually("the pair is whole again", || client.served(address, "one.example") == fresh);
    std::fs::remove_file(authority.path("one.pem")).expect("removed");
    eventually("a missing file is told", || pointsman.log().contains("No such file"));
    assert_eq!(client.served(address, "one.example"), fresh);
}

#[test]
fn links_that_move_on_are_followed() {
    let (authority, origin) = (Authority::new(), Origin::named("blue"));
    // As certbot keeps them: live/… are links into archive/….
    let link = |number: u32| {
        for kind in ["pem", "key"] {
            let (link, next) = (authority.path(&format!("live.{kind}")), authority.path("next"));
            std::os::unix::fs::symlink(authority.path(&format!("archive{number}.{kind}")), &next)
                .expect("a link");
            std::fs::rename(next, link).expect("renamed");
        }
    };
    let named = authority.write("archive1", &["one.example"]).replace("archive1", "live");
    link(1);
    let keys = format!("certificates = [{{ {named} }}], reload = \"10ms\"");
    let pointsman = Pointsman::start(&config(&origin, &keys));
    let served = || TlsClient::new(&authority).served(pointsman.http(), "one.example");
    assert_eq!(served(), authority.leaf("archive1"));
    authority.write("archive2", &["one.example"]);
    link(2);
    eventually("the link's new aim is served", || served() == authority.leaf("archive2"));
}

#[test]
fn a_reload_takes_new_files_and_other_certificates_without_a_restart() {
    let (authority, origin) = (Authority::new(), Origin::named("blue"));
    let one = authority.write("one", &["one.example"]);
    let with =
        |certificates: &str| config(&origin, &format!("certificates = [{certificates}], reload = \"0s\""));
    let pointsman = Pointsman::start(&with(&format!("{{ {one} }}")));
    let (client, address) = (TlsClient::new(&authority), pointsman.http());
    let mut old = client.open(address, "one.example").expect("a handshake");
    authority.write("one", &["one.example"]);
    pointsman.signal("HUP");
    eventually("the new file is served", || client.served(address, "one.example") == authority.leaf("one"));
    let two = authority.write("two", &["two.example"]);
    assert!(client.open(address, "two.example").is_err());
    pointsman.configure(&with(&format!("{{ {one} }}, {{ {two} }}")));
    let report = pointsman.call("POST", "/v1/reload", "").json();
    assert_eq!(report["changed"].to_string(), "[\"listeners[0].tls.certificates\"]");
    assert_eq!(report["needs_restart"].as_array().map(Vec::len), Some(0));
    assert_eq!(client.served(address, "two.example"), authority.leaf("two"));
    let again = pointsman.call("POST", "/v1/reload", "").json();
    assert_eq!(again["changed"].as_array().map(Vec::len), Some(0), "{again}");
    assert_eq!(old.0.get("/").status, 200);
    pointsman.configure(&with(&format!("{{ {one} }}")).replace("reload = \"0s\"", "min_version = \"1.3\""));
    let report = pointsman.call("POST", "/v1/reload", "").json();
    assert!(report["needs_restart"].to_string().contains("listeners"), "{report}");
}

/// New connections without end, each with a request; what failed is counted.
struct Handshakes<'a> {
    client: TlsClient,
    address: SocketAddr,
    stop: &'a AtomicBool,
    good: &'a AtomicU64,
    failed: &'a AtomicU64,
}

impl Handshakes<'_> {
    fn run(&self) {
        while !self.stop.load(Ordering::SeqCst) {
            let answer = self.client.open(self.address, "one.example").map(|mut open| open.0.get("/"));
            let count = if answer.is_ok_and(|a| a.status == 200) { self.good } else { self.failed };
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}
