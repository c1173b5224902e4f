//! Where the controller's outputs go: the journal, the jobs, the metrics.
//!
//! Only the interpreter ([`super::controller`]) has these; the parts of a service read [`super::links::Links`].

use super::command::Job;
use super::journal::{Change, Journal, JournalError, SITE, SiteChange};
use super::links::Written;
use crate::observe::metrics::Metrics;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

#[derive(Debug)]
pub(super) struct Effects {
    pub journal: Journal,
    pub jobs: UnboundedSender<Job>,
    pub metrics: Arc<Metrics>,
    /// What became of writes.
    pub written: UnboundedSender<Written>,
}

impl Effects {
    /// Writes a change; what became of it comes back as an input of the controller.
    pub(super) fn write(&self, service: Arc<str>, serial: u64, change: Change) {
        self.report(service, serial, self.journal.append(change));
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
