//! The answer to an authority that asks whether a name is ours (ACME, HTTP-01). It comes before every
//! route and maintenance, in plain HTTP only, and only for the tokens of the order under way.

use super::answer::OwnAnswer;
use crate::proxy::listen::bound::Bound;
use crate::tls::Challenges;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

/// What the authority is to get for this path; `None` for everybody else's requests.
pub(in crate::proxy) fn answer(challenges: &Challenges, listener: &Bound, path: &str) -> Option<OwnAnswer> {
    if listener.settings.tls.is_some() {
        return None;
    }
    let mut answer = OwnAnswer::new(200, challenges.answer(path)?);
    answer.set(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Some(answer)
}
