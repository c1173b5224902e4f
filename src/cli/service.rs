//! Commands about services, and about the process.

use super::args::{Command, Drain, Upstream, Upstreams};
use super::client::{Client, Failure};
use super::out::Out;
use super::{Done, follow, render};
use crate::admin::shapes::{FlipBody, HealthView, HistoryPage, RollbackBody, UpstreamsBody, WeightEntry};
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
            let mut body = BTreeMap::new();
            for (pool, percent) in weights {
                if body.insert(pool.clone(), WeightEntry::Percent(percent)).is_some() {
                    return Err(Failure::Other(format!("{pool} is given twice")));
                }
            }
            if force {
                body.insert("force".to_owned(), WeightEntry::Force(true));
            }
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
            let rows = history(client, service.as_deref(), limit).await?;
            out.show(&rows, |rows| render::history(rows, service.is_none()));
        }
        // The others need no service, or serve.
        _ => return Err(Failure::Other("this is no command about a service".into())),
    }
    Ok(Done::Well)
}

async fn status(client: &Client, service: Option<&str>, out: &Out) -> Result<Done, Failure> {
    let services = fetch(client, service).await?;
    out.show(&services, |services| render::status(services));
    let holds = services.iter().flat_map(|service| &service.checks).all(|check| check.ok);
    Ok(if holds { Done::Well } else { Done::Unwell })
}

/// One service or all.
pub(super) async fn fetch(client: &Client, service: Option<&str>) -> Result<Vec<ServiceView>, Failure> {
    match service {
        Some(service) => Ok(vec![client.get(&["v1", "services", service]).await?]),
        None => client.get(&["v1", "services"]).await,
    }
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
            let upstreams = addresses.iter().map(|address| address.as_str().into()).collect();
            let body = UpstreamsBody { upstreams };
            client.send_json(Method::PUT, &path(service, pool), &[], &body).await?
        }
        Upstreams::Reset { service, pool } => client.delete(&path(service, pool)).await?,
    };
    out.show(&view, |view: &ServiceView| render::status(std::slice::from_ref(view)));
    Ok(())
}

/// The newest rows, over as many pages as it takes.
async fn history(client: &Client, service: Option<&str>, limit: usize) -> Result<Vec<HistoryView>, Failure> {
    let mut rows: Vec<HistoryView> = Vec::new();
    let path = match service {
        Some(service) => vec!["v1", "services", service, "history"],
        None => vec!["v1", "history"],
    };
    while rows.len() < limit {
        let mut query = vec![("limit", (limit - rows.len()).min(500).to_string())];
        query.extend(rows.last().map(|row| ("before", row.id.to_string())));
        let page: HistoryPage = client.get_query(&path, &query).await?;
        rows.extend(page.history);
        if page.next.is_none() {
            break;
        }
    }
    Ok(rows)
}
