//! Smoke tests: a few requests to every upstream of a pool, before it gets traffic and after.
//!
//! Each upstream is asked by itself, since a balanced request would say only that one of them works. All
//! are asked at the same time, the tests of one in their order; every failure is reported, so that one run
//! shows all that is wrong.

use super::exchange::{Ask, Failed};
use super::expected;
use super::transport::Transport;
use crate::control::command::{Controller, Input, JobResult};
use crate::core::settings::SmokeTest;
use crate::core::upstream_address::UpstreamAddress;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The most of a body that is read and matched.
const MAX_BODY: usize = 1024 * 1024;
/// Pause before a test that could not be made for want of something here.
const AGAIN: Duration = Duration::from_millis(250);
/// The most failures that are listed.
const LISTED: usize = 20;

/// Makes every test against every upstream (label and address).
pub(super) async fn run(
    controller: &Controller,
    tests: &[SmokeTest],
    upstreams: &[(Arc<str>, UpstreamAddress)],
) -> JobResult {
    if upstreams.is_empty() {
        return JobResult::Refused(vec!["there is no upstream to test".to_owned()]);
    }
    let tests: Arc<[SmokeTest]> = tests.into();
    let mut asked = JoinSet::new();
    for (place, (label, address)) in upstreams.iter().cloned().enumerate() {
        let (controller, tests) = (controller.clone(), tests.clone());
        asked.spawn(async move { (place, failures(&controller, &tests, &label, address).await) });
    }
    let mut failures = asked.join_all().await;
    failures.sort_unstable_by_key(|(place, _)| *place);
    judged(failures.into_iter().flat_map(|(_, failures)| failures).collect())
}

fn judged(mut failures: Vec<String>) -> JobResult {
    if failures.is_empty() {
        return JobResult::Passed;
    }
    let more = failures.len().saturating_sub(LISTED);
    if more > 0 {
        failures.truncate(LISTED);
        failures.push(format!("and {more} more"));
    }
    JobResult::Refused(failures)
}

async fn failures(
    controller: &Controller,
    tests: &[SmokeTest],
    label: &str,
    address: UpstreamAddress,
) -> Vec<String> {
    let mut failures = Vec::new();
    for test in tests {
        if let Err(why) = result(controller, test, label, address).await {
            failures.push(format!("{}: {}: {why}", named(label, address), named_test(test)));
        }
    }
    failures
}

/// The result of a test. While this process is short of something, nothing is known: it is made again.
async fn result(
    controller: &Controller,
    test: &SmokeTest,
    label: &str,
    address: UpstreamAddress,
) -> Result<(), String> {
    loop {
        match passes(test, label, address).await {
            Err(Failed::Ours(limit)) if controller.tell(Input::OwnLimit { limit }).await => {
                sleep(AGAIN).await
            }
            result => return result.map_err(|failed| failed.to_string()),
        }
    }
}

/// With its address where the label is a name, which may stand for several.
fn named(label: &str, address: UpstreamAddress) -> String {
    if label == address.to_string() { label.to_owned() } else { format!("{label} ({address})") }
}

fn named_test(test: &SmokeTest) -> String {
    format!("{} {}", test.method, test.path)
}

async fn passes(test: &SmokeTest, label: &str, address: UpstreamAddress) -> Result<(), Failed> {
    let SmokeTest { method, path, host, headers, body, timeout: time, .. } = test;
    let ask = Ask {
        method: method.clone(),
        path,
        host: host.as_deref().unwrap_or(UpstreamAddress::authority_of(label)),
        agent: "pointsman-smoke",
        headers: headers.clone(),
        body: body.clone(),
        limit: MAX_BODY,
        over: &Transport::to(label, test.http2, test.tls.as_deref()),
    };
    let answer =
        timeout(*time, ask.of(address)).await.map_err(|_| format!("no answer within {time:?}"))??;
    Ok(expected::judged(&answer, &test.expect, test.matches.as_ref())?)
}

#[cfg(test)]
mod tests {
    use super::super::exchange::tests::{answered, nobody, origin};
    use super::*;
    use crate::core::pattern::Pattern;
    use crate::core::settings::Statuses;
    use bytes::Bytes;
    use http::{HeaderMap, Method};
    use std::net::SocketAddr;

    async fn run(tests: &[SmokeTest], upstreams: &[(Arc<str>, UpstreamAddress)]) -> JobResult {
        let (controller, _told) = Controller::told();
        super::run(&controller, tests, upstreams).await
    }

    fn test(path: &str) -> SmokeTest {
        SmokeTest {
            method: Method::GET,
            path: path.into(),
            host: None,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            expect: Statuses::new([(200, 200)]),
            matches: None,
            timeout: Duration::from_secs(20),
            http2: false,
            tls: None,
        }
    }

    fn pattern(text: &str) -> Option<Pattern> {
        Some(Pattern::new(text, false).expect("a pattern"))
    }

    fn at(address: SocketAddr) -> (Arc<str>, UpstreamAddress) {
        (address.to_string().into(), address.into())
    }

    /// An origin with something of everything.
    async fn app() -> SocketAddr {
        origin(|request| match request.split_whitespace().nth(1).unwrap_or_default() {
            "/api/health" => answered(200, "{\"status\": \"ok\"}"),
            "/created" if request.starts_with("POST ") => answered(201, ""),
            "/host" if request.contains("\r\nhost: tallow.example\r\n") => answered(200, ""),
            "/stored" if request.contains("\r\nx-key: 7\r\n") && request.ends_with("\r\n\r\n{\"id\": 1}") => {
                answered(200, "")
            }
            "/silent" => None,
            "/large" => answered(200, &format!("begin{}end", "x".repeat(MAX_BODY))),
            "/bytes" => Some(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\xff\xfeo".to_vec()),
            _ => answered(503, "busy"),
        })
        .await
    }

    #[tokio::test]
    async fn what_is_as_expected_passes() {
        let matching = |path: &str, text: &str| SmokeTest { matches: pattern(text), ..test(path) };
        let mut headers = HeaderMap::new();
        headers.insert("x-key", "7".parse().expect("a value"));
        let tests = [
            test("/api/health"),
            matching("/api/health", r#""status":\s*"ok""#),
            SmokeTest { method: Method::POST, expect: Statuses::success(), ..test("/created") },
            SmokeTest { headers, body: "{\"id\": 1}".into(), method: Method::PUT, ..test("/stored") },
            SmokeTest { host: Some("tallow.example".into()), ..test("/host") },
            SmokeTest { expect: Statuses::new([(500, 599)]), ..test("/broken") },
            matching("/large", "^beginx+$"),
            matching("/bytes", "^.+o$"),
        ];
        let upstreams = [at(app().await), at(app().await)];
        assert_eq!(run(&tests, &upstreams).await, JobResult::Passed);
        assert_eq!(run(&[], &upstreams).await, JobResult::Passed);
    }

    #[tokio::test]
    async fn every_failure_is_a_sentence() {
        let (app, gone) = (app().await, nobody());
        let tests = [
            test("/api/ready"),
            SmokeTest { matches: pattern("^ok$"), ..test("/api/health") },
            SmokeTest { timeout: Duration::from_millis(40), ..test("/silent") },
            SmokeTest { method: Method::POST, expect: Statuses::success(), ..test("/api/health?x=1") },
        ];
        let upstreams = [at(gone), ("app:3000".into(), app.into())];
        let JobResult::Refused(failures) = run(&tests, &upstreams).await else { panic!("refused") };
        let (of_gone, of_app) = failures.split_at(4);
        for (failure, request) in
            of_gone.iter().zip(["GET /api/ready", "GET /api/health", "GET /silent", "POST /api/health?x=1"])
        {
            assert!(failure.starts_with(&format!("{gone}: {request}: connect: ")), "{failure}");
        }
        let expected = [
            "GET /api/ready: status 503, expected 200",
            "GET /api/health: the body does not match \"^ok$\"",
            "GET /silent: no answer within 40ms",
            "POST /api/health?x=1: status 503, expected 200-299",
        ];
        assert_eq!(of_app, expected.map(|text| format!("app:3000 ({app}): {text}")));
    }

    #[tokio::test]
    async fn nobody_to_ask_is_refused() {
        let refused = JobResult::Refused(vec!["there is no upstream to test".to_owned()]);
        assert_eq!(run(&[test("/")], &[]).await, refused);
    }

    #[tokio::test]
    async fn long_lists_are_cut() {
        let app = at(app().await);
        let tests: Vec<_> = (0..LISTED + 3).map(|n| test(&format!("/{n}"))).collect();
        let JobResult::Refused(failures) = run(&tests, &[app]).await else { panic!("refused") };
        assert_eq!(failures.len(), LISTED + 1);
        assert_eq!(failures.last().map(String::as_str), Some("and 3 more"));
    }
}
