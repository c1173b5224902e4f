//! Blocks of header fields of HTTP/2: however they are cut, and whatever they say, what is passed on is sound.

use crate::proxy::wire::blocks::turned;
use crate::proxy::wire::head::{is_target_text, is_text, is_token};
use crate::proxy::wire::hpack::HpackReader;
use crate::proxy::wire::target;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// A byte for the size of the pieces that the rest, the frames of a client, comes in.
pub fn http2_blocks(data: &[u8]) {
    let Some((piece, frames)) = data.split_first() else { return };
    let all = [PREFACE, frames].concat();
    let whole = turned(&all, all.len());
    assert_eq!(turned(&all, usize::from(*piece) + 1), whole, "pieces of {piece}");
    let mut rest = whole.get(PREFACE.len()..).unwrap_or_default();
    let mut block: Option<Vec<u8>> = None;
    while let Some(header) = rest.first_chunk::<9>() {
        let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        let Some(payload) = rest.get(9..9 + length) else { return };
        rest = rest.get(9 + length..).unwrap_or_default();
        match (header[3], &mut block) {
            (HEADERS, None) => block = Some(payload.to_vec()),
            (CONTINUATION, Some(block)) => block.extend_from_slice(payload),
            // It goes on with nothing, or comes in between: the library ends the connection for it.
            (HEADERS | CONTINUATION, _) | (_, Some(_)) => return,
            (_, None) => continue,
        }
        if header[4] & END_HEADERS != 0 {
            is_sound(&block.take().unwrap_or_default());
        }
    }
}

/// Trailers are empty, and what could not be read is an index of nothing.
fn is_sound(block: &[u8]) {
    if block.is_empty() || block == [0x80] {
        return;
    }
    // Written without a table: a reader of its own understands each.
    let Ok(list) = HpackReader::default().read(block, usize::MAX) else { panic!("a block of ours") };
    let mut pseudo = 0;
    for field in list.iter() {
        assert!(field.value.iter().all(|byte| is_text(*byte)), "{field:?}");
        if let Some(name) = field.name.strip_prefix(b":") {
            pseudo += 1;
            assert!(name.is_ascii());
        } else {
            assert!(field.name.iter().all(|byte| is_token(*byte) && !byte.is_ascii_uppercase()), "{field:?}");
        }
        if field.name == b":path" {
            assert!(is_target_text(field.value) && target::is_carried(field.value), "{field:?}");
        }
    }
    assert_eq!(pseudo, 4, "a method, a scheme, a path and a host");
}
