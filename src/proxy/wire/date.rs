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
