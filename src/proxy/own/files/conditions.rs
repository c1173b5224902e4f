//! Conditional requests and ranges (RFC 9110, 13 and 14): who has the file already, and who wants a part.

use super::open::Opened;
use http::header::{
    HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, HeaderValue};
use jiff::fmt::rfc2822::DateTimeParser;
use std::borrow::Cow;

/// Bytes of a file from `start`, without `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub start: u64,
    pub end: u64,
}

/// What a client is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WantedPart {
    Whole,
    /// 206
    Part(Part),
    /// It has the file: 304.
    Nothing,
    /// It wants the file only as it was: 412.
    Another,
    /// A range that the file does not have: 416.
    Beyond,
}

/// Whether the answer may be another than the whole file.
pub(super) fn are_there(headers: &HeaderMap) -> bool {
    let names = [IF_MATCH, IF_UNMODIFIED_SINCE, IF_NONE_MATCH, IF_MODIFIED_SINCE, RANGE];
    names.iter().any(|name| headers.contains_key(name))
}

/// In the order of RFC 9110, 13.2.2.
pub(super) fn wanted(headers: &HeaderMap, file: &Opened) -> WantedPart {
    let seconds = file.modified.as_ref().map(|(seconds, _)| *seconds);
    if is_another(headers, (&file.etag, seconds)) {
        return WantedPart::Another;
    }
    let has_it = match listed(headers, IF_NONE_MATCH) {
        Some(tags) => names(&tags, &file.etag),
        None => text(headers, IF_MODIFIED_SINCE).and_then(seconds_of) >= seconds && seconds.is_some(),
    };
    if has_it {
        return WantedPart::Nothing;
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
        .unwrap_or(WantedPart::Whole)
}

/// Whether the file is not the one that the client names. Weak tags name none (RFC 9110, 13.1.1); a date that cannot be
/// read is passed over.
fn is_another(headers: &HeaderMap, (etag, seconds): (&HeaderValue, Option<i64>)) -> bool {
    if headers.contains_key(IF_MATCH) {
        let tags = listed(headers, IF_MATCH).unwrap_or_default();
        return !tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes());
    }
    let since = text(headers, IF_UNMODIFIED_SINCE).and_then(seconds_of);
    since.zip(seconds).is_some_and(|(since, seconds)| seconds > since)
}

/// All values of a field that is a list, as one.
fn listed(headers: &HeaderMap, name: HeaderName) -> Option<Cow<'_, str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?;
    let Some(second) = values.next() else { return Some(Cow::Borrowed(first)) };
    let rest = std::iter::once(second).chain(values).filter_map(|value| value.to_str().ok());
    Some(Cow::Owned(std::iter::once(first).chain(rest).collect::<Vec<_>>().join(",")))
}

/// `None` for what is no single range of bytes.
fn part(range: &str, length: u64) -> Option<WantedPart> {
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
    Some(if part.start < part.end { WantedPart::Part(part) } else { WantedPart::Beyond })
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

    fn wanted_by(fields: &[(HeaderName, &'static str)]) -> WantedPart {
        let file = Opened {
            file: Arc::new(std::fs::File::open("/dev/null").expect("opened")),
            kind: Some("text/plain"),
            index: None,
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
            (IF_NONE_MATCH, "\"a-64\"", WantedPart::Nothing),
            (IF_NONE_MATCH, "\"b\", W/\"a-64\"", WantedPart::Nothing),
            (IF_NONE_MATCH, "*", WantedPart::Nothing),
            (IF_NONE_MATCH, "\"b\"", WantedPart::Whole),
            (IF_MODIFIED_SINCE, DATE, WantedPart::Nothing),
            (IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:38 GMT", WantedPart::Nothing),
            (IF_MODIFIED_SINCE, "Sun, 06 Nov 1994 08:49:36 GMT", WantedPart::Whole),
            (IF_MODIFIED_SINCE, "yesterday", WantedPart::Whole),
        ] {
            assert_eq!(wanted_by(&[(name, value)]), expected, "{value}");
        }
        let both = [(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, DATE)];
        assert_eq!(wanted_by(&both), WantedPart::Whole, "the tag says more than the date");
        assert_eq!(wanted_by(&[]), WantedPart::Whole);
    }

    #[test]
    fn who_wants_the_file_as_it_was_gets_no_other() {
        const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
        for (fields, expected) in [
            (vec![(IF_MATCH, "\"a-64\"")], WantedPart::Whole),
            (vec![(IF_MATCH, "*")], WantedPart::Whole),
            (vec![(IF_MATCH, "\"b\", \"a-64\"")], WantedPart::Whole),
            (vec![(IF_MATCH, "\"b\"")], WantedPart::Another),
            (vec![(IF_MATCH, "W/\"a-64\"")], WantedPart::Another),
            (vec![(IF_MATCH, "")], WantedPart::Another),
            (vec![(IF_MATCH, "\"a-64\""), (IF_UNMODIFIED_SINCE, BEFORE)], WantedPart::Whole),
            (vec![(IF_MATCH, "\"a-64\""), (IF_NONE_MATCH, "\"a-64\"")], WantedPart::Nothing),
            (vec![(IF_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a-64\"")], WantedPart::Another),
            (vec![(IF_UNMODIFIED_SINCE, DATE)], WantedPart::Whole),
            (vec![(IF_UNMODIFIED_SINCE, BEFORE)], WantedPart::Another),
            (vec![(IF_UNMODIFIED_SINCE, "yesterday")], WantedPart::Whole),
            (vec![(IF_UNMODIFIED_SINCE, BEFORE), (RANGE, "bytes=0-0")], WantedPart::Another),
        ] {
            assert_eq!(wanted_by(&fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_single_range_is_a_part() {
        let part = |start, end| WantedPart::Part(Part { start, end });
        for (range, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=10-19", part(10, 20)),
            ("bytes=90-", part(90, 100)),
            ("bytes=90-1000", part(90, 100)),
            ("bytes=-10", part(90, 100)),
            ("bytes=-1000", part(0, 100)),
            ("bytes=100-", WantedPart::Beyond),
            ("bytes=99999999999999999999999-", WantedPart::Beyond),
            ("bytes=-0", WantedPart::Beyond),
            ("bytes=5-4", WantedPart::Whole),
            ("bytes=0-1,5-6", WantedPart::Whole),
            ("bytes=a-b", WantedPart::Whole),
            ("bytes=-", WantedPart::Whole),
            ("bytes=+1-2", WantedPart::Whole),
            ("lines=0-1", WantedPart::Whole),
        ] {
            assert_eq!(wanted_by(&[(RANGE, range)]), expected, "{range}");
        }
    }

    #[test]
    fn a_part_is_only_for_who_has_the_same_file() {
        let part = WantedPart::Part(Part { start: 0, end: 1 });
        for (validator, expected) in [
            ("\"a-64\"", part),
            (DATE, part),
            ("\"b\"", WantedPart::Whole),
            ("W/\"a-64\"", WantedPart::Whole),
            ("Sun, 06 Nov 1994 08:49:38 GMT", WantedPart::Whole),
        ] {
            assert_eq!(wanted_by(&[(RANGE, "bytes=0-0"), (IF_RANGE, validator)]), expected, "{validator}");
        }
    }
}
