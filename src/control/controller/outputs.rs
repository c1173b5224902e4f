//! What an input led to, carried out: the table, marks, views, writes and answers.

use super::super::command::{Refusal, Reply};
use super::super::live::Live;
use super::super::saving::Answer;
use super::super::view::{ServiceView, Snapshot};
use super::super::{publish, shown};
use super::{SNAPSHOT, Task};
use crate::core::recall;
use crate::core::settings::Config;
use std::sync::Arc;

impl Task {
    /// Publishes, marks, shows, journals and answers, in this order.
    pub(in crate::control) fn carry_out(&mut self) {
        let reloaded = self.reload_if_quiet();
        // A site without services has routes all the same.
        if self.custody.is_ours() {
            self.lives.values_mut().for_each(|live| live.note_coverage(&self.links));
        }
        let is_new = !Arc::ptr_eq(&self.table.load().routes, &self.links.config.routes);
        if is_new || self.lives.values().any(|live| live.todo.publish) {
            self.fit_maintenance();
            let revision = self.table.load().revision + 1;
            let gateway = self.maintenance.gateway.as_ref();
            let (config, limits) = (&self.links.config, &mut self.limits);
            let table = publish::table(config, &self.lives, gateway, limits, &self.secret, revision);
            let before = self.table.swap(Arc::new(table));
            let aborted: Vec<_> = self.lives.values().filter_map(Live::aborting).collect();
            for live in self.lives.values_mut() {
                live.todo.publish = false;
                live.published(&self.links);
            }
            // After the marks of aborts: nothing delays those.
            let now = self.table.load();
            self.links.recorder.recalls.give(recall::recalls(&before, &now, &aborted));
            self.links.recorder.streams.follow(&before, &now, self.links.clock.now_us());
            self.show();
        } else if self.links.clock.now() >= self.shown_at + SNAPSHOT {
            self.show();
        }
        self.lives.values_mut().for_each(Live::write_log);
        for (answer, reloaded) in reloaded {
            // Whoever asked may have gone.
            let _ = answer.to.send(reloaded);
        }
        self.watch_upstreams();
        for live in self.lives.values_mut() {
            if self.custody.is_ours() {
                live.next_job_done(&self.links);
                live.want_work(&self.links);
            }
            if self.custody.may_write() {
                live.catch_up(&self.links);
            }
            for answer in std::mem::take(&mut live.todo.answers) {
                let reply = match (answer.rollout, shown::rollout(live)) {
                    (Some(created), Some(view)) => Reply::Rollout { view: Arc::new(view), created },
                    _ => {
                        let view = shown::service(live, &self.links);
                        Reply::Service(Arc::new(ServiceView { detail: answer.detail, ..view }))
                    }
                };
                // Whoever asked may have gone.
                let _ = answer.to.send(Ok(reply));
            }
            for (answer, refusal) in std::mem::take(&mut live.todo.refusals) {
                let _ = answer.to.send(Err(refusal));
            }
        }
        self.maintenance.answer(&self.links);
    }

    /// Tells the checks which upstreams there are, once that has changed.
    fn watch_upstreams(&mut self) {
        let mut changed = false;
        for live in self.lives.values_mut() {
            changed |= std::mem::take(&mut live.todo.watch);
        }
        if changed {
            let mut config = Config::clone(&self.links.config);
            config.services =
                self.lives.values().map(|l| (l.settings.name.to_string(), l.watched(&self.links))).collect();
            self.watched.send_replace(Arc::new(config));
        }
    }

    /// The answers are given once the table is out.
    fn reload_if_quiet(&mut self) -> Vec<(Answer, Result<Reply, Refusal>)> {
        let mut done = Vec::new();
        while self.lives.values().all(|live| !live.saving.is_pending())
            && let Some((config, answer)) = self.reloads.pop_front()
        {
            let reloaded = self.reload(config).map(|()| Reply::Reloaded { differs: self.differs() });
            done.push((answer, reloaded));
        }
        done
    }

    fn show(&mut self) {
        self.shown_at = self.links.clock.now();
        let services = self.lives.iter();
        let views =
            services.map(|(name, live)| (name.to_string(), Arc::new(shown::service(live, &self.links))));
        let ended = self.links.ended.borrow().clone();
        let maintenance = self.maintenance.view(&self.links);
        let degraded = self.degraded.clone();
        self.snapshots.send_replace(Arc::new(Snapshot {
            services: views.collect(),
            ended,
            maintenance,
            degraded,
        }));
        let gauges: Vec<_> = self.lives.values().map(|live| shown::gauges(live, &self.links)).collect();
        self.links.metrics.show(&gauges);
    }
}
