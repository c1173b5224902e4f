//! Marks of aborts: one small write that survives a `kill -9` between an abort and its journal row.
//!
//! Every service has a slot of fixed size in a file that was written in full when it was made, so a mark
//! needs no space on the disk. It is written with one positioned write right after the abort's table is
//! published, and cleared once the abort's row is durable. It is not synced: the page cache outlives the
//! process.

use super::JournalError;
use crate::core::hash::{FixedHash, Purpose};
use siphasher::sip::SipHasher13;
use std::fs::{File, OpenOptions};
use std::hash::Hasher;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

const SLOT: usize = 128;
const SLOTS: usize = 1024;
/// Length and checksum before the id.
const HEAD: usize = 9;

/// The file, and what was found in it.
#[derive(Debug)]
pub(super) struct Found {
    pub marks: Marks,
    /// The rollouts that are marked.
    pub ids: Vec<String>,
    /// Why there may have been more.
    pub wrong: Option<String>,
}

/// The open file.
#[derive(Debug)]
pub struct Marks {
    /// `None` where nothing can be written.
    file: Option<File>,
}

impl Marks {
    /// What is marked, where nothing can be written.
    pub(super) fn read_only(dir: &Path) -> Found {
        let all = std::fs::read(dir.join("aborts")).unwrap_or_default();
        let ids = all.chunks(SLOT).filter_map(decode).collect();
        Found { marks: Marks { file: None }, ids, wrong: None }
    }

    /// Opens or makes the file.
    pub(super) fn open(dir: &Path) -> Result<Found, JournalError> {
        let failed = |source| JournalError::Directory { path: dir.to_owned(), source };
        let path = dir.join("aborts");
        let shown = path.display().to_string();
        let is_new = !path.exists();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let is_short = file.metadata().map_err(failed)?.len() < (SLOT * SLOTS) as u64;
        if is_short {
            file.write_all_at(&vec![0; SLOT * SLOTS], 0).map_err(failed)?;
        }
        let mut all = vec![0; SLOT * SLOTS];
        file.read_exact_at(&mut all, 0).map_err(failed)?;
        let ids = all.chunks(SLOT).filter_map(decode).collect();
        let is_torn = |slot: &[u8]| slot.iter().any(|byte| *byte != 0) && decode(slot).is_none();
        let torn: Vec<_> = (0..SLOTS).filter(|n| all.chunks(SLOT).nth(*n).is_some_and(is_torn)).collect();
        let marks = Marks { file: Some(file) };
        // A torn mark is reported once.
        torn.iter().for_each(|slot| marks.clear(*slot));
        let wrong = match (is_new, is_short || !torn.is_empty()) {
            (true, _) => Some(format!("the marks of aborts, {shown}, were gone")),
            (false, true) => Some(format!("the marks of aborts, {shown}, were damaged")),
            (false, false) => None,
        };
        Ok(Found { marks, ids, wrong })
    }

    /// Marks a rollout as aborted. `slot` is the service's; those past the last share it.
    pub fn set(&self, slot: usize, id: &str) {
        self.write(slot, &encode(id));
    }

    /// The abort is durable.
    pub fn clear(&self, slot: usize) {
        self.write(slot, &[0; SLOT]);
    }

    fn write(&self, slot: usize, bytes: &[u8; SLOT]) {
        let at = (slot.min(SLOTS - 1) * SLOT) as u64;
        let Some(file) = &self.file else { return };
        if let Err(error) = file.write_all_at(bytes, at) {
            tracing::error!("the mark of an abort cannot be written: {error}");
        }
    }
}

fn encode(id: &str) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    let id = &id.as_bytes()[..id.len().min(SLOT - HEAD)];
    slot[0] = id.len() as u8;
    slot[1..HEAD].copy_from_slice(&checksum(id).to_le_bytes());
    slot[HEAD..HEAD + id.len()].copy_from_slice(id);
    slot
}

/// `None` for an empty or torn slot.
fn decode(slot: &[u8]) -> Option<String> {
    let length = usize::from(*slot.first()?);
    let id = slot.get(HEAD..HEAD + length).filter(|id| !id.is_empty())?;
    let sum = u64::from_le_bytes(slot.get(1..HEAD)?.try_into().ok()?);
    let is_whole = sum == checksum(id) || sum == former_checksum(id);
    is_whole.then(|| String::from_utf8_lossy(id).into_owned())
}

fn checksum(bytes: &[u8]) -> u64 {
    FixedHash::of(Purpose::Mark).bytes(bytes).finish()
}

/// Of former versions: what std's hasher was then. An abort that one of them marked is not to be lost.
fn former_checksum(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(&(bytes.len() as u64).to_le_bytes());
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_former_versions_are_read() {
        assert_eq!(
            (checksum(b"web-1"), former_checksum(b"web-1")),
            (0x8941_882c_c1ef_3342, 0xde4c_1dee_9c7d_f8a5)
        );
        let mut slot = encode("web-1");
        slot[1..HEAD].copy_from_slice(&0xde4c_1dee_9c7d_f8a5_u64.to_le_bytes());
        assert_eq!(decode(&slot).as_deref(), Some("web-1"));
        slot[HEAD] ^= 1;
        assert_eq!(decode(&slot), None);
    }

    #[test]
    fn a_mark_outlives_its_writer_and_a_torn_one_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || Marks::open(dir.path()).expect("opened");
        let Found { marks, ids, wrong } = open();
        assert!(ids.is_empty() && wrong.expect("it was not there").contains("gone"));
        marks.set(0, "web-1");
        marks.set(3, "signaling-7");
        let Found { marks, ids, wrong } = open();
        assert_eq!((ids, wrong), (vec!["web-1".to_owned(), "signaling-7".to_owned()], None));
        marks.clear(0);
        let mut torn = encode("api-9");
        torn[HEAD + 2] ^= 1;
        marks.write(5, &torn);
        let found = open();
        assert_eq!(found.ids, ["signaling-7"]);
        assert!(found.wrong.expect("torn").contains("damaged"));
        assert_eq!(open().wrong, None, "once");
        found.marks.file.as_ref().expect("a file").set_len(100).expect("shortened");
        assert!(open().wrong.expect("short").contains("damaged"));
    }
}
