//! Where the rules of routes lead a request, and with what path: they are followed from route to route until
//! one keeps it.
//!
//! What the client asked for stays in the request's head, for the log and for forwarded fields; what it has
//! become is kept beside it.

use crate::core::route::{self, BadPath, Current, Fallback, Rewritten, Target, Turn};
use crate::proxy::decide::plan::{self, Refusal};
use crate::proxy::decide::refuse;
use crate::proxy::exchange::request::Request;
use crate::proxy::headers::rewrite;
use crate::proxy::own::answer::Own;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Uri, Version};
use pingora_error::{ErrorType, OrErr, Result};
use pingora_http::RequestHeader;
use std::borrow::Cow;

/// How often a request may be changed before it has a route for good; nginx takes as many.
const MOST_CHANGES: u8 = 10;

/// Where a request has come to.
pub(in crate::proxy) enum Followed<'a> {
    /// To the route it has now, with this path in its plain form.
    Route(usize, Cow<'a, str>),
    /// Away: a rule redirects it.
    Away { status: u16, location: HeaderValue },
}

/// Follows a request, from a route that is known already or from the one for its path.
pub(in crate::proxy) fn follow<'a>(
    head: &'a RequestHeader,
    request: &mut Request,
    from: Option<usize>,
) -> std::result::Result<Followed<'a>, Refusal> {
    let mut from = from;
    loop {
        let path = match &request.rewritten {
            Some(rewritten) => Cow::Owned(rewritten.text().into_owned()),
            None => plan::path(head)?,
        };
        let listener = request.listener.as_ref().map(|listener| listener.settings.address);
        let found = from.take().map_or_else(|| plan::route(&request.table, listener, head, &path), Ok)?;
        request.route = Some(found);
        match turn(head, request)? {
            Turn::Kept => return Ok(Followed::Route(found, path)),
            Turn::Stays(to) => {
                let path = Cow::Owned(to.text().into_owned());
                request.rewritten = Some(Box::new(to));
                return Ok(Followed::Route(found, path));
            }
            Turn::Leaves(to) => change(request, Some(to))?,
            Turn::Redirect { status, location, names_host } => {
                return away(head, request, status, location, names_host);
            }
        }
    }
}

/// Changes a request to what answers in place of its route; that, where it is a route with a name.
pub(in crate::proxy) fn fall_back(
    head: &RequestHeader,
    request: &mut Request,
    own: Own,
) -> std::result::Result<Option<usize>, Refusal> {
    let table = request.table.clone();
    let Some(Target::Files(files)) = table.route(request.route).map(|route| &route.target) else {
        return Err(Refusal::NoRoute);
    };
    if own == Own::Index {
        let made = with_current(head, request, |at| index_of(at, &files.index));
        change(request, Some(made?.map_err(|_| Refusal::BadPath)?))?;
        return Ok(None);
    }
    match &files.fallback {
        Some(Fallback::Path(to)) => {
            let made = with_current(head, request, |at| to.rewrite(at, None, &rewrite::facts(head, request)));
            change(request, Some(made?.map_err(|_| Refusal::BadPath)?))?;
            Ok(None)
        }
        Some(Fallback::Route(name)) => {
            change(request, None)?;
            table.routes.named(name).map(Some).ok_or(Refusal::NoRoute)
        }
        Some(Fallback::Status(_)) | None => Err(Refusal::NoRoute),
    }
}

/// Whether the file that stands for a folder belongs to another route than the folder, as `= /index.html`
/// does; nginx asks that one, and so do we.
pub(in crate::proxy) fn is_index_of_another(head: &RequestHeader, request: &Request, index: &str) -> bool {
    if !request.path_and_query(head).0.ends_with('/') {
        return false;
    }
    let Ok(Ok(made)) = with_current(head, request, |at| index_of(at, index)) else { return false };
    let listener = request.listener.as_ref().map(|listener| listener.settings.address);
    let route = plan::route(&request.table, listener, head, &made.text());
    route.is_ok_and(|route| Some(route) != request.route)
}

fn index_of(at: Current<'_>, index: &str) -> std::result::Result<Rewritten, BadPath> {
    Rewritten::new(&[at.path, index.as_bytes()].concat(), at.query.as_bytes())
}

/// Puts what a request has become in place of what was asked, on its way to an upstream; or its very bytes,
/// where other words stood for them inside.
///
/// # Errors
/// When a path does not fit into an address, which it came from.
pub(in crate::proxy) fn retarget(upstream: &mut RequestHeader, request: &Request) -> Result<()> {
    let is_http1 = upstream.version != Version::HTTP_2;
    if !upstream.headers.contains_key(HOST) && upstream.uri.authority().is_none() {
        // HTTP/1.0 need not name one. nginx would say its `$proxy_host`.
        let label = request.upstream().map_or("localhost", |upstream| &*upstream.label);
        upstream.insert_header(
            HOST,
            HeaderValue::from_str(label).unwrap_or(HeaderValue::from_static("localhost")),
        )?;
    }
    let Some(rewritten) = &request.rewritten else {
        if let Some(asked) = request.asked.as_ref().filter(|_| is_http1) {
            // Where even that cannot be carried, the escaped form stays: it means the same, or is exchanged
            // on its connection.
            let _ = upstream.set_raw_path(&asked.target);
        }
        return Ok(());
    };
    let mut parts = upstream.uri.clone().into_parts();
    parts.path_and_query = Some(rewritten.target().clone());
    upstream.set_uri(Uri::from_parts(parts).or_err(ErrorType::InternalError, "rewriting a path")?);
    Ok(())
}

fn turn(head: &RequestHeader, request: &Request) -> std::result::Result<Turn, Refusal> {
    let Some(route) = request.route().filter(|route| !route.rewriting.is_none()) else {
        return Ok(Turn::Kept);
    };
    plan::admits(route, request.client)?;
    let facts = rewrite::facts(head, request);
    with_current(head, request, |at| route.rewriting.turn(at, &facts))?.map_err(|_| Refusal::BadPath)
}

fn with_current<T>(
    head: &RequestHeader,
    request: &Request,
    look: impl FnOnce(Current<'_>) -> T,
) -> std::result::Result<T, Refusal> {
    if let Some(rewritten) = &request.rewritten {
        return Ok(look(rewritten.current()));
    }
    let path = route::plain(head.uri.path()).map_err(|_| Refusal::BadPath)?;
    Ok(look(Current { path: &path, query: head.uri.query().unwrap_or_default() }))
}

fn change(request: &mut Request, to: Option<Rewritten>) -> std::result::Result<(), Refusal> {
    if request.changes >= MOST_CHANGES {
        return Err(Refusal::Endless);
    }
    request.changes = request.changes.saturating_add(1);
    if let Some(to) = to {
        request.rewritten = Some(Box::new(to));
    }
    Ok(())
}

fn away<'a>(
    head: &RequestHeader,
    request: &Request,
    status: u16,
    location: Vec<u8>,
    names_host: bool,
) -> std::result::Result<Followed<'a>, Refusal> {
    if names_host && !refuse::is_host(rewrite::facts(head, request).host.as_bytes()) {
        return Err(Refusal::BadPath);
    }
    let location = HeaderValue::from_maybe_shared(Bytes::from(location)).map_err(|_| Refusal::BadPath)?;
    Ok(Followed::Away { status, location })
}
