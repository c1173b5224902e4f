//! The mark that every request carries on its way to an upstream, so that a loop ends.
//!
//! Each proxy appends a name of its own, which nobody else can make: it is made of the site's secret. A proxy that
//! finds its own name in a list of [`MOST`] ends the request. Therefore a client that sends a list hurts nobody: no
//! proxy finds itself in it, and no proxy in a row ends a request that the one before it would be charged for. Proxies
//! that share a secret share the name, and work in a row of [`MOST`] all the same.

use crate::core::secret::Secret;
use crate::proxy::wire::changes::{Changes, FieldName, FieldValue};
use http::{HeaderMap, HeaderName};
use std::borrow::Cow;

const WRITTEN: FieldName = FieldName::written(HOPS, "X-Pointsman-Hops");
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
        HopMark { name }
    }

    /// Whether a request has been here before.
    pub(in crate::proxy) fn is_known(&self, headers: &HeaderMap) -> bool {
        names(headers).any(|name| *name == self.name)
    }

    /// Whether a request has come round often enough.
    pub(in crate::proxy) fn ends(&self, headers: &HeaderMap) -> bool {
        let (mut hops, mut own) = (0, false);
        if !is_marked(headers) {
            return false;
        }
        for name in names(headers) {
            hops += 1;
            own |= *name == self.name;
        }
        own && hops >= MOST
    }

    /// Appends the mark to a request that goes on to an upstream.
    pub(in crate::proxy) fn add<'a>(&'a self, upstream: &mut Changes<'a>) {
        let sent = upstream.sent();
        if !is_marked(sent) {
            return upstream.set(WRITTEN, FieldValue::Lent(&self.name));
        }
        let skipped = (names(sent).count() + 1).saturating_sub(KEPT);
        let mut list = Vec::with_capacity(KEPT * (DIGITS + 2));
        for name in names(sent).skip(skipped).chain([&self.name[..]]) {
            if !list.is_empty() {
                list.extend_from_slice(b", ");
            }
            list.extend_from_slice(name);
        }
        upstream.set(WRITTEN, Cow::<[u8]>::Owned(list).into());
    }
}

/// Whether there is a list. Few fields are gone through sooner than a name of such length is looked up.
fn is_marked(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| *name == HOPS)
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

    fn passed(marks: &[&HopMark]) -> HeaderMap {
        marks.iter().fold(HeaderMap::new(), |request, mark| marked(mark, &request))
    }

    fn marked(mark: &HopMark, request: &HeaderMap) -> HeaderMap {
        let mut changes = Changes::new(request);
        mark.add(&mut changes);
        changes.to_map()
    }

    #[test]
    fn a_loop_ends_and_a_row_does_not() {
        let marks: Vec<_> = (0..12).map(mark).collect();
        let row: Vec<_> = marks.iter().collect();
        assert!(!mark(99).ends(&passed(&row)), "a row of strangers, however long");
        for members in 1..=9 {
            let mut hops = 0;
            let mut request = passed(&[]);
            while !row[hops % members].ends(&request) {
                request = marked(row[hops % members], &request);
                hops += 1;
                assert!(hops <= 20, "{members} members");
            }
            assert_eq!(hops, 9, "{members} members");
        }
        // Instances of one site.
        assert!(!mark(0).ends(&passed(&[&marks[0]; 8])));
    }

    #[test]
    fn who_has_been_here_is_known() {
        assert!(mark(1).is_known(&passed(&[&mark(1), &mark(2)])));
        assert!(!mark(1).is_known(&passed(&[&mark(2)])) && !mark(1).is_known(&HeaderMap::new()));
    }

    #[test]
    fn the_list_stays_short_and_keeps_the_newest() {
        let (own, other) = (mark(1), mark(2));
        let mut all = vec![&own];
        all.extend([&other; 40]);
        let request = passed(&all);
        assert_eq!(names(&request).count(), KEPT);
        assert!(request[HOPS].len() <= KEPT * (DIGITS + 2));
        let mut request = passed(&[]);
        let odd = "9, zzzzzzzzzzzzzzzz, , 0123456789abcde\u{e9}".as_bytes();
        request.insert(HOPS, http::HeaderValue::from_bytes(odd).expect("a value"));
        assert_eq!(marked(&own, &request)[HOPS].as_bytes(), own.name, "what is no name is left out");
    }
}
