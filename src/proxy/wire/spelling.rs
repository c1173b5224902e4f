//! How the names of a head's fields were spelled, and how a head is written in HTTP/1.
//!
//! Names mean the same in every case, but some clients and servers do not know that: a name that passes
//! keeps its spelling, one that is set here gets capitals.

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

/// The spelling of a head's names, in the order they came.
#[derive(Clone, Debug, Default)]
pub(in crate::proxy) struct Spelling {
    raw: Bytes,
    /// Where each name begins, and how long it is.
    names: Vec<(u32, u16)>,
}

impl Spelling {
    pub(in crate::proxy) fn new(raw: Bytes, fields: usize) -> Self {
        Spelling { raw, names: Vec::with_capacity(fields) }
    }

    pub(in crate::proxy) fn note(&mut self, start: usize, length: usize) {
        if let (Ok(start), Ok(length)) = (u32::try_from(start), u16::try_from(length)) {
            self.names.push((start, length));
        }
    }

    fn at(&self, index: usize) -> Option<&[u8]> {
        let (start, length) = *self.names.get(index)?;
        let start = start as usize;
        self.raw.get(start..start + usize::from(length))
    }

    /// How a name was spelled; `next` is where it is probably found.
    fn of(&self, name: &str, next: &mut usize) -> Option<&[u8]> {
        let is =
            |spelled: &[u8]| spelled.len() == name.len() && spelled.eq_ignore_ascii_case(name.as_bytes());
        if let Some(spelled) = self.at(*next).filter(|spelled| is(spelled)) {
            *next += 1;
            return Some(spelled);
        }
        let found = (0..self.names.len()).find(|index| self.at(*index).is_some_and(is))?;
        *next = found + 1;
        self.at(found)
    }
}

/// Writes all fields of a head, without the empty line that ends it.
pub(in crate::proxy) fn write_fields(headers: &HeaderMap, spelling: Option<&Spelling>, out: &mut Vec<u8>) {
    let mut next = 0;
    for (name, value) in headers {
        match spelling.and_then(|spelling| spelling.of(name.as_str(), &mut next)) {
            Some(spelled) => out.extend_from_slice(spelled),
            None => write_name(name, out),
        }
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

fn write_name(name: &HeaderName, out: &mut Vec<u8>) {
    let mut begins = true;
    out.extend(name.as_str().bytes().map(|byte| {
        let written = if begins { byte.to_ascii_uppercase() } else { byte };
        begins = byte == b'-';
        written
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn names_keep_their_spelling_and_new_ones_get_capitals() {
        let raw = Bytes::from_static(b"hOST: a\r\nSOAPAction: b\r\nx-one: 1\r\nX-ONE: 2\r\n");
        let mut spelling = Spelling::new(raw, 4);
        [(0, 4), (9, 10), (24, 5), (34, 5)]
            .into_iter()
            .for_each(|(start, length)| spelling.note(start, length));
        let mut headers = HeaderMap::new();
        for (name, value) in [("host", "a"), ("soapaction", "b"), ("x-one", "1"), ("x-one", "2")] {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.append("x-real-ip", HeaderValue::from_static("::1"));
        let mut out = Vec::new();
        write_fields(&headers, Some(&spelling), &mut out);
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "hOST: a\r\nSOAPAction: b\r\nx-one: 1\r\nX-ONE: 2\r\nX-Real-Ip: ::1\r\n");
    }
}
