//! Static files: enough for ACME challenges and a folder beside the site.
//!
//! Only GET and HEAD; with a fallback, other methods go there for what is no file. POST is refused where there is one,
//! as nginx does. Where a path leads is said by [`place`], what a client that has the file already, or wants a part, gets
//! by [`conditions`]. Opening and reading happen on threads of their own ([`open`]), a
//! piece at a time: a slow disk delays nobody else, and a slow client holds one piece in memory.

mod conditions;
mod kind;
mod listing;
mod open;
mod place;

use super::answer::{self, OwnAnswer, OwnBody};
use super::error_page;
use super::reading::Reading;
use crate::core::own_limit::OwnLimit;
use crate::core::route::{Autoindex, Fallback, FileCandidate, Files, decoded};
use crate::proxy::decide::follow::{Unanswered, is_index_of_another};
use crate::proxy::exchange::Request;
use crate::proxy::headers::rewrite::compared;
use conditions::{Part, WantedPart};
use http::header::{
    ACCEPT_RANGES, ALLOW, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, VARY,
};
use http::{HeaderValue, Method};
use listing::Listed;
use open::{FileLookup, FoundFile, Opened, Unopened};

/// The answer with the file that the path names, where there is one and no other route answers with it.
///
/// # Errors
/// Why the route gives no answer.
pub(super) async fn answer(request: &Request, files: &Files) -> Result<OwnAnswer, Unanswered> {
    let found = find(request, files).await;
    // A candidate that is a folder has been found, whatever is in it.
    let is_bare = files.candidates.is_empty() && matches!(found, Err(Unopened::Bare));
    if (is_bare || matches!(found, Err(Unopened::Failed(403 | 404))))
        && matches!(files.fallback, Some(Fallback::Path(_) | Fallback::Route(_)))
    {
        return Err(Unanswered::FallsBack);
    }
    if let Ok(FoundFile::File(Opened { index: Some(nth), .. })) = &found
        && files.index.get(*nth).is_some_and(|index| is_index_of_another(request, index))
    {
        return Err(Unanswered::Index(*nth));
    }
    Ok(match found {
        Ok(FoundFile::File(opened)) => with_file(request, files, opened),
        Ok(FoundFile::List(listed)) => with_list(request, files, &listed),
        Err(Unopened::Folder) => to_folder(request),
        Err(Unopened::Failed(405)) => {
            let allow = (ALLOW, HeaderValue::from_static("GET, HEAD"));
            error_page::error_with(request, 405, Some(allow))
        }
        Err(Unopened::Bare) => match files.fallback {
            Some(Fallback::Status(instead)) if is_bare => error_page::error(request, instead),
            _ => error_page::error(request, 403),
        },
        Err(Unopened::Failed(status)) => {
            let limit = (status == 503).then_some(OwnLimit::Descriptors);
            let status = match files.fallback {
                Some(Fallback::Status(instead)) if status == 404 => instead,
                _ => status,
            };
            let error = error_page::error(request, status);
            OwnAnswer { limit: limit.or(error.limit), ..error }
        }
    })
}

/// What the path stands for: itself, or the first of the route's candidates that is there.
async fn find(request: &Request, files: &Files) -> Result<FoundFile, Unopened> {
    let takes = matches!(request.head.method, Method::GET | Method::HEAD);
    let is_post = request.head.method == Method::POST;
    if !takes && !is_post && files.fallback.is_none() && files.candidates.is_empty() {
        return Err(Unopened::Failed(405));
    }
    let path = request.path_and_query().0;
    let mut found = Err(Unopened::Failed(404));
    if files.candidates.is_empty() {
        found = look(request, files, (path, files.strip), files.folders).await;
    }
    for candidate in &files.candidates {
        found = match candidate {
            FileCandidate::Path => look(request, files, (path, files.strip), false).await,
            FileCandidate::Suffixed(suffix) => {
                look(request, files, (&format!("{path}{suffix}"), files.strip), false).await
            }
            FileCandidate::Fixed(place) => look(request, files, (place, 0), false).await,
            FileCandidate::Folder => match look(request, files, (path, files.strip), true).await {
                Ok(FoundFile::File(Opened { index: None, .. })) => Err(Unopened::Failed(404)),
                found => found,
            },
        };
        if !matches!(found, Err(Unopened::Failed(403 | 404))) {
            break;
        }
    }
    match found {
        Ok(FoundFile::List(_)) if is_post => Err(Unopened::Bare),
        Err(Unopened::Folder | Unopened::Bare) if is_post => found,
        Ok(_) | Err(Unopened::Folder | Unopened::Bare) if !takes => Err(Unopened::Failed(405)),
        found => found,
    }
}

/// The file of a path, without its first bytes, or with `folders` what stands for the folder.
async fn look(
    request: &Request,
    files: &Files,
    (path, strip): (&str, usize),
    folders: bool,
) -> Result<FoundFile, Unopened> {
    let head = &request.head;
    let place = place::below(path, strip, folders).map_err(Unopened::Failed)?;
    let root = match &files.below {
        None => files.root.clone(),
        Some(_) => files.folder(&compared(request)).ok_or(Unopened::Failed(404))?,
    };
    let lookup = FileLookup {
        root,
        place,
        index: files.index.clone(),
        autoindex: files.autoindex != Autoindex::Off,
        symlinks: files.symlinks,
        reads: head.method == Method::GET && !conditions::are_there(&head.headers),
    };
    match open::open(lookup).await {
        Err(Unopened::Folder) if !folders => Err(Unopened::Failed(404)),
        found => found,
    }
}

/// JSON for those who ask for it, HTML for all others, unless all get JSON.
fn with_list(request: &Request, files: &Files, listed: &[Listed]) -> OwnAnswer {
    let is_json = files.autoindex == Autoindex::Json;
    let (kind, text) = if is_json || error_page::prefers_json(&request.head.headers) {
        ("application/json", listing::json(listed))
    } else {
        let path = decoded(request.path_and_query().0).unwrap_or_default();
        (error_page::HTML, listing::html(&String::from_utf8_lossy(&path), listed))
    };
    let mut answer = OwnAnswer::new(200, text.into());
    answer.set(CONTENT_TYPE, HeaderValue::from_static(kind));
    if !is_json {
        answer.set(VARY, HeaderValue::from_static("Accept"));
    }
    answer
}

fn with_file(request: &Request, files: &Files, opened: Opened) -> OwnAnswer {
    let wanted = conditions::wanted(&request.head.headers, &opened);
    let Opened { file, kind, length, etag, modified, start, .. } = opened;
    let (status, part) = match wanted {
        WantedPart::Whole => (200, Part { start: 0, end: length }),
        WantedPart::Part(part) => (206, part),
        WantedPart::Nothing => (304, Part { start: 0, end: 0 }),
        WantedPart::Another => return error_page::error(request, 412),
        WantedPart::Beyond => {
            let range = HeaderValue::try_from(format!("bytes */{length}")).ok();
            return error_page::error_with(request, 416, range.map(|range| (CONTENT_RANGE, range)));
        }
    };
    let reading = Reading::new(file, (part.start, part.end), start);
    let mut answer = OwnAnswer::with_body(status, OwnBody::File(reading));
    answer.set(ETAG, etag);
    if let Some((_, text)) = modified {
        answer.set(LAST_MODIFIED, text);
    }
    if status != 304 {
        answer.set(CONTENT_TYPE, kind.map_or_else(|| files.default_type.clone(), HeaderValue::from_static));
        answer.set(CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
        answer.set(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    }
    if status == 206
        && let Ok(range) = HeaderValue::try_from(format!("bytes {}-{}/{length}", part.start, part.end - 1))
    {
        answer.set(CONTENT_RANGE, range);
    }
    answer
}

/// A folder is asked for without the slash that makes links in its index work.
fn to_folder(request: &Request) -> OwnAnswer {
    let (path, query) = request.path_and_query();
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    // What begins with two slashes would be read as another host.
    match HeaderValue::try_from(format!("{path}/{query}")).ok().filter(|_| !path.starts_with("//")) {
        Some(location) => answer::away(301, location),
        None => error_page::error(request, 404),
    }
}
