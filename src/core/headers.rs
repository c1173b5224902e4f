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
    /// Those of successes alone, each after the ones that are for all.
    pub on_success: Option<Box<SuccessEdits>>,
}

/// What is changed on successes alone ([`is_success`]).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SuccessEdits {
    pub set: Vec<(HeaderName, Value)>,
    pub add: Vec<(HeaderName, Value)>,
}

/// Whether an answer is one that caches may keep by a field of it: nginx's list for `add_header` without `always`.
pub fn is_success(status: u16) -> bool {
    matches!(status, 200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308)
}

/// Bytes that most values with variables have no more of.
const USUAL_BYTES: usize = 128;

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Fixed(HeaderValue),
    Template(Template),
}

impl Edits {
    /// Whether no value depends on the request.
    pub fn is_fixed(&self) -> bool {
        let on_success = self.on_success.iter().flat_map(|edits| edits.set.iter().chain(&edits.add));
        let all = self.set.iter().chain(&self.add).chain(on_success);
        all.into_iter().all(|(_, value)| matches!(value, Value::Fixed(_)))
    }
}

impl Value {
    /// `None` where the request makes it empty, or gives it bytes that no field may have. A fixed value needs no facts.
    /// `text` is memory to write it in, which the next value may have, too.
    pub fn of(&self, facts: Option<&Facts<'_>>, text: &mut Vec<u8>) -> Option<HeaderValue> {
        match self {
            Value::Fixed(value) => Some(value.clone()),
            Value::Template(template) => {
                text.clear();
                text.reserve(USUAL_BYTES);
                template.fill(facts?, text);
                if text.is_empty() {
                    return None;
                }
                HeaderValue::from_bytes(text).ok()
            }
        }
    }
}
