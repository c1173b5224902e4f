//! The `Date` of answers, made once a second by each worker.

use crate::observe::clock::unix_seconds;
use http::HeaderValue;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use std::cell::RefCell;

thread_local! {
    static DATE: RefCell<(u64, HeaderValue)> = const { RefCell::new((0, HeaderValue::from_static(""))) };
}

/// What time it is, as HTTP says it (RFC 9110, 5.6.7).
pub(in crate::proxy) fn date() -> HeaderValue {
    with(HeaderValue::clone)
}

/// Writes it.
pub(in crate::proxy) fn write(out: &mut Vec<u8>) {
    with(|date| out.extend_from_slice(date.as_bytes()));
}

fn with<T>(take: impl FnOnce(&HeaderValue) -> T) -> T {
    DATE.with_borrow_mut(|(second, value)| {
        let now = unix_seconds();
        if now != *second || value.is_empty() {
            (*second, *value) = (now, written(now));
        }
        take(value)
    })
}

fn written(second: u64) -> HeaderValue {
    let time = Timestamp::from_second(second as i64).unwrap_or_default();
    let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&time);
    text.ok().and_then(|text| HeaderValue::try_from(text).ok()).unwrap_or(HeaderValue::from_static(""))
}
