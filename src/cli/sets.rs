//! Commands about several services as one.

use super::args::{Rollout, Start};
use super::client::{Client, Failure};
use super::follow::{AWAY, EVERY, Ended, Followed, LAST_ROW_TRIES, attended};
use super::out::Out;
use super::rollout::{done, send};
use super::{Done, render};
use crate::admin::shapes::{HistoryPage, RollbackBody};
use crate::control::view::{HistoryView, SetRolloutView, SetView};
use crate::observe::clock::Clock;
use reqwest::{Method, StatusCode};
use std::time::Duration;
use tokio::time::sleep;

/// The set of this name, if there is one.
pub(super) async fn find(client: &Client, name: &str) -> Result<Option<SetView>, Failure> {
    match client.get(&["v1", "sets", name]).await {
        Ok(set) => Ok(Some(set)),
        Err(Failure::Refused(problem)) if problem.status == StatusCode::NOT_FOUND.as_u16() => Ok(None),
        Err(failure) => Err(failure),
    }
}

pub(super) async fn rollout(
    client: &Client,
    set: SetView,
    action: Rollout,
    out: &Out,
) -> Result<Done, Failure> {
    match action {
        Rollout::Start(start) => self::start(client, &set, start, out).await,
        Rollout::Status { .. } => {
            current(&set)?;
            out.show(&set, render::set);
            Ok(Done::Well)
        }
        Rollout::Watch(watch) => follow(client, set, watch.timeout, out).await.map(done),
        Rollout::Pause { .. } => act(client, &set, "pause", out).await,
        Rollout::Resume { .. } => act(client, &set, "resume", out).await,
        Rollout::Promote { .. } => act(client, &set, "promote", out).await,
        Rollout::Abort { .. } => act(client, &set, "abort", out).await,
    }
}

pub(super) async fn rollback(
    client: &Client,
    set: &SetView,
    force: bool,
    out: &Out,
) -> Result<Done, Failure> {
    let path = ["v1", "sets", &set.name, "rollback"];
    let set: SetView = client.send_json(Method::POST, &path, &[], &RollbackBody { force }).await?;
    out.show(&set, render::set);
    Ok(Done::Well)
}

async fn start(client: &Client, set: &SetView, start: Start, out: &Out) -> Result<Done, Failure> {
    let set: SetView = send(client, &["v1", "sets", &set.name, "rollouts"], &start).await?;
    if !start.how.wait {
        out.show(&set, render::set);
        return Ok(Done::Well);
    }
    follow(client, set, start.how.timeout, out).await.map(done)
}

async fn act(client: &Client, set: &SetView, action: &str, out: &Out) -> Result<Done, Failure> {
    let id = &current(set)?.id;
    let set: SetView = client.post(&["v1", "sets", &set.name, "rollouts", id, action]).await?;
    out.show(&set, render::set);
    Ok(Done::Well)
}

fn current(set: &SetView) -> Result<&SetRolloutView, Failure> {
    let missing = || Failure::Other(format!("the set {} has had no rollout", set.name));
    set.rollout.as_ref().ok_or_else(missing)
}

/// Prints the events of all its services as they come, until the rollout ends or the time is over.
async fn follow(
    client: &Client,
    first: SetView,
    timeout: Option<Duration>,
    out: &Out,
) -> Result<Ended, Failure> {
    let (name, id) = (first.name.clone(), current(&first)?.id.clone());
    attended(shown(client, first, &id, timeout, out), (&name, &id), out).await
}

async fn shown(
    client: &Client,
    first: SetView,
    id: &str,
    timeout: Option<Duration>,
    out: &Out,
) -> Result<Ended, Failure> {
    let clock = Clock::start();
    let (mut shown, mut after, mut seen_at, mut told) = (0, 0, Duration::ZERO, None);
    let mut set = first;
    loop {
        match look(client, &set, after, &mut shown, out).await {
            Ok(next) => (after, set, seen_at) = (next.revision, next, clock.now()),
            Err(Failure::Unreachable { .. }) if clock.now() < seen_at + AWAY => sleep(EVERY / 4).await,
            Err(failure) => return Err(failure),
        }
        let rollout = current(&set).ok().filter(|rollout| rollout.id == id);
        let Some(rollout) = rollout else {
            return Err(Failure::Other(format!("another rollout has followed {id}")));
        };
        let followed = Followed {
            name: &set.name,
            id,
            outcome: rollout.outcome.as_deref(),
            why: rollout.reason.as_deref().filter(|_| rollout.outcome.is_none()),
            is_in_rows: false,
            is_at_gate: rollout.waits_for.as_deref() == Some("approval"),
        };
        let is_over = timeout.is_some_and(|timeout| clock.now() >= timeout);
        if let Some(ended) = followed.tell(&mut told, is_over, out) {
            return Ok(ended);
        }
    }
}

/// Waits for news since a revision, and prints the rows of history that have come.
async fn look(
    client: &Client,
    set: &SetView,
    after: u64,
    shown: &mut u64,
    out: &Out,
) -> Result<SetView, Failure> {
    let query = [("wait", format!("{}ms", EVERY.as_millis())), ("after", after.to_string())];
    let next: SetView = client.get_query(&["v1", "sets", &set.name], &query).await?;
    let Some(rollout) = &next.rollout else { return Ok(next) };
    let mut rows = events(client, &next.name, rollout, *shown).await?;
    // The last rows are written just after the change took effect; a full disk is not waited for.
    for _ in 0..LAST_ROW_TRIES {
        let last =
            |action: &str| rows.iter().filter(|row| row.action == action).count() >= rollout.rollouts.len();
        if rollout.outcome.as_deref().is_none_or(last) {
            break;
        }
        sleep(EVERY / 20).await;
        rows = events(client, &next.name, rollout, *shown).await?;
    }
    for row in &rows {
        out.event(row, |row| format!("{:<12} {}", row.service, render::news(row, out.terminal)));
        *shown = (*shown).max(row.id);
    }
    if out.terminal && rollout.outcome.is_none() {
        out.in_place(&render::set_line(rollout));
    }
    Ok(next)
}

/// The rows of the rollout's services that have not been shown, oldest first.
async fn events(
    client: &Client,
    set: &str,
    rollout: &SetRolloutView,
    shown: u64,
) -> Result<Vec<HistoryView>, Failure> {
    let query = [("limit", "100".to_owned())];
    let page: HistoryPage = client.get_query(&["v1", "sets", set, "history"], &query).await?;
    let mut rows = page.history;
    let is_its = |id: &String| rollout.rollouts.iter().any(|view| view.id == *id);
    rows.retain(|row| row.id > shown && row.rollout.as_ref().is_some_and(is_its));
    rows.reverse();
    Ok(rows)
}
