//! Certificates that are ordered and renewed by themselves, from an authority of the tests.

use super::harness::{Acme, Authority, Connection, Origin, Pointsman, Printed, TlsClient, eventually, get};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// A plain listener and one with the certificate, which is for two names.
fn config(acme: &Acme, origin: &Origin, keys: &str) -> String {
    format!(
        "[acme]\nnames = [\"one.example\", \"two.example\"]\n{}{keys}\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{ acme = true, reload = \"0s\" }}\n\
         [services.web]\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n",
        acme.keys(),
        origin.address
    )
}

fn count(pointsman: &Pointsman, text: &str) -> usize {
    pointsman.log().matches(text).count()
}

#[test]
fn a_certificate_arrives_by_itself_and_is_kept() {
    let (acme, origin) = (Acme::start(), Origin::named("blue"));
    let pointsman = Pointsman::start(&config(&acme, &origin, "contact = [\"mailto:ops@one.example\"]"));
    let [plain, tls] = pointsman.listeners[..] else { panic!("{:?}", pointsman.listeners) };
    let client = TlsClient::new(&acme.authority);
    eventually("an order is placed", || !acme.state().orders.is_empty());
    assert!(!client.trusts(tls, "one.example"), "a placeholder until then");
    assert_eq!(count(&pointsman, "a self-signed placeholder is served"), 1);
    acme.state().site = Some(plain);
    eventually("the certificate is served", || client.trusts(tls, "one.example"));
    let mut connection = client.open(tls, "two.example").expect("the other name");
    assert_eq!(connection.0.get("/").text(), "blue");
    let leaf = connection.leaf();
    assert_eq!(acme.state().bad_nonces, 0, "nonces were refused, and new ones used");
    assert_eq!(acme.state().contacts, [serde_json::json!(["mailto:ops@one.example"])]);
    let token = "/.well-known/acme-challenge/token-0-0";
    assert_eq!(get(plain, token).text(), "blue", "routed like any other path once the order is done");
    let dir = pointsman.dir.path().join("state/acme");
    for file in ["certificate.pem", "account.json"] {
        let mode = std::fs::metadata(dir.join(file)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let pointsman = pointsman.kill_and_restart();
    assert_eq!(client.served(pointsman.listeners[1], "one.example"), leaf, "at once");
    assert_eq!(acme.state().orders.len(), 1);
}

#[test]
fn what_the_authority_does_not_believe_is_told_and_tried_again() {
    let (acme, origin) = (Acme::start(), Origin::named("blue"));
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    acme.state().site = Some(gone.expect("an address"));
    let pointsman = Pointsman::start(&config(&acme, &origin, ""));
    eventually("the refusal is told", || {
        count(&pointsman, "no new certificate, the old one stays; again in") == 1
    });
    let log = pointsman.log();
    assert!(log.contains("fetching the challenge of one.example"), "with its reason: {log}");
    acme.state().site = Some(pointsman.http());
    let client = TlsClient::new(&acme.authority);
    assert!(!client.trusts(pointsman.listeners[1], "one.example"));
    // A reload without a change of [acme] respects the pause; with one it is tried at once.
    assert_eq!(pointsman.call("POST", "/v1/reload", "").status, 200);
    pointsman.configure(&config(&acme, &origin, "contact = [\"mailto:ops@two.example\"]"));
    let report = pointsman.call("POST", "/v1/reload", "").json();
    assert_eq!(report["changed"].to_string(), "[\"acme\"]");
    eventually("the certificate is served", || client.trusts(pointsman.listeners[1], "one.example"));
    let state = acme.state();
    assert_eq!((state.orders.len(), state.orders[0].status, state.orders[1].status), (2, "invalid", "valid"));
    assert_eq!(
        state.contacts.last(),
        Some(&serde_json::json!(["mailto:ops@two.example"])),
        "the same account"
    );
}

#[test]
fn a_renewal_is_due_by_age_and_by_names_and_loses_no_connection() {
    let (acme, origin) = (Acme::start(), Origin::named("blue"));
    let day = Duration::from_secs(86_400);
    acme.state().validity = (day * 80, day * 10);
    let pointsman = Pointsman::start(&config(&acme, &origin, ""));
    acme.state().site = Some(pointsman.http());
    let client = TlsClient::new(&acme.authority);
    eventually("the first is served", || client.trusts(pointsman.listeners[1], "one.example"));
    let old = client.served(pointsman.listeners[1], "one.example");
    acme.state().site = None;
    let pointsman = pointsman.kill_and_restart();
    let tls = pointsman.listeners[1];
    eventually("it is renewed for its age", || acme.state().orders.len() == 2);
    let mut open = client.open(tls, "one.example").expect("a handshake");
    assert_eq!(open.leaf(), old, "the old one stays meanwhile");
    acme.state().validity = (day, day * 89);
    acme.state().site = Some(pointsman.http());
    eventually("the second is served", || client.served(tls, "one.example") != old);
    assert_eq!(open.0.get("/").status, 200);
    pointsman.configure(&config(&acme, &origin, "").replace("\"two.example\"", "\"three.example\""));
    assert_eq!(pointsman.call("POST", "/v1/reload", "").status, 200);
    eventually("it is renewed for its names", || client.trusts(tls, "three.example"));
    let state = acme.state();
    assert_eq!(state.orders.len(), 3);
    assert_eq!(state.contacts.len(), 1, "one account for all");
}

#[test]
fn challenges_are_answered_in_plain_http_only_and_before_routes_and_maintenance() {
    let (acme, origin) = (Acme::start(), Origin::named("blue"));
    let pointsman = Pointsman::start(&config(&acme, &origin, ""));
    let [plain, tls] = pointsman.listeners[..] else { panic!("{:?}", pointsman.listeners) };
    assert_eq!(pointsman.cli(&["maintenance", "on"]).code, 0);
    eventually("it is on", || get(plain, "/").status == 503);
    // The authority has been asked to validate, and waits to be told where.
    let token = "/.well-known/acme-challenge/token-0-0";
    eventually("the answer is there", || get(plain, token).status == 200);
    let answer = get(plain, token);
    assert!(answer.text().starts_with("token-0-0."), "{}", answer.text());
    assert_eq!(get(plain, "/.well-known/acme-challenge/token-0-9").status, 503, "others are routed");
    assert_eq!(get(plain, "/.well-known/acme-challenge/").status, 503);
    let mut head = Connection::open(plain);
    let head = head.send(format!("HEAD {token} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
    assert_eq!((head.status, head.body.len()), (200, 0));
    let curl = std::process::Command::new("curl")
        .args(["-sk", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}"])
        .arg(format!("https://{tls}{token}"))
        .output();
    assert_eq!(String::from_utf8_lossy(&curl.expect("curl").stdout), "503");
    assert_eq!(origin.requests(), 0);
}

#[test]
fn what_cannot_be_meant_is_told_with_its_place() {
    let authority = Authority::new();
    let check = |acme: &str, listeners: &str| {
        let text = format!(
            "{acme}[[routes]]\nservice = \"web\"\n{listeners}\
             [services.web]\n[services.web.pools.blue]\nupstreams = [\"127.0.0.1:1\"]\n"
        );
        std::fs::write(authority.path("p.toml"), text).expect("a file");
        Printed::of(&["check", "--config", "p.toml"], authority.dir.path())
    };
    let plain = "[[listeners]]\naddress = \"0.0.0.0:80\"\n";
    let tls = "[[listeners]]\naddress = \"0.0.0.0:443\"\ntls = { acme = true }\n";
    let both = format!("{plain}{tls}");
    let named = "[acme]\nnames = [\"one.example\"]\n";
    let fine = check(&format!("[server]\nstate_dir = \"none\"\n{named}"), &both);
    assert_eq!(fine.code, 0, "before the first certificate, too: {}", fine.err);
    assert!(!authority.path("none").exists(), "a check writes nothing");
    for (acme, listeners, expected) in [
        ("", &*both, "needs a section [acme]"),
        ("[acme]\n", &both, "acme.names: is missing"),
        ("[acme]\nnames = []\n", &both, "is empty"),
        ("[acme]\nnames = [\"*.one.example\"]\n", &both, "cannot prove a wildcard"),
        ("[acme]\nnames = [\"10.0.0.1\"]\n", &both, "is no DNS name"),
        ("[acme]\nnames = [\"one.example\"]\ncontact = [\"ops\"]\n", &both, "is no contact"),
        ("[acme]\nnames = [\"one.example\"]\ndirectory = \"http://x/\"\n", &both, "is no https URL"),
        (named, plain, "no listener uses it"),
        (named, tls, "needs a listener without tls"),
    ] {
        let printed = check(acme, listeners);
        assert!(printed.code == 1 && printed.err.contains(expected), "{acme}: {}", printed.err);
    }
}

/// A loopback address of this test's own, where it may listen on port 80.
fn address_with_port_80() -> Option<std::net::IpAddr> {
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = std::net::IpAddr::from([127, 80, high, low.max(1)]);
    std::net::TcpListener::bind((address, 80)).map(|_| address).ok()
}

#[test]
fn automatic_tls_orders_for_the_hosts_of_the_routes_and_redirects_from_port_80() {
    let Some(address) = address_with_port_80() else {
        return println!("left out: nobody but root may listen on port 80 here");
    };
    let (acme, origin) = (Acme::start(), Origin::named("blue"));
    let pointsman = Pointsman::start(&format!(
        "[acme]\n{}\n[[listeners]]\naddress = \"{address}:0\"\ntls = \"auto\"\n\
         [[routes]]\nhosts = [\"one.example\"]\nservice = \"web\"\n\
         [[routes]]\nhosts = [\"two.example\"]\npath = \"/api/\"\nservice = \"web\"\n\
         [services.web]\nupstreams = [\"{}\"]\n",
        acme.keys(),
        origin.address
    ));
    let [tls, plain] = pointsman.listeners[..] else { panic!("{:?}", pointsman.listeners) };
    assert_eq!((plain.ip(), plain.port()), (address, 80));
    acme.state().site = Some(plain);
    let client = TlsClient::new(&acme.authority);
    eventually("the certificate is served", || client.trusts(tls, "one.example"));
    assert!(client.trusts(tls, "two.example"), "one certificate for the hosts of all routes");
    let mut connection = client.open(tls, "one.example").expect("a handshake");
    assert_eq!(connection.0.send(b"GET / HTTP/1.1\r\nHost: one.example\r\n\r\n").text(), "blue");
    let asked = origin.requests();
    for path in ["/", "/api/users?a=1"] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: two.example\r\n\r\n");
        let answer = Connection::open(plain).send(head.as_bytes());
        let place = format!("https://two.example{path}");
        assert_eq!((answer.status, answer.header("location")), (301, Some(place.as_str())));
    }
    assert_eq!(origin.requests(), asked, "nothing is served in plain HTTP");
}
