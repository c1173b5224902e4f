//! Reading and writing keys.

use super::client::{Answered, Etcd, Method};
use super::fault::{EtcdFault, RefusalReason};
use super::messages::{
    DeleteRangeRequest, DeleteRangeResponse, KeyValue, PutRequest, PutResponse, RangeRequest, RangeResponse,
};
use bytes::Bytes;

const RANGE: Method = Method { path: "/etcdserverpb.KV/Range", writes: false, is_of_all: true };
const PUT: Method = Method { path: "/etcdserverpb.KV/Put", writes: true, is_of_all: true };
const DELETE: Method = Method { path: "/etcdserverpb.KV/DeleteRange", writes: true, is_of_all: true };
/// Keys of one answer when all are read. Fewer where the answer would be too large.
const PAGE: i64 = 512;

/// One key, or all that begin alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyScope {
    key: Bytes,
    /// The first key behind it; empty for one key.
    end: Bytes,
}

impl KeyScope {
    pub fn key(key: impl Into<Bytes>) -> Self {
        KeyScope { key: key.into(), end: Bytes::new() }
    }

    /// All keys that begin with this; with nothing, all there are.
    pub fn prefix(prefix: impl Into<Bytes>) -> Self {
        let prefix = prefix.into();
        let mut end = prefix.to_vec();
        while let Some(last) = end.pop() {
            if let Some(next) = last.checked_add(1) {
                end.push(next);
                return KeyScope { key: prefix, end: end.into() };
            }
        }
        // Nothing is behind: a zero stands for that, and for the first key.
        let zero = Bytes::from_static(b"\0");
        KeyScope { key: if prefix.is_empty() { zero.clone() } else { prefix }, end: zero }
    }

    pub(super) fn bounds(&self) -> (Bytes, Bytes) {
        (self.key.clone(), self.end.clone())
    }

    /// What of it lies behind a key.
    fn after(&self, key: &[u8]) -> Self {
        KeyScope { key: [key, b"\0"].concat().into(), end: self.end.clone() }
    }
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    pub scope: KeyScope,
    /// At most so many keys; 0 is all.
    pub limit: i64,
    /// As it was at this revision; 0 is now.
    pub revision: i64,
    /// Without values.
    pub keys_only: bool,
    /// Only how many there are.
    pub count_only: bool,
}

impl From<KeyScope> for KeyRange {
    fn from(scope: KeyScope) -> Self {
        KeyRange { scope, limit: 0, revision: 0, keys_only: false, count_only: false }
    }
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The store's, when it was read.
    pub revision: i64,
    /// In the order of their keys.
    pub pairs: Vec<KeyValue>,
    /// All there are in the scope, those beyond the limit included.
    pub count: i64,
    /// Whether the limit has left some out.
    pub has_more: bool,
}

impl KeyRange {
    pub(super) fn request(&self) -> RangeRequest {
        let (key, range_end) = self.scope.bounds();
        RangeRequest {
            key,
            range_end,
            limit: self.limit,
            revision: self.revision,
            keys_only: self.keys_only,
            count_only: self.count_only,
        }
    }
}

impl From<RangeResponse> for Listing {
    fn from(answer: RangeResponse) -> Self {
        let revision = answer.revision();
        Listing { revision, pairs: answer.kvs, count: answer.count, has_more: answer.more }
    }
}

impl Etcd {
    /// Reads keys, as the cluster as a whole has them: never less than what was written before.
    ///
    /// # Errors
    /// [`EtcdFault`].
    pub async fn range(&self, range: &KeyRange) -> Result<Listing, EtcdFault> {
        Ok(self.call::<RangeResponse>(RANGE, &range.request()).await?.into())
    }

    /// Reads all keys of a scope as they were at one revision, a page at a time.
    ///
    /// # Errors
    /// [`EtcdFault`]; refused by [`RefusalReason::Revision`] where the store was compacted meanwhile, or has fallen back:
    /// begin again.
    pub async fn read_all(&self, scope: &KeyScope) -> Result<Listing, EtcdFault> {
        let mut page = KeyRange { limit: PAGE, ..KeyRange::from(scope.clone()) };
        let mut all = Listing::default();
        loop {
            let listing = match self.range(&page).await {
                Err(fault) if fault.refusal() == Some(&RefusalReason::TooLarge) && page.limit > 1 => {
                    page.limit = (page.limit / 4).max(1);
                    continue;
                }
                listing => listing?,
            };
            if page.revision == 0 {
                (all.revision, page.revision) = (listing.revision, listing.revision);
            }
            all.pairs.extend(listing.pairs);
            match all.pairs.last() {
                Some(last) if listing.has_more => page.scope = scope.after(&last.key),
                _ => break,
            }
        }
        all.count = i64::try_from(all.pairs.len()).unwrap_or(i64::MAX);
        Ok(all)
    }

    /// Writes a key, with a lease where it is not 0; the store's revision.
    ///
    /// # Errors
    /// [`EtcdFault`].
    pub async fn put(
        &self,
        key: impl Into<Bytes>,
        value: impl Into<Bytes>,
        lease: i64,
    ) -> Result<i64, EtcdFault> {
        let question = PutRequest { key: key.into(), value: value.into(), lease };
        Ok(self.call::<PutResponse>(PUT, &question).await?.revision())
    }

    /// Deletes keys; how many there were.
    ///
    /// # Errors
    /// [`EtcdFault`].
    pub async fn delete(&self, scope: &KeyScope) -> Result<i64, EtcdFault> {
        let (key, range_end) = scope.bounds();
        let question = DeleteRangeRequest { key, range_end };
        Ok(self.call::<DeleteRangeResponse>(DELETE, &question).await?.deleted)
    }

    /// Asks the cluster as a whole for its revision.
    ///
    /// # Errors
    /// [`EtcdFault`].
    pub(super) async fn ask_revision(&self, scope: &KeyScope) -> Result<i64, EtcdFault> {
        let range = KeyRange { count_only: true, ..KeyRange::from(scope.clone()) };
        Ok(self.range(&range).await?.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        for (prefix, key, end) in [
            (&b"a"[..], &b"a"[..], &b"b"[..]),
            (b"pointsman/", b"pointsman/", b"pointsman0"),
            (b"a\xff", b"a\xff", b"b"),
            (b"\xff\xff", b"\xff\xff", b"\0"),
            (b"", b"\0", b"\0"),
        ] {
            let (from, to) = KeyScope::prefix(prefix).bounds();
            assert_eq!((&from[..], &to[..]), (key, end), "{prefix:?}");
        }
        assert_eq!(KeyScope::prefix(&b"a"[..]).after(b"ab").bounds().0, &b"ab\0"[..]);
    }
}
