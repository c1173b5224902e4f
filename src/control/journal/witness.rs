//! What bears witness to the state store from outside of it: how many changes were written, and which
//! pool was stable last.
//!
//! A database whose write-ahead log was lost is sound, and silently old; one that was deleted is sound,
//! and silently empty. So the number of changes is written to a small file of its own after each of them,
//! and the stable pools whenever they change. Neither is part of the transaction: the number may lag
//! behind after a loss of power, which says nothing, but it is never ahead of a sound store.
//!
//! The stable pools of all services are one file; what has changed since is a line each in another beside it, so
//! that a change of one service writes that one. The two become one when the store is opened, when it is closed,
//! and when there are many lines.

use super::directory::put_file;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use siphasher::sip::SipHasher24;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::hash::Hasher;
use std::io::{ErrorKind, Result, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const COMMITS: &str = "commits";
const STABLE: &str = "stable.json";
/// Its name begins as the other's does: what the directory may hold goes by that.
const CHANGED: &str = "stable.json.log";
/// Lines before they and the file become one, at least.
const MOST_LINES: usize = 1000;

#[derive(Debug)]
pub(super) struct Witness {
    dir: PathBuf,
    /// `None` where nothing can be written.
    files: Option<Files>,
    /// As it was when it was opened.
    seen: Option<u64>,
    stable: Stable,
    existed: bool,
}

#[derive(Debug)]
struct Files {
    commits: File,
    changed: File,
    /// Lines in it.
    lines: usize,
    /// Whether the file of stable pools, with these lines, is as it should be.
    is_written: bool,
}

/// By service: the stable pool, and the upstreams that are registered.
type Stable = BTreeMap<String, Value>;

/// What has changed of one service.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    service: String,
    kept: Value,
}

impl Witness {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(COMMITS);
        let existed = path.exists() || dir.join(STABLE).exists();
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let (commits, changed) = (options.open(path)?, options.append(true).open(dir.join(CHANGED))?);
        let (seen, stable, lines) = Witness::read(dir)?;
        let files = Some(Files { commits, changed, lines, is_written: true });
        let mut witness = Witness { dir: dir.to_owned(), files, seen, stable, existed };
        witness.checkpoint();
        Ok(witness)
    }

    /// What it says, where nothing can be written.
    pub(super) fn read_only(dir: &Path) -> Option<Self> {
        let (seen, stable, _) = Witness::read(dir).ok()?;
        Some(Witness { dir: dir.to_owned(), files: None, seen, stable, existed: true })
    }

    fn read(dir: &Path) -> Result<(Option<u64>, Stable, usize)> {
        let bytes = std::fs::read(dir.join(COMMITS)).unwrap_or_default();
        let seen = bytes.get(..16).and_then(|bytes| decode(bytes.try_into().ok()?));
        let or_none = |read: Result<Vec<u8>>| match read {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        };
        let text = or_none(std::fs::read(dir.join(STABLE)))?;
        let read = if text.is_empty() { Ok(Stable::new()) } else { serde_json::from_slice(&text) };
        let mut stable = read.unwrap_or_else(|error| {
            tracing::warn!("{STABLE} in the state directory cannot be read, it is made again: {error}");
            Stable::new()
        });
        let changed = or_none(std::fs::read(dir.join(CHANGED)))?;
        let lines = changed.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let count = lines.clone().count();
        // The last one may be torn; the others are whole.
        for Line { service, kept } in lines.filter_map(|line| serde_json::from_slice(line).ok()) {
            stable.insert(service, kept);
        }
        Ok((seen, stable, count))
    }

    /// Whether there was a store here before.
    pub(super) fn existed(&self) -> bool {
        self.existed
    }

    /// How many of the changes that were written are not in a store that has `count`.
    pub(super) fn missing(&self, count: u64) -> u64 {
        self.seen.unwrap_or(0).saturating_sub(count)
    }

    pub(super) fn stable(&self) -> &Stable {
        &self.stable
    }

    /// A change of a service is durable, as the so-many-th.
    pub(super) fn committed(&mut self, count: u64, service: &str, state: &str) {
        let Some(files) = &mut self.files else { return };
        if let Err(error) = files.commits.write_all_at(&encode(count), 0) {
            tracing::error!("the number of changes cannot be written to the state directory: {error}");
        }
        let Ok(stored) = serde_json::from_str::<Value>(state) else { return };
        let state = &stored["state"];
        if !state["stable"].is_string() {
            return;
        }
        let kept = serde_json::json!({ "stable": state["stable"], "upstreams": state["upstreams"] });
        if files.is_written && self.stable.get(service) == Some(&kept) {
            return;
        }
        self.stable.insert(service.to_owned(), kept.clone());
        let is_short = files.lines < MOST_LINES.max(self.stable.len() * 2);
        if !(files.is_written && is_short && files.append(&Line { service: service.to_owned(), kept })) {
            files.is_written = false;
            self.checkpoint();
        }
    }

    /// Makes one file of the two.
    pub(super) fn checkpoint(&mut self) {
        let Some(files) = self.files.as_mut().filter(|files| files.lines > 0 || !files.is_written) else {
            return;
        };
        let text = serde_json::to_string_pretty(&self.stable).unwrap_or_default();
        let written = put_file(&self.dir, STABLE, text.as_bytes()).and_then(|()| files.changed.set_len(0));
        files.is_written = written.is_ok();
        match written {
            Ok(()) => files.lines = 0,
            Err(error) => {
                tracing::error!("the stable pools cannot be written to the state directory: {error}")
            }
        }
    }
}

impl Files {
    /// Whether the line is durable.
    fn append(&mut self, line: &Line) -> bool {
        self.lines += 1;
        // Texts: there is nothing JSON cannot hold.
        let text = serde_json::to_string(line).unwrap_or_default() + "\n";
        self.changed.write_all(text.as_bytes()).and_then(|()| self.changed.sync_data()).is_ok()
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
    fn a_change_of_one_service_writes_that_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = |pool: &str| format!(r#"{{"state": {{"stable": "{pool}", "upstreams": {{}}}}}}"#);
        let text = |name: &str| std::fs::read_to_string(dir.path().join(name)).expect("a file");
        let mut witness = Witness::open(dir.path()).expect("opened");
        for n in 0..10 {
            witness.committed(n, &format!("service{n}"), &state("blue"));
        }
        drop(witness);
        let mut witness = Witness::open(dir.path()).expect("opened");
        let (before, lines) = (text(STABLE), text(CHANGED));
        assert!(before.contains("service9") && lines.is_empty(), "one file when it is opened");
        witness.committed(11, "service3", &state("green"));
        witness.committed(12, "service3", &state("green"));
        assert_eq!((text(STABLE), text(CHANGED).lines().count()), (before, 1));
        // A loss of power in the middle of the next line.
        std::fs::write(dir.path().join(CHANGED), text(CHANGED) + "{\"service\": \"serv").expect("written");
        let witness = Witness::open(dir.path()).expect("opened");
        assert_eq!(witness.stable()["service3"]["stable"], "green");
        assert_eq!((witness.stable().len(), text(CHANGED).len()), (10, 0));
    }

    #[test]
    fn many_changes_become_one_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut witness = Witness::open(dir.path()).expect("opened");
        for n in 0..=MOST_LINES as u64 {
            let pool = if n % 2 == 0 { "blue" } else { "green" };
            witness.committed(n, "web", &format!(r#"{{"state": {{"stable": "{pool}"}}}}"#));
        }
        assert_eq!(std::fs::metadata(dir.path().join(CHANGED)).expect("a file").len(), 0);
        let witness = Witness::read_only(dir.path()).expect("read");
        assert_eq!(witness.stable()["web"]["stable"], "blue");
    }

    #[test]
    fn a_torn_number_says_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        Witness::open(dir.path()).expect("opened").committed(7, "web", "{}");
        std::fs::write(dir.path().join(COMMITS), [7; 16]).expect("written");
        assert_eq!(Witness::open(dir.path()).expect("opened").missing(0), 0);
    }
}
