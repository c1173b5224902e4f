//! Static files: enough for ACME challenges and a folder beside the site.
//!
//! Only GET and HEAD; with a fallback, other methods go there for what is no file. Where a path leads is said by [`place`], what a client that has the file already, or
//! wants a part, gets by [`conditions`]. Opening and reading happen on threads of their own ([`open`]), a
//! piece at a time: a slow disk delays nobody else, and a slow client holds one piece in memory.

mod conditions;
mod kind;
mod open;
mod place;

use crate::core::own_limit::OwnLimit;
use crate::core::route::{Fallback, Files};
use crate::proxy::decide::follow;
use crate::proxy::exchange::request::Request;
use crate::proxy::headers::compress::Encoder;
use crate::proxy::own::answer::Own;
use crate::proxy::own::{answer, error_page};
use bytes::Bytes;
use conditions::{Part, Wanted};
use http::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION,
};
use http::{HeaderValue, Method};
use open::{Opened, Unopened};
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use std::sync::Arc;

/// Answers with the file that the path names, where there is one and no other route answers with it.
///
/// # Errors
/// When the client cannot be written to, or the file shrinks while it is sent.
pub(in crate::proxy) async fn serve(session: &mut Session, request: &Request, files: &Files) -> Result<Own> {
    let header = session.req_header();
    let found = find(header, request, files).await;
    if let Err(Unopened::Failed(403 | 404)) = found
        && matches!(files.fallback, Some(Fallback::Path(_) | Fallback::Route(_)))
    {
        return Ok(Own::FallsBack);
    }
    if found.is_ok() && follow::is_index_of_another(header, request, &files.index) {
        return Ok(Own::Index);
    }
    answer::drain(session, request).await?;
    match found {
        Ok((opened, kind)) => send(session, request, opened, kind).await?,
        Err(Unopened::Folder) => to_folder(session, request).await?,
        Err(Unopened::Failed(405)) => {
            let allow = (ALLOW, HeaderValue::from_static("GET, HEAD"));
            error_page::send_with(session, request, 405, Some(allow)).await?;
        }
        Err(Unopened::Failed(status)) => {
            if status == 503 {
                request.met(OwnLimit::Descriptors);
            }
            let status = match files.fallback {
                Some(Fallback::Status(instead)) if status == 404 => instead,
                _ => status,
            };
            error_page::send(session, request, status).await?;
        }
    }
    Ok(Own::Sent)
}

/// The file that the path names, and its kind.
async fn find(
    header: &RequestHeader,
    request: &Request,
    files: &Files,
) -> std::result::Result<(Opened, &'static str), Unopened> {
    let takes = matches!(header.method, Method::GET | Method::HEAD);
    if !takes && files.fallback.is_none() {
        return Err(Unopened::Failed(405));
    }
    let place = place::below(request.path_and_query(header).0, files).map_err(Unopened::Failed)?;
    let kind = kind::of(&place);
    let reads = header.method == Method::GET && !conditions::are_there(&header.headers);
    match open::open(files.root.clone(), place, reads).await {
        Err(Unopened::Folder) if !files.folders => Err(Unopened::Failed(404)),
        Ok(_) | Err(Unopened::Folder) if !takes => Err(Unopened::Failed(405)),
        opened => opened.map(|opened| (opened, kind)),
    }
}

async fn send(session: &mut Session, request: &Request, opened: Opened, kind: &'static str) -> Result<()> {
    let wanted = conditions::wanted(&session.req_header().headers, &opened);
    let Opened { file, length, etag, modified, start, .. } = opened;
    let (status, part) = match wanted {
        Wanted::Whole => (200, Part { start: 0, end: length }),
        Wanted::Part(part) => (206, part),
        Wanted::Nothing => (304, Part { start: 0, end: 0 }),
        Wanted::Beyond => {
            let range = HeaderValue::try_from(format!("bytes */{length}")).ok();
            return error_page::send_with(session, request, 416, range.map(|r| (CONTENT_RANGE, r))).await;
        }
    };
    let mut head = ResponseHeader::build(status, Some(8))?;
    head.insert_header(ETAG, etag)?;
    if let Some((_, text)) = modified {
        head.insert_header(LAST_MODIFIED, text)?;
    }
    if status != 304 {
        head.insert_header(CONTENT_TYPE, HeaderValue::from_static(kind))?;
        head.insert_header(CONTENT_LENGTH, HeaderValue::from(part.end - part.start))?;
        head.insert_header(ACCEPT_RANGES, HeaderValue::from_static("bytes"))?;
    }
    if status == 206 {
        head.insert_header(CONTENT_RANGE, format!("bytes {}-{}/{length}", part.start, part.end - 1))?;
    }
    let is_all = part.start == part.end || session.req_header().method == Method::HEAD;
    let encoder = answer::begin(session, request, head, is_all).await?;
    if is_all { Ok(()) } else { stream(session, encoder, file, part, start).await }
}

/// `first` is what has been read already, from the start of the file.
async fn stream(
    session: &mut Session,
    mut encoder: Option<Box<Encoder>>,
    file: Arc<std::fs::File>,
    part: Part,
    first: Bytes,
) -> Result<()> {
    let mut at = part.start;
    while at < part.end {
        let piece = match usize::try_from(at).ok().and_then(|at| first.get(at..)) {
            Some(read) if !read.is_empty() => {
                let wanted = usize::try_from(part.end - at).unwrap_or(usize::MAX).min(read.len());
                first.slice_ref(&read[..wanted])
            }
            _ => open::read(file.clone(), at, part.end - at).await?,
        };
        if piece.is_empty() {
            return Error::e_explain(ErrorType::ReadError, "the file has become shorter")
                .map_err(|e| e.into_in());
        }
        at += piece.len() as u64;
        answer::write(session, encoder.as_deref_mut(), piece, at >= part.end).await?;
    }
    Ok(())
}

/// A folder is asked for without the slash that makes links in its index work.
async fn to_folder(session: &mut Session, request: &Request) -> Result<()> {
    let (path, query) = request.path_and_query(session.req_header());
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::try_from(format!("{path}/{query}"));
    // What begins with two slashes would be read as another host.
    let Some(location) = location.ok().filter(|_| !path.starts_with("//")) else {
        return error_page::send(session, request, 404).await;
    };
    let mut head = ResponseHeader::build(301, Some(4))?;
    head.insert_header(LOCATION, location)?;
    answer::send(session, request, head, Bytes::new()).await
}
