//! Who asks for an upgrade, one at a time, and what they are answered.

use super::Upgrader;
use crate::control::command::{Refusal, Upgrade, UpgradeReport};
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// The upgrades of this process; the last one is the one that succeeds.
pub(in crate::app) struct Upgrades {
    upgrader: Upgrader,
    asked: mpsc::Receiver<Upgrade>,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    done: JoinHandle<Result<UpgradeReport, String>>,
    /// Where the answer goes.
    answer: Option<oneshot::Sender<Result<UpgradeReport, Refusal>>>,
}

impl Upgrades {
    pub(in crate::app) fn new(upgrader: Upgrader, asked: mpsc::Receiver<Upgrade>) -> Self {
        Upgrades { upgrader, asked, under_way: None }
    }

    /// Serves requests until one has succeeded: another process serves then. May be dropped at any
    /// moment, and goes on when it is called again.
    pub(in crate::app) async fn succeed(&mut self) {
        loop {
            tokio::select! {
                Some(request) = self.asked.recv() => self.begin(request),
                replaced = ended(&mut self.under_way) => if replaced { return },
            }
        }
    }

    pub(in crate::app) fn begin(&mut self, (actor, answer): Upgrade) {
        let refused = if self.under_way.is_some() {
            Some("an upgrade is under way already")
        } else if std::process::id() == 1 {
            Some("this is process 1, whose end ends the container; start one of the new image instead")
        } else {
            None
        };
        if let Some(why) = refused {
            tracing::error!(actor, "not upgraded: {why}");
            // Whoever asked may have gone.
            let _ = answer.send(Err(Refusal::Conflict { detail: why.into(), rollout: None }));
            return;
        }
        tracing::info!(actor, "upgrade");
        let upgrader = self.upgrader.clone();
        let done = tokio::task::spawn_blocking(move || upgrader.upgrade());
        self.under_way = Some(UnderWay { done, answer: Some(answer) });
    }

    /// The process is to stop: an upgrade that is under way fails. One that cannot be stopped
    /// any more has succeeded; the new process stops then. Whether that was so.
    pub(in crate::app) async fn cancel(&mut self) -> bool {
        self.upgrader.cancelled.store(true, Ordering::Relaxed);
        let Some(UnderWay { done, .. }) = &mut self.under_way else { return false };
        match done.await {
            Ok(Ok(report)) => {
                tell_to_stop(report.new_pid);
                true
            }
            _ => false,
        }
    }
}

/// Waits for the end of the upgrade that is under way, and answers; whether it succeeded.
async fn ended(under_way: &mut Option<UnderWay>) -> bool {
    let Some(UnderWay { done, answer }) = under_way else { return std::future::pending().await };
    let result = done.await.unwrap_or_else(|error| Err(format!("the upgrade panicked: {error}")));
    let answer = answer.take();
    *under_way = None;
    match &result {
        Ok(UpgradeReport { old_pid, new_pid, took_ms, .. }) => {
            tracing::info!(old_pid, new_pid, took_ms, "upgraded: the new process serves, this one ends");
        }
        Err(why) => tracing::error!("not upgraded: {why}"),
    }
    let succeeded = result.is_ok();
    if let Some(answer) = answer {
        let refusal = |why| Refusal::Unavailable(format!("not upgraded: {why}"));
        // Whoever asked may have gone.
        let _ = answer.send(result.map_err(refusal));
    }
    succeeded
}

fn tell_to_stop(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let told = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM));
    if let Some(Err(error)) = told {
        tracing::error!("the new process cannot be told to stop: {error}");
    }
}
