//! Values that testers choose a pool by, signed for those who are outside of the named networks.

use super::State;
use super::auth::Identity;
use super::body::Body;
use super::params::Named;
use super::problem::{Problem, ProblemType};
use super::shapes::{TesterBody, TesterView};
use crate::core::duration;
use crate::core::settings::Service;
use crate::core::tester::{LASTS, TesterKey, Testers, Wanted};
use crate::core::text;
use crate::observe::clock::wall;
use axum::extract::State as Extract;
use axum::{Extension, Json};
use std::ops::RangeInclusive;
use std::time::Duration;

const TTLS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);

pub(super) async fn issue(
    Extract(state): Extract<State>,
    Named(service): Named<String>,
    Extension(who): Extension<Identity>,
    Body(body): Body<TesterBody>,
) -> Result<Json<TesterView>, Problem> {
    let config = state.configs.borrow().clone();
    let settings = config.services.get(&service);
    let settings = settings.ok_or_else(|| Problem::not_found(format!("there is no service {service}")))?;
    let (testers, ttl) = meant(settings, &body)?;
    let until = wall().as_second().saturating_add_unsigned(ttl.as_secs());
    let value = TesterKey::of(&state.secret, &service).sign(&body.to, until.unsigned_abs());
    tracing::info!(
        actor = who.signed(),
        service,
        to = body.to,
        ttl = duration::show(ttl),
        "a tester's value is issued"
    );
    let expires_at = jiff::Timestamp::from_second(until).map(|at| at.to_string());
    Ok(Json(TesterView {
        value,
        header: testers.header.to_string(),
        cookie: testers.cookie.to_string(),
        query: testers.query.to_string(),
        expires_at: expires_at.unwrap_or_default(),
    }))
}

fn meant<'a>(service: &'a Service, body: &TesterBody) -> Result<(&'a Testers, Duration), Problem> {
    let name = &service.name;
    let testers = service.testers.as_ref().ok_or_else(|| {
        let detail = format!("{name} has no testers; add [services.{name}.testers] to the configuration");
        Problem::new(ProblemType::Conflict, detail)
    })?;
    text::check(&body.to).map_err(|why| Problem::invalid_field("to", why))?;
    if Wanted::named(&body.to, service.pools.keys()).is_none() {
        let names: Vec<_> = service.pools.keys().map(|name| &**name).collect();
        let (to, names) = (&body.to, names.join(", "));
        let detail = format!("there is no pool {to}; there are: {names}, and the roles stable and candidate");
        return Err(Problem::invalid_field("to", detail));
    }
    let ttl = body.ttl.as_deref().map_or(Ok(LASTS), duration::parse);
    let ttl = ttl.map_err(|why| Problem::invalid_field("ttl", why))?;
    if !TTLS.contains(&ttl) {
        return Err(Problem::invalid_field("ttl", "must be from 1s to 30d"));
    }
    Ok((testers, ttl))
}
