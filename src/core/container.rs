//! Containers as upstreams: which of them belong to a pool, and which of those serve.
//!
//! A pool's upstreams are those of its set (the configuration's, or the registered ones) and its containers. A container
//! is another upstream than the one before it of the same name: its id tells versions apart. One that has only stopped
//! is the same when it starts again, wherever it is reached then.

use super::settings::upstream::Upstream;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The containers of all services, by service and pool.
pub type Containers = BTreeMap<Arc<str>, BTreeMap<Arc<str>, PoolContainers>>;

/// The containers of one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolContainers {
    /// Those that run, by the order of their names.
    pub upstreams: Vec<Upstream>,
    /// The identities of all that exist, stopped ones included.
    pub existing: BTreeSet<String>,
    /// Those that have been told to end, by their names with their ports: they get no new requests.
    #[serde(skip)]
    pub ending: BTreeSet<Arc<str>>,
}

impl PoolContainers {
    pub fn is_empty(&self) -> bool {
        self.upstreams.is_empty() && self.existing.is_empty()
    }

    /// Whether there is a container that was not one of these before.
    pub fn has_more_than(&self, before: &PoolContainers) -> bool {
        !self.existing.is_subset(&before.existing)
    }

    /// As they are stored: where all are gone, what is known of the last ones stays, so that their absence is no other
    /// version.
    #[must_use]
    pub fn after(&self, before: &PoolContainers) -> PoolContainers {
        let existing = if self.existing.is_empty() { &before.existing } else { &self.existing };
        PoolContainers {
            upstreams: self.upstreams.clone(),
            existing: existing.clone(),
            ending: BTreeSet::new(),
        }
    }
}

/// How it stands with Docker, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerStatus {
    /// Where it is asked; `None` where the configuration names none.
    pub socket: Option<String>,
    /// Whether it has been asked once, whatever came of it.
    pub is_tried: bool,
    /// Why it is not followed now.
    pub down: Option<String>,
    /// The containers that are upstreams.
    pub upstreams: usize,
    /// Those that have our labels and are none, and why.
    pub refused: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn containers(existing: &[&str]) -> PoolContainers {
        let existing = existing.iter().map(|&identity| identity.to_owned()).collect();
        PoolContainers { existing, ..PoolContainers::default() }
    }

    #[test]
    fn absence_is_no_other_version() {
        let [none, one, two] = [&[][..], &["a:1@x"], &["a:1@x", "b:1@y"]].map(containers);
        assert!(two.has_more_than(&one) && one.has_more_than(&none));
        assert!(!one.has_more_than(&two) && !none.has_more_than(&one));
        assert_eq!((none.after(&two), one.after(&two)), (two.clone(), one.clone()));
    }
}
