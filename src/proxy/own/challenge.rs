//! The answer to an authority that asks whether a name is ours (ACME, HTTP-01). It comes before every
//! route and maintenance, in plain HTTP only, and only for the tokens of the order under way.

use crate::proxy::listen::bound::Bound;
use crate::tls::Challenges;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

/// What the authority is to get for this path; `None` for everybody else's requests.
pub(in crate::proxy) fn answer(
    challenges: &Challenges,
    listener: Option<&Bound>,
    path: &str,
) -> Option<Bytes> {
    listener.filter(|listener| listener.settings.tls.is_none())?;
    challenges.answer(path)
}

/// # Errors
/// When the client cannot be written to.
pub(in crate::proxy) async fn send(session: &mut Session, answer: Bytes) -> Result<()> {
    let mut response = ResponseHeader::build(200, Some(2))?;
    response.insert_header(CONTENT_TYPE, "application/octet-stream")?;
    response.insert_header(CONTENT_LENGTH, answer.len())?;
    let is_head = session.req_header().method == http::Method::HEAD;
    session.write_response_header(Box::new(response), is_head).await?;
    if is_head { Ok(()) } else { session.write_response_body(Some(answer), true).await }
}
