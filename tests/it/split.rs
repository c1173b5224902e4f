//! Weights under full load: nobody notices, and what has weight 0 gets nothing.

use super::harness::{Connection, Nginx, Pointsman, blue_green, wrk};

fn config(nginx: &Nginx) -> String {
    blue_green(nginx.addresses[0], nginx.addresses[1])
}

#[test]
fn five_hundred_changes_under_full_load_fail_no_request() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx));
    let load = wrk(pointsman.http(), 16, 120);
    let mut probe = Connection::open(pointsman.http());
    let mut probes = 0;
    for change in 0..250 {
        let (to, from) = if change % 2 == 0 { ("green", "blue") } else { ("blue", "green") };
        let weights = format!("{{\"{from}\": 62.5, \"{to}\": 37.5}}");
        let weighted = pointsman.call("PUT", "/v1/services/web/weights", &weights);
        assert_eq!(weighted.status, 200, "{} {}", weighted.text(), weighted.fault);
        let flipped = pointsman.call("POST", "/v1/services/web/flip", &format!("{{\"to\": \"{to}\"}}"));
        assert_eq!(flipped.status, 200, "{} {}", flipped.text(), flipped.fault);
        // The answer is here, so no new request may go to the other.
        for _ in 0..4 {
            let answer = probe.get("/");
            assert_eq!((answer.status, answer.text().as_str()), (200, to), "change {change}");
            probes += 1;
        }
    }
    let seen = load.stop();
    println!(
        "500 changes under load: {} requests, {} failed, {} socket errors; {probes} probes after replies, 0 astray",
        seen.requests, seen.failed, seen.socket_errors
    );
    assert!(seen.requests > 1000, "a load: {seen:?}");
    assert_eq!((seen.failed, seen.socket_errors), (0, 0));
}

#[test]
fn the_split_follows_the_weights() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&config(&nginx));
    assert_eq!(
        pointsman.call("PUT", "/v1/services/web/weights", "{\"blue\": 75, \"green\": 25}").status,
        200
    );
    let mut connection = Connection::open(pointsman.http());
    let green = (0..4000).filter(|_| connection.get("/").text() == "green").count();
    // Binomial: 1000 expected, four standard deviations are 110.
    assert!((890..=1110).contains(&green), "{green} of 4000 at 25 %");
}
