//! An answer that is not shown: another route answers in its place, or a page does.
//!
//! An upstream's has been charged as what it was. Its connection serves other requests where the rest of the answer has
//! come already; else it is closed, so that nobody waits for what nobody reads.

use super::exchange::Exchange;
use super::upstream_side::UpstreamSide;
use crate::core::route::{ErrorPage, PageSource};
use crate::observe::shard::AnswerEnd;
use crate::proxy::decide::follow;
use crate::proxy::decide::outcome;
use crate::proxy::decide::plan::{PlanRefusal, Way};
use crate::proxy::decide::replace::{self, ACCEL_REDIRECT};
use crate::proxy::exchange::Replaced;
use crate::proxy::measure::charge;
use crate::proxy::own::answer::{self, OwnAnswer};
use crate::proxy::own::{error_page, route_answer};
use crate::proxy::wire::answer_head::AnswerHead;
use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use pingora_error::{Error, ErrorSource, ErrorType, Result};
use std::future::poll_fn;
use std::task::Poll;

/// The error of an attempt whose answer is not shown; nobody else sees it.
pub(super) const UNSHOWN: ErrorType = ErrorType::Custom("unshown");

/// Bytes of an answer that are read to keep its connection.
const READ_BYTES: usize = 64 << 10;
/// Bytes that are read at a time.
const PIECE_BYTES: usize = 16 << 10;

/// Where a request goes.
pub(super) type Lead = std::result::Result<Way, PlanRefusal>;

impl Exchange<'_> {
    /// Has the request answered here; where it goes, if another route has to answer.
    pub(super) async fn answer_here(&mut self, way: Lead) -> Result<Option<Lead>> {
        let answer = match way {
            Ok(Way::Away { status, location }) => answer::away(status, location),
            Ok(Way::Own | Way::Upstream(_)) => match route_answer::of_route(&self.request).await {
                Ok(answer) => answer,
                Err(why) => {
                    let from = follow::fall_back(&mut self.request, why);
                    return Ok(Some(from.and_then(|from| self.way(from))));
                }
            },
            Err(refusal) => error_page::refusal(&self.request, refusal),
        };
        self.show(answer).await
    }

    /// Sends an answer, or has the page of its error answer.
    pub(super) async fn show(&mut self, answer: OwnAnswer) -> Result<Option<Lead>> {
        let page =
            answer.error.and_then(|error| Some((error, replace::page_elsewhere(&self.request, error)?)));
        let Some((error, page)) = page else { return self.answer(answer).await.map(|()| None) };
        if let Some(limit) = answer.limit {
            self.worker.meter.shard.own_limit(limit);
        }
        self.request.delivery.keeps &= !answer.closes;
        Ok(Some(self.lead_to(&page, error, &answer.head)))
    }

    fn lead_to(&mut self, page: &ErrorPage, error: u16, head: &AnswerHead) -> Lead {
        let PageSource::Redirect(to) = &page.source else {
            let from = replace::by_page(&mut self.request, (error, head), page);
            return from.and_then(|from| self.way(from));
        };
        let location = route_answer::location(&self.request, to);
        // The redirect is no error any more, but whatever is wrong with it is one in place of another.
        self.request.plan.replaced = Some(Box::new(Replaced { error: Some(error), ..Replaced::default() }));
        let status = page.status.shown(error).unwrap_or(302);
        Ok(Way::Away { status, location: location.ok_or(PlanRefusal::BadPath)? })
    }

    /// Whether something else is shown than what an error says by itself.
    pub(super) fn is_replaced(&self, error: &Error) -> bool {
        if *error.etype() == UNSHOWN {
            return true;
        }
        let is_clients = *error.esource() == ErrorSource::Downstream;
        let may_be = !is_clients || *error.etype() == ErrorType::HTTPStatus(413);
        let status = outcome::status_of_error(error).filter(|_| may_be && !self.request.delivery.has_begun());
        let status = status.filter(|_| !self.request.attempts.is_late);
        status.is_some_and(|status| replace::page_elsewhere(&self.request, status).is_some())
    }

    /// Where a request goes whose attempts ended with this; `None` once it is answered.
    pub(super) async fn in_place_of(&mut self, error: Box<Error>) -> Result<Option<Lead>> {
        let Some(head) = self.request.delivery.unshown.take() else {
            let Some(status) = outcome::status_of_error(&error) else { return Err(error) };
            self.request.delivery.keeps &= *error.esource() != ErrorSource::Downstream;
            let answer = error_page::error(&self.request, status);
            return self.show(answer).await;
        };
        if self.request.pool().is_some_and(|pool| pool.accel) && head.has(&ACCEL_REDIRECT) {
            let from = replace::by_accel(&mut self.request, &head);
            return Ok(Some(from.and_then(|from| self.way(from))));
        }
        // What its upstream is short of is no limit of this process.
        let mut answer = OwnAnswer { limit: None, ..error_page::error(&self.request, head.status.as_u16()) };
        for challenge in head.values(&WWW_AUTHENTICATE) {
            if let Ok(challenge) = http::HeaderValue::from_bytes(challenge) {
                answer.head.add(WWW_AUTHENTICATE, challenge);
            }
        }
        self.show(answer).await
    }

    /// Whether an answer is not shown; then it is put by.
    pub(super) fn is_put_by(&mut self, head: &mut AnswerHead) -> bool {
        let is_unshown = replace::is_unshown(&self.request, head);
        if is_unshown {
            let head = std::mem::replace(head, AnswerHead::new(StatusCode::OK));
            self.request.delivery.unshown = Some(Box::new(head));
            self.request.delivery.original = None;
        }
        is_unshown
    }

    /// Ends the attempt of an answer that is not shown.
    pub(super) async fn end_unshown(&mut self, mut upstream: UpstreamSide) {
        self.request.attempts.leave_registry();
        let mut read = 0;
        let is_whole = poll_fn(|cx| {
            Poll::Ready(loop {
                match upstream.poll_body(cx, PIECE_BYTES, &mut |_, piece| read += piece.len()) {
                    Poll::Ready(Ok(false)) if read < READ_BYTES => {}
                    Poll::Ready(Ok(is_whole)) => break is_whole,
                    Poll::Ready(Err(_)) | Poll::Pending => break false,
                }
            })
        });
        let is_whole = is_whole.await;
        self.note_end();
        self.request.delivery.is_bodiless = false;
        if is_whole {
            charge::finish(&self.worker.meter, &mut self.request, AnswerEnd::Whole);
            self.release(upstream).await;
        } else if let UpstreamSide::Http2(exchange) = upstream {
            exchange.end().await;
        }
        self.request.attempts.current = None;
    }
}
