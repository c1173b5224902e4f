//! Commands about services, and about the process.

use super::args::{Command, Drain, Upstream, Upstreams};
use super::client::{Client, Failure};
use super::out::Out;
use super::{Done, follow, render, sets};
use crate::admin::shapes::{
    FlipBody, HealthView, HistoryPage, ProcessView, RollbackBody, UpstreamEntry, UpstreamsBody, WeightsBody,
};
use crate::control::command::{ReloadReport, UpgradeReport};
use crate::control::view::{HistoryView, ServiceView};
use reqwest::Method;
use std::collections::BTreeMap;

pub(super) async fn run(client: &Client, command: Command, out: &Out) -> Result<Done, Failure> {
    match command {
        Command::Reload => {
            let report: ReloadReport = client.post(&["v1", "reload"]).await?;
            out.show(&report, render::reload);
        }
        Command::Upgrade => {
            let report: UpgradeReport = client.post(&["v1", "upgrade"]).await?;
            out.show(&report, render::upgrade);
        }
        Command::Healthcheck { ready } => {
            let path = if ready { "readyz" } else { "healthz" };
            let (up, view): (bool, HealthView) = client.health(path).await?;
            out.show(&view, |view| format!("{} {}", view.status, view.reasons.join("; ")).trim().to_owned());
            return Ok(if up { Done::Well } else { Done::Unwell });
        }
        Command::Status { service, watch: true } => follow::status(client, service.as_deref(), out).await?,
        Command::Status { service, watch: false } => return status(client, service.as_deref(), out).await,
        Command::Weights { service, weights, if_match, force } => {
            let body = weights_typed(weights, force)?;
            let headers: Vec<_> = if_match.iter().map(|r| ("If-Match", format!("\"{r}\""))).collect();
            let path = ["v1", "services", &service, "weights"];
            let view = client.send_json(Method::PUT, &path, &headers, &body).await?;
            out.show(&view, render::weights);
        }
        Command::Flip { service, to, force } => {
            let path = ["v1", "services", &service, "flip"];
            let view = client.send_json(Method::POST, &path, &[], &FlipBody { to, force }).await?;
            out.show(&view, render::done);
        }
        Command::Rollback { service, force } => {
            if let Some(set) = sets::find(client, &service).await? {
                return sets::rollback(client, &set, force, out).await;
            }
            let path = ["v1", "services", &service, "rollback"];
            let view = client.send_json(Method::POST, &path, &[], &RollbackBody { force }).await?;
            out.show(&view, render::done);
        }
        Command::Drain(drain) => return self::drain(client, &drain, out).await,
        Command::Ready(upstream) => {
            let view = turn(client, &upstream, "ready").await?;
            out.show(&view, |view| render::status(std::slice::from_ref(view)));
        }
        Command::Upstreams { action } => register(client, action, out).await?,
        Command::History { service, limit } => {
            let path = history_of(client, service.as_deref()).await?;
            let rows = history(client, &path, limit).await?;
            out.show(&rows, |rows| render::history(rows, path[1] != "services"));
        }
        // The others need no service, or serve.
        _ => return Err(Failure::Other("this is no command about a service".into())),
    }
    Ok(Done::Well)
}

fn weights_typed(typed: Vec<(String, f64)>, force: bool) -> Result<WeightsBody, Failure> {
    let mut weights = BTreeMap::new();
    for (pool, percent) in typed {
        if weights.insert(pool.clone(), percent).is_some() {
            return Err(Failure::Other(format!("{pool} is given twice")));
        }
    }
    Ok(WeightsBody { force, weights })
}

async fn status(client: &Client, service: Option<&str>, out: &Out) -> Result<Done, Failure> {
    let services = fetch(client, service).await?;
    let process = process(client, service, out).await;
    out.show(&services, |services| match service {
        Some(_) => render::named(services),
        None => render::overview(services, process.as_ref()),
    });
    let holds = services.iter().flat_map(|service| &service.checks).all(|check| check.ok);
    Ok(if holds { Done::Well } else { Done::Unwell })
}

/// The process, where all services are shown as text: what is used of its limits, and its fleet.
///
/// A process of a version before says nothing of them.
pub(super) async fn process(client: &Client, name: Option<&str>, out: &Out) -> Option<ProcessView> {
    if name.is_some() || !out.is_text() {
        return None;
    }
    client.get(&["v1", "instance"]).await.ok()
}

/// One service, those of a set, or all.
pub(super) async fn fetch(client: &Client, name: Option<&str>) -> Result<Vec<ServiceView>, Failure> {
    let Some(name) = name else { return client.get(&["v1", "services"]).await };
    let set = sets::find(client, name).await?;
    let names = set.map_or_else(|| vec![name.to_owned()], |set| set.services);
    let mut views = Vec::new();
    for name in names {
        views.push(client.get(&["v1", "services", &name]).await?);
    }
    Ok(views)
}

async fn turn(client: &Client, upstream: &Upstream, action: &str) -> Result<ServiceView, Failure> {
    let Upstream { service, pool, upstream } = upstream;
    let path = ["v1", "services", service, "pools", pool, "upstreams", upstream, action];
    client.post(&path).await
}

async fn drain(client: &Client, drain: &Drain, out: &Out) -> Result<Done, Failure> {
    let view = turn(client, &drain.upstream, "drain").await?;
    if drain.wait {
        return follow::drained(client, view, &drain.upstream, drain.timeout, out).await;
    }
    out.show(&view, |view| render::status(std::slice::from_ref(view)));
    Ok(Done::Well)
}

async fn register(client: &Client, action: Upstreams, out: &Out) -> Result<(), Failure> {
    let path = |service, pool| ["v1", "services", service, "pools", pool, "upstreams"];
    let view: ServiceView = match &action {
        Upstreams::Set { service, pool, addresses } => {
            let upstreams = addresses.iter().cloned().map(UpstreamEntry::Address).collect();
            let body = UpstreamsBody { upstreams };
            client.send_json(Method::PUT, &path(service, pool), &[], &body).await?
        }
        Upstreams::Reset { service, pool } => client.delete(&path(service, pool)).await?,
    };
    out.show(&view, |view: &ServiceView| render::status(std::slice::from_ref(view)));
    Ok(())
}

/// Where the history of a service, of a set or of all is.
async fn history_of<'a>(client: &Client, name: Option<&'a str>) -> Result<Vec<&'a str>, Failure> {
    Ok(match name {
        Some(name) if sets::find(client, name).await?.is_some() => vec!["v1", "sets", name, "history"],
        Some(name) => vec!["v1", "services", name, "history"],
        None => vec!["v1", "history"],
    })
}

/// The newest rows, over as many pages as it takes.
async fn history(client: &Client, path: &[&str], limit: usize) -> Result<Vec<HistoryView>, Failure> {
    let mut rows: Vec<HistoryView> = Vec::new();
    while rows.len() < limit {
        let mut query = vec![("limit", (limit - rows.len()).min(500).to_string())];
        query.extend(rows.last().map(|row| ("before", row.id.to_string())));
        let page: HistoryPage = client.get_query(path, &query).await?;
        rows.extend(page.history);
        if page.next.is_none() {
            break;
        }
    }
    Ok(rows)
}
