//! Showing something for as long as it goes on.

use super::args::Upstream;
use super::client::{Client, Failure};
use super::out::Out;
use super::{Done, render, service};
use crate::admin::shapes::HistoryPage;
use crate::control::view::{HistoryView, RolloutView, ServiceView};
use crate::core::verdict::State;
use crate::observe::clock::Clock;
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

/// Time between two looks at the figures.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// How long the server may be away, for a restart.
pub(super) const AWAY: Duration = Duration::from_secs(30);
/// How often the row of a rollout's end is looked for.
pub(super) const LAST_ROW_TRIES: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Promoted,
    Aborted,
    /// The time was over first.
    NotYet,
    /// It waits for somebody's approval.
    AtGate,
    /// Ctrl-C ended the wait.
    Interrupted,
}

/// Follows a rollout until Ctrl-C, which ends nothing but the looking on.
pub(super) async fn attended(
    following: impl Future<Output = Result<Ended, Failure>>,
    (name, id): (&str, &str),
    out: &Out,
) -> Result<Ended, Failure> {
    tokio::select! {
        ended = following => ended,
        Ok(()) = tokio::signal::ctrl_c() => {
            out.aside(&format!(
                "the rollout {id} goes on: `pointsman rollout watch {name}` shows it, `pointsman rollout abort {name}` \
                 ends it"
            ));
            Ok(Ended::Interrupted)
        }
    }
}

/// Prints a rollout's events as they come, until it ends or the time is over.
pub(super) async fn rollout(
    client: &Client,
    first: RolloutView,
    timeout: Option<Duration>,
    out: &Out,
) -> Result<Ended, Failure> {
    let (name, id) = (first.service.clone(), first.id.clone());
    attended(shown(client, first, timeout, out), (&name, &id), out).await
}

async fn shown(
    client: &Client,
    first: RolloutView,
    timeout: Option<Duration>,
    out: &Out,
) -> Result<Ended, Failure> {
    let clock = Clock::start();
    let mut shown = 0;
    let mut after = 0;
    let mut seen_at = Duration::ZERO;
    let mut told = None;
    let mut view = first;
    loop {
        match look(client, &view, after, &mut shown, out).await {
            Ok(next) => (after, view, seen_at) = (next.revision, next, clock.now()),
            Err(Failure::Unreachable { .. }) if clock.now() < seen_at + AWAY => sleep(EVERY / 4).await,
            Err(failure) => return Err(failure),
        }
        let stands = standing(&view);
        let followed = Followed {
            name: &view.service,
            id: &view.id,
            outcome: view.outcome.as_deref(),
            why: stands.as_deref(),
            is_in_rows: view.verdict.state == State::Hold,
            is_at_gate: view.waits_for.as_deref() == Some("approval"),
        };
        let is_over = timeout.is_some_and(|timeout| clock.now() >= timeout);
        if let Some(ended) = followed.tell(&mut told, is_over, out) {
            return Ok(ended);
        }
    }
}

/// What a wait goes by, for a service or a set.
pub(super) struct Followed<'a> {
    pub name: &'a str,
    pub id: &'a str,
    pub outcome: Option<&'a str>,
    /// Why nothing moves.
    pub why: Option<&'a str>,
    /// Whether rows of the history say so, which are shown.
    pub is_in_rows: bool,
    pub is_at_gate: bool,
}

impl Followed<'_> {
    /// Says why nothing moves, once for each reason; how the wait ends, if it does. `is_over` says that its time is.
    pub(super) fn tell(&self, told: &mut Option<String>, is_over: bool, out: &Out) -> Option<Ended> {
        let Followed { name, id, why, .. } = self;
        let is_news = |why: &&str| !self.is_in_rows && told.as_deref() != Some(&*without_numbers(why));
        if let Some(why) = why.filter(is_news) {
            let lead = if why.starts_with("waiting") { "" } else { "waiting: " };
            out.aside(&format!("{lead}{why}"));
            *told = Some(without_numbers(why));
        }
        match self.outcome {
            Some("promoted") => Some(Ended::Promoted),
            Some(_) => Some(Ended::Aborted),
            None if is_over => {
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                out.aside(&format!("timed out; the rollout {id} goes on{why}"));
                Some(Ended::NotYet)
            }
            None if self.is_at_gate => {
                out.aside(&format!(
                    "waiting for approval: `pointsman rollout resume {name}` goes on, `pointsman rollout abort {name}` \
                     goes back"
                ));
                Some(Ended::AtGate)
            }
            None => None,
        }
    }
}

/// Why nothing moves, if nothing does.
fn standing(view: &RolloutView) -> Option<String> {
    let is_held = view.outcome.is_none() && view.verdict.state != State::Pass;
    let held = view.verdict.reasons.first().filter(|_| is_held).map(|reason| reason.text.clone());
    held.or_else(|| view.reason.clone().filter(|_| view.outcome.is_none()))
}

/// A reason whose numbers alone have changed is the same reason.
fn without_numbers(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Waits for news since a revision, at most until the figures are to be shown again.
async fn look(
    client: &Client,
    view: &RolloutView,
    after: u64,
    shown: &mut u64,
    out: &Out,
) -> Result<RolloutView, Failure> {
    let path = ["v1", "services", &view.service, "rollouts", &view.id];
    let query = [("wait", format!("{}ms", EVERY.as_millis())), ("after", after.to_string())];
    let next: RolloutView = client.get_query(&path, &query).await?;
    let mut rows = events(client, &next, *shown).await?;
    // The last row is written just after the change took effect; a full disk is not waited for.
    let is_last = |row: &HistoryView| Some(&row.action) == next.outcome.as_ref();
    for _ in 0..LAST_ROW_TRIES {
        if next.outcome.is_none() || rows.iter().any(is_last) {
            break;
        }
        sleep(EVERY / 20).await;
        rows = events(client, &next, *shown).await?;
    }
    for row in &rows {
        out.event(row, |row| render::news(row, out.terminal));
        *shown = (*shown).max(row.id);
    }
    if out.terminal && next.outcome.is_none() {
        let service: ServiceView = client.get(&["v1", "services", &view.service]).await?;
        out.in_place(&progress(&next, &service));
    }
    Ok(next)
}

/// The rollout's rows of history that have not been shown, oldest first.
async fn events(client: &Client, view: &RolloutView, shown: u64) -> Result<Vec<HistoryView>, Failure> {
    let query = [("limit", "100".to_owned())];
    let page: HistoryPage = client.get_query(&["v1", "services", &view.service, "history"], &query).await?;
    let mut rows = page.history;
    rows.retain(|row| row.id > shown && row.rollout.as_ref() == Some(&view.id));
    rows.reverse();
    Ok(rows)
}

/// On one line of a narrow terminal.
fn progress(view: &RolloutView, service: &ServiceView) -> String {
    let phase = if view.phase == "shifting" { String::new() } else { format!("{}, ", view.phase) };
    let (step, verdict) = (render::step(view), view.verdict.state.label());
    if let Some(mirror) = &view.mirror {
        return format!("{phase}{step}: {}, {verdict}", render::mirror(mirror));
    }
    let window = service.pools.get(&view.to).map(|pool| pool.window.clone()).unwrap_or_default();
    let (requests, failed, p95) = (window.requests, window.error_rate * 100.0, window.latency_ms.p95);
    format!("{phase}{step}: {requests} requests, {failed:.2} % failed, p95 {p95:.1} ms, {verdict}")
}

/// Waits until nothing is in flight on an upstream that was drained, or the time is over: prints how much is, once a
/// second where that has changed.
pub(super) async fn drained(
    client: &Client,
    first: ServiceView,
    at: &Upstream,
    timeout: Option<Duration>,
    out: &Out,
) -> Result<Done, Failure> {
    let clock = Clock::start();
    let (mut view, mut seen_at, mut shown) = (first, Duration::ZERO, None);
    loop {
        let in_flight = in_flight(&view, at)?;
        let text = format!("{} of {}: {in_flight} in flight", at.upstream, at.pool);
        out.in_place(&text);
        let is_due = shown.is_none_or(|(since, count)| count != in_flight && clock.now() >= since + EVERY);
        if in_flight == 0 || (is_due && !out.terminal) {
            shown = Some((clock.now(), in_flight));
            let event = json!({ "pool": at.pool, "upstream": at.upstream, "in_flight": in_flight });
            out.event(&event, |_| text.clone());
        }
        if in_flight == 0 {
            return Ok(Done::Well);
        }
        if timeout.is_some_and(|timeout| clock.now() >= timeout) {
            out.aside(&format!("timed out; {text}, and it stays drained"));
            return Ok(Done::TimedOut);
        }
        sleep(EVERY / 10).await;
        match client.get(&["v1", "services", &at.service]).await {
            Ok(next) => (view, seen_at) = (next, clock.now()),
            Err(Failure::Unreachable { .. }) if clock.now() < seen_at + AWAY => (),
            Err(failure) => return Err(failure),
        }
    }
}

/// Requests under way on a drained upstream, at all addresses that its name stands for.
fn in_flight(view: &ServiceView, at: &Upstream) -> Result<u32, Failure> {
    let Upstream { pool, upstream, .. } = at;
    let all = view.pools.get(pool).into_iter().flat_map(|pool| &pool.upstreams);
    let own: Vec<_> = all.filter(|view| view.address == *upstream).collect();
    if own.is_empty() {
        return Err(Failure::Other(format!("{upstream} is no upstream of {pool} any more")));
    }
    if own.iter().any(|view| view.state != "draining") {
        return Err(Failure::Other(format!("{upstream} of {pool} was taken back meanwhile")));
    }
    Ok(own.iter().map(|view| view.in_flight).sum())
}

/// Shows services once a second: in place on a terminal, else whenever something has changed.
pub(super) async fn status(client: &Client, name: Option<&str>, out: &Out) -> Result<(), Failure> {
    let mut revisions = Vec::new();
    loop {
        let services = service::fetch(client, name).await?;
        let now: Vec<_> = services.iter().map(|view| view.revision).collect();
        if out.terminal {
            let process = service::process(client, name, out).await;
            out.screen(&match name {
                Some(_) => render::named(&services),
                None => render::overview(&services, process.as_ref()),
            });
        } else if revisions != now {
            out.event(&services, |services| render::status(services));
        }
        revisions = now;
        sleep(EVERY).await;
    }
}
