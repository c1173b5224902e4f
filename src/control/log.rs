//! What of a service stands in the process's log.
//!
//! A line is written once what it says is so: after the write, where that comes first, and after the table that
//! it takes effect by. What takes users away from a version, or keeps them from one, is a warning.

use crate::core::event::Event;
use crate::core::rollout::Note;
use crate::core::service::ServiceState;
use crate::core::verdict::Level;

/// One line, to be written when its time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogLine {
    is_warning: bool,
    actor: String,
    event: Event,
    text: String,
    rollout: Option<String>,
    pool: Option<String>,
}

impl LogLine {
    pub(super) fn write(&self, service: &str) {
        let LogLine { actor, event, text, .. } = self;
        let action = event.label();
        let (rollout, pool) = (self.rollout.as_deref(), self.pool.as_deref());
        match self.is_warning {
            true => tracing::warn!(service, rollout, pool, actor, action, "{text}"),
            false => tracing::info!(service, rollout, pool, actor, action, "{text}"),
        }
    }
}

/// The lines for what leads from one state to the next.
pub(super) fn lines(state: &ServiceState, next: &ServiceState, notes: &[Note], actor: &str) -> Vec<LogLine> {
    let rollout = next.rollout.as_ref().filter(|r| !r.rollout.has_ended() || state.running().is_some());
    let guarded = next.guard.as_ref().or(state.guard.as_ref());
    let is_critical = rollout.is_some_and(|running| {
        running.rollout.verdict.reasons.iter().any(|reason| reason.level == Level::Critical)
    });
    let line = |note: &Note| {
        let about = rollout.map(|running| (&running.id, &running.to));
        let about = about.or_else(|| guarded.map(|guard| (&guard.rollout, &guard.pool)));
        let taken = next.taken.as_ref().filter(|_| note.event == Event::TakenBack);
        let pool = taken.map(|taken| &taken.pool).or_else(|| about.map(|(_, pool)| pool)).cloned();
        LogLine {
            is_warning: note.event.is_warning(is_critical),
            actor: actor.to_owned(),
            event: note.event,
            text: note.text.clone(),
            rollout: about.map(|(id, _)| id.clone()),
            pool,
        }
    };
    notes.iter().map(line).collect()
}

/// The line for an upstream of a pool that went up or down.
pub(super) fn health(state: &ServiceState, pool: &str, note: &Note, is_down: bool, actor: &str) -> LogLine {
    LogLine {
        is_warning: is_down,
        actor: actor.to_owned(),
        event: note.event,
        text: note.text.clone(),
        rollout: rollout_of_pool(state, pool).map(str::to_owned),
        pool: Some(pool.to_owned()),
    }
}

/// Says that a pool went up or, with a reason, down.
pub(super) fn write_pool(service: &str, state: &ServiceState, pool: &str, down: Option<&str>) {
    let rollout = rollout_of_pool(state, pool);
    match down {
        Some(why) => tracing::warn!(service, rollout, pool, "the pool is down: {why}"),
        None => tracing::info!(service, rollout, pool, "the pool is up"),
    }
}

/// The running rollout, where a pool is part of it.
fn rollout_of_pool<'a>(state: &'a ServiceState, pool: &str) -> Option<&'a str> {
    let running = state.running().filter(|running| running.to == pool || running.from == pool);
    running.map(|running| running.id.as_str())
}
