//! What is sent: the spans of many requests, with what they have in common.

use super::line::SpanLine;
use super::span;
use serde_json::{Value, json};

/// The body of a request to the collector, of lines as the workers have written them.
pub(super) fn of(service: &str, lines: &[u8]) -> String {
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let read = |line: &[u8]| match serde_json::from_slice::<SpanLine<'_>>(line) {
        Ok(line) => span::of(&line),
        // They are written in this process.
        Err(error) => {
            tracing::error!("a sampled request cannot be read: {error}");
            Vec::new()
        }
    };
    let spans: Vec<Value> = lines.flat_map(read).collect();
    let document = json!({
        "resourceSpans": [{
            "resource": { "attributes": [
                span::text("service.name", service),
                span::text("telemetry.sdk.name", "pointsman"),
                span::text("telemetry.sdk.language", "rust"),
                span::text("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
                span::number("process.pid", u64::from(std::process::id())),
            ] },
            "scopeSpans": [{
                "scope": { "name": "pointsman", "version": env!("CARGO_PKG_VERSION") },
                "spans": spans,
            }],
        }],
    });
    document.to_string()
}
