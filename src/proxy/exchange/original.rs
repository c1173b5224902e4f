//! What is kept of an answer to be compared: of the original's on its way to the client, and of the copy's.
//!
//! Only of requests that are mirrored while answers are compared, and no more than the limit.

use crate::core::mirror::Mirror;
use crate::core::mirror::compare::{Body, Compare, ComparedAnswer};
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};
use std::io::Read;
use std::sync::Arc;
use tokio::sync::oneshot;

/// The original of a copy, while its answer passes.
pub(in crate::proxy) struct Original {
    mirror: Arc<Mirror>,
    collected: Option<Collected>,
    to: oneshot::Sender<Collected>,
}

impl Original {
    /// And where its answer will come from.
    pub(in crate::proxy) fn new(mirror: &Arc<Mirror>) -> (Self, oneshot::Receiver<Collected>) {
        let (to, from) = oneshot::channel();
        (Original { mirror: mirror.clone(), collected: None, to }, from)
    }

    /// The head of its final answer; a second attempt's takes the place of the first's.
    pub(in crate::proxy) fn head(&mut self, status: u16, headers: &HeaderMap) {
        let compare = self.mirror.compare.as_ref();
        self.collected = compare.map(|compare| Collected::new(compare, status, headers));
    }

    pub(in crate::proxy) fn body(&mut self, piece: &[u8]) {
        // Nobody asks for it any more: only copies under way keep anything.
        if self.to.is_closed() {
            self.collected = None;
        }
        if let Some(collected) = &mut self.collected {
            collected.add(piece);
        }
    }

    /// Its answer is whole. Without this word, the two are not compared.
    pub(in crate::proxy) fn end(self) {
        if let Some(collected) = self.collected {
            // The copy may have been given up.
            let _ = self.to.send(collected);
        }
    }
}

/// What is kept of one answer.
pub(in crate::proxy) struct Collected {
    status: u16,
    fields: Vec<Vec<u8>>,
    coding: Coding,
    /// `None` where it is not kept, or longer than the limit.
    body: Option<Vec<u8>>,
    limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Gzip,
    Brotli,
    Unknown,
}

impl Collected {
    pub(in crate::proxy) fn new(compare: &Compare, status: u16, headers: &HeaderMap) -> Self {
        let joined = |name| {
            let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
            values.join(&b", "[..])
        };
        Collected {
            status,
            fields: compare.headers.iter().map(joined).collect(),
            coding: coding(headers),
            body: (compare.body != Body::Off).then(Vec::new),
            limit: compare.limit,
        }
    }

    pub(in crate::proxy) fn add(&mut self, piece: &[u8]) {
        let limit = self.limit;
        self.body = self.body.take().filter(|body| body.len() + piece.len() <= limit);
        if let Some(body) = &mut self.body {
            body.extend_from_slice(piece);
        }
    }

    /// Its body was not read to the end.
    pub(in crate::proxy) fn cut(self) -> Self {
        Collected { body: None, ..self }
    }

    /// For the comparison: the body as it is meant, whatever it was packed in.
    pub(in crate::proxy) fn answer(self, compare: &Compare) -> ComparedAnswer {
        let body = self.body.and_then(|body| plain(body, self.coding, compare.limit));
        ComparedAnswer { status: self.status, fields: self.fields, body }
    }
}

fn coding(headers: &HeaderMap) -> Coding {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    let Some(first) = codings.next() else { return Coding::Plain };
    let is = |name: &[u8]| first.as_bytes().eq_ignore_ascii_case(name);
    match codings.next() {
        None if is(b"identity") => Coding::Plain,
        None if is(b"gzip") => Coding::Gzip,
        None if is(b"br") => Coding::Brotli,
        _ => Coding::Unknown,
    }
}

/// `None` where it cannot be unpacked, or is larger than the limit.
fn plain(body: Vec<u8>, coding: Coding, limit: usize) -> Option<Vec<u8>> {
    let within = limit as u64 + 1;
    let mut plain = Vec::new();
    match coding {
        _ if body.is_empty() => return Some(body),
        Coding::Plain => return Some(body),
        Coding::Gzip => {
            flate2::read::MultiGzDecoder::new(&*body).take(within).read_to_end(&mut plain).ok()?;
        }
        Coding::Brotli => {
            brotli::Decompressor::new(&*body, 4096).take(within).read_to_end(&mut plain).ok()?;
        }
        Coding::Unknown => return None,
    }
    (plain.len() <= limit).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::CONTENT_TYPE;
    use std::io::Write;

    fn compare(limit: usize) -> Compare {
        Compare { status: true, headers: vec![CONTENT_TYPE], body: Body::Json, ignore: Vec::new(), limit }
    }

    fn answer(limit: usize, coding: &'static str, pieces: &[&[u8]]) -> ComparedAnswer {
        let mut headers = HeaderMap::new();
        headers.append(CONTENT_TYPE, HeaderValue::from_static("a"));
        headers.append(CONTENT_TYPE, HeaderValue::from_static("b"));
        if !coding.is_empty() {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        let mut collected = Collected::new(&compare(limit), 200, &headers);
        pieces.iter().for_each(|piece| collected.add(piece));
        collected.answer(&compare(limit))
    }

    #[test]
    fn a_body_is_kept_as_far_as_it_is_compared() {
        let kept = answer(5, "", &[b"abc", b"de"]);
        assert_eq!((kept.body.as_deref(), &kept.fields), (Some(&b"abcde"[..]), &vec![b"a, b".to_vec()]));
        assert_eq!(answer(5, "", &[b"abc", b"def", b"g"]).body, None);
        assert_eq!(answer(5, "zstd", &[b"abc"]).body, None);
        assert_eq!(answer(5, "zstd", &[]).body.as_deref(), Some(&b""[..]), "of a HEAD");
    }

    #[test]
    fn what_it_was_packed_in_is_no_difference() {
        let text = b"{\"a\": 1}".repeat(20);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        gzip.write_all(&text).expect("memory");
        let gzip = gzip.finish().expect("memory");
        let mut packed = Vec::new();
        brotli::CompressorWriter::new(&mut packed, 4096, 5, 20).write_all(&text).expect("memory");
        for (coding, bytes) in [("gzip", &gzip), ("br", &packed), ("identity", &text)] {
            assert_eq!(answer(1000, coding, &[bytes]).body.as_ref(), Some(&text), "{coding}");
        }
        assert_eq!(answer(100, "gzip", &[&gzip]).body, None, "it is larger than the limit");
        assert_eq!(answer(1000, "gzip", &[b"broken"]).body, None);
    }
}
