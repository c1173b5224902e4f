//! One member behind a network that fails, and a store that is not the one it was.

use super::{all_from, began, changes, client, client_of, eventually, next, run, settings};
use crate::harness::{EtcdCluster, Network, Relay};
use pointsman::fleet::etcd::{EtcdFault, KeyScope, KeyWatch, Rewound, WatchEvent};
use std::time::{Duration, Instant};

/// Waits until a watch says that nobody serves it; why.
async fn lost(watch: &mut KeyWatch) -> EtcdFault {
    loop {
        match next(watch).await {
            WatchEvent::Lost(fault) => return fault,
            WatchEvent::Changes(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Under each fault of the network the watch notices, and misses nothing.
#[test]
fn a_watch_outlives_its_network() {
    let cluster = EtcdCluster::start(1);
    let relay = Relay::to(cluster.members[0].client);
    run(async {
        let near = client(&cluster).await;
        let far = client_of(settings(&[cluster.endpoint(relay.address())]));
        let mut watch = far.watch(all_from("n/", 0));
        began(&mut watch).await;
        for network in [Network::Cut, Network::Silent, Network::DeafServer, Network::DeafClient] {
            relay.set(network);
            let since = Instant::now();
            let fault = lost(&mut watch).await;
            println!("{network:?}: lost after {} ms: {fault}", since.elapsed().as_millis());
            assert!(since.elapsed() < Duration::from_secs(10));
            let written = near.put("n/", format!("{network:?}"), 0).await.expect("written");
            relay.set(Network::Whole);
            let healed = Instant::now();
            let seen = changes(&mut watch, 1).await;
            println!("{network:?}: in step {} ms after it was healed", healed.elapsed().as_millis());
            assert_eq!(seen.len(), 1);
            assert_eq!(
                (seen[0].revision(), &seen[0].now.value[..]),
                (written, format!("{network:?}").as_bytes())
            );
        }
        relay.set(Network::Slow(Duration::from_millis(50)));
        near.put("n/", "slow", 0).await.expect("written");
        let WatchEvent::Changes(seen) = next(&mut watch).await else { panic!("slow is not lost") };
        assert_eq!(seen[0].now.value, "slow");
        far.put("n/", "slow, too", 0).await.expect("written");
    });
}

/// A call that was not answered says whether it may have taken effect.
#[test]
fn a_write_without_an_answer_is_of_unknown_outcome() {
    let cluster = EtcdCluster::start(1);
    let relay = Relay::to(cluster.members[0].client);
    run(async {
        let near = client(&cluster).await;
        let far = client_of(settings(&[cluster.endpoint(relay.address())]));
        far.put("o/", "before", 0).await.expect("written");
        relay.set(Network::DeafClient);
        let since = Instant::now();
        let fault = far.put("o/", "unheard", 0).await.expect_err("no answer");
        println!("{} ms: {fault}", since.elapsed().as_millis());
        assert!(fault.is_unknown(), "{fault:?}");
        let value =
            async || near.range(&KeyScope::key("o/").into()).await.expect("read").pairs[0].value.clone();
        assert_eq!(value().await, "unheard", "it has taken effect");
        let fault = far.put("o/", "unsent", 0).await.expect_err("no member");
        assert!(matches!(fault, EtcdFault::NotConnected(_)), "{fault:?}");
        let fault = far.range(&KeyScope::key("o/").into()).await.expect_err("no member");
        assert!(matches!(fault, EtcdFault::NotConnected(_)), "{fault:?}");
        relay.set(Network::Whole);
        eventually("it is back", async || far.range(&KeyScope::key("o/").into()).await.is_ok()).await;
        assert_eq!(value().await, "unheard");
        relay.set(Network::Slow(Duration::from_millis(600)));
        let fault = far.put("o/", "late", 0).await.expect_err("no answer in time");
        assert!(fault.is_unknown(), "{fault:?}");
        relay.set(Network::Whole);
    });
}

/// A watch from before would be silent for ever.
#[test]
fn a_store_that_was_wiped_is_noticed() {
    let mut cluster = EtcdCluster::start(1);
    run(async {
        let etcd = client(&cluster).await;
        let mut falls = etcd.falls();
        for number in 0..20 {
            etcd.put("r/", number.to_string(), 0).await.expect("written");
        }
        let seen = etcd.revision();
        let mut watch = etcd.watch(all_from("r/", seen + 1));
        let mut other = etcd.watch(all_from("r/", seen + 1));
        began(&mut watch).await;
        began(&mut other).await;
        cluster.wipe(0);
        cluster.restart(0);
        let since = Instant::now();
        for watch in [&mut watch, &mut other] {
            let fallen = loop {
                match next(watch).await {
                    WatchEvent::Rewound(fallen) => break fallen,
                    WatchEvent::Lost(_) | WatchEvent::Began { .. } => {}
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(fallen, Rewound { seen, now: 1 });
            assert_eq!(watch.next().await, None);
        }
        println!("a wiped store was noticed {} ms after it was back", since.elapsed().as_millis());
        assert!(falls.has_changed().expect("alive"));
        falls.mark_unchanged();
        let read = etcd.read_all(&KeyScope::prefix("r/")).await.expect("read");
        assert_eq!((read.revision, read.count), (1, 0));
        let mut watch = etcd.watch(all_from("r/", read.revision + 1));
        began(&mut watch).await;
        etcd.put("r/", "again", 0).await.expect("written");
        assert_eq!(changes(&mut watch, 1).await[0].now.value, "again");
        assert!(!falls.has_changed().expect("alive"), "once");
        // A process that knows of a later revision from its disk.
        let later = client_of(settings(&cluster.endpoints()));
        let mut watch = later.watch(all_from("r/", seen + 1));
        began(&mut watch).await;
        assert_eq!(next(&mut watch).await, WatchEvent::Rewound(Rewound { seen, now: 2 }));
    });
}

#[test]
fn members_of_two_clusters_are_not_mixed() {
    let (mut one, other) = (EtcdCluster::start(1), EtcdCluster::start(1));
    run(async {
        let etcd = client_of(settings(&[one.endpoints(), other.endpoints()].concat()));
        etcd.put("m/", "", 0).await.expect("written");
        let mut watch = etcd.watch(all_from("m/", 0));
        let first = began(&mut watch).await;
        let is_one = one.endpoints().contains(&first);
        let rest = if is_one { other.endpoints() } else { one.endpoints() };
        // No member is left but the other cluster's.
        let mut other = other;
        if is_one {
            one.kill(0)
        } else {
            other.kill(0)
        }
        let mut said = String::new();
        eventually("it is refused", async || {
            said = etcd.put("m/", "", 0).await.expect_err("another cluster").to_string();
            said.contains("members of one cluster")
        })
        .await;
        assert!(said.contains(&rest[0]), "{said}");
    });
}
