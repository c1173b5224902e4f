//! The controller task: one loop that takes in inputs, and the one interpreter of what they lead to.
//!
//! [`Task::carry_out`] publishes the table first, then marks the aborts that are in effect by it, shows, logs, asks
//! and writes, and answers last: nothing that is written delays an abort, and nobody hears of a change that is not in
//! the table.

#[cfg(test)]
mod tests;

use super::answer::answer;
use super::command::{Command, Input, Refusal, Reply};
use super::effects::Effects;
use super::fleet::{FleetNews, FleetOrder};
use super::handover::{Admission, Custody, Duty, Order, refer};
use super::journal::{HistoryRow, SITE};
use super::links::{Links, Written};
use super::maintenance::{self, Asked, Maintenance, SiteOutput};
use super::output::{Answer, Output, ReplyTo};
use super::own_limits::OwnLimits;
use super::publisher::Publisher;
use super::reload::{Reloads, differs};
use super::rounds::Rounds;
use super::service::{Said, ServiceController, Waiting};
use super::services::Services;
use super::snapshots::Snapshots;
use super::upstreams::{CheckNews, CheckedUpstream, ResolvedUpstream};
use super::view::ServiceView;
use super::{recovery, sets, shown};
use crate::core::container::Containers;
use crate::core::settings::Config;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

/// How late this task may be before the process is taken to have stood still, and how long what comes of requests is excused
/// afterwards at most.
const STOOD_STILL: Duration = Duration::from_secs(1);
const LONGEST_EXCUSE: Duration = Duration::from_secs(10);
/// How long the end of the process waits for a write.
const LAST_WRITE: Duration = Duration::from_secs(1);

pub(super) struct Task {
    services: Services,
    maintenance: Maintenance,
    publisher: Publisher,
    snapshots: Snapshots,
    rounds: Rounds,
    /// When this task wants to look around next.
    due_at: Duration,
    reloads: Reloads,
    own_limits: OwnLimits,
    links: Links,
    effects: Effects,
    configs: watch::Sender<Arc<Config>>,
    watched: watch::Sender<Arc<Config>>,
    /// Reloads that wait until nothing is being written.
    reloading: VecDeque<(Arc<Config>, ReplyTo)>,
    /// Whether the state is ours to change.
    custody: Custody,
    /// Commands that came while it was not.
    held: Vec<Input>,
    /// Since when the fleet has something that the table does not show yet.
    heard_at: Option<Duration>,
}

/// Everything that wakes the task.
pub(super) struct Inbox {
    pub inputs: mpsc::Receiver<Input>,
    pub writes: mpsc::UnboundedReceiver<Written>,
    pub orders: mpsc::UnboundedReceiver<Order>,
    /// Of the fleet; there is none without.
    pub news: mpsc::UnboundedReceiver<FleetNews>,
    pub stopped: oneshot::Receiver<()>,
}

impl Task {
    pub(super) fn new(
        services: Services,
        maintenance: Maintenance,
        publisher: Publisher,
        snapshots: Snapshots,
        (configs, watched): (watch::Sender<Arc<Config>>, watch::Sender<Arc<Config>>),
        links: Links,
        effects: Effects,
    ) -> Self {
        Task {
            reloads: Reloads::after(services.names().len()),
            services,
            maintenance,
            publisher,
            snapshots,
            rounds: Rounds::default(),
            due_at: links.clock.now(),
            own_limits: OwnLimits::default(),
            links,
            effects,
            configs,
            watched,
            reloading: VecDeque::new(),
            custody: Custody::Ours,
            held: Vec::new(),
            heard_at: None,
        }
    }

    pub(super) async fn run(mut self, mut inbox: Inbox) {
        loop {
            let now = self.links.clock.now();
            let listens = !self.rounds.is_deaf(now) && self.custody.is_ours();
            let show_at = self.services.has_stale().then(|| self.snapshots.show_at());
            let pause = self.rounds.pause(now, show_at);
            self.due_at = now + pause;
            tokio::select! {
                rung_us = self.links.wake.wait(), if listens => self.rung(rung_us),
                Some(input) = inbox.inputs.recv() => self.input(input),
                Some(written) = inbox.writes.recv() => self.written(written),
                Some(order) = inbox.orders.recv() => self.order(order).await,
                Some(news) = inbox.news.recv() => {
                    self.hear(news);
                    self.hear_all(&mut inbox.news);
                }
                () = sleep(pause) => self.tick(),
                _ = &mut inbox.stopped => break,
            }
            self.carry_out();
            self.settle_custody().await;
        }
        self.finish(&mut inbox.writes).await;
    }

    /// Takes in what is still being written, for a little while.
    async fn finish(&mut self, writes: &mut mpsc::UnboundedReceiver<Written>) {
        let busy = |task: &Task| {
            task.services.values().any(|service| service.saver.is_busy()) || task.maintenance.is_busy()
        };
        while busy(self)
            && let Ok(Some(written)) = tokio::time::timeout(LAST_WRITE, writes.recv()).await
        {
            self.written(written);
            self.carry_out();
        }
    }

    fn input(&mut self, input: Input) {
        let input = match self.custody.admit(input) {
            Admission::Now(input) => input.plain(),
            Admission::Later(input) => return self.held.push(input),
            Admission::Never => return,
        };
        let decides = self.custody.is_ours();
        match input {
            Input::Command { actor, command, if_match, reply } => {
                self.command(Waiting { actor, command, if_match, to: reply });
            }
            Input::Health { service: name, pool, upstream, address, began, result } => {
                let began = self.links.at(began);
                let checked = CheckedUpstream { pool, upstream, address, began, result };
                let Some(service) = self.services.visit(&name) else { return };
                if service.checked(checked, decides, &self.links) != CheckNews::None {
                    self.services.touch(&name);
                }
            }
            Input::JobDone { service, ticket, result } => {
                if let Some(service) = self.services.touch(&service) {
                    service.job_done(ticket, result, &self.links);
                }
            }
            Input::Signals { service, pool, upstream, address, began, values } => {
                let asked = self.links.at(began);
                if let Some(service) = self.services.touch(&service) {
                    let said = Said { pool, source: (upstream, address), asked, values };
                    service.signals(said, &self.links);
                }
            }
            Input::Containers { all } => self.contain(&all),
            Input::OwnLimit { limit } => self.links.recorder.own_limit(limit),
            Input::Resolved { service, pool, upstream, result, again } => {
                if let Some(service) = self.services.touch(&service) {
                    let resolved = ResolvedUpstream { pool, upstream, result, again };
                    service.resolved(resolved, decides, &self.links);
                }
            }
        }
    }

    fn contain(&mut self, all: &Containers) {
        let none = BTreeMap::new();
        for name in self.services.names() {
            let now = all.get(&name).unwrap_or(&none);
            if self.services.get(&name).is_some_and(|service| service.pools.containers() == now) {
                continue;
            }
            if let Some(service) = self.services.touch(&name) {
                service.contain(now, &self.links);
            }
        }
    }

    fn command(&mut self, waiting: Waiting) {
        let Waiting { actor, command, if_match, to } = waiting;
        match command {
            Command::Reload { config } => return self.reloading.push_back((config, to)),
            Command::Maintenance { service, switch } => {
                let named = service.as_deref().and_then(|name| self.services.get(name));
                if let Some(refusal) = named.and_then(|service| service.stale(if_match)) {
                    return answer(to, Err(refusal));
                }
                let asked = Asked { actor, service, switch, to };
                return self.maintenance.switch(asked, &self.services, &self.links);
            }
            Command::Set { set, order } => {
                let asked = (actor, if_match, to);
                sets::order(&set, order, asked, &mut self.services, &self.links)
            }
            command => {
                let waiting = Waiting { actor, command, if_match, to };
                sets::command(waiting, &mut self.services, &self.links);
            }
        }
        self.rounds.hurry(self.links.clock.now());
    }

    /// Takes in all that has come of the fleet.
    pub(super) fn hear_all(&mut self, news: &mut mpsc::UnboundedReceiver<FleetNews>) {
        while let Ok(news) = news.try_recv() {
            self.hear(news);
        }
    }

    fn hear(&mut self, news: FleetNews) {
        if let FleetNews::State(state) = &news {
            self.heard_at.get_or_insert(state.heard_at);
        }
        // While another process of this member has the state, that one hears of it.
        if !self.custody.may_write() {
            return;
        }
        if news.service() == SITE {
            self.maintenance.hear(news, &self.services, &self.links);
        } else if let Some(service) = self.services.touch(news.service()) {
            service.hear(news, &self.links);
        }
    }

    fn written(&mut self, written: Written) {
        let Written { service, serial, .. } = &written;
        if **service == *SITE {
            return self.maintenance.written(*serial, written.result, &self.services, &self.links);
        }
        if let Some(service) = self.services.touch(service) {
            service.written(&written, &self.links);
        }
    }

    /// Where this task is far behind its calendar, the process has stood still: a machine that was paused, or one that
    /// gives it no time. Requests have waited for it meanwhile, and their upstreams are not to blame.
    fn excuse(&mut self) {
        let now = self.links.clock.now();
        let late = now.saturating_sub(self.due_at);
        if late >= STOOD_STILL {
            tracing::warn!(
                "this process stood still for {late:.1?}: what came of requests meanwhile is no evidence"
            );
            self.links.excused_until = now + late.min(LONGEST_EXCUSE);
            self.due_at = now;
        }
    }

    fn rung(&mut self, rung_us: u64) {
        self.excuse();
        self.take_failures();
        let now = self.links.clock.now();
        let mut worse = false;
        let roused = self.rounds.rouse(now, &mut self.services, &self.links);
        self.services.each(&roused, |service| {
            service.observe(&self.links);
            worse |= service.judge_at(Some(rung_us), &self.links);
        });
        self.rounds.heard(now, worse);
    }

    /// Before a look: those that decide are shown with what is decided.
    fn take_failures(&mut self) {
        for (arm, failed) in self.links.recorder.failures.take() {
            let Some(name) = self.links.recorder.service(arm) else { continue };
            let is_watched = self.services.get(&name).is_some_and(ServiceController::is_watchful);
            if let Some(service) = is_watched.then(|| self.services.touch(&name)).flatten() {
                service.failed(arm, failed, &self.links);
            }
        }
    }

    fn tick(&mut self) {
        self.excuse();
        let now = self.links.clock.now();
        if !self.rounds.is_due(now) {
            return;
        }
        self.take_failures();
        self.own_limits.tell(now, &self.services, &self.links);
        let due = self.rounds.due(now, &mut self.services, &self.links);
        let decides = self.custody.is_ours();
        self.services.each(&due, |service| {
            service.observe(&self.links);
            if decides {
                service.judge(&self.links);
                service.report_progress(&self.links);
            }
        });
        for (arm, text) in self.links.recorder.differences.take() {
            let name = self.links.recorder.service(arm).filter(|_| decides);
            if let Some(service) = name.and_then(|name| self.services.touch(&name)) {
                service.differed(arm, &text, &self.links);
            }
        }
        if decides {
            self.maintenance.end(&self.services, &self.links);
            self.forget(now);
        }
        let watchful = !decides || self.services.awake().any(ServiceController::is_watchful);
        self.rounds.end(now, watchful);
    }

    /// Lets go of what is kept no longer, from time to time.
    fn forget(&mut self, now: Duration) {
        if !self.rounds.forgets(now) {
            return;
        }
        let forgotten = self.links.forget();
        if !forgotten.rollouts.is_empty() {
            self.services.touch_all().for_each(|service| service.saver.forget(&forgotten.rollouts));
        }
        self.effects.journal.forget(forgotten);
    }

    /// The interpreter: carries out what the services that inputs were about have put out.
    pub(super) fn carry_out(&mut self) {
        let reloaded = self.reload_if_quiet();
        self.carry_out_for_site();
        let mut touched = self.services.take_touched();
        if self.custody.is_ours() {
            self.services.each(&touched, |service| service.conclude(&self.links));
            touched = sets::keep_together(touched, &mut self.services, &self.links);
        }
        self.publish_and_show(&touched);
        self.log(&touched);
        for (to, result) in reloaded {
            answer(to, result);
        }
        self.watch_upstreams(&touched);
        let may_write = self.custody.may_write();
        self.services.each(&touched, |service| {
            if may_write {
                service.catch_up(&self.links);
            }
            for output in service.outputs.take(|output| !matches!(output, Output::Publish | Output::Watch)) {
                carry_out(output, service, &self.links, &self.effects);
            }
        });
        self.services.settle(&touched);
        for to in self.maintenance.take_answers() {
            answer(to, Ok(maintenance::reply(&self.maintenance, &self.links)));
        }
    }

    /// The table, the marks of aborts that are in effect by it, and what follows from it on connections; then views.
    fn publish_and_show(&mut self, touched: &[Arc<str>]) {
        let Task { services, maintenance, publisher, links, effects, heard_at, .. } = self;
        let (published, transition) = publisher.publish(touched, services, maintenance, links);
        services.each(published.names(), |service| {
            for output in service.outputs.take(|o| matches!(o, Output::Publish | Output::Mark { .. })) {
                carry_out(output, service, links, effects);
            }
        });
        // After the marks of aborts: nothing delays those.
        if let Some(transition) = transition {
            transition.follow(links);
        }
        if let Some(heard_at) = heard_at.take().filter(|_| !published.names().is_empty()) {
            effects.metrics.fleet_times().applied(links.clock.now().saturating_sub(heard_at));
        }
        services.each(touched, |service| {
            for output in service.outputs.take(|output| matches!(output, Output::Ended(_))) {
                if let Output::Ended(view) = output {
                    effects.metrics.rollout_ended(&view.service, &view.phase);
                    links.remember(*view);
                }
            }
        });
        self.snapshots.show(&published, services, maintenance, links, &effects.metrics);
    }

    /// What is so by the table that is out.
    fn log(&mut self, touched: &[Arc<str>]) {
        self.services.each(touched, |service| {
            let name = service.pools.settings.name.clone();
            for output in service.outputs.take(|output| matches!(output, Output::Log(_))) {
                carry_out(output, service, &self.links, &self.effects);
            }
            for (pool, down) in service.pools.take_turned() {
                super::log::write_pool(&name, service.state(), &pool, down.as_deref());
            }
        });
    }

    /// What the switches of maintenance have led to.
    fn carry_out_for_site(&mut self) {
        for output in self.maintenance.take_outputs() {
            match output {
                SiteOutput::Write { serial, change, base } => match self.links.is_fleet {
                    true => self.effects.write_site_in_fleet(serial, change, base),
                    false => self.effects.write_site(serial, change),
                },
                SiteOutput::Copy(change) => drop(self.effects.journal.append_site(change)),
                SiteOutput::Refuse(to, refusal) => answer(to, Err(refusal)),
                SiteOutput::InEffect { scopes, log } => {
                    // It is shown with the answer, whomever it is about.
                    self.snapshots.hurry();
                    // News for those who wait for a service, like a change of its upstreams.
                    if scopes.contains(&None) {
                        self.services.touch_all().for_each(ServiceController::note_news);
                    }
                    for name in scopes.iter().flatten() {
                        self.services.touch(name).into_iter().for_each(ServiceController::note_news);
                    }
                    for (actor, text) in log {
                        tracing::info!(actor, action = "maintenance", "{text}");
                    }
                }
            }
        }
    }

    /// Tells the checks which upstreams there are, once that has changed.
    fn watch_upstreams(&mut self, touched: &[Arc<str>]) {
        let mut changed = Vec::new();
        self.services.each(touched, |service| {
            if !service.outputs.take(|output| matches!(output, Output::Watch)).is_empty() {
                changed.push((service.name().to_owned(), service.watched(&self.links)));
            }
        });
        if changed.is_empty() {
            return;
        }
        let mut services = self.watched.borrow().services.clone();
        services.retain(|name, _| self.services.contains(name));
        services.extend(changed);
        self.watched.send_replace(Arc::new(Config { services, ..Config::clone(&self.links.config) }));
    }

    /// The answers are given once the table is out.
    fn reload_if_quiet(&mut self) -> Vec<(ReplyTo, Result<Reply, Refusal>)> {
        let mut done = Vec::new();
        while !self.reloading.is_empty()
            && self.services.values().all(|service| !service.saver.is_pending())
            && let Some((config, to)) = self.reloading.pop_front()
        {
            let reloaded = self.reloads.reload(config.clone(), &mut self.services, &mut self.links);
            if reloaded.is_ok() {
                if self.links.is_fleet {
                    let services = config.services.keys().map(|name| name.as_str().into()).collect();
                    self.effects.order(FleetOrder::Configured { services, config: config.shared_digest() });
                }
                self.configs.send_replace(config);
            }
            let differs = || Reply::Reloaded { differs: differs(&self.services) };
            done.push((to, reloaded.map(|()| differs())));
        }
        done
    }

    async fn order(&mut self, order: Order) {
        match order {
            Order::Release(to) if self.custody.is_ours() => {
                self.services.touch_all().for_each(|service| service.saver.write_now());
                self.custody.leave(self.links.clock.now(), to);
            }
            Order::Release(to) => answer(to, Err("the state is not this process's".into())),
            Order::TakeBack(to) => {
                let result = self.take_back().await;
                answer(to, result);
            }
            Order::Leave => {
                self.custody = Custody::Gone;
                self.held.drain(..).for_each(refer);
            }
        }
    }

    /// Closes the store once everything is written, or opens it again once it can be.
    async fn settle_custody(&mut self) {
        let is_all_written = self.custody.is_leaving() && self.is_all_written();
        match self.custody.duty(self.links.clock.now(), is_all_written) {
            Duty::Nothing => (),
            Duty::Close(to) => {
                self.effects.step_down().await;
                self.effects.journal.close().await;
                answer(to, Ok(()));
            }
            Duty::Stay(to) => {
                self.decide_again();
                answer(to, Err("the state store cannot write".into()));
            }
            Duty::Reopen => {
                if self.take_back().await.is_ok() {
                    tracing::info!("the state is taken back");
                }
            }
        }
    }

    fn is_all_written(&self) -> bool {
        let services = self.services.values().all(ServiceController::is_all_written);
        services && !self.maintenance.is_busy() && self.reloading.is_empty()
    }

    /// Opens the store again, and goes on with what another process may have left in it.
    async fn take_back(&mut self) -> Result<(), String> {
        let recovered = match self.effects.journal.reopen().await {
            Ok(recovered) => recovered,
            Err(error) => {
                self.custody.miss(self.links.clock.now());
                return Err(error.to_string());
            }
        };
        self.effects.order(FleetOrder::StepUp);
        self.links.ended = Arc::new(recovery::ended(&recovered));
        self.maintenance = Maintenance::recovered(&recovered, &self.links);
        for service in self.services.touch_all() {
            recovery::take_back(service, &recovered, &self.links);
        }
        self.decide_again();
        Ok(())
    }

    /// What was asked for meanwhile is carried out now.
    fn decide_again(&mut self) {
        self.custody = Custody::Ours;
        self.services.touch_all().for_each(ServiceController::decide_again);
        for input in std::mem::take(&mut self.held) {
            self.input(input);
        }
        self.carry_out();
    }
}

/// Does one thing that a service has put out. The table, the list of what is to be checked and the rollouts that
/// have ended are for all services together.
fn carry_out(output: Output, service: &mut ServiceController, links: &Links, effects: &Effects) {
    let name = || service.pools.settings.name.clone();
    match output {
        Output::Publish | Output::Watch | Output::Ended(_) => (),
        Output::Mark { mark, rung_us, .. } => {
            effects.journal.marks.set(service.slot, &mark);
            let Some(rung_us) = rung_us else { return };
            let took_us = links.clock.now_us().saturating_sub(rung_us);
            tracing::info!(service = &*name(), took_us, "from the deciding outcome to the table");
            service.saver.note_reaction(took_us);
        }
        Output::Unmark => effects.journal.marks.clear(service.slot),
        Output::Log(line) => line.write(service.name()),
        Output::Ask(job) => effects.ask(*job),
        Output::Write { serial, change, ask: None } => {
            effects.write(name(), serial, change.transaction(service.name()));
        }
        Output::Write { serial, change, ask: Some(ask) } => {
            effects.write_in_fleet(name(), serial, *change, ask);
        }
        Output::Abort { rollout, why, rows } => {
            let rows = rows.iter().map(HistoryRow::shared).collect();
            effects.order(FleetOrder::Abort { service: name(), rollout, why, rows });
        }
        Output::Order(order) => effects.order(*order),
        Output::Archive(rows) => effects.archive(service.name(), rows),
        // What the fleet has stays, whether or not this disk has it.
        Output::Copy(change) => drop(effects.journal.append(change.transaction(service.name()))),
        Output::Post(outgoing) => effects.journal.outbox().post(*outgoing),
        Output::Answer(asked) => {
            let reply = reply(&asked, service, links);
            answer(asked.to, Ok(reply));
        }
        Output::Reply(to, result) => answer(to, result),
    }
}

/// The answer to a change that is in the table.
fn reply(asked: &Answer, service: &ServiceController, links: &Links) -> Reply {
    match (asked.rollout, shown::rollout(service.facts())) {
        (Some(created), Some(view)) => Reply::Rollout { view: Arc::new(view), created },
        _ => {
            let view = shown::service(service.facts(), links);
            Reply::Service(Arc::new(ServiceView { detail: asked.detail.clone(), ..view }))
        }
    }
}
