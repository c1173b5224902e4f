//! What proves to an authority that a name is ours (RFC 8555, 8.3): read by the workers, written while an
//! order is under way.

use arc_swap::ArcSwap;
use bytes::Bytes;
use std::collections::HashMap;

/// Where authorities ask.
const PATH: &str = "/.well-known/acme-challenge/";

/// Tokens, each with its answer; empty but for the minute that an order takes.
#[derive(Debug, Default)]
pub struct Challenges(ArcSwap<HashMap<Box<str>, Bytes>>);

impl Challenges {
    /// The answer for the path of a request. Other paths cost the look at their beginning.
    pub fn answer(&self, path: &str) -> Option<Bytes> {
        let token = path.strip_prefix(PATH)?;
        self.0.load().get(token).cloned()
    }

    pub(super) fn add(&self, token: &str, answer: &str) {
        self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.insert(token.into(), Bytes::copy_from_slice(answer.as_bytes()));
            known
        });
    }

    pub(super) fn clear(&self) {
        self.0.store(Default::default());
    }
}
