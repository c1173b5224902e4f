//! Whether an answer is as expected, and what is missing where it is not.

use super::exchange::Answer;
use crate::core::pattern::Pattern;
use crate::core::settings::Statuses;
use http::header::LOCATION;

/// The most of a redirect's target that is shown, in characters.
const SHOWN: usize = 100;

/// # Errors
/// What is not as expected.
pub(super) fn judged(answer: &Answer, expect: &Statuses, pattern: Option<&Pattern>) -> Result<(), String> {
    if !expect.contains(answer.status) {
        let status = answer.status;
        let to = target(answer).map(|to| format!(" to {to}")).unwrap_or_default();
        return Err(format!("status {status}{to}, expected {expect}"));
    }
    match pattern.filter(|pattern| !fits(pattern, &answer.body)) {
        Some(pattern) => Err(format!("the body does not match {:?}", pattern.text())),
        None => Ok(()),
    }
}

/// A last line feed may stand behind what `$` ends.
fn fits(pattern: &Pattern, body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let line = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    pattern.is_match(text.as_bytes()) || line.is_some_and(|line| pattern.is_match(line.as_bytes()))
}

/// Where a redirect leads, without its query, which may be a secret.
fn target(answer: &Answer) -> Option<String> {
    let to = answer.headers.get(LOCATION).filter(|_| (300..=399).contains(&answer.status))?;
    let to = to.to_str().ok()?.split(['?', '#']).next()?;
    Some(to.chars().take(SHOWN).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue};

    fn answer(status: u16, body: &'static str) -> Answer {
        let (headers, trailers) = (HeaderMap::new(), HeaderMap::new());
        Answer { status, headers, body: body.into(), whole: true, trailers }
    }

    #[test]
    fn a_redirect_is_shown_with_its_target_and_not_its_query() {
        let mut moved = answer(302, "");
        moved.headers.insert(LOCATION, HeaderValue::from_static("/login?token=secret"));
        let why = judged(&moved, &Statuses::success(), None).expect_err("not expected");
        assert_eq!(why, "status 302 to /login, expected 200-299");
        assert_eq!(judged(&moved, &Statuses::new([(200, 200), (302, 302)]), None), Ok(()));
        let why = judged(&answer(503, ""), &Statuses::new([(200, 200)]), None).expect_err("not expected");
        assert_eq!(why, "status 503, expected 200");
    }

    #[test]
    fn a_body_is_searched_and_its_last_line_may_be_ended() {
        for (pattern, body, fits) in [
            ("ready", "is ready now", true),
            ("^ok$", "ok", true),
            ("^ok$", "ok\n", true),
            ("^ok$", "ok\r\n", true),
            ("^ok$", "ok\n\n", false),
            ("ready", "", false),
        ] {
            let pattern = Pattern::new(pattern, false).expect("a pattern");
            let found = judged(&answer(200, body), &Statuses::success(), Some(&pattern));
            assert_eq!(found.is_ok(), fits, "{pattern:?} in {body:?}");
        }
    }
}
