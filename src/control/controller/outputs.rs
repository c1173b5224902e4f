//! What an input led to, carried out: the table, marks, views, writes and answers.

use super::super::command::{Refusal, Reply};
use super::super::links::Links;
use super::super::live::Live;
use super::super::saving::Answer;
use super::super::view::{ServiceView, ServiceViews, Snapshot};
use super::super::{publish, shown};
use super::{PART, SHOWN_AT_ONCE, SNAPSHOT, Task};
use crate::core::recall;
use crate::core::settings::Config;
use crate::core::table::Table;
use std::sync::Arc;

/// What the next table brings.
#[derive(Debug, PartialEq, Eq)]
enum Published {
    Nothing,
    /// These services are others.
    Changes(Vec<Arc<str>>),
    /// A new configuration.
    All,
}

impl Task {
    /// Publishes, marks, shows, journals and answers, in this order: what the services that inputs were about have
    /// come to.
    pub(in crate::control) fn carry_out(&mut self) {
        let reloaded = self.reload_if_quiet();
        let touched = self.lives.take_touched();
        if self.custody.is_ours() {
            self.lives.each(&touched, |live| live.note_coverage(&self.links));
        }
        let published = self.publish(&touched);
        self.show(&published);
        self.lives.each(&touched, Live::write_log);
        for (answer, reloaded) in reloaded {
            // Whoever asked may have gone.
            let _ = answer.to.send(reloaded);
        }
        self.watch_upstreams(&touched);
        let (is_ours, may_write) = (self.custody.is_ours(), self.custody.may_write());
        self.lives.each(&touched, |live| {
            if is_ours {
                live.next_job_done(&self.links);
                live.want_work(&self.links);
            }
            if may_write {
                live.catch_up(&self.links);
            }
            live.answer(&self.links);
        });
        self.lives.settle(&touched);
        self.maintenance.answer(&self.links);
    }

    fn publish(&mut self, touched: &[Arc<str>]) -> Published {
        let before = self.table.load_full();
        // A site without services has routes all the same.
        let is_new = !Arc::ptr_eq(&before.routes, &self.links.config.routes);
        let has_changed = |name: &&Arc<str>| self.lives.get(name).is_some_and(|live| live.todo.publish);
        let changed: Vec<_> =
            if is_new { self.lives.names() } else { touched.iter().filter(has_changed).cloned().collect() };
        if !is_new && changed.is_empty() {
            return Published::Nothing;
        }
        self.lives.each(&changed, |live| live.stretch = self.maintenance.stretch(live.name()).cloned());
        let now = Arc::new(self.table_after(&before, &changed, is_new));
        self.table.store(now.clone());
        let lives = changed.iter().filter_map(|name| self.lives.get(name));
        let aborted: Vec<_> = lives.filter_map(Live::aborting).collect();
        self.lives.each(&changed, |live| {
            live.todo.publish = false;
            live.published(&self.links);
        });
        // After the marks of aborts: nothing delays those.
        self.links.recorder.recalls.give(recall::recalls(&before, &now, &aborted));
        self.links.recorder.streams.follow(&before, &now, self.links.clock.now_us());
        if is_new { Published::All } else { Published::Changes(changed) }
    }

    fn table_after(&mut self, before: &Table, changed: &[Arc<str>], is_new: bool) -> Table {
        if is_new {
            self.fit_gateway();
            let gateway = self.maintenance.gateway.as_ref();
            let (config, limits) = (&self.links.config, &mut self.limits);
            return publish::table(config, &self.lives, gateway, limits, &self.secret, before.revision + 1);
        }
        let changed = changed.iter().filter_map(|name| self.lives.get(name));
        publish::following(before, changed, &self.links.config, &self.secret)
    }

    /// Tells the checks which upstreams there are, once that has changed.
    fn watch_upstreams(&mut self, touched: &[Arc<str>]) {
        let mut changed = Vec::new();
        self.lives.each(touched, |live| {
            if std::mem::take(&mut live.todo.watch) {
                changed.push((live.name().to_owned(), live.watched(&self.links)));
            }
        });
        if changed.is_empty() {
            return;
        }
        let mut services = self.watched.borrow().services.clone();
        services.retain(|name, _| self.lives.contains(name));
        services.extend(changed);
        self.watched.send_replace(Arc::new(Config { services, ..Config::clone(&self.links.config) }));
    }

    /// The answers are given once the table is out.
    fn reload_if_quiet(&mut self) -> Vec<(Answer, Result<Reply, Refusal>)> {
        let mut done = Vec::new();
        while !self.reloads.is_empty()
            && self.lives.values().all(|live| !live.saving.is_pending())
            && let Some((config, answer)) = self.reloads.pop_front()
        {
            let reloaded = self.reload(config).map(|()| Reply::Reloaded { differs: self.differs() });
            done.push((answer, reloaded));
        }
        done
    }

    /// Shows what has changed at once, and from time to time what is measured meanwhile.
    fn show(&mut self, published: &Published) {
        let now = self.links.clock.now();
        let is_due = now >= self.show_at;
        let mut names = match published {
            Published::Nothing => Vec::new(),
            Published::Changes(changed) => changed.clone(),
            Published::All => self.lives.names(),
        };
        self.lives.is_shown(&names);
        if is_due {
            names.extend(self.lives.stale(SHOWN_AT_ONCE));
            self.show_at = now + if self.lives.has_stale() { PART } else { SNAPSHOT };
        }
        if !is_due && names.is_empty() {
            return;
        }
        let shown = || names.iter().filter_map(|name| self.lives.get(name));
        let views: Vec<_> = shown().map(|live| Arc::new(shown::service(live, &self.links))).collect();
        self.views = match published {
            Published::All => ServiceViews::of(views),
            _ => self.views.with(views),
        };
        self.snapshots.send_replace(Arc::new(Snapshot {
            services: self.views.clone(),
            ended: self.links.ended.borrow().clone(),
            maintenance: self.maintenance.view(&self.links),
            degraded: self.degraded.clone(),
        }));
        shown().for_each(|live| self.links.metrics.show(shown::gauges(live, &self.links)));
        if *published == Published::All {
            self.links.metrics.keep(|service| self.lives.contains(service));
        }
    }
}

impl Live {
    /// Answers those whose change is in the table, and those who were refused.
    fn answer(&mut self, links: &Links) {
        for answer in std::mem::take(&mut self.todo.answers) {
            let reply = match (answer.rollout, shown::rollout(self)) {
                (Some(created), Some(view)) => Reply::Rollout { view: Arc::new(view), created },
                _ => {
                    let view = shown::service(self, links);
                    Reply::Service(Arc::new(ServiceView { detail: answer.detail, ..view }))
                }
            };
            // Whoever asked may have gone.
            let _ = answer.to.send(Ok(reply));
        }
        for (answer, refusal) in std::mem::take(&mut self.todo.refusals) {
            let _ = answer.to.send(Err(refusal));
        }
    }
}
