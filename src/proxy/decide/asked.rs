//! What is known of a request when its pool is chosen.

use crate::core::route::{BadPath, normalized};
use crate::core::settings::Listener;
use crate::proxy::exchange::Request;
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

/// What is known of a request when its pool is chosen.
#[derive(Clone, Copy)]
pub(in crate::proxy) struct RequestFacts<'a> {
    pub request: &'a Request,
    /// In place of the request's, in its plain form: another service is asked about the request.
    pub path: Option<&'a str>,
    pub client: IpAddr,
    /// Whether what the peer says of the client counts.
    pub believed: bool,
    pub listener: &'a Listener,
    pub now: Duration,
    /// Random, and no other request's.
    pub draw: u64,
}

impl<'a> RequestFacts<'a> {
    /// The path that is asked for, in its plain form.
    ///
    /// # Errors
    /// When it means nothing.
    pub(in crate::proxy) fn path(&self) -> Result<Cow<'a, str>, BadPath> {
        self.path.map_or_else(|| path(self.request), |path| Ok(Cow::Borrowed(path)))
    }
}

/// The path that routes go by: in its plain form, as it has become.
///
/// # Errors
/// When it means nothing.
pub(in crate::proxy) fn path(request: &Request) -> Result<Cow<'_, str>, BadPath> {
    match &request.plan.rewritten {
        Some(rewritten) => Ok(Cow::Owned(rewritten.text().into_owned())),
        None => normalized(request.head.uri.path()),
    }
}
