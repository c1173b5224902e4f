//! Routes that are no evidence: what their requests come to speaks for or against nobody.

use super::traffic::Traffic;
use super::{ERRORS, PATIENCE, Run, config};
use crate::harness::{Origin, Reaction, Received};

/// Fails, and hangs up, on everything below `/poll`.
fn bad_at_polls(request: &Received) -> Reaction {
    match request.path() {
        "/poll/failing" => Reaction::Answer(500, "broken".into()),
        "/poll/cut" => Reaction::Close,
        _ => Reaction::ok("green"),
    }
}

/// A rollout to a version that is bad at polls, where those have these keys of their route.
fn run(keys: &str, [blue, green]: [&Origin; 2]) -> Run {
    let routes = format!(
        "[[routes]]\npath = \"/poll\"\nservice = \"web\"\n{keys}\n[[routes]]\nservice = \"web\"\n[services.web]\nshield = false\n"
    );
    // An upstream that fails requests is taken out by the default rule.
    let config = config(blue, green, "500ms", ERRORS).replace("passive = { max_fails = 0 }\n", "");
    let config = config.replace("[services.web]\n", &routes);
    Run::start(&config, |pointsman| {
        Traffic::start(pointsman.http(), 8, PATIENCE, |_, turn| {
            let path = ["/", "/poll/failing", "/", "/poll/cut"][turn as usize % 4];
            ("GET", path.to_owned())
        })
    })
}

#[test]
fn a_route_that_is_not_measured_speaks_against_nobody() {
    let (blue, green) = (Origin::named("blue"), Origin::new(bad_at_polls));
    let run = run("measure = false", [&blue, &green]);
    let (outcome, view) = run.ended("half of the requests fail on a route that is not measured");
    assert_eq!(outcome, "promoted", "{view:#}");
    let web = run.pointsman.web();
    let green = &web["pools"]["green"];
    assert_eq!((&green["window"]["failures"], &green["upstreams"][0]["state"]), (&0.into(), &"ready".into()));
    assert!(green["window"]["requests"].as_u64().is_some_and(|requests| requests >= 50), "{green:#}");
    let metrics = run.pointsman.get("/metrics").text();
    for line in [
        "pointsman_requests_total{code=\"5xx\",pool=\"green\",service=\"web\"}",
        "pointsman_attempt_failures_total{pool=\"green\",reason=\"reset\",service=\"web\"}",
    ] {
        let count = metrics.lines().find_map(|text| text.strip_prefix(line)?.trim().parse::<f64>().ok());
        assert!(count.is_some_and(|count| count > 0.0), "{line}: {count:?}");
    }
}

#[test]
fn the_same_route_speaks_where_it_is_measured() {
    let (blue, green) = (Origin::named("blue"), Origin::new(bad_at_polls));
    let (outcome, view) = run("", [&blue, &green]).ended("the same, measured");
    assert_eq!(outcome, "aborted", "{view:#}");
}
