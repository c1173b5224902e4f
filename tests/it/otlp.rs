//! Spans at a collector: what it gets, and what becomes of requests while it takes none.

use super::harness::{Authority, Connection, Origin, Pointsman, Reaction, TlsOrigin, answer, eventually};
use serde_json::Value;

const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A service with these upstreams, traced by `trace`, and what `[otlp]` says.
fn config(trace: &str, upstreams: &[&Origin], otlp: &str) -> String {
    let upstreams: Vec<_> = upstreams.iter().map(|origin| format!("\"{}\"", origin.address)).collect();
    format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\ntrace = \"{trace}\"\n[otlp]\n{otlp}\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n\
         [[routes]]\nservice = \"web\"\n[[routes]]\npath = \"/quiet\"\nservice = \"web\"\naccess_log = false\n\
         [services.web]\n[services.web.pools.blue]\nupstreams = [{}]\nbalance = \"round_robin\"\n",
        upstreams.join(", ")
    )
}

fn at(collector: &Origin) -> String {
    format!("endpoint = \"http://{}/v1/traces\"", collector.address)
}

/// All spans that a collector got.
fn spans(collector: &Origin) -> Vec<Value> {
    let mut spans = Vec::new();
    for request in collector.all() {
        let document: Value = serde_json::from_slice(&request.body).expect("JSON");
        for resource in document["resourceSpans"].as_array().expect("resources") {
            for scope in resource["scopeSpans"].as_array().expect("scopes") {
                spans.extend(scope["spans"].as_array().expect("spans").iter().cloned());
            }
        }
    }
    spans
}

fn attribute(span: &Value, key: &str) -> Value {
    let all = span["attributes"].as_array().expect("attributes");
    let value = all.iter().find(|one| one["key"] == key).map(|one| one["value"].clone()).unwrap_or_default();
    value.get("stringValue").or(value.get("intValue")).cloned().unwrap_or_default()
}

fn ask(pointsman: &Pointsman, path: &str, lines: &str) -> u16 {
    let mut client = Connection::open(pointsman.http());
    client.send(format!("GET {path} HTTP/1.1\r\nHost: web.example\r\n{lines}\r\n").as_bytes()).status
}

/// How many requests came to this result.
fn counted(pointsman: &Pointsman, result: &str) -> u64 {
    let name = format!("pointsman_otlp_requests_total{{result=\"{result}\"}} ");
    let text = pointsman.get("/metrics").text();
    let count = text.lines().find_map(|line| line.strip_prefix(&name));
    count.and_then(|count| count.parse().ok()).expect("a count")
}

#[test]
fn a_collector_gets_a_span_for_each_request_and_each_attempt() {
    let broken = Origin::new(|_| Reaction::RawThenClose(answer(200, "")[..9].to_vec()));
    let (good, collector) = (Origin::named("good"), Origin::new(|_| Reaction::Answer(200, "{}".into())));
    let headers = "headers = { Authorization = \"Bearer abc\" }\nservice = \"front\"";
    let pointsman =
        Pointsman::start(&config("propagate", &[&broken, &good], &format!("{}\n{headers}", at(&collector))));
    eventually("a request is tried twice", || {
        assert_eq!(ask(&pointsman, "/a/17?b=c", &format!("traceparent: {SENT}\r\n")), 200);
        spans(&collector).iter().any(|span| attribute(span, "http.request.resend_count") == "1")
    });
    let got = collector.all();
    let first = got.first().expect("a request");
    assert_eq!(
        (first.line.as_str(), first.header("authorization")),
        ("POST /v1/traces HTTP/1.1", Some("Bearer abc"))
    );
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert!(
        String::from_utf8_lossy(&first.body)
            .contains(r#"{"key":"service.name","value":{"stringValue":"front"}}"#)
    );
    let all = spans(&collector);
    let again = all.iter().find(|span| attribute(span, "http.request.resend_count") == "1").expect("found");
    let request = all.iter().find(|span| span["spanId"] == again["parentSpanId"]).expect("its parent");
    assert_eq!((&request["traceId"], &request["parentSpanId"]), (&SENT[3..35].into(), &SENT[36..52].into()));
    assert_eq!((&request["kind"], &again["kind"]), (&2.into(), &3.into()));
    assert_eq!(
        (attribute(request, "url.path"), attribute(request, "url.query")),
        ("/a/17".into(), "b=c".into())
    );
    assert_eq!(attribute(request, "http.response.status_code"), "200");
    assert_eq!(attribute(again, "pointsman.upstream"), good.address.to_string());
    let passed_on =
        good.all().into_iter().filter_map(|received| received.header("traceparent").map(str::to_owned));
    assert!(
        passed_on.into_iter().any(|parent| again["spanId"] == parent[36..52]),
        "the attempt is what it names"
    );
    let failed =
        all.iter().filter(|span| span["parentSpanId"] == request["spanId"] && span["status"]["code"] == 2);
    assert_eq!(failed.map(|span| attribute(span, "error.type")).collect::<Vec<_>>(), ["reset"]);
}

#[test]
fn what_is_not_sampled_or_not_logged_is_not_sent() {
    let (web, collector) = (Origin::named("blue"), Origin::new(|_| Reaction::Answer(200, "{}".into())));
    let pointsman =
        Pointsman::start(&config("propagate", &[&web], &format!("{}\nsample = \"0%\"", at(&collector))));
    let unsampled = SENT.replace("-01", "-00");
    for lines in [String::new(), format!("traceparent: {unsampled}\r\n")] {
        assert_eq!(ask(&pointsman, "/", &lines), 200);
        assert!(web.last().header("traceparent").expect("one").ends_with("-00"));
    }
    assert_eq!(ask(&pointsman, "/quiet", &format!("traceparent: {SENT}\r\n")), 200);
    assert_eq!(ask(&pointsman, "/last", &format!("traceparent: {SENT}\r\n")), 200);
    eventually("the sampled one comes", || !spans(&collector).is_empty());
    let requests: Vec<_> = spans(&collector).iter().filter(|span| span["kind"] == 2).cloned().collect();
    assert_eq!(requests.iter().map(|span| attribute(span, "url.path")).collect::<Vec<_>>(), ["/last"]);
    assert_eq!((counted(&pointsman, "sent"), counted(&pointsman, "dropped")), (1, 0));
}

#[test]
fn what_may_be_taken_later_is_sent_again_and_what_may_not_is_counted() {
    let web = Origin::named("blue");
    let collector = Origin::new(|_| Reaction::Answer(503, "later".into()));
    let pointsman = Pointsman::start(&config("inject", &[&web], &at(&collector)));
    assert_eq!(ask(&pointsman, "/", ""), 200);
    eventually("it is asked again", || collector.requests() >= 2);
    collector.react(|_| Reaction::Answer(200, "{}".into()));
    eventually("it takes them", || counted(&pointsman, "sent") == 1);
    collector.react(|_| Reaction::Answer(400, "never".into()));
    let asked = collector.requests();
    assert_eq!(ask(&pointsman, "/", ""), 200);
    eventually("it refuses them", || counted(&pointsman, "refused") == 1);
    assert_eq!(collector.requests(), asked + 1, "once is enough");
    assert!(pointsman.log().contains("the collector takes no spans: it answered 400"), "{}", pointsman.log());
}

#[test]
fn the_last_spans_are_sent_at_the_end() {
    let (web, collector) = (Origin::named("blue"), Origin::new(|_| Reaction::Answer(200, "{}".into())));
    let pointsman = Pointsman::start(&config("inject", &[&web], &at(&collector)));
    assert_eq!(ask(&pointsman, "/", ""), 200);
    assert!(pointsman.terminate().0.success());
    assert_eq!(spans(&collector).iter().filter(|span| span["kind"] == 2).count(), 1);
}

#[test]
fn a_collector_by_tls_is_the_one_that_is_named() {
    let (authority, other, web) = (Authority::new(), Authority::called("another"), Origin::named("blue"));
    authority.write("collector", &["localhost"]);
    let collector = TlsOrigin::start(authority.server_config("collector"));
    let trusting = |authority: &Authority| {
        let port = collector.address.port();
        let otlp = format!("endpoint = \"https://localhost:{port}/v1/traces\"\nca = \"{}\"", authority.ca());
        Pointsman::start(&config("inject", &[&web], &otlp))
    };
    let (right, wrong) = (trusting(&authority), trusting(&other));
    assert_eq!((ask(&right, "/", ""), ask(&wrong, "/", "")), (200, 200));
    eventually("it takes them", || counted(&right, "sent") == 1);
    assert!(collector.was_asked("/v1/traces"));
    eventually("a stranger gets nothing", || counted(&wrong, "refused") == 1);
    assert_eq!(collector.asked().len(), 1);
}
