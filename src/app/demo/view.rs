//! The live view: weights, failures and latencies of both pools, a line for each step of a rollout.
//!
//! On a terminal the line of the step under way is drawn in place; elsewhere a line is written once its step is over.

use crate::cli::Screen;
use crate::control::view::{PoolView, RolloutView, ServiceView, Snapshot};
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::interval;

/// Time between two drawings.
const EVERY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct View {
    drawing: JoinHandle<()>,
    canvas: Arc<Mutex<Canvas>>,
}

/// What has been drawn.
#[derive(Debug)]
struct Canvas {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The step that was drawn last: rollout, phase and number.
    step: Option<(String, String, usize)>,
    /// Its line, while it may still change.
    line: Option<String>,
}

/// Lines of their own, folded where a terminal is narrow.
pub(super) fn say(text: &str) {
    let folded = Screen::now().filter(|_| is_terminal()).map(|screen| screen.folded(text));
    write(&format!("{}\n", folded.as_deref().unwrap_or(text)));
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
        let canvas = Arc::new(Mutex::new(Canvas { snapshots, step: None, line: None }));
        let drawn = canvas.clone();
        let drawing = runtime.spawn(async move {
            let mut beat = interval(EVERY);
            loop {
                beat.tick().await;
                locked(&drawn).draw();
            }
        });
        View { drawing, canvas }
    }

    /// Begins a chapter below all that was drawn.
    pub(super) fn chapter(&self, text: &str) {
        let mut canvas = locked(&self.canvas);
        canvas.finish();
        let pools = canvas.service().map(|service| head(&service)).unwrap_or_default();
        say(&format!("\n== {text}\n{pools}"));
    }

    pub(super) fn stop(self, runtime: &Runtime) {
        self.drawing.abort();
        // An error means that it was aborted, as asked.
        let _ = runtime.block_on(self.drawing);
        locked(&self.canvas).finish();
        say("");
    }
}

fn locked(canvas: &Mutex<Canvas>) -> std::sync::MutexGuard<'_, Canvas> {
    canvas.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Canvas {
    fn service(&self) -> Option<Arc<ServiceView>> {
        self.snapshots.borrow().services.get("web").cloned()
    }

    fn draw(&mut self) {
        let Some(service) = self.service() else { return };
        let Some(rollout) = &service.rollout else { return };
        let step = Some((rollout.id.clone(), rollout.phase.clone(), rollout.step));
        if self.step != step {
            self.keep();
        } else if self.line.is_none() {
            // It has ended, and its line stays.
            return;
        }
        self.step = step;
        let line = line(&service, rollout);
        if is_terminal() {
            let cut = Screen::now().map(|screen| screen.cut(&line).into_owned());
            write(&format!("\r\x1b[2K{}", cut.as_ref().unwrap_or(&line)));
        }
        self.line = Some(line);
        if rollout.outcome.is_some() {
            self.keep();
        }
    }

    /// The line of the step stays as it is.
    fn keep(&mut self) {
        if let Some(line) = self.line.take() {
            write(&if is_terminal() { "\n".to_owned() } else { format!("{line}\n") });
        }
    }

    fn finish(&mut self) {
        self.draw();
        self.keep();
    }
}

/// The names of the columns, for the lines below.
fn head(service: &ServiceView) -> String {
    let pools: Vec<_> = service.pools.keys().map(|name| format!("{name:>6}    failed        p95")).collect();
    format!("  {:<18}{}", "", pools.join(" |"))
}

fn line(service: &ServiceView, rollout: &RolloutView) -> String {
    let pool = |pool: &PoolView| {
        let window = &pool.window;
        let (failed, p95) = (window.error_rate * 100.0, window.latency_ms.p95);
        match window.requests {
            0 => format!("{:>4} %         -          -", pool.weight),
            _ => format!("{:>4} %  {failed:>6.2} %  {p95:>6.1} ms", pool.weight),
        }
    };
    let pools: Vec<_> = service.pools.values().map(pool).collect();
    format!("  {:<18}{}", phase(rollout), pools.join(" |"))
}

fn phase(view: &RolloutView) -> String {
    let version = view.version.as_deref().unwrap_or_default();
    match &*view.phase {
        "shifting" => format!("{version} step {} of {}", view.step + 1, view.steps.len()),
        phase => format!("{version} {phase}"),
    }
}
