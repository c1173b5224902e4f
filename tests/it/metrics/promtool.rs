//! `promtool check metrics`, over everything that there is to show.

use super::*;

/// A rollout that mirrors before it shifts, and a policy with limits of each kind.
const ROLLOUT: &str = "[services.web.rollout]\nmin_attempts = 1\n\
    steps = [{ mirror = 100, hold = \"100ms\" }, { weight = 50, hold = \"1h\" }, { weight = 100 }]\n\
    [policies.default]\nerror_rate = { warning = \"5%\", critical = \"10%\" }\n\
    latency_p95 = { warning = \"50s\", critical = \"90s\" }\nabandoned = { critical = \"40%\" }\n";

/// What `promtool check metrics` says, if it is there.
fn complaints(text: &str) -> Option<String> {
    let mut child = Command::new("promtool");
    child.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().ok()?;
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Some(if output.status.success() { said.into_owned() } else { format!("refused: {said}") })
}

#[test]
fn promtool_finds_nothing_wrong() {
    let (authority, blue, green) = (Authority::new(), Origin::named("blue"), Origin::named("green"));
    let more =
        format!("[services.web.pools.green]\nupstreams = [\"{}\"]\n{REDIRECT}{ROLLOUT}", green.address);
    let config = with_tls(&authority, &blue, &more)
        .replace("stable = \"blue\"\n", "stable = \"blue\"\npolicy = \"default\"\n")
        + "[[listeners]]\naddress = \"127.0.0.1:0\"\n";
    let pointsman = Pointsman::start(&config);
    pointsman.start_rollout(r#"{"to": "green"}"#);
    let ask = |path: &str| {
        send(pointsman.listeners[1], &format!("GET {path} HTTP/1.1\r\nHost: web.example\r\n\r\n")).status
    };
    eventually("it mirrors, then shifts", || {
        assert_eq!(ask("/"), 200);
        pointsman.weight("green") == 50.0
    });
    (0..40).for_each(|_| assert_eq!(ask("/"), 200));
    eventually("there is evidence", || !series(&pointsman, "pointsman_verdict_evidence").is_empty());
    let text = pointsman.get("/metrics").text();
    for name in ["verdict_evidence_needed", "mirror_requests_total", "http_requests_total"] {
        assert!(text.contains(&format!("pointsman_{name}{{")), "{name} is not in {text}");
    }
    match complaints(&text) {
        Some(said) => assert_eq!(said, "", "{text}"),
        None => println!("skipped: there is no promtool; make setup-test installs it"),
    }
    let wrong = "# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n";
    assert!(complaints(wrong).is_none_or(|said| !said.is_empty()), "it would say so");
}
