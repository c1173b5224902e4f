//! What of a service stands in the process's log.
//!
//! A line is written once what it says is so: after the write, where that comes first, and after the table that
//! it takes effect by. What takes users away from a version, or keeps them from one, is a warning.

use super::live::Live;
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
    fn write(&self, service: &str) {
        let LogLine { actor, event, text, .. } = self;
        let action = event.label();
        let (rollout, pool) = (self.rollout.as_deref(), self.pool.as_deref());
        match self.is_warning {
            true => tracing::warn!(service, rollout, pool, actor, action, "{text}"),
            false => tracing::info!(service, rollout, pool, actor, action, "{text}"),
        }
    }
}

impl Live {
    /// The lines for what led to a state, or leads to it once it is written.
    pub(super) fn log_lines(&self, state: &ServiceState, notes: &[Note], actor: &str) -> Vec<LogLine> {
        let rollout =
            state.rollout.as_ref().filter(|r| !r.rollout.has_ended() || self.state.running().is_some());
        let guarded = state.guard.as_ref().or(self.state.guard.as_ref());
        let line = |note: &Note| {
            let is_critical = rollout.is_some_and(|running| {
                running.rollout.verdict.reasons.iter().any(|reason| reason.level == Level::Critical)
            });
            let about = rollout.map(|running| (&running.id, &running.to));
            let about = about.or_else(|| guarded.map(|guard| (&guard.rollout, &guard.pool)));
            LogLine {
                is_warning: note.event.is_warning(is_critical),
                actor: actor.to_owned(),
                event: note.event,
                text: note.text.clone(),
                rollout: about.map(|(id, _)| id.clone()),
                pool: about.map(|(_, pool)| pool.clone()),
            }
        };
        notes.iter().map(line).collect()
    }

    /// The line for an upstream of a pool that went up or down.
    pub(super) fn log_health(&mut self, pool: &str, note: &Note, is_down: bool, actor: &str) {
        let line = LogLine {
            is_warning: is_down,
            actor: actor.to_owned(),
            event: note.event,
            text: note.text.clone(),
            rollout: self.rollout_of_pool(pool),
            pool: Some(pool.to_owned()),
        };
        self.todo.log.push(line);
    }

    /// Writes what is due, and which pools nobody can serve for any more; the table is out.
    pub(super) fn write_log(&mut self) {
        let service = self.settings.name.clone();
        for line in std::mem::take(&mut self.todo.log) {
            line.write(&service);
        }
        let mut changed = Vec::new();
        for (name, pool) in &mut self.pools {
            let is_up = pool.upstreams.any_up();
            // A pool that nobody has asked yet is not one that went down.
            if pool.logged_up.replace(is_up).is_some_and(|before| before != is_up) {
                changed.push((name.clone(), pool.upstreams.ready().err().filter(|_| !is_up)));
            }
        }
        for (pool, down) in changed {
            let rollout = self.rollout_of_pool(&pool);
            let (service, pool, rollout) = (&*service, &*pool, rollout.as_deref());
            match down {
                Some(why) => tracing::warn!(service, rollout, pool, "the pool is down: {why}"),
                None => tracing::info!(service, rollout, pool, "the pool is up"),
            }
        }
    }

    /// The running rollout, where a pool is part of it.
    fn rollout_of_pool(&self, pool: &str) -> Option<String> {
        let running = self.state.running().filter(|running| running.to == pool || running.from == pool);
        running.map(|running| running.id.clone())
    }
}
