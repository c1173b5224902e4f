//! Watches, at one member.

use super::{all_from, began, changes, client, client_of, eventually, next, run, settings};
use crate::harness::EtcdCluster;
use pointsman::fleet::etcd::{Etcd, EtcdTimes, KeyOp, KeyScope, Txn, WatchEvent};
use serde_json::json;
use std::time::Duration;

#[test]
fn changes_come_in_order_with_what_was_there() {
    let cluster = EtcdCluster::start(1);
    run(async {
        let etcd = client(&cluster).await;
        let first = etcd.put("w/a", "0", 0).await.expect("written");
        let mut late = etcd.watch(all_from("w/", 0));
        began(&mut late).await;
        let both = Txn { then: vec![KeyOp::put("w/a", "1", 0), KeyOp::put("w/b", "1", 0)], ..Txn::default() };
        etcd.txn(&both).await.expect("written");
        etcd.put("x", "of nobody's interest", 0).await.expect("written");
        etcd.delete(&KeyScope::key("w/a")).await.expect("deleted");
        let seen = changes(&mut late, 3).await;
        let values: Vec<_> = seen.iter().map(|change| (&change.now.value[..], change.is_delete)).collect();
        assert_eq!(values, [(&b"1"[..], false), (b"1", false), (b"", true)]);
        assert_eq!(seen[0].revision(), seen[1].revision());
        let before = |at: usize| seen[at].before.as_ref().map(|pair| pair.value.to_vec());
        assert_eq!([before(0), before(1), before(2)], [Some(b"0".to_vec()), None, Some(b"1".to_vec())]);
        let mut early = etcd.watch(all_from("w/", first));
        let all = changes(&mut early, 4).await;
        assert_eq!(all[0].revision(), first);
        assert_eq!(all[1..], seen[..]);
    });
}

/// Each answer is larger than what etcd sends at once: it comes in pieces, and is put together.
#[test]
fn large_changes_come_in_pieces_to_a_reader_that_is_slow() {
    let cluster = EtcdCluster::start(1);
    run(async {
        let etcd = client(&cluster).await;
        let first = etcd.put("p/", "", 0).await.expect("written");
        for _ in 0..6 {
            let puts = (0..12).map(|number| KeyOp::put(format!("p/{number}"), vec![b'x'; 100 << 10], 0));
            etcd.txn(&Txn { then: puts.collect(), ..Txn::default() }).await.expect("written");
        }
        let times = EtcdTimes { pulse: Duration::from_millis(20), ..EtcdTimes::default() };
        let slow = Etcd::new(settings(&cluster.endpoints()), times).expect("a client");
        let mut watch = slow.watch(all_from("p/", first + 1));
        // The watch's connection is full by now, and lives on: its pulse passes.
        eventually("many pulses", async || etcd.put("q", "", 0).await.expect("written") > first + 100).await;
        assert!(matches!(next(&mut watch).await, WatchEvent::Began { .. }));
        let mut revisions = Vec::new();
        while revisions.len() < 72 {
            let WatchEvent::Changes(changes) = next(&mut watch).await else { panic!("the watch was lost") };
            revisions.extend(changes.iter().map(|change| change.revision()));
        }
        let expected: Vec<_> = (1..=6).flat_map(|number| [first + number; 12]).collect();
        assert_eq!(revisions, expected);
    });
}

/// etcd in the clear ends connections that send PING frames so often.
#[test]
fn an_idle_watch_is_left_alone() {
    let cluster = EtcdCluster::start(1);
    run(async {
        let times = EtcdTimes {
            pulse: Duration::from_millis(20),
            progress: Duration::from_millis(50),
            ..EtcdTimes::default()
        };
        let etcd = Etcd::new(settings(&cluster.endpoints()), times).expect("a client");
        let mut watch = etcd.watch(all_from("i/", 0));
        began(&mut watch).await;
        let lease = etcd.grant_lease(Duration::from_secs(1)).await.expect("a lease");
        etcd.put("i/", "", lease.id).await.expect("written");
        for is_delete in [false, true] {
            let WatchEvent::Changes(changes) = next(&mut watch).await else { panic!("the watch was lost") };
            assert_eq!((changes.len(), changes[0].is_delete), (1, is_delete));
        }
    });
}

#[test]
fn what_was_compacted_is_not_waited_for() {
    let cluster = EtcdCluster::start(1);
    run(async {
        let etcd = client(&cluster).await;
        let first = etcd.put("c/", "0", 0).await.expect("written");
        for number in 1..5 {
            etcd.put("c/", number.to_string(), 0).await.expect("written");
        }
        cluster.gateway("/v3/kv/compaction", &json!({ "revision": (first + 3).to_string() }));
        let mut watch = etcd.watch(all_from("c/", first + 1));
        began(&mut watch).await;
        assert_eq!(next(&mut watch).await, WatchEvent::Compacted { revision: first + 3 });
        assert_eq!(watch.next().await, None);
        let read = etcd.read_all(&KeyScope::prefix("c/")).await.expect("read");
        let mut watch = etcd.watch(all_from("c/", read.revision + 1));
        began(&mut watch).await;
        etcd.put("c/", "5", 0).await.expect("written");
        assert_eq!(changes(&mut watch, 1).await[0].now.value, "5");
    });
}

#[test]
fn nothing_is_left_of_what_is_dropped() {
    let cluster = EtcdCluster::start(1);
    let relay = crate::harness::Relay::to(cluster.members[0].client);
    run(async {
        let metrics = tokio::runtime::Handle::current().metrics();
        let etcd = client_of(settings(&[cluster.endpoint(relay.address())]));
        etcd.put("d/", "", 0).await.expect("written");
        let mut watch = etcd.watch(all_from("d/", 0));
        began(&mut watch).await;
        assert_eq!(relay.open(), 2, "one for calls, one for the watch");
        assert!(metrics.num_alive_tasks() >= 5);
        drop(etcd);
        assert_eq!(relay.open(), 2, "the watch keeps its client");
        drop(watch);
        eventually("all connections end", async || relay.open() == 0).await;
        eventually("all tasks end", async || metrics.num_alive_tasks() == 0).await;
        assert_eq!(relay.accepted(), 2);
    });
}
