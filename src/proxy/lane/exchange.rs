//! One request, from its head to the end of its answer: `decide` says what happens, this carries it out.

use super::client::Client;
use super::worker::Worker;
use crate::core::outcome::Outcome;
use crate::core::own_limit::OwnLimit;
use crate::core::pattern;
use crate::core::settings::Listener;
use crate::observe::access_log::Cut;
use crate::proxy::decide::asked::RequestFacts;
use crate::proxy::decide::follow::{self, Followed};
use crate::proxy::decide::plan::{self, PlanRefusal, Way};
use crate::proxy::decide::{limits, outcome, refuse};
use crate::proxy::exchange::{Chosen, Request};
use crate::proxy::headers::{claims, forward, strip, tidy, trace};
use crate::proxy::measure::{charge, log_entry};
use crate::proxy::own::answer::{self, OwnAnswer};
use crate::proxy::own::{challenge, error_page};
use crate::proxy::wire::alarm::Alarm;
use pingora_error::{Error, ErrorSource, ErrorType, Result};
use std::time::Duration;

/// A request under way.
pub(super) struct Exchange<'a> {
    pub worker: &'a Worker,
    pub client: &'a mut Client,
    pub request: Box<Request>,
    pub alarm: &'a mut Alarm,
}

/// A request that is dropped halfway leaves its attempt behind, and its line of the access log; one without an answer
/// counts as such, however it ended.
impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        let request = &mut self.request;
        request.attempts.leave_registry();
        let cut = request.delivery.cut.unwrap_or(Cut::Shutdown);
        let outcome = if cut == Cut::Shutdown { Outcome::Ignored } else { Outcome::Abandoned };
        charge::abandon(&self.worker.meter, request, outcome);
        if !request.delivery.has_begun() {
            self.worker.meter.sent(request, 0);
        }
        log_entry::log(request, self.worker.lines(), &self.worker.meter, Some(cut));
    }
}

/// Serves a request; whether its client's connection may serve another one.
pub(super) async fn serve(
    worker: &Worker,
    client: &mut Client,
    request: Box<Request>,
    alarm: &mut Alarm,
) -> bool {
    let mut exchange = Exchange { worker, client, request, alarm };
    let served = exchange.run().await;
    exchange.end(served).await
}

impl Exchange<'_> {
    async fn run(&mut self) -> Result<()> {
        if let Some(answer) = self.admit() {
            return Box::pin(self.answer(answer)).await;
        }
        let mut way = self.way(None);
        loop {
            if let Ok(Way::Upstream(chosen)) = &way {
                self.go_to(chosen);
            }
            // What is rare is boxed, so that the future of every request is small.
            let next = if self.is_guarded(&way)
                && let Some(refused) = Box::pin(self.guard()).await
            {
                Box::pin(self.show(refused)).await?
            } else if matches!(way, Ok(Way::Upstream(_))) {
                match self.pass_on().await {
                    Err(error) if self.is_replaced(&error) => Box::pin(self.in_place_of(error)).await?,
                    ended => return ended,
                }
            } else {
                Box::pin(self.answer_here(way)).await?
            };
            match next {
                Some(next) => way = next,
                None => return Ok(()),
            }
        }
    }

    /// The request goes to a pool.
    fn go_to(&mut self, chosen: &Chosen) {
        if self.request.plan.replaced.is_some() {
            self.request.attempts.start_over();
        }
        self.request.plan.choose(chosen);
        self.strip();
    }

    /// Settles whom the request is from and takes off what is none of anybody's business; the answer, where that is
    /// all that happens.
    fn admit(&mut self) -> Option<OwnAnswer> {
        let (worker, request) = (self.worker, &mut *self.request);
        tidy::tidy(&mut request.head, request.inbound.listener.settings.underscores);
        let peer = request.inbound.peer;
        let Listener { trusted_proxies: trusted, client_field, .. } = &request.inbound.listener.settings;
        let client = forward::real_client(peer, &request.head.headers, trusted, client_field);
        request.inbound.believed = forward::is_believed(peer, trusted);
        (request.inbound.client, request.inbound.is_nameless) = (client.address, client.is_nameless);
        claims::remove(&mut request.head, request.inbound.believed, &client_field.name);
        request.inbound.own_id = forward::id_of(worker.draw(), worker.draw());
        let inbound = &mut request.inbound;
        let sent = (&request.head.headers, inbound.believed);
        inbound.trace = trace::of(request.plan.table.tracing, sent, &inbound.own_id, || worker.draw());
        request.delivery.is_unlogged = log_entry::is_wanted(request, worker.lines());
        let unread = request.inbound.refused.as_ref().map(|refused| refused.status);
        let refused = unread
            .or_else(|| {
                refuse::status(&request.head, request.head.raw_path(), &request.inbound.listener.settings)
            })
            .or_else(|| worker.shared.hop_mark.ends(&request.head.headers).then_some(508));
        if let Some(status) = refused {
            return Some(OwnAnswer { closes: true, ..error_page::error(request, status) });
        }
        request.inbound.expects = tidy::take_expectation(&mut request.head);
        let settings = &request.inbound.listener.settings;
        request.delivery.pace = (settings.body_timeout, settings.body_rate);
        if request.head.raw_path() == b"*" {
            return Some(answer::server_itself());
        }
        challenge::answer(&worker.shared.challenges, &request.inbound.listener, request.head.uri.path())
    }

    /// Chooses the request's route, and where it leads on it. `from` is the route to begin with, where
    /// another one has named it.
    pub(super) fn way(&mut self, from: Option<usize>) -> std::result::Result<Way, PlanRefusal> {
        // That of another request, if any.
        pattern::take_undecided();
        let way = self.decided_way(from);
        if pattern::take_undecided() { Err(PlanRefusal::Undecided) } else { way }
    }

    fn decided_way(&mut self, from: Option<usize>) -> std::result::Result<Way, PlanRefusal> {
        let (worker, request) = (self.worker, &mut *self.request);
        let route = match follow::follow(request, from)? {
            Followed::Route(route) => route,
            Followed::Away { status, location } => return Ok(Way::Away { status, location }),
        };
        if from.is_some() {
            // A route with a name is found by no path, but leads nowhere with one that means nothing.
            follow::path(request)?;
        }
        let settings = &request.inbound.listener.settings;
        let (client, now) = (request.inbound.client, Duration::from_micros(request.inbound.started_us));
        request.plan.max_body = plan::max_body(request.plan.table.route(request.plan.route), settings);
        let asked = RequestFacts {
            request,
            path: None,
            client,
            believed: request.inbound.believed,
            listener: settings,
            now,
            draw: worker.draw(),
        };
        let way = plan::way(&request.plan.table, asked, route)?;
        // A request that falls back to another route was counted on its first one.
        if !request.plan.is_counted {
            let seed = worker.shared.seed;
            request.plan.held = limits::admit(route, request, now, seed)?;
            request.plan.is_counted = true;
        }
        Ok(way)
    }

    /// Takes off what is for this proxy only, before the request goes on.
    fn strip(&mut self) {
        let request = &mut self.request;
        if !request.inbound.body.is_whole {
            request.delivery.pace =
                plan::body_pace(&request.head, request.route(), &request.inbound.listener.settings);
        }
        let target = request.inbound.target.as_ref().map(|_| request.head.raw_path().to_vec());
        let service = request.plan.target.and_then(|target| target.service(&request.plan.table));
        if let Some(service) = service {
            strip::strip(&mut request.head, service);
        }
        // What a tester sent does not go on in the bytes that came, either.
        if target.is_some_and(|target| target != request.head.raw_path()) {
            request.inbound.target = None;
        }
    }

    /// The request is over: what its client hears of a failure, the line of the log, and whether another one may
    /// follow on its connection.
    async fn end(mut self, served: Result<()>) -> bool {
        let (mut cut, mut is_answered) = (None, true);
        if let Err(error) = &served {
            cut = log_entry::ended(error, &self.request);
            is_answered = Box::pin(self.fail(error)).await;
        }
        self.charge(Outcome::Ignored);
        let (meter, request) = (&self.worker.meter, &mut self.request);
        request.attempts.leave_registry();
        request.attempts.current = None;
        if let Some(original) = request.delivery.original.take().filter(|_| served.is_ok()) {
            original.end();
        }
        request.plan.held = None;
        if let Client::Http2(client) = &self.client {
            request.delivery.cut = client.stream.cut().or(request.delivery.cut);
        }
        let cut = request.delivery.cut.or(cut);
        log_entry::log(request, self.worker.lines(), meter, cut);
        if !is_answered {
            self.give_up();
            return false;
        }
        let is_stalled = matches!(&served, Err(error) if *error.etype() == ErrorType::ReadTimedout);
        // Nobody waits for more of a client that is too slow.
        if is_stalled && self.client.is_http2() {
            return false;
        }
        self.linger().await && self.request.delivery.keeps
    }

    /// Answers with an error, where the client can still hear one; whether it has.
    async fn fail(&mut self, error: &Error) -> bool {
        tracing::debug!("request failed: {error}");
        let request = &mut self.request;
        let late = request.attempts.is_late.then_some(408);
        let status = late.or_else(|| outcome::status_of_error(error));
        let Some(status) = status.filter(|_| !request.delivery.has_begun()) else {
            request.delivery.keeps = false;
            return false;
        };
        // What follows of a request that its client has broken is nothing that could be relied on.
        request.delivery.keeps &= *error.esource() != ErrorSource::Downstream;
        request.delivery.encoder = None;
        let answer = error_page::error(request, status);
        match self.answer(answer).await {
            Ok(()) => true,
            Err(error) => {
                self.request.delivery.keeps = false;
                tracing::debug!("the error reply could not be sent: {error}");
                false
            }
        }
    }

    /// Counts a request that was kept from the pool it is on.
    pub(super) fn kept_out(&self, limit: OwnLimit) {
        self.worker.meter.kept_out(self.request.pool().map(|pool| pool.arm), limit);
    }
}
