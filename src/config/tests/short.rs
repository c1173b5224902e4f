//! Shorter forms: `":80"`, `tls = "auto"`, and `upstreams` of a service.

use super::*;
use crate::core::route::{Sought, Target};
use crate::core::settings::Listener;
use std::net::SocketAddr;

const SERVICE: &str = "[services.web]\nupstreams = [\"10.0.0.1:3000\"]\n";

fn site(listener: &str, route: &str, more: &str) -> Result<Config, Faults> {
    read_text(&format!(
        "[[listeners]]\n{listener}\n[[routes]]\nservice = \"web\"\n{route}\n{SERVICE}{more}\n"
    ))
}

fn addresses(listeners: &[Listener]) -> Vec<String> {
    listeners.iter().map(|listener| listener.address.to_string()).collect()
}

#[test]
fn a_port_alone_is_that_of_all_interfaces() {
    let config = site("address = \":8080\"\nh2c = true", "", "").expect("accepted");
    assert_eq!(addresses(&config.listeners), ["0.0.0.0:8080", "[::]:8080"]);
    assert!(config.listeners.iter().all(|listener| listener.h2c && listener.entry == 0));
    let second = "\n[[listeners]]\naddress = \"[::]:8080\"";
    let taken = site(&format!("address = \":8080\"{second}"), "", "").expect_err("twice").to_string();
    assert!(taken.contains("listeners[1]: [::]:8080 is listened on twice"), "{taken}");
    let both = site("address = \":8080\"", "listeners = [\":8080\"]", "").expect("accepted");
    let named: Vec<String> = both.routes.specs()[0].listeners.iter().map(SocketAddr::to_string).collect();
    assert_eq!(named, ["0.0.0.0:8080", "[::]:8080"]);
    let other = site("address = \":8080\"", "listeners = [\":8081\"]", "").expect_err("none").to_string();
    assert!(other.contains("there is no listener 0.0.0.0:8081, [::]:8081"), "{other}");
    for wrong in [":", ":http", ":70000", "80"] {
        let told = site(&format!("address = \"{wrong}\""), "", "").expect_err(wrong).to_string();
        assert!(told.contains("is no address with a port; write \":80\" for all interfaces"), "{told}");
    }
}

#[test]
fn without_ipv6_a_port_alone_is_that_of_ipv4() {
    let text = format!("[[listeners]]\naddress = \":80\"\n[[routes]]\nservice = \"web\"\n{SERVICE}");
    let document = Document::new(&text, &env, Path::new("/nowhere"));
    let config = parsed(document, &text, "test.toml", Surroundings::WITHOUT_IPV6).expect("accepted");
    assert_eq!(addresses(&config.listeners), ["0.0.0.0:80"]);
}

#[test]
fn automatic_tls_has_the_names_of_the_routes_and_implies_a_plain_listener() {
    let auto = "address = \"10.1.2.3:443\"\ntls = \"auto\"\nhsts = \"max-age=1\"";
    let api = "hosts = [\"One.example\", \"two.example\"]\n[[routes]]\nhosts = [\"two.example\", \"three.example\"]\n\
               path = \"/api/\"\nservice = \"web\"";
    let config = site(auto, api, "").expect("accepted");
    let acme = config.acme.as_ref().expect("ordered");
    assert_eq!(acme.names, ["one.example", "two.example", "three.example"]);
    assert_eq!(acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!(addresses(&config.listeners), ["10.1.2.3:443", "10.1.2.3:80"]);
    let [tls, plain] = &config.listeners[..] else { panic!("two") };
    let own = tls.tls.as_ref().expect("TLS");
    assert!(own.certificates == [acme.certificate()] && own.http2 && tls.hsts.is_some());
    assert!(plain.tls.is_none() && plain.hsts.is_none());
    let target = |listener: &Listener, path: &str| {
        let sought = Sought { listener: Some(listener.address), host: "two.example", path, first_from: 0 };
        let index = config.routes.find(sought, |_| true)?;
        Some(&config.routes.spec(index)?.target)
    };
    for path in ["/", "/api/users"] {
        let sent = target(plain, path);
        assert!(matches!(sent, Some(Target::Redirect(redirect)) if redirect.status == 301), "{path}");
    }
    assert!(matches!(target(tls, "/api/users"), Some(Target::Service(_))));
}

#[test]
fn automatic_tls_takes_what_is_configured_first() {
    let auto = "address = \":443\"\ntls = \"auto\"";
    let hosts = "hosts = [\"one.example\"]";
    let named = site(auto, "", "[acme]\nnames = [\"site.example\"]").expect("accepted");
    assert_eq!(named.acme.map(|acme| acme.names), Some(vec!["site.example".to_owned()]));
    assert_eq!(addresses(&named.listeners), ["0.0.0.0:443", "[::]:443", "0.0.0.0:80", "[::]:80"]);
    let plain = format!("{auto}\n[[listeners]]\naddress = \"0.0.0.0:8080\"");
    let plain = site(&plain, hosts, "").expect("accepted");
    assert_eq!(addresses(&plain.listeners), ["0.0.0.0:443", "[::]:443", "0.0.0.0:8080"], "none is implied");
    assert_eq!(plain.routes.specs().len(), 1);
    let elsewhere = "hosts = [\"one.example\"]\n[[routes]]\nhosts = [\"two.example\"]\nlisteners = [\"0.0.0.0:8080\"]\n\
                     service = \"web\"";
    let elsewhere =
        site(&format!("{auto}\n[[listeners]]\naddress = \"0.0.0.0:8080\""), elsewhere, "").expect("accepted");
    assert_eq!(elsewhere.acme.map(|acme| acme.names), Some(vec!["one.example".to_owned()]));
    let wild = site(auto, "hosts = [\"*.one.example\", \"one.example\"]", "").expect("accepted");
    let warning = wild.warnings[0].to_string();
    assert!(
        warning.starts_with("test.toml:3:7: listeners[0].tls: no certificate is ordered for *.one.example: "),
        "{warning}"
    );
}

#[test]
fn automatic_tls_that_cannot_work_is_refused() {
    let auto = "address = \":443\"\ntls = \"auto\"";
    for (listener, route, expected) in [
        (auto, "", "listeners[0].tls: needs the names that the certificate is for: give routes hosts"),
        (auto, "hosts = [\"*.one.example\"]", "listeners[0].tls: needs the names"),
        ("address = \":443\"\ntls = \"yes\"", "", "listeners[0].tls: \"yes\" is none of auto; write: tls = "),
        (
            "address = \":443\"\ntls = 5",
            "",
            "listeners[0].tls: is an integer where a table is expected; write: tls = ",
        ),
        (
            "address = \":80\"\ntls = \"auto\"",
            "hosts = [\"one.example\"]",
            "acme: needs a listener without tls",
        ),
    ] {
        let told = site(listener, route, "").expect_err(expected).to_string();
        assert!(told.contains(expected), "{expected}: {told}");
    }
}

#[test]
fn upstreams_of_a_service_are_those_of_its_only_pool() {
    let listener = "address = \"127.0.0.1:0\"";
    let short = site(listener, "", "").expect("accepted");
    let long = format!(
        "[[listeners]]\n{listener}\n[[routes]]\nservice = \"web\"\n\
                        [services.web.pools.blue]\nupstreams = [\"10.0.0.1:3000\"]\n"
    );
    let long = read_text(&long).expect("accepted");
    assert_ne!(short.shared_digest, long.shared_digest, "it is of what is written");
    assert_eq!(short, Config { shared_digest: short.shared_digest.clone(), ..long });
    for (more, expected) in [
        (
            "[services.web.pools.green]\nupstreams = [\"10.0.0.2:3000\"]",
            "services.web.upstreams: stands beside pools",
        ),
        ("[services.api]\nupstreams = []", "services.api: has no upstream"),
        ("[services.api]\nupstreams = [\"10.0.0.1\"]", "services.api.upstreams[0]: \"10.0.0.1\" has no port"),
        (
            "[services.api]\nupstreams = \"10.0.0.1:80\"",
            "services.api.upstreams: is a string where an array is expected; write: upstreams = ",
        ),
        ("[services.api]\n", "services.api: has no pool; add upstreams = "),
    ] {
        let told = site(listener, "", more).expect_err(expected).to_string();
        assert!(told.contains(expected), "{expected}: {told}");
    }
}
