//! One certificate for all: the leader orders it, any member answers the authority, and all serve it.

use super::{SECRET, Site, again, in_step, leader};
use crate::harness::{Acme, Pointsman, TlsClient, eventually, get};
use base64::prelude::{BASE64_STANDARD as BASE64, Engine};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

const TOKEN: &str = "/.well-known/acme-challenge/token-0-0";

/// Each member has a plain listener and one with the certificate.
fn site(acme: &Acme) -> Site {
    let more = format!(
        "[acme]\nnames = [\"one.example\", \"two.example\"]\n{}[[listeners]]\naddress = \"127.0.0.1:0\"\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{ acme = true, reload = \"0s\" }}\n",
        acme.keys()
    );
    Site { more, ..Site::new() }
}

/// What the store has of the certificate: names of keys, and their values.
fn stored(site: &Site) -> Vec<(String, String)> {
    let range =
        json!({ "key": BASE64.encode("pointsman/acme/"), "range_end": BASE64.encode("pointsman/acme0") });
    let answer = site.cluster.gateway("/v3/kv/range", &range);
    let text = |value: &serde_json::Value| {
        let bytes = BASE64.decode(value.as_str().unwrap_or_default()).expect("base64");
        String::from_utf8(bytes).expect("a text")
    };
    let pairs = answer["kvs"].as_array().into_iter().flatten();
    pairs.map(|pair| (text(&pair["key"]), text(&pair["value"]))).collect()
}

/// Waits until all serve one certificate of the authority; its leaf.
#[track_caller]
fn one_certificate(acme: &Acme, members: &[&Pointsman]) -> Vec<u8> {
    let client = TlsClient::new(&acme.authority);
    for member in members {
        eventually("the certificate is served", || client.trusts(member.listeners[1], "two.example"));
    }
    let leaves: Vec<_> =
        members.iter().map(|member| client.served(member.listeners[1], "one.example")).collect();
    assert!(leaves.windows(2).all(|pair| pair[0] == pair[1]), "all serve the same");
    leaves[0].to_vec()
}

/// Waits until each answers the authority, and not the service in its place.
#[track_caller]
fn all_answer(members: &[&Pointsman]) {
    for member in members {
        eventually("it answers the challenge", || get(member.http(), TOKEN).text().starts_with("token-0-0."));
    }
    let answers: Vec<String> = members.iter().map(|member| get(member.http(), TOKEN).text()).collect();
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

fn copy(member: &Pointsman, name: &str) -> String {
    let path = member.dir.path().join("state/acme").join(name);
    let mode = std::fs::metadata(&path).expect("a copy").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{name}");
    std::fs::read_to_string(path).expect("a copy")
}

#[test]
fn the_leader_orders_any_member_answers_and_all_serve_it() {
    let acme = Acme::start();
    let mut site = site(&acme);
    let mut members = site.members(3);
    eventually("an order is placed", || !acme.state().orders.is_empty());
    let all: Vec<&Pointsman> = members.iter().collect();
    all_answer(&all);
    // The authority asks one that has not ordered.
    let leads = leader(&site);
    let asked = (0..3).find(|number| leads != format!("edge-{}", number + 1)).expect("another");
    acme.state().site = Some(members[asked].http());
    let leaf = one_certificate(&acme, &all);
    let ordered = |member: &&Pointsman| member.log().contains("ordering a certificate");
    assert_eq!(all.iter().copied().filter(ordered).count(), 1, "one alone orders");
    {
        let state = acme.state();
        assert_eq!((state.orders.len(), state.contacts.len()), (1, 1), "one order of one account");
    }
    for member in &all {
        eventually("the answers are gone", || get(member.http(), TOKEN).text() == "blue");
        assert_eq!(copy(member, "certificate.pem"), copy(all[0], "certificate.pem"));
        eventually("the account is kept", || copy(member, "account.json") == copy(all[0], "account.json"));
    }
    let stored = stored(&site);
    let keys: Vec<&str> =
        stored.iter().map(|(key, _)| key.as_str()).filter(|key| !key.contains("/shown/")).collect();
    assert_eq!(keys, ["pointsman/acme/account", "pointsman/acme/certificate"]);
    assert!(
        stored.iter().all(|(_, value)| !value.contains("PRIVATE") && !value.contains("key_pkcs8")),
        "{stored:?}"
    );
    // A member that etcd is silent to starts with what it has.
    let dir = members.remove(asked).kill();
    site.cluster.kill(0);
    let alone = again(dir);
    assert_eq!(
        TlsClient::new(&acme.authority).served(alone.listeners[1], "one.example").to_vec(),
        leaf,
        "at once"
    );
    assert_eq!(acme.state().orders.len(), 1);
}

#[test]
fn the_next_leader_goes_on_with_an_order() {
    let acme = Acme::start();
    let site = site(&acme);
    let mut members = site.members(3);
    all_answer(&members.iter().collect::<Vec<_>>());
    let leads = leader(&site);
    let number: usize = leads.trim_start_matches("edge-").parse().expect("a number");
    let dir = members.remove(number - 1).kill();
    eventually("another leads", || leader(&site) != leads);
    let all: Vec<&Pointsman> = members.iter().collect();
    let goes_on = |member: &&Pointsman| member.log().contains("ordering a certificate");
    eventually("it goes on", || all.iter().any(goes_on));
    acme.state().site = Some(all[0].http());
    let leaf = one_certificate(&acme, &all);
    {
        let state = acme.state();
        assert_eq!((state.orders.len(), state.contacts.len()), (1, 1), "the order of the one before");
    }
    let back = again(dir);
    assert_eq!(one_certificate(&acme, &[&back]), leaf, "it takes what was ordered meanwhile");
    assert_eq!(acme.state().orders.len(), 1);
}

#[test]
fn a_wiped_store_gets_the_certificate_back_and_strangers_do_not_read_it() {
    let acme = Acme::start();
    let mut site = site(&acme);
    let members = site.members(2);
    acme.state().site = Some(members[0].http());
    let all: Vec<&Pointsman> = members.iter().collect();
    let leaf = one_certificate(&acme, &all);
    eventually("it is stored", || stored(&site).iter().any(|(key, _)| key.ends_with("/certificate")));
    site.cluster.wipe(0);
    site.cluster.restart(0);
    let has = |name: &str| stored(&site).iter().any(|(key, _)| key.ends_with(name));
    eventually("it is stored again", || has("/certificate") && has("/account"));
    in_step(&all);
    let third = site.member("edge-3");
    assert_eq!(one_certificate(&acme, &[all[0], all[1], &third]), leaf);
    let other = SECRET.replace('b', "c");
    let stranger =
        Pointsman::start_told(&site.config("edge-4", &site.cluster.endpoints()), &[("FLEET_SECRET", &other)]);
    eventually("it says so", || stranger.log().contains("was sealed with another secret"));
    assert!(!TlsClient::new(&acme.authority).trusts(stranger.listeners[1], "one.example"), "a placeholder");
    assert_eq!(acme.state().orders.len(), 1);
}

#[test]
fn a_failure_is_paused_after_by_the_next_leader_too() {
    let acme = Acme::start();
    let site = site(&acme);
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    acme.state().site = Some(gone.expect("an address"));
    let mut members = site.members(2);
    let has_failed =
        |member: &Pointsman| member.log().contains("no new certificate, the old one stays; again in");
    eventually("the order fails", || members.iter().any(has_failed));
    eventually("that is stored", || {
        stored(&site).iter().any(|(key, _)| key.ends_with("/order"))
            && get(members[0].http(), TOKEN).text() == "blue"
    });
    let leads = leader(&site);
    let dir = members.remove(usize::from(leads == "edge-2")).kill();
    eventually("the other leads", || leader(&site) != leads);
    let left = &members[0];
    acme.state().site = Some(left.http());
    in_step(&[left]);
    assert_eq!(acme.state().orders.len(), 1);
    // What changes [acme] is tried at once.
    let name = if leads == "edge-1" { "edge-2" } else { "edge-1" };
    let text = site.config(name, &site.cluster.endpoints());
    left.configure(&text.replace("[acme]\n", "[acme]\ncontact = [\"mailto:ops@one.example\"]\n"));
    assert_eq!(left.call("POST", "/v1/reload", "").status, 200);
    one_certificate(&acme, &[left]);
    assert_eq!(acme.state().orders.len(), 2);
    drop(dir);
}

/// The value of a key, as it is in the store.
fn value(site: &Site, name: &str) -> Option<String> {
    let key = format!("pointsman/acme/{name}");
    stored(site).into_iter().find(|(stored, _)| *stored == key).map(|(_, value)| value)
}

fn put(site: &Site, name: &str, value: &str) {
    let key = BASE64.encode(format!("pointsman/acme/{name}"));
    site.cluster.gateway("/v3/kv/put", &json!({ "key": key, "value": BASE64.encode(value) }));
}

fn delete(site: &Site, name: &str) {
    let key = BASE64.encode(format!("pointsman/acme/{name}"));
    site.cluster.gateway("/v3/kv/deleterange", &json!({ "key": key }));
}

/// What the next leader finds where the one before had its certificate and nobody else: the order, and the account.
#[test]
fn an_order_that_the_authority_has_fulfilled_is_not_placed_again() {
    let acme = Acme::start();
    let site = site(&acme);
    let first = site.member("edge-1");
    all_answer(&[&first]);
    let order = value(&site, "order").expect("an order");
    acme.state().site = Some(first.http());
    let leaf = one_certificate(&acme, &[&first]);
    eventually("it is shared", || value(&site, "certificate").is_some());
    drop(first);
    delete(&site, "certificate");
    put(&site, "order", &order);
    let second = site.member("edge-2");
    assert_eq!(one_certificate(&acme, &[&second]), leaf, "of the same order");
    eventually("it is shared again", || {
        value(&site, "certificate").is_some() && value(&site, "order").is_none()
    });
    let state = acme.state();
    assert_eq!((state.orders.len(), state.contacts.len()), (1, 1));
}

#[test]
fn who_writes_to_the_store_takes_no_certificate_away() {
    let acme = Acme::start();
    let site = site(&acme);
    let day = std::time::Duration::from_secs(86_400);
    acme.state().validity = (day * 80, day * 10);
    let first = site.member("edge-1");
    acme.state().site = Some(first.http());
    let old_leaf = one_certificate(&acme, &[&first]);
    eventually("it is shared", || value(&site, "certificate").is_some());
    let old = value(&site, "certificate").expect("a certificate");
    // Another process does not rest as long as that one does.
    acme.state().validity = (day, day * 89);
    let dir = first.kill();
    acme.state().site = None;
    let first = again(dir);
    acme.state().site = Some(first.http());
    let client = TlsClient::new(&acme.authority);
    eventually("it is renewed", || client.served(first.listeners[1], "one.example") != old_leaf);
    let second = site.member("edge-2");
    let leaf = one_certificate(&acme, &[&first, &second]);
    let account = value(&site, "account").expect("an account");
    let large = format!("{{\"format\":1,\"sealed\":\"{}\"}}", "A".repeat(60_000));
    for attack in [&*old, "garbage", &account, &large, "{\"format\":1,\"sealed\":\"AAAA\"}"] {
        put(&site, "certificate", attack);
        put(&site, "order", attack);
        eventually("the leader writes it again", || {
            value(&site, "certificate").is_some_and(|now| now != *attack)
        });
        assert_eq!(one_certificate(&acme, &[&first, &second]), leaf);
    }
    delete(&site, "certificate");
    delete(&site, "account");
    eventually("both are back", || {
        value(&site, "certificate").is_some() && value(&site, "account").is_some()
    });
    assert_eq!(acme.state().orders.len(), 2);
    assert_eq!(acme.state().contacts.len(), 1, "one account");
}
