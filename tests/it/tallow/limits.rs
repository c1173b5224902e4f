//! How much a client may have, and how upstreams' connections are used.

use super::each;
use super::site::{HOST, Site, imported, polished};
use crate::harness::{Answer, Origin, Reaction, eventually};

impl Site {
    /// So many requests as fast as may be, over one connection after the other; how many were served
    /// before the first 429.
    fn burst(&self, path: &str, most: usize) -> usize {
        let mut connection = self.client.open(self.https[0], HOST).expect("a handshake").0;
        let ask = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        for served in 0..most {
            if served % 90 == 89 {
                connection = self.client.open(self.https[0], HOST).expect("a handshake").0;
            }
            match connection.send(ask.as_bytes()).status {
                200 => {}
                429 => return served,
                status => panic!("{path}: {status}"),
            }
        }
        most
    }
}

#[test]
fn requests_are_limited_by_client() {
    each(|site| {
        site.signaling.react(|_| Reaction::ok("signaling"));
        // The burst and one, and those that the time allows.
        for (path, burst) in [("/signaling/x", 10), ("/api/ready", 20), ("/", 50), ("/api/x", 100)] {
            let served = site.burst(path, 1000);
            assert!((burst + 1..1000).contains(&served), "{path}: {served}");
        }
    });
}

#[test]
fn concurrent_requests_are_limited_by_client() {
    each(|site| {
        site.app.react(|_| Reaction::Hang);
        site.signaling.react(|_| Reaction::Hang);
        for (path, most, origin) in [("/", 20, &site.app), ("/signaling", 10, &site.signaling)] {
            let mut held = Vec::new();
            for _ in 0..most {
                let mut connection = site.client.open(site.https[0], HOST).expect("a handshake").0;
                connection
                    .write(format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes())
                    .expect("written");
                held.push(connection);
            }
            eventually("all are under way", || origin.connections() >= most);
            assert_eq!(site.get(path).status, 429, "{path}");
        }
    });
}

#[test]
fn bodies_are_limited_in_size_and_in_silence() {
    each(|site| {
        let ask = |fields: &str| -> Answer {
            let mut connection = site.client.open(site.https[0], HOST).expect("a handshake").0;
            connection.send(format!("POST / HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n").as_bytes())
        };
        assert_eq!(ask(&format!("Content-Length: {}\r\n", (100 << 20) + 1)).status, 413);
        let silent = ask("Content-Length: 10\r\n");
        assert!(matches!(silent.status, 0 | 408), "{}", silent.status);
    });
}

#[test]
fn connections_to_the_application_are_kept_for_a_hundred_requests() {
    each(|site| {
        let before = site.app.connections();
        for _ in 0..2 {
            let mut connection = site.client.open(site.https[0], HOST).expect("a handshake").0;
            for _ in 0..99 {
                let ask = format!("GET /_next/none HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
                assert!(matches!(connection.send(ask.as_bytes()).status, 200 | 429));
            }
        }
        let (opened, requests) = (site.app.connections() - before, site.app.requests());
        assert!(opened < requests / 10, "{opened} connections for {requests} requests");
        let most = requests.div_ceil(100);
        assert!(opened >= most, "{opened} connections for {requests} requests");
    });
}

#[test]
fn upstreams_are_chosen_by_load_and_left_out_after_three_failures() {
    for text in [imported(), polished()] {
        let (one, two) = (Origin::named("app"), Origin::named("app"));
        let list = format!("\"{}\", \"{}\"", one.address, two.address);
        let site = Site::start(&text.replace("\"app-1:3000\", \"app-2:3000\"", &list));
        one.react(|_| Reaction::Hang);
        two.react(|_| Reaction::Hang);
        let mut held = site.client.open(site.https[0], HOST).expect("a handshake").0;
        held.write(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n").as_bytes()).expect("written");
        eventually("one of them is busy", || one.requests() + two.requests() == 1);
        let (busy, idle) = if one.requests() == 1 { (one, two) } else { (two, one) };
        idle.react(|_| Reaction::ok("app"));
        (0..10).for_each(|_| assert_eq!(site.get("/").text(), "app"));
        assert_eq!((busy.requests(), idle.requests()), (1, 10), "the idle one has all");
        busy.react(|_| Reaction::ok("app"));
        idle.react(|_| Reaction::Close);
        eventually("three failures take it out", || {
            let before = idle.requests();
            (0..5).for_each(|_| assert_eq!(site.get("/api/x").text(), "app", "another one answers"));
            idle.requests() == before
        });
        assert!(idle.requests() >= 10 + 3);
    }
}
