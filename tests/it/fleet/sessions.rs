//! Sessions: leases, keys that are held, who leads, and what is read.

use super::{PATIENCE, client, client_of, eventually, run, settings};
use crate::harness::{EtcdCluster, Network, Relay};
use pointsman::fleet::etcd::{Etcd, KeyCondition, KeyOp, KeyScope, Relation, Txn};
use pointsman::fleet::session::{FleetSession, ReadCause, SessionEvent, SessionSettings, Tenure};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::time::timeout;

const LEASE: Duration = Duration::from_secs(2);

fn session(etcd: &Etcd, name: &str) -> FleetSession {
    let reading = Duration::from_secs(30);
    let settings = SessionSettings { prefix: "fleet".into(), name: name.into(), lease: LEASE, reading };
    FleetSession::start(etcd.clone(), settings)
}

/// Waits for an event; what comes before it is passed over.
async fn until<T>(session: &mut FleetSession, what: &str, is_it: impl Fn(SessionEvent) -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        let event = timeout(PATIENCE, session.next()).await.unwrap_or_else(|_| panic!("no event: {what}"));
        if let Some(found) = is_it(event.unwrap_or_else(|| panic!("it has ended: {what}"))) {
            return found;
        }
        assert!(since.elapsed() < PATIENCE, "never happened: {what}");
    }
}

async fn tenure(session: &mut FleetSession, what: &str, is_it: impl Fn(&Tenure) -> bool) -> Tenure {
    let of = |event| match event {
        SessionEvent::Tenure(tenure) => Some(tenure).filter(|tenure| is_it(tenure)),
        _ => None,
    };
    until(session, what, of).await
}

async fn leads(session: &mut FleetSession) -> i64 {
    tenure(session, "it leads", |tenure| tenure.fence.is_some()).await.fence.expect("a fence")
}

/// The keys that there are.
async fn keys(etcd: &Etcd) -> Vec<String> {
    let read = etcd.read_all(&KeyScope::prefix("fleet/")).await.expect("read");
    read.pairs.iter().map(|pair| String::from_utf8_lossy(&pair.key[6..]).into_owned()).collect()
}

/// A write that only a leader with this fence may do.
async fn fenced(etcd: &Etcd, fence: i64) -> bool {
    let leader = KeyScope::key("fleet/leader");
    let conditions = vec![KeyCondition::create_revision(&leader, Relation::Equal, fence)];
    let txn = Txn { conditions, then: vec![KeyOp::put("fleet/fenced", "", 0)], otherwise: Vec::new() };
    etcd.txn(&txn).await.expect("a transaction").has_succeeded
}

#[test]
fn one_leads_and_the_next_one_follows() {
    let cluster = EtcdCluster::start(1);
    run(async {
        let etcd = client(&cluster).await;
        let (mut one, mut two) = (session(&etcd, "edge-1"), session(&etcd, "edge-2"));
        one.store().campaign().await;
        let first = leads(&mut one).await;
        two.store().campaign().await;
        two.store().hold(two.store().key("alive/edge-2"), "1".into()).await;
        eventually("it is alive", async || keys(&etcd).await == ["alive/edge-2", "leader"]).await;
        assert_eq!(two.tenure().fence, None);
        assert!(fenced(&etcd, first).await);

        one.store().resign().await;
        let since = Instant::now();
        let second = leads(&mut two).await;
        println!("resigned: the next one leads after {} ms", since.elapsed().as_millis());
        assert!(second > first && !fenced(&etcd, first).await && fenced(&etcd, second).await);
        tenure(&mut one, "it follows", |tenure| tenure.fence.is_none()).await;
        one.store().campaign().await;

        let since = Instant::now();
        drop(two);
        let third = leads(&mut one).await;
        println!("killed: the next one leads after {} ms, of a lease of 2 s", since.elapsed().as_millis());
        assert!(!fenced(&etcd, second).await && fenced(&etcd, third).await);
        assert_eq!(keys(&etcd).await, ["fenced", "leader"], "its other keys have gone, too");

        etcd.delete(&KeyScope::key("fleet/leader")).await.expect("deleted");
        tenure(&mut one, "it leads again", |tenure| tenure.fence.is_some_and(|fence| fence > third)).await;
        let left = Instant::now();
        one.store().leave().await;
        println!("left after {} ms", left.elapsed().as_millis());
        assert_eq!(keys(&etcd).await, ["fenced"]);
        while timeout(PATIENCE, one.next()).await.expect("in time").is_some() {}
        one.store().leave().await;
    });
}

/// It knows by its own clock that it does not lead any more, before anybody else can.
#[test]
fn one_that_is_cut_off_does_not_lead() {
    let cluster = EtcdCluster::start(1);
    let relay = Relay::to(cluster.members[0].client);
    run(async {
        let near = client(&cluster).await;
        let far = client_of(settings(&[cluster.endpoint(relay.address())]));
        let mut cut = session(&far, "cut");
        cut.store().hold(cut.store().key("alive/cut"), "1".into()).await;
        cut.store().campaign().await;
        let fence = leads(&mut cut).await;
        let mut other = session(&near, "other");
        other.store().campaign().await;
        until(&mut other, "it has read", |event| matches!(event, SessionEvent::Read(..)).then_some(())).await;
        relay.set(Network::Silent);
        let since = Instant::now();
        let other_leads = async {
            let fence = leads(&mut other).await;
            (fence, Instant::now())
        };
        let cut_follows = async {
            tenure(&mut cut, "it follows", |tenure| *tenure == Tenure::default()).await;
            Instant::now()
        };
        let ((next, led), followed) = tokio::join!(other_leads, cut_follows);
        println!(
            "cut off: it follows after {} ms, the next one leads after {} ms",
            (followed - since).as_millis(),
            (led - since).as_millis()
        );
        assert!(followed < led && next > fence);
        near.put("fleet/news", "1", 0).await.expect("written");
        relay.set(Network::Whole);
        let healed = Instant::now();
        tenure(&mut cut, "another lease", |tenure| tenure.lease.is_some()).await;
        eventually("its key is back", async || keys(&near).await.contains(&"alive/cut".to_owned())).await;
        println!("healed: its keys are back after {} ms", healed.elapsed().as_millis());
        until(&mut cut, "the news", |event| match event {
            SessionEvent::Changed(changes) => {
                changes.iter().any(|change| change.now.key == "fleet/news").then_some(())
            }
            SessionEvent::Read(_, all) => all.pairs.iter().any(|pair| pair.key == "fleet/news").then_some(()),
            _ => None,
        })
        .await;
        assert_eq!(cut.tenure().fence, None);
    });
}

/// Everything again, whenever the changes do not tell it.
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
        let (cause, all) = until(&mut far, "all again", read).await;
        assert_eq!((cause, &all.pairs[0].value[..]), (ReadCause::Compacted, &b"4"[..]));
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
        assert_eq!(until(&mut far, "all again", read).await.0, ReadCause::Rewound);
        eventually("its key is back", async || keys(&near).await == ["alive/far"]).await;
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
        let (mut known, mut revision, mut readings) = (std::collections::BTreeMap::new(), 0, 0);
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
        let all: std::collections::BTreeMap<_, _> =
            all.pairs.into_iter().map(|pair| (pair.key, pair.value)).collect();
        assert_eq!(known, all);
    });
}
