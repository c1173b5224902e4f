//! Another upstream of the pool: after what it is tried, how often, and for how long.

use super::harness::{Answer, Connection, Origin, Pointsman, Reaction, eventually, get, send};
use std::time::Duration;

/// A pool of these upstreams, tried in turn, the first one first.
fn before(origins: &[&Origin], keys: &str) -> Pointsman {
    let list: Vec<_> = origins.iter().map(|origin| format!("\"{}\"", origin.address)).collect();
    Pointsman::start(&format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\ngrace = \"5s\"\n\
         [services.web.pools.blue]\nupstreams = [{}]\nhealth = false\npassive = {{ max_fails = 0 }}\n{keys}\n\
         [access_log]\npath = \"log\"\n",
        list.join(", ")
    ))
}

fn failures(pointsman: &Pointsman, reason: &str) -> u64 {
    let metrics = pointsman.get("/metrics").text();
    let lines = metrics.lines().filter(|line| {
        line.starts_with("pointsman_attempt_failures_total") && line.contains(&format!("reason=\"{reason}\""))
    });
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
}

/// As many answers as there are upstreams, so that each of them is asked first once.
fn statuses(pointsman: &Pointsman, count: usize) -> Vec<u16> {
    (0..count).map(|_| get(pointsman.http(), "/").status).collect()
}

fn status(code: u16) -> Origin {
    Origin::new(move |_| Reaction::Answer(code, format!("{code}")))
}

#[test]
fn an_answer_of_a_chosen_status_gives_way_and_is_charged() {
    let (bad, busy, missing, good) = (status(503), status(429), status(404), Origin::named("good"));
    let pointsman =
        before(&[&bad, &busy, &missing, &good], "retry = { on = [503, \"429\", \"404-404\"], tries = 4 }");
    assert_eq!(statuses(&pointsman, 12), [200; 12]);
    let asked = [bad.requests(), busy.requests(), missing.requests()];
    assert!(asked.iter().all(|count| *count > 0), "{asked:?}");
    eventually("a 503 is a failure, and neither 429 nor 404 is", || {
        failures(&pointsman, "status") == bad.requests()
    });
    let log = std::fs::read_to_string(pointsman.dir.path().join("log")).unwrap_or_default();
    eventually("the log has both", || {
        log.contains("\"earlier\":[")
            || std::fs::read_to_string(pointsman.dir.path().join("log"))
                .unwrap_or_default()
                .contains("\"status\":503")
    });
    // The last one is shown, whatever it is.
    good.react(|_| Reaction::Answer(503, "all".into()));
    let last: Vec<Answer> = (0..4).map(|_| get(pointsman.http(), "/")).collect();
    assert!(last.iter().all(|answer| [503, 429, 404].contains(&answer.status) && !answer.body.is_empty()));
}

#[test]
fn without_a_word_a_status_is_the_answer() {
    let (bad, good) = (status(503), Origin::named("good"));
    for keys in ["", "tries = 2", "retry = { on = [\"error\", \"timeout\", 502] }"] {
        let pointsman = before(&[&bad, &good], keys);
        let mut got = statuses(&pointsman, 4);
        got.sort_unstable();
        assert_eq!(got, [200, 200, 503, 503], "{keys}");
    }
}

#[test]
fn errors_and_timeouts_are_told_apart() {
    let good = Origin::named("good");
    let (closes, hangs) = (Origin::new(|_| Reaction::Close), Origin::new(|_| Reaction::Hang));
    let read = "timeouts = { read = \"200ms\" }\n";
    for (bad, on, expected) in [
        (&closes, "error", [200, 200]),
        (&closes, "timeout", [200, 502]),
        (&hangs, "timeout", [200, 200]),
        (&hangs, "error", [200, 504]),
    ] {
        let pointsman = before(&[bad, &good], &format!("{read}retry = {{ on = [\"{on}\"] }}"));
        let mut got = statuses(&pointsman, 2);
        got.sort_unstable();
        assert_eq!(got, expected, "{on}");
    }
    let pointsman = before(&[&closes, &good], "retry = { on = [] }");
    let mut got = statuses(&pointsman, 2);
    got.sort_unstable();
    assert_eq!(got, [200, 502]);
}

#[test]
fn a_post_is_repeated_only_where_that_is_asked_for() {
    let (bad, good) = (status(503), Origin::named("good"));
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    let pointsman = before(&[&bad, &good], "retry = { on = [503] }");
    let answers: Vec<_> = (0..4).map(|_| send(pointsman.http(), post)).collect();
    let failed: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(
        failed.len() == 2 && failed.iter().all(|answer| answer.text() == "503"),
        "its own answer: {answers:?}"
    );
    let pointsman = before(&[&bad, &good], "retry = { on = [503, \"error\"], unsafe = true }");
    for _ in 0..4 {
        assert_eq!(send(pointsman.http(), post).status, 200);
        assert_eq!(good.last().body, b"body", "the body came whole");
    }
    // A body that is larger than what is kept of it goes once.
    let large =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n{}", "y".repeat(300_000));
    let mut got: Vec<_> = (0..4).map(|_| send(pointsman.http(), &large).status).collect();
    got.sort_unstable();
    assert_eq!(got, [200, 200, 503, 503]);
    // It is answered before it has come: what comes afterwards reaches the other one.
    let mut slow = Connection::open(pointsman.http());
    let before = (bad.requests(), good.requests());
    for _ in 0..2 {
        slow.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbo").expect("written");
        slow.write(b"dy").expect("written");
        assert_eq!(slow.answer(false).status, 200);
        assert_eq!(good.last().body, b"body");
    }
    assert!(bad.requests() > before.0 && good.requests() == before.1 + 2);
}

#[test]
fn attempts_begin_within_their_time() {
    let late = || Origin::new(|_| Reaction::Late(Duration::from_millis(300), 503, "late".into()));
    let (one, two, three) = (late(), late(), late());
    let pointsman = before(&[&one, &two, &three], "retry = { on = [503], tries = 3, timeout = \"200ms\" }");
    assert_eq!(statuses(&pointsman, 3), [503; 3]);
    assert_eq!(one.requests() + two.requests() + three.requests(), 3, "each had its time used up");
    let pointsman = before(&[&one, &two, &three], "retry = { on = [503], tries = 3, timeout = \"1m\" }");
    assert_eq!(statuses(&pointsman, 1), [503]);
    assert_eq!(one.requests() + two.requests() + three.requests(), 6);
}

#[test]
fn what_an_upstream_says_to_a_proxy_passes_to_nobody() {
    let fields = "X-Accel-Redirect: /secret\r\nx-accel-buffering: no\r\nX-Accel-Charset: x\r\n\
                  X-ACCEL-EXPIRES: 0\r\nX-Accel-Limit-Rate: 1\r\nX-Accelerated: yes\r\n";
    let origin = Origin::new(move |_| {
        let early = format!("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n{fields}\r\n");
        let last = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok");
        Reaction::Raw((early + &last).into_bytes())
    });
    for keys in ["", "buffer = { response = \"1M\" }"] {
        let pointsman = before(&[&origin], keys);
        let mut connection = Connection::open(pointsman.http());
        connection.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
        let heads = [connection.head().expect("hints"), connection.head().expect("a head")];
        assert_eq!(heads.each_ref().map(|head| head.status), [103, 200]);
        for head in heads {
            assert_eq!(head.header("x-accelerated"), Some("yes"));
            assert!(head.headers.iter().all(|(name, _)| !name.starts_with("x-accel-")), "{head:?}");
        }
    }
}
