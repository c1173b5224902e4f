//! What a server has to accept, odd as it may be: frames in every state that allows them, all forms of a
//! field, and windows down to nothing.

use super::*;

/// One more in the client's window of a stream.
fn one_more(h2: &mut H2) -> std::io::Result<()> {
    h2.frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())
}

fn window(h2: &mut H2, size: u32) -> std::io::Result<()> {
    let settings = [&[0, 4][..], &size.to_be_bytes()].concat();
    h2.frame(SETTINGS, 0, 0, &settings)?;
    let acknowledged = |frame: &Frame| frame.kind == SETTINGS && frame.flags & ACK != 0;
    h2.find(acknowledged).map(drop).ok_or_else(|| std::io::Error::other("no acknowledgement"))
}

fn data(h2: &mut H2) -> std::io::Result<usize> {
    let frame = h2.find(|frame| frame.kind == DATA && frame.stream == 1);
    frame.map(|frame| frame.payload.len()).ok_or_else(|| std::io::Error::other("no DATA"))
}

pub(super) fn cases() -> Vec<Case> {
    [states(), windows(), fields()].into_iter().flatten().collect()
}

fn states() -> Vec<Case> {
    let priority = |name: &str, stream: u32, depends: [u8; 4], weight: u8| {
        let payload = [&depends[..], &[weight]].concat();
        case(&format!("6.3 PRIORITY {name}"), Then::Status(200), move |h2| {
            h2.frame(PRIORITY, 0, stream, &payload)?;
            h2.get(1, "/x")
        })
    };
    vec![
        priority("of weight 1", 1, [0; 4], 0),
        priority("of weight 256", 1, [0; 4], 255),
        priority("that depends on another", 3, [0, 0, 0, 1], 0),
        priority("that is exclusive", 1, [0x80, 0, 0, 0], 0),
        priority("on a higher stream that is idle", 3, [0; 4], 255),
        case("5.1 PRIORITY on an idle stream", Then::Pong([0; 8]), |h2| {
            h2.frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 255])?;
            h2.frame(PING, 0, 0, &[0; 8])
        }),
        case("5.1 WINDOW_UPDATE on a stream that is half closed", Then::Data(1), |h2| {
            window(h2, 0)?;
            h2.get(1, "/x")?;
            one_more(h2)
        }),
        case("5.1 PRIORITY on a stream that is half closed", Then::Data(1), |h2| {
            window(h2, 0)?;
            h2.get(1, "/x")?;
            h2.frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 255])?;
            one_more(h2)
        }),
        case("5.1 RST_STREAM on a stream that is half closed", Then::Alive(3), |h2| {
            h2.get(1, "/hang")?;
            h2.frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])
        }),
        case("6.1 several DATA", Then::Status(200), |h2| {
            open(h2, 1)?;
            (0..5).try_for_each(|_| h2.frame(DATA, 0, 1, b"test"))?;
            h2.frame(DATA, END_STREAM, 1, &[])
        }),
        case("6.2 padding and a priority at once", Then::Status(200), |h2| {
            let payload = [&[3, 0, 0, 0, 0, 8][..], &get("/x"), &[0x83; 3]].concat();
            h2.frame(HEADERS, WHOLE | PADDED | PRIORITY_FLAG, 1, &payload)
        }),
        case("6.8 GOAWAY without streams", Then::Closed, |h2| h2.frame(GOAWAY, 0, 0, &[0; 8])),
        case("7 GOAWAY with an unknown code", Then::Closed, |h2| {
            h2.frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff])
        }),
        case("6.9 WINDOW_UPDATE of the connection", Then::Alive(1), |h2| {
            h2.frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes())
        }),
        case("6.9 WINDOW_UPDATE of a stream", Then::Status(200), |h2| {
            open(h2, 1)?;
            one_more(h2)?;
            h2.frame(DATA, END_STREAM, 1, b"x")
        }),
        case("6.5 ENABLE_PUSH of zero and of one", Then::Acknowledged, |h2| {
            h2.frame(SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1])
        }),
        case("6.10 CONTINUATION that are empty", Then::Status(200), |h2| {
            h2.frame(HEADERS, END_STREAM, 1, &get("/x"))?;
            h2.frame(CONTINUATION, 0, 1, &[])?;
            h2.frame(CONTINUATION, END_HEADERS, 1, &[])
        }),
    ]
}

fn windows() -> Vec<Case> {
    vec![
        case("6.9.1 a window of one", Then::Data(1), |h2| {
            window(h2, 1)?;
            h2.get(1, "/x")
        }),
        case("6.9.2 a window of zero that becomes one", Then::Data(1), |h2| {
            window(h2, 0)?;
            h2.get(1, "/x")?;
            window(h2, 1)
        }),
        case("6.9.2 a window that becomes negative", Then::Data(1), |h2| {
            window(h2, 3)?;
            h2.get(1, "/long")?;
            if data(h2)? != 3 {
                return Err(std::io::Error::other("not three bytes"));
            }
            window(h2, 2)?;
            h2.frame(WINDOW_UPDATE, 0, 1, &2_u32.to_be_bytes())
        }),
    ]
}

/// The forms of a field, each with a text as it is and by Huffman's code.
fn fields() -> Vec<Case> {
    const KEY: &[u8] = b"\x0acustom-key";
    const CODED_KEY: &[u8] = &[0x88, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xa9, 0x7d, 0x7f];
    const VALUE: &[u8] = b"\x0ccustom-value";
    const CODED_VALUE: &[u8] = &[0x89, 0x25, 0xa8, 0x49, 0xe9, 0x5b, 0xb8, 0xe8, 0xb4, 0xbf];
    // A name of one's own, and `user-agent` of the static table.
    let forms: [(&str, &[u8], &[u8]); 3] = [
        ("indexed", &[0x40], &[0x7a]),
        ("not indexed", &[0x00], &[0x0f, 0x2b]),
        ("never indexed", &[0x10], &[0x1f, 0x2b]),
    ];
    let mut cases = Vec::new();
    let mut add = |name: String, field: Vec<u8>| {
        let fields = [get("/x"), field].concat();
        cases.push(case(&name, Then::Status(200), move |h2| h2.frame(HEADERS, WHOLE, 1, &fields)));
    };
    add("6.1 a field of the static table".into(), vec![0xba]);
    for (form, own, known) in forms {
        for (how, key, value) in [("plain", KEY, VALUE), ("coded", CODED_KEY, CODED_VALUE)] {
            add(format!("6.2 a new name, {form}, {how}"), [own, key, value].concat());
            add(format!("6.2 a known name, {form}, {how}"), [known, value].concat());
        }
    }
    cases
}
