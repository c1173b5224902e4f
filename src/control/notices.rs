//! The notices of what happens to a service, addressed to the receivers that want them.
//!
//! A notice goes along with its row of history into the journal; only the progress of a rollout, which
//! is no change, is put into the outbox by itself. Delivery is another module's work, so that no
//! receiver ever delays a decision.

use super::command::SELF;
use super::facts::ServiceFacts;
use super::journal::outbox::Outgoing;
use super::links::Links;
use crate::core::event::Event;
use crate::core::notice::{self, Kind, Notice, Place};
use crate::core::rollout::{Note, Rollout};
use crate::core::service::{Coverage, Running, ServiceState};
use crate::core::settings::Notify;
use crate::core::window::Figures;
use crate::observe::clock::wall;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// When the progress of the running rollout was last told.
#[derive(Debug, Default)]
pub(super) struct Reports {
    rollout: String,
    /// By receiver.
    told_at: BTreeMap<String, Duration>,
}

/// The notice of one row of history; `next` is the state it leads to. `None` where nobody wants it, or where receivers
/// have just heard of an outage (`is_quiet`) and it is one more.
pub(super) fn told(
    facts: ServiceFacts<'_>,
    next: &ServiceState,
    note: &Note,
    actor: &str,
    at: Timestamp,
    is_quiet: bool,
    links: &Links,
) -> Option<Outgoing> {
    let running = next.running().or_else(|| facts.state.running());
    let kind = Kind::of(note.event, running.map(|running| &running.rollout.verdict))?;
    let receivers = wanting(&links.config.notify, kind, facts.name());
    let is_repeated = note.event == Event::Refuge && is_quiet;
    if receivers.is_empty() || is_repeated {
        return None;
    }
    let notice = match note.event {
        Event::TakenBack => of_weight(facts, next, links),
        _ => compose(facts, next, kind, links),
    };
    let notice = Notice { at: format!("{at:.3}"), actor: actor.to_owned(), ..notice };
    Some(Outgoing { notice: explained(notice, note, facts, next), receivers })
}

/// The notice of maintenance of a service, or of the whole site.
pub(super) fn of_maintenance(
    scope: Option<&str>,
    text: &str,
    actor: &str,
    at: Timestamp,
    links: &Links,
) -> Option<Outgoing> {
    let service = scope.unwrap_or_default();
    let receivers = wanting(&links.config.notify, Kind::Maintenance, service);
    let notice = Notice {
        at: format!("{at:.3}"),
        actor: actor.to_owned(),
        detail: text.to_owned(),
        ..Notice::new(Kind::Maintenance, service)
    };
    (!receivers.is_empty()).then_some(Outgoing { notice, receivers })
}

impl Reports {
    /// The notice of how the running rollout stands, for each receiver whose time has come.
    pub(super) fn progress(&mut self, facts: ServiceFacts<'_>, links: &Links) -> Option<Outgoing> {
        let running = facts.state.running()?;
        if links.config.notify.is_empty() {
            return None;
        }
        let now = links.clock.now();
        if self.rollout != running.id {
            *self = Reports { rollout: running.id.clone(), told_at: BTreeMap::new() };
        }
        let wanting = links.config.notify.iter();
        let wanting = wanting.filter(|n| !n.every.is_zero() && n.wants(Kind::Progress, facts.name()));
        let mut receivers = Vec::new();
        for notify in wanting {
            let told_at = self.told_at.entry(notify.name.clone()).or_insert(now);
            if now >= *told_at + notify.every {
                *told_at = now;
                receivers.push(notify.name.clone());
            }
        }
        let is_due = !receivers.is_empty();
        is_due.then(|| Outgoing { notice: compose(facts, facts.state, Kind::Progress, links), receivers })
    }
}

fn wanting(receivers: &[Notify], kind: Kind, service: &str) -> Vec<String> {
    let wanting = receivers.iter().filter(|notify| notify.wants(kind, service));
    wanting.map(|notify| notify.name.clone()).collect()
}

/// All that does not depend on why it happens.
fn compose(facts: ServiceFacts<'_>, next: &ServiceState, kind: Kind, links: &Links) -> Notice {
    let running = rollout_in_question(facts, next, kind);
    let to = running.map_or(&next.stable, |running| &running.to);
    let figures = facts.figures_in(next, to, links);
    let measured = |value: fn(&Figures) -> f64| (figures.requests > 0).then(|| value(&figures));
    let machine = running.map(|running| &running.rollout);
    Notice {
        kind,
        service: facts.name().to_owned(),
        at: format!("{:.3}", wall()),
        actor: SELF.to_owned(),
        detail: String::new(),
        rollout: running.map(|running| running.id.clone()),
        strategy: machine.map(|machine| machine.plan.strategy.label().to_owned()),
        version: running.and_then(|running| running.version.clone()),
        from: running.map(|running| running.from.clone()).or_else(|| {
            let left = next.void.as_ref().filter(|_| kind == Kind::Rollback).map(|void| void.pool.clone());
            next.previous.clone().or(left)
        }),
        to: Some(to.clone()),
        weight: next.weights.get(to).map(|weight| weight.percent()),
        step: machine.map(|machine| Place { step: machine.step + 1, of: steps(machine) }),
        eta_seconds: machine.map(|machine| notice::remaining(machine).as_secs()),
        error_rate: measured(|figures| figures.error_rate),
        response_time_ms: measured(|figures| figures.latency_ms.p95),
        reason: None,
        action: None,
        status: None,
    }
}

/// That a weight set by hand was taken back: about the pool that had it.
fn of_weight(facts: ServiceFacts<'_>, next: &ServiceState, links: &Links) -> Notice {
    let notice = Notice::new(Kind::Aborted, facts.name());
    let Some(taken) = &next.taken else { return notice };
    let figures = facts.figures_in(next, &taken.pool, links);
    let measured = |value: fn(&Figures) -> f64| (figures.requests > 0).then(|| value(&figures));
    Notice {
        version: next.pools.get(&taken.pool).and_then(|record| record.version.clone()),
        from: Some(next.stable.clone()),
        to: Some(taken.pool.clone()),
        weight: next.weights.get(&taken.pool).map(|weight| weight.percent()),
        error_rate: measured(|figures| figures.error_rate),
        response_time_ms: measured(|figures| figures.latency_ms.p95),
        ..notice
    }
}

fn steps(machine: &Rollout) -> usize {
    if machine.is_rolling() { machine.batches() } else { machine.plan.steps.len() }
}

/// The running rollout; after its end, the one whose version is what the notice is about.
fn rollout_in_question<'a>(
    facts: ServiceFacts<'_>,
    next: &'a ServiceState,
    kind: Kind,
) -> Option<&'a Running> {
    let last = next.rollout.as_ref()?;
    let at_hand = next.running().is_some() || facts.state.running().is_some();
    let about = match kind {
        Kind::Maintenance => false,
        // Its version is stable, or was until just now.
        Kind::Rollback => {
            next.void.as_ref().is_some_and(|void| void.pool == last.to) && next.stable == last.from
        }
        Kind::Degraded => next.stable == last.to,
        _ => at_hand,
    };
    about.then_some(last)
}

/// Why it happened, what has been done about it, and how things are now.
fn explained(notice: Notice, note: &Note, facts: ServiceFacts<'_>, next: &ServiceState) -> Notice {
    let (stable, why) = (&next.stable, note.text.as_str());
    if notice.kind == Kind::Started {
        let action = next.running().and_then(Running::given_by_hand);
        return Notice { detail: why.to_owned(), action, ..notice };
    }
    let action = match notice.kind {
        Kind::Aborted if note.event == Event::TakenBack => {
            Some(format!("its traffic is back on {}", next.version_on(stable)))
        }
        Kind::Aborted if next.rollout.as_ref().is_some_and(|last| !last.rollout.moves_traffic()) => {
            Some("it stopped; no traffic was moved".to_owned())
        }
        Kind::Aborted => Some(format!("all traffic is back on {}", next.version_on(stable))),
        Kind::Rollback => Some(format!("all traffic is on {}", next.version_on(stable))),
        Kind::Degraded => Some(advice(facts, next, &notice.service)),
        Kind::Incident if note.event == Event::Refuge => Some(match facts.coverage() {
            Coverage::Refuge(pool) => format!("{} serves meanwhile", next.version_on(&pool)),
            Coverage::Weights | Coverage::Nobody => "users get 503 until a pool with weight is up".to_owned(),
        }),
        Kind::Held | Kind::Incident => Some("the rollout waits; its weights stay".to_owned()),
        _ => None,
    };
    let reason = action.is_some().then(|| why.to_owned());
    let status = action.is_some().then(|| status(facts, stable, next));
    Notice { detail: why.to_owned(), reason, action, status, ..notice }
}

/// What helps after a promotion, where anything does.
fn advice(facts: ServiceFacts<'_>, next: &ServiceState, service: &str) -> String {
    let down = facts.pools.known_down();
    let stays = format!("{} stays stable", next.version_on(&next.stable));
    match (&next.previous, next.no_way_back()) {
        (Some(previous), _) => match down.get(previous) {
            Some(why) => format!("{stays}; there is no going back: {previous} is down ({why})"),
            None => {
                let back = next.version_on(previous);
                format!("{stays}; `pointsman rollback {service}` goes back to {back}")
            }
        },
        (None, Some(why)) => format!("{stays}; there is no going back: {why}"),
        (None, None) => stays,
    }
}

fn status(facts: ServiceFacts<'_>, pool: &str, next: &ServiceState) -> String {
    let weight = next.weights.get(pool).copied().unwrap_or_default();
    match facts.pools.get(pool).map(|pool| pool.upstreams.ready()) {
        Some(Err(why)) if !facts.pools.is_up(pool) => {
            format!("{pool} serves {weight} and has no ready upstream ({why})")
        }
        _ => format!("{pool} serves {weight} and is ready"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::journal::Recovered;
    use crate::control::recovery;
    use crate::control::service::ServiceController;
    use crate::core::rollout::Phase;
    use crate::core::service::{Caution, Change, Moment};
    use crate::core::verdict::{Level, Reason};

    const CONFIG: &str = "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[routes]]\nservice = \"web\"\n\
        [services.web]\nstable = \"blue\"\n\
        [services.web.pools.blue]\nupstreams = [\"127.0.0.1:1\"]\n\
        [services.web.pools.green]\nupstreams = [\"127.0.0.1:2\"]\n\
        [[notify]]\nkind = \"slack\"\nurl = \"http://127.0.0.1/\"\n";

    /// A service with a rollout of v2 to green, and what it is connected to.
    fn live(dir: &std::path::Path) -> (ServiceController, Links) {
        let links = Links::for_tests(CONFIG, dir);
        let settings = &links.config.services["web"];
        let (mut live, _) = recovery::service(settings, 0, &Recovered::default(), &links).expect("a service");
        let start = Change::Start {
            id: "web-1".into(),
            to: "green",
            version: Some("v2".into()),
            policy: None,
            plan: settings.rollout.clone(),
            upstreams: Vec::new(),
            set: None,
            who: "ci",
        };
        let started = live.state().apply(start, Moment { now: Duration::ZERO, wall: "now" }).expect("ok");
        live.saver.replace(started.state);
        (live, links)
    }

    fn notice(live: &ServiceController, next: &ServiceState, event: Event, links: &Links) -> Option<Notice> {
        let note = Note { event, text: "why it is so".into() };
        let outgoing = told(live.facts(), next, &note, "ci", Timestamp::UNIX_EPOCH, false, links)?;
        assert_eq!(outgoing.receivers, ["slack"]);
        Some(outgoing.notice)
    }

    #[test]
    fn a_hold_for_an_outage_of_both_is_an_incident() {
        let dir = tempfile::tempdir().expect("a directory");
        let (live, links) = live(dir.path());
        let mut next = live.state().clone();
        assert_eq!(notice(&live, &next, Event::Held, &links).map(|notice| notice.kind), Some(Kind::Held));
        let reason = Reason::condition(notice::SHARED_OUTAGE, Level::Warning, "blue fails too".into());
        next.rollout.as_mut().expect("a rollout").rollout.verdict.reasons.push(reason);
        let incident = notice(&live, &next, Event::Held, &links).expect("a notice");
        assert_eq!((incident.kind, incident.reason.as_deref()), (Kind::Incident, Some("why it is so")));
        assert_eq!(incident.status.as_deref(), Some("blue serves 100 % and is ready"));
        assert_eq!(notice(&live, &next, Event::Paused, &links), None);
    }

    #[test]
    fn what_comes_after_the_promotion_is_about_its_version() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut live, links) = live(dir.path());
        let mut state = live.state().clone();
        state.rollout.as_mut().expect("a rollout").rollout.phase = Phase::Promoted;
        (state.stable, state.previous) = ("green".into(), Some("blue".into()));
        live.saver.replace(state);
        let degraded = notice(&live, live.state(), Event::Degraded, &links).expect("a notice");
        assert_eq!((degraded.version.as_deref(), degraded.rollout.as_deref()), (Some("v2"), Some("web-1")));
        let action = degraded.action.expect("an action");
        assert_eq!(action, "v2 on green stays stable; `pointsman rollback web` goes back to blue");
        let nothing = BTreeMap::new();
        let caution = |force| Caution { down: &nothing, force };
        let back = Change::Rollback { caution: caution(false), who: "ci" };
        let next = live.state().apply(back, Moment { now: Duration::ZERO, wall: "now" }).expect("ok").state;
        let rollback = notice(&live, &next, Event::Rollback, &links).expect("a notice");
        assert_eq!((rollback.version.as_deref(), rollback.rollout.as_deref()), (Some("v2"), Some("web-1")));
        // Back and forth: the second one is about no version that is known.
        live.saver.replace(next);
        let again = live.state().apply(
            Change::Rollback { caution: caution(true), who: "ci" },
            Moment { now: Duration::ZERO, wall: "" },
        );
        let again = notice(&live, &again.expect("ok").state, Event::Rollback, &links).expect("a notice");
        assert_eq!((again.version, again.to.as_deref()), (None, Some("green")));
        assert_eq!(again.from.as_deref(), Some("blue"));
    }
}
