//! Where an answer ends: what is accepted of an upstream has one reading.

use super::framing::{chunked, lax_fields};
use crate::proxy::wire::body::BodyReader;
use crate::proxy::wire::response_head::{self, HeadMarks, ParsedResponse};
use bytes::Bytes;
use http::Method;

/// A byte for the size of the pieces that the rest, the bytes of a connection, comes in; its lowest bit says that
/// the request was a HEAD.
pub fn response_head(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else { return };
    let (piece, method) = (usize::from(*first) + 1, if first & 1 == 1 { Method::HEAD } else { Method::GET });
    let whole = response_head::read(bytes);
    assert_eq!(in_pieces(bytes, piece), whole, "pieces of {piece}");
    let Ok(Some(marks)) = whole else { return };
    let (head, rest) = bytes.split_at(marks.end);
    let Ok(parsed) = response_head::parse(Bytes::copy_from_slice(head), marks, &method) else { return };
    the_next_parser_agrees(head, &parsed);
    the_laxest_reader_agrees(head, &parsed, &method);
    if matches!(parsed.body, BodyReader::Chunked(_)) {
        chunked(rest, piece);
    }
}

fn in_pieces(bytes: &[u8], piece: usize) -> Result<Option<HeadMarks>, &'static str> {
    let mut end = 0;
    loop {
        end = bytes.len().min(end + piece);
        match response_head::read(bytes.get(..end).unwrap_or_default()) {
            Ok(None) if end < bytes.len() => {}
            found => return found,
        }
    }
}

fn the_next_parser_agrees(bytes: &[u8], parsed: &ParsedResponse) {
    let mut fields = [httparse::EMPTY_HEADER; 300];
    let mut response = httparse::Response::new(&mut fields);
    // It knows fewer bytes in a reason than the standard.
    let Ok(status) = response.parse(bytes) else { return };
    assert_eq!(status, httparse::Status::Complete(bytes.len()), "{}", bytes.escape_ascii());
    assert_eq!(response.code, Some(parsed.head.status.as_u16()));
    let fields = parsed.head.to_map();
    assert_eq!(response.headers.len(), fields.len(), "{}", bytes.escape_ascii());
    for field in response.headers {
        let mut values = fields.get_all(field.name).iter();
        assert!(values.any(|value| value.as_bytes() == field.value), "{}", field.name);
    }
}

/// Any line end, folded lines, spaces around names, signs and lists of lengths: no reader may see another end of the
/// body than we do.
fn the_laxest_reader_agrees(head: &[u8], parsed: &ParsedResponse, method: &Method) {
    let fields = lax_fields(head);
    let values = |name: &str| -> Vec<String> {
        let named = fields.iter().filter(|(other, _)| other == name);
        named.flat_map(|(_, value)| value.split(',').map(|one| one.trim().to_owned())).collect()
    };
    let lengths = values("content-length");
    let status = parsed.head.status.as_u16();
    let is_bare = *method == Method::HEAD || status < 200 || matches!(status, 204 | 304);
    match &parsed.body {
        BodyReader::Done if is_bare => {}
        BodyReader::Done => assert!(!lengths.is_empty() && lengths.iter().all(|length| length == "0")),
        BodyReader::Length(length) => {
            assert!(lengths.iter().all(|other| other.parse() == Ok(*length)), "{lengths:?}");
            assert_eq!(values("transfer-encoding"), [""; 0]);
        }
        BodyReader::Chunked(_) => assert_eq!(lengths, [""; 0]),
        BodyReader::UntilClose => {
            assert_eq!((lengths.len(), values("transfer-encoding").len(), parsed.keeps), (0, 0, false));
        }
    }
}
