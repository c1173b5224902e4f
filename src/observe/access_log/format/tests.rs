//! What both formats write.

use super::super::Cut;
use super::*;
use crate::core::outcome::Reason;
use proptest::prelude::*;

fn entry(hostile: &[u8]) -> Entry {
    Entry {
        client: Some([192, 0, 2, 1].into()),
        uri: hostile.to_vec(),
        service: Some("web".into()),
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
    let at = Timestamp::UNIX_EPOCH;
    line(&mut out, format, entry, When { started: at, written: at });
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
        prop_assert_eq!(combined.iter().filter(|b| **b == b'"').count(), 10);
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
    assert!(combined.contains("rt=1.235 uct=- uht=0.001 urt=0.002 start="), "{combined}");
}

#[test]
fn every_attempt_is_told_with_its_times() {
    let attempt = |pool: &str, outcome, began_us, took_us| Attempted {
        pool: Some(pool.into()),
        upstream: Some("10.0.0.3:80".into()),
        status: 200,
        grpc: Some(0),
        outcome,
        began_us,
        took_us,
        broke_us: None,
        whole_us: Some(2000),
        cut_us: None,
    };
    let failed = Attempted {
        status: 0,
        grpc: None,
        whole_us: None,
        ..attempt("green", Outcome::Failure(Reason::Connect), 0, 40)
    };
    let last = attempt("blue", Outcome::Success, 50, 1000);
    let entry = Entry { last: Some(last), earlier: vec![failed], pool: Some("blue".into()), ..entry(b"/") };
    let entry = Entry {
        ended: Some(Cut::ClientLeft),
        service: Some("web".into()),
        uri: b"/users/12345/posts?page=2".to_vec(),
        ..entry
    };
    let json: serde_json::Value = serde_json::from_slice(&lines(LogFormat::Json, &entry)).expect("JSON");
    assert_eq!(
        (&json["start"], &json["outcome"]),
        (&"1970-01-01T00:00:00.000000Z".into(), &"success".into())
    );
    assert_eq!((&json["began"], &json["outcome_time"]), (&0.00005.into(), &serde_json::Value::Null));
    assert_eq!(json["earlier"][0]["outcome"], "connect");
    assert_eq!(json["ended"], "client_left");
    assert_eq!((&json["grpc"], &json["duration"]), (&0.into(), &0.002.into()));
    assert_eq!(json["group"], "GET /users/*");
    assert_eq!(
        (&json["earlier"][0]["pool"], &json["earlier"][0]["outcome_time"]),
        (&"green".into(), &0.00004.into())
    );
    let combined = String::from_utf8(lines(LogFormat::Combined, &entry)).expect("text");
    let tail = "start=1970-01-01T00:00:00.000000Z request_id=- service=web pool=blue group=\"GET /users/*\" \
                outcome=success grpc=0 began=0.000050 outcome_time=0.001000 duration=0.002000 ended=client_left earlier=green;10.0.0.3:80;0;0.000000;0.000040;connect\n";
    assert!(combined.ends_with(tail), "{combined}");
}
