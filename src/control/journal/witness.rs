//! What bears witness to the state store from outside of it: how many changes were written, and which
//! pool was stable last.
//!
//! A database whose write-ahead log was lost is sound, and silently old; one that was deleted is sound,
//! and silently empty. So the number of changes is written to a small file of its own after each of them,
//! and the stable pools whenever they change. Neither is part of the transaction: the number may lag
//! behind after a loss of power, which says nothing, but it is never ahead of a sound store.

use super::store::put_file;
use serde_json::Value;
use siphasher::sip::SipHasher24;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::hash::Hasher;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const COMMITS: &str = "commits";
const STABLE: &str = "stable.json";

#[derive(Debug)]
pub(super) struct Witness {
    dir: PathBuf,
    commits: Option<File>,
    /// As it was when it was opened.
    seen: Option<u64>,
    /// By service: the stable pool, and the upstreams that are registered.
    stable: BTreeMap<String, Value>,
    existed: bool,
    /// Whether the file of stable pools could be written last time.
    is_written: bool,
}

impl Witness {
    pub(super) fn open(dir: &Path) -> std::io::Result<Self> {
        let path = dir.join(COMMITS);
        let existed = path.exists() || dir.join(STABLE).exists();
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let (seen, stable) = Witness::read(dir)?;
        let commits = Some(file);
        Ok(Witness { dir: dir.to_owned(), commits, seen, stable, existed, is_written: true })
    }

    /// What it says, where nothing can be written.
    pub(super) fn read_only(dir: &Path) -> Option<Self> {
        let (seen, stable) = Witness::read(dir).ok()?;
        Some(Witness { dir: dir.to_owned(), commits: None, seen, stable, existed: true, is_written: false })
    }

    fn read(dir: &Path) -> std::io::Result<(Option<u64>, BTreeMap<String, Value>)> {
        let bytes = std::fs::read(dir.join(COMMITS)).unwrap_or_default();
        let seen = bytes.get(..16).and_then(|bytes| decode(bytes.try_into().ok()?));
        let stable = match std::fs::read(dir.join(STABLE)) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!("{STABLE} in the state directory cannot be read, it is made anew: {error}");
                BTreeMap::new()
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok((seen, stable))
    }

    /// Whether there was a store here before.
    pub(super) fn existed(&self) -> bool {
        self.existed
    }

    /// How many of the changes that were written are not in a store that has `count`.
    pub(super) fn missing(&self, count: u64) -> u64 {
        self.seen.unwrap_or(0).saturating_sub(count)
    }

    pub(super) fn stable(&self) -> &BTreeMap<String, Value> {
        &self.stable
    }

    /// A change of a service is durable, as the so-many-th.
    pub(super) fn committed(&mut self, count: u64, service: &str, state: &str) {
        let written = self.commits.as_ref().map(|file| file.write_all_at(&encode(count), 0));
        if let Some(Err(error)) = written {
            tracing::error!("the number of changes cannot be written to the state directory: {error}");
        }
        let Ok(stored) = serde_json::from_str::<Value>(state) else { return };
        let state = &stored["state"];
        if !state["stable"].is_string() {
            return;
        }
        let kept = serde_json::json!({ "stable": state["stable"], "upstreams": state["upstreams"] });
        if self.is_written && self.stable.get(service) == Some(&kept) {
            return;
        }
        self.stable.insert(service.to_owned(), kept);
        let text = serde_json::to_string_pretty(&self.stable).unwrap_or_default();
        let written = put_file(&self.dir, STABLE, text.as_bytes());
        self.is_written = written.is_ok();
        if let Err(error) = written {
            tracing::error!("the stable pools cannot be written to the state directory: {error}");
        }
    }
}

fn encode(count: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    let (number, sum) = bytes.split_at_mut(8);
    number.copy_from_slice(&count.to_le_bytes());
    sum.copy_from_slice(&checksum(count).to_le_bytes());
    bytes
}

/// `None` for a torn one.
fn decode(bytes: &[u8; 16]) -> Option<u64> {
    let (number, sum) = bytes.split_at(8);
    let count = u64::from_le_bytes(number.try_into().ok()?);
    (checksum(count).to_le_bytes() == *sum).then_some(count)
}

fn checksum(count: u64) -> u64 {
    // It finds damage, not forgery: the key is fixed.
    let mut hasher = SipHasher24::new_with_keys(0x706F_696E_7473_6D61, 0x6E2F_636F_6D6D_6974);
    hasher.write_u64(count);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_remembers_the_number_and_the_stable_pools() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut witness = Witness::open(dir.path()).expect("opened");
        assert!(!witness.existed() && witness.missing(0) == 0);
        witness.committed(7, "web", r#"{"state": {"stable": "green", "upstreams": {}}}"#);
        witness.committed(8, "web", "{}");
        let witness = Witness::open(dir.path()).expect("opened");
        assert!(witness.existed());
        assert_eq!((witness.missing(8), witness.missing(5)), (0, 3));
        assert_eq!(witness.stable()["web"]["stable"], "green");
    }

    #[test]
    fn a_torn_number_says_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        Witness::open(dir.path()).expect("opened").committed(7, "web", "{}");
        std::fs::write(dir.path().join(COMMITS), [7; 16]).expect("written");
        assert_eq!(Witness::open(dir.path()).expect("opened").missing(0), 0);
    }
}
