//! Lines of every format, and of none.

use super::said::Said;
use super::template::Template;
use super::times::Local;
use super::{combined, json};
use crate::core::outcome::{Outcome, Reason};
use proptest::prelude::*;

/// Pool, status, begin, duration and outcome of each attempt.
fn tried<'a>(said: &'a Said<'_>) -> Vec<(&'a str, u16, u64, u64, Outcome)> {
    said.tried.iter().map(|t| (&*t.pool, t.code, t.began_us, t.took_us, t.outcome)).collect()
}

#[test]
fn our_own_lines_tell_of_every_attempt() {
    let line = br#"{"time":"2026-11-24T23:58:33.000Z","start":"2026-11-24T23:58:32.500000Z","client":"192.0.2.1",
        "status":200,"request_time":0.400000,"service":"web","pool":"blue","attempts":2,"upstream_header_time":0.050000,
        "outcome":"reset","began":0.100000,"broke_time":0.300000,"request_id":"a\"b",
        "earlier":[{"outcome":"connect","status":0,"pool":"green","outcome_time":0.000040}]}"#;
    let said = json::read(line).expect("read");
    assert_eq!((&*said.service, &*said.request, said.failed), ("web", "a\"b", true));
    assert_eq!((said.ended_us - said.started_us, said.tried[1].broke_us), (400_000, Some(300_000)));
    let failed = Outcome::Failure;
    let expected =
        [("green", 0, 0, 40, failed(Reason::Connect)), ("blue", 200, 100_000, 50_000, failed(Reason::Reset))];
    assert_eq!(tried(&said), expected);
    let line = "192.0.2.1 - - [24/Nov/2026:23:58:33 +0000] \"GET / HTTP/1.1\" 200 4 \"-\" \"-\" \"-\" rt=0.400 uct=0.000 \
                uht=0.050 urt=0.300 start=2026-11-24T23:58:32.500000Z request_id=ab service=web pool=blue \
                upstream=10.0.0.1:80 outcome=reset began=0.100000 outcome_time=0.050000 broke_time=0.300000 \
                earlier=green;10.0.0.3:80;0;0.000000;0.000040;connect";
    let said = combined::read(line).and_then(|fields| fields.said(&mut Local::default())).expect("read");
    assert_eq!((&*said.service, &*said.request, said.failed), ("web", "ab", true));
    assert_eq!(tried(&said), expected);
}

#[test]
fn what_is_no_evidence_says_nothing_whatever_its_outcome() {
    let line =
        br#"{"time":"2026-11-24T23:58:33.000Z","status":502,"request_time":0.4,"pool":"blue","attempts":2,
        "outcome":"status","evidence":false,
        "earlier":[{"outcome":"connect","status":0,"pool":"green","outcome_time":0.1,"evidence":false}]}"#;
    let said = json::read(line).expect("read");
    let outcomes = |said: &Said<'_>| said.tried.iter().map(|tried| tried.outcome).collect::<Vec<_>>();
    assert_eq!((outcomes(&said), said.failed), (vec![Outcome::Ignored; 2], true));
    let line = "192.0.2.1 - - [24/Nov/2026:23:58:33 +0000] \"GET / HTTP/1.1\" 502 4 \"-\" \"-\" \"-\" rt=0.400 uct=0.000 \
                uht=0.050 urt=0.300 start=2026-11-24T23:58:32.500000Z request_id=ab service=web pool=blue \
                upstream=10.0.0.1:80 outcome=status evidence=false outcome_time=0.050000 earlier=green;10.0.0.3:80;0;0.000000;0.000040;grpc;14;aside";
    let said = combined::read(line).and_then(|fields| fields.said(&mut Local::default())).expect("read");
    assert_eq!((outcomes(&said), said.tried[0].grpc), (vec![Outcome::Ignored; 2], Some(14)));
}

#[test]
fn a_log_of_before_outcomes_is_read_by_its_statuses() {
    let line = |status: u16, attempts: u8| {
        format!(
            r#"{{"time":"2026-11-24T23:58:33.000Z","status":{status},"request_time":0.4,"pool":"blue","attempts":{attempts}}}"#
        )
    };
    for (status, attempts, outcome) in [
        (200, 1, Outcome::Success),
        (500, 1, Outcome::Failure(Reason::Status)),
        (0, 1, Outcome::Ignored),
        (503, 0, Outcome::Failure(Reason::Unavailable)),
    ] {
        let line = line(status, attempts);
        let said = json::read(line.as_bytes()).expect("read");
        assert_eq!(said.tried[0].outcome, outcome, "{line}");
        assert_eq!((said.ended_us - said.started_us, said.tried[0].took_us), (400_000, 400_000));
    }
    let refused = line(413, 0);
    assert!(json::read(refused.as_bytes()).is_ok_and(|said| said.tried.is_empty()), "no upstream was asked");
}

proptest! {
    #[test]
    fn no_line_is_too_strange(text in "\\PC*", times in "[-0-9.e, :]*") {
        let template = Template::parse("$remote_addr [$msec] $status $upstream_addr;$request_time").expect("a format");
        let _ = json::read(text.as_bytes()).is_ok();
        let json = format!(r#"{{"time":"2026-11-24T23:58:33Z","status":200,"request_time":{times},"pool":"a"}}"#);
        let _ = json::read(json.as_bytes()).is_ok();
        for line in [
            text.clone(),
            format!("{text} [{times}] {times} {text};{times}"),
            format!("a - - [24/Nov/2026:23:58:33 +0000] \"{text}\" 502 1 uht={times} ua={text} rt={times} urt={times}"),
            format!("a - - [{times}] \"{text}\" 200 1 start={text} earlier={text};{times} outcome={text}"),
        ] {
            for fields in [combined::read(&line), template.read(&line)].into_iter().flatten() {
                let _ = fields.said(&mut Local::default()).is_ok();
            }
        }
    }
}
