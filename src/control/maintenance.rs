//! Maintenance: who is under it, for how long, and how that becomes durable.
//!
//! A switch is journaled first and takes effect after, with a row in the history of every service it
//! concerns. Its end needs nobody: the data plane reads the end on the process's clock, and the
//! controller only tidies up and writes that it is over. The store keeps the end by the wall clock; after
//! a restart what is left is counted from that, but never more than the whole length: a clock that was
//! set back cannot prolong it.

use super::command::{MaintenanceSwitch, Refusal, Reply};
use super::controller::Task;
use super::gateway::Gateway;
use super::journal::{HistoryRow, Recovered, SITE, SiteChange};
use super::links::{Links, Written, unwritten};
use super::live::SELF;
use super::view::{MaintenanceView, StretchView};
use crate::core::duration;
use crate::core::maintenance;
use crate::observe::clock::wall;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::sync::oneshot;

/// Pause after a write that failed.
const RETRY: Duration = Duration::from_secs(1);

/// What is under maintenance, and what of it is being written.
#[derive(Debug)]
pub(super) struct Maintenance {
    /// For routes to the admin API.
    pub gateway: Option<Gateway>,
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
    pub actor: String,
    /// `None` is the whole site.
    pub service: Option<String>,
    pub switch: MaintenanceSwitch,
    pub to: ReplyTo,
}

#[derive(Debug)]
struct Pending {
    stretches: Stretches,
    to: Option<ReplyTo>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Stretches {
    site: Option<Stretch>,
    services: BTreeMap<String, Stretch>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stretch {
    by: String,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct End {
    length: Duration,
    /// By the wall clock, ms since 1970.
    wall_ms: i64,
    /// On the process's clock, which is another one after a restart.
    #[serde(skip)]
    at: Duration,
}

impl Task {
    /// Switches maintenance on or off, now or after the switch that is being written.
    pub(super) fn switch(&mut self, asked: Asked) {
        if self.maintenance.pending.is_some() {
            return self.maintenance.queue.push_back(asked);
        }
        // What a reload took away can still be switched off.
        let known = |name: &str| {
            self.lives.contains_key(name) || self.maintenance.stretches.services.contains_key(name)
        };
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
        let mut next = self.maintenance.stretches.clone();
        let ended = next.take_ended(now);
        if !ended.is_empty() {
            let row = |scope: &Option<String>| format!("the maintenance of {} is over", of(scope.as_deref()));
            let rows: Vec<_> = ended.iter().map(|scope| (scope.as_deref(), row(scope))).collect();
            self.write_maintenance(next, &rows, SELF, None);
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
                self.publish();
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
        actor: &str,
        to: Option<ReplyTo>,
    ) {
        let at = wall();
        let mut history = Vec::new();
        for (scope, text) in rows {
            tracing::info!(actor, action = "maintenance", "{text}");
            let row = HistoryRow {
                at,
                actor: actor.to_owned(),
                action: "maintenance".to_owned(),
                text: text.clone(),
                figures: serde_json::to_value(next.view(self.links.clock.now())).unwrap_or_default(),
                rollout: None,
            };
            let concerned = self.lives.keys().filter(|name| scope.is_none_or(|scope| ***name == *scope));
            history.extend(concerned.map(|name| (name.to_string(), row.clone())));
        }
        // Texts and numbers: there is nothing JSON cannot hold.
        let state = serde_json::to_string(&next).unwrap_or_default();
        self.maintenance.serial += 1;
        self.maintenance.pending = Some(Pending { stretches: next, to });
        self.links.write_site(self.maintenance.serial, SiteChange { state, history });
    }
}

impl Maintenance {
    /// As it was left; what ended while no process ran is written to be over soon.
    pub(super) fn recovered(recovered: &Recovered, gateway: Option<Gateway>, links: &Links) -> Self {
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
        Maintenance { gateway, stretches, pending: None, queue, answers, serial: 0, retry_at: Duration::ZERO }
    }

    /// Whether a write is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.pending.is_some()
    }

    /// A service's maintenance for the table: its own or the site's, whichever ends later.
    pub(super) fn of(&self, service: &str) -> Option<maintenance::Maintenance> {
        let own = self.stretches.services.get(service).map(Stretch::shown);
        let site = self.stretches.site.as_ref().map(Stretch::shown);
        own.zip(site).map(|(own, site)| own.longer(site)).or(own).or(site)
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

impl Stretches {
    /// What it would be after a switch, and the line of history; none where nothing changes.
    fn switched(&self, asked: &Asked, now: Duration, wall: Timestamp) -> (Stretches, Option<String>) {
        let mut next = self.clone();
        let (scope, who) = (of(asked.service.as_deref()), &asked.actor);
        let stretch = match asked.switch {
            MaintenanceSwitch::Off => None,
            MaintenanceSwitch::On { length } => {
                let end = length.map(|length| End::after(length, now, wall));
                Some(Stretch { by: asked.actor.clone(), end })
            }
        };
        let text = match &stretch {
            None => format!("the maintenance of {scope} was ended by {who}"),
            Some(Stretch { end: Some(end), .. }) => format!(
                "{scope} is under maintenance for {}, until {}, by {who}",
                duration::show(end.length),
                end.text()
            ),
            Some(_) => format!("{scope} is under maintenance until it is switched off, by {who}"),
        };
        let before = match &asked.service {
            None => std::mem::replace(&mut next.site, stretch),
            Some(name) => match stretch {
                None => next.services.remove(name),
                Some(stretch) => next.services.insert(name.clone(), stretch),
            },
        };
        let changes = before.is_some() || asked.switch != MaintenanceSwitch::Off;
        (next, changes.then_some(text))
    }

    /// Takes out what is over: the services, `None` for the site.
    fn take_ended(&mut self, now: Duration) -> Vec<Option<String>> {
        let mut ended = Vec::new();
        if self.site.take_if(|stretch| stretch.is_over(now)).is_some() {
            ended.push(None);
        }
        self.services.retain(|name, stretch| {
            let over = stretch.is_over(now);
            ended.extend(over.then(|| Some(name.clone())));
            !over
        });
        ended
    }

    /// Places the ends on this process's clock.
    fn resume(&mut self, now: Duration, wall: Timestamp) {
        let ends = self.site.iter_mut().chain(self.services.values_mut()).filter_map(|s| s.end.as_mut());
        for end in ends {
            let left = u64::try_from(end.wall_ms - wall.as_millisecond()).unwrap_or(0);
            end.at = now + Duration::from_millis(left).min(end.length);
        }
    }

    fn view(&self, now: Duration) -> MaintenanceView {
        let services = self.services.iter();
        let services = services.filter_map(|(name, stretch)| Some((name.clone(), stretch.view(now)?)));
        MaintenanceView {
            site: self.site.as_ref().and_then(|stretch| stretch.view(now)),
            services: services.collect(),
        }
    }
}

impl Stretch {
    fn shown(&self) -> maintenance::Maintenance {
        maintenance::Maintenance { until: self.end.map(|end| end.at) }
    }

    fn is_over(&self, now: Duration) -> bool {
        self.shown().retry_after_s(now).is_none()
    }

    /// `None` once it is over.
    fn view(&self, now: Duration) -> Option<StretchView> {
        let left = self.shown().retry_after_s(now)?;
        let (until, remaining_seconds) = (self.end.map(|end| end.text()), self.end.map(|_| left));
        Some(StretchView { until, remaining_seconds, by: self.by.clone() })
    }
}

impl End {
    fn after(length: Duration, now: Duration, wall: Timestamp) -> Self {
        let length_ms = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        End { length, wall_ms: wall.as_millisecond().saturating_add(length_ms), at: now + length }
    }

    fn text(&self) -> String {
        Timestamp::from_millisecond(self.wall_ms).map_or("the end of time".into(), |end| format!("{end:.3}"))
    }
}

fn of(service: Option<&str>) -> &str {
    service.unwrap_or("the whole site")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn asked(service: Option<&str>, switch: MaintenanceSwitch) -> Asked {
        Asked { actor: "ci".into(), service: service.map(str::to_owned), switch, to: oneshot::channel().0 }
    }

    fn wall_at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).expect("a time")
    }

    fn on(minutes: u32) -> MaintenanceSwitch {
        MaintenanceSwitch::On { length: Some(MINUTE * minutes) }
    }

    #[test]
    fn switches_say_what_they_change() {
        let none = Stretches::default();
        let (web, text) = none.switched(&asked(Some("web"), on(30)), MINUTE, wall_at(0));
        assert_eq!(
            text.as_deref(),
            Some("web is under maintenance for 30m, until 2027-01-15T08:30:00.000Z, by ci")
        );
        assert_eq!(web.view(MINUTE * 2).services["web"].remaining_seconds, Some(29 * 60));
        let (_, text) = web.switched(&asked(None, MaintenanceSwitch::Off), MINUTE, wall_at(1));
        assert_eq!(text, None, "the site was not under maintenance");
        let (off, text) = web.switched(&asked(Some("web"), MaintenanceSwitch::Off), MINUTE, wall_at(1));
        assert_eq!(text.as_deref(), Some("the maintenance of web was ended by ci"));
        assert!(off.services.is_empty());
    }

    #[test]
    fn what_is_over_is_taken_out_once() {
        let (site, _) = Stretches::default().switched(&asked(None, on(30)), Duration::ZERO, wall_at(0));
        let (mut both, _) = site.switched(&asked(Some("web"), on(10)), Duration::ZERO, wall_at(0));
        assert!(both.take_ended(MINUTE * 9).is_empty());
        assert_eq!(both.take_ended(MINUTE * 10), [Some("web".to_owned())]);
        assert_eq!(both.take_ended(MINUTE * 30), [None]);
        assert!(both.take_ended(MINUTE * 31).is_empty());
    }

    #[test]
    fn a_restart_counts_from_the_stored_end_and_a_clock_set_back_prolongs_nothing() {
        let (site, _) = Stretches::default().switched(&asked(None, on(30)), MINUTE * 500, wall_at(0));
        let stored = serde_json::to_string(&site).expect("JSON");
        for (minutes, left) in [(10, Some(20)), (30, None), (99, None), (-600, Some(30))] {
            let mut again: Stretches = serde_json::from_str(&stored).expect("as written");
            again.resume(Duration::ZERO, wall_at(minutes));
            let view = again.view(Duration::ZERO).site.and_then(|view| view.remaining_seconds);
            assert_eq!(view, left.map(|minutes| minutes * 60), "after {minutes} minutes");
        }
    }
}
