//! What a session reads, and when it reads everything.

use super::super::{PATIENCE, client, client_of, eventually, run, settings};
use super::{LEASE, keys, session, until};
use crate::harness::{EtcdCluster, Network, Relay};
use pointsman::fleet::etcd::KeyScope;
use pointsman::fleet::session::{FleetSession, ReadCause, SessionEvent, SessionSettings};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// Everything again, whenever changes alone would not do.
#[test]
fn everything_is_read_again_when_it_must_be() {
    let mut cluster = EtcdCluster::start(1);
    let relay = Relay::to(cluster.members[0].client);
    run(async {
        let near = client(&cluster).await;
        near.put("fleet/a", "0", 0).await.expect("written");
        near.put("fleeting", "not ours", 0).await.expect("written");
        let far = client_of(settings(&[cluster.endpoint(relay.address())]));
        let reading = Duration::from_millis(200);
        let of = SessionSettings { prefix: "fleet".into(), name: "far".into(), lease: LEASE, reading };
        let mut far = FleetSession::start(far, of);
        let read = |event| match event {
            SessionEvent::Read(cause, all) => Some((cause, all)),
            _ => None,
        };
        let (cause, all) = until(&mut far, "the first", read).await;
        assert_eq!((cause, all.pairs.len()), (ReadCause::Start, 1));
        assert_eq!(until(&mut far, "in time", read).await.0, ReadCause::Routine);
        relay.set(Network::Cut);
        until(&mut far, "cut", |event| matches!(event, SessionEvent::Disconnected(_)).then_some(())).await;
        let mut last = 0;
        for number in 1..5 {
            last = near.put("fleet/a", number.to_string(), 0).await.expect("written");
        }
        cluster.gateway("/v3/kv/compaction", &json!({ "revision": last.to_string() }));
        relay.set(Network::Whole);
        let compacted = |event| read(event).filter(|(cause, _)| *cause == ReadCause::Compacted);
        let (_, all) = until(&mut far, "all again", compacted).await;
        assert_eq!(all.pairs[0].value, "4");
        far.store().hold(far.store().key("alive/far"), "1".into()).await;
        eventually("it is alive", async || keys(&near).await == ["a", "alive/far"]).await;

        cluster.wipe(0);
        cluster.restart(0);
        let is_fall = |event| match event {
            SessionEvent::Rewound(fallen) => Some(fallen),
            _ => None,
        };
        let fallen = until(&mut far, "the fall", is_fall).await;
        assert!(fallen.now < fallen.seen, "{fallen:?}");
        let rewound = |event| read(event).filter(|(cause, _)| *cause == ReadCause::Rewound);
        until(&mut far, "all again", rewound).await;
        eventually("its key is back", async || keys(&near).await == ["alive/far"]).await;
    });
}

/// Its revision does not tell: the watch would go on as if nothing had happened.
#[test]
fn a_store_that_was_exchanged_for_a_later_one_is_read_again() {
    let mut cluster = EtcdCluster::start(1);
    let relay = Relay::to(cluster.members[0].client);
    run(async {
        let near = client(&cluster).await;
        near.put("fleet/old", "", 0).await.expect("written");
        let mut far = session(&client_of(settings(&[cluster.endpoint(relay.address())])), "far");
        until(&mut far, "connected", |event| matches!(event, SessionEvent::Connected).then_some(())).await;
        let seen = near.revision();
        relay.set(Network::Cut);
        until(&mut far, "cut", |event| matches!(event, SessionEvent::Disconnected(_)).then_some(())).await;
        cluster.wipe(0);
        cluster.restart(0);
        let near = client(&cluster).await;
        for number in 0..seen + 20 {
            near.put("fleet/new", number.to_string(), 0).await.expect("written");
        }
        relay.set(Network::Whole);
        let read = until(&mut far, "all again", |event| match event {
            SessionEvent::Read(_, all) => Some(all),
            _ => None,
        })
        .await;
        let names: Vec<_> = read.pairs.iter().map(|pair| &pair.key[..]).collect();
        assert_eq!(names, [&b"fleet/new"[..]]);
    });
}

/// What a reader makes of the events is what there is, whatever comes between.
#[test]
fn events_add_up_to_what_there_is() {
    let cluster = EtcdCluster::start(1);
    let relay = Relay::to(cluster.members[0].client);
    run(async {
        let near = client(&cluster).await;
        let far = client_of(settings(&[cluster.endpoint(relay.address())]));
        let reading = Duration::from_millis(20);
        let of = SessionSettings { prefix: "fleet".into(), name: "far".into(), lease: LEASE, reading };
        let mut far = FleetSession::start(far, of);
        let writer = tokio::spawn({
            let near = near.clone();
            async move {
                for number in 0..600 {
                    let key = format!("fleet/{}", number % 7);
                    if number % 5 == 4 {
                        near.delete(&KeyScope::key(key)).await.expect("deleted");
                    } else {
                        near.put(key, number.to_string(), 0).await.expect("written");
                    }
                    if number % 200 == 100 {
                        relay.set(Network::Cut);
                        relay.set(Network::Whole);
                    }
                }
                near.put("fleet/end", "", 0).await.expect("written");
                relay
            }
        });
        let (mut known, mut revision, mut readings) = (BTreeMap::new(), 0, 0);
        while !known.contains_key(&b"fleet/end"[..]) {
            match timeout(PATIENCE, far.next()).await.expect("in time").expect("an event") {
                SessionEvent::Read(_, all) => {
                    assert!(all.revision >= revision, "{} after {revision}", all.revision);
                    revision = all.revision;
                    readings += 1;
                    known = all.pairs.into_iter().map(|pair| (pair.key, pair.value)).collect();
                }
                SessionEvent::Changed(changes) => {
                    for change in changes {
                        assert!(change.revision() > revision, "{change:?} after {revision}");
                        revision = change.revision();
                        match change.is_delete {
                            true => drop(known.remove(&change.now.key)),
                            false => drop(known.insert(change.now.key, change.now.value)),
                        }
                    }
                }
                _ => {}
            }
        }
        println!("{readings} readings between 600 changes");
        let _relay = writer.await.expect("a writer");
        let all = near.read_all(&KeyScope::prefix("fleet/")).await.expect("read");
        let all: BTreeMap<_, _> = all.pairs.into_iter().map(|pair| (pair.key, pair.value)).collect();
        assert_eq!(known, all);
    });
}
