//! Changes to the header fields of requests and answers, as configured.
//!
//! As in nginx, a route that has changes of its own for a direction has only those: they replace the
//! ones that hold for all, they do not add to them.

use super::template::Template;
use super::variable::Facts;
use http::{HeaderName, HeaderValue};

/// The changes of a route, or of all that have none; `None` is nothing of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Headers {
    /// Towards the client, on every answer, the proxy's own included.
    pub response: Option<Edits>,
    /// Towards the upstream.
    pub request: Option<Edits>,
}

/// Carried out in this order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Edits {
    pub remove: Vec<HeaderName>,
    /// In place of what is there.
    pub set: Vec<(HeaderName, Value)>,
    /// Beside what is there.
    pub add: Vec<(HeaderName, Value)>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Fixed(HeaderValue),
    Template(Template),
}

impl Edits {
    /// Whether no value depends on the request.
    pub fn is_fixed(&self) -> bool {
        self.set.iter().chain(&self.add).all(|(_, value)| matches!(value, Value::Fixed(_)))
    }
}

impl Value {
    /// `None` where the request makes it empty, or gives it bytes that no field may have. A fixed value needs no facts.
    pub fn of(&self, facts: Option<&Facts<'_>>) -> Option<HeaderValue> {
        match self {
            Value::Fixed(value) => Some(value.clone()),
            Value::Template(template) => {
                let mut text = Vec::with_capacity(128);
                template.fill(facts?, &mut text);
                if text.is_empty() {
                    return None;
                }
                HeaderValue::from_maybe_shared(bytes::Bytes::from(text)).ok()
            }
        }
    }
}
