//! What a request's path and query have become: plain for the routes, encoded for the upstream.

use crate::core::path::{BadPath, encode, settled};
use bytes::Bytes;
use http::uri::PathAndQuery;
use std::borrow::Cow;

/// Path and query in place of those that a request came with.
#[derive(Clone, Debug, PartialEq)]
pub struct Rewritten {
    path: Box<[u8]>,
    target: PathAndQuery,
}

/// Path, plain, and query that a request has at the moment.
#[derive(Clone, Copy, Debug)]
pub struct Current<'a> {
    pub path: &'a [u8],
    pub query: &'a str,
}

impl Rewritten {
    /// `path` is decoded, `query` as it is sent.
    ///
    /// # Errors
    /// [`BadPath`] for a path with dot segments, or one that is too long.
    pub fn new(path: &[u8], query: &[u8]) -> Result<Self, BadPath> {
        let path = settled(path)?;
        let mut target = Vec::with_capacity(path.len().saturating_add(query.len()).saturating_add(16));
        encode(&path, &mut target);
        if !query.is_empty() {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        let target = PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(|_| BadPath)?;
        Ok(Rewritten { path: path.into(), target })
    }

    pub fn current(&self) -> Current<'_> {
        Current { path: &self.path, query: self.target.query().unwrap_or_default() }
    }

    /// The path as routes are matched against it.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.path)
    }

    /// As it goes to the upstream.
    pub fn target(&self) -> &PathAndQuery {
        &self.target
    }
}
