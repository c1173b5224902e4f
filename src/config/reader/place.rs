//! Where a key stands.

/// The path of a key in two forms.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyPath {
    /// As faults show it: `services.web.pools.blue.upstreams[1]`.
    pub shown: String,
    /// Without names that users choose and without places in lists: `services.*.pools.*.upstreams[]`.
    pub normal: String,
}

impl KeyPath {
    pub(super) fn key(&self, key: &str) -> KeyPath {
        KeyPath { shown: joined(&self.shown, key), normal: joined(&self.normal, key) }
    }

    /// A key that is a name.
    pub(super) fn entry(&self, name: &str) -> KeyPath {
        KeyPath { shown: joined(&self.shown, name), normal: joined(&self.normal, "*") }
    }

    pub(super) fn element(&self, index: usize) -> KeyPath {
        KeyPath { shown: format!("{}[{index}]", self.shown), normal: format!("{}[]", self.normal) }
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
