//! Which upstream gets a request: balance, health, ejection, draining, names.

use super::harness::{Connection, Origin, Pointsman, Reaction, eventually, get};
use std::collections::BTreeMap;
use std::time::Duration;

fn origins(count: usize) -> Vec<Origin> {
    (0..count).map(|index| Origin::named(&format!("o{index}"))).collect()
}

/// One pool with these origins, and more keys.
fn config(origins: &[Origin], more: &str) -> String {
    let list: Vec<_> = origins.iter().map(|origin| format!("\"{}\"", origin.address)).collect();
    format!(
        "[services.web]\nstable = \"blue\"\n[services.web.pools.blue]\nupstreams = [{}]\n{more}\n",
        list.join(", ")
    )
}

fn one_worker(config: &str) -> Pointsman {
    Pointsman::start(&format!("[server]\nstate_dir = \"state\"\nthreads = 1\n{config}"))
}

fn counts(origins: &[Origin]) -> Vec<u64> {
    origins.iter().map(Origin::requests).collect()
}

#[test]
fn round_robin_takes_turns_by_weight() {
    let origins = origins(3);
    let list = format!(
        "upstreams = [{{ address = \"{}\", weight = 3 }}, \"{}\", {{ address = \"{}\", backup = true }}]",
        origins[0].address, origins[1].address, origins[2].address
    );
    let text = format!("[services.web]\n[services.web.pools.blue]\nbalance = \"round_robin\"\n{list}\n");
    let pointsman = one_worker(&text);
    let mut connection = Connection::open(pointsman.http());
    for _ in 0..80 {
        assert_eq!(connection.get("/").status, 200);
    }
    assert_eq!(counts(&origins), [60, 20, 0], "3 : 1, and the backup rests");
}

#[test]
fn a_backup_serves_when_nobody_else_can() {
    let origins = origins(1);
    let list =
        format!("upstreams = [\"127.0.0.1:1\", {{ address = \"{}\", backup = true }}]", origins[0].address);
    let health = "health = { path = \"/\", interval = \"50ms\" }";
    let text = format!("[services.web]\n[services.web.pools.blue]\n{list}\n{health}\n");
    let pointsman = one_worker(&text);
    eventually("the check takes the first out", || {
        pointsman.web()["pools"]["blue"]["upstreams"][0]["state"] == "down"
    });
    for _ in 0..5 {
        assert_eq!(get(pointsman.http(), "/").text(), "o0");
    }
}

#[test]
fn least_conn_and_p2c_avoid_the_busy_one() {
    for balance in ["least_conn", "p2c"] {
        let origins = origins(2);
        origins[0].react(|request| match request.path() {
            "/busy" => Reaction::Hang,
            _ => Reaction::ok("o0"),
        });
        origins[1].react(|request| match request.path() {
            "/busy" => Reaction::Hang,
            _ => Reaction::ok("o1"),
        });
        let pointsman = one_worker(&config(&origins, &format!("balance = \"{balance}\"")));
        let mut busy = Connection::open(pointsman.http());
        busy.write(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
        eventually("one is busy", || counts(&origins).iter().sum::<u64>() == 1);
        let idle = usize::from(origins[0].requests() == 1);
        for _ in 0..20 {
            assert_eq!(get(pointsman.http(), "/").text(), format!("o{idle}"), "{balance}");
        }
    }
}

#[test]
fn hash_keeps_a_key_with_its_upstream() {
    let origins = origins(3);
    let by = |hash_by: &str| {
        one_worker(&config(&origins, &format!("balance = \"hash\"\nhash_by = \"{hash_by}\"")))
    };
    let pointsman = by("uri");
    let home = |path: &str| get(pointsman.http(), path).text();
    let homes: BTreeMap<String, String> =
        (0..30).map(|n| (format!("/{n}"), home(&format!("/{n}")))).collect();
    for (path, first) in &homes {
        assert_eq!(&home(path), first);
    }
    let used: std::collections::BTreeSet<_> = homes.values().collect();
    assert_eq!(used.len(), 3, "keys spread over all");
    let pointsman = by("client_ip");
    let first = get(pointsman.http(), "/1").text();
    assert!(
        (2..12).all(|n| get(pointsman.http(), &format!("/{n}")).text() == first),
        "one client, one upstream"
    );
    let pointsman = by("header:x-user");
    let ask = |user: u32| {
        Connection::open(pointsman.http())
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-User: {user}\r\n\r\n").as_bytes())
            .text()
    };
    let homes: Vec<_> = (0..30).map(ask).collect();
    assert_eq!(homes, (0..30).map(ask).collect::<Vec<_>>());
    assert!(homes.iter().any(|home| *home != homes[0]));
}

#[test]
fn max_conns_is_kept() {
    let origins = origins(1);
    origins[0].react(|request| match request.path() {
        "/busy" => Reaction::Hang,
        _ => Reaction::ok("o0"),
    });
    let text = format!(
        "[services.web]\n[services.web.pools.blue]\nupstreams = [{{ address = \"{}\", max_conns = 2 }}]\n",
        origins[0].address
    );
    let pointsman = one_worker(&text);
    assert_eq!(get(pointsman.http(), "/").status, 200);
    let mut busy: Vec<_> = (0..2).map(|_| Connection::open(pointsman.http())).collect();
    for connection in &mut busy {
        connection.write(b"GET /busy HTTP/1.1\r\nHost: a\r\n\r\n").expect("written");
    }
    eventually("both are in flight", || origins[0].requests() == 3);
    let refused = get(pointsman.http(), "/");
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    drop(busy);
    eventually("there is room again", || get(pointsman.http(), "/").status == 200);
}

#[test]
fn health_checks_take_out_and_take_back_after_a_row() {
    let origins = origins(2);
    let keys = "health = { path = \"/health?deep\", interval = \"40ms\", timeout = \"200ms\", rise = 3, fall = 2, \
                expect = \"204\", host = \"check.example\" }";
    for origin in &origins {
        origin.react(|request| match request.path() {
            "/health?deep" => Reaction::Answer(204, String::new()),
            _ => Reaction::ok("served"),
        });
    }
    let pointsman = one_worker(&config(&origins, keys));
    let state = |index: usize| pointsman.web()["pools"]["blue"]["upstreams"][index]["state"].to_string();
    eventually("both are checked", || origins.iter().all(|origin| origin.requests() > 0));
    assert_eq!(origins[0].last().header("host"), Some("check.example"));
    origins[0].react(|_| Reaction::Answer(200, String::new()));
    eventually("200 is not 204", || state(0) == "\"down\"");
    let detail = pointsman.web()["pools"]["blue"]["upstreams"][0]["detail"].to_string();
    assert!(detail.contains("200"), "{detail}");
    let before = origins[0].requests();
    for _ in 0..20 {
        assert_eq!(get(pointsman.http(), "/").text(), "served");
    }
    assert!(origins[0].all()[before as usize..].iter().all(|request| request.path() != "/"), "checks only");
    origins[0].react(|request| match request.path() {
        "/health?deep" => Reaction::Answer(204, String::new()),
        _ => Reaction::ok("back"),
    });
    let down = origins[0].requests();
    eventually("it is taken back", || state(0) == "\"ready\"");
    assert!(origins[0].requests() - down >= 3, "after a row of three");
    origins[1].react(|_| Reaction::Hang);
    eventually("a check that hangs fails", || state(1) == "\"down\"");
    let metrics = pointsman.get("/metrics").text();
    let up =
        format!("pointsman_upstream_up{{pool=\"blue\",service=\"web\",upstream=\"{}\"}}", origins[1].address);
    eventually("the metrics know", || pointsman.get("/metrics").text().contains(&format!("{up} 0")));
    assert!(metrics.contains(&up));
}

#[test]
fn the_last_upstream_standing_serves_whatever_its_checks_say() {
    let origins = origins(2);
    let pointsman = one_worker(&config(&origins, "health = { path = \"/health\", interval = \"40ms\" }"));
    for origin in &origins {
        origin.react(|request| match request.path() {
            "/health" => Reaction::Answer(500, String::new()),
            _ => Reaction::ok("served"),
        });
    }
    eventually("all are down", || {
        let web = pointsman.web();
        (0..2).all(|index| web["pools"]["blue"]["upstreams"][index]["state"] == "down")
    });
    assert_eq!(get(pointsman.http(), "/").status, 503, "checks that fail mean it");
    assert!(get(pointsman.http(), "/").header("retry-after").is_some());
}

#[test]
fn failures_take_an_upstream_out_for_a_while_but_never_the_last() {
    let origins = origins(2);
    let keys = "passive = { max_fails = 3, fail_timeout = \"600ms\" }\ntries = 1\nbalance = \"round_robin\"";
    let pointsman = one_worker(&config(&origins, keys));
    origins[0].react(|_| Reaction::Close);
    let state = || pointsman.web()["pools"]["blue"]["upstreams"][0]["state"].to_string();
    let mut failed = 0;
    eventually("it is ejected", || {
        failed += u64::from(get(pointsman.http(), "/").status == 502);
        state() == "\"down\""
    });
    assert!(failed >= 3);
    let before = origins[0].requests();
    for _ in 0..10 {
        assert_eq!(get(pointsman.http(), "/").status, 200);
    }
    assert_eq!(origins[0].requests(), before, "out");
    origins[0].react(|_| Reaction::ok("well"));
    eventually("it is tried again after the time", || get(pointsman.http(), "/").text() == "well");
    for origin in &origins {
        origin.react(|_| Reaction::Close);
    }
    for _ in 0..20 {
        assert_eq!(get(pointsman.http(), "/").status, 502);
    }
    eventually("both are shown as what they are: in service", || {
        let web = pointsman.web();
        (0..2).all(|index| web["pools"]["blue"]["upstreams"][index]["state"] == "ready")
    });
    for origin in &origins {
        origin.react(|_| Reaction::ok("well"));
    }
    assert_eq!(get(pointsman.http(), "/").status, 200, "the last is never taken out");
}

#[test]
fn names_are_resolved_and_shown_with_their_address() {
    let origins = origins(1);
    let port = origins[0].address.port();
    let text = format!(
        "[services.web]\n[services.web.pools.blue]\nupstreams = [\"localhost:{port}\"]\n\
         [services.web.pools.green]\nupstreams = [\"no-such-name.invalid:{port}\"]\n"
    );
    let pointsman = one_worker(
        &("[services.web]\nstable = \"blue\"\n".to_owned() + text.trim_start_matches("[services.web]\n")),
    );
    assert_eq!(get(pointsman.http(), "/").text(), "o0", "with the first request");
    let web = pointsman.web();
    let upstreams = web["pools"]["blue"]["upstreams"].as_array().expect("upstreams").clone();
    let resolved = format!("127.0.0.1:{port}");
    assert!(upstreams.iter().any(|upstream| upstream["resolved"] == resolved.as_str()), "{web}");
    eventually("the other name is told", || {
        pointsman.web()["pools"]["green"]["upstreams"][0]["detail"].to_string().contains("does not resolve")
    });
}

#[test]
fn a_drained_upstream_gets_no_new_request_and_finishes_the_old() {
    let origins = origins(2);
    for (index, origin) in origins.iter().enumerate() {
        origin.react(move |request| match request.path() {
            "/slow" => Reaction::Late(Duration::from_millis(400), 200, format!("o{index}")),
            _ => Reaction::ok(&format!("o{index}")),
        });
    }
    let pointsman = one_worker(&config(&origins, "balance = \"round_robin\""));
    let http = pointsman.http();
    let slow: Vec<_> = (0..2).map(|_| std::thread::spawn(move || get(http, "/slow").text())).collect();
    eventually("both are busy", || counts(&origins) == [1, 1]);
    let drained = origins[0].address.to_string();
    assert_eq!(pointsman.cli(&["drain", "web", "blue", &drained]).code, 0);
    assert_eq!(pointsman.web()["pools"]["blue"]["upstreams"][0]["in_flight"], 1);
    for _ in 0..10 {
        assert_eq!(get(http, "/").text(), "o1");
    }
    let mut finished: Vec<_> = slow.into_iter().map(|slow| slow.join().expect("an answer")).collect();
    finished.sort();
    assert_eq!(finished, ["o0", "o1"]);
    let last = pointsman.cli(&["drain", "web", "blue", &origins[1].address.to_string()]);
    assert!(last.code == 1 && last.err.contains("last ready upstream"), "{}", last.err);
    assert_eq!(pointsman.cli(&["ready", "web", "blue", &drained]).code, 0);
    eventually("it serves again", || get(http, "/").text() == "o0");
}

/// The share of the second of two origins in so many requests.
fn share(pointsman: &Pointsman, origins: &[Origin], requests: u64) -> f64 {
    let before = origins[1].requests();
    let mut connection = Connection::open(pointsman.http());
    for _ in 0..requests {
        let answer = connection.send(b"GET /work HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(answer.status, 200);
    }
    (origins[1].requests() - before) as f64 / requests as f64
}

#[test]
fn a_recovered_upstream_gets_its_share_little_by_little() {
    for balance in ["round_robin", "least_conn", "p2c"] {
        let origins = origins(2);
        let down = |request: &super::harness::Received| match request.path() {
            "/health" => Reaction::Answer(500, String::new()),
            _ => Reaction::ok("1"),
        };
        origins[1].react(down);
        let keys = format!(
            "balance = \"{balance}\"\nslow_start = \"6s\"\npassive = {{ max_fails = 0 }}\n\
             health = {{ path = \"/health\", interval = \"20s\", rise = 1, fall = 1 }}"
        );
        let text = config(&origins, &keys);
        let state = |pointsman: &Pointsman| pointsman.web()["pools"]["blue"]["upstreams"][1]["state"].clone();
        let pointsman = one_worker(&text);
        eventually("it is found down", || state(&pointsman) == "down");
        assert_eq!(share(&pointsman, &origins, 100), 0.0);
        origins[1].react(|_| Reaction::ok("1"));
        // Another check is made at once.
        pointsman.configure(&format!(
            "[server]\nstate_dir = \"state\"\nthreads = 1\n{}",
            text.replace("20s", "100ms")
        ));
        assert_eq!(pointsman.call("POST", "/v1/reload", "").status, 200);
        eventually("it is back", || state(&pointsman) == "ready");
        let back = std::time::Instant::now();
        let mut shares = Vec::new();
        while back.elapsed() < Duration::from_secs(1) {
            shares.push(share(&pointsman, &origins, 50));
        }
        let first = shares.iter().sum::<f64>() / shares.len() as f64;
        assert!((0.02..0.3).contains(&first), "{balance}: {first} of the first second");
        eventually("it has its whole share", || share(&pointsman, &origins, 200) > 0.42);
        assert!(back.elapsed() > Duration::from_secs(2), "{balance}: it took {:?}", back.elapsed());
    }
}
