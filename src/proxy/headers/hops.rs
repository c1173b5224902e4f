//! The mark that every request carries on its way to an upstream, so that a loop ends.
//!
//! Each proxy appends a name of its own, which nobody else can make: it is made of the site's secret. A proxy that
//! finds its own name in a list of [`MOST`] ends the request. Therefore a client that sends a list hurts nobody: no
//! proxy finds itself in it, and no proxy in a row ends a request that the one before it would be charged for. Proxies
//! that share a secret share the name, and work in a row of [`MOST`] all the same.

use crate::core::secret::Secret;
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_error::Result;
use pingora_http::RequestHeader;

const HOPS: HeaderName = HeaderName::from_static("x-pointsman-hops");
/// Hops after which a request that has been here before ends.
const MOST: usize = 9;
/// Names that are passed on; older ones are left out.
const KEPT: usize = 16;
/// Hexadecimal digits of a name.
const DIGITS: usize = 16;

/// What this process appends.
#[derive(Debug)]
pub struct HopMark {
    name: [u8; DIGITS],
    value: HeaderValue,
}

impl HopMark {
    pub fn new(secret: &Secret) -> Self {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let key = secret.key("hops", "");
        let bits = key.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let mut name = [b'0'; DIGITS];
        for (digit, bits) in name.iter_mut().zip(bits) {
            *digit = HEX.get(usize::from(bits)).copied().unwrap_or(b'0');
        }
        // Digits are legal in a value.
        let value = HeaderValue::from_bytes(&name).unwrap_or(HeaderValue::from_static("0000000000000000"));
        HopMark { name, value }
    }

    /// Whether a request has been here before.
    pub(in crate::proxy) fn is_known(&self, headers: &HeaderMap) -> bool {
        names(headers).any(|name| *name == self.name)
    }

    /// Whether a request has come round often enough.
    pub(in crate::proxy) fn ends(&self, headers: &HeaderMap) -> bool {
        let (mut hops, mut own) = (0, false);
        for name in names(headers) {
            hops += 1;
            own |= *name == self.name;
        }
        own && hops >= MOST
    }

    /// Appends the mark to a request that goes on to an upstream.
    ///
    /// # Errors
    /// None that occurs: the value is made of legal bytes.
    pub(in crate::proxy) fn add(&self, upstream: &mut RequestHeader) -> Result<()> {
        if !upstream.headers.contains_key(&HOPS) {
            return upstream.insert_header(HOPS, self.value.clone());
        }
        let skipped = (names(&upstream.headers).count() + 1).saturating_sub(KEPT);
        let mut list = Vec::with_capacity(KEPT * (DIGITS + 2));
        for name in names(&upstream.headers).skip(skipped).chain([&self.name[..]]) {
            if !list.is_empty() {
                list.extend_from_slice(b", ");
            }
            list.extend_from_slice(name);
        }
        let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(list));
        upstream.insert_header(HOPS, value.unwrap_or_else(|_| self.value.clone()))
    }
}

/// What looks like a name of a proxy; all else is no mark.
fn names(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let parts =
        headers.get_all(HOPS).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let is_name = |name: &&[u8]| name.len() == DIGITS && name.iter().all(u8::is_ascii_hexdigit);
    parts.map(<[u8]>::trim_ascii).filter(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(n: u8) -> HopMark {
        HopMark::new(&Secret::new([n; 32]))
    }

    fn passed(marks: &[&HopMark]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", b"/", None).expect("a request");
        marks.iter().for_each(|mark| mark.add(&mut request).expect("a field"));
        request
    }

    #[test]
    fn a_loop_ends_and_a_row_does_not() {
        let marks: Vec<_> = (0..12).map(mark).collect();
        let row: Vec<_> = marks.iter().collect();
        assert!(!mark(99).ends(&passed(&row).headers), "a row of strangers, however long");
        for members in 1..=9 {
            let mut hops = 0;
            let mut request = passed(&[]);
            while !row[hops % members].ends(&request.headers) {
                row[hops % members].add(&mut request).expect("a field");
                hops += 1;
                assert!(hops <= 20, "{members} members");
            }
            assert_eq!(hops, 9, "{members} members");
        }
        // Instances of one site.
        assert!(!mark(0).ends(&passed(&[&marks[0]; 8]).headers));
    }

    #[test]
    fn who_has_been_here_is_known() {
        assert!(mark(1).is_known(&passed(&[&mark(1), &mark(2)]).headers));
        assert!(!mark(1).is_known(&passed(&[&mark(2)]).headers) && !mark(1).is_known(&HeaderMap::new()));
    }

    #[test]
    fn the_list_stays_short_and_keeps_the_newest() {
        let (own, other) = (mark(1), mark(2));
        let mut all = vec![&own];
        all.extend([&other; 40]);
        let request = passed(&all);
        assert_eq!(names(&request.headers).count(), KEPT);
        assert!(request.headers[HOPS].len() <= KEPT * (DIGITS + 2));
        let mut request = passed(&[]);
        request.insert_header(HOPS, "9, zzzzzzzzzzzzzzzz, , 0123456789abcde\u{e9}").expect("a field");
        own.add(&mut request).expect("a field");
        assert_eq!(request.headers[HOPS], own.value, "what is no name is left out");
    }
}
