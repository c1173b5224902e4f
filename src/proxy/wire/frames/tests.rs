use super::*;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const LIMIT: Duration = Duration::from_secs(10);
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PING: u8 = 6;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const WHOLE: u8 = END_HEADERS | END_STREAM;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A connection whose stream 1 is open and has had a piece of its body.
fn open(frames: &[Vec<u8>]) -> Vec<u8> {
    let begun = [
        PREFACE.to_vec(),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]),
        // In requests such fields are at home.
        frame(HEADERS, END_HEADERS, 1, &[0x83, 0x87, 0x84, 0x41, 1, b'a', 0, 2, b':', b'x', 0]),
        frame(DATA, 0, 1, b"\x83:body"),
    ];
    begun.iter().chain(frames).flatten().copied().collect()
}

/// What is made of bytes that come in pieces of these sizes, again and again.
fn passed(bytes: &[u8], sizes: &[usize]) -> Vec<u8> {
    let (mut follow, mut bytes) = (Follow::default(), bytes.to_vec());
    let mut sizes = sizes.iter().cycle();
    let mut rest = &mut bytes[..];
    while !rest.is_empty() {
        let size = (*sizes.next().expect("endless")).clamp(1, rest.len());
        let (piece, more) = rest.split_at_mut(size);
        follow.pass(piece);
        rest = more;
    }
    bytes
}

/// The bytes that were changed: where from the end, and into what.
fn changes(bytes: &[u8]) -> Vec<(usize, u8)> {
    let after = passed(bytes, &[usize::MAX]);
    let both = bytes.iter().zip(&after).enumerate().filter(|(_, (before, after))| before != after);
    both.map(|(at, (_, after))| (bytes.len() - at, *after)).collect()
}

#[test]
fn a_connection_begins_with_settings() {
    let settings = frame(SETTINGS, 0, 0, &[]);
    assert_eq!(changes(&[PREFACE, &settings].concat()), []);
    let ping = frame(PING, 0, 0, &[0; 8]);
    assert_eq!(changes(&[PREFACE, &ping].concat()), [(14, CONTINUATION)]);
    assert_eq!(changes(&[PREFACE, &settings, &ping].concat()), []);
    assert_eq!(changes(&[PREFACE, &frame(SETTINGS, 1, 0, &[])].concat()), [(1, 1)]);
}

#[test]
fn pseudo_fields_in_trailers_are_made_none() {
    let trailers = |block: &[u8]| changes(&open(&[frame(HEADERS, WHOLE, 1, block)]));
    for block in [&[0x83][..], &[0x0e, 1, b'x'], &[0x44, 1, b'x'], &[0x11, 0]] {
        assert_eq!(trailers(block), [(block.len(), 0x80)], "{block:x?}");
    }
    assert_eq!(trailers(&[0, 2, b':', b'x', 1, b'y']), [(4, b'A')]);
    assert_eq!(trailers(&[0x40, 0x82, 0b1011_1001, 0x7f, 0]), [(3, 0b1000_0111)]);
    // Behind other fields, a change of the table's size and long texts.
    let long = [&[0x3f, 0x81, 0x01, 0, 127, 0x81, 0x01][..], &[b'n'; 256], &[0x83, 1, 2, 3]].concat();
    let block = [&long[..], &[0xff, 0x10, 0x7f, 0x01, 0, 0x90, 0x83]].concat();
    assert_eq!(trailers(&block), [(1, 0x80)]);
}

#[test]
fn other_trailers_stay() {
    for block in [
        &[][..],
        &[0x8f, 0xbe, 0xff, 0x83, 0x01],
        &[0, 1, b'x', 1, b':', 0x10, 0, 0],
        &[0x0f, 0x83, 0x01, 1, b':', 0x7f, 0x83, 0x01, 2, 0x83, b':', 0x3f, 0x83, 0x01],
        // Nobody can read these, nor what comes after.
        &[0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0x83, 0x83],
    ] {
        assert_eq!(changes(&open(&[frame(HEADERS, WHOLE, 1, block)])), [], "{block:x?}");
    }
}

#[test]
fn padding_and_priorities_are_no_fields() {
    let padded = [3, 0x8f, 0x83, 0x83, 0x83];
    assert_eq!(changes(&open(&[frame(HEADERS, WHOLE | 8, 1, &padded)])), []);
    let both = [1, 0, 0, 0, 3, 0x83, 0x8f, 0x83, 0x83];
    assert_eq!(changes(&open(&[frame(HEADERS, WHOLE | 0x28, 1, &both)])), [(2, 0x80)]);
    // More of it than there is of the frame.
    assert_eq!(changes(&open(&[frame(HEADERS, WHOLE | 8, 1, &[9, 0x83])])), []);
    assert_eq!(changes(&open(&[frame(HEADERS, WHOLE | 0x28, 1, &[0])])), []);
}

#[test]
fn trailers_go_on_in_continuations() {
    let frames = [
        frame(HEADERS, END_STREAM, 1, &[0, 1, b'x', 2, b'a']),
        frame(CONTINUATION, 0, 1, &[b'b', 0]),
        frame(CONTINUATION, 0, 1, &[]),
        frame(CONTINUATION, END_HEADERS, 1, &[2, b':', b'y', 0]),
    ];
    assert_eq!(changes(&open(&frames)), [(3, b'A')]);
    let request =
        [frame(HEADERS, END_STREAM, 3, &[0x82]), frame(CONTINUATION, END_HEADERS, 3, &[0x87, 0x84])];
    assert_eq!(changes(&open(&request)), [], "a new request's");
}

#[tokio::test]
async fn what_is_written_passes() {
    let (mut client, server) = duplex(1 << 16);
    let mut frames = Frames::new(server, 32, LIMIT, Arc::default());
    client.write_all(&open(&[frame(HEADERS, WHOLE, 1, &[0x83])])).await.expect("written");
    drop(client.shutdown().await);
    let mut bytes = Vec::new();
    frames.read_to_end(&mut bytes).await.expect("read");
    assert_eq!(bytes.last(), Some(&0x80));
    frames.write_all(&[0x83; 100]).await.expect("written");
    let mut answer = [0; 100];
    client.read_exact(&mut answer).await.expect("read");
    assert_eq!(answer, [0x83; 100]);
}

/// Writes bytes in pieces of a size, and what arrives.
async fn written(bytes: &[u8], size: usize) -> Vec<u8> {
    // What does not fit is written in part.
    let (mut client, server) = duplex(7);
    let mut frames = Frames::new(server, 0x0102_0304, LIMIT, Arc::default());
    let bytes = bytes.to_vec();
    let writing = tokio::spawn(async move {
        for piece in bytes.chunks(size) {
            frames.write_all(piece).await.expect("written");
        }
    });
    let mut arrived = Vec::new();
    client.read_to_end(&mut arrived).await.expect("read");
    writing.await.expect("no panic");
    arrived
}

#[tokio::test]
async fn the_first_frame_announces_the_streams() {
    let settings = |streams: [u8; 4]| {
        let others = [0, 4, 0, 0, 0, 3, 0, 3];
        frame(SETTINGS, 0, 0, &[&others[..], &streams, &[0, 6, 0, 3, 0, 3]].concat())
    };
    let more = [settings([0, 0, 0, 100]), vec![3; 300]].concat();
    for size in [1, 2, 9, 20, 1000] {
        let bytes = [settings([0, 0, 0, 100]), more.clone()].concat();
        assert_eq!(written(&bytes, size).await, [settings([1, 2, 3, 4]), more.clone()].concat(), "{size}");
        let other = [frame(PING, 0, 0, &[0, 3, 0, 0, 0, 100, 0, 3]), more.clone()].concat();
        assert_eq!(written(&other, size).await, other, "it is no SETTINGS");
        let empty = [frame(SETTINGS, 0, 0, &[]), more.clone()].concat();
        assert_eq!(written(&empty, size).await, empty, "it says nothing");
    }
}

#[test]
fn an_acknowledgement_is_noticed() {
    let mut follow = Follow::default();
    follow.pass(&mut open(&[]));
    assert!(!follow.has_acknowledged());
    follow.pass(&mut frame(SETTINGS, 1, 0, &[]));
    assert!(follow.has_acknowledged());
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop_oneof![Just(HEADERS), Just(CONTINUATION), 0u8..10];
    let block = prop::collection::vec(prop_oneof![0u8..20, Just(b':'), Just(0xb9), any::<u8>()], 0..60);
    (kinds, any::<u8>(), 0u32..6, block)
        .prop_map(|(kind, flags, stream, block)| frame(kind, flags, stream, &block))
}

proptest! {
    #[test]
    fn it_does_not_matter_how_bytes_are_cut(
        frames in prop::collection::vec(any_frame(), 0..20),
        noise in prop::collection::vec(any::<u8>(), 0..200),
        sizes in prop::collection::vec(1usize..30, 1..20),
        begins in any::<bool>(),
    ) {
        let start = if begins { open(&[]) } else { PREFACE.to_vec() };
        let bytes = [start, frames.concat(), noise].concat();
        let whole = passed(&bytes, &[usize::MAX]);
        prop_assert_eq!(whole.len(), bytes.len());
        prop_assert_eq!(&passed(&bytes, &[1]), &whole);
        prop_assert_eq!(&passed(&bytes, &sizes), &whole);
    }
}
