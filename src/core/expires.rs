//! Until when successes may be kept: nginx's `expires`.
//!
//! The text is taken apart by a pure function, so that one that a look-up gives may be read for each answer.

use super::template::{Template, Vocabulary};
use http::HeaderValue;

/// The last moment that times of 32 bits have room for, as nginx says it.
const LAST: HeaderValue = HeaderValue::from_static("Thu, 31 Dec 2037 23:55:55 GMT");
const FIRST: HeaderValue = HeaderValue::from_static("Thu, 01 Jan 1970 00:00:01 GMT");
const TEN_YEARS: HeaderValue = HeaderValue::from_static("max-age=315360000");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
/// Seconds of a hundred years: more is a mistake.
const MOST_SECONDS: i64 = 100 * 365 * 86_400;

/// What a route says of how long its answers may be kept.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpiryRule {
    Fixed(Expires),
    /// What [`Expires::read`] makes of it for each answer.
    Text(Template),
}

/// What is said of how long an answer may be kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Expires {
    /// So much as `Expires`, and the `Cache-Control` that says the same.
    Fixed(HeaderValue, HeaderValue),
    /// So many seconds after the answer; before it where they are negative.
    In(i64),
    /// So many seconds after its content was last changed, where that is known.
    SinceModified(i64),
}

impl ExpiryRule {
    /// What [`Expires::parse`] takes, or a text with variables.
    ///
    /// # Errors
    /// A sentence that says what may be written.
    pub fn parse(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Option<Self>, String> {
        let template = Template::parse(text, vocabulary)?;
        match template.fixed() {
            Some(fixed) => Ok(Expires::parse(fixed)?.map(ExpiryRule::Fixed)),
            None => Ok(Some(ExpiryRule::Text(template))),
        }
    }
}

impl Expires {
    /// `off` (nothing is said: `None`), `max`, `epoch`, a time such as `30d`, `1h30m`, `-1s` and `3600`, or one behind
    /// `modified`.
    ///
    /// # Errors
    /// A sentence that says what may be written.
    pub fn parse(text: &str) -> Result<Option<Expires>, String> {
        let read = Expires::read(text);
        if read.is_none() && text.trim() != "off" {
            return Err(format!(
                "\"{text}\" is no time; write for example \"30d\", \"max\", \"epoch\", \"-1s\", \"modified 1d\" or \"off\""
            ));
        }
        Ok(read)
    }

    /// The same; what it does not take is `off`.
    pub fn read(text: &str) -> Option<Expires> {
        match text.trim() {
            "max" => Some(Expires::Fixed(LAST, TEN_YEARS)),
            "epoch" => Some(Expires::Fixed(FIRST, NO_CACHE)),
            text => match text.strip_prefix("modified ") {
                // As nginx has it: no time is no time from anywhere.
                Some(time) => seconds(time.trim_start()).map(|time| match time {
                    0 => Expires::In(0),
                    time => Expires::SinceModified(time),
                }),
                None => seconds(text).map(Expires::In),
            },
        }
    }
}

/// The `Cache-Control` of what may be kept for so many seconds.
pub fn cache_control(seconds: i64) -> HeaderValue {
    if seconds < 0 {
        return NO_CACHE;
    }
    HeaderValue::try_from(format!("max-age={seconds}")).unwrap_or(NO_CACHE)
}

/// As nginx reads times: numbers with units, `M` for months and `m` for minutes; seconds without.
fn seconds(text: &str) -> Option<i64> {
    let (is_past, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut sum: i64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let number: i64 = number.parse().ok()?;
        let mut letters = after.chars();
        let unit = match letters.next() {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            Some('w') => 7 * 86_400,
            Some('M') => 30 * 86_400,
            Some('y') => 365 * 86_400,
            Some(_) => return None,
        };
        sum = number.checked_mul(unit).and_then(|part| sum.checked_add(part))?;
        rest = letters.as_str();
    }
    (sum <= MOST_SECONDS).then_some(if is_past { -sum } else { sum })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<(i64, String)> {
        let Expires::In(seconds) = Expires::parse(text).expect("accepted")? else {
            panic!("{text} is fixed")
        };
        Some((seconds, cache_control(seconds).to_str().expect("text").to_owned()))
    }

    #[test]
    fn times_are_read_as_nginx_reads_them() {
        for (text, seconds) in [
            ("30d", 2_592_000),
            ("1h30m", 5_400),
            ("1y", 31_536_000),
            ("1M", 2_592_000),
            ("60", 60),
            ("+2w", 1_209_600),
            ("0", 0),
        ] {
            assert_eq!(read(text), Some((seconds, format!("max-age={seconds}"))), "{text}");
        }
        assert_eq!(read("-1s"), Some((-1, "no-cache".to_owned())));
        assert_eq!(read("off"), None);
        for text in [
            "",
            "-",
            "soon",
            "1x",
            "d",
            "99999999999999999999",
            "101y",
            "1 d",
            "$expires",
            "modified",
            "modified max",
        ] {
            assert!(Expires::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_ends_of_time_are_fixed() {
        assert_eq!(Expires::read("max"), Some(Expires::Fixed(LAST, TEN_YEARS)));
        assert_eq!(Expires::read("epoch"), Some(Expires::Fixed(FIRST, NO_CACHE)));
        assert_eq!(Expires::read("modified +24h"), Some(Expires::SinceModified(86_400)));
        assert_eq!((Expires::read("modified 0"), Expires::read("")), (Some(Expires::In(0)), None));
    }

    #[test]
    fn a_text_with_variables_is_read_for_each_answer() {
        let of = Vocabulary { has_answer: true, ..Vocabulary::of_requests() };
        let rule = |text: &str| ExpiryRule::parse(text, &of);
        assert!(matches!(rule("$sent_http_x_keep"), Ok(Some(ExpiryRule::Text(_)))));
        assert_eq!(rule("1m"), Ok(Some(ExpiryRule::Fixed(Expires::In(60)))));
        assert_eq!(rule("off"), Ok(None));
        assert!(rule("$nothing").is_err() && rule("soon").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9smhdwMy $]{0,12}") {
            let _ = Expires::parse(&text);
        }
    }
}
