//! The two formats of a line. Whatever bytes a client sends, a line stays one line.

use super::Entry;
use crate::core::settings::LogFormat;
use jiff::Timestamp;
use std::io::Write;

/// Appends one line.
pub(super) fn line(out: &mut Vec<u8>, format: LogFormat, entry: &Entry, at: Timestamp) {
    match format {
        LogFormat::Json => json(out, entry, at),
        LogFormat::Combined => combined(out, entry, at),
    }
    out.push(b'\n');
}

/// Writing to memory cannot fail.
macro_rules! put {
    ($out:expr, $($text:tt)*) => { drop(write!($out, $($text)*)) };
}

fn json(out: &mut Vec<u8>, entry: &Entry, at: Timestamp) {
    put!(out, "{{\"time\":\"{at:.3}\"");
    if let Some(client) = entry.client {
        put!(out, ",\"client\":\"{client}\"");
    }
    text(out, "method", entry.method.as_str().as_bytes());
    text(out, "host", &entry.host);
    text(out, "uri", &entry.uri);
    put!(
        out,
        ",\"protocol\":\"{:?}\",\"status\":{},\"bytes\":{}",
        entry.version,
        entry.status,
        entry.bytes_sent
    );
    put!(out, ",\"request_time\":{:.6}", seconds(entry.request_us));
    for (name, value) in [("service", &entry.service), ("pool", &entry.pool), ("upstream", &entry.upstream)] {
        text(out, name, value.as_deref().unwrap_or_default().as_bytes());
    }
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
    text(out, "user_agent", &entry.user_agent);
    text(out, "referer", &entry.referer);
    text(out, "request_id", &entry.request_id);
    text(out, "forwarded_for", &entry.forwarded_for);
    out.push(b'}');
}

fn text(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if !value.is_empty() {
        put!(out, ",\"{name}\":");
        let value = String::from_utf8_lossy(value);
        let _ = serde_json::to_writer(out, &*value);
    }
}

/// nginx's combined format, with `X-Forwarded-For` and the times appended: `rt`, `uct`, `uht` and `urt`.
fn combined(out: &mut Vec<u8>, entry: &Entry, at: Timestamp) {
    match entry.client {
        Some(client) => put!(out, "{client}"),
        None => out.push(b'-'),
    }
    put!(out, " - - [{}] \"", at.strftime("%d/%b/%Y:%H:%M:%S +0000"));
    escaped(out, entry.method.as_str().as_bytes());
    out.push(b' ');
    escaped(out, &entry.uri);
    put!(out, " {:?}\" {} {} \"", entry.version, entry.status, entry.bytes_sent);
    escaped(out, or_dash(&entry.referer));
    out.extend_from_slice(b"\" \"");
    escaped(out, or_dash(&entry.user_agent));
    out.extend_from_slice(b"\" \"");
    escaped(out, or_dash(&entry.forwarded_for));
    put!(out, "\" rt={:.3}", seconds(entry.request_us));
    for (name, value) in [("uct", entry.connect_us), ("uht", entry.head_us), ("urt", entry.response_us)] {
        match value {
            Some(us) => put!(out, " {name}={:.3}", seconds(us)),
            None => put!(out, " {name}=-"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(hostile: &[u8]) -> Entry {
        Entry {
            client: Some([192, 0, 2, 1].into()),
            uri: hostile.to_vec(),
            user_agent: hostile.to_vec(),
            referer: hostile.to_vec(),
            forwarded_for: hostile.to_vec(),
            status: 200,
            request_us: 1_234_567,
            head_us: Some(1000),
            response_us: Some(2000),
            ..Entry::default()
        }
    }

    fn lines(format: LogFormat, entry: &Entry) -> Vec<u8> {
        let mut out = Vec::new();
        line(&mut out, format, entry, Timestamp::UNIX_EPOCH);
        out
    }

    proptest! {
        #[test]
        fn hostile_bytes_cannot_forge_a_line(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let json = lines(LogFormat::Json, &entry(&bytes));
            prop_assert_eq!(json.iter().filter(|b| **b == b'\n').count(), 1);
            serde_json::from_slice::<serde_json::Value>(&json).expect("each line is JSON");
            let combined = lines(LogFormat::Combined, &entry(&bytes));
            prop_assert_eq!(combined.iter().filter(|b| **b == b'\n').count(), 1);
            prop_assert_eq!(combined.iter().filter(|b| **b == b'"').count(), 8);
        }
    }

    #[test]
    fn the_formats_read_as_expected() {
        let json: serde_json::Value =
            serde_json::from_slice(&lines(LogFormat::Json, &entry(b"/a"))).expect("JSON");
        assert_eq!((&json["request_time"], &json["upstream_header_time"]), (&1.234567.into(), &0.001.into()));
        assert_eq!(json["upstream_response_time"], 0.002);
        assert_eq!(json["time"], "1970-01-01T00:00:00.000Z");
        let combined = String::from_utf8(lines(LogFormat::Combined, &entry(b"/a"))).expect("text");
        assert!(
            combined.starts_with("192.0.2.1 - - [01/Jan/1970:00:00:00 +0000] \"GET /a HTTP/1.1\" 200 0"),
            "{combined}"
        );
        assert!(combined.ends_with("rt=1.235 uct=- uht=0.001 urt=0.002\n"), "{combined}");
    }
}
