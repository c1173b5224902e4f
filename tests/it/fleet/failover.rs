//! Three members, of which some stall or die.

use super::{all_from, began, client, client_of, eventually, next, run, settings};
use crate::harness::EtcdCluster;
use pointsman::fleet::etcd::{Etcd, KeyScope, KeyWatch, WatchEvent};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two numbers.
const EVERY: Duration = Duration::from_millis(20);

/// Writes 1, 2, 3 and so on, each until it is there, until it is stopped; the last number.
fn count(etcd: Etcd, is_over: Arc<AtomicBool>) -> tokio::task::JoinHandle<u64> {
    tokio::spawn(async move {
        let mut number = 0;
        let mut ticks = tokio::time::interval(EVERY);
        while !is_over.load(Ordering::SeqCst) {
            ticks.tick().await;
            // An unknown outcome is written once more: readers take a number twice for what it is.
            if etcd.put("f/", (number + 1).to_string(), 0).await.is_ok() {
                number += 1;
            }
        }
        number
    })
}

/// Reads numbers until one at least is there; none may be missing. The longest silence between two.
async fn follow(watch: &mut KeyWatch, last: &mut u64, until: impl Fn(u64) -> bool) -> Duration {
    let (mut heard, mut longest) = (Instant::now(), Duration::ZERO);
    while !until(*last) {
        match next(watch).await {
            WatchEvent::Changes(changes) => {
                for change in changes {
                    let number: u64 = String::from_utf8_lossy(&change.now.value).parse().expect("a number");
                    assert!(number == *last + 1 || number == *last, "{number} after {last}");
                    *last = number;
                }
                longest = longest.max(heard.elapsed());
                heard = Instant::now();
            }
            WatchEvent::Began { .. } | WatchEvent::Lost(_) => {}
            other => panic!("{other:?}"),
        }
    }
    longest
}

/// The number of the member that leads.
async fn leader(cluster: &EtcdCluster, etcd: &Etcd) -> usize {
    let (mut status, mut members) = (etcd.status().await, etcd.members().await);
    eventually("a leader", async || {
        (status, members) = (etcd.status().await, etcd.members().await);
        status.as_ref().is_ok_and(|status| status.leader != 0) && members.is_ok()
    })
    .await;
    let leader = status.expect("a status").leader;
    let members = members.expect("members");
    let url = &members.iter().find(|member| member.id == leader).expect("the leader").client_urls[0];
    cluster.number_of(url)
}

/// A watch that is served by a follower, or by the leader.
async fn watch_at(cluster: &EtcdCluster, at_leader: bool) -> (KeyWatch, usize) {
    loop {
        let etcd = client_of(settings(&cluster.endpoints()));
        let mut watch = etcd.watch(all_from("f/", 0));
        let served = cluster.number_of(&began(&mut watch).await);
        if (served == leader(cluster, &etcd).await) == at_leader {
            return (watch, served);
        }
    }
}

#[test]
fn a_watch_goes_on_when_members_stall_or_die() {
    let mut cluster = EtcdCluster::start(3);
    run(async {
        drop(client(&cluster).await);
        let (mut watch, stalled) = watch_at(&cluster, false).await;
        // Whoever writes does not ask the member that will stall.
        let mut others = cluster.endpoints();
        others.remove(stalled);
        let is_over = Arc::new(AtomicBool::new(false));
        let writer = count(client_of(settings(&others)), is_over.clone());
        let mut last = 0;
        let calm = follow(&mut watch, &mut last, |last| last >= 20).await;
        cluster.stop(stalled);
        let goal = last + 150;
        let silence = follow(&mut watch, &mut last, |last| last >= goal).await;
        println!(
            "calm: {} ms at most; a member stalls: silence of {} ms",
            calm.as_millis(),
            silence.as_millis()
        );
        assert!(silence < Duration::from_secs(6), "{silence:?}");
        cluster.go_on(stalled);
        is_over.store(true, Ordering::SeqCst);
        let written = writer.await.expect("a writer");
        follow(&mut watch, &mut last, |last| last >= written).await;
    });
    run(async {
        let (mut watch, dead) = watch_at(&cluster, true).await;
        let is_over = Arc::new(AtomicBool::new(false));
        let writer = count(client_of(settings(&cluster.endpoints())), is_over.clone());
        let mut last = 0;
        follow(&mut watch, &mut last, |last| last >= 20).await;
        cluster.kill(dead);
        let goal = last + 50;
        let silence = follow(&mut watch, &mut last, |last| last >= goal).await;
        println!("etcd's leader is killed: silence of {} ms", silence.as_millis());
        assert!(silence < Duration::from_secs(12), "{silence:?}");
        is_over.store(true, Ordering::SeqCst);
        let written = writer.await.expect("a writer");
        follow(&mut watch, &mut last, |last| last >= written).await;
    });
    no_majority(&mut cluster);
}

/// With one member of three; one is dead already.
fn no_majority(cluster: &mut EtcdCluster) {
    let dead = cluster.members.iter().position(|member| std::net::TcpStream::connect(member.client).is_err());
    let dead = dead.expect("a dead member");
    run(async {
        let etcd = client(cluster).await;
        let mut watch = etcd.watch(all_from("g/", 0));
        began(&mut watch).await;
        let another = (dead + 1) % 3;
        cluster.kill(another);
        let since = Instant::now();
        let mut said = String::new();
        eventually("the watch says so", async || match next(&mut watch).await {
            WatchEvent::Lost(fault) => {
                said = fault.to_string();
                true
            }
            _ => false,
        })
        .await;
        println!("no majority: the watch is lost after {} ms: {said}", since.elapsed().as_millis());
        let since = Instant::now();
        let fault = etcd.put("g/", "", 0).await.expect_err("no majority");
        println!("no majority: a write fails after {} ms: {fault}", since.elapsed().as_millis());
        assert!(since.elapsed() < Duration::from_secs(8) && fault.refusal().is_none(), "{fault:?}");
        eventually("it says why", async || {
            said = etcd.range(&KeyScope::key("g/").into()).await.expect_err("no majority").to_string();
            said.contains("a majority of the members")
        })
        .await;
        cluster.restart(another);
        let back = Instant::now();
        eventually("it is back", async || etcd.put("g/", "back", 0).await.is_ok()).await;
        // The write of unknown outcome comes first, if it has taken effect.
        let mut seen = super::changes(&mut watch, 1).await;
        while seen.last().is_some_and(|change| change.now.value.is_empty()) {
            seen = super::changes(&mut watch, 1).await;
        }
        println!("a majority again: in step {} ms after the member listens", back.elapsed().as_millis());
        assert_eq!(seen.last().expect("a change").now.value, "back");
    });
}
