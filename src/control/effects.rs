//! Where the controller's outputs go: the journal, the jobs, the metrics.
//!
//! Only the interpreter ([`super::controller`]) has these; the parts of a service read [`super::links::Links`].

use super::command::Job;
use super::fleet::{FleetOrder, FleetWrite, SiteWrite};
use super::journal::{ArchivedRows, Change, HistoryRow, Journal, JournalError, SITE, SiteChange};
use super::links::Written;
use super::output::{Durable, FleetAsk};
use crate::observe::metrics::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long an upgrade waits until the lease of a member is given up.
const STEPPING_DOWN: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Effects {
    pub journal: Journal,
    pub jobs: UnboundedSender<Job>,
    pub metrics: Arc<Metrics>,
    /// What became of writes.
    pub written: UnboundedSender<Written>,
    /// The fleet's task, where there is one.
    pub fleet: Option<UnboundedSender<FleetOrder>>,
}

impl Effects {
    /// Writes a change; what became of it comes back as an input of the controller.
    pub(super) fn write(&self, service: Arc<str>, serial: u64, change: Change) {
        self.report(service, serial, self.journal.append(change));
    }

    /// Has a change written by the fleet; what became of it comes back as its news.
    pub(super) fn write_in_fleet(&self, service: Arc<str>, serial: u64, change: Durable, ask: FleetAsk) {
        let FleetAsk { purpose, base, begins } = ask;
        let Durable { stored, rollout, history } = change;
        let key = rollout.as_ref().and_then(|record| record.key.clone());
        self.order(FleetOrder::Write(Box::new(FleetWrite {
            service,
            serial,
            purpose,
            base,
            state: stored.state,
            rows: history.iter().map(HistoryRow::shared).collect(),
            rollout: rollout.map(|record| (record.id, record.record)),
            begins,
            idempotency: key.map(|key| (key.key, key.asked)),
        })));
    }

    /// The same for what belongs to no one service. Its notices are out with it.
    pub(super) fn write_site_in_fleet(&self, serial: u64, change: SiteChange, base: Option<Arc<str>>) {
        let SiteChange { state, mut history } = change;
        let notices = history.iter_mut().filter_map(|(_, row)| row.notice.take());
        notices.for_each(|notice| self.journal.outbox().post(notice));
        let rows = history.iter().map(|(service, row)| (service.clone(), row.shared())).collect();
        let state = serde_json::from_str(&state).unwrap_or_default();
        self.order(FleetOrder::Site(Box::new(SiteWrite { serial, base, state, rows })));
    }

    /// Says something to the fleet's task. It may have stopped, as it does before the controller.
    pub(super) fn order(&self, order: FleetOrder) {
        if let Some(fleet) = &self.fleet {
            drop(fleet.send(order));
        }
    }

    /// Gives the part in the fleet up, before another process of this member takes it.
    pub(super) async fn step_down(&self) {
        let (to, left) = oneshot::channel();
        if self.fleet.is_some() {
            self.order(FleetOrder::StepDown(to));
            drop(timeout(STEPPING_DOWN, left).await);
        }
    }

    /// Adds rows of this instance alone to the history.
    pub(super) fn archive(&self, service: &str, rows: Vec<HistoryRow>) {
        let (key, service) = (String::new(), service.to_owned());
        self.journal.fleet().add(vec![ArchivedRows { key, service, rows }]);
    }

    /// The same for what belongs to no one service.
    pub(super) fn write_site(&self, serial: u64, change: SiteChange) {
        self.report(SITE.into(), serial, self.journal.append_site(change));
    }

    /// Has a job done. When the process ends nobody takes jobs any more.
    pub(super) fn ask(&self, job: Job) {
        drop(self.jobs.send(job));
    }

    fn report(&self, service: Arc<str>, serial: u64, answer: oneshot::Receiver<Result<(), JournalError>>) {
        let written = self.written.clone();
        tokio::spawn(async move {
            let ended = || Err(JournalError::Write("its thread has ended".into()));
            let result = answer.await.unwrap_or_else(|_| ended());
            // The controller may have stopped meanwhile.
            drop(written.send(Written { service, serial, result }));
        });
    }
}
