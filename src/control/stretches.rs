//! Stretches of maintenance, one for the site and one for each service, as they are shown and kept.
//!
//! Each end is kept by the wall clock for the store, and read on the process's clock.

use super::command::MaintenanceSwitch;
use super::view::{MaintenanceView, StretchView};
use crate::core::duration;
use crate::core::maintenance::Maintenance;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Stretches {
    pub site: Option<Stretch>,
    pub services: BTreeMap<String, Stretch>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stretch {
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

impl Stretches {
    /// What it would be after a switch, and the line of history; none where nothing changes.
    pub(super) fn switched(
        &self,
        service: Option<&str>,
        switch: MaintenanceSwitch,
        who: &str,
        now: Duration,
        wall: Timestamp,
    ) -> (Stretches, Option<String>) {
        let mut next = self.clone();
        let scope = of(service);
        let stretch = match switch {
            MaintenanceSwitch::Off => None,
            MaintenanceSwitch::On { length } => {
                let end = length.map(|length| End::after(length, now, wall));
                Some(Stretch { by: who.to_owned(), end })
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
        let before = match service {
            None => std::mem::replace(&mut next.site, stretch),
            Some(name) => match stretch {
                None => next.services.remove(name),
                Some(stretch) => next.services.insert(name.to_owned(), stretch),
            },
        };
        let changes = before.is_some() || switch != MaintenanceSwitch::Off;
        (next, changes.then_some(text))
    }

    /// A service's own or the site's, whichever ends later.
    pub(super) fn of(&self, service: &str) -> Option<&Stretch> {
        let (own, site) = (self.services.get(service), self.site.as_ref());
        match (own, site) {
            (Some(own), Some(site)) if own.shown().longer(site.shown()) == own.shown() => Some(own),
            _ => site.or(own),
        }
    }

    /// Whether none is over.
    pub(super) fn are_going_on(&self, now: Duration) -> bool {
        self.site.iter().chain(self.services.values()).all(|stretch| !stretch.is_over(now))
    }

    /// Takes out what is over: the services, `None` for the site.
    pub(super) fn take_ended(&mut self, now: Duration) -> Vec<Option<String>> {
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
    pub(super) fn resume(&mut self, now: Duration, wall: Timestamp) {
        let ends = self.site.iter_mut().chain(self.services.values_mut()).filter_map(|s| s.end.as_mut());
        for end in ends {
            let left = u64::try_from(end.wall_ms.saturating_sub(wall.as_millisecond())).unwrap_or(0);
            end.at = now + Duration::from_millis(left).min(end.length);
        }
    }

    pub(super) fn view(&self, now: Duration) -> MaintenanceView {
        let services = self.services.iter();
        let services = services.filter_map(|(name, stretch)| Some((name.clone(), stretch.view(now)?)));
        MaintenanceView {
            site: self.site.as_ref().and_then(|stretch| stretch.view(now)),
            services: services.collect(),
        }
    }
}

impl Stretch {
    pub(super) fn shown(&self) -> Maintenance {
        Maintenance { until: self.end.map(|end| end.at) }
    }

    fn is_over(&self, now: Duration) -> bool {
        self.shown().retry_after_s(now).is_none()
    }

    /// `None` once it is over.
    pub(super) fn view(&self, now: Duration) -> Option<StretchView> {
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

pub(super) fn of(service: Option<&str>) -> &str {
    service.unwrap_or("the whole site")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn wall_at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minutes * 60).expect("a time")
    }

    fn on(minutes: u32) -> MaintenanceSwitch {
        MaintenanceSwitch::On { length: Some(MINUTE * minutes) }
    }

    #[test]
    fn switches_say_what_they_change() {
        let none = Stretches::default();
        let (web, text) = none.switched(Some("web"), on(30), "ci", MINUTE, wall_at(0));
        assert_eq!(
            text.as_deref(),
            Some("web is under maintenance for 30m, until 2027-01-15T08:30:00.000Z, by ci")
        );
        assert_eq!(web.view(MINUTE * 2).services["web"].remaining_seconds, Some(29 * 60));
        let (_, text) = web.switched(None, MaintenanceSwitch::Off, "ci", MINUTE, wall_at(1));
        assert_eq!(text, None, "the site was not under maintenance");
        let (off, text) = web.switched(Some("web"), MaintenanceSwitch::Off, "ci", MINUTE, wall_at(1));
        assert_eq!(text.as_deref(), Some("the maintenance of web was ended by ci"));
        assert!(off.services.is_empty());
    }

    #[test]
    fn what_is_over_is_taken_out_once() {
        let (site, _) = Stretches::default().switched(None, on(30), "ci", Duration::ZERO, wall_at(0));
        let (mut both, _) = site.switched(Some("web"), on(10), "ci", Duration::ZERO, wall_at(0));
        assert!(both.take_ended(MINUTE * 9).is_empty());
        assert_eq!(both.take_ended(MINUTE * 10), [Some("web".to_owned())]);
        assert_eq!(both.take_ended(MINUTE * 30), [None]);
        assert!(both.take_ended(MINUTE * 31).is_empty());
    }

    #[test]
    fn a_restart_counts_from_the_stored_end_and_a_clock_set_back_prolongs_nothing() {
        let (site, _) = Stretches::default().switched(None, on(30), "ci", MINUTE * 500, wall_at(0));
        let stored = serde_json::to_string(&site).expect("JSON");
        for (minutes, left) in [(10, Some(20)), (30, None), (99, None), (-600, Some(30))] {
            let mut again: Stretches = serde_json::from_str(&stored).expect("as written");
            again.resume(Duration::ZERO, wall_at(minutes));
            let view = again.view(Duration::ZERO).site.and_then(|view| view.remaining_seconds);
            assert_eq!(view, left.map(|minutes| minutes * 60), "after {minutes} minutes");
        }
    }
}
