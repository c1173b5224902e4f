//! Work outside of this process that rollouts wait for: smoke tests and hooks.
//!
//! What is wanted follows from the state alone ([`ServiceState::work`](crate::core::service::ServiceState::work)),
//! so that it is asked for again after a restart, and an answer that nobody wants any more changes nothing.

use super::command::{Job, JobResult, Task};
use super::facts::ServiceFacts;
use super::output::{Output, Outputs};
use crate::core::rollout::{Work, WorkResult};
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

#[derive(Debug)]
struct Asked {
    /// `None` while it waits to be asked again. An answer keeps it until it has taken effect.
    ticket: Option<u64>,
    unanswered: u32,
    again_at: Duration,
}

impl Jobs {
    /// Whether nothing is under way, or waits.
    pub(super) fn are_done(&self) -> bool {
        self.asked.is_empty() && self.done.is_empty()
    }

    /// Has done what the state wants and what is not under way.
    pub(super) fn want(&mut self, facts: ServiceFacts<'_>, now: Duration, out: &mut Outputs) {
        if !self.done.is_empty() {
            return;
        }
        let wanted = facts.state.work().into_iter().map(|(id, work)| (id.to_owned(), work));
        let wanted: Vec<_> = wanted.collect();
        self.asked.retain(|key, _| wanted.contains(key));
        for key in wanted {
            let asked = self.asked.get(&key);
            if asked.is_some_and(|asked| asked.ticket.is_some() || now < asked.again_at) {
                continue;
            }
            let unanswered = asked.map_or(0, |asked| asked.unanswered);
            self.last_ticket += 1;
            let ticket = self.last_ticket;
            let task = task(facts, &key.0, &key.1);
            let wanted_update = matches!(key.1, Work::Update(_));
            let asked = Asked { ticket: Some(ticket), unanswered, again_at: Duration::ZERO };
            self.asked.insert(key, asked);
            match task {
                Some(task) => {
                    let service = facts.pools.settings.name.clone();
                    out.push(Output::Ask(Box::new(Job { service, ticket, task })));
                }
                None => self.answered(ticket, gone(wanted_update), now),
            }
        }
    }

    /// Takes in the result of a job. Its effect is [`Jobs::next`]'s, once nothing is being written any more.
    pub(super) fn answered(&mut self, ticket: u64, result: JobResult, now: Duration) {
        let mut asked = self.asked.iter_mut();
        let Some(((id, work), asked)) = asked.find(|(_, asked)| asked.ticket == Some(ticket)) else { return };
        let result = match result {
            JobResult::Passed => WorkResult::Passed,
            JobResult::Refused(why) => WorkResult::Refused(why),
            JobResult::Unanswered(why) => {
                let pause = FIRST_PAUSE.saturating_mul(1 << asked.unanswered.min(8)).min(LONGEST_PAUSE);
                asked.ticket = None;
                asked.again_at = now + pause;
                asked.unanswered += 1;
                WorkResult::Unanswered(why)
            }
        };
        self.done.push_back((id.clone(), work.clone(), result));
    }

    /// The next answer that has not taken effect yet.
    pub(super) fn next(&mut self) -> Option<JobAnswer> {
        self.done.pop_front()
    }

    /// Takes back an answer whose effect could not be written: nobody is asked again for that.
    pub(super) fn again(&mut self, answer: Option<JobAnswer>) {
        if let Some(answer) = answer {
            self.done.push_front(answer);
        }
    }
}

/// `None` where there is nothing to be done.
fn task(facts: ServiceFacts<'_>, id: &str, work: &Work) -> Option<Task> {
    let settings = &facts.pools.settings;
    let hook = |hook: &crate::core::settings::Hook, what: String, upstream: Option<&str>| Task::Hook {
        hook: hook.clone(),
        key: format!("{id}/{what}"),
        body: hook_body(facts, &what, upstream),
    };
    match work {
        Work::Smoke(upstream) => {
            let mut tests = settings.smoke.clone();
            let promoted = facts.state.guard.as_ref().map(|guard| &guard.pool);
            let pool = facts.state.running().map(|running| &running.to).or(promoted)?;
            if let Some(pool) = settings.pools.get(pool.as_str()) {
                for test in &mut tests {
                    test.http2 = pool.http2;
                    test.tls.clone_from(&pool.tls);
                }
            }
            let upstreams = facts.pools.get(pool.as_str())?.upstreams.addresses(upstream.as_deref());
            (!tests.is_empty()).then_some(Task::Smoke { tests, upstreams })
        }
        Work::Hook(point) => {
            settings.hooks.get(point).map(|settings| hook(settings, point.to_string(), None))
        }
        Work::Update(upstream) => {
            let settings = settings.update.as_ref()?;
            Some(hook(settings, format!("update/{upstream}"), Some(upstream)))
        }
    }
}

fn hook_body(facts: ServiceFacts<'_>, what: &str, upstream: Option<&str>) -> serde_json::Value {
    let running = facts.state.running();
    json!({
        "hook": if upstream.is_some() { "update" } else { what },
        "service": facts.name(),
        "rollout": running.map(|running| &running.id),
        "strategy": running.map(|running| running.rollout.plan.strategy.label()),
        "version": running.and_then(|running| running.version.as_ref()),
        "from": running.map(|running| &running.from),
        "to": running.map(|running| &running.to),
        "phase": running.map(|running| running.rollout.label()),
        "upstream": upstream,
    })
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
