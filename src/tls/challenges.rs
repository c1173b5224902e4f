//! What proves to an authority that a name is ours (RFC 8555, 8.3): read by the workers, written while an
//! order is under way.

use arc_swap::ArcSwap;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

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

    /// Answers these from now on, and no others.
    pub(super) fn replace(&self, answers: &BTreeMap<String, String>) {
        let answer = |(token, answer): (&String, &String)| {
            (token.as_str().into(), Bytes::copy_from_slice(answer.as_bytes()))
        };
        self.0.store(Arc::new(answers.iter().map(answer).collect()));
    }

    pub(super) fn clear(&self) {
        self.0.store(Default::default());
    }
}
