//! Hostile clients and broken upstreams. What counts is not only what the client is answered but which
//! bytes went on: a request is refused whole, or forwarded once in a form that has one reading.
//!
//! The suites are tables; each prints how many of its cases hold.

#![allow(clippy::too_many_lines, reason = "a table of cases is as long as it is")]

mod answers;
mod case;
mod conformance;
mod downgrade;
mod faults;
mod floods;
mod flow;
mod framing;
pub mod h2;
mod head;
pub mod recorder;
mod slow;
mod upstream;

use super::harness::{Origin, Pointsman, Reaction, eventually};
use case::{Case, Way, run};
use recorder::Recorder;

/// A proxy before the recorder; `listener` is more of its listener.
fn before(recorder: &Recorder, listener: &str) -> Pointsman {
    Pointsman::start(&format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n{listener}\n\
         limits = {{ requests_per_connection = 1000000, header_size = \"16k\", headers = 60 }}\n\
         [services.web]\n[services.web.pools.blue]\npassive = {{ max_fails = 0 }}\nupstreams = [\"{}\"]\n",
        recorder.address
    ))
}

/// Runs a table, each case in one piece and byte by byte; prints the figures, and fails with what failed.
fn judge(title: &str, cases: &[Case]) {
    // Half a request may arrive late, and must not be told of a case that lets nothing through.
    let [strict, loose] = [(), ()].map(|()| {
        let recorder = Recorder::start();
        (before(&recorder, ""), recorder)
    });
    let mut failed = Vec::new();
    for case in cases {
        let (pointsman, recorder) = if case.may_leave_halves() { &loose } else { &strict };
        for way in [Way::Whole, Way::Bytes] {
            if let Err(fault) = run(case, way, pointsman.http(), recorder) {
                failed.push(format!("{} ({way:?}): {fault}", case.name));
                break;
            }
        }
    }
    println!("{title}: {} of {}", cases.len() - failed.len(), cases.len());
    assert!(failed.is_empty(), "{title}:\n{}", failed.join("\n"));
}

#[test]
fn http1_requests_are_refused_or_forwarded_once_in_one_reading() {
    let cases: Vec<Case> = [framing::lengths(), framing::encodings(), framing::chunks()]
        .into_iter()
        .chain([head::lines(), head::fields(), head::hosts(), head::targets(), head::limits()])
        .chain([flow::hop_by_hop(), flow::pipelines(), flow::unfinished()])
        .flatten()
        .collect();
    assert!(cases.len() >= 150, "{}", cases.len());
    judge("HTTP/1", &cases);
}

#[test]
fn broken_upstreams_are_charged_and_never_break_what_follows() {
    let all: Vec<_> = [faults::harmless(), faults::heads(), faults::ends()].into_iter().flatten().collect();
    assert!(all.len() >= 100, "{}", all.len());
    let failed = faults::failures(&all);
    println!("upstream faults: {} of {}", all.len() - failed.len(), all.len());
    assert!(failed.is_empty(), "upstream faults:\n{}", failed.join("\n"));
}

#[test]
fn http2_requests_are_one_request_in_http1_or_none() {
    let recorder = Recorder::start();
    let dir = tempfile::tempdir().expect("a directory");
    let (tls, root) = h2::certificate(dir.path());
    let pointsman = before(&recorder, &tls);
    let cases = downgrade::cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    let failed: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let fault = downgrade::run(case, pointsman.http(), &root, &recorder).err()?;
            Some(format!("{}: {fault}", case.name))
        })
        .collect();
    println!("downgrade to HTTP/1: {} of {}", cases.len() - failed.len(), cases.len());
    assert!(failed.is_empty(), "downgrade:\n{}", failed.join("\n"));
}

#[test]
fn floods_neither_fill_the_memory_nor_starve_others() {
    let (count, failed) = floods::failures();
    println!("floods: {} of {count}", count - failed.len().min(count));
    assert!(failed.is_empty(), "floods:\n{}", failed.join("\n"));
}

#[test]
fn a_connection_has_the_streams_that_its_listener_allows() {
    let origin = Origin::new(|_| Reaction::Hang);
    let before = |limits: &str| {
        Pointsman::start(&format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n{limits}\n\
             [services.web]\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n",
            origin.address
        ))
    };
    for (limits, most) in [("", 32), ("limits = { streams = 3 }", 3)] {
        let pointsman = before(limits);
        let asked = origin.requests();
        let mut h2 = h2::H2::plain(pointsman.http()).expect("a connection");
        h2.raw(h2::PREFACE).and_then(|()| h2.frame(h2::SETTINGS, 0, 0, &[])).expect("written");
        let settings = h2.find(|frame| frame.kind == h2::SETTINGS).expect("settings");
        let mut said = settings.payload.chunks(6).filter(|setting| setting[..2] == [0, 3]);
        assert_eq!(said.next(), Some(&[0, 3, 0, 0, 0, most as u8][..]), "{limits:?}");
        // As long as it is not acknowledged, one more waits, until another ends.
        let more = 2 * most + 1;
        (0..=most).try_for_each(|n| h2.get(2 * n + 1, "/")).expect("written");
        eventually("all but one are asked for", || origin.requests() - asked == u64::from(most));
        h2.frame(h2::RST_STREAM, 0, 1, &[0, 0, 0, 8]).expect("written");
        eventually("the last one is too", || origin.requests() - asked == u64::from(most) + 1);
        // Then it is refused.
        h2.frame(h2::SETTINGS, h2::ACK, 0, &[]).and_then(|()| h2.get(more + 2, "/")).expect("written");
        let refused = h2.find(|frame| frame.kind == h2::RST_STREAM).expect("one too many");
        assert_eq!((refused.stream, refused.number(0)), (more + 2, 7), "{limits:?}");
        assert_eq!(origin.requests() - asked, u64::from(most) + 1);
    }
}

#[test]
fn http2_is_spoken_by_the_letter() {
    let origin = Origin::new(|request| match request.path() {
        "/hang" => Reaction::Hang,
        "/late" => Reaction::Late(std::time::Duration::from_millis(200), 200, "late".into()),
        "/long" => Reaction::ok("a longer body"),
        _ => Reaction::ok("ok"),
    });
    let dir = tempfile::tempdir().expect("a directory");
    let (tls, root) = h2::certificate(dir.path());
    let before = |listener: &str| {
        Pointsman::start(&format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\n{listener}\n\
             [services.web]\n[services.web.pools.blue]\npassive = {{ max_fails = 0 }}\nupstreams = [\"{}\"]\n",
            origin.address
        ))
    };
    let (secure, plain) = (before(&tls), before("h2c = true"));
    let cases = conformance::cases();
    assert!(cases.len() >= 200, "{}", cases.len());
    let connect = || h2::H2::connect(secure.http(), &root);
    let mut failed = conformance::failures("over TLS", &cases, &connect);
    // Where nothing was agreed on, HTTP/1 is what it is.
    let cases: Vec<_> = cases.into_iter().filter(|case| !case.name.contains("HTTP/1 for")).collect();
    failed.extend(conformance::failures("without TLS", &cases, &|| h2::H2::plain(plain.http())));
    assert!(failed.is_empty(), "HTTP/2:\n{}", failed.join("\n"));
}
