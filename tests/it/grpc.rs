//! HTTP/2 to the upstreams (`http2 = true`), as gRPC needs it: both ways at once, and trailers.

use super::harness::{Connection, Pointsman, UnixDoor, eventually};
use super::listeners::curl;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;

/// How a call ends, by the status of gRPC.
#[derive(Clone, Copy, Debug)]
pub enum Ending {
    /// In trailers, behind the body.
    Trailers(u8),
    /// In the head, which is all there is.
    Head(u8),
}

/// An origin that speaks nothing but HTTP/2: it sends back the body, and trailers after it.
pub struct Origin {
    pub address: SocketAddr,
    /// Those that carried more than checks.
    connections: Arc<AtomicU64>,
    _runtime: tokio::runtime::Runtime,
}

impl Origin {
    fn start() -> Self {
        Origin::ending(Ending::Trailers(0))
    }

    /// All of whose calls end so.
    pub fn ending(ending: Ending) -> Self {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicU64::new(0));
        let count = connections.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let count = count.clone();
                tokio::spawn(async move {
                    let mut counted = false;
                    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        if request.uri().path() != "/health" && !std::mem::replace(&mut counted, true) {
                            count.fetch_add(1, Ordering::SeqCst);
                        }
                        tokio::spawn(answer(request, respond, ending));
                    }
                });
            }
        });
        Origin { address, connections, _runtime: runtime }
    }
}

async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    ending: Ending,
) {
    if request.uri().path() == "/health" {
        let well = Response::builder().status(204).body(()).expect("a head");
        let _ = respond.send_response(well, true);
        return;
    }
    let te = request.headers().get("te").and_then(|te| te.to_str().ok()).unwrap_or("none").to_owned();
    let head = Response::builder().header("content-type", "application/grpc").header("x-te", te);
    let status = match ending {
        Ending::Head(status) => {
            let head = head.header("grpc-status", u16::from(status)).body(()).expect("a head");
            respond.send_response(head, true).expect("sent");
            return;
        }
        Ending::Trailers(status) => status,
    };
    let mut out = respond.send_response(head.body(()).expect("a head"), false).expect("sent");
    let mut body = request.into_body();
    while let Some(Ok(piece)) = body.data().await {
        // The window opens again for what was read.
        let _ = body.flow_control().release_capacity(piece.len());
        out.send_data(piece, false).expect("sent");
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(u16::from(status)));
    out.send_trailers(trailers).expect("sent");
}

fn config(origin: &Origin, more: &str) -> String {
    config_at(&origin.address.to_string(), more)
}

fn config_at(upstream: &str, more: &str) -> String {
    format!(
        "[server]\nstate_dir = \"state\"\nthreads = 1\n{more}\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n\
         [services.web]\n[services.web.pools.blue]\nhttp2 = true\nupstreams = [\"{upstream}\"]\n\
         health = {{ path = \"/health\", interval = \"50ms\", fall = 1, expect = 204 }}\n"
    )
}

#[test]
fn trailers_arrive_and_one_connection_carries_many_requests() {
    let origin = Origin::start();
    // Even where all types are compressed, gRPC is not.
    let pointsman = Pointsman::start(&config(&origin, "[compression]\ntypes = [\"*\"]\nmin_size = \"1\""));
    let url = format!("http://{}/pkg.Service/Call", pointsman.http());
    let body = "x".repeat(100_000);
    let mut args = vec![
        "--http2-prior-knowledge",
        "-D",
        "-",
        "-H",
        "te: trailers",
        "-H",
        "content-type: application/grpc",
    ];
    args.extend(["-H", "accept-encoding: gzip", "--data-binary", &body, &url]);
    let out = curl(&args);
    assert!(
        out.starts_with("HTTP/2 200") && out.contains("x-te: trailers"),
        "{}",
        &out[..out.len().min(400)]
    );
    assert!(out.contains("grpc-status: 0"), "the trailers");
    assert!(out.contains(&body) && !out.contains("content-encoding"), "the body comes back as it is");
    let mut parallel =
        vec!["--http2-prior-knowledge", "--parallel", "--parallel-immediate", "-w", "%{http_code}\n"];
    (0..30).for_each(|_| parallel.extend(["-d", "y", "-o", "/dev/null", url.as_str()]));
    let codes = curl(&parallel);
    assert_eq!(codes.lines().filter(|line| *line == "200").count(), 30, "{codes}");
    let connections = origin.connections.load(Ordering::SeqCst);
    assert!(connections <= 4, "{connections} connections for 31 requests");
    eventually("checks speak HTTP/2, too", || {
        let status = pointsman.cli(&["status", "web"]);
        status.code == 0
    });
    let web = pointsman.web();
    assert_eq!(web["pools"]["blue"]["window"]["failures"], 0, "{web}");
}

#[test]
fn http2_goes_over_a_socket_in_the_file_system() {
    let origin = Origin::start();
    let door = UnixDoor::to(origin.address);
    let pointsman = Pointsman::start(&config_at(&door.label(), ""));
    let url = format!("http://{}/", pointsman.http());
    for _ in 0..10 {
        assert_eq!(curl(&["-d", "body", "-w", " %{http_code}", &url]), "body 200");
    }
    assert!(origin.connections.load(Ordering::SeqCst) <= 2, "one connection a worker");
    eventually("checks pass", || pointsman.cli(&["status", "web"]).code == 0);
}

#[test]
fn http1_clients_are_served_by_http2_upstreams() {
    let origin = Origin::start();
    let pointsman = Pointsman::start(&config(&origin, ""));
    let url = format!("http://{}/", pointsman.http());
    assert_eq!(
        curl(&["--http1.1", "-d", "body", "-w", " %{http_version} %{http_code}", &url]),
        "body 1.1 200"
    );
    eventually("nothing is in flight", || pointsman.web()["pools"]["blue"]["upstreams"][0]["in_flight"] == 0);
}

#[test]
fn an_answer_that_ends_with_its_head_is_whole_to_clients_of_http1() {
    let origin = Origin::ending(Ending::Head(14));
    let pointsman = Pointsman::start(&config(&origin, ""));
    let mut kept = Connection::open(pointsman.http());
    for (method, length) in [("GET", Some("0")), ("POST", Some("0")), ("HEAD", None), ("DELETE", Some("0"))] {
        let request = |version| format!("{method} / HTTP/{version}\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        let old = Connection::open(pointsman.http()).send(request("1.0").as_bytes());
        for answer in [kept.send(request("1.1").as_bytes()), old] {
            assert_eq!((answer.status, &*answer.fault), (200, ""), "{method}: {answer:?}");
            assert_eq!(answer.header("content-length"), length, "{method}: {answer:?}");
            assert_eq!(answer.header("transfer-encoding").filter(|_| length.is_some()), None, "{answer:?}");
        }
    }
}

#[test]
fn the_access_log_has_the_status_of_grpc_from_head_and_trailers() {
    let log = "grace = \"5s\"\n[access_log]\npath = \"access.log\"\n";
    for (ending, status, outcome) in [
        (Ending::Trailers(14), 14, "grpc"),
        (Ending::Head(14), 14, "grpc"),
        (Ending::Trailers(5), 5, "success"),
    ] {
        let origin = Origin::ending(ending);
        let pointsman = Pointsman::start(&config(&origin, log));
        let url = format!("http://{}/pkg.Service/Call", pointsman.http());
        curl(&["--http2-prior-knowledge", "-H", "content-type: application/grpc", "-d", "x", &url]);
        let file = pointsman.dir.path().join("access.log");
        let text = || std::fs::read_to_string(&file).unwrap_or_default();
        eventually("it is logged", || text().ends_with('\n'));
        let line: serde_json::Value = serde_json::from_str(text().trim()).expect("JSON");
        assert_eq!(
            (&line["grpc"], &line["outcome"]),
            (&status.into(), &outcome.into()),
            "{ending:?}: {line}"
        );
        assert_eq!(line["group"], "POST /pkg.Service/Call", "{line}");
    }
}
