//! Keys, transactions and leases, at one member.

use super::{client, eventually, run};
use crate::harness::EtcdCluster;
use pointsman::fleet::etcd::{
    Etcd, KeyCondition, KeyOp, KeyRange, KeyScope, RefusalReason, Relation, Txn, TxnOutcome,
};
use std::time::Duration;

fn texts(pairs: &[pointsman::fleet::etcd::KeyValue]) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    pairs.iter().map(|pair| (text(&pair.key), text(&pair.value))).collect()
}

#[test]
fn keys_are_written_read_and_deleted() {
    let cluster = EtcdCluster::start(1);
    run(async {
        let etcd = client(&cluster).await;
        let first = etcd.put("a/1", "one", 0).await.expect("written");
        let second = etcd.put("a/2", "", 0).await.expect("written");
        etcd.put("a/1", "uno", 0).await.expect("written");
        etcd.put("b", "other", 0).await.expect("written");
        assert_eq!(second, first + 1);
        let all = etcd.range(&KeyScope::prefix("a/").into()).await.expect("read");
        assert_eq!(
            texts(&all.pairs),
            [("a/1".into(), "uno".into()), ("a/2".into(), String::new())] as [(String, String); 2]
        );
        let pair = &all.pairs[0];
        assert_eq!((pair.create_revision, pair.mod_revision, pair.version), (first, first + 2, 2));
        assert_eq!((all.revision, all.count, all.has_more), (first + 3, 2, false));
        let of = async |range: KeyRange| etcd.range(&range).await.expect("read");
        let everything = KeyRange::from(KeyScope::prefix(""));
        let one = of(KeyRange { limit: 1, keys_only: true, ..everything.clone() }).await;
        assert_eq!(
            (texts(&one.pairs), one.count, one.has_more),
            (vec![("a/1".into(), String::new())], 3, true)
        );
        assert_eq!(of(KeyRange { count_only: true, ..everything }).await.count, 3);
        let before = of(KeyRange { revision: first, ..KeyScope::key("a/1").into() }).await;
        assert_eq!(texts(&before.pairs), [("a/1".into(), "one".into())] as [(String, String); 1]);
        let future = KeyRange { revision: first + 99, ..KeyScope::key("a/1").into() };
        let fault = etcd.range(&future).await.expect_err("a revision to come");
        assert_eq!(fault.refusal(), Some(&RefusalReason::Revision), "{fault}");
        assert_eq!(etcd.delete(&KeyScope::prefix("a/")).await, Ok(2));
        assert_eq!(etcd.revision(), first + 4);
    });
}

#[test]
fn what_is_large_is_read_in_pages_and_refused_beyond_measure() {
    let cluster = EtcdCluster::start(1);
    run(async {
        let etcd = client(&cluster).await;
        for number in 0..9 {
            let value = vec![b'x'; 1 << 20];
            etcd.put(format!("large/{number}"), value, 0).await.expect("written");
        }
        let scope = KeyScope::prefix("large/");
        let fault = etcd.range(&scope.clone().into()).await.expect_err("nine megabytes");
        assert_eq!(fault.refusal(), Some(&RefusalReason::TooLarge), "{fault}");
        let all = etcd.read_all(&scope).await.expect("read");
        assert_eq!((all.pairs.len(), all.count, all.has_more), (9, 9, false));
        assert!(all.pairs.iter().all(|pair| pair.value.len() == 1 << 20));
        let fault = etcd.put("huge", vec![0; 3 << 20], 0).await.expect_err("more than etcd takes");
        assert_eq!(fault.refusal(), Some(&RefusalReason::TooLarge), "{fault}");
        assert_eq!(etcd.read_all(&KeyScope::prefix("none/")).await.expect("read").count, 0);
    });
}

async fn tried(etcd: &Etcd, condition: KeyCondition) -> TxnOutcome {
    let read = KeyOp::read(&KeyScope::prefix("t/").into());
    let txn = Txn {
        conditions: vec![condition],
        then: vec![KeyOp::put("t/a", "then", 0), KeyOp::delete(&KeyScope::key("t/b")), read.clone()],
        otherwise: vec![read],
    };
    etcd.txn(&txn).await.expect("a transaction")
}

#[test]
fn a_transaction_does_all_or_the_other() {
    let cluster = EtcdCluster::start(1);
    run(async {
        let etcd = client(&cluster).await;
        let (a, b) = (KeyScope::key("t/a"), KeyScope::key("t/b"));
        let created = etcd.put("t/b", "old", 0).await.expect("written");
        let not = tried(&etcd, KeyCondition::mod_revision(&b, Relation::Equal, created - 1)).await;
        assert!(!not.has_succeeded);
        assert_eq!(texts(&not.listings[0].pairs), [("t/b".into(), "old".into())] as [(String, String); 1]);
        let done = tried(&etcd, KeyCondition::absent(&a)).await;
        assert!(done.has_succeeded);
        assert_eq!(done.revision, created + 1);
        assert_eq!(texts(&done.listings[0].pairs), [("t/a".into(), "then".into())] as [(String, String); 1]);
        let revision = done.revision;
        for (condition, holds) in [
            (KeyCondition::absent(&a), false),
            (KeyCondition::create_revision(&a, Relation::Equal, revision), true),
            (KeyCondition::version(&a, Relation::Equal, 2), true),
            (KeyCondition::version(&a, Relation::Less, 3), false),
            (KeyCondition::version(&a, Relation::NotEqual, 7), true),
            (KeyCondition::value(&a, Relation::Equal, "then"), true),
            (KeyCondition::value(&b, Relation::NotEqual, "then"), false),
            (KeyCondition::mod_revision(&KeyScope::prefix("t/"), Relation::Greater, revision), true),
            (KeyCondition::mod_revision(&KeyScope::prefix("t/"), Relation::Less, revision), false),
            (KeyCondition::mod_revision(&KeyScope::prefix("none/"), Relation::Less, revision), true),
        ] {
            assert_eq!(tried(&etcd, condition.clone()).await.has_succeeded, holds, "{condition:?}");
        }
        let twice =
            Txn { then: vec![KeyOp::put("t/a", "1", 0), KeyOp::put("t/a", "2", 0)], ..Txn::default() };
        let fault = etcd.txn(&twice).await.expect_err("one key twice");
        assert_eq!(fault.refusal(), Some(&RefusalReason::Other), "{fault}");
        assert!(fault.to_string().contains("duplicate key"), "{fault}");
    });
}

#[test]
fn keys_go_with_their_lease() {
    let cluster = EtcdCluster::start(1);
    run(async {
        let etcd = client(&cluster).await;
        let lease = etcd.grant_lease(Duration::from_secs(5)).await.expect("a lease");
        assert!(lease.id != 0 && lease.ttl == Duration::from_secs(5), "{lease:?}");
        etcd.put("alive", "", lease.id).await.expect("written");
        assert_eq!(etcd.keep_lease(lease.id).await, Ok(lease.ttl));
        etcd.revoke_lease(lease.id).await.expect("revoked");
        assert_eq!(etcd.range(&KeyScope::key("alive").into()).await.expect("read").count, 0);
        for fault in [
            etcd.keep_lease(lease.id).await.expect_err("no lease"),
            etcd.revoke_lease(lease.id).await.expect_err("no lease"),
            etcd.put("alive", "", lease.id).await.expect_err("no lease"),
        ] {
            assert_eq!(fault.refusal(), Some(&RefusalReason::LeaseNotFound), "{fault}");
        }
        let short = etcd.grant_lease(Duration::from_millis(1)).await.expect("a lease");
        etcd.put("alive", "", short.id).await.expect("written");
        let gone = async || etcd.range(&KeyScope::key("alive").into()).await.expect("read").count == 0;
        eventually("the key goes by itself", gone).await;
    });
}

#[test]
fn a_cluster_says_who_it_is() {
    let cluster = EtcdCluster::start(1);
    run(async {
        let etcd = client(&cluster).await;
        let members = etcd.members().await.expect("members");
        let status = etcd.status().await.expect("a status");
        println!("etcd {}", status.version);
        assert_eq!(members.len(), 1);
        assert_eq!(members[0].client_urls, cluster.endpoints());
        assert_eq!((status.id, status.leader), (members[0].id, members[0].id));
        assert!(status.database_bytes > 0 && status.errors.is_empty(), "{status:?}");
    });
}

/// Deletes pass all the same.
#[test]
fn a_store_without_room_says_what_helps() {
    let cluster = EtcdCluster::start_with(1, None, &["--quota-backend-bytes", "65536"]);
    run(async {
        let etcd = client(&cluster).await;
        let (mut fault, mut number) = (None, 0);
        eventually("no room", async || {
            number += 1;
            fault = etcd.put(format!("full/{number}"), vec![b'x'; 16 << 10], 0).await.err();
            fault.is_some()
        })
        .await;
        let fault = fault.expect("a fault");
        assert_eq!(fault.refusal(), Some(&RefusalReason::NoSpace), "{fault}");
        assert!(fault.to_string().contains("etcdctl alarm disarm"), "{fault}");
        assert!(etcd.delete(&KeyScope::prefix("full/")).await.is_ok_and(|count| count > 0));
        assert!(etcd.status().await.expect("a status").errors.iter().any(|error| error.contains("NOSPACE")));
    });
}
