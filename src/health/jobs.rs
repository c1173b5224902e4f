//! The jobs that rollouts wait for: smoke tests and hooks, each in a task of its own.
//!
//! A job may be asked for again after a restart, so nothing is remembered here; the ticket says to whom
//! the result belongs.

use super::hook::Hooks;
use super::smoke;
use crate::control::command::{Controller, Input, Job, JobResult, Task};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

/// Jobs that run at the same time; the others wait.
const AT_ONCE: usize = 64;

/// Does the jobs and tells the controller their results, until the channel closes or the controller
/// stops; what is still running then ends too, since nobody waits for it.
pub async fn work(controller: Controller, mut jobs: UnboundedReceiver<Job>) {
    let hooks = Hooks::default();
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            job = jobs.recv(), if running.len() < AT_ONCE => {
                let Some(job) = job else { return };
                running.spawn(done(controller.clone(), hooks.clone(), job));
            }
            Some(told) = running.join_next() => {
                if matches!(told, Ok(false)) {
                    return;
                }
            }
        }
    }
}

/// Does one job; false once the controller has stopped.
async fn done(controller: Controller, hooks: Hooks, job: Job) -> bool {
    let result = match &job.task {
        Task::Smoke { tests, upstreams } => smoke::run(&controller, tests, upstreams).await,
        Task::Hook { hook, key, body } => hooks.ask(hook, key, body).await,
    };
    tracing::debug!(service = %job.service, ticket = job.ticket, "{}", told(&result));
    controller.tell(Input::JobDone { service: job.service, ticket: job.ticket, result }).await
}

fn told(result: &JobResult) -> String {
    match result {
        JobResult::Passed => "passed".to_owned(),
        JobResult::Refused(whys) => format!("refused: {}", whys.join("; ")),
        JobResult::Unanswered(why) => format!("unanswered: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::exchange::tests::{answered, origin};
    use super::*;
    use crate::core::settings::Hook;
    use serde_json::json;
    use std::time::Duration;
    use tokio::sync::mpsc::unbounded_channel;

    fn job(ticket: u64, task: Task) -> Job {
        Job { service: "web".into(), ticket, task }
    }

    fn hook(ticket: u64, url: &str) -> Job {
        let hook = Hook { url: url.to_owned(), timeout: Duration::from_secs(20), secret: None };
        job(ticket, Task::Hook { hook, key: "key".into(), body: json!({}) })
    }

    #[tokio::test]
    async fn every_job_is_answered_by_its_ticket_and_none_waits_for_another() {
        let origin = origin(|request| match request.split_whitespace().nth(1) {
            Some("/silent") => None,
            Some("/frozen") => answered(409, "frozen"),
            _ => answered(200, ""),
        })
        .await;
        let (controller, mut told) = Controller::told();
        let (ask, jobs) = unbounded_channel();
        let working = tokio::spawn(work(controller, jobs));
        let jobs = [
            hook(1, &format!("http://{origin}/silent")),
            hook(2, &format!("http://{origin}/frozen")),
            hook(3, &format!("http://{origin}/")),
            job(4, Task::Smoke { tests: Vec::new(), upstreams: Vec::new() }),
        ];
        for job in jobs {
            ask.send(job).expect("it works");
        }
        let mut results = Vec::new();
        while results.len() < 3 {
            let Some(Input::JobDone { service, ticket, result }) = told.recv().await else { panic!("done") };
            assert_eq!(&*service, "web");
            results.push((ticket, result));
        }
        results.sort_unstable_by_key(|(ticket, _)| *ticket);
        let refused = |why: String| JobResult::Refused(vec![why]);
        let expected = [
            (2, refused(format!("http://{origin}: status 409: frozen"))),
            (3, JobResult::Passed),
            (4, refused("there is no upstream to test".into())),
        ];
        assert_eq!(results, expected);
        drop(ask);
        working.await.expect("it ends with the channel, and the silent hook with it");
        assert!(told.recv().await.is_none());
    }

    #[tokio::test]
    async fn it_ends_with_the_controller() {
        let (controller, told) = Controller::told();
        let (ask, jobs) = unbounded_channel();
        drop(told);
        ask.send(job(1, Task::Smoke { tests: Vec::new(), upstreams: Vec::new() })).expect("open");
        work(controller, jobs).await;
        assert!(ask.is_closed());
    }
}
