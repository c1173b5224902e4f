//! Maintenance: who is under it, for how long, and how that becomes durable.
//!
//! A switch is journaled first and takes effect after, with a row in the history of every service it
//! concerns. Its end needs nobody: the data plane reads the end on the process's clock, and the
//! controller only tidies up and writes that it is over. The store keeps the end by the wall clock; after
//! a restart what is left is counted from that, but never more than the whole length: a clock that was
//! set back cannot prolong it.

mod stretches;

pub(super) use stretches::Stretch;

use super::command::{Actor, MaintenanceSwitch, Refusal, Reply};
use super::controller::Task;
use super::gateway::Gateway;
use super::journal::{HistoryRow, Recovered, SITE, SiteChange};
use super::links::{Links, Written, unwritten};
use super::live::{Live, SELF};
use super::notices;

use super::view::MaintenanceView;
use crate::core::event::Event;
use crate::core::route::Target;
use crate::observe::clock::wall;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use stretches::{Stretches, of};
use tokio::sync::oneshot;

/// Pause after a write that failed.
const RETRY: Duration = Duration::from_secs(1);

/// What is under maintenance, and what of it is being written.
#[derive(Debug)]
pub(super) struct Maintenance {
    /// For routes to the admin API, once there is one.
    pub gateway: Option<Gateway>,
    /// Where it listens.
    pub admin: SocketAddr,
    stretches: Stretches,
    pending: Option<Pending>,
    /// Switches that came meanwhile.
    queue: VecDeque<Asked>,
    /// To be answered once the table is out.
    answers: Vec<ReplyTo>,
    serial: u64,
    retry_at: Duration,
}

type ReplyTo = oneshot::Sender<Result<Reply, Refusal>>;

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
}

impl Task {
    /// Switches maintenance on or off, now or after the switch that is being written.
    pub(super) fn switch(&mut self, asked: Asked) {
        if self.maintenance.pending.is_some() {
            return self.maintenance.queue.push_back(asked);
        }
        // What a reload took away can still be switched off.
        let known =
            |name: &str| self.lives.contains(name) || self.maintenance.stretches.services.contains_key(name);
        let unknown = asked.service.as_deref().filter(|name| !known(name));
        if let Some(name) = unknown {
            let refusal = Refusal::NotFound(format!("there is no service {name}"));
            // Whoever asked may have gone.
            let _ = asked.to.send(Err(refusal));
            return;
        }
        let (next, text) = self.maintenance.stretches.switched(&asked, self.links.clock.now(), wall());
        match text {
            None => self.maintenance.answers.push(asked.to),
            Some(text) => {
                let scope = asked.service.as_deref();
                self.write_maintenance(next, &[(scope, text)], &asked.actor, Some(asked.to));
            }
        }
    }

    /// Writes that what has ended by itself is over.
    pub(super) fn end_maintenance(&mut self) {
        let now = self.links.clock.now();
        if self.maintenance.pending.is_some() || now < self.maintenance.retry_at {
            return;
        }
        if self.maintenance.stretches.are_going_on(now) {
            return;
        }
        let mut next = self.maintenance.stretches.clone();
        let ended = next.take_ended(now);
        if !ended.is_empty() {
            let row = |scope: &Option<String>| format!("the maintenance of {} is over", of(scope.as_deref()));
            let rows: Vec<_> = ended.iter().map(|scope| (scope.as_deref(), row(scope))).collect();
            self.write_maintenance(next, &rows, &SELF.into(), None);
        }
    }

    /// Before a table of a new configuration: gives a route to the admin API its end.
    pub(super) fn fit_gateway(&mut self) {
        let leads_to_admin =
            self.links.config.routes.specs().iter().any(|route| route.target == Target::Admin);
        if leads_to_admin && self.maintenance.gateway.is_none() {
            self.maintenance.gateway = Gateway::to(self.maintenance.admin, &self.links);
        }
    }

    /// A write has come to its end; what it says takes effect.
    pub(super) fn site_written(&mut self, written: Written) {
        let Some(pending) = self.maintenance.pending.take_if(|_| written.serial == self.maintenance.serial)
        else {
            return;
        };
        match written.result {
            Ok(()) => {
                self.maintenance.stretches = pending.stretches;
                self.maintenance.answers.extend(pending.to);
                // It is shown with the answer, whomever it is about.
                self.show_at = Duration::ZERO;
                // News for those who wait for a service, like a change of its upstreams.
                if pending.scopes.contains(&None) {
                    self.lives.touch_all().for_each(Live::upstreams_changed);
                }
                for name in pending.scopes.iter().flatten() {
                    self.lives.touch(name).into_iter().for_each(Live::upstreams_changed);
                }
                for (actor, text) in pending.log {
                    tracing::info!(actor, action = Event::Maintenance.label(), "{text}");
                }
            }
            Err(error) => {
                tracing::error!("maintenance: {error}");
                self.maintenance.retry_at = self.links.clock.now() + RETRY;
                if let Some(to) = pending.to {
                    // Whoever asked may have gone.
                    let _ = to.send(Err(unwritten(&error)));
                }
            }
        }
        while self.maintenance.pending.is_none()
            && let Some(asked) = self.maintenance.queue.pop_front()
        {
            self.switch(asked);
        }
    }

    fn write_maintenance(
        &mut self,
        next: Stretches,
        rows: &[(Option<&str>, String)],
        actor: &Actor,
        to: Option<ReplyTo>,
    ) {
        let at = wall();
        let mut history = Vec::new();
        let Actor { name: actor, address } = actor;
        for (scope, text) in rows {
            let mut notice = notices::of_maintenance(*scope, text, actor, at, &self.links);
            let row = HistoryRow {
                at,
                actor: actor.to_owned(),
                event: Event::Maintenance,
                text: text.clone(),
                address: address.clone(),
                figures: serde_json::to_value(next.view(self.links.clock.now())).unwrap_or_default(),
                rollout: None,
                notice: None,
            };
            let concerned = match scope {
                None => self.lives.names(),
                Some(scope) => {
                    self.lives.get(scope).map(|live| live.settings.name.clone()).into_iter().collect()
                }
            };
            // It is told once, however many services it is about.
            let row =
                |name: &Arc<str>| (name.to_string(), HistoryRow { notice: notice.take(), ..row.clone() });
            history.extend(concerned.iter().map(row));
        }
        // Texts and numbers: there is nothing JSON cannot hold.
        let state = serde_json::to_string(&next).unwrap_or_default();
        self.maintenance.serial += 1;
        let log = rows.iter().map(|(_, text)| (actor.to_owned(), text.clone())).collect();
        let scopes = rows.iter().map(|(scope, _)| scope.map(str::to_owned)).collect();
        self.maintenance.pending = Some(Pending { stretches: next, to, scopes, log });
        self.links.write_site(self.maintenance.serial, SiteChange { state, history });
    }
}

impl Maintenance {
    /// As it was left; what ended while no process ran is written to be over soon.
    pub(super) fn recovered(recovered: &Recovered, admin: SocketAddr, links: &Links) -> Self {
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
        let (queue, answers) = (VecDeque::new(), Vec::new());
        Maintenance {
            gateway: None,
            admin,
            stretches,
            pending: None,
            queue,
            answers,
            serial: 0,
            retry_at: Duration::ZERO,
        }
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

    /// Answers those whose switch is in the table.
    pub(super) fn answer(&mut self, links: &Links) {
        for to in std::mem::take(&mut self.answers) {
            // Whoever asked may have gone.
            let _ = to.send(Ok(Reply::Maintenance(self.view(links))));
        }
    }
}
