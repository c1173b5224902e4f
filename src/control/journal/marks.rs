//! Marks of aborts: one small write that survives a `kill -9` between an abort and its journal row.
//!
//! Every service has a slot of fixed size in a file that was written in full when it was made, so a mark
//! needs no space on the disk. It is written with one positioned write right after the abort's table is
//! published, and cleared once the abort's row is durable. It is not synced: the page cache outlives the
//! process.

use super::JournalError;
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;
use std::path::Path;

const SLOT: usize = 128;
const SLOTS: usize = 1024;
/// Length and checksum before the id.
const HEAD: usize = 9;

/// The open file.
#[derive(Debug)]
pub struct Marks {
    file: File,
}

impl Marks {
    /// Opens or makes the file; also returns the ids that are marked.
    pub(super) fn open(dir: &Path) -> Result<(Marks, Vec<String>), JournalError> {
        let failed = |source| JournalError::Directory { path: dir.to_owned(), source };
        let path = dir.join("aborts");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        if file.metadata().map_err(failed)?.len() < (SLOT * SLOTS) as u64 {
            file.write_all_at(&vec![0; SLOT * SLOTS], 0).map_err(failed)?;
        }
        let mut all = vec![0; SLOT * SLOTS];
        file.read_exact_at(&mut all, 0).map_err(failed)?;
        let ids = all.chunks(SLOT).filter_map(decode).collect();
        Ok((Marks { file }, ids))
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
        if let Err(error) = self.file.write_all_at(bytes, at) {
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
    (sum == checksum(id)).then(|| String::from_utf8_lossy(id).into_owned())
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_outlives_its_writer_and_a_torn_one_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let (marks, ids) = Marks::open(dir.path()).expect("opened");
        assert!(ids.is_empty());
        marks.set(0, "web-1");
        marks.set(3, "signaling-7");
        let (marks, ids) = Marks::open(dir.path()).expect("opened");
        assert_eq!(ids, ["web-1", "signaling-7"]);
        marks.clear(0);
        let mut torn = encode("api-9");
        torn[HEAD + 2] ^= 1;
        marks.write(5, &torn);
        assert_eq!(Marks::open(dir.path()).expect("opened").1, ["signaling-7"]);
    }
}
