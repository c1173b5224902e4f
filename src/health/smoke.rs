//! Smoke tests: a few requests to every upstream of a pool, before it gets traffic and after.
//!
//! Each upstream is asked by itself, since a balanced request would say only that one of them works. All
//! are asked at the same time, the tests of one in their order; every failure is told, so that one run
//! shows all that is wrong.

use super::exchange::{Ask, Failed};
use super::transport::Transport;
use crate::control::command::{Controller, Input, JobResult};
use crate::core::settings::SmokeTest;
use crate::core::upstream_address::UpstreamAddress;
use http::Method;
use regex::Regex;
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
    let tests: Arc<[Test]> = match tests.iter().map(Test::new).collect() {
        Ok(tests) => tests,
        Err(why) => return JobResult::Refused(vec![why]),
    };
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
    tests: &[Test],
    label: &str,
    address: UpstreamAddress,
) -> Vec<String> {
    let mut failures = Vec::new();
    for test in tests {
        if let Err(why) = result(controller, test, label, address).await {
            failures.push(format!("{}: {}: {why}", named(label, address), test.named()));
        }
    }
    failures
}

/// What a test came to. While this process is short of something, nothing is known: it is made again.
async fn result(
    controller: &Controller,
    test: &Test,
    label: &str,
    address: UpstreamAddress,
) -> Result<(), String> {
    loop {
        match test.passes(label, address).await {
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

/// A test, ready to be made.
#[derive(Debug)]
struct Test {
    settings: SmokeTest,
    method: Method,
    pattern: Option<Regex>,
}

impl Test {
    fn new(settings: &SmokeTest) -> Result<Self, String> {
        let method = settings.method.parse();
        let method = method.map_err(|_| format!("{:?} is no HTTP method", settings.method))?;
        let pattern = settings.matches.as_deref().map(Regex::new).transpose();
        let pattern = pattern.map_err(|error| format!("{}: {error}", settings.path))?;
        Ok(Test { settings: settings.clone(), method, pattern })
    }

    fn named(&self) -> String {
        format!("{} {}", self.method, self.settings.path)
    }

    async fn passes(&self, label: &str, address: UpstreamAddress) -> Result<(), Failed> {
        let SmokeTest { path, expect: (low, high), host, timeout: time, http2, tls, .. } = &self.settings;
        let ask = Ask {
            method: self.method.clone(),
            path,
            host: host.as_deref().unwrap_or(UpstreamAddress::authority_of(label)),
            agent: "pointsman-smoke",
            limit: MAX_BODY,
            over: &Transport::to(label, *http2, tls.as_deref()),
        };
        let answer =
            timeout(*time, ask.of(address)).await.map_err(|_| format!("no answer within {time:?}"))??;
        if !(*low..=*high).contains(&answer.status) {
            let expected = if low == high { low.to_string() } else { format!("{low}-{high}") };
            return Err(format!("status {}, expected {expected}", answer.status).into());
        }
        let body = String::from_utf8_lossy(&answer.body);
        match &self.pattern {
            Some(pattern) if !pattern.is_match(&body) => {
                Err(format!("the body does not match {:?}", pattern.as_str()).into())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::exchange::tests::{answered, nobody, origin};
    use super::*;
    use std::net::SocketAddr;

    async fn run(tests: &[SmokeTest], upstreams: &[(Arc<str>, UpstreamAddress)]) -> JobResult {
        let (controller, _told) = Controller::told();
        super::run(&controller, tests, upstreams).await
    }

    fn test(path: &str) -> SmokeTest {
        SmokeTest {
            method: "GET".into(),
            path: path.into(),
            expect: (200, 200),
            matches: None,
            timeout: Duration::from_secs(20),
            http2: false,
            tls: None,
            host: None,
        }
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
            "/silent" => None,
            "/large" => answered(200, &format!("begin{}end", "x".repeat(MAX_BODY))),
            "/bytes" => Some(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\xff\xfeo".to_vec()),
            _ => answered(503, "busy"),
        })
        .await
    }

    #[tokio::test]
    async fn what_is_as_expected_passes() {
        let matching = |path: &str, pattern: &str| SmokeTest { matches: Some(pattern.into()), ..test(path) };
        let tests = [
            test("/api/health"),
            matching("/api/health", r#""status":\s*"ok""#),
            SmokeTest { method: "POST".into(), expect: (200, 299), ..test("/created") },
            SmokeTest { host: Some("tallow.example".into()), ..test("/host") },
            SmokeTest { expect: (500, 599), ..test("/broken") },
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
            SmokeTest { matches: Some("^ok$".into()), ..test("/api/health") },
            SmokeTest { timeout: Duration::from_millis(40), ..test("/silent") },
            SmokeTest { method: "POST".into(), expect: (200, 399), ..test("/api/health?x=1") },
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
            "POST /api/health?x=1: status 503, expected 200-399",
        ];
        assert_eq!(of_app, expected.map(|text| format!("app:3000 ({app}): {text}")));
    }

    #[tokio::test]
    async fn nobody_to_ask_is_refused_and_so_is_nonsense() {
        let refused = |why: &str| JobResult::Refused(vec![why.to_owned()]);
        assert_eq!(run(&[test("/")], &[]).await, refused("there is no upstream to test"));
        let upstreams = [at(nobody())];
        let wrong = SmokeTest { method: "G T".into(), ..test("/") };
        assert_eq!(run(&[wrong], &upstreams).await, refused("\"G T\" is no HTTP method"));
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
