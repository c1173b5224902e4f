//! What both formats write.

mod reference;

use super::super::Cut;
use super::*;
use crate::core::outcome::Reason;
use jiff::Timestamp;
use proptest::prelude::*;

fn entry(hostile: &[u8]) -> Entry<'_> {
    Entry {
        client: Some([192, 0, 2, 1].into()),
        method: "GET",
        uri: hostile,
        service: Some("web"),
        user_agent: hostile,
        referer: hostile,
        forwarded_for: hostile,
        status: 200,
        request_us: 1_234_567,
        head_us: Some(1000),
        response_us: Some(2000),
        ..Entry::default()
    }
}

fn lines(format: LogFormat, entry: &Entry<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    line(&mut out, format, entry, When { started_us: 0, written_us: 0 }, &mut Stamps::default());
    out
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let some =
        [&b"\"\\\n\r\t\x08\x0c\0\x1f\x7f"[..], "ä€🚂".as_bytes(), b"\xf0\x9f\x9a\xff", b"/users/12345/x?a=b"];
    let piece = prop_oneof![
        prop::sample::select(some.to_vec()).prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..40),
        "[ -~]{0,40}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

/// µs. Combined rounds to milliseconds, and `std` rounds what lies in the middle of two by its last bit.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![0..3_000_000u64, 0..1u64 << 45].prop_filter("a tie", |us| us % 1000 != 500)
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let all = [Outcome::Success, Outcome::Abandoned, Outcome::Ignored, Outcome::Failure(Reason::Connect)];
    prop::sample::select(all.to_vec())
}

/// An attempt without names.
fn attempt() -> impl Strategy<Value = Attempted<'static>> {
    let times =
        (time(), time(), prop::option::of(time()), prop::option::of(time()), prop::option::of(time()));
    ((outcome(), any::<bool>()), any::<u16>(), any::<Option<u8>>(), times).prop_map(
        |((outcome, is_aside), status, grpc, (began_us, took_us, broke_us, whole_us, cut_us))| Attempted {
            pool: None,
            upstream: None,
            number: 1,
            status,
            grpc,
            outcome,
            is_aside,
            began_us,
            took_us,
            broke_us,
            whole_us,
            cut_us,
        },
    )
}

/// A request without texts of its client.
fn request() -> impl Strategy<Value = Entry<'static>> {
    let versions =
        [Version::HTTP_09, Version::HTTP_10, Version::HTTP_11, Version::HTTP_2, Version::HTTP_3].to_vec();
    let head =
        (any::<Option<std::net::IpAddr>>(), prop::sample::select(versions), any::<u16>(), any::<u64>());
    let times = (time(), prop::option::of(time()), prop::option::of(time()), prop::option::of(time()));
    let attempts = (any::<u8>(), prop::option::of(attempt()), prop::collection::vec(attempt(), 0..3));
    (head, times, attempts).prop_map(|(head, times, (attempts, last, earlier))| Entry {
        client: head.0,
        method: "GET",
        version: head.1,
        status: head.2,
        bytes_sent: head.3,
        request_us: times.0,
        connect_us: times.1,
        head_us: times.2,
        response_us: times.3,
        attempts,
        ended: earlier.first().map(|_| Cut::ClientLeft),
        by: last.as_ref().map(|_| "weights"),
        last,
        earlier,
        ..Entry::default()
    })
}

proptest! {
    #[test]
    fn a_line_is_what_it_has_to_be(
        request in request(),
        texts in prop::collection::vec(text(), 6),
        is_traced: bool,
        names in prop::option::of("[a-z0-9.:-]{1,20}"),
        when in prop::collection::vec((-4_000_000_000_000_000i64..9_000_000_000_000_000, any::<bool>()), 1..4),
    ) {
        let [host, uri, user_agent, referer, request_id, forwarded_for] = &texts[..] else { unreachable!() };
        let name = names.as_deref();
        let trace_id = is_traced.then_some(b"0123456789abcdef0123456789abcdef");
        let mut entry = Entry { host, uri, user_agent, referer, request_id, trace_id, forwarded_for, ..request };
        (entry.service, entry.pool, entry.upstream) = (name, name, name);
        let attempts = entry.last.iter_mut().chain(&mut entry.earlier);
        attempts.for_each(|attempt| (attempt.pool, attempt.upstream) = (name, name));
        let mut stamps = Stamps::default();
        for (us, is_same) in when {
            let when = When { started_us: if is_same { us } else { us / 2 }, written_us: us };
            let time = |us| Timestamp::from_microsecond(us).expect("a time");
            let times = (time(when.started_us), time(when.written_us));
            let (mut lines, mut expected) = (Vec::new(), Vec::new());
            line(&mut lines, LogFormat::Json, &entry, when, &mut stamps);
            line(&mut lines, LogFormat::Combined, &entry, when, &mut stamps);
            reference::json(&mut expected, &entry, times);
            expected.push(b'\n');
            reference::combined(&mut expected, &entry, times);
            expected.push(b'\n');
            prop_assert_eq!(String::from_utf8_lossy(&lines), String::from_utf8_lossy(&expected));
        }
    }

    #[test]
    fn addresses_are_shown_as_std_shows_them(groups in any::<[u16; 8]>(), zeros in any::<u8>()) {
        let kept = |(index, group): (usize, u16)| if zeros >> index & 1 == 1 { 0 } else { group };
        let groups: Vec<u16> = groups.into_iter().enumerate().map(kept).collect();
        let v6 = std::net::Ipv6Addr::from(<[u16; 8]>::try_from(groups).expect("eight"));
        let mapped = std::net::Ipv4Addr::from(v6.to_bits() as u32).to_ipv6_mapped();
        for ip in [v6, mapped] {
            let mut out = Vec::new();
            address::address(&mut out, ip.into());
            prop_assert_eq!(String::from_utf8_lossy(&out), ip.to_string());
        }
    }

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
    let attempt = |pool: &'static str, outcome, began_us, took_us| Attempted {
        number: 1,
        pool: Some(pool),
        upstream: Some("10.0.0.3:80"),
        status: 200,
        grpc: Some(0),
        outcome,
        is_aside: false,
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
    let entry = Entry { last: Some(last), earlier: vec![failed], pool: Some("blue"), ..entry(b"/") };
    let entry = Entry { ended: Some(Cut::ClientLeft), uri: b"/users/12345/posts?page=2", ..entry };
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
