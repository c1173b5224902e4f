//! Opening and reading, on threads that may wait for a disk.
//!
//! The kernel resolves the path (`openat2`, Linux 5.6): what would leave the root, by a symbolic link or
//! because a folder is moved meanwhile, does not open. A link to an absolute path counts as leaving.

use crate::proxy::own::reading::piece;
use bytes::Bytes;
use http::HeaderValue;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// A file that can be sent.
#[derive(Debug)]
pub(super) struct Opened {
    pub file: Arc<File>,
    /// Bytes.
    pub length: u64,
    pub etag: HeaderValue,
    /// When it was last changed, in whole seconds, and how that is written; `None` before 1970.
    pub modified: Option<(i64, HeaderValue)>,
    /// The first piece, where it was to be read at once.
    pub start: Bytes,
}

/// Why a file is not sent.
#[derive(Debug)]
pub(super) enum Unopened {
    /// It is a folder.
    Folder,
    /// The status to answer.
    Failed(u16),
}

/// Opens a file below the root, and reads its first piece if `reads`.
pub(super) async fn open(root: PathBuf, place: PathBuf, reads: bool) -> Result<Opened, Unopened> {
    let opening = spawn_blocking(move || opened(&root, &place, reads));
    opening.await.unwrap_or(Err(Unopened::Failed(500)))
}

fn opened(root: &Path, place: &Path, reads: bool) -> Result<Opened, Unopened> {
    let file = open_below(root, place).map_err(|error| Unopened::Failed(status_of(error)))?;
    let metadata = file.metadata().map_err(|_| Unopened::Failed(500))?;
    if metadata.is_dir() {
        return Err(Unopened::Folder);
    }
    if !metadata.is_file() {
        return Err(Unopened::Failed(404));
    }
    let start = if reads { piece(&file, 0, metadata.len()) } else { Ok(Bytes::new()) };
    let start = start.map_err(|_| Unopened::Failed(500))?;
    let (etag, modified) = marks(&metadata);
    Ok(Opened { file: Arc::new(file), length: metadata.len(), etag, modified, start })
}

fn open_below(root: &Path, place: &Path) -> Result<File, Errno> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, folder, Mode::empty())?;
    // Without NONBLOCK a pipe would wait for somebody to write.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(root, place, flags, Mode::empty(), resolve).map(File::from)
}

fn status_of(error: Errno) -> u16 {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO => 404,
        // This process is short of something.
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => 503,
        Errno::ACCESS | Errno::PERM | Errno::XDEV | Errno::LOOP => 403,
        error => {
            tracing::warn!("a file cannot be opened: {error}");
            500
        }
    }
}

/// The tag changes with the time and the length of a file.
fn marks(metadata: &Metadata) -> (HeaderValue, Option<(i64, HeaderValue)>) {
    let time = metadata.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
    let time = time.filter(|time| *time >= Timestamp::UNIX_EPOCH);
    let micros = time.map_or(0, Timestamp::as_microsecond);
    let etag = HeaderValue::try_from(format!("\"{micros:x}-{:x}\"", metadata.len()));
    let modified = time.and_then(|time| {
        let text = DateTimePrinter::new().timestamp_to_rfc9110_string(&time).ok()?;
        Some((time.as_second(), HeaderValue::try_from(text).ok()?))
    });
    (etag.unwrap_or(HeaderValue::from_static("\"0\"")), modified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::own::reading::PIECE;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_open_only_below_the_root() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("folder")).expect("a folder");
        std::fs::write(root.join("file"), "inside").expect("a file");
        std::fs::write(dir.path().join("secret"), "outside").expect("a file");
        symlink("../file", root.join("folder/link")).expect("a link");
        symlink("../secret", root.join("up")).expect("a link");
        symlink(dir.path().join("secret"), root.join("absolute")).expect("a link");
        symlink("..", root.join("parent")).expect("a link");
        symlink("loop", root.join("loop")).expect("a link");
        let open = |place: &str| match opened(&root, Path::new(place), true) {
            Ok(opened) => String::from_utf8_lossy(&opened.start).into_owned(),
            Err(why) => format!("{why:?}"),
        };
        for (place, expected) in [
            ("file", "inside"),
            ("folder/link", "inside"),
            ("folder", "Folder"),
            ("up", "Failed(403)"),
            ("absolute", "Failed(403)"),
            ("parent/secret", "Failed(403)"),
            ("loop", "Failed(403)"),
            ("../secret", "Failed(403)"),
            ("/etc/hostname", "Failed(403)"),
            ("none", "Failed(404)"),
            ("file/none", "Failed(404)"),
        ] {
            assert_eq!(open(place), expected, "{place}");
        }
    }

    #[test]
    fn files_are_read_in_bounded_pieces() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("large");
        std::fs::write(&path, vec![b'x'; PIECE + 10]).expect("a file");
        let file = File::open(&path).expect("opened");
        assert_eq!(piece(&file, 0, u64::MAX).expect("read").len(), PIECE);
        assert_eq!(piece(&file, PIECE as u64, u64::MAX).expect("read").len(), 10);
        assert_eq!(piece(&file, 5, 7).expect("read").len(), 7);
        assert!(piece(&file, 1 << 40, 7).expect("read").is_empty());
    }
}
