//! Limits by client: connections of a listener; requests at a time and rates of a route.

use super::harness::{Connection, Origin, Pointsman, eventually};
use super::listeners::config;
use std::net::SocketAddr;

/// A connection from one of the many addresses of this machine, and the status of a GET on it.
fn from(client: [u8; 4], to: SocketAddr) -> (u16, Connection) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((client, 0)).into()).expect("bound");
    socket.connect(&to.into()).expect("connected");
    let mut connection = Connection::over(socket.into());
    (connection.get("/").status, connection)
}

const ONE: [u8; 4] = [127, 0, 0, 1];
const OTHER: [u8; 4] = [127, 0, 0, 2];

#[test]
fn a_client_has_so_many_connections_and_others_have_theirs() {
    let origin = Origin::named("blue");
    let pointsman = Pointsman::start(&config(&origin, "limits = { connections_per_client = 3 }"));
    let http = pointsman.http();
    let held: Vec<_> = (0..3).map(|_| from(ONE, http)).collect();
    assert!(held.iter().all(|(status, _)| *status == 200));
    for _ in 0..10 {
        assert_eq!(from(ONE, http).0, 0, "closed at once");
    }
    assert_eq!(from(OTHER, http).0, 200);
    drop(held);
    eventually("closed connections make room", || from(ONE, http).0 == 200);
}

#[test]
fn a_listener_has_so_many_connections_in_all() {
    let origin = Origin::named("blue");
    let pointsman = Pointsman::start(&config(&origin, "limits = { connections = 2 }"));
    let http = pointsman.http();
    let held = [from(ONE, http), from(OTHER, http)];
    assert_eq!((held[0].0, held[1].0), (200, 200));
    assert_eq!(from([127, 0, 0, 3], http).0, 0);
    drop(held);
    eventually("closed connections make room", || from([127, 0, 0, 3], http).0 == 200);
}

#[test]
fn trusted_proxies_count_towards_the_total_only() {
    let origin = Origin::named("blue");
    let keys = "trusted_proxies = [\"127.0.0.1\"]\nlimits = { connections_per_client = 1, connections = 4 }";
    let pointsman = Pointsman::start(&config(&origin, keys));
    let held: Vec<_> = (0..4).map(|_| from(ONE, pointsman.http())).collect();
    assert!(held.iter().all(|(status, _)| *status == 200), "they speak for many clients");
    assert_eq!(from(ONE, pointsman.http()).0, 0);
}
