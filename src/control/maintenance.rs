//! Maintenance: who is under it, for how long, and how that becomes durable.
//!
//! A switch is journaled first and takes effect after, with a row in the history of every service it
//! concerns. Its end needs nobody: the data plane reads the end on the process's clock, and the
//! controller only tidies up and writes that it is over. The store keeps the end by the wall clock; after
//! a restart what is left is counted from that, but never more than the whole length: a clock that was
//! set back cannot prolong it.

use super::command::{Actor, MaintenanceSwitch, Refusal, Reply, SELF};
use super::fleet::{FleetNews, WriteOutcome};
use super::journal::{HistoryRow, JournalError, Recovered, SITE, SiteChange};
use super::links::{Links, unwritten};
use super::notices;
use super::output::ReplyTo;
use super::services::Services;
use super::stretches::{Stretch, Stretches, of};
use super::view::MaintenanceView;
use crate::core::event::Event;
use crate::observe::clock::wall;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Pause after a write that failed.
const RETRY: Duration = Duration::from_secs(1);

/// What is under maintenance, and what of it is being written.
#[derive(Debug, Default)]
pub(super) struct Maintenance {
    stretches: Stretches,
    pending: Option<Pending>,
    /// Switches that came meanwhile.
    queue: VecDeque<Asked>,
    /// To be answered once the table is out.
    answers: Vec<ReplyTo>,
    serial: u64,
    retry_at: Duration,
    outputs: Vec<SiteOutput>,
    /// In a fleet: the transaction that wrote what is in effect.
    base: Option<Arc<str>>,
}

/// One thing to be done for the site.
#[derive(Debug)]
pub(super) enum SiteOutput {
    /// `base` is the transaction of the fleet's document that it is made of.
    Write {
        serial: u64,
        change: SiteChange,
        base: Option<Arc<str>>,
    },
    /// What the fleet has written, for the own disk.
    Copy(SiteChange),
    /// A switch is in effect: news for those who wait for these services, or (`None`) for any, and what the log
    /// says of it: by whom, and what.
    InEffect {
        scopes: Vec<Option<String>>,
        log: Vec<(String, String)>,
    },
    Refuse(ReplyTo, Refusal),
}

/// Somebody who asks for a switch.
#[derive(Debug)]
pub(super) struct Asked {
    pub actor: Actor,
    /// `None` is the whole site.
    pub service: Option<String>,
    pub switch: MaintenanceSwitch,
    pub to: ReplyTo,
}

#[derive(Debug)]
struct Pending {
    stretches: Stretches,
    to: Option<ReplyTo>,
    /// Whom it is about; `None` is the whole site.
    scopes: Vec<Option<String>>,
    /// Who switched it, and what the log says once it is so.
    log: Vec<(String, String)>,
    /// Who asked for what, should another member be first, and how often it was tried.
    again: Option<(Actor, Option<String>, MaintenanceSwitch)>,
}

impl Maintenance {
    /// As it was left; what ended while no process ran is written to be over soon.
    pub(super) fn recovered(recovered: &Recovered, links: &Links) -> Self {
        let stored = recovered.services.get(SITE).map(|text| serde_json::from_str::<Stretches>(text));
        let mut stretches = match stored {
            None => Stretches::default(),
            Some(Ok(stretches)) => stretches,
            Some(Err(error)) => {
                tracing::warn!("the stored maintenance cannot be read ({error}): there is none now");
                Stretches::default()
            }
        };
        stretches.resume(links.clock.now(), wall());
        Maintenance { stretches, ..Maintenance::default() }
    }

    /// A service's own, or the site's.
    pub(super) fn stretch(&self, service: &str) -> Option<&Stretch> {
        self.stretches.of(service)
    }

    /// Whether a write is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.pending.is_some()
    }

    pub(super) fn view(&self, links: &Links) -> MaintenanceView {
        self.stretches.view(links.clock.now())
    }

    /// What is to be done since the last call.
    pub(super) fn take_outputs(&mut self) -> Vec<SiteOutput> {
        std::mem::take(&mut self.outputs)
    }

    /// Those whose switch is in the table once it is out.
    pub(super) fn take_answers(&mut self) -> Vec<ReplyTo> {
        std::mem::take(&mut self.answers)
    }

    /// Switches maintenance on or off, now or after the switch that is being written.
    pub(super) fn switch(&mut self, asked: Asked, services: &Services, links: &Links) {
        if self.pending.is_some() {
            return self.queue.push_back(asked);
        }
        // What a reload took away can still be switched off.
        let known = |name: &str| services.contains(name) || self.stretches.services.contains_key(name);
        let Asked { actor, service, switch, to } = asked;
        if let Some(name) = service.as_deref().filter(|name| !known(name)) {
            let refusal = Refusal::NotFound(format!("there is no service {name}"));
            return self.outputs.push(SiteOutput::Refuse(to, refusal));
        }
        let (scope, now) = (service.as_deref(), links.clock.now());
        let (next, text) = self.stretches.switched(scope, switch, &actor.name, now, wall());
        match text {
            None => self.answers.push(to),
            Some(text) => {
                self.write(next, &[(scope, text)], &actor, Some(to), services, links);
                if let Some(pending) = self.pending.as_mut().filter(|_| links.is_fleet) {
                    pending.again = Some((actor, service, switch));
                }
            }
        }
    }

    /// Writes that what has ended by itself is over.
    pub(super) fn end(&mut self, services: &Services, links: &Links) {
        let now = links.clock.now();
        if self.pending.is_some() || now < self.retry_at || self.stretches.are_going_on(now) {
            return;
        }
        // In a fleet one says so for all.
        if !services.values().all(|service| service.saver.leads()) {
            return;
        }
        let mut next = self.stretches.clone();
        let ended = next.take_ended(now);
        if !ended.is_empty() {
            let row = |scope: &Option<String>| format!("the maintenance of {} is over", of(scope.as_deref()));
            let rows: Vec<_> = ended.iter().map(|scope| (scope.as_deref(), row(scope))).collect();
            self.write(next, &rows, &SELF.into(), None, services, links);
        }
    }

    /// A write has come to its end; what it says takes effect.
    pub(super) fn written(
        &mut self,
        serial: u64,
        result: Result<(), JournalError>,
        services: &Services,
        links: &Links,
    ) {
        let Some(pending) = self.pending.take_if(|_| serial == self.serial) else { return };
        match result {
            Ok(()) => {
                let Pending { stretches, to, scopes, log, .. } = pending;
                self.stretches = stretches;
                self.answers.extend(to);
                self.outputs.push(SiteOutput::InEffect { scopes, log });
            }
            Err(error) => {
                tracing::error!("maintenance: {error}");
                self.retry_at = links.clock.now() + RETRY;
                if let Some(to) = pending.to {
                    self.outputs.push(SiteOutput::Refuse(to, unwritten(&error)));
                }
            }
        }
        while self.pending.is_none()
            && let Some(asked) = self.queue.pop_front()
        {
            self.switch(asked, services, links);
        }
    }

    /// What the fleet has under maintenance, and what became of an own switch.
    pub(super) fn hear(&mut self, news: FleetNews, services: &Services, links: &Links) {
        match news {
            FleetNews::Site { state, txn } => {
                if self.base.as_ref() == Some(&txn) {
                    return;
                }
                let Ok(mut stretches) = serde_json::from_str::<Stretches>(&state) else {
                    return tracing::warn!("the fleet's maintenance cannot be read: update this instance");
                };
                stretches.resume(links.clock.now(), wall());
                (self.stretches, self.base) = (stretches, Some(txn));
                self.outputs.push(SiteOutput::InEffect { scopes: vec![None], log: Vec::new() });
                self.outputs.push(SiteOutput::Copy(SiteChange { state, history: Vec::new() }));
            }
            FleetNews::SiteWritten { serial, outcome: WriteOutcome::Overtaken } => {
                let Some(pending) = self.pending.take_if(|_| serial == self.serial) else { return };
                if let (Some((actor, service, switch)), Some(to)) = (pending.again, pending.to) {
                    self.switch(Asked { actor, service, switch, to }, services, links);
                }
            }
            FleetNews::SiteWritten { serial, outcome } => {
                let result = match outcome {
                    WriteOutcome::Refused(why) => Err(JournalError::Fleet(why)),
                    _ => Ok(()),
                };
                self.written(serial, result, services, links);
            }
            _ => (),
        }
    }

    fn write(
        &mut self,
        next: Stretches,
        rows: &[(Option<&str>, String)],
        actor: &Actor,
        to: Option<ReplyTo>,
        services: &Services,
        links: &Links,
    ) {
        let history = history(&next, rows, actor, services, links);
        // Texts and numbers: there is nothing JSON cannot hold.
        let state = serde_json::to_string(&next).unwrap_or_default();
        self.serial += 1;
        let log = rows.iter().map(|(_, text)| (actor.name.clone(), text.clone())).collect();
        let scopes = rows.iter().map(|(scope, _)| scope.map(str::to_owned)).collect();
        self.pending = Some(Pending { stretches: next, to, scopes, log, again: None });
        let (change, base) = (SiteChange { state, history }, self.base.clone());
        self.outputs.push(SiteOutput::Write { serial: self.serial, change, base });
    }
}

/// A row for every service that each of the changes is about.
fn history(
    next: &Stretches,
    rows: &[(Option<&str>, String)],
    actor: &Actor,
    services: &Services,
    links: &Links,
) -> Vec<(String, HistoryRow)> {
    let at = wall();
    let mut history = Vec::new();
    for (scope, text) in rows {
        let mut notice = notices::of_maintenance(*scope, text, &actor.name, at, links);
        let row = HistoryRow {
            at,
            actor: actor.name.clone(),
            event: Event::Maintenance,
            text: text.clone(),
            address: actor.address.clone(),
            figures: serde_json::to_value(next.view(links.clock.now())).unwrap_or_default(),
            rollout: None,
            notice: None,
        };
        let concerned = match scope {
            None => services.names(),
            Some(scope) => services.names().into_iter().filter(|name| **name == **scope).collect(),
        };
        // Its receivers hear of it once, however many services it is about.
        let row = |name: &Arc<str>| (name.to_string(), HistoryRow { notice: notice.take(), ..row.clone() });
        history.extend(concerned.iter().map(row));
    }
    history
}

/// The answer to a switch that is in effect.
pub(super) fn reply(maintenance: &Maintenance, links: &Links) -> Reply {
    Reply::Maintenance(maintenance.view(links))
}
