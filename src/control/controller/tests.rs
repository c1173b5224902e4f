//! What a change of one service leaves as it is.

use super::super::links::Links;
use super::super::start::{Parts, start};
use super::*;
use crate::control::command::{MaintenanceSwitch, RolloutAction, StartRollout};
use crate::control::journal::Journal;
use crate::core::secret::Secret;
use crate::core::table::{Service, Table};
use crate::core::weight::BasisPoints;
use crate::observe::metrics::Metrics;
use arc_swap::ArcSwap;
use std::fmt::Write;

const SERVICES: usize = 50;

/// Services `a00` and so on, each with a route and two pools.
fn config() -> String {
    let mut text = String::from("[server]\nstate_dir = \"s\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n");
    for n in 0..SERVICES {
        let port = 2 * n + 1;
        write!(
            text,
            "[[routes]]\nhosts = [\"a{n:02}.example\"]\nservice = \"a{n:02}\"\n\
             [services.a{n:02}]\nstable = \"blue\"\n\
             [services.a{n:02}.pools.blue]\nupstreams = [\"127.0.0.1:{port}\"]\n\
             [services.a{n:02}.pools.green]\nupstreams = [\"127.0.0.1:{}\"]\n",
            port + 1
        )
        .expect("a text");
    }
    text
}

fn parts(dir: &std::path::Path) -> Parts {
    let links = Links::for_tests(&config(), dir);
    let table = Arc::new(ArcSwap::from_pointee(Table::default()));
    let metrics = Metrics::new(links.recorder.clone(), table.clone(), links.clock).expect("metrics");
    let (journal, recovered) = Journal::open(dir).expect("a store");
    Parts {
        config: links.config,
        table,
        recorder: links.recorder,
        wake: Arc::default(),
        clock: links.clock,
        metrics: Arc::new(metrics),
        journal,
        recovered,
        jobs: mpsc::unbounded_channel().0,
        admin: ([127, 0, 0, 1], 9).into(),
        own: links.own,
        secret: Secret::new([7; 32]),
        fleet: None,
    }
}

/// The names of the services that two tables do not share.
fn other(before: &Table, now: &Table) -> Vec<String> {
    let pairs = before.services.iter().zip(&now.services);
    let differ = pairs.filter(|(old, new): &(&Arc<Service>, &Arc<Service>)| !Arc::ptr_eq(old, new));
    differ.map(|(_, new)| new.name.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_change_of_one_service_makes_that_one_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let parts = parts(dir.path());
    let table = parts.table.clone();
    let running = start(parts).expect("it starts");
    let ask = async |command| running.controller.ask("ci", command).await.expect("done");
    let first = table.load_full();
    assert_eq!(first.services.len(), SERVICES);
    let flip = |to: &str| Command::Flip { service: "a07".into(), to: to.into(), force: false };
    ask(flip("green")).await;
    let flipped = table.load_full();
    assert_eq!(other(&first, &flipped), ["a07"]);
    assert_eq!(flipped.services[7].pools[1].weight, BasisPoints::FULL);
    assert!(Arc::ptr_eq(&first.leads_to, &flipped.leads_to) && Arc::ptr_eq(&first.limits, &flipped.limits));
    let shown = running.snapshots.borrow().services.clone();
    assert_eq!(shown.get("a07").map(|view| view.stable.as_str()), Some("green"));

    let start = StartRollout { to: "green".into(), ..StartRollout::default() };
    let reply = ask(Command::Start { service: "a33".into(), start: Box::new(start) }).await;
    let Reply::Rollout { view, .. } = reply else { panic!("a rollout: {reply:?}") };
    let started = table.load_full();
    assert_eq!(other(&flipped, &started), ["a33"]);
    ask(Command::Rollout { service: "a33".into(), id: view.id.clone(), action: RolloutAction::Abort }).await;
    assert_eq!(other(&started, &table.load()), ["a33"]);

    let on = MaintenanceSwitch::On { length: None };
    let before = table.load_full();
    ask(Command::Maintenance { service: Some("a20".into()), switch: on }).await;
    let maintained = table.load_full();
    assert_eq!(other(&before, &maintained), ["a20"]);
    assert!(maintained.services[20].maintenance.is_some());
    ask(Command::Maintenance { service: None, switch: on }).await;
    assert_eq!(other(&maintained, &table.load()).len(), SERVICES, "the whole site");
    running.stop();
}
