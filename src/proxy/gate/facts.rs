//! What is known when something is decided: of a request that seeks its way, and of an attempt that
//! failed. The decisions themselves are plain functions ([`plan`], [`limits`], [`super::retry`]).

use super::super::limits;
use super::super::plan::{self, Asked, Refusal, Way};
use super::super::request::Request;
use super::super::retry::Situation;
use super::Gate;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::time::Duration;

impl Gate {
    /// Chooses the request's route, and where it leads on it.
    pub(super) fn way(
        &self,
        header: &RequestHeader,
        request: &mut Request,
    ) -> std::result::Result<Way, Refusal> {
        let path = plan::path(header)?;
        let listener = request.listener.as_ref().map(|listener| &listener.settings);
        let asked = Asked {
            request: header,
            path: &path,
            client: request.client,
            believed: request.believed,
            listener,
            now: Duration::from_micros(request.started_us),
            draw: self.draw(),
        };
        let route = plan::route(&request.table, asked)?;
        request.route = Some(route);
        request.max_body = plan::max_body(request.route(), listener);
        let way = plan::way(&request.table, asked, route)?;
        request.held =
            limits::admit(&request.table, route, header, request.client, asked.now, self.shared.seed)?;
        Ok(way)
    }

    /// What is known for the decision whether the request goes to another upstream.
    pub(super) fn situation<'a>(
        &self,
        session: &'a Session,
        request: &Request,
        unsent: bool,
    ) -> Situation<'a> {
        let header = session.req_header();
        let another = request
            .pool()
            .and_then(|pool| plan::upstream(pool, header, request.client, self.draw() as u32, request.tried));
        Situation {
            method: &header.method,
            unsent,
            answer_begun: answer_begun(session),
            replayable: !session.as_ref().retry_buffer_truncated(),
            attempts: request.attempts_here(),
            tries: request.pool().map_or(0, |pool| pool.tries),
            another: another.is_some(),
        }
    }
}

/// Whether the client has been sent any of the final answer.
pub(in crate::proxy) fn answer_begun(session: &Session) -> bool {
    session.response_written().is_some_and(|head| !head.status.is_informational() || head.status == 101)
}
