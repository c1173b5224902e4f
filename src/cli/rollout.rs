//! Commands about rollouts.

use super::args::{Deploy, How, Rollout, Start};
use super::client::{Client, Failure};
use super::follow::{self, Ended};
use super::out::Out;
use super::{Done, render, sets};
use crate::admin::shapes::{StartBody, UpstreamEntry, UpstreamsBody};
use crate::control::view::{RolloutView, ServiceView};
use crate::core::duration;
use crate::core::rollout::Strategy;
use reqwest::Method;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;

pub(super) async fn run(client: &Client, action: Rollout, out: &Out) -> Result<Done, Failure> {
    if let Some(set) = sets::find(client, action.name()).await? {
        return sets::rollout(client, set, action, out).await;
    }
    match action {
        Rollout::Start(start) => self::start(client, start, out).await,
        Rollout::Status { service } => {
            out.show(&current(client, &service).await?, render::rollout);
            Ok(Done::Well)
        }
        Rollout::Watch(watch) => {
            let view = current(client, &watch.service).await?;
            let ended = follow::rollout(client, view, watch.timeout, out).await?;
            Ok(done(ended))
        }
        Rollout::Pause { service } => act(client, &service, "pause", out).await,
        Rollout::Resume { service } => act(client, &service, "resume", out).await,
        Rollout::Promote { service } => act(client, &service, "promote", out).await,
        Rollout::Abort { service } => act(client, &service, "abort", out).await,
    }
}

async fn start(client: &Client, start: Start, out: &Out) -> Result<Done, Failure> {
    let path = ["v1", "services", &start.service, "rollouts"];
    let view: RolloutView = send(client, &path, &start).await?;
    if !start.how.wait {
        out.show(&view, render::rollout);
        return Ok(Done::Well);
    }
    let ended = follow::rollout(client, view, start.how.timeout, out).await?;
    Ok(done(ended))
}

/// The idle pool gets the addresses, and a rollout to it begins.
pub(super) async fn deploy(client: &Client, deploy: Deploy, out: &Out) -> Result<Done, Failure> {
    let Deploy { service, upstreams, how } = deploy;
    let view: ServiceView = client.get(&["v1", "services", &service]).await?;
    // A job that is run again: with its key it follows the rollout that it started.
    if let Some(to) = has_these(&view, &upstreams)? {
        return start(client, Start { service, to, how }, out).await;
    }
    if let Some(running) = view.rollout.filter(|rollout| rollout.outcome.is_none()) {
        let (id, to) = (running.id, running.to);
        return Err(Failure::Other(format!(
            "the rollout {id} to {to} runs; `pointsman rollout promote {service}` or `pointsman rollout abort \
             {service}` ends it"
        )));
    }
    let pool = view.idle.ok_or_else(|| Failure::Other(format!("no pool of {service} is idle")))?;
    let path = ["v1", "services", &service, "pools", &pool, "upstreams"];
    let body = UpstreamsBody { upstreams: upstreams.into_iter().map(UpstreamEntry::Address).collect() };
    let _: ServiceView = client.send_json(Method::PUT, &path, &[], &body).await?;
    out.aside(&format!("{pool} of {service} has the new upstreams"));
    start(client, Start { service, to: pool, how }, out).await
}

/// The pool that has these upstreams already; none of them may be another pool's.
fn has_these(view: &ServiceView, upstreams: &[String]) -> Result<Option<String>, Failure> {
    let wanted: BTreeSet<&str> = upstreams.iter().map(String::as_str).collect();
    for (name, pool) in &view.pools {
        let has: BTreeSet<&str> = pool.upstreams.iter().map(|upstream| &*upstream.address).collect();
        if has == wanted {
            return Ok(Some(name.clone()));
        }
        let both = has.intersection(&wanted).next().filter(|_| Some(name) != view.idle.as_ref());
        if let Some(address) = both {
            let why = "a fresh version needs addresses of its own";
            return Err(Failure::Other(format!("{address} is an upstream of {name} already; {why}")));
        }
    }
    Ok(None)
}

pub(super) async fn idle(client: &Client, service: &str, out: &Out) -> Result<Done, Failure> {
    let view: ServiceView = client.get(&["v1", "services", service]).await?;
    let missing = || {
        let why = "each is stable, has weight, or is the candidate of a rollout";
        Failure::Other(format!("no pool of {service} is idle: {why}"))
    };
    out.show(&view.idle.ok_or_else(missing)?, Clone::clone);
    Ok(Done::Well)
}

/// Posts what was typed.
pub(super) async fn send<T: DeserializeOwned>(
    client: &Client,
    path: &[&str],
    start: &Start,
) -> Result<T, Failure> {
    let Start { to, how, .. } = start.clone();
    let How { strategy, version, policy, dry_run, gate, .. } = how;
    let [deadline, gate_timeout] = [how.deadline, how.gate_timeout].map(|time| time.map(duration::show));
    let gate = gate.then_some(true);
    let strategy = strategy.as_deref().and_then(Strategy::from_label);
    let body =
        StartBody { to, strategy, version, policy, steps: None, gate, deadline, gate_timeout, dry_run };
    let headers: Vec<_> = how.idempotency_key.into_iter().map(|key| ("Idempotency-Key", key)).collect();
    client.send_json(Method::POST, path, &headers, &body).await
}

pub(super) fn done(ended: Ended) -> Done {
    match ended {
        Ended::Promoted => Done::Well,
        Ended::Aborted => Done::Aborted,
        Ended::NotYet => Done::TimedOut,
        Ended::AtGate => Done::AtGate,
        Ended::Interrupted => Done::Interrupted,
    }
}

async fn current(client: &Client, service: &str) -> Result<RolloutView, Failure> {
    let view: ServiceView = client.get(&["v1", "services", service]).await?;
    view.rollout.ok_or_else(|| Failure::Other(format!("the service {service} has had no rollout")))
}

async fn act(client: &Client, service: &str, action: &str, out: &Out) -> Result<Done, Failure> {
    let id = current(client, service).await?.id;
    let view = client.post(&["v1", "services", service, "rollouts", &id, action]).await?;
    out.show(&view, render::rollout);
    Ok(Done::Well)
}
