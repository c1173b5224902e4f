//! The spans of one request: that of the request itself, and one for each attempt on an upstream below it. Names are those
//! of OpenTelemetry's conventions for HTTP (1.23 and newer); what it has none for begins with `pointsman.`.

use super::line::{AttemptLine, SpanLine};
use jiff::Timestamp;
use serde_json::{Value, json};

const SERVER: u8 = 2;
const CLIENT: u8 = 3;
const ERROR: u8 = 2;
/// Methods that go by their names; others could be any.
const METHODS: [&str; 10] =
    ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"];
/// The outcome of an attempt that is no failure.
const NO_FAILURES: [&str; 3] = ["success", "abandoned", "ignored"];

/// All of a request, its own first.
pub(super) fn of(line: &SpanLine<'_>) -> Vec<Value> {
    let started = line.start.parse::<Timestamp>().map_or(0, Timestamp::as_microsecond);
    let last = line.last.outcome.as_ref().map(|_| &line.last);
    let attempts: Vec<_> = line.earlier.iter().chain(last).zip(&line.numbers).collect();
    let mut spans = vec![request(line, started)];
    for (index, (attempt, number)) in attempts.iter().enumerate() {
        // One that met the end of a connection was made again under its number; none has been made without one.
        let is_made_again = attempts.iter().skip(index + 1).any(|(_, later)| later == number);
        if **number > 0 && !is_made_again {
            spans.push(of_attempt(line, attempt, **number, started));
        }
    }
    spans
}

fn request(line: &SpanLine<'_>, started: i64) -> Value {
    let (path, query) =
        line.uri.split_once('?').map_or((&*line.uri, None), |(path, query)| (path, Some(query)));
    let error = match (line.status, &line.ended) {
        (500.., _) => Some(line.status.to_string()),
        (0, Some(ended)) => Some(ended.to_string()),
        _ => None,
    };
    let (host, port) = host_and_port(&line.host);
    let version =
        line.protocol.strip_prefix("HTTP/").map(|version| version.strip_suffix(".0").unwrap_or(version));
    let attributes = [
        method(line),
        Some(text("url.scheme", &line.scheme)),
        Some(text("url.path", path)),
        query.map(|query| text("url.query", query)),
        host.map(|host| text("server.address", host)),
        port.map(|port| number("server.port", port)),
        line.client.as_ref().map(|client| text("client.address", client)),
        Some(text("network.protocol.name", "http")),
        // As the conventions have it: 1.0, 1.1, 2.
        version.map(|version| text("network.protocol.version", if version == "1" { "1.0" } else { version })),
        line.user_agent.as_ref().map(|agent| text("user_agent.original", agent)),
        (line.status > 0).then(|| number("http.response.status_code", u64::from(line.status))),
        (line.status > 0).then(|| number("http.response.body.size", line.bytes)),
        error.as_ref().map(|error| text("error.type", error)),
        line.service.as_ref().map(|service| text("pointsman.service", service)),
        line.last.pool.as_ref().map(|pool| text("pointsman.pool", pool)),
        line.group.as_ref().map(|group| text("pointsman.group", group)),
        line.ended.as_ref().map(|ended| text("pointsman.ended", ended)),
        Some(text("pointsman.request_id", &line.request_id)),
    ];
    let name = line.group.as_deref().unwrap_or_else(|| known(&line.method).unwrap_or("HTTP"));
    let mut span =
        span((name, SERVER), (&line.trace_id, &line.span_id), (started, micros(line.request_time)));
    if let Some(parent) = &line.parent_id {
        span["parentSpanId"] = json!(parent);
    }
    finish(span, attributes.into_iter().flatten().collect(), error.is_some())
}

/// The attempt with this number.
fn of_attempt(line: &SpanLine<'_>, attempt: &AttemptLine<'_>, attempt_number: u8, started: i64) -> Value {
    let outcome = attempt.outcome.as_deref().unwrap_or_default();
    let error = match () {
        () if !outcome.is_empty() && !NO_FAILURES.contains(&outcome) => Some(outcome.to_owned()),
        () if attempt.status >= 400 => Some(attempt.status.to_string()),
        () => None,
    };
    let (host, port) = attempt.upstream.as_deref().map_or((None, None), host_and_port);
    let attributes = [
        method(line),
        host.map(|host| text("server.address", host)),
        port.map(|port| number("server.port", port)),
        (attempt.status > 0).then(|| number("http.response.status_code", u64::from(attempt.status))),
        (attempt_number > 1).then(|| number("http.request.resend_count", u64::from(attempt_number) - 1)),
        attempt.grpc.map(|status| number("rpc.grpc.status_code", u64::from(status))),
        error.as_ref().map(|error| text("error.type", error)),
        line.service.as_ref().map(|service| text("pointsman.service", service)),
        attempt.pool.as_ref().map(|pool| text("pointsman.pool", pool)),
        attempt.upstream.as_ref().map(|upstream| text("pointsman.upstream", upstream)),
        Some(text("pointsman.outcome", outcome)),
    ];
    // The last thing that is known of it.
    let ends = [attempt.broke_time, attempt.cut_time, attempt.duration, attempt.outcome_time];
    let took = ends.into_iter().flatten().next().or(line.upstream_header_time).unwrap_or_default();
    let id = format!("{}{attempt_number:02x}", line.span_id.get(..14).unwrap_or_default());
    let began = started.saturating_add(micros(attempt.began));
    let name = known(&line.method).unwrap_or("HTTP");
    let mut span = span((name, CLIENT), (&line.trace_id, &id), (began, micros(took)));
    span["parentSpanId"] = json!(line.span_id);
    finish(span, attributes.into_iter().flatten().collect(), error.is_some())
}

/// Times are µs since 1970, and how many it took.
fn span((name, kind): (&str, u8), (trace, id): (&str, &str), (start, took): (i64, i64)) -> Value {
    let nanos = |us: i64| format!("{}", i128::from(us) * 1000);
    json!({
        "traceId": trace,
        "spanId": id,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": nanos(start),
        "endTimeUnixNano": nanos(start.saturating_add(took)),
    })
}

fn finish(mut span: Value, attributes: Vec<Value>, is_error: bool) -> Value {
    span["attributes"] = Value::Array(attributes);
    if is_error {
        span["status"] = json!({ "code": ERROR });
    }
    span
}

fn method(line: &SpanLine<'_>) -> Option<Value> {
    Some(text("http.request.method", known(&line.method).unwrap_or("_OTHER")))
}

fn known(method: &str) -> Option<&str> {
    METHODS.contains(&method).then_some(method)
}

/// Of `10.0.0.1:3000`, `[::1]:80`, a name, or a socket in the file system.
fn host_and_port(text: &str) -> (Option<&str>, Option<u64>) {
    if text.is_empty() {
        return (None, None);
    }
    match text.rsplit_once(':').filter(|_| !text.starts_with("unix:")) {
        Some((host, port)) if !host.is_empty() && !port.is_empty() => match port.parse() {
            Ok(port) => (Some(host.trim_matches(['[', ']'])), Some(port)),
            Err(_) => (Some(text), None),
        },
        _ => (Some(text), None),
    }
}

fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

pub(super) fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// Whole numbers are texts in the protocol's JSON.
pub(super) fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(line: &str) -> Vec<Value> {
        of(&serde_json::from_str(line).expect("a line"))
    }

    fn attribute<'a>(span: &'a Value, key: &str) -> Option<&'a str> {
        let all = span["attributes"].as_array().expect("attributes");
        let value = &all.iter().find(|one| one["key"] == key)?["value"];
        value["stringValue"].as_str().or(value["intValue"].as_str())
    }

    const RETRIED: &str = r#"{"time":"2026-01-31T23:59:59.123Z","start":"2026-01-31T23:59:58.000001Z",
        "client":"192.0.2.7","method":"GET","host":"[::1]:8443","uri":"/users/1?a=b","protocol":"HTTP/2.0",
        "status":200,"bytes":5,"request_time":0.250000,"service":"web","pool":"blue","upstream":"10.0.0.2:3000",
        "group":"GET /users/*","by":"weights","attempts":2,"upstream_header_time":0.100000,
        "outcome":"success","began":0.050000,"duration":0.150000,"user_agent":"curl\"","request_id":"ab",
        "earlier":[{"outcome":"connect","status":0,"pool":"green","upstream":"unix:/run/a.sock","outcome_time":0.05}],
        "trace_id":"0123456789abcdef0123456789abcdef","span_id":"00f067aa0ba90200","parent_id":"00f067aa0ba902b7",
        "scheme":"https","attempt_status":200,"numbers":[1,2]}"#;

    #[test]
    fn a_request_is_a_span_with_one_below_it_for_each_attempt() {
        let spans = spans(RETRIED);
        let ids: Vec<_> = spans.iter().map(|span| (&span["spanId"], &span["parentSpanId"])).collect();
        assert_eq!(
            serde_json::to_string(&ids).expect("JSON"),
            r#"[["00f067aa0ba90200","00f067aa0ba902b7"],["00f067aa0ba90201","00f067aa0ba90200"],["00f067aa0ba90202","00f067aa0ba90200"]]"#
        );
        let [request, first, second] = &spans[..] else { unreachable!() };
        assert_eq!(
            (&request["name"], &request["kind"], request.get("status")),
            (&"GET /users/*".into(), &2.into(), None)
        );
        assert_eq!(request["startTimeUnixNano"], "1769903998000001000");
        assert_eq!(request["endTimeUnixNano"], "1769903998250001000");
        for (key, value) in [
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("url.scheme", "https"),
            ("url.path", "/users/1"),
            ("url.query", "a=b"),
            ("server.address", "::1"),
            ("server.port", "8443"),
            ("client.address", "192.0.2.7"),
            ("network.protocol.version", "2"),
            ("user_agent.original", "curl\""),
            ("pointsman.pool", "blue"),
        ] {
            assert_eq!(attribute(request, key), Some(value), "{key}");
        }
        assert_eq!((&first["status"]["code"], attribute(first, "error.type")), (&2.into(), Some("connect")));
        assert_eq!(
            (attribute(first, "server.address"), attribute(first, "server.port")),
            (Some("unix:/run/a.sock"), None)
        );
        assert_eq!((second.get("status"), attribute(second, "http.request.resend_count")), (None, Some("1")));
        assert_eq!(attribute(second, "server.port"), Some("3000"));
        assert_eq!(second["startTimeUnixNano"], "1769903998050001000");
        assert_eq!(second["endTimeUnixNano"], "1769903998200001000");
    }

    #[test]
    fn what_was_not_made_or_made_again_has_no_span() {
        let answered_here = r#"{"start":"2026-01-31T23:59:58Z","method":"BREW","uri":"/","protocol":"HTTP/1.1","status":503,
            "trace_id":"a","span_id":"00f067aa0ba90200","scheme":"http","outcome":"unavailable","attempt_status":0,
            "earlier":[{"outcome":"ignored"},{"outcome":"ignored"}],"numbers":[1,1,0]}"#;
        let spans = spans(answered_here);
        assert_eq!(spans.len(), 2, "{spans:?}");
        assert_eq!((attribute(&spans[0], "error.type"), &spans[0]["name"]), (Some("503"), &"HTTP".into()));
        assert_eq!(attribute(&spans[0], "http.request.method"), Some("_OTHER"));
        assert_eq!(spans[0].get("parentSpanId"), None);
    }
}
