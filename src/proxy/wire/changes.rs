//! What is changed of a request's fields on its way to an upstream: laid over them, so that they are not copied.
//!
//! What the client sent stays as it is for the next attempt. A change names a field, and what stands for it.

use super::spelling::write_name;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;

/// Changes of most requests: no more memory is asked for.
const USUAL: usize = 12;

/// The fields of a request, and what is changed of them.
#[derive(Debug)]
pub(in crate::proxy) struct Changes<'a> {
    fields: &'a HeaderMap,
    changes: Vec<(FieldName, Change<'a>)>,
    /// A bit for each name that is changed: most fields are none of them.
    names: u64,
}

/// The name of a field, and how it is written where that is known: `X-Real-IP`.
#[derive(Clone, Debug)]
pub(in crate::proxy) struct FieldName {
    name: HeaderName,
    written: &'static str,
    /// See [`bit`].
    bit: u64,
}

#[derive(Debug)]
enum Change<'a> {
    /// The fields of the name are gone.
    Removed,
    /// They are gone for this one.
    Set(FieldValue<'a>),
    /// This one comes on top.
    Added(FieldValue<'a>),
}

/// The value of a field.
#[derive(Clone, Debug)]
pub(in crate::proxy) enum FieldValue<'a> {
    Held(HeaderValue),
    /// Bytes that are legal in a value.
    Lent(&'a [u8]),
}

impl<'a> Changes<'a> {
    pub(in crate::proxy) fn new(fields: &'a HeaderMap) -> Self {
        Changes { fields, changes: Vec::with_capacity(USUAL), names: 0 }
    }

    /// What the client sent.
    pub(in crate::proxy) fn sent(&self) -> &'a HeaderMap {
        self.fields
    }

    pub(in crate::proxy) fn remove(&mut self, name: &HeaderName) {
        self.forget(name, bit(name.as_str()));
        if self.fields.contains_key(name) {
            self.note(name.clone().into(), Change::Removed);
        }
    }

    pub(in crate::proxy) fn set(&mut self, name: impl Into<FieldName>, value: FieldValue<'a>) {
        let name = name.into();
        self.forget(&name.name, name.bit);
        self.note(name, Change::Set(value));
    }

    pub(in crate::proxy) fn add(&mut self, name: HeaderName, value: FieldValue<'a>) {
        self.note(name.into(), Change::Added(value));
    }

    /// All values of a name.
    pub(in crate::proxy) fn values(&self, name: &HeaderName) -> impl Iterator<Item = &[u8]> {
        let sent = self.fields.get_all(name).iter().filter(|_| !self.is_replaced(name));
        let changed = self.changes.iter().filter(move |(changed, _)| changed.name == *name);
        sent.map(HeaderValue::as_bytes).chain(changed.filter_map(|(_, change)| change.value()))
    }

    pub(in crate::proxy) fn has(&self, name: &HeaderName) -> bool {
        self.values(name).next().is_some()
    }

    /// The fields that stay as they were sent.
    pub(in crate::proxy) fn kept(&self) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> {
        self.fields.iter().filter(|(name, _)| !self.is_replaced(name))
    }

    /// The fields that are set here.
    pub(in crate::proxy) fn set_here(&self) -> impl Iterator<Item = (&FieldName, &[u8])> {
        self.changes.iter().filter_map(|(name, change)| Some((name, change.value()?)))
    }

    /// The fields as the upstream gets them, apart.
    pub(in crate::proxy) fn to_map(&self) -> HeaderMap {
        let mut fields = HeaderMap::with_capacity(self.fields.len() + self.changes.len());
        for (name, value) in self.kept() {
            fields.append(name, value.clone());
        }
        for (name, change) in &self.changes {
            if let Some(value) = change.held() {
                fields.append(name.name.clone(), value);
            }
        }
        fields
    }

    fn is_replaced(&self, name: &HeaderName) -> bool {
        self.names & bit(name.as_str()) != 0
            && self
                .changes
                .iter()
                .any(|(changed, change)| !matches!(change, Change::Added(_)) && changed.name == *name)
    }

    /// What was said of a name before counts no more.
    fn forget(&mut self, name: &HeaderName, bit: u64) {
        if self.names & bit != 0 {
            self.changes.retain(|(changed, _)| changed.name != *name);
        }
    }

    fn note(&mut self, name: FieldName, change: Change<'a>) {
        self.names |= name.bit;
        self.changes.push((name, change));
    }
}

impl FieldName {
    /// A name that is written in a certain way. It is legal in lower case.
    pub(in crate::proxy) const fn written(name: HeaderName, written: &'static str) -> Self {
        FieldName { name, written, bit: bit(written) }
    }

    pub(in crate::proxy) fn name(&self) -> &HeaderName {
        &self.name
    }

    pub(in crate::proxy) fn write(&self, out: &mut Vec<u8>) {
        match self.written {
            "" => write_name(&self.name, out),
            written => out.extend_from_slice(written.as_bytes()),
        }
    }
}

impl From<HeaderName> for FieldName {
    fn from(name: HeaderName) -> Self {
        let bit = bit(name.as_str());
        FieldName { name, written: "", bit }
    }
}

impl Change<'_> {
    fn value(&self) -> Option<&[u8]> {
        match self {
            Change::Removed => None,
            Change::Set(value) | Change::Added(value) => Some(value.as_bytes()),
        }
    }

    fn held(&self) -> Option<HeaderValue> {
        match self {
            Change::Removed => None,
            Change::Set(value) | Change::Added(value) => match value {
                FieldValue::Held(value) => Some(value.clone()),
                FieldValue::Lent(bytes) => HeaderValue::from_bytes(bytes).ok(),
            },
        }
    }
}

impl FieldValue<'_> {
    pub(in crate::proxy) fn as_bytes(&self) -> &[u8] {
        match self {
            FieldValue::Held(value) => value.as_bytes(),
            FieldValue::Lent(bytes) => bytes,
        }
    }
}

impl From<HeaderValue> for FieldValue<'_> {
    fn from(value: HeaderValue) -> Self {
        FieldValue::Held(value)
    }
}

impl From<&'static str> for FieldValue<'_> {
    fn from(text: &'static str) -> Self {
        FieldValue::Lent(text.as_bytes())
    }
}

impl<'a> From<Cow<'a, [u8]>> for FieldValue<'a> {
    /// Empty where the bytes are not legal in a value.
    fn from(bytes: Cow<'a, [u8]>) -> Self {
        match bytes {
            Cow::Borrowed(bytes) => FieldValue::Lent(bytes),
            Cow::Owned(bytes) => {
                let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(bytes));
                value.map_or(FieldValue::Lent(b""), FieldValue::Held)
            }
        }
    }
}

/// A bit for a name's length and its last letter but one, which tells `x-forwarded-host` from `x-forwarded-port`.
const fn bit(name: &str) -> u64 {
    let letter = match name.as_bytes() {
        [.., letter, _] => letter.to_ascii_lowercase() as usize,
        _ => 0,
    };
    1 << ((name.len() * 3 + letter) & 63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{ACCEPT, HOST, TE, VIA};
    use proptest::prelude::*;

    const NAMES: [HeaderName; 4] = [ACCEPT, HOST, TE, VIA];

    proptest! {
        #[test]
        fn they_come_to_what_a_map_comes_to(
            sent in prop::collection::vec((0usize..4, 0u8..9), 0..6),
            steps in prop::collection::vec((0usize..4, 0u8..3, 0u8..9), 0..12),
        ) {
            let digit = |n: u8| HeaderValue::from_bytes(&[b'0' + n]).expect("a value");
            let mut expected = HeaderMap::new();
            for (name, n) in sent {
                expected.append(NAMES[name].clone(), digit(n));
            }
            let fields = expected.clone();
            let mut changes = Changes::new(&fields);
            for (name, step, n) in steps {
                let name = NAMES[name].clone();
                match step {
                    0 => {
                        expected.remove(&name);
                        changes.remove(&name);
                    }
                    1 => {
                        expected.insert(name.clone(), digit(n));
                        changes.set(name, digit(n).into());
                    }
                    _ => {
                        expected.append(name.clone(), digit(n));
                        changes.add(name, digit(n).into());
                    }
                }
            }
            for name in NAMES {
                let values: Vec<&[u8]> = changes.values(&name).collect();
                let wanted: Vec<&[u8]> = expected.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
                prop_assert_eq!(&values, &wanted);
                prop_assert_eq!(changes.has(&name), !wanted.is_empty());
                let map = changes.to_map();
                let apart: Vec<&[u8]> = map.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
                prop_assert_eq!(apart, wanted);
            }
            prop_assert_eq!(changes.kept().count() + changes.set_here().count(), expected.len());
        }
    }
}
