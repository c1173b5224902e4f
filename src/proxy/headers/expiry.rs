//! Until when an answer may be kept, as its fields say it.

use crate::core::expires::{Expires, cache_control};
use crate::proxy::wire::answer_head::AnswerHead;
use crate::proxy::wire::date;
use http::header::{CACHE_CONTROL, EXPIRES, LAST_MODIFIED};
use jiff::fmt::rfc2822::DateTimeParser;

/// Sets `Expires` and `Cache-Control`.
pub(super) fn set(expires: &Expires, head: &mut AnswerHead) {
    let seconds = match expires {
        Expires::Fixed(date, cache_control) => {
            head.set(EXPIRES, date.clone());
            return head.set(CACHE_CONTROL, cache_control.clone());
        }
        Expires::In(seconds) => *seconds,
        Expires::SinceModified(seconds) => match modified_s(head) {
            // One that is to be kept no longer is over whenever it was changed.
            Some(modified_s) if *seconds > 0 => {
                modified_s.saturating_add(*seconds).saturating_sub(date::now_s())
            }
            _ => *seconds,
        },
    };
    head.set(EXPIRES, date::later(seconds));
    head.set(CACHE_CONTROL, cache_control(seconds));
}

/// When the content was last changed, in seconds since 1970.
fn modified_s(head: &AnswerHead) -> Option<i64> {
    let text = std::str::from_utf8(head.get(&LAST_MODIFIED)?).ok()?;
    DateTimeParser::new().parse_timestamp(text).ok().map(|time| time.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue, StatusCode};

    fn said(expires: &str, modified: &'static str) -> String {
        let mut head = AnswerHead::new(StatusCode::OK);
        head.add(LAST_MODIFIED, HeaderValue::from_static(modified));
        set(&Expires::read(expires).expect("a time"), &mut head);
        let field =
            |name: &HeaderName| String::from_utf8_lossy(head.get(name).expect("it is set")).into_owned();
        assert!(field(&EXPIRES).ends_with(" GMT"), "{}", field(&EXPIRES));
        field(&CACHE_CONTROL)
    }

    #[test]
    fn a_time_from_the_last_change_on_is_over_some_day() {
        let past = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(said("modified 1d", past), "no-cache");
        assert_eq!(said("modified 1d", "yesterday"), "max-age=86400");
        assert_eq!(said("modified -1d", past), "no-cache");
        let left = said("modified 90y", past);
        let left: i64 = left.strip_prefix("max-age=").and_then(|left| left.parse().ok()).expect("seconds");
        assert!((1..90 * 365 * 86_400).contains(&left), "{left}");
        assert_eq!((said("1m", past), said("max", past)), ("max-age=60".into(), "max-age=315360000".into()));
    }
}
