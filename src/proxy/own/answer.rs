//! Answers that the proxy makes itself: redirects and fixed replies, and how all of them leave.

use crate::core::route::{Redirect, Reply, Target};
use crate::core::template::Facts;
use crate::proxy::decide::{plan, refuse};
use crate::proxy::exchange::request::Request;
use crate::proxy::headers::compress::{self, Encoder};
use crate::proxy::headers::rewrite;
use crate::proxy::own::{error_page, files};
use crate::proxy::wire::linger;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, LOCATION, TRANSFER_ENCODING};
use http::{HeaderValue, Method};
use pingora_error::{ErrorType, OrErr, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use std::time::Duration;
use tokio::time::timeout;

/// A request body up to this is read and thrown away to keep the connection.
const DRAINED: u64 = 64 << 10;
/// How long a client of HTTP/2 may be silent after the answer to what it has not sent whole.
const STREAM_SILENCE: Duration = Duration::from_secs(1);

/// Whether a route has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Own {
    Sent,
    /// There is no file, and the route falls back. The request is untouched.
    FallsBack,
    /// What stands for a folder belongs to another route. The request is untouched.
    Index,
}

/// Answers as the request's route says, or says why another one has to.
///
/// # Errors
/// When the client cannot be written to, or a file breaks while it is sent.
pub(in crate::proxy) async fn own(session: &mut Session, request: &Request) -> Result<Own> {
    let target = request.route().map(|route| &route.target);
    if let Some(Target::Files(folder)) = target {
        return files::serve(session, request, folder).await;
    }
    drain(session, request).await?;
    match target {
        Some(Target::Redirect(to)) => redirect(session, request, to).await?,
        Some(Target::Reply(fixed)) => reply(session, request, fixed).await?,
        _ => error_page::send(session, request, 404).await?,
    }
    Ok(Own::Sent)
}

/// The methods that are passed on.
pub(in crate::proxy) const ALLOWED: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

/// Answers `OPTIONS *`, which asks the server itself (RFC 9110, 9.3.7): there is no upstream that it could mean.
///
/// # Errors
/// When the client cannot be written to.
pub(in crate::proxy) async fn server_itself(session: &mut Session, request: &Request) -> Result<()> {
    drain(session, request).await?;
    let mut head = ResponseHeader::build(200, Some(4))?;
    head.insert_header(ALLOW, ALLOWED)?;
    send(session, request, head, Bytes::new()).await
}

/// Sends the client elsewhere.
///
/// # Errors
/// When the client cannot be written to.
pub(in crate::proxy) async fn away(
    session: &mut Session,
    request: &Request,
    status: u16,
    location: HeaderValue,
) -> Result<()> {
    drain(session, request).await?;
    moved(session, request, status, location).await
}

async fn redirect(session: &mut Session, request: &Request, redirect: &Redirect) -> Result<()> {
    let Some(location) = location(redirect, &rewrite::facts(session.req_header(), request)) else {
        return error_page::send(session, request, 400).await;
    };
    moved(session, request, redirect.status, location).await
}

async fn moved(session: &mut Session, request: &Request, status: u16, location: HeaderValue) -> Result<()> {
    let mut head = ResponseHeader::build(status, Some(4))?;
    head.insert_header(LOCATION, location)?;
    send(session, request, head, Bytes::new()).await
}

/// `None` where the request names no host that could be redirected to.
fn location(redirect: &Redirect, facts: &Facts<'_>) -> Option<HeaderValue> {
    let host = crate::core::template::Variable::Host;
    if redirect.to.uses(host) && !refuse::is_host(facts.host.as_bytes()) {
        return None;
    }
    let mut text = Vec::with_capacity(128);
    redirect.to.fill(facts, &mut text);
    HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
}

async fn reply(session: &mut Session, request: &Request, reply: &Reply) -> Result<()> {
    let mut head = ResponseHeader::build(reply.status, Some(4))?;
    if !reply.body.is_empty() {
        head.insert_header(CONTENT_TYPE, reply.content_type.clone())?;
    }
    send(session, request, head, reply.body.clone()).await
}

/// Sends an answer whole, with its length and the route's own header fields.
///
/// # Errors
/// When the client cannot be written to.
pub(in crate::proxy) async fn send(
    session: &mut Session,
    request: &Request,
    mut head: ResponseHeader,
    body: Bytes,
) -> Result<()> {
    let has_none = matches!(head.status.as_u16(), 204 | 304);
    if !has_none {
        head.insert_header(CONTENT_LENGTH, body.len())?;
    }
    let is_bare = has_none || body.is_empty() || session.req_header().method == Method::HEAD;
    let mut encoder = begin(session, request, head, is_bare).await?;
    if is_bare {
        return Ok(());
    }
    write(session, encoder.as_deref_mut(), body, true).await
}

/// Sends a piece of the body of an answer, through the encoder that [`begin`] gave.
///
/// # Errors
/// When the client cannot be written to.
pub(in crate::proxy) async fn write(
    session: &mut Session,
    encoder: Option<&mut Encoder>,
    piece: Bytes,
    is_last: bool,
) -> Result<()> {
    let piece = match encoder {
        Some(encoder) => encoder.encode(&piece, is_last).or_err(ErrorType::InternalError, "compressing")?,
        None => piece,
    };
    if piece.is_empty() && !is_last {
        return Ok(());
    }
    session.write_response_body(Some(piece), is_last).await
}

/// Sends the head of an answer; `is_all` where no body follows. The pieces of a body go to [`write()`], with
/// the encoder.
///
/// # Errors
/// When the client cannot be written to.
pub(in crate::proxy) async fn begin(
    session: &mut Session,
    request: &Request,
    mut head: ResponseHeader,
    is_all: bool,
) -> Result<Option<Box<Encoder>>> {
    if may_go_on(session, request) {
        session.as_downstream_mut().set_close_on_response_before_downstream_finish(false);
    } else {
        session.set_keepalive(None);
    }
    rewrite::answer(session, request, &mut head)?;
    let compression = request.compression();
    let encoder =
        compression.map(|how| compress::begin(session.req_header(), &mut head, how)).transpose()?.flatten();
    if encoder.is_some() && !session.is_http2() {
        head.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
    }
    session.write_response_header(Box::new(head), is_all).await?;
    Ok(encoder)
}

/// Reads a small body for nothing, so that the connection may go on.
///
/// # Errors
/// When the client cannot be read from.
pub(in crate::proxy) async fn drain(session: &mut Session, request: &Request) -> Result<()> {
    if has_small_body(session, request) {
        while session.read_request_body().await?.is_some() {}
    }
    Ok(())
}

/// Whether another request can follow on the connection: not behind a body that would first have to be
/// read to an end that may be far. Its client hears the answer while the connection lingers. What is left of
/// a small one is read after the answer.
fn may_go_on(session: &mut Session, request: &Request) -> bool {
    session.is_http2() || session.as_downstream_mut().is_body_done() || has_small_body(session, request)
}

/// Whether what the client has yet to send is little.
fn has_small_body(session: &Session, request: &Request) -> bool {
    let header = session.req_header();
    let is_small = plan::body_length(header).is_some_and(|length| length <= DRAINED);
    // A client that waits for 100 has sent none yet, and need not do so any more.
    is_small && !request.expects && !header.headers.contains_key(EXPECT)
}

/// An exchange with an upstream has failed, and the client has been answered: whether its connection goes on.
/// Pingora closes it, but gives the stream back ([`Signals::keep`](crate::proxy::wire::client_stream::Signals::keep)).
pub(in crate::proxy) async fn keep(session: &mut Session, request: &Request) {
    let Some(connection) = &request.connection else { return };
    let left = session.get_keepalive_reuses_remaining().unwrap_or(u32::MAX);
    if session.get_keepalive().is_none() || left == 0 {
        return;
    }
    let is_whole = drain(session, request).await.is_ok() && session.as_downstream_mut().is_body_done();
    if is_whole && session.as_downstream_mut().finish_body().await.is_ok() {
        connection.signals.answered();
        connection.signals.keep(left);
    }
}

/// Reads on and drops what an answered request of HTTP/2 still brings; the end of the stream then says, by
/// `RST_STREAM(NO_ERROR)`, that the rest is not needed. Said at once, that takes the answer away from clients
/// that read both together: curl and Node among them.
pub(in crate::proxy) async fn linger(session: &mut Session, request: &Request) {
    if !session.is_http2() || session.as_downstream_mut().is_body_done() {
        return;
    }
    if session.as_downstream_mut().finish_body().await.is_err() {
        return;
    }
    if let Some(stream) = &request.stream {
        stream.give_turn();
    }
    let rest =
        async { while let Ok(Ok(Some(_))) = timeout(STREAM_SILENCE, session.read_request_body()).await {} };
    if timeout(linger::IN_ALL, rest).await.is_err() {
        tracing::debug!("a stream was ended that went on after its answer");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::template::{Template, Variable};

    #[test]
    fn a_redirect_goes_to_a_host_only() {
        let to = Template::parse("https://$host$request_uri", &[Variable::Host, Variable::RequestUri]);
        let redirect = Redirect { to: to.expect("accepted"), status: 301 };
        let facts = |host, uri| Facts {
            host,
            client: [192, 0, 2, 1].into(),
            scheme: "http",
            uri,
            path: "/",
            args: "",
            request_id: b"",
        };
        let location = |host, uri| location(&redirect, &facts(host, uri));
        assert_eq!(
            location("Shop.example", b"/a?b"),
            Some(HeaderValue::from_static("https://shop.example/a?b"))
        );
        assert_eq!(location("[::1]", b"/"), Some(HeaderValue::from_static("https://[::1]/")));
        for host in ["", "a b", "evil.example/", "a@b", "a?b"] {
            assert_eq!(location(host, b"/"), None, "{host}");
        }
        assert_eq!(location("a", b"/\r\nSet-Cookie: x=y"), None);
    }
}
