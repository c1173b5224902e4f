use super::*;
use crate::proxy::wire::hpack::{Field, HpackReader, write};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const LIMITS: BlockLimits = BlockLimits { size: 4096, fields: 20 };

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    fields.iter().for_each(|(name, value)| write(Field { name, value, known: 0 }, &mut block));
    block
}

fn get(path: &[u8], more: &[(&[u8], &[u8])]) -> Vec<u8> {
    let fields: [(&[u8], &[u8]); 4] =
        [(b":method", b"GET"), (b":scheme", b"https"), (b":path", path), (b":authority", b"a")];
    block(&[&fields[..], more].concat())
}

/// The frames behind the preface: kind, flags, stream and payload.
fn frames(bytes: &[u8]) -> Vec<(u8, u8, u32, Vec<u8>)> {
    let (mut rest, mut frames) = (&bytes[24..], Vec::new());
    while let Some(header) = rest.first_chunk::<9>() {
        let length = usize::from(header[1]) << 8 | usize::from(header[2]);
        let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
        frames.push((header[3], header[4], stream, rest[9..9 + length].to_vec()));
        rest = &rest[9 + length..];
    }
    assert!(rest.is_empty(), "half a frame");
    frames
}

fn fields(block: &[u8]) -> Vec<(String, String)> {
    let list = HpackReader::default().read(block, 1 << 20).expect("a block");
    let text = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect();
    list.iter().map(|field| (text(field.name), text(field.value))).collect()
}

fn value(block: &[u8], name: &str) -> Option<String> {
    fields(block).into_iter().find(|(other, _)| other == name).map(|(_, value)| value)
}

#[test]
fn other_frames_pass_and_requests_are_put_into_other_words() {
    let long = vec![b'y'; 3000];
    let path = &b"/<a\xff>"[..];
    let whole = get(path, &[(b"x-long", &long), (b"x-pointsman-stream", b"9"), (b"host", b"A")]);
    let (first, second) = whole.split_at(2000);
    let bytes = [
        PREFACE.to_vec(),
        frame(4, 0, 0, &[0, 4, 0, 0, 255, 255]),
        frame(1, 0x29, 1, &[&[2, 0, 0, 0, 0, 7], first, &[0, 0]].concat()),
        frame(9, 4, 1, second),
        frame(0, 1, 1, b"body"),
        frame(1, 5, 3, &get(b"/plain", &[])),
    ]
    .concat();
    for piece in [1, 7, 9, 100, bytes.len()] {
        let frames = frames(&turned(&bytes, piece));
        let kinds: Vec<_> = frames.iter().map(|(kind, flags, stream, _)| (*kind, *flags, *stream)).collect();
        assert_eq!(kinds, [(4, 0, 0), (1, 5, 1), (0, 1, 1), (1, 5, 3)], "pieces of {piece}");
        let asked = &frames[1].3;
        assert_eq!(value(asked, ":path").as_deref(), Some("/%3Ca%FF%3E"));
        assert_eq!(value(asked, "x-pointsman-asked").as_deref(), Some("/<a\u{ff}>"));
        assert_eq!(value(asked, "x-pointsman-stream"), None);
        assert_eq!((value(asked, ":authority").as_deref(), value(asked, "host")), (Some("a"), None));
        assert_eq!(value(&frames[3].3, "x-pointsman-asked"), None);
    }
}

#[test]
fn the_table_is_kept_over_blocks_that_are_refused() {
    // `x-a: 1` is added to the table by a request without a host.
    let refused = [&block(&[(b":method", b"GET")])[..], &[0x40, 3, b'x', b'-', b'a', 1, b'1']].concat();
    let next = [&get(b"/", &[])[..], &[0xbe]].concat();
    let bytes = [PREFACE.to_vec(), frame(1, 5, 1, &refused), frame(1, 5, 3, &next)].concat();
    let frames = frames(&turned(&bytes, bytes.len()));
    assert!(value(&frames[0].3, "x-pointsman-asked").is_some_and(|asked| asked.starts_with("400 474554 ")));
    assert_eq!(value(&frames[1].3, "x-a").as_deref(), Some("1"));
}

#[test]
fn what_is_malformed_is_refused_and_what_cannot_be_read_is_lost() {
    let status = |block: &[u8]| {
        let bytes = [PREFACE.to_vec(), frame(1, 5, 1, block)].concat();
        let frames = frames(&turned(&bytes, bytes.len()));
        value(&frames[0].3, "x-pointsman-asked").map(|asked| asked[..3].to_owned())
    };
    let large = vec![b'y'; 5000];
    for (fields, expected) in [
        (get(b"/", &[]), None),
        (get(b"/", &[(b"X", b"y")]), Some("400")),
        (get(b"/", &[(b"x", b"a\0")]), Some("400")),
        (get(b"/", &[(b":path", b"/")]), Some("400")),
        (get(b"/", &[(b"x", b"y"), (b":scheme", b"http")]), Some("400")),
        (get(b"/ ", &[]), Some("400")),
        (get(b"/", &[(b"host", b"b")]), Some("400")),
        (get(b"/", &[(b"x", &large)]), Some("431")),
        (get(b"/", &[(&b"x"[..], &b"y"[..]); 30]), Some("431")),
        (block(&[(b":method", b"CONNECT"), (b":authority", b"a:1")]), Some("405")),
    ] {
        assert_eq!(status(&fields).as_deref(), expected, "{:?}", self::fields(&fields));
    }
    let lost = |bytes: &[u8]| {
        let all = [PREFACE, bytes, &frame(1, 5, 3, &get(b"/", &[]))].concat();
        let frames = frames(&turned(&all, all.len()));
        frames.iter().all(|(kind, _, stream, _)| (*kind, *stream) != (1, 3))
    };
    assert!(lost(&frame(1, 5, 1, &[0x80])), "a block");
    assert!(lost(&frame(1, 0x0d, 1, &[200, 0])), "padding");
    assert!(
        lost(&[frame(1, 1, 1, &[]), frame(0, 0, 1, b"x")].concat()[..frame(1, 1, 1, &[]).len()]),
        "no end"
    );
    assert!(lost(&[vec![frame(1, 1, 1, &[])], vec![frame(9, 0, 1, &[]); 100]].concat().concat()), "no end");
}

#[test]
fn trailers_are_nothing_or_an_error() {
    let bytes = |late: &[u8]| {
        let parts = [frame(1, 4, 1, &get(b"/", &[])), frame(1, 5, 1, late)].concat();
        frames(&turned(&[PREFACE, &parts].concat(), 50)).swap_remove(1).3
    };
    assert!(bytes(&block(&[(b"x-late", b"y")])).is_empty());
    assert_eq!(bytes(&block(&[(b":path", b"/")])), [0x80], "an index that there is not");
}

fn stream(interim: &Arc<Interim>) -> (DuplexStream, HeaderBlocks<DuplexStream>) {
    let (client, server) = duplex(64);
    (client, HeaderBlocks::new(server, LIMITS, interim.clone()))
}

#[tokio::test]
async fn an_interim_answer_stands_between_frames() {
    let interim = Arc::new(Interim::default());
    let (mut client, mut server) = stream(&interim);
    let answer = || http::Response::builder().status(103).body(()).expect("a head").into_parts().0;
    let first = frame(0, 0, 1, &[b'x'; 300]);
    let block = [frame(1, 0, 3, b"abc"), frame(9, 4, 3, b"def")].concat();
    let all = [first.clone(), block.clone(), first.clone()].concat();
    let writer = tokio::spawn(async move {
        // Said in the middle of a frame, and in the middle of a block.
        server.write_all(&all[..100]).await.expect("written");
        interim.send_on(5, &answer());
        server.write_all(&all[100..320]).await.expect("written");
        interim.send_on(7, &answer());
        server.write_all(&all[320..]).await.expect("written");
        server.flush().await.expect("flushed");
        server.shutdown().await.expect("closed");
    });
    let mut seen = Vec::new();
    client.read_to_end(&mut seen).await.expect("read");
    writer.await.expect("no panic");
    let frames = frames(&[PREFACE, &seen].concat());
    let order: Vec<_> = frames.iter().map(|(kind, _, stream, _)| (*kind, *stream)).collect();
    assert_eq!(order, [(0, 1), (1, 5), (1, 3), (9, 3), (1, 7), (0, 1)]);
}

proptest! {
    #[test]
    fn pieces_are_turned_as_the_whole_is(bytes in prop::collection::vec(any::<u8>(), 0..400), piece in 1_usize..60) {
        let path = b"/x`y";
        let request = frame(1, 5, 1, &get(path, &[]));
        let all = [PREFACE, &request, &bytes].concat();
        prop_assert_eq!(turned(&all, piece), turned(&all, all.len()));
    }
}
