//! An answer that is not shown, and what the one in its place has of it.

use http::{HeaderName, HeaderValue, Method};

/// What is kept of an answer that another route's takes the place of.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Replaced {
    /// The error that was not shown; `None` for an answer that named a place of this site.
    pub error: Option<u16>,
    /// The status of the answer in its place; `None`: its own.
    pub status: Option<u16>,
    /// Fields of it that the answer in its place has, too.
    pub fields: Vec<(HeaderName, HeaderValue)>,
    /// What the client asked by, where the request goes on as a GET.
    pub method: Option<Method>,
    /// Whether the request's body, which does not go on, is so small that it is read to its end.
    pub has_small_body: bool,
}
