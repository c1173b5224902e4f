//! Asking a service whether a request may pass.
//!
//! It is asked by a request of our own, over the pools, weights, connections and timeouts of the service; what comes of
//! that speaks for or against its pools, as any attempt on them does: that is all the traffic that such a service has.
//! While a rollout of it runs, stable answers what its candidate failed. Without an answer nobody passes.

use super::subrequest::{Subrequest, SubrequestFailure as Broken};
use super::worker::Worker;
use crate::core::balance::Tried;
use crate::core::route::Authorize;
use crate::core::table::{Pool, Service};
use crate::proxy::decide::asked::RequestFacts;
use crate::proxy::decide::plan::{self, PlanRefusal};
use crate::proxy::exchange::Request;
use crate::proxy::headers::{grant, strip};
use crate::proxy::own::answer::OwnAnswer;
use crate::proxy::own::authorized::{self, AuthorityAnswer};
use crate::proxy::own::error_page;
use http::{Method, Uri};
use pingora_http::RequestHeader;
use std::time::Duration;

/// Why the service has said nothing.
enum Unasked {
    Refused(PlanRefusal),
    /// None of its upstreams has answered.
    Broken,
}

/// Asks about a request; the client's answer, where it may not pass.
pub(super) async fn ask(worker: &Worker, request: &mut Request, by: &Authorize) -> Option<OwnAnswer> {
    match answer(worker, request, by).await {
        Ok(answer) if answer.lets_pass() => {
            request.plan.granted = Some(Box::new(grant::of(&answer.head, &by.forward)));
            None
        }
        Ok(answer) => Some(authorized::refused(request, by, answer)),
        Err(Unasked::Refused(refusal)) => Some(error_page::refusal(request, refusal)),
        Err(Unasked::Broken) => Some(error_page::error(request, 500)),
    }
}

async fn answer(worker: &Worker, request: &Request, by: &Authorize) -> Result<AuthorityAnswer, Unasked> {
    let table = &*request.plan.table;
    let service = request.plan.route.and_then(|route| table.authority_of(route));
    let service = service.ok_or(Unasked::Refused(PlanRefusal::NoUpstream))?;
    let chosen = plan::of_service(table, asked(worker, request, by), service).map_err(Unasked::Refused)?;
    let service = chosen.target.service(table).ok_or(Unasked::Refused(PlanRefusal::NoUpstream))?;
    let mut head = RequestHeader::clone(&request.head);
    head.set_method(Method::GET);
    head.set_uri(Uri::from(by.target.clone()));
    strip::strip(&mut head, service);
    let answer = answer_of(worker, request, &head, service.pools.get(chosen.target.pool)).await;
    match stable_after(worker, service, chosen.target.pool, &answer) {
        Some(stable) => answer_of(worker, request, &head, Some(stable)).await,
        None => answer,
    }
}

/// The answer of a pool: of one upstream after the other.
async fn answer_of(
    worker: &Worker,
    request: &Request,
    head: &RequestHeader,
    pool: Option<&Pool>,
) -> Result<AuthorityAnswer, Unasked> {
    let pool = pool.ok_or(Unasked::Refused(PlanRefusal::NoUpstream))?;
    let (mut tried, mut made, mut is_alone) = (Tried::default(), 0, false);
    while made < pool.retry.tries {
        let draw = worker.draw() as u32;
        let Some(index) = plan::upstream(pool, request, draw, tried) else { break };
        let Some(upstream) = pool.upstreams.get(index) else { break };
        let subrequest = Subrequest { worker, request, head, pool, upstream };
        let answer = subrequest.send(is_alone).await;
        if matches!(answer, Err(Broken::Stale)) {
            // The upstream closed a kept connection meanwhile: once, that is nobody's fault.
            is_alone = true;
            continue;
        }
        tried.add(index);
        made += 1;
        if let Ok(answer) = answer {
            let is_on = pool.retry.is_on(answer.head.status.as_u16()) && made < pool.retry.tries;
            if !is_on || !pool.balancer.has_another(&pool.upstreams, tried) {
                return Ok(answer);
            }
        }
    }
    Err(if made == 0 { Unasked::Refused(PlanRefusal::NoUpstream) } else { Unasked::Broken })
}

/// Stable, where a candidate has failed to answer and its service is shielded.
fn stable_after<'a>(
    worker: &Worker,
    service: &'a Service,
    pool: usize,
    answer: &Result<AuthorityAnswer, Unasked>,
) -> Option<&'a Pool> {
    let shielding = service.shielding.as_ref().filter(|shielding| shielding.candidate == pool)?;
    let has_failed = match answer {
        Ok(answer) => shielding.shield.hides(answer.head.status.as_u16()),
        Err(_) => true,
    };
    let (candidate, stable) = (service.pools.get(pool)?, service.pools.get(shielding.stable)?);
    let is_granted = || worker.meter.shard.shield(candidate.arm, stable.arm, shielding.shield.budget);
    (has_failed && stable.is_ready() && is_granted()).then_some(stable)
}

fn asked<'a>(worker: &Worker, request: &'a Request, by: &'a Authorize) -> RequestFacts<'a> {
    RequestFacts {
        request,
        path: Some(by.target.path()),
        client: request.inbound.client,
        believed: request.inbound.believed,
        listener: &request.inbound.listener.settings,
        now: Duration::from_micros(request.inbound.started_us),
        draw: worker.draw(),
    }
}
