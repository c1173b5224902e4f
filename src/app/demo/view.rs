//! The live view: weights, error rates and latencies of both pools, drawn in place on a terminal,
//! one line a second elsewhere.

use crate::control::view::{RolloutView, ServiceView, Snapshot};
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::interval;

#[derive(Debug)]
pub(super) struct View {
    drawing: JoinHandle<()>,
}

/// A line of its own; over whatever was drawn in place.
pub(super) fn say(text: &str) {
    let clear = if is_terminal() { "\r\x1b[2K" } else { "" };
    write(&format!("{clear}{text}\n"));
}

fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    // The demo goes on where nobody reads.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

impl View {
    pub(super) fn start(runtime: &Runtime, snapshots: watch::Receiver<Arc<Snapshot>>) -> Self {
        let every = Duration::from_millis(if is_terminal() { 100 } else { 1000 });
        let drawing = runtime.spawn(async move {
            let mut beat = interval(every);
            let mut phase = None;
            loop {
                beat.tick().await;
                let snapshot = snapshots.borrow().clone();
                let Some(service) = snapshot.services.get("web") else { continue };
                let now =
                    service.rollout.as_ref().map(|view| (view.id.clone(), view.phase.clone(), view.step));
                if is_terminal() && phase != now {
                    phase = now;
                    write("\n");
                }
                let line = line(service);
                write(&if is_terminal() { format!("\r\x1b[2K  {line}") } else { format!("  {line}\n") });
            }
        });
        View { drawing }
    }

    pub(super) fn chapter(&self, text: &str) {
        say(&format!("\n== {text}"));
    }

    pub(super) fn stop(self, runtime: &Runtime) {
        self.drawing.abort();
        // An error means that it was aborted, as asked.
        let _ = runtime.block_on(self.drawing);
        say("");
    }
}

fn line(service: &ServiceView) -> String {
    let pools = service.pools.iter().map(|(name, pool)| {
        let window = &pool.window;
        format!(
            "{name:<5} {:>4} %  errors {:>5.2} %  p95 {:>5.1} ms",
            pool.weight,
            window.error_rate * 100.0,
            window.latency_ms.p95
        )
    });
    let pools: Vec<_> = pools.collect();
    format!("{} | {}", pools.join(" | "), service.rollout.as_ref().map(phase).unwrap_or_default())
}

fn phase(view: &RolloutView) -> String {
    let version = view.version.as_deref().unwrap_or_default();
    match view.outcome {
        Some(_) => format!("{version} {}", view.phase),
        None => format!("{version} {} {}/{}", view.phase, view.step + 1, view.steps.len()),
    }
}
