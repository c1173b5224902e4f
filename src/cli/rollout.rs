//! Commands about rollouts.

use super::args::{Rollout, Start};
use super::client::{Client, Failure};
use super::follow::{self, Ended};
use super::out::Out;
use super::{Done, render, sets};
use crate::admin::shapes::StartBody;
use crate::control::view::{RolloutView, ServiceView};
use crate::core::duration;
use reqwest::Method;
use serde::de::DeserializeOwned;

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
    if !start.wait {
        out.show(&view, render::rollout);
        return Ok(Done::Well);
    }
    let ended = follow::rollout(client, view, start.timeout, out).await?;
    Ok(done(ended))
}

/// Posts what was typed.
pub(super) async fn send<T: DeserializeOwned>(
    client: &Client,
    path: &[&str],
    start: &Start,
) -> Result<T, Failure> {
    let Start { to, strategy, version, policy, dry_run, deadline, gate_timeout, .. } = start.clone();
    let [deadline, gate_timeout] = [deadline, gate_timeout].map(|time| time.map(duration::show));
    let gate = start.gate.then_some(true);
    let body =
        StartBody { to, strategy, version, policy, steps: None, gate, deadline, gate_timeout, dry_run };
    let headers: Vec<_> = start.idempotency_key.iter().map(|key| ("Idempotency-Key", key.clone())).collect();
    client.send_json(Method::POST, path, &headers, &body).await
}

pub(super) fn done(ended: Ended) -> Done {
    match ended {
        Ended::Promoted => Done::Well,
        Ended::Aborted => Done::Aborted,
        Ended::NotYet => Done::TimedOut,
        Ended::AtGate => Done::AtGate,
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
