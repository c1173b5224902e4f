//! The controller task: one loop that takes in inputs and carries out what they led to.
//!
//! It runs on a thread of its own, so that a busy worker never delays a decision.

mod outputs;
mod own_limits;
#[cfg(test)]
mod tests;
mod ticks;

use super::command::{Command, Controller, Input, Job, Refusal};
use super::handover::{Custody, Handover, Order};
use super::journal::{Journal, Recovered, SITE};
use super::limits::Limits;
use super::links::{Links, Written};
use super::live::SELF;
use super::lives::Lives;
use super::maintenance::{Asked, Maintenance};
use super::saving::{Answer, Waiting};
use super::upstreams::CheckNews;
use super::view::{ServiceViews, Snapshot};
use super::{recovery, shown};
use crate::core::own_address::OwnAddresses;
use crate::core::secret::Secret;
use crate::core::service::ServiceState;
use crate::core::settings::Config;
use crate::core::table::Table;
use crate::core::upstream_address::UpstreamAddress;
use crate::observe::activity::Seen;
use crate::observe::clock::Clock;
use crate::observe::metrics::Metrics;
use crate::observe::recorder::Recorder;
use crate::observe::wake::Wake;
use arc_swap::ArcSwap;
use own_limits::Told;
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use ticks::{FORGET_FIRST, WATCHFUL};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

/// Inputs that may wait.
const INPUTS: usize = 256;
/// Least time between two snapshots of the figures, and between two parts of one.
const SNAPSHOT: Duration = Duration::from_millis(250);
const PART: Duration = Duration::from_millis(25);
/// The most services that one snapshot shows the figures of anew: nobody waits for more.
const SHOWN_AT_ONCE: usize = 32;

/// What the controller works with.
#[derive(Debug)]
pub struct Parts {
    pub config: Arc<Config>,
    /// The controller is its one writer.
    pub table: Arc<ArcSwap<Table>>,
    pub recorder: Arc<Recorder>,
    pub wake: Arc<Wake>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub journal: Journal,
    pub recovered: Recovered,
    /// Where work outside of this process goes.
    pub jobs: mpsc::UnboundedSender<Job>,
    /// Where the admin API listens, for routes that lead to it.
    pub admin: SocketAddr,
    /// Where this process listens.
    pub own: OwnAddresses,
    /// Assigns users, and signs what testers send.
    pub secret: Secret,
}

/// The running controller.
#[derive(Debug)]
pub struct Running {
    pub controller: Controller,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The configuration in effect.
    pub configs: watch::Receiver<Arc<Config>>,
    /// The same with the upstreams that are registered and the policies that rollouts run under: what is
    /// to be checked and scraped.
    pub watched: watch::Receiver<Arc<Config>>,
    pub handover: Handover,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    /// Writes what is still to be written, as far as it can be, and ends. Blocks.
    pub fn stop(self) {
        // A thread that has ended already needs no word.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the controller panicked");
        }
    }
}

/// Recovers the state, publishes the first table and starts the task.
///
/// # Errors
/// When the system refuses a thread, or more pools are configured than can be measured.
pub fn start(parts: Parts) -> std::io::Result<Running> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let (inputs, inbox) = mpsc::channel(INPUTS);
    let (snapshots, shown) = watch::channel(Arc::default());
    let (configs, configured) = watch::channel(parts.config.clone());
    let (watched, under_watch) = watch::channel(parts.config.clone());
    let (written, writes) = mpsc::unbounded_channel();
    let (handover, orders) = Handover::channel();
    let links = Links {
        config: parts.config,
        recorder: parts.recorder,
        own: parts.own,
        clock: parts.clock,
        metrics: parts.metrics,
        journal: parts.journal,
        jobs: parts.jobs,
        written,
        ended: RefCell::new(Arc::new(recovery::ended(&parts.recovered))),
    };
    let mut task = Task {
        lives: Lives::default(),
        maintenance: Maintenance::recovered(&parts.recovered, parts.admin, &links),
        links,
        table: parts.table,
        wake: parts.wake,
        snapshots,
        configs,
        watched,
        reloads: VecDeque::new(),
        retired: BTreeMap::new(),
        next_slot: 0,
        limits: Limits::default(),
        secret: parts.secret,
        next_tick: Duration::ZERO,
        all_at: Duration::ZERO,
        show_at: Duration::ZERO,
        views: ServiceViews::default(),
        sampled_at: Duration::ZERO,
        seen: Seen::default(),
        roused_at: Duration::ZERO,
        told: Told::default(),
        deaf_until: Duration::ZERO,
        forget_at: FORGET_FIRST,
        degraded: Arc::default(),
        custody: Custody::Ours,
        held: Vec::new(),
    };
    {
        let _entered = runtime.enter();
        task.recover(&parts.recovered).map_err(std::io::Error::other)?;
        task.carry_out();
    }
    let (stop, stopped) = oneshot::channel();
    let run = move || runtime.block_on(task.run(Inbox { inputs: inbox, writes, orders, stopped }));
    let thread = std::thread::Builder::new().name("controller".into()).spawn(run)?;
    let controller = Controller { inputs };
    let (configs, watched) = (configured, under_watch);
    Ok(Running { controller, snapshots: shown, configs, watched, handover, stop, thread })
}

pub(super) struct Task {
    pub lives: Lives,
    pub links: Links,
    pub configs: watch::Sender<Arc<Config>>,
    watched: watch::Sender<Arc<Config>>,
    pub next_slot: usize,
    pub maintenance: Maintenance,
    limits: Limits,
    secret: Secret,
    table: Arc<ArcSwap<Table>>,
    wake: Arc<Wake>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    /// Reloads that wait until nothing is being written.
    pub reloads: VecDeque<(Arc<Config>, Answer)>,
    /// What is known of services that a reload took away, should another bring them back.
    pub retired: BTreeMap<Arc<str>, ServiceState>,
    next_tick: Duration,
    /// When all that are awake are looked at next, not only those that want frequent looks.
    all_at: Duration,
    /// When what is measured is shown anew.
    pub show_at: Duration,
    /// As shown last.
    views: ServiceViews,
    sampled_at: Duration,
    /// What has been noticed of the traffic, and when that was looked for last.
    seen: Seen,
    roused_at: Duration,
    /// What operators have been told of own limits.
    told: Told,
    deaf_until: Duration,
    /// When the past is looked through next.
    forget_at: Duration,
    /// Why the state is not the last one, if it is not.
    pub degraded: Arc<[String]>,
    /// Whether the state is ours to change.
    pub custody: Custody,
    /// Commands that came while it was not.
    pub held: Vec<Input>,
}

/// Everything that wakes the task.
struct Inbox {
    inputs: mpsc::Receiver<Input>,
    writes: mpsc::UnboundedReceiver<Written>,
    orders: mpsc::UnboundedReceiver<Order>,
    stopped: oneshot::Receiver<()>,
}

impl Task {
    fn recover(&mut self, recovered: &Recovered) -> Result<(), String> {
        let mut degraded = recovered.damage.clone();
        for settings in self.links.config.services.values() {
            let live = recovery::live(settings, self.next_slot, recovered, &self.links)?;
            self.next_slot += 1;
            degraded.extend(live.degraded.clone());
            self.lives.insert(settings.name.clone(), live);
        }
        degraded.iter().for_each(|why| tracing::error!("started degraded: {why}"));
        self.links.metrics.started_degraded(degraded.len());
        self.degraded = degraded.into();
        Ok(())
    }

    async fn run(mut self, mut inbox: Inbox) {
        loop {
            let now = self.links.clock.now();
            let deaf = now < self.deaf_until;
            let tick = if self.lives.has_stale() { self.next_tick.min(self.show_at) } else { self.next_tick };
            let wait = if deaf { tick.min(self.deaf_until) } else { tick };
            tokio::select! {
                rung_us = self.wake.wait(), if !deaf && self.custody.is_ours() => self.rung(rung_us),
                Some(input) = inbox.inputs.recv() => self.input(input),
                Some(written) = inbox.writes.recv() => self.written(written),
                Some(order) = inbox.orders.recv() => self.order(order).await,
                () = sleep(wait.saturating_sub(now)) => self.tick(),
                _ = &mut inbox.stopped => break,
            }
            self.carry_out();
            self.settle_custody().await;
        }
        self.finish(&mut inbox.writes).await;
    }

    /// Takes in what is still being written, for a little while.
    async fn finish(&mut self, writes: &mut mpsc::UnboundedReceiver<Written>) {
        let busy =
            |task: &Task| task.lives.values().any(|live| live.saving.is_busy()) || task.maintenance.is_busy();
        while busy(self)
            && let Ok(Some(written)) = tokio::time::timeout(Duration::from_secs(1), writes.recv()).await
        {
            self.written(written);
            self.carry_out();
        }
    }

    pub(super) fn input(&mut self, input: Input) {
        let Some(input) = self.unless_held(input) else { return };
        let input = input.plain();
        match input {
            Input::Command { actor: _, command: Command::Reload { config }, reply } => {
                self.reloads.push_back((config, Answer { to: reply, rollout: None, detail: None }));
            }
            Input::Command { actor, command: Command::Maintenance { service, switch }, reply } => {
                self.switch(Asked { actor, service, switch, to: reply });
            }
            Input::Command { actor, command, reply } => {
                let service = service_of(&command);
                match self.lives.touch(service) {
                    Some(live) => live.command(Waiting { actor, command, to: reply }, &self.links),
                    None => {
                        let refusal = Refusal::NotFound(format!("there is no service {service}"));
                        // Whoever asked may have gone.
                        let _ = reply.send(Err(refusal));
                    }
                }
                // A rollout that has just begun is looked at soon.
                self.next_tick = self.next_tick.min(self.links.clock.now() + WATCHFUL);
            }
            Input::Health { service, pool, upstream, address, began, result } => {
                self.checked(&service, (&pool, &upstream, address), began, result);
            }
            Input::JobDone { service, ticket, result } => {
                if let Some(live) = self.lives.touch(&service) {
                    live.job_done(ticket, result, &self.links);
                }
            }
            Input::Signals { service, pool, upstream, address, began, values } => {
                if let Some(live) = self.lives.touch(&service) {
                    let asked = self.links.at(began);
                    live.signals(&pool, &(upstream, address), values, asked, &self.links);
                }
            }
            Input::OwnLimit { limit } => self.links.recorder.own_limit(limit),
            Input::Resolved { service, pool, upstream, result, again } => {
                let Some(live) = self.lives.touch(&service) else { return };
                let settings = live.settings.pools.get(&pool);
                let (Some(settings), Some(pool)) = (settings, live.pools.get_mut(&pool)) else { return };
                if pool.upstreams.resolved(settings, &upstream, result, again, &self.links.own) {
                    live.upstreams_changed();
                }
                if self.custody.is_ours() {
                    live.judge(&self.links, None);
                }
            }
        }
    }

    /// An upstream has been checked; what was begun on a former version of its pool says nothing.
    fn checked(
        &mut self,
        service: &str,
        (pool, upstream, address): (&Arc<str>, &str, UpstreamAddress),
        began: tokio::time::Instant,
        result: Result<(), String>,
    ) {
        let Some(live) = self.lives.visit(service) else { return };
        let began = self.links.at(began);
        let known = live.pools.get_mut(pool).filter(|pool| began >= pool.begun);
        let Some(upstreams) = known.map(|pool| &mut pool.upstreams) else { return };
        let said = result.as_ref().err().cloned();
        let news = upstreams.checked(upstream, address, result);
        let is_proven = said.is_none() && upstreams.is_proven(upstream);
        let is_ours = self.custody.is_ours();
        if is_ours && is_proven {
            live.note_proven(pool, upstream);
        }
        if news == CheckNews::State {
            live.upstreams_changed();
            if is_ours {
                let note = shown::health_note(pool, upstream, address, said.as_deref());
                live.log_health(pool, &note, said.is_some(), SELF);
                live.note(&[note], &self.links);
            }
        }
        if is_ours {
            live.judge(&self.links, None);
        }
        if news != CheckNews::None {
            self.lives.touch(service);
        }
    }

    fn written(&mut self, written: Written) {
        if *written.service == *SITE {
            return self.site_written(written);
        }
        if let Some(live) = self.lives.touch(&written.service) {
            live.written(written, &self.links);
            live.next_job_done(&self.links);
            live.next_command(&self.links);
        }
    }
}

fn service_of(command: &Command) -> &str {
    match command {
        Command::Weights { service, .. }
        | Command::Flip { service, .. }
        | Command::Rollback { service, .. }
        | Command::Start { service, .. }
        | Command::Rollout { service, .. }
        | Command::Upstream { service, .. }
        | Command::Upstreams { service, .. } => service,
        Command::Reload { .. } | Command::Maintenance { .. } => "",
    }
}
