//! Clients that a policy asks for, before it believes what they met: those of all members together.

use super::{Site, all_have, all_say, rollout};
use crate::harness::{NAMELESS, Origin, Pointsman, Reaction, eventually, send};

const HALF: &str = r#"{"to": "green", "strategy": "canary",
    "steps": [{"weight": 50, "hold": "1h"}, {"weight": 100, "hold": "0s"}]}"#;

/// A site whose candidate always fails, and whose policy asks for so many clients.
fn site(clients: usize) -> Site {
    let failing = Origin::new(|_| Reaction::Answer(500, "broken".to_owned()));
    Site { more: format!("min_clients = {clients}\n{NAMELESS}"), ..Site::of(failing) }
}

fn get(member: &Pointsman, client: &str) {
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {client}\r\n\r\n");
    send(member.http(), &request);
}

#[test]
fn two_clients_here_and_two_there_are_four() {
    let site = site(4);
    let members = site.members(2);
    let all: Vec<&Pointsman> = members.iter().collect();
    let id = all[0].start_rollout(HALF);
    all_have(&all, 50.0);
    eventually("it is aborted", || {
        get(all[0], "192.0.2.1");
        get(all[0], "192.0.2.2");
        get(all[1], "192.0.2.3");
        get(all[1], "192.0.2.4");
        all[0].weight("green") == 0.0
    });
    all_say(&all, &id, "aborted");
    let why = rollout(all[0], &id)["reason"].to_string();
    assert!(why.contains("error rate"), "{why}");
}

/// Two clients of both members are two.
#[test]
fn one_client_of_two_members_is_one() {
    let site = site(3);
    let members = site.members(2);
    let all: Vec<&Pointsman> = members.iter().collect();
    let id = all[0].start_rollout(HALF);
    all_have(&all, 50.0);
    let mut requests = 0;
    eventually("it is held for want of clients", || {
        for member in &all {
            get(member, "192.0.2.1");
            get(member, "192.0.2.2");
        }
        requests += 1;
        let holds = |member: &&Pointsman| rollout(member, &id)["verdict"].to_string().contains("2 clients");
        requests > 50 && all.iter().any(holds)
    });
    assert_eq!(super::weights(&all), [50.0; 2]);
    eventually("a third one ends it", || {
        get(all[1], "192.0.2.3");
        all[0].weight("green") == 0.0
    });
    all_say(&all, &id, "aborted");
}
