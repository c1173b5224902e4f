//! TLS and users.

use super::{all_from, began, changes, client, client_of, eventually, next, run, settings};
use crate::harness::{Authority, EtcdCluster};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use pointsman::core::settings::{EtcdSettings, EtcdUser, Identity, Trust};
use pointsman::fleet::etcd::{KeyScope, RefusalReason, WatchEvent};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

/// Users `root` and `edge`; `edge` may use `e/` alone.
fn add_users(cluster: &EtcdCluster, password: &str) {
    let of = |path: &str, body| cluster.gateway(&format!("/v3/auth/{path}"), &body);
    let base64 = |text: &str| BASE64_STANDARD.encode(text);
    of("role/add", json!({ "name": "root" }));
    of("role/add", json!({ "name": "edge" }));
    let range = json!({ "permType": "READWRITE", "key": base64("e/"), "range_end": base64("e0") });
    of("role/grant", json!({ "name": "edge", "perm": range }));
    for user in ["root", "edge"] {
        of("user/add", json!({ "name": user, "password": password }));
        of("user/grant", json!({ "user": user, "role": user }));
    }
}

fn with_user(cluster: &EtcdCluster, name: &str, password: &str) -> EtcdSettings {
    let user = EtcdUser { name: name.into(), password: password.into() };
    EtcdSettings { user: Some(user), ..settings(&cluster.endpoints()) }
}

/// A token that lasts a second: it ends by time, and with every change of users.
#[test]
fn a_password_makes_tokens_as_long_as_they_are_needed() {
    let dir = tempfile::tempdir().expect("a directory");
    let key = dir.path().join("key");
    std::fs::write(&key, "a key of the tests for tokens, with 32 bytes or more").expect("a file");
    let token = format!("jwt,priv-key={},sign-method=HS256,ttl=1s", key.display());
    let cluster = EtcdCluster::start_with(1, None, &["--auth-token", &token]);
    run(async {
        let nobody = client(&cluster).await;
        let edge = client_of(with_user(&cluster, "edge", "secret"));
        add_users(&cluster, "secret");
        edge.put("e/", "without users", 0).await.expect("written");
        let mut watch = edge.watch(all_from("e/", 0));
        began(&mut watch).await;
        cluster.gateway("/v3/auth/enable", &json!({}));
        edge.put("e/", "with users", 0).await.expect("users were switched on, and it logs in");
        assert_eq!(changes(&mut watch, 1).await[0].now.value, "with users");
        let fault = nobody.put("e/", "", 0).await.expect_err("no user");
        assert_eq!(fault.refusal(), Some(&RefusalReason::NoUser), "{fault}");
        assert!(fault.to_string().contains("set user and password"), "{fault}");
        let fault = edge.put("other/", "", 0).await.expect_err("no permission");
        let expected = RefusalReason::Permission { user: Some("edge".into()) };
        assert_eq!(fault.refusal(), Some(&expected), "{fault}");
        let wrong = client_of(with_user(&cluster, "edge", "guess"));
        let fault = wrong.put("e/", "", 0).await.expect_err("a wrong password");
        assert_eq!(fault.refusal(), Some(&RefusalReason::Login { user: "edge".into() }), "{fault}");
        assert!(fault.to_string().contains("\"edge\"") && !fault.to_string().contains("guess"), "{fault}");

        // The token ends while nobody asks.
        let root = client_of(with_user(&cluster, "root", "secret"));
        let lease = root.grant_lease(std::time::Duration::from_secs(2)).await.expect("a lease");
        root.put("e/lease", "", lease.id).await.expect("written");
        changes(&mut watch, 2).await;
        edge.put("e/", "later", 0).await.expect("a token that has ended is renewed");
        assert_eq!(changes(&mut watch, 1).await[0].now.value, "later");
        let mut again = edge.watch(all_from("e/", 0));
        began(&mut again).await;
        let mut not = edge.watch(all_from("other/", 0));
        let WatchEvent::Lost(fault) = next(&mut not).await else { panic!("no permission") };
        assert_eq!(fault.refusal(), Some(&expected), "{fault}");
    });
}

/// The watch of an ended token is answered like one without permission.
#[test]
fn a_watch_with_an_ended_token_logs_in_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let key = dir.path().join("key");
    std::fs::write(&key, "a key of the tests for tokens, with 32 bytes or more").expect("a file");
    let token = format!("jwt,priv-key={},sign-method=HS256,ttl=1s", key.display());
    let mut cluster = EtcdCluster::start_with(1, None, &["--auth-token", &token]);
    run(async {
        drop(client(&cluster).await);
        add_users(&cluster, "secret");
        cluster.gateway("/v3/auth/enable", &json!({}));
        let edge = client_of(with_user(&cluster, "edge", "secret"));
        edge.put("e/", "", 0).await.expect("written");
        let mut watch = edge.watch(all_from("e/", 0));
        began(&mut watch).await;
        let until = std::time::Instant::now() + std::time::Duration::from_millis(1100);
        eventually("the token has ended", async || std::time::Instant::now() > until).await;
        cluster.kill(0);
        cluster.restart(0);
        began(&mut watch).await;
        edge.put("e/", "again", 0).await.expect("written");
        assert_eq!(changes(&mut watch, 1).await[0].now.value, "again");
    });
}

/// Settings for TLS with an authority, and with the certificate of a file where one is named.
fn with_tls(endpoints: &[String], authority: &Authority, file: Option<&str>) -> EtcdSettings {
    let der = |name: &str| CertificateDer::from_pem_file(authority.path(name)).expect("a file").to_vec();
    let mut all = settings(endpoints);
    all.authority = Some(authority.ca().into());
    all.tls.trust = Trust::Authorities(vec![der("ca.pem").into()]);
    all.tls.client = file.map(|file| {
        let key = PrivateKeyDer::from_pem_file(authority.path(&format!("{file}.key"))).expect("a file");
        let chain: Vec<Bytes> = vec![der(&format!("{file}.pem")).into()];
        Identity { chain, key: Bytes::copy_from_slice(key.secret_der()) }
    });
    all
}

#[test]
fn a_certificate_is_a_user() {
    let authority = Authority::new();
    let cluster = EtcdCluster::start_with(1, Some(&authority), &[]);
    authority.write("edge", &["edge"]);
    authority.write("nobody", &["nobody"]);
    run(async {
        let endpoints = cluster.endpoints();
        let edge = client_of(with_tls(&endpoints, &authority, Some("edge")));
        eventually("etcd answers", async || edge.put("e/", "", 0).await.is_ok()).await;
        add_users(&cluster, "secret");
        cluster.gateway("/v3/auth/enable", &json!({}));
        let mut watch = edge.watch(all_from("e/", 0));
        began(&mut watch).await;
        edge.put("e/", "by its name", 0).await.expect("written");
        assert_eq!(changes(&mut watch, 1).await[0].now.value, "by its name");
        let fault = edge.range(&KeyScope::prefix("").into()).await.expect_err("no permission");
        assert_eq!(fault.refusal(), Some(&RefusalReason::Permission { user: None }), "{fault}");
        let nobody = client_of(with_tls(&endpoints, &authority, Some("nobody")));
        let fault = nobody.put("e/", "", 0).await.expect_err("no such user");
        println!("an unknown user: {fault}");
        assert!(fault.refusal().is_some(), "{fault:?}");
    });
}

#[test]
fn what_is_wrong_with_tls_is_said_with_its_place() {
    let (authority, other) = (Authority::new(), Authority::called("another authority"));
    let cluster = EtcdCluster::start_with(1, Some(&authority), &[]);
    let plain = EtcdCluster::start(1);
    authority.write("edge", &["edge"]);
    other.write("edge", &["edge"]);
    run(async {
        let endpoints = cluster.endpoints();
        let good = with_tls(&endpoints, &authority, Some("edge"));
        let etcd = client_of(good.clone());
        eventually("etcd answers", async || etcd.put("e/", "", 0).await.is_ok()).await;
        let said = async |settings: EtcdSettings| {
            let fault = client_of(settings).put("e/", "", 0).await.expect_err("no connection");
            println!("{fault}");
            fault.to_string()
        };
        let unknown = said(with_tls(&endpoints, &other, Some("edge"))).await;
        assert!(unknown.contains(&endpoints[0]) && unknown.contains(&other.ca()), "{unknown}");
        let without = said(with_tls(&endpoints, &authority, None)).await;
        assert!(without.contains("set cert and key"), "{without}");
        let mut foreign = with_tls(&endpoints, &authority, Some("edge"));
        foreign.tls.client = with_tls(&endpoints, &other, Some("edge")).tls.client;
        let foreign = said(foreign).await;
        assert!(foreign.contains("--trusted-ca-file"), "{foreign}");
        let mut misnamed = good.clone();
        misnamed.tls.name = Some("elsewhere.example".into());
        assert!(said(misnamed).await.contains("elsewhere.example"));
        let in_clear: Vec<_> = endpoints.iter().map(|text| text.replace("https", "http")).collect();
        assert!(said(settings(&in_clear)).await.contains("write https://"));
        let tls_to_plain: Vec<_> =
            plain.endpoints().iter().map(|text| text.replace("http", "https")).collect();
        assert!(said(with_tls(&tls_to_plain, &authority, None)).await.contains("write http://"));
        let nginx = crate::harness::Nginx::start(&["not etcd"]);
        assert!(
            said(settings(&[format!("http://{}", nginx.addresses[0])])).await.contains("another server's")
        );
        let nobody = said(settings(&["http://127.0.0.1:1".to_owned()])).await;
        assert!(nobody.contains("http://127.0.0.1:1: connect"), "{nobody}");
    });
}
