//! The head of an answer, on its way from an upstream to a client.
//!
//! What an upstream of HTTP/1 sent stays the bytes that came: a field that goes is struck out, one that is set here
//! stands behind them. Only who needs its fields apart (HTTP/2, a comparison) has them made.

use super::name_set::NameSet;
use super::sent_fields::SentFields;
use super::spelling::write_field;
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

/// The head of an answer.
#[derive(Debug)]
pub(in crate::proxy) struct AnswerHead {
    pub status: StatusCode,
    pub version: Version,
    /// Where it is not the status' usual one (HTTP/1).
    reason: Option<Bytes>,
    fields: Fields,
}

#[derive(Debug)]
enum Fields {
    Sent(SentFields),
    Apart(HeaderMap),
}

impl AnswerHead {
    /// As an upstream of HTTP/1 sent it.
    pub(super) fn sent(
        (version, status): (Version, StatusCode),
        reason: Option<Bytes>,
        fields: SentFields,
    ) -> Self {
        AnswerHead { status, version, reason, fields: Fields::Sent(fields) }
    }

    /// One of our own, without fields.
    pub(in crate::proxy) fn new(status: StatusCode) -> Self {
        let fields = Fields::Apart(HeaderMap::new());
        AnswerHead { status, version: Version::HTTP_11, reason: None, fields }
    }

    /// Another status, with its usual reason.
    pub(in crate::proxy) fn set_status(&mut self, status: StatusCode) {
        (self.status, self.reason) = (status, None);
    }

    pub(in crate::proxy) fn get(&self, name: &HeaderName) -> Option<&[u8]> {
        match &self.fields {
            Fields::Sent(fields) => fields.get(name),
            Fields::Apart(fields) => fields.get(name).map(HeaderValue::as_bytes),
        }
    }

    pub(in crate::proxy) fn has(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// The value of a name, and whether it is the only one.
    pub(in crate::proxy) fn first(&self, name: &HeaderName) -> Option<(&[u8], bool)> {
        match &self.fields {
            Fields::Sent(fields) => fields.first(name),
            Fields::Apart(fields) => {
                let mut values = fields.get_all(name).iter().map(HeaderValue::as_bytes);
                values.next().map(|first| (first, values.next().is_none()))
            }
        }
    }

    /// All values of a name.
    pub(in crate::proxy) fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let (sent, apart) = match &self.fields {
            Fields::Sent(fields) => (Some(fields.values(name)), None),
            Fields::Apart(fields) => (None, Some(fields.get_all(name).iter().map(HeaderValue::as_bytes))),
        };
        sent.into_iter().flatten().chain(apart.into_iter().flatten())
    }

    /// Bytes of all fields, as HTTP/1 writes them.
    pub(in crate::proxy) fn size(&self) -> usize {
        match &self.fields {
            Fields::Sent(fields) => fields.size(),
            Fields::Apart(fields) => {
                fields.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
            }
        }
    }

    pub(in crate::proxy) fn remove(&mut self, name: &HeaderName) {
        match &mut self.fields {
            Fields::Sent(fields) => fields.remove(name),
            Fields::Apart(fields) => drop(fields.remove(name)),
        }
    }

    pub(in crate::proxy) fn remove_all(&mut self, names: &NameSet) {
        match &mut self.fields {
            Fields::Sent(fields) => fields.remove_all(names),
            Fields::Apart(fields) => {
                while let Some(name) = fields.keys().find(|name| names.has(name.as_str())).cloned() {
                    fields.remove(name);
                }
            }
        }
    }

    /// In place of what the name had.
    pub(in crate::proxy) fn set(&mut self, name: HeaderName, value: HeaderValue) {
        match &mut self.fields {
            Fields::Sent(fields) => {
                fields.remove(&name);
                fields.add(name, value);
            }
            // One that is full takes no more.
            Fields::Apart(fields) => drop(fields.try_insert(name, value)),
        }
    }

    /// Beside what the name has.
    pub(in crate::proxy) fn add(&mut self, name: HeaderName, value: HeaderValue) {
        match &mut self.fields {
            Fields::Sent(fields) => fields.add(name, value),
            Fields::Apart(fields) => drop(fields.try_append(name, value)),
        }
    }

    /// The fields apart.
    pub(in crate::proxy) fn to_map(&self) -> HeaderMap {
        match &self.fields {
            Fields::Sent(fields) => fields.to_map(),
            Fields::Apart(fields) => fields.clone(),
        }
    }

    pub(in crate::proxy) fn into_parts(self) -> Parts {
        let mut parts = http::Response::new(()).into_parts().0;
        (parts.status, parts.version) = (self.status, self.version);
        parts.headers = match self.fields {
            Fields::Sent(fields) => fields.to_map(),
            Fields::Apart(fields) => fields,
        };
        parts
    }

    /// Writes status and reason, and the fields that are not left out; without the empty line.
    pub(in crate::proxy) fn write(&self, is_left_out: impl Fn(&[u8]) -> bool, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
        out.extend_from_slice(self.status.as_str().as_bytes());
        out.push(b' ');
        let usual = || self.status.canonical_reason().unwrap_or_default().as_bytes();
        out.extend_from_slice(self.reason.as_deref().unwrap_or_else(usual));
        out.extend_from_slice(b"\r\n");
        match &self.fields {
            Fields::Sent(fields) => {
                fields.write(&is_left_out, out);
                let set = fields.set_here().iter().filter(|(name, _)| !is_left_out(name.as_str().as_bytes()));
                set.for_each(|(name, value)| write_field(name, value.as_bytes(), out));
            }
            Fields::Apart(fields) => {
                let written = fields.iter().filter(|(name, _)| !is_left_out(name.as_str().as_bytes()));
                written.for_each(|(name, value)| write_field(name, value.as_bytes(), out));
            }
        }
    }
}

impl From<Parts> for AnswerHead {
    fn from(parts: Parts) -> Self {
        let fields = Fields::Apart(parts.headers);
        AnswerHead { status: parts.status, version: parts.version, reason: None, fields }
    }
}
