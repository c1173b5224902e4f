//! A line as an object.

use super::number::{decimal, seconds};
use super::{Attempted, Entry, Stamps, When, address, group_of, protocol, text, times, word};

pub(super) fn line(out: &mut Vec<u8>, entry: &Entry<'_>, when: When, stamps: &mut Stamps) {
    request(out, entry, when, stamps);
    target(out, entry);
    answer(out, entry);
    if let Some(last) = &entry.last {
        out.extend_from_slice(b",\"outcome\":\"");
        out.extend_from_slice(word(last.outcome).as_bytes());
        out.push(b'"');
        attempt_times(out, last, entry.head_us);
    }
    if let Some(cut) = entry.ended {
        field(out, b",\"ended\":\"", cut.label().as_bytes());
    }
    for (index, attempt) in entry.earlier.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"earlier\":[" } else { b"," });
        earlier(out, attempt);
    }
    if !entry.earlier.is_empty() {
        out.push(b']');
    }
    field(out, b",\"user_agent\":\"", entry.user_agent);
    field(out, b",\"referer\":\"", entry.referer);
    field(out, b",\"request_id\":\"", entry.request_id);
    if let Some(trace) = entry.trace_id {
        out.extend_from_slice(b",\"trace_id\":\"");
        out.extend_from_slice(trace);
        out.push(b'"');
    }
    field(out, b",\"forwarded_for\":\"", entry.forwarded_for);
    out.push(b'}');
}

/// When it came, from whom, and what it asked.
fn request(out: &mut Vec<u8>, entry: &Entry<'_>, when: When, stamps: &mut Stamps) {
    out.extend_from_slice(b"{\"time\":\"");
    stamps.written(out, when.written_us);
    out.extend_from_slice(b"\",\"start\":\"");
    stamps.started(out, when.started_us);
    out.push(b'"');
    if let Some(client) = entry.client {
        out.extend_from_slice(b",\"client\":\"");
        address::address(out, client);
        out.push(b'"');
    }
    field(out, b",\"user\":\"", entry.user);
    field(out, b",\"method\":\"", entry.method.as_bytes());
    field(out, b",\"host\":\"", entry.host);
    field(out, b",\"uri\":\"", entry.uri);
    out.extend_from_slice(b",\"protocol\":\"");
    out.extend_from_slice(protocol(entry.version).as_bytes());
    number(out, b"\",\"status\":", entry.status);
    number(out, b",\"bytes\":", entry.bytes_sent);
    time(out, b",\"request_time\":", Some(entry.request_us));
}

/// Where it went, and why.
fn target(out: &mut Vec<u8>, entry: &Entry<'_>) {
    field(out, b",\"service\":\"", entry.service.unwrap_or_default().as_bytes());
    field(out, b",\"pool\":\"", entry.pool.unwrap_or_default().as_bytes());
    field(out, b",\"upstream\":\"", entry.upstream.unwrap_or_default().as_bytes());
    if let Some(group) = group_of(entry) {
        out.extend_from_slice(b",\"group\":\"");
        group.for_each(|part| text::json(out, part));
        out.push(b'"');
    }
    field(out, b",\"by\":\"", entry.by.unwrap_or_default().as_bytes());
    number(out, b",\"attempts\":", entry.attempts);
}

fn answer(out: &mut Vec<u8>, entry: &Entry<'_>) {
    time(out, b",\"upstream_connect_time\":", entry.connect_us);
    time(out, b",\"upstream_header_time\":", entry.head_us);
    time(out, b",\"upstream_response_time\":", entry.response_us);
}

/// An attempt that another one followed.
fn earlier(out: &mut Vec<u8>, attempt: &Attempted<'_>) {
    out.extend_from_slice(b"{\"outcome\":\"");
    out.extend_from_slice(word(attempt.outcome).as_bytes());
    number(out, b"\",\"status\":", attempt.status);
    field(out, b",\"pool\":\"", attempt.pool.unwrap_or_default().as_bytes());
    field(out, b",\"upstream\":\"", attempt.upstream.unwrap_or_default().as_bytes());
    attempt_times(out, attempt, None);
    out.push(b'}');
}

fn attempt_times(out: &mut Vec<u8>, attempt: &Attempted<'_>, head: Option<u64>) {
    for (name, us) in times(attempt, head) {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        time(out, b"\":", Some(us));
    }
    if let Some(status) = attempt.grpc {
        number(out, b",\"grpc\":", status);
    }
    if attempt.is_aside {
        out.extend_from_slice(b",\"evidence\":false");
    }
}

/// A text, unless it is empty. `begin` is all up to its first character.
fn field(out: &mut Vec<u8>, begin: &[u8], value: &[u8]) {
    if !value.is_empty() {
        out.extend_from_slice(begin);
        text::json(out, value);
        out.push(b'"');
    }
}

fn number(out: &mut Vec<u8>, begin: &[u8], value: impl Into<u64>) {
    out.extend_from_slice(begin);
    decimal(out, value);
}

/// Of so many µs, in seconds.
fn time(out: &mut Vec<u8>, begin: &[u8], us: Option<u64>) {
    if let Some(us) = us {
        out.extend_from_slice(begin);
        seconds(out, us);
    }
}
