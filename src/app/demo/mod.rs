//! `pointsman demo`: the whole product at work, with nothing else installed.
//!
//! Two versions of a small app and a load on them are embedded; the proxy between is the real one, with
//! its real configuration. A good version is rolled out and promoted, then one that fails 20 % of its
//! requests is aborted. At the end stands what the users of that site would have noticed.

mod load;
mod origin;
mod report;
mod view;

use super::{Instance, install_crypto, logging};
use crate::config;
use crate::control::command::{Command, Reply, StartRollout};
use crate::control::view::RolloutView;
use crate::observe::clock::Clock;
use anyhow::{Context, bail};
use load::Load;
use origin::{Behaviour, Origin};
use report::Report;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use view::View;

/// Where client commands look for the admin API by default.
const ADMIN: &str = "127.0.0.1:9900";
/// Share of its requests that the bad version fails.
const FAILING: f64 = 0.2;
/// No rollout of the demo takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Shows it; with `keep`, leaves everything running for the admin API until SIGINT or SIGTERM.
///
/// # Errors
/// When something could not be started, or a rollout did not end as it should.
pub fn run(keep: bool) -> anyhow::Result<()> {
    logging::start_quiet()?;
    install_crypto();
    let state = StateDir::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let clock = Clock::start();
    let blue = runtime.block_on(Origin::start(clock, Behaviour::healthy("v1")))?;
    let green = runtime.block_on(Origin::start(clock, Behaviour::healthy("v2")))?;
    let instance = start(&state, keep, &blue, &green)?;
    let (_, address) = *instance.listeners.first().context("the demo has a listener")?;
    let load = Load::start(&runtime, clock, address);
    let view = View::start(&runtime, instance.snapshots.clone());
    let told = runtime.block_on(story(&instance, &blue, &load, &view));
    view.stop(&runtime);
    let kept = told.and_then(|report| {
        view::say(&report.text());
        if keep { runtime.block_on(stay(&instance, address)) } else { Ok(()) }
    });
    load.stop();
    instance.stop();
    drop(runtime);
    kept
}

fn start(state: &StateDir, keep: bool, blue: &Origin, green: &Origin) -> anyhow::Result<Instance> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let free = |address: SocketAddr| std::net::TcpListener::bind(address).is_ok();
    let admin = ADMIN.parse().ok().filter(|address| keep && free(*address)).unwrap_or(any);
    let text = include_str!("demo.toml")
        .replace("ADMIN", &admin.to_string())
        .replace("BLUE", &blue.address.to_string())
        .replace("GREEN", &green.address.to_string());
    let config = config::parse(&text, "demo.toml", &|_| None, &state.0)?;
    Instance::start(config, None)
}

async fn story(instance: &Instance, blue: &Origin, load: &Load, view: &View) -> anyhow::Result<Report> {
    view::say(&format!("The dashboard, to look on: http://{}/", instance.admin));
    view.chapter("v1 serves on blue; v2 is deployed on green and rolled out");
    let good = rollout(instance, "green", "v2").await?;
    if good.outcome.as_deref() != Some("promoted") {
        bail!("v2 should have been promoted: {}", good.reason.unwrap_or_default());
    }
    view.chapter("v3 is deployed on blue and rolled out; it fails 20 % of its requests");
    blue.become_version(Behaviour { version: "v3", failing: FAILING });
    let bad = rollout(instance, "blue", "v3").await?;
    if bad.outcome.as_deref() != Some("aborted") {
        bail!("v3 should have been aborted: {}", bad.reason.unwrap_or_default());
    }
    // A little longer, to see whether anything still goes to the aborted version.
    load.until_more(2000).await;
    report::gather(instance, &bad, blue, load).await
}

/// Starts a rollout and waits for its end.
async fn rollout(instance: &Instance, to: &str, version: &str) -> anyhow::Result<RolloutView> {
    let start =
        StartRollout { to: to.to_owned(), version: Some(version.to_owned()), ..StartRollout::default() };
    let command = Command::Start { service: "web".into(), start: Box::new(start) };
    let Reply::Rollout { view, .. } = instance.controller.ask("demo", command).await? else {
        bail!("a start was not answered with a rollout");
    };
    let mut snapshots = instance.snapshots.clone();
    let ended = |view: &RolloutView| view.outcome.is_some();
    let done = snapshots.wait_for(|snapshot| snapshot.rollout("web", &view.id).as_ref().is_some_and(ended));
    let snapshot = tokio::time::timeout(PATIENCE, done).await.context("the rollout does not end")??.clone();
    snapshot.rollout("web", &view.id).context("the rollout is gone")
}

async fn stay(instance: &Instance, address: SocketAddr) -> anyhow::Result<()> {
    let flag = if instance.admin.to_string() == ADMIN {
        String::new()
    } else {
        format!(" --admin http://{}", instance.admin)
    };
    view::say(&format!(
        "\nStill running, with its load, until Ctrl-C. The site: http://{address}/ · the dashboard: http://{}/\n\
         Try:  pointsman status --watch{flag}\n      pointsman flip web --to blue{flag}\n      pointsman history web{flag}",
        instance.admin
    ));
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    Ok(())
}

/// A directory of this process, gone with it.
struct StateDir(PathBuf);

impl StateDir {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("pointsman-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(StateDir(path))
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // It lies in the directory for temporary files, where it may stay if need be.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A list that tasks add to.
type Noted<T> = Arc<std::sync::Mutex<Vec<T>>>;

fn note<T>(list: &Noted<T>, value: T) {
    list.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(value);
}

fn clear<T>(list: &Noted<T>) {
    list.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clear();
}

fn noted<T: Clone>(list: &Noted<T>) -> Vec<T> {
    list.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
}
