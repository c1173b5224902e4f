//! Conditional requests and ranges (RFC 9110, 13 and 14): who has the file already, and who wants a part.

use super::open::Opened;
use http::header::{HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue};
use jiff::fmt::rfc2822::DateTimeParser;

/// Bytes of a file from `start`, without `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub start: u64,
    pub end: u64,
}

/// What a client is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Whole,
    /// 206
    Part(Part),
    /// It has the file: 304.
    Nothing,
    /// A range that the file does not have: 416.
    Beyond,
}

/// Whether the answer may be another than the whole file.
pub(super) fn are_there(headers: &HeaderMap) -> bool {
    [IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE].iter().any(|name| headers.contains_key(name))
}

pub(super) fn wanted(headers: &HeaderMap, file: &Opened) -> Wanted {
    let seconds = file.modified.as_ref().map(|(seconds, _)| *seconds);
    let has_it = match text(headers, IF_NONE_MATCH) {
        Some(tags) => names(tags, &file.etag),
        None => text(headers, IF_MODIFIED_SINCE).and_then(seconds_of) >= seconds && seconds.is_some(),
    };
    if has_it {
        return Wanted::Nothing;
    }
    let is_same = text(headers, IF_RANGE).is_none_or(|validator| {
        validator.as_bytes() == file.etag.as_bytes()
            || (seconds.is_some() && seconds_of(validator) == seconds)
    });
    // Several ranges, and what is no range, are answered with the whole.
    let range = headers.get(RANGE).filter(|_| is_same && headers.get_all(RANGE).iter().count() == 1);
    range
        .and_then(|range| range.to_str().ok())
        .and_then(|range| part(range, file.length))
        .unwrap_or(Wanted::Whole)
}

/// `None` for what is no single range of bytes.
fn part(range: &str, length: u64) -> Option<Wanted> {
    let (first, last) = range.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // More digits than a file can have bytes are still a number.
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let part = match (first, last) {
        ("", last) => Part { start: length.saturating_sub(number(last)?), end: length },
        (first, "") => Part { start: number(first)?, end: length },
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            Part { start: first, end: last.saturating_add(1).min(length) }
        }
    };
    Some(if part.start < part.end { Wanted::Part(part) } else { Wanted::Beyond })
}

/// Whether a list of tags, or `*`, names this one; weak and strong are the same here.
fn names(tags: &str, etag: &HeaderValue) -> bool {
    let same = |tag: &str| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes();
    tags.split(',').any(|tag| same(tag.trim()))
}

fn seconds_of(date: &str) -> Option<i64> {
    DateTimeParser::new().parse_timestamp(date).ok().map(|time| time.as_second())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn wanted_by(fields: &[(HeaderName, &'static str)]) -> Wanted {
        let file = Opened {
            file: Arc::new(std::fs::File::open("/dev/null").expect("opened")),
            length: 100,
            etag: HeaderValue::from_static("\"a-64\""),
            modified: Some((784_111_777, HeaderValue::from_static(DATE))),
            start: bytes::Bytes::new(),
        };
        let fields = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        wanted(&fields.collect(), &file)
    }

    #[test]
    fn who_has_the_file_gets_nothing() {
        for (name, value, expected) in [
            (IF_NONE_MATCH, "\"a-64\"", Wanted::Nothing),
            (IF_NONE_MATCH, "\"b\", W/\"a-64\"", Wanted::Nothing),
            (IF_NONE_MATCH, "*", Wanted::Nothing),
            (IF_NONE_MATCH, "\"b\"", Wanted::Whole),
            (IF_MODIFIED_SINCE, DATE, Wanted::Nothing),
            (IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:38 GMT", Wanted::Nothing),
            (IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:36 GMT", Wanted::Whole),
            (IF_MODIFIED_SINCE, "yesterday", Wanted::Whole),
        ] {
            assert_eq!(wanted_by(&[(name, value)]), expected, "{value}");
        }
        let both = [(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, DATE)];
        assert_eq!(wanted_by(&both), Wanted::Whole, "the tag says more than the date");
        assert_eq!(wanted_by(&[]), Wanted::Whole);
    }

    #[test]
    fn a_single_range_is_a_part() {
        let part = |start, end| Wanted::Part(Part { start, end });
        for (range, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=10-19", part(10, 20)),
            ("bytes=90-", part(90, 100)),
            ("bytes=90-1000", part(90, 100)),
            ("bytes=-10", part(90, 100)),
            ("bytes=-1000", part(0, 100)),
            ("bytes=100-", Wanted::Beyond),
            ("bytes=99999999999999999999999-", Wanted::Beyond),
            ("bytes=-0", Wanted::Beyond),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
        ] {
            assert_eq!(wanted_by(&[(RANGE, range)]), expected, "{range}");
        }
    }

    #[test]
    fn a_part_is_only_for_who_has_the_same_file() {
        let part = Wanted::Part(Part { start: 0, end: 1 });
        for (validator, expected) in [
            ("\"a-64\"", part),
            (DATE, part),
            ("\"b\"", Wanted::Whole),
            ("W/\"a-64\"", Wanted::Whole),
            ("Sun, 06 Nov 1994 08:49:38 GMT", Wanted::Whole),
        ] {
            assert_eq!(wanted_by(&[(RANGE, "bytes=0-0"), (IF_RANGE, validator)]), expected, "{validator}");
        }
    }
}
