//! Where the rules of routes lead a request, and with what path: they are followed from route to route until
//! one keeps it.
//!
//! What the client asked for stays in the request's head, for the log and for forwarded fields; what it has
//! become is kept beside it.

use crate::core::route::{self, BadPath, Current, Fallback, Rewritten, RouteSpec, Target, Turn};
use crate::proxy::decide::asked;
use crate::proxy::decide::plan::{self, PlanRefusal};
use crate::proxy::exchange::Request;
use crate::proxy::headers::rewrite;
use crate::proxy::wire::host::is_host;
use bytes::Bytes;
use http::HeaderValue;
use std::borrow::Cow;

/// How often a request may be changed before it has a route for good; nginx takes as many.
const MOST_CHANGES: u8 = 10;

/// The place that a request has reached.
pub(in crate::proxy) enum Followed {
    /// To the route it has now.
    Route(usize),
    /// Away: a rule redirects it.
    Away { status: u16, location: HeaderValue },
}

/// Why a route gives no answer of its own. The request is untouched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Unanswered {
    /// There is no file, and the route falls back.
    FallsBack,
    /// What stands for a folder, by its place among the names, belongs to another route.
    Index(usize),
}

/// Follows a request, from a route that is known already or from the one for its path.
///
/// # Errors
/// Why it goes nowhere.
pub(in crate::proxy) fn follow(
    request: &mut Request,
    from: Option<usize>,
) -> std::result::Result<Followed, PlanRefusal> {
    let mut from = from;
    loop {
        let found = match from.take() {
            Some(found) => found,
            None => plan::route(request, &path(request)?)?,
        };
        request.plan.route = Some(found);
        if request.route().is_some_and(RouteSpec::keeps) {
            request.plan.first_from = usize::MAX;
            return Ok(Followed::Route(found));
        }
        let is_as_sent = request.plan.changes == 0 && request.plan.rewritten.is_none();
        if is_as_sent && request.route().is_some_and(|route| route.internal) {
            return Err(PlanRefusal::NoRoute);
        }
        let turned = turn(request)?;
        let leads_onward = passes_by(request, found, &turned);
        match turned {
            Turn::Kept if leads_onward => {}
            Turn::Stays(to) | Turn::Leaves(to) if leads_onward => {
                request.plan.rewritten = Some(Box::new(to));
            }
            Turn::Kept => return Ok(Followed::Route(found)),
            Turn::Stays(to) => {
                request.plan.rewritten = Some(Box::new(to));
                return Ok(Followed::Route(found));
            }
            Turn::Leaves(to) => change(request, Some(to))?,
            Turn::Redirect { status, location, names_host } => {
                return away(request, status, location, names_host);
            }
        }
    }
}

/// Whether a request goes on from a route that comes first, to those behind it; which of them are still to come.
fn passes_by(request: &mut Request, found: usize, turned: &Turn) -> bool {
    let route = request.route().filter(|route| route.is_first);
    let leads_onward = route.is_some_and(|route| route.target == Target::Onward);
    // Whoever takes another route for good is not asked by those that come first again.
    let ends = !leads_onward || matches!(turned, Turn::Leaves(_));
    request.plan.first_from = if ends { usize::MAX } else { found.saturating_add(1) };
    leads_onward
}

/// The path that routes go by: in its plain form, as it has become.
///
/// # Errors
/// [`PlanRefusal::BadPath`] when it means nothing.
pub(in crate::proxy) fn path(request: &Request) -> std::result::Result<Cow<'_, str>, PlanRefusal> {
    asked::path(request).map_err(|_| PlanRefusal::BadPath)
}

/// What comes first is asked of a path that files lead to, too: it may be one that is refused.
fn ask_all(request: &mut Request) {
    request.plan.first_from = 0;
}

/// Changes a request to what answers in place of its route; that, where it is a route with a name.
///
/// # Errors
/// Why nothing does.
pub(in crate::proxy) fn fall_back(
    request: &mut Request,
    why: Unanswered,
) -> std::result::Result<Option<usize>, PlanRefusal> {
    let table = request.plan.table.clone();
    let Some(Target::Files(files)) = table.route(request.plan.route).map(|route| &route.target) else {
        return Err(PlanRefusal::NoRoute);
    };
    if let Unanswered::Index(nth) = why {
        ask_all(request);
        let index = files.index.get(nth).ok_or(PlanRefusal::NoRoute)?;
        let made = with_current(request, |at| index_of(at, index));
        change(request, Some(made?.map_err(|_| PlanRefusal::BadPath)?))?;
        return Ok(None);
    }
    match &files.fallback {
        Some(Fallback::Path(to)) => {
            ask_all(request);
            let made = with_current(request, |at| to.rewrite(at, None, &rewrite::facts(request)));
            change(request, Some(made?.map_err(|_| PlanRefusal::BadPath)?))?;
            Ok(None)
        }
        Some(Fallback::Route(name)) => {
            change(request, None)?;
            table.routes.named(name).map(Some).ok_or(PlanRefusal::NoRoute)
        }
        Some(Fallback::Status(_)) | None => Err(PlanRefusal::NoRoute),
    }
}

/// Whether the file that stands for a folder belongs to another route than the folder, as `= /index.html`
/// does; nginx asks that one, and so do we.
pub(in crate::proxy) fn is_index_of_another(request: &Request, index: &str) -> bool {
    if !request.path_and_query().0.ends_with('/') {
        return false;
    }
    let Ok(Ok(made)) = with_current(request, |at| index_of(at, index)) else { return false };
    plan::route(request, &made.text()).is_ok_and(|route| Some(route) != request.plan.route)
}

fn index_of(at: Current<'_>, index: &str) -> std::result::Result<Rewritten, BadPath> {
    Rewritten::new(&[at.path, index.as_bytes()].concat(), at.query.as_bytes())
}

fn turn(request: &Request) -> std::result::Result<Turn, PlanRefusal> {
    let Some(route) = request.route().filter(|route| !route.rewriting.is_none()) else {
        return Ok(Turn::Kept);
    };
    plan::admits(route, request.inbound.client)?;
    let facts = rewrite::facts(request);
    with_current(request, |at| route.rewriting.turn(at, &facts))?.map_err(|_| PlanRefusal::BadPath)
}

pub(super) fn with_current<T>(
    request: &Request,
    look: impl FnOnce(Current<'_>) -> T,
) -> std::result::Result<T, PlanRefusal> {
    if let Some(rewritten) = &request.plan.rewritten {
        return Ok(look(rewritten.current()));
    }
    let path = route::plain(request.head.uri.path()).map_err(|_| PlanRefusal::BadPath)?;
    Ok(look(Current { path: &path, query: request.head.uri.query().unwrap_or_default() }))
}

pub(super) fn change(request: &mut Request, to: Option<Rewritten>) -> std::result::Result<(), PlanRefusal> {
    if request.plan.changes >= MOST_CHANGES {
        return Err(PlanRefusal::Endless);
    }
    request.plan.changes = request.plan.changes.saturating_add(1);
    if let Some(to) = to {
        request.plan.rewritten = Some(Box::new(to));
    }
    Ok(())
}

fn away(
    request: &Request,
    status: u16,
    location: Vec<u8>,
    names_host: bool,
) -> std::result::Result<Followed, PlanRefusal> {
    if names_host && !is_host(rewrite::facts(request).host.as_bytes()) {
        return Err(PlanRefusal::BadPath);
    }
    let location = HeaderValue::from_maybe_shared(Bytes::from(location)).map_err(|_| PlanRefusal::BadPath)?;
    Ok(Followed::Away { status, location })
}
