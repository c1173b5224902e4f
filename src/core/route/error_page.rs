//! What is shown in place of an error: a file, the answer of another route, or a redirect.

use super::replacement::Replacement;
use crate::core::template::Template;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// By the status of the error; several statuses may share a page.
pub type ErrorPages = BTreeMap<u16, Arc<ErrorPage>>;

/// What is shown for an error.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorPage {
    pub source: PageSource,
    pub status: PageStatus,
}

/// Where a page comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum PageSource {
    /// A file of HTML, read with the configuration.
    File(Bytes),
    /// The route for another path, asked with GET.
    Path(Replacement),
    /// The route of this name, asked as the client asked.
    Route(String),
    /// The client is sent elsewhere.
    Redirect(Template),
}

/// The status that a page is shown with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageStatus {
    /// That of the error.
    Kept,
    Fixed(u16),
    /// That of what answers.
    OfAnswer,
}

impl PageStatus {
    /// The status that the answer to an error gets; `None`: its own.
    pub fn shown(self, error: u16) -> Option<u16> {
        match self {
            PageStatus::Kept => Some(error),
            PageStatus::Fixed(status) => Some(status),
            PageStatus::OfAnswer => None,
        }
    }
}

impl ErrorPage {
    /// Whether the page is no file: then the request goes on, or its client does.
    pub fn leads_elsewhere(&self) -> bool {
        !matches!(self.source, PageSource::File(_))
    }
}
