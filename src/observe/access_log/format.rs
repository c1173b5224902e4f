//! The two formats of a line. Whatever bytes a client sends, a line stays one line.
//!
//! Both say the outcome of each attempt and when that was known, so that a policy can be held against the
//! log afterwards (`pointsman replay`). A worker writes a line for each of its requests, so nothing here goes through
//! `std::fmt`, and nothing allocates but the line that outgrows its batch.

mod address;
mod combined;
mod json;
mod number;
mod stamp;
mod text;

pub(super) use number::decimal;
pub(super) use stamp::Stamps;

use super::entry::{Attempted, Entry};
use crate::core::group;
use crate::core::outcome::Outcome;
use crate::core::settings::LogFormat;
use http::Version;

/// When a request started, and when its line is written: µs since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    pub started_us: i64,
    pub written_us: i64,
}

/// Appends one line.
pub(super) fn line(out: &mut Vec<u8>, format: LogFormat, entry: &Entry<'_>, when: When, stamps: &mut Stamps) {
    match format {
        LogFormat::Json => json::line(out, entry, when, stamps),
        LogFormat::Combined => combined::line(out, entry, when, stamps),
    }
    out.push(b'\n');
}

/// The group that a policy counts the request in, where it has one of its own, in pieces: its method, and the shape
/// of its path.
fn group_of<'a>(entry: &Entry<'a>) -> Option<impl Iterator<Item = &'a [u8]>> {
    let method = [entry.method.as_bytes(), b" "].into_iter();
    entry.service.map(|_| method.chain(group::parts(group::path(entry.uri))))
}

/// `success`, `abandoned`, `ignored`, or why it failed.
fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Abandoned => "abandoned",
        Outcome::Ignored => "ignored",
        Outcome::Failure(reason) => reason.label(),
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// The times of an attempt that are not said otherwise: when it began, if not with the request; how long it
/// took to its outcome, if not to the `head` of the answer; and until its answer broke, was whole, or was cut short by
/// its client.
fn times(attempt: &Attempted<'_>, head: Option<u64>) -> impl Iterator<Item = (&'static str, u64)> {
    let began = (attempt.began_us > 0).then_some(("began", attempt.began_us));
    let took = (head != Some(attempt.took_us)).then_some(("outcome_time", attempt.took_us));
    let broke = attempt.broke_us.map(|us| ("broke_time", us));
    let whole = attempt.whole_us.map(|us| ("duration", us));
    [began, took, broke, whole, attempt.cut_us.map(|us| ("cut_time", us))].into_iter().flatten()
}

#[cfg(test)]
mod tests;
