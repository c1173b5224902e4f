//! The same two formats by `std::fmt`, `serde_json` and `jiff`: what a line has to be.

use super::super::{Attempted, Entry, times, word};
use crate::core::group;
use jiff::Timestamp;
use std::io::Write;

/// Writing to memory cannot fail.
macro_rules! put {
    ($out:expr, $($text:tt)*) => { drop(write!($out, $($text)*)) };
}

pub(super) fn json(out: &mut Vec<u8>, entry: &Entry<'_>, (started, written): (Timestamp, Timestamp)) {
    put!(out, "{{\"time\":\"{:.3}\",\"start\":\"{:.6}\"", written, started);
    if let Some(client) = entry.client {
        put!(out, ",\"client\":\"{client}\"");
    }
    text(out, "method", entry.method.as_bytes());
    text(out, "host", entry.host);
    text(out, "uri", entry.uri);
    put!(
        out,
        ",\"protocol\":\"{:?}\",\"status\":{},\"bytes\":{}",
        entry.version,
        entry.status,
        entry.bytes_sent
    );
    put!(out, ",\"request_time\":{:.6}", seconds(entry.request_us));
    for (name, value) in [("service", entry.service), ("pool", entry.pool), ("upstream", entry.upstream)] {
        text(out, name, value.unwrap_or_default().as_bytes());
    }
    text(out, "group", group_of(entry).unwrap_or_default().as_bytes());
    text(out, "by", entry.by.unwrap_or_default().as_bytes());
    put!(out, ",\"attempts\":{}", entry.attempts);
    for (name, value) in [
        ("upstream_connect_time", entry.connect_us),
        ("upstream_header_time", entry.head_us),
        ("upstream_response_time", entry.response_us),
    ] {
        if let Some(us) = value {
            put!(out, ",\"{name}\":{:.6}", seconds(us));
        }
    }
    if let Some(last) = &entry.last {
        put!(out, ",\"outcome\":\"{}\"", word(last.outcome));
        for (name, us) in times(last, entry.head_us) {
            put!(out, ",\"{name}\":{:.6}", seconds(us));
        }
        grpc(out, last);
    }
    if let Some(cut) = entry.ended {
        put!(out, ",\"ended\":\"{}\"", cut.label());
    }
    for (index, attempt) in entry.earlier.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"earlier\":[" } else { b"," });
        earlier(out, attempt);
    }
    if !entry.earlier.is_empty() {
        out.push(b']');
    }
    text(out, "user_agent", entry.user_agent);
    text(out, "referer", entry.referer);
    text(out, "request_id", entry.request_id);
    text(out, "trace_id", entry.trace_id.map_or(&b""[..], |trace| trace));
    text(out, "forwarded_for", entry.forwarded_for);
    out.push(b'}');
}

/// An attempt that another one followed.
fn earlier(out: &mut Vec<u8>, attempt: &Attempted<'_>) {
    put!(out, "{{\"outcome\":\"{}\",\"status\":{}", word(attempt.outcome), attempt.status);
    for (name, value) in [("pool", attempt.pool), ("upstream", attempt.upstream)] {
        text(out, name, value.unwrap_or_default().as_bytes());
    }
    for (name, us) in times(attempt, None) {
        put!(out, ",\"{name}\":{:.6}", seconds(us));
    }
    grpc(out, attempt);
    out.push(b'}');
}

fn grpc(out: &mut Vec<u8>, attempt: &Attempted<'_>) {
    if let Some(status) = attempt.grpc {
        put!(out, ",\"grpc\":{status}");
    }
    if attempt.is_aside {
        out.extend_from_slice(b",\"evidence\":false");
    }
}

/// The group that a policy counts the request in, where it has one of its own: its method, and the shape of its path.
fn group_of(entry: &Entry<'_>) -> Option<String> {
    entry.service.map(|_| group::name(entry.method, group::path(entry.uri)))
}

fn text(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if !value.is_empty() {
        put!(out, ",\"{name}\":");
        let value = String::from_utf8_lossy(value);
        let _ = serde_json::to_writer(out, &*value);
    }
}

/// nginx's combined format, with `X-Forwarded-For` and the times appended: `rt`, `uct`, `uht` and `urt`; after
/// them what JSON says under the same names.
pub(super) fn combined(out: &mut Vec<u8>, entry: &Entry<'_>, (started, written): (Timestamp, Timestamp)) {
    match entry.client {
        Some(client) => put!(out, "{client}"),
        None => out.push(b'-'),
    }
    put!(out, " - - [{}] \"", written.strftime("%d/%b/%Y:%H:%M:%S +0000"));
    escaped(out, entry.method.as_bytes());
    out.push(b' ');
    escaped(out, entry.uri);
    put!(out, " {:?}\" {} {} \"", entry.version, entry.status, entry.bytes_sent);
    escaped(out, or_dash(entry.referer));
    out.extend_from_slice(b"\" \"");
    escaped(out, or_dash(entry.user_agent));
    out.extend_from_slice(b"\" \"");
    escaped(out, or_dash(entry.forwarded_for));
    put!(out, "\" rt={:.3}", seconds(entry.request_us));
    for (name, value) in [("uct", entry.connect_us), ("uht", entry.head_us), ("urt", entry.response_us)] {
        match value {
            Some(us) => put!(out, " {name}={:.3}", seconds(us)),
            None => put!(out, " {name}=-"),
        }
    }
    put!(out, " start={:.6} request_id=", started);
    escaped(out, or_dash(entry.request_id));
    if let Some(trace) = entry.trace_id {
        put!(out, " trace_id={}", String::from_utf8_lossy(trace));
    }
    for (name, value) in [("service", entry.service), ("pool", entry.pool), ("upstream", entry.upstream)] {
        if let Some(value) = value {
            put!(out, " {name}={value}");
        }
    }
    if let Some(group) = group_of(entry) {
        out.extend_from_slice(b" group=\"");
        escaped(out, group.as_bytes());
        out.push(b'"');
    }
    if let Some(last) = &entry.last {
        put!(out, " outcome={}", word(last.outcome));
        if let Some(status) = last.grpc {
            put!(out, " grpc={status}");
        }
        if last.is_aside {
            out.extend_from_slice(b" evidence=false");
        }
        // The head's time has milliseconds only.
        for (name, us) in times(last, None) {
            put!(out, " {name}={:.6}", seconds(us));
        }
    }
    if let Some(cut) = entry.ended {
        put!(out, " ended={}", cut.label());
    }
    combined_earlier(out, entry);
}

fn combined_earlier(out: &mut Vec<u8>, entry: &Entry<'_>) {
    for (index, attempt) in entry.earlier.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b" earlier=" } else { b"," });
        let name = |name: Option<&str>| name.unwrap_or("-").to_owned();
        put!(out, "{};{};{}", name(attempt.pool), name(attempt.upstream), attempt.status);
        put!(out, ";{:.6};{:.6}", seconds(attempt.began_us), seconds(attempt.took_us));
        put!(out, ";{}", word(attempt.outcome));
        if let Some(status) = attempt.grpc {
            put!(out, ";{status}");
        }
        if attempt.is_aside {
            out.extend_from_slice(b";aside");
        }
    }
}

fn or_dash(value: &[u8]) -> &[u8] {
    if value.is_empty() { b"-" } else { value }
}

/// As nginx escapes: quotes, backslashes and everything outside printable ASCII as `\xHH`.
fn escaped(out: &mut Vec<u8>, value: &[u8]) {
    for byte in value {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f..=0xff => put!(out, "\\x{byte:02X}"),
            byte => out.push(*byte),
        }
    }
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}
