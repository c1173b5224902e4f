//! The two small messages of `grpc.health.v1.Health/Check`, and what an answer says of an upstream.
//!
//! The request has one field, the response one number; both are written and read here by hand, so that nothing is
//! generated and nothing else is needed. Fields that are not known are passed over, as protobuf wants it.

use crate::core::failure_statuses::GRPC_NAMES;
use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;

pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// The field of either message: the service of a request, the status of a response.
const FIELD: u64 = 1;
/// How protobuf writes a field.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;
/// Bytes before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// The most of a message of the upstream that is shown, in characters.
const SHOWN: usize = 200;

const OK: u16 = 0;
const NOT_FOUND: u16 = 5;
const UNIMPLEMENTED: u16 = 12;

/// `HealthCheckRequest` for a service, in its frame. The name is shorter than a frame can be.
pub(super) fn request(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        put_varint(&mut message, FIELD << 3 | DELIMITED);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    framed(&message)
}

/// `HealthCheckResponse`, as upstreams write it.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn response(status: u64) -> Bytes {
    let mut message = BytesMut::new();
    put_varint(&mut message, FIELD << 3 | VARINT);
    put_varint(&mut message, status);
    framed(&message)
}

fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    framed.freeze()
}

/// Whether an upstream serves, by all that it has answered.
///
/// # Errors
/// What it said in place of SERVING.
pub(super) fn serving(
    service: &str,
    status: u16,
    (headers, trailers): (&HeaderMap, &HeaderMap),
    body: &[u8],
) -> Result<(), String> {
    let field = |name| trailers.get(name).or_else(|| headers.get(name)).and_then(|value| value.to_str().ok());
    let code = match field("grpc-status").map(str::parse::<u16>) {
        Some(Ok(code)) => code,
        _ if status == 200 => return Err("the answer has no gRPC status".to_owned()),
        _ => return Err(format!("HTTP status {status} in place of a gRPC answer")),
    };
    let name =
        GRPC_NAMES.get(usize::from(code)).map_or_else(|| format!("code {code}"), |name| (*name).to_owned());
    match code {
        OK => match status_of(body) {
            Some(1) => Ok(()),
            Some(0) => Err("UNKNOWN".to_owned()),
            Some(2) => Err("NOT_SERVING".to_owned()),
            Some(3) => Err("SERVICE_UNKNOWN".to_owned()),
            Some(other) => Err(format!("the serving status {other}, which nobody knows")),
            None => Err("the answer is no HealthCheckResponse".to_owned()),
        },
        UNIMPLEMENTED => Err(format!("the upstream has no health service ({name})")),
        NOT_FOUND => {
            Err(format!("the health service of the upstream knows no service \"{service}\" ({name})"))
        }
        _ => match field("grpc-message").filter(|message| !message.is_empty()) {
            Some(message) => Err(format!("{name}: {}", message.chars().take(SHOWN).collect::<String>())),
            None => Err(name),
        },
    }
}

/// The serving status of a framed `HealthCheckResponse`; 0, which is not written, where it says none.
pub(super) fn status_of(body: &[u8]) -> Option<u64> {
    let (prefix, message) = body.split_at_checked(PREFIX_BYTES)?;
    let (is_compressed, length) = prefix.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    let mut left = message.get(..usize::try_from(length).ok()?).filter(|_| *is_compressed == 0)?;
    let mut status = 0;
    while !left.is_empty() {
        let tag = varint(&mut left)?;
        match (tag >> 3, tag & 7) {
            (FIELD, VARINT) => status = varint(&mut left)?,
            (_, VARINT) => drop(varint(&mut left)?),
            (_, FIXED_64) => left = left.get(8..)?,
            (_, FIXED_32) => left = left.get(4..)?,
            (_, DELIMITED) => {
                let length = usize::try_from(varint(&mut left)?).ok()?;
                left = left.get(length..)?;
            }
            _ => return None,
        }
    }
    Some(status)
}

fn put_varint(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn varint(left: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = left.split_first()?;
        *left = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_request_is_written_as_protobuf_has_it() {
        assert_eq!(&request("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&request("a.B")[..], b"\0\0\0\0\x05\x0a\x03a.B");
        let long = request(&"x".repeat(300));
        assert_eq!(&long[..9], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02, b'x']);
        assert_eq!(long.len(), 5 + 303);
    }

    #[test]
    fn a_response_is_read_with_what_is_not_known_in_it() {
        for (body, status) in [
            (&b"\0\0\0\0\x02\x08\x01"[..], Some(1)),
            (b"\0\0\0\0\x02\x08\x02", Some(2)),
            (b"\0\0\0\0\0", Some(0)),
            (b"\0\0\0\0\x03\x08\xac\x02", Some(300)),
            (b"\0\0\0\0\x08\x12\x02ab\x08\x01\x18\x05", Some(1)),
            (b"\0\0\0\0\x05\x211234", None),
            (b"\0\0\0\0\x10\x1d1234\x2112345678\x08\x01", Some(1)),
            (b"\x01\0\0\0\x02\x08\x01", None),
            (b"\0\0\0\0\x03\x08\x01", None),
            (b"\0\0\0\0\x01\x08", None),
            (b"\0\0\0\0\x02\x0a\x05", None),
            (b"\0\0\0\0\x01\x0b", None),
            (b"\0\0\0", None),
            (b"", None),
        ] {
            assert_eq!(status_of(body), status, "{body:?}");
        }
    }

    #[test]
    fn what_is_said_in_place_of_serving_is_a_word() {
        let none = HeaderMap::new();
        let ok = map(&[("grpc-status", "0")]);
        let of = |status, body: &[u8]| serving("a.B", status, (&none, &ok), body);
        assert_eq!(of(200, b"\0\0\0\0\x02\x08\x01"), Ok(()));
        for (body, why) in [
            (&b"\0\0\0\0\0"[..], "UNKNOWN"),
            (b"\0\0\0\0\x02\x08\x02", "NOT_SERVING"),
            (b"\0\0\0\0\x02\x08\x03", "SERVICE_UNKNOWN"),
            (b"\0\0\0\0\x02\x08\x09", "the serving status 9, which nobody knows"),
            (b"<html>", "the answer is no HealthCheckResponse"),
        ] {
            assert_eq!(of(200, body), Err(why.to_owned()));
        }
        let without_a_body = |fields: &[(&'static str, &'static str)], status| {
            serving("a.B", status, (&map(fields), &none), b"").expect_err("it does not serve")
        };
        let unimplemented = without_a_body(&[("grpc-status", "12")], 200);
        assert_eq!(unimplemented, "the upstream has no health service (UNIMPLEMENTED)");
        assert!(
            without_a_body(&[("grpc-status", "5")], 200).contains("knows no service \"a.B\" (NOT_FOUND)")
        );
        let message = [("grpc-status", "14"), ("grpc-message", "draining")];
        assert_eq!(without_a_body(&message, 200), "UNAVAILABLE: draining");
        assert_eq!(without_a_body(&[("grpc-status", "99")], 200), "code 99");
        assert_eq!(without_a_body(&[], 404), "HTTP status 404 in place of a gRPC answer");
        assert_eq!(without_a_body(&[], 200), "the answer has no gRPC status");
    }
}
