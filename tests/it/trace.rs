//! `traceparent` towards upstreams, and the trace in the access log.

use super::harness::{Connection, Origin, Pointsman, Reaction, Received, answer, eventually};
use serde_json::Value;

const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Two listeners, the second of which trusts this machine; `trace` is the key's line.
fn config(trace: &str, upstreams: &[&Origin]) -> String {
    let upstreams: Vec<_> = upstreams.iter().map(|origin| format!("\"{}\"", origin.address)).collect();
    format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\n{trace}\n[access_log]\npath = \"access.log\"\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
         [services.web]\n[services.web.pools.blue]\nupstreams = [{}]\nbalance = \"round_robin\"\n",
        upstreams.join(", ")
    )
}

/// A request at one of the listeners, with these lines; as the origin got it.
fn pass(pointsman: &Pointsman, listener: usize, lines: &str, origin: &Origin) -> Received {
    let mut client = Connection::open(pointsman.listeners[listener]);
    let request = format!("GET /x HTTP/1.1\r\nHost: web.example\r\n{lines}\r\n");
    assert_eq!(client.send(request.as_bytes()).status, 200);
    origin.last()
}

/// The parts of what an origin got: trace, span and flags.
fn parts(received: &Received) -> (String, String, String) {
    let text = received.header("traceparent").expect("a traceparent");
    assert_eq!((text.len(), &text[..3]), (55, "00-"), "{text}");
    (text[3..35].to_owned(), text[36..52].to_owned(), text[53..].to_owned())
}

/// The lines of the access log, once there are so many.
fn logged(pointsman: &Pointsman, lines: usize) -> Vec<Value> {
    let file = pointsman.dir.path().join("access.log");
    let text = || std::fs::read_to_string(&file).unwrap_or_default();
    eventually("the lines are written", || text().lines().count() >= lines);
    text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_trusted_trace_goes_on_and_all_others_begin_here() {
    let origin = Origin::named("blue");
    let pointsman = Pointsman::start(&config("trace = \"propagate\"", &[&origin]));
    let state = "tracestate: vendor=1\r\n";
    let trusted = pass(&pointsman, 1, &format!("traceparent: {SENT}\r\n{state}"), &origin);
    let (trace, span, flags) = parts(&trusted);
    assert_eq!(
        (trace.as_str(), flags.as_str(), trusted.header("tracestate")),
        (TRACE, "01", Some("vendor=1"))
    );
    assert_ne!(span, "00f067aa0ba902b7", "the parent is this proxy");
    let mut traces = vec![trace];
    for (listener, lines) in [
        (0, format!("traceparent: {SENT}\r\n{state}")),
        (1, format!("traceparent: {SENT}x\r\n{state}")),
        (1, format!("traceparent: {SENT}\r\ntraceparent: {SENT}\r\n{state}")),
        (1, state.to_owned()),
        (0, String::new()),
    ] {
        let received = pass(&pointsman, listener, &lines, &origin);
        let (trace, _, flags) = parts(&received);
        assert_eq!((flags.as_str(), received.header("tracestate")), ("01", None), "{lines}");
        assert_eq!(received.header("x-request-id"), Some(trace.as_str()), "one id for both");
        assert!(!traces.contains(&trace), "{trace} is new");
        traces.push(trace);
    }
    let logged: Vec<_> =
        logged(&pointsman, traces.len()).iter().map(|line| line["trace_id"].clone()).collect();
    assert_eq!(logged, traces, "the log has them");
}

#[test]
fn inject_begins_a_trace_for_everybody_and_off_changes_nothing() {
    let origin = Origin::named("blue");
    let pointsman = Pointsman::start(&config("trace = \"inject\"", &[&origin]));
    let lines = format!("traceparent: {SENT}\r\ntracestate: vendor=1\r\n");
    let received = pass(&pointsman, 1, &lines, &origin);
    assert_ne!(parts(&received).0, TRACE);
    assert_eq!(received.header("tracestate"), None);
    pointsman.configure(&config("", &[&origin]));
    let report = pointsman.call("POST", "/v1/reload", "").json();
    assert_eq!(report["changed"].to_string(), "[\"server.trace\"]", "{report}");
    for listener in [0, 1] {
        let received = pass(&pointsman, listener, &lines, &origin);
        assert_eq!(received.header("traceparent"), Some(SENT));
        assert_eq!(received.header("tracestate"), Some("vendor=1"));
        let odd = pass(&pointsman, listener, "traceparent: odd\r\n", &origin);
        assert_eq!(odd.header("traceparent"), Some("odd"));
    }
    assert_eq!(pass(&pointsman, 0, "", &origin).header("traceparent"), None);
    let lines = logged(&pointsman, 6);
    assert!(lines[0]["trace_id"].is_string() && lines[1..].iter().all(|line| line["trace_id"].is_null()));
}

#[test]
fn attempts_of_a_request_are_spans_of_one_trace() {
    let busy = || Origin::new(|_| Reaction::RawThenClose(answer(200, "")[..9].to_vec()));
    let origins = [busy(), busy(), Origin::named("good")];
    let pointsman = Pointsman::start(&config("trace = \"inject\"", &[&origins[0], &origins[1], &origins[2]]));
    let mut client = Connection::open(pointsman.http());
    let mut tried = Vec::new();
    eventually("a request is tried twice", || {
        let before: Vec<_> = origins.iter().map(Origin::requests).collect();
        client.get("/");
        tried =
            origins.iter().zip(before).filter(|(o, n)| o.requests() > *n).map(|(o, _)| o.last()).collect();
        tried.len() > 1
    });
    let all: Vec<_> = tried.iter().map(parts).collect();
    assert!(all.iter().all(|(trace, span, _)| trace == &all[0].0 && span[..14] == all[0].1[..14]), "{all:?}");
    let mut last: Vec<_> = all.iter().map(|(_, span, _)| span[14..].to_owned()).collect();
    last.sort();
    assert_eq!(last[..2], ["01", "02"]);
}
