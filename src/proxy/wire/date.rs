//! The `Date` of answers, made once a second by each worker.
//!
//! Who sends an answer knows the time on the process clock; the wall clock is looked at when its next second begins.

use crate::observe::clock::wall;
use http::HeaderValue;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use std::cell::RefCell;

const SECOND_US: u64 = 1_000_000;

thread_local! {
    static DATE: RefCell<Date> =
        const { RefCell::new(Date { since_us: 0, until_us: 0, text: HeaderValue::from_static("") }) };
    static LATER: RefCell<Later> = const { RefCell::new(Later { now_s: 0, texts: Vec::new() }) };
}

/// Times of one second that are remembered.
const MOST_TEXTS: usize = 32;

/// Times by their distance from a second of the wall clock, both in seconds.
struct Later {
    now_s: i64,
    texts: Vec<(i64, HeaderValue)>,
}

/// A second, between two points on the process clock.
struct Date {
    since_us: u64,
    until_us: u64,
    text: HeaderValue,
}

/// What time it is, as HTTP says it (RFC 9110, 5.6.7); on the process clock, it is `now_us`.
pub(in crate::proxy) fn date(now_us: u64) -> HeaderValue {
    with(now_us, HeaderValue::clone)
}

/// Writes it.
pub(in crate::proxy) fn write(now_us: u64, out: &mut Vec<u8>) {
    with(now_us, |date| out.extend_from_slice(date.as_bytes()));
}

/// What time it is, in seconds since 1970.
pub(in crate::proxy) fn now_s() -> i64 {
    wall().as_second()
}

/// What time it is in so many seconds, or was before so many. A worker writes each time once a second.
pub(in crate::proxy) fn later(seconds: i64) -> HeaderValue {
    let now_s = wall().as_second();
    LATER.with_borrow_mut(|later| {
        if later.now_s != now_s || later.texts.len() >= MOST_TEXTS {
            (later.now_s, later.texts) = (now_s, Vec::new());
        }
        if let Some((_, text)) = later.texts.iter().find(|(known, _)| *known == seconds) {
            return text.clone();
        }
        let time = Timestamp::from_second(now_s.saturating_add(seconds)).unwrap_or(Timestamp::UNIX_EPOCH);
        let text = written(time);
        later.texts.push((seconds, text.clone()));
        text
    })
}

fn with<T>(now_us: u64, take: impl FnOnce(&HeaderValue) -> T) -> T {
    DATE.with_borrow_mut(|date| {
        if !(date.since_us..date.until_us).contains(&now_us) {
            let now = wall();
            let left_us = SECOND_US - now.as_microsecond().rem_euclid(SECOND_US as i64) as u64;
            *date = Date { since_us: now_us, until_us: now_us.saturating_add(left_us), text: written(now) };
        }
        take(&date.text)
    })
}

fn written(time: Timestamp) -> HeaderValue {
    let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&time);
    text.ok().and_then(|text| HeaderValue::try_from(text).ok()).unwrap_or(HeaderValue::from_static(""))
}
