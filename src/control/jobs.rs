//! Work outside of this process that rollouts wait for: smoke tests and hooks.
//!
//! What is wanted follows from the state alone ([`ServiceState::work`](crate::core::service::ServiceState::work)),
//! so that it is asked for again after a restart, and an answer that nobody wants any more changes nothing.

use super::command::{Job, JobResult, Task};
use super::links::Links;
use super::live::{Live, SELF};
use super::saving::Extra;
use crate::core::rollout::{Work, WorkResult};
use crate::core::service::{Change, Order};
use serde_json::json;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Pause before a hook that gave no answer is asked again: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The jobs of one service.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    last_ticket: u64,
    /// By the id of the rollout and what it wants.
    asked: BTreeMap<(String, Work), Asked>,
    /// Answers that wait until a write has ended, or can be tried again.
    done: VecDeque<JobAnswer>,
}

/// What became of the work that a rollout, by its id, had asked for.
pub(super) type JobAnswer = (String, Work, WorkResult);

impl Jobs {
    /// Whether nothing is under way, or waits.
    pub(super) fn are_done(&self) -> bool {
        self.asked.is_empty() && self.done.is_empty()
    }

    /// Takes back an answer whose effect could not be written: nobody is asked again for that.
    pub(super) fn again(&mut self, answer: Option<JobAnswer>) {
        if let Some(answer) = answer {
            self.done.push_front(answer);
        }
    }
}

#[derive(Debug)]
struct Asked {
    /// `None` while it waits to be asked again. An answer keeps it until it has taken effect.
    ticket: Option<u64>,
    unanswered: u32,
    again_at: Duration,
}

impl Live {
    /// Has done what is wanted and not under way. What is being written may be the answer to it.
    pub(super) fn want_work(&mut self, links: &Links) {
        if self.saving.is_pending() || !self.jobs.done.is_empty() {
            return;
        }
        let wanted: Vec<_> = self.state.work().into_iter().map(|(id, work)| (id.to_owned(), work)).collect();
        self.jobs.asked.retain(|key, _| wanted.contains(key));
        let now = links.clock.now();
        for key in wanted {
            let asked = self.jobs.asked.get(&key);
            if asked.is_some_and(|asked| asked.ticket.is_some() || now < asked.again_at) {
                continue;
            }
            let unanswered = asked.map_or(0, |asked| asked.unanswered);
            self.jobs.last_ticket += 1;
            let ticket = self.jobs.last_ticket;
            let task = self.task(&key.0, &key.1);
            let wanted_update = matches!(key.1, Work::Update(_));
            let asked = Asked { ticket: Some(ticket), unanswered, again_at: Duration::ZERO };
            self.jobs.asked.insert(key, asked);
            match task {
                Some(task) => {
                    let service = self.settings.name.clone();
                    // Nobody takes jobs any more when the process ends.
                    let _ = links.jobs.send(Job { service, ticket, task });
                }
                None => self.job_done(ticket, gone(wanted_update), links),
            }
        }
    }

    /// Takes in what a job came to.
    pub(super) fn job_done(&mut self, ticket: u64, result: JobResult, links: &Links) {
        let mut asked = self.jobs.asked.iter_mut();
        let Some(((id, work), asked)) = asked.find(|(_, asked)| asked.ticket == Some(ticket)) else { return };
        let result = match result {
            JobResult::Passed => WorkResult::Passed,
            JobResult::Refused(why) => WorkResult::Refused(why),
            JobResult::Unanswered(why) => {
                let pause = FIRST_PAUSE.saturating_mul(1 << asked.unanswered.min(8)).min(LONGEST_PAUSE);
                asked.ticket = None;
                asked.again_at = links.clock.now() + pause;
                asked.unanswered += 1;
                WorkResult::Unanswered(why)
            }
        };
        self.jobs.done.push_back((id.clone(), work.clone(), result));
        self.next_job_done(links);
    }

    /// The answers that waited, once nothing is being written any more.
    pub(super) fn next_job_done(&mut self, links: &Links) {
        while self.saving.takes(Order::JournalFirst, links.clock.now())
            && let Some((id, work, result)) = self.jobs.done.pop_front()
        {
            let wall = links.wall_text();
            let change = Change::Done { id: &id, work: &work, result: &result };
            let Ok(applied) = self.state.apply(change, links.moment(&wall)) else { continue };
            match applied.order {
                Order::Quiet => self.state = applied.state,
                Order::EffectFirst => self.take_effect(applied, SELF, links),
                Order::JournalFirst => {
                    let extra = Extra { job: Some((id, work, result)), ..Extra::default() };
                    self.save(applied.state, &applied.notes, SELF, extra, links);
                }
            }
        }
    }

    /// `None` where there is nothing to be done.
    fn task(&self, id: &str, work: &Work) -> Option<Task> {
        let hook = |hook: &crate::core::settings::Hook, what: String, upstream: Option<&str>| Task::Hook {
            hook: hook.clone(),
            key: format!("{id}/{what}"),
            body: self.hook_body(&what, upstream),
        };
        match work {
            Work::Smoke(upstream) => {
                let mut tests = self.settings.smoke.clone();
                let promoted = self.state.guard.as_ref().map(|guard| &guard.pool);
                let pool = self.state.running().map(|running| &running.to).or(promoted)?;
                if let Some(settings) = self.settings.pools.get(pool.as_str()) {
                    for test in &mut tests {
                        test.http2 = settings.http2;
                        test.tls.clone_from(&settings.tls);
                    }
                }
                let upstreams = self.pools.get(pool.as_str())?.upstreams.addresses(upstream.as_deref());
                (!tests.is_empty()).then_some(Task::Smoke { tests, upstreams })
            }
            Work::Hook(point) => {
                self.settings.hooks.get(point).map(|settings| hook(settings, point.to_string(), None))
            }
            Work::Update(upstream) => {
                let settings = self.settings.update.as_ref()?;
                Some(hook(settings, format!("update/{upstream}"), Some(upstream)))
            }
        }
    }

    fn hook_body(&self, what: &str, upstream: Option<&str>) -> serde_json::Value {
        let running = self.state.running();
        json!({
            "hook": if upstream.is_some() { "update" } else { what },
            "service": &*self.settings.name,
            "rollout": running.map(|running| &running.id),
            "strategy": running.map(|running| running.rollout.plan.strategy.label()),
            "version": running.and_then(|running| running.version.as_ref()),
            "from": running.map(|running| &running.from),
            "to": running.map(|running| &running.to),
            "phase": running.map(|running| running.rollout.label()),
            "upstream": upstream,
        })
    }
}

/// What becomes of work that a reload has taken out of the configuration. Nobody has updated an upstream
/// by that.
fn gone(update: bool) -> JobResult {
    match update {
        true => JobResult::Unanswered(
            "no hook is configured any more; say `pointsman ready` once it is updated".into(),
        ),
        false => JobResult::Passed,
    }
}
