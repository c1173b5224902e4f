//! After an attempt that failed: who is charged, and whether the request goes on.

use super::exchange::Exchange;
use super::recall::RECALLED;
use super::relay::SHIELDED;
use crate::core::outcome::{Outcome, Reason};
use crate::core::own_limit::OwnLimit;
use crate::proxy::decide::connection_end::{self, MOST_TURNED_AWAY, Unprocessed};
use crate::proxy::decide::outcome;
use crate::proxy::decide::retry::{self, Situation};
use crate::proxy::measure::charge;
use pingora_error::{Error, ErrorType};
use std::time::Duration;

impl Exchange<'_> {
    /// There is no connection.
    pub(super) fn unconnected(&mut self, mut error: Box<Error>) -> Box<Error> {
        tracing::debug!("no connection: {error}");
        if let Some(limit) = self.shortage(&error) {
            return self.short(limit);
        }
        if let Some(unprocessed) = connection_end::unprocessed(&error) {
            // A kept connection of HTTP/2 that has ended.
            return self.turned_away(error, unprocessed.over(true));
        }
        self.charge(Outcome::Failure(Reason::Connect));
        let goes_on = self.shield(true)
            || retry::again(self.situation(true, self.is_retried(&error)))
            || self.leaves_with_weight(true)
            || self.turn_over();
        error.set_retry(goes_on);
        error
    }

    /// The attempt at hand is charged to nobody: it speaks neither for its upstream nor against it.
    fn set_aside(&mut self) {
        if let Some(attempt) = &mut self.request.attempts.current {
            attempt.in_flight.set_aside();
        }
    }

    /// The attempt broke.
    pub(super) fn failed(&mut self, mut error: Box<Error>, reused: bool) -> Box<Error> {
        let was_taken_back = self.request.attempts.leave_registry();
        if *error.etype() == SHIELDED {
            error.set_retry(true);
            return error;
        }
        if was_taken_back || *error.etype() == RECALLED {
            return self.taken_back(error);
        }
        let is_unanswered = !self.request.attempts.is_answered();
        if let Some(unprocessed) = connection_end::unprocessed(&error).filter(|_| is_unanswered) {
            return self.turned_away(error, unprocessed.over(reused));
        }
        let mut outcome = outcome::outcome_of_error(&error);
        // What the upstream does not take, its client has sent.
        if *error.etype() != ErrorType::WriteTimedout {
            outcome = charge::excuse(&self.worker.meter, &mut self.request, outcome);
        }
        if matches!(outcome, Outcome::Failure(_))
            && let Some(limit) = self.shortage(&error)
        {
            self.kept_out(limit);
            outcome = Outcome::Ignored;
        }
        let situation = self.situation(false, self.is_retried(&error));
        let reset = outcome == Outcome::Failure(Reason::Reset) && is_unanswered;
        if retry::stale(situation, reused, reset, self.request.attempts.stale_seen) {
            self.request.attempts.stale_seen = true;
            self.set_aside();
            self.request.attempts.take_back(true);
            self.charge(Outcome::Ignored);
            error.set_retry(true);
            return error;
        }
        let may_repeat = retry::again(situation);
        if outcome == Outcome::Ignored {
            self.set_aside();
        }
        self.charge(outcome);
        let goes_on = matches!(outcome, Outcome::Failure(_))
            && (self.shield(false) || may_repeat || self.leaves_with_weight(false));
        error.set_retry(goes_on);
        error
    }

    pub(super) fn charge(&mut self, outcome: Outcome) {
        charge::charge(&self.worker.meter, &mut self.request, outcome, 0);
    }

    /// Whether an answer of this status gives way to that of another upstream of the pool.
    pub(super) fn gives_way(&self, status: u16) -> bool {
        let is_on = self.request.pool().is_some_and(|pool| pool.retry.is_on(status));
        is_on && retry::again(self.situation(false, true))
    }

    /// Whether the pool's settings ask for another attempt after such an error.
    fn is_retried(&self, error: &Error) -> bool {
        let is_timeout = matches!(
            error.etype(),
            ErrorType::ReadTimedout
                | ErrorType::WriteTimedout
                | ErrorType::ConnectTimedout
                | ErrorType::TLSHandshakeTimedout
        );
        let retry = self.request.pool().map(|pool| &pool.retry);
        retry.is_some_and(|retry| if is_timeout { retry.on_timeout } else { retry.on_error })
    }

    /// What is known for the decision whether the request goes to another upstream; `unsent` says that nothing of it
    /// was sent, `is_wanted` that its pool asks for that.
    fn situation(&self, unsent: bool, is_wanted: bool) -> Situation<'_> {
        let request = &self.request;
        let retry = request.pool().map(|pool| &pool.retry);
        let is_in_time = |limit: Duration| {
            let spent = self.worker.meter.now_us().saturating_sub(request.attempts.first_us);
            Duration::from_micros(spent) < limit
        };
        let tried = request.attempts.tried;
        let another = request.pool().is_some_and(|pool| pool.balancer.has_another(&pool.upstreams, tried));
        Situation {
            is_wanted: is_wanted && retry.and_then(|retry| retry.timeout).is_none_or(is_in_time),
            repeats_unsafe: retry.is_some_and(|retry| retry.repeats_unsafe),
            method: &request.head.method,
            unsent,
            answer_begun: request.delivery.has_begun(),
            replayable: request.inbound.body.is_replayable(),
            attempts: request.attempts.here(),
            tries: retry.map_or(0, |retry| retry.tries),
            another,
        }
    }

    /// A request that its upstream has turned away without processing it goes again, whatever its method, if its
    /// body is still at hand: to the same upstream for nobody's fault, a few times; else the upstream is charged,
    /// and another one asked.
    fn turned_away(&mut self, mut error: Box<Error>, unprocessed: Unprocessed) -> Box<Error> {
        let replayable = self.request.can_be_repeated();
        let attempts = &mut self.request.attempts;
        attempts.turned_away = attempts.turned_away.saturating_add(1);
        if unprocessed.is_orderly && attempts.turned_away <= MOST_TURNED_AWAY {
            // Once, others that were turned away with it have made room.
            attempts.take_back(attempts.turned_away > 1 || !unprocessed.is_told);
            self.charge(Outcome::Ignored);
            error.set_retry(replayable);
            return error;
        }
        let may_repeat = retry::again(self.situation(replayable, self.is_retried(&error)));
        self.charge(Outcome::Failure(Reason::Reset));
        let goes_on = self.shield(replayable) || may_repeat || self.leaves_with_weight(replayable);
        error.set_retry(goes_on);
        error
    }

    /// Whether an attempt failed for what this process is short of.
    fn shortage(&self, error: &Error) -> Option<OwnLimit> {
        outcome::shortage(error, self.request.upstream().and_then(|upstream| upstream.address.ip()))
    }

    /// No connection, for want of something here. Where only ports towards this address are missing, others may have
    /// some; where it is descriptors or memory, nobody is helped by more attempts.
    fn short(&mut self, limit: OwnLimit) -> Box<Error> {
        self.charge(Outcome::Ignored);
        self.kept_out(limit);
        // Nothing has been tried.
        self.request.attempts.made = self.request.attempts.made.saturating_sub(1);
        let elsewhere =
            limit == OwnLimit::Ports && (retry::again(self.situation(true, true)) || self.turn_elsewhere());
        let mut error = Error::explain(ErrorType::HTTPStatus(503), limit.label());
        error.set_retry(elsewhere);
        error
    }
}
