//! A member that says what no member says.

use super::{all_from, began, client_of, next, run, settings};
use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use pointsman::fleet::etcd::{EtcdFault, KeyScope, RefusalReason, WatchEvent};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// How a question for keys is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    Html,
    NoStatus,
    TooLong,
    Compressed,
    Twice,
    Garbage,
    Reset,
    Silent,
    Within,
    OddStatus,
    OtherCluster,
    Nothing,
    Endless,
    ManyHeaders,
    /// All is well, but its status is not for everybody.
    Shy,
}

/// The header of an answer: cluster, member 1, revision 10.
fn header(cluster: u8) -> Vec<u8> {
    vec![0x0a, 6, 8, cluster, 16, 1, 24, 10]
}

fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).expect("short"));
    framed.put_slice(message);
    framed.freeze()
}

fn good() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).expect("an answer")
}

fn trailers(status: &'static str) -> HeaderMap {
    [(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static(status))].into_iter().collect()
}

async fn answer(bad: Bad, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Option<()> {
    let path = request.uri().path().to_owned();
    let message = match path.rsplit('/').next()? {
        "Status" if bad == Bad::Shy => return denied(respond),
        "Status" => [header(7), vec![32, 1]].concat(),
        "Check" => vec![8, 1],
        "Watch" => return endless_watch(respond).await,
        _ => return answer_badly(bad, respond).await,
    };
    let mut stream = respond.send_response(good(), false).ok()?;
    stream.send_data(framed(&message), false).ok()?;
    stream.send_trailers(trailers("0")).ok()
}

fn denied(mut respond: SendResponse<Bytes>) -> Option<()> {
    let mut head = good();
    head.headers_mut().insert("grpc-status", HeaderValue::from_static("7"));
    head.headers_mut().insert("grpc-message", HeaderValue::from_static("etcdserver: permission denied"));
    respond.send_response(head, true).map(drop).ok()
}

async fn answer_badly(bad: Bad, mut respond: SendResponse<Bytes>) -> Option<()> {
    let mut head = good();
    match bad {
        Bad::Html => {
            *head.headers_mut() =
                HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("text/html"))])
        }
        Bad::OddStatus => {
            head.headers_mut().insert("grpc-status", HeaderValue::from_static("oops"));
            head.headers_mut().insert("grpc-message", HeaderValue::from_static("%00%1b[31m%zz"));
        }
        Bad::ManyHeaders => {
            for number in 0..300 {
                let name = http::HeaderName::try_from(format!("x-{number}")).expect("a name");
                head.headers_mut().insert(name, HeaderValue::from_str(&"x".repeat(200)).expect("a value"));
            }
        }
        Bad::Silent => return std::future::pending().await,
        _ => {}
    }
    let mut stream = respond.send_response(head, bad == Bad::OddStatus).ok()?;
    let message = framed(&header(if bad == Bad::OtherCluster { 8 } else { 7 }));
    let pieces: Vec<Bytes> = match bad {
        Bad::TooLong | Bad::Endless => vec![Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff])],
        Bad::Compressed => vec![Bytes::from_static(&[1, 0, 0, 0, 1, 0])],
        Bad::Twice => vec![message.clone(), message],
        Bad::Garbage => vec![framed(&[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f, 1])],
        Bad::Within => vec![message.slice(..7)],
        Bad::Nothing => Vec::new(),
        _ => vec![message],
    };
    for piece in pieces {
        stream.send_data(piece, false).ok()?;
    }
    match bad {
        Bad::Reset => stream.send_reset(h2::Reason::INTERNAL_ERROR),
        Bad::NoStatus => stream.send_trailers(HeaderMap::new()).ok()?,
        Bad::Endless => loop {
            stream.send_data(Bytes::from(vec![0; 16 << 10]), false).ok()?;
            tokio::task::yield_now().await;
        },
        _ => stream.send_trailers(trailers("0")).ok()?,
    }
    Some(())
}

/// One revision in pieces without end.
async fn endless_watch(mut respond: SendResponse<Bytes>) -> Option<()> {
    let mut stream = respond.send_response(good(), false).ok()?;
    stream.send_data(framed(&[header(7), vec![24, 1]].concat()), false).ok()?;
    // fragment, and an event with a key whose value has 64 KiB.
    let value = [vec![0x2a, 0x80, 0x80, 4], vec![b'x'; 64 << 10]].concat();
    let pair = [vec![0x0a, 1, b'k', 0x18, 11], value].concat();
    let length = |bytes: &[u8]| {
        let n = bytes.len();
        vec![(n & 0x7f) as u8 | 0x80, (n >> 7 & 0x7f) as u8 | 0x80, (n >> 14) as u8]
    };
    let event = [vec![0x12], length(&pair), pair].concat();
    let piece = framed(&[header(7), vec![0x38, 1, 0x5a], length(&event), event].concat());
    loop {
        stream.reserve_capacity(piece.len());
        while stream.capacity() < piece.len() {
            std::future::poll_fn(|cx| stream.poll_capacity(cx)).await?.ok()?;
        }
        stream.send_data(piece.clone(), false).ok()?;
    }
}

/// A member that answers as the test says.
async fn member(bad: Arc<Mutex<Bad>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let bad = bad.clone();
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let bad = *bad.lock().expect("not poisoned");
                    tokio::spawn(answer(bad, request, respond));
                }
            });
        }
    });
    format!("http://{address}")
}

#[test]
fn what_no_member_says_is_a_fault() {
    let bad = Arc::new(Mutex::new(Bad::Html));
    run(async {
        let etcd = client_of(settings(&[member(bad.clone()).await]));
        for now in [
            Bad::Html,
            Bad::NoStatus,
            Bad::TooLong,
            Bad::Compressed,
            Bad::Twice,
            Bad::Garbage,
            Bad::Reset,
            Bad::Silent,
            Bad::Within,
            Bad::OddStatus,
            Bad::OtherCluster,
            Bad::Nothing,
            Bad::Endless,
            Bad::ManyHeaders,
        ] {
            *bad.lock().expect("not poisoned") = now;
            let since = Instant::now();
            let read = etcd.range(&KeyScope::key("k").into()).await.expect_err("a fault");
            let written = etcd.put("k", "", 0).await.expect_err("a fault");
            println!("{now:?}, {} ms: {read}", since.elapsed().as_millis());
            assert!(since.elapsed() < Duration::from_secs(10), "{now:?}");
            let is_long = matches!(now, Bad::TooLong | Bad::Endless);
            assert_eq!(read.refusal() == Some(&RefusalReason::TooLarge), is_long, "{now:?}: {read}");
            assert!(
                written.is_unknown() || matches!(written, EtcdFault::NotConnected(_)),
                "{now:?}: {written}"
            );
            assert!(!read.to_string().contains('\u{1b}'), "{read}");
            let is_early = read.to_string().contains("inactive stream");
            assert!(!is_early, "an answer that comes before the question is heard: {read}");
        }
    });
}

/// As members do since 3.4.42, 3.5.28 and 3.6.9, where users are switched on.
#[test]
fn a_member_that_keeps_its_status_to_itself_is_asked_all_the_same() {
    run(async {
        let etcd = client_of(settings(&[member(Arc::new(Mutex::new(Bad::Shy))).await]));
        let listing = etcd.range(&KeyScope::key("k").into()).await.expect("an answer");
        assert_eq!(listing.revision, 10);
    });
}

#[test]
fn a_watch_without_end_is_given_up() {
    run(async {
        let etcd = client_of(settings(&[member(Arc::new(Mutex::new(Bad::Html))).await]));
        let mut watch = etcd.watch(all_from("k", 11));
        began(&mut watch).await;
        assert_eq!(next(&mut watch).await, WatchEvent::Compacted { revision: 10 });
    });
}
