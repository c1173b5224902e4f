use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const LIMITS: Limits = Limits {
    head: HeadLimits { size: 4096, fields: 100 },
    header: Duration::from_secs(10),
    keepalive: Duration::from_secs(30),
    body_rate: 100,
};

fn stream() -> (DuplexStream, ClientStream<DuplexStream>, Arc<Signals>) {
    let (client, server) = duplex(1 << 16);
    let signals = Arc::new(Signals::default());
    (client, ClientStream::new(server, LIMITS, signals.clone()), signals)
}

/// What one read brings, as a text; a read that has to wait is `None`.
async fn read(stream: &mut ClientStream<DuplexStream>) -> Option<String> {
    let mut buf = [0; 4096];
    let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut buf)).await.ok()?;
    Some(String::from_utf8_lossy(&buf[..read.expect("no error")]).into_owned())
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn one_message_at_a_time_however_they_come() {
    let (mut client, mut stream, signals) = stream();
    let post = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    client.write_all(format!("{GET}{post}{GET}").as_bytes()).await.expect("written");
    for message in [GET, post, GET] {
        assert_eq!(read(&mut stream).await.as_deref(), Some(message));
        assert_eq!(read(&mut stream).await, None, "the next one has to wait");
        signals.await_next();
    }
    for byte in GET.bytes() {
        assert_eq!(read(&mut stream).await, None, "a head is withheld until it is whole");
        client.write_all(&[byte]).await.expect("written");
    }
    assert_eq!(read(&mut stream).await.as_deref(), Some(GET));
    drop(client);
    assert_eq!(read(&mut stream).await.as_deref(), Some(""), "the end of the stream is seen at once");
}

#[tokio::test(start_paused = true)]
async fn a_refused_head_is_replaced_and_ends_it() {
    let (mut client, mut stream, signals) = stream();
    client.write_all(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n").await.expect("written");
    assert!(read(&mut stream).await.is_some_and(|head| head.contains("Host: refused")));
    assert_eq!(signals.refused(), Some(400));
    client.write_all(GET.as_bytes()).await.expect("written");
    assert_eq!(read(&mut stream).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_switched_protocol_is_only_bytes() {
    let (mut client, mut stream, signals) = stream();
    client.write_all(format!("{GET}early").as_bytes()).await.expect("written");
    assert_eq!(read(&mut stream).await.as_deref(), Some(GET));
    assert_eq!(read(&mut stream).await, None);
    signals.opened();
    assert_eq!(read(&mut stream).await.as_deref(), Some("early"));
    client.write_all(b"\0\n\n").await.expect("written");
    assert_eq!(read(&mut stream).await.as_deref(), Some("\0\n\n"));
}

#[tokio::test(start_paused = true)]
async fn a_dripped_head_is_refused_in_time() {
    let (mut client, mut stream, signals) = stream();
    let drip = tokio::spawn(async move {
        while client.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(4)).await;
        }
    });
    let begun = Instant::now();
    let mut buf = [0; 4096];
    assert!(stream.read(&mut buf).await.expect("a stand-in") > 0);
    assert_eq!(signals.refused(), Some(408));
    assert!(begun.elapsed() <= Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(stream);
    drip.await.expect("the client saw the connection close");
}

#[tokio::test(start_paused = true)]
async fn idle_connections_and_late_answers_end() {
    let (mut client, mut stream, signals) = stream();
    client.write_all(GET.as_bytes()).await.expect("written");
    let mut buf = [0; 4096];
    assert!(stream.read(&mut buf).await.expect("a head") > 0);
    signals.await_answer(Duration::from_secs(5));
    let begun = Instant::now();
    assert_eq!(stream.read(&mut buf).await.expect_err("late").kind(), io::ErrorKind::TimedOut);
    assert!(signals.is_late());
    assert_eq!(begun.elapsed().as_secs(), 5);
    signals.answered();
    signals.await_next();
    assert_eq!(stream.read(&mut buf).await.expect("the end"), 0);
    assert_eq!(begun.elapsed().as_secs(), 35);
}

#[tokio::test(start_paused = true)]
async fn a_body_must_keep_its_rate_while_it_is_waited_for() {
    let (mut client, mut stream, _signals) = stream();
    let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    client.write_all(head).await.expect("written");
    let mut buf = [0; 4096];
    assert_eq!(stream.read(&mut buf).await.expect("a head"), head.len());
    tokio::spawn(async move {
        // Half the rate.
        while client.write_all(&[b'x'; 100]).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    });
    // Not being read from is not the client's fault.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let begun = Instant::now();
    let error = loop {
        if let Err(error) = stream.read(&mut buf).await {
            break error;
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!((10..100).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_first_head_is_waited_for_and_then_read() {
    let (mut client, mut stream, _signals) = stream();
    client.write_all(&GET.as_bytes()[..9]).await.expect("written");
    let waited = tokio::time::timeout(Duration::from_secs(1), stream.first_head()).await;
    assert!(waited.is_err(), "half of it is none");
    client.write_all(format!("{}{GET}", &GET[9..]).as_bytes()).await.expect("written");
    assert!(stream.first_head().await);
    assert_eq!(read(&mut stream).await.as_deref(), Some(GET));
    assert_eq!(read(&mut stream).await, None, "the next one has to wait");
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_head_is_none_and_a_late_one_is_refused() {
    let (client, mut first, _signals) = stream();
    drop(client);
    assert!(!first.first_head().await);
    let (_client, mut silent, _signals) = stream();
    assert!(!silent.first_head().await, "after the time for it");
    let (mut client, mut late, signals) = stream();
    client.write_all(b"GET / HT").await.expect("written");
    assert!(late.first_head().await);
    assert!(read(&mut late).await.is_some_and(|head| head.contains("Host: refused")));
    assert_eq!(signals.refused(), Some(408));
}
