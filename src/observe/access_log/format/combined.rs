//! nginx's combined format, with `X-Forwarded-For` and the times appended: `rt`, `uct`, `uht` and `urt`; after
//! them what JSON says under the same names.

use super::number::{decimal, rounded, seconds};
use super::text::{combined as escaped, lossy};
use super::{Attempted, Entry, Stamps, When, address, group_of, protocol, times, word};

pub(super) fn line(out: &mut Vec<u8>, entry: &Entry<'_>, when: When, stamps: &mut Stamps) {
    match entry.client {
        Some(client) => address::address(out, client),
        None => out.push(b'-'),
    }
    out.extend_from_slice(b" - ");
    user(out, entry.user);
    out.extend_from_slice(b" [");
    stamps.written_combined(out, when.written_us);
    out.extend_from_slice(b"] \"");
    request(out, entry);
    request_times(out, entry);
    out.extend_from_slice(b" start=");
    stamps.started(out, when.started_us);
    out.extend_from_slice(b" request_id=");
    escaped(out, or_dash(entry.request_id));
    if let Some(trace) = entry.trace_id {
        out.extend_from_slice(b" trace_id=");
        out.extend_from_slice(trace);
    }
    target(out, entry);
    if let Some(last) = &entry.last {
        outcome(out, last);
    }
    if let Some(cut) = entry.ended {
        named(out, b" ended=", cut.label());
    }
    for (index, attempt) in entry.earlier.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b" earlier=" } else { b"," });
        earlier(out, attempt);
    }
}

/// A name never looks like the next field, whatever is in it.
fn user(out: &mut Vec<u8>, name: &[u8]) {
    for part in or_dash(name).split_inclusive(|byte| matches!(byte, b' ' | b'[' | b']')) {
        match part.split_last() {
            Some((b' ', plain)) => {
                escaped(out, plain);
                out.extend_from_slice(b"\\x20");
            }
            Some((b'[', plain)) => {
                escaped(out, plain);
                out.extend_from_slice(b"\\x5B");
            }
            Some((b']', plain)) => {
                escaped(out, plain);
                out.extend_from_slice(b"\\x5D");
            }
            _ => escaped(out, part),
        }
    }
}

/// What nginx has, and `X-Forwarded-For`.
fn request(out: &mut Vec<u8>, entry: &Entry<'_>) {
    escaped(out, entry.method.as_bytes());
    out.push(b' ');
    escaped(out, entry.uri);
    named(out, b" ", protocol(entry.version));
    out.extend_from_slice(b"\" ");
    decimal(out, entry.status);
    out.push(b' ');
    decimal(out, entry.bytes_sent);
    for value in [entry.referer, entry.user_agent, entry.forwarded_for] {
        out.extend_from_slice(b" \"");
        escaped(out, or_dash(value));
        out.push(b'"');
    }
}

fn request_times(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let times: [(&[u8], _); 4] = [
        (b" rt=", Some(entry.request_us)),
        (b" uct=", entry.connect_us),
        (b" uht=", entry.head_us),
        (b" urt=", entry.response_us),
    ];
    for (name, value) in times {
        out.extend_from_slice(name);
        match value {
            Some(us) => rounded(out, us),
            None => out.push(b'-'),
        }
    }
}

fn target(out: &mut Vec<u8>, entry: &Entry<'_>) {
    let names: [(&[u8], _); 3] =
        [(b" service=", entry.service), (b" pool=", entry.pool), (b" upstream=", entry.upstream)];
    for (name, value) in names {
        if let Some(value) = value {
            named(out, name, value);
        }
    }
    if let Some(group) = group_of(entry) {
        out.extend_from_slice(b" group=\"");
        group.flat_map(lossy).for_each(|part| escaped(out, part));
        out.push(b'"');
    }
}

fn outcome(out: &mut Vec<u8>, last: &Attempted<'_>) {
    named(out, b" outcome=", word(last.outcome));
    if let Some(status) = last.grpc {
        out.extend_from_slice(b" grpc=");
        decimal(out, status);
    }
    if last.is_aside {
        out.extend_from_slice(b" evidence=false");
    }
    // The head's time has milliseconds only.
    for (name, us) in times(last, None) {
        named(out, b" ", name);
        out.push(b'=');
        seconds(out, us);
    }
}

/// Pool, upstream, status, when it began, how long it took, and its outcome; then its gRPC status, and whether it is no
/// evidence.
fn earlier(out: &mut Vec<u8>, attempt: &Attempted<'_>) {
    out.extend_from_slice(attempt.pool.unwrap_or("-").as_bytes());
    named(out, b";", attempt.upstream.unwrap_or("-"));
    out.push(b';');
    decimal(out, attempt.status);
    for us in [attempt.began_us, attempt.took_us] {
        out.push(b';');
        seconds(out, us);
    }
    named(out, b";", word(attempt.outcome));
    if let Some(status) = attempt.grpc {
        out.push(b';');
        decimal(out, status);
    }
    if attempt.is_aside {
        out.extend_from_slice(b";aside");
    }
}

fn named(out: &mut Vec<u8>, begin: &[u8], value: &str) {
    out.extend_from_slice(begin);
    out.extend_from_slice(value.as_bytes());
}

fn or_dash(value: &[u8]) -> &[u8] {
    if value.is_empty() { b"-" } else { value }
}
