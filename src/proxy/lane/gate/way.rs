//! The way of a request: chosen, and taken.

use super::Gate;
use crate::proxy::decide::follow::{self, Followed};
use crate::proxy::decide::plan::{self, Asked, Refusal, Way};
use crate::proxy::decide::{choice, limits};
use crate::proxy::exchange::request::Request;
use crate::proxy::own::answer::Own;
use crate::proxy::own::{answer, error_page};
use pingora_error::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::time::Duration;

impl Gate {
    /// Chooses the request's route, and where it leads on it. `from` is the route to begin with, where
    /// another one has named it.
    pub(super) fn way(
        &self,
        header: &RequestHeader,
        request: &mut Request,
        from: Option<usize>,
    ) -> std::result::Result<Way, Refusal> {
        let (route, path) = match follow::follow(header, request, from)? {
            Followed::Route(route, path) => (route, path),
            Followed::Away { status, location } => return Ok(Way::Away { status, location }),
        };
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
        request.max_body = plan::max_body(request.route(), listener);
        let way = plan::way(&request.table, asked, route)?;
        // Who falls back is counted already.
        if !request.is_counted {
            request.held =
                limits::admit(&request.table, route, header, request.client, asked.now, self.shared.seed)?;
            request.is_counted = true;
        }
        Ok(way)
    }

    /// Takes a way, and the ones that it falls back to; whether the request has been answered there.
    pub(super) async fn take(
        &self,
        session: &mut Session,
        request: &mut Request,
        way: std::result::Result<Way, Refusal>,
    ) -> Result<bool> {
        let mut way = way;
        loop {
            match way {
                Ok(Way::Upstream(chosen)) => {
                    request.take(chosen);
                    request.expect_its_body(session);
                    let asked = request.asked.is_some().then(|| session.req_header().raw_path().to_vec());
                    if let Some(service) = request.service() {
                        choice::strip(session.req_header_mut(), service);
                    }
                    // What a tester sent does not go on in the words that came, either.
                    if asked.is_some_and(|asked| asked != session.req_header().raw_path()) {
                        request.asked = None;
                    }
                    if let Some(unlogged) = &mut request.unlogged {
                        unlogged.stripped(session.req_header(), request.asked.as_deref());
                    }
                    return Ok(false);
                }
                Ok(Way::Own) => {
                    let own = answer::own(session, request).await?;
                    if own == Own::Sent {
                        return Ok(true);
                    }
                    let header = session.req_header();
                    let from = follow::fall_back(header, request, own);
                    way = from.and_then(|from| self.way(header, request, from));
                }
                Ok(Way::Away { status, location }) => {
                    answer::away(session, request, status, location).await?;
                    return Ok(true);
                }
                Err(refusal) => {
                    error_page::refuse(session, request, refusal).await?;
                    return Ok(true);
                }
            }
        }
    }
}
