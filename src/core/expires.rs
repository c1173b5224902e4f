//! Until when successes may be kept: nginx's `expires`.
//!
//! The text is taken apart by a pure function, so that one that a look-up gives may be read for each answer.

use http::HeaderValue;

/// The last moment that times of 32 bits have room for, as nginx says it.
const LAST: HeaderValue = HeaderValue::from_static("Thu, 31 Dec 2037 23:55:55 GMT");
const FIRST: HeaderValue = HeaderValue::from_static("Thu, 01 Jan 1970 00:00:01 GMT");
const TEN_YEARS: HeaderValue = HeaderValue::from_static("max-age=315360000");
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
/// Seconds of a hundred years: more is a mistake.
const MOST_SECONDS: i64 = 100 * 365 * 86_400;

/// What is said of how long an answer may be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Expires {
    pub date: ExpiryDate,
    pub cache_control: HeaderValue,
}

/// The value of `Expires`.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpiryDate {
    Fixed(HeaderValue),
    /// So many seconds after the answer; before it where they are negative.
    In(i64),
}

impl Expires {
    /// `off` (nothing is said: `None`), `max`, `epoch`, or a time such as `30d`, `1h30m`, `-1s` and `3600`.
    ///
    /// # Errors
    /// A sentence that says what may be written.
    pub fn parse(text: &str) -> Result<Option<Expires>, String> {
        let fixed = |date, cache_control| Ok(Some(Expires { date: ExpiryDate::Fixed(date), cache_control }));
        match text.trim() {
            "off" => Ok(None),
            "max" => fixed(LAST, TEN_YEARS),
            "epoch" => fixed(FIRST, NO_CACHE),
            time => {
                let seconds = seconds(time).ok_or_else(|| {
                    format!("\"{text}\" is no time; write for example \"30d\", \"max\", \"epoch\", \"-1s\" or \"off\"")
                })?;
                let age = HeaderValue::try_from(format!("max-age={seconds}")).ok();
                let cache_control = age.filter(|_| seconds >= 0).unwrap_or(NO_CACHE);
                Ok(Some(Expires { date: ExpiryDate::In(seconds), cache_control }))
            }
        }
    }
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
        let expires = Expires::parse(text).expect("accepted")?;
        let ExpiryDate::In(seconds) = expires.date else { panic!("{text} is fixed") };
        Some((seconds, expires.cache_control.to_str().expect("text").to_owned()))
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
        for text in ["", "-", "soon", "1x", "d", "99999999999999999999", "101y", "1 d", "$expires"] {
            assert!(Expires::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_ends_of_time_are_fixed() {
        let max = Expires::parse("max").expect("accepted").expect("said");
        assert_eq!((max.date, max.cache_control), (ExpiryDate::Fixed(LAST), TEN_YEARS));
        let epoch = Expires::parse("epoch").expect("accepted").expect("said");
        assert_eq!((epoch.date, epoch.cache_control), (ExpiryDate::Fixed(FIRST), NO_CACHE));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9smhdwMy $]{0,12}") {
            let _ = Expires::parse(&text);
        }
    }
}
