//! Opening and reading, on threads that may wait for a disk.
//!
//! The kernel resolves the path (`openat2`, Linux 5.6): what would leave the root, by a symbolic link or
//! because a folder is moved meanwhile, does not open unless the route says so. A link to an absolute path counts as leaving.

use super::kind;
use super::listing::{self, Listed, MOST_NAMES};
use super::place::FilePlace;
use crate::core::route::Symlinks;
use crate::proxy::own::reading::piece;
use bytes::Bytes;
use http::HeaderValue;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// What is looked for.
pub(super) struct FileLookup {
    pub root: PathBuf,
    pub place: FilePlace,
    /// What stands for a folder.
    pub index: Arc<[String]>,
    pub autoindex: bool,
    pub symlinks: Symlinks,
    /// Whether the first piece of a file is read.
    pub reads: bool,
}

/// What is there.
#[derive(Debug)]
pub(super) enum FoundFile {
    File(Opened),
    /// A folder without an index, sorted.
    List(Vec<Listed>),
}

/// A file that can be sent.
#[derive(Debug)]
pub(super) struct Opened {
    pub file: Arc<File>,
    /// As its name says.
    pub kind: Option<&'static str>,
    /// Which of the names that stand for a folder it has, if it stands for one.
    pub index: Option<usize>,
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
    /// It is a folder in which nothing stands for it.
    Bare,
    /// The status to answer.
    Failed(u16),
}

/// Opens a file below the root, or what stands for a folder.
pub(super) async fn open(lookup: FileLookup) -> Result<FoundFile, Unopened> {
    let opening = spawn_blocking(move || found(&lookup));
    opening.await.unwrap_or(Err(Unopened::Failed(500)))
}

fn found(lookup: &FileLookup) -> Result<FoundFile, Unopened> {
    let place = &lookup.place;
    if !place.is_folder {
        return opened(lookup, &place.path).map(FoundFile::File);
    }
    for (nth, name) in lookup.index.iter().enumerate() {
        match opened(lookup, &place.path.join(name)) {
            Ok(opened) => return Ok(FoundFile::File(Opened { index: Some(nth), ..opened })),
            Err(Unopened::Folder | Unopened::Failed(404)) => {}
            Err(error) => return Err(error),
        }
    }
    if !lookup.autoindex {
        return Err(bare(lookup));
    }
    list(lookup).map(FoundFile::List).map_err(|error| Unopened::Failed(status_of(error)))
}

/// Why nothing is found for a folder: there may be none.
fn bare(lookup: &FileLookup) -> Unopened {
    match open_below(lookup, here(lookup), OFlags::PATH | OFlags::DIRECTORY) {
        Ok(_) => Unopened::Bare,
        Err(error) => Unopened::Failed(status_of(error)),
    }
}

/// The folder's own place.
fn here(lookup: &FileLookup) -> &Path {
    let place = &lookup.place.path;
    if place.as_os_str().is_empty() { Path::new(".") } else { place }
}

fn opened(lookup: &FileLookup, place: &Path) -> Result<Opened, Unopened> {
    // Without NONBLOCK a pipe would wait for somebody to write.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = open_below(lookup, place, flags).map_err(|error| Unopened::Failed(status_of(error)))?;
    let metadata = file.metadata().map_err(|_| Unopened::Failed(500))?;
    if metadata.is_dir() {
        return Err(Unopened::Folder);
    }
    if !metadata.is_file() {
        return Err(Unopened::Failed(404));
    }
    let start = if lookup.reads { piece(&file, 0, metadata.len()) } else { Ok(Bytes::new()) };
    let start = start.map_err(|_| Unopened::Failed(500))?;
    let (etag, modified) = marks(&metadata);
    let (file, kind, length) = (Arc::new(file), kind::of(place), metadata.len());
    Ok(Opened { file, kind, index: None, length, etag, modified, start })
}

/// What is in the folder, but for what is hidden and for what no request would open.
fn list(lookup: &FileLookup) -> Result<Vec<Listed>, Errno> {
    let place = &lookup.place.path;
    let folder = open_below(lookup, here(lookup), OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut listed = Vec::new();
    for entry in Dir::read_from(&folder)?.take(MOST_NAMES) {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name.starts_with(b".") || name.contains(&b'\\') {
            continue;
        }
        let place = place.join(OsStr::from_bytes(name));
        let Ok(metadata) = open_below(lookup, &place, OFlags::PATH).and_then(|file| fstat(&file)) else {
            continue;
        };
        if metadata.is_dir() || metadata.is_file() {
            let (size, modified_s) = (metadata.len(), metadata.mtime());
            listed.push(Listed { name: name.to_vec(), is_folder: metadata.is_dir(), size, modified_s });
        }
    }
    listing::sort(&mut listed);
    Ok(listed)
}

fn fstat(file: &File) -> Result<Metadata, Errno> {
    file.metadata().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn open_below(lookup: &FileLookup, place: &Path, flags: OFlags) -> Result<File, Errno> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(&lookup.root, folder, Mode::empty())?;
    let resolve = match lookup.symlinks {
        Symlinks::Off => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
        Symlinks::Inside => ResolveFlags::BENEATH,
        // The place itself has nothing that climbs.
        Symlinks::Any => ResolveFlags::empty(),
    };
    let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
    openat2(root, place, flags | OFlags::CLOEXEC, Mode::empty(), resolve).map(File::from)
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
        let open = |place: &str, symlinks| match opened(&lookup(&root, symlinks), Path::new(place)) {
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
            assert_eq!(open(place, Symlinks::Inside), expected, "{place}");
        }
        for (place, off, any) in [
            ("file", "inside", "inside"),
            ("folder/link", "Failed(403)", "inside"),
            ("up", "Failed(403)", "outside"),
            ("absolute", "Failed(403)", "outside"),
            ("loop", "Failed(403)", "Failed(403)"),
        ] {
            assert_eq!((&*open(place, Symlinks::Off), &*open(place, Symlinks::Any)), (off, any), "{place}");
        }
    }

    fn lookup(root: &Path, symlinks: Symlinks) -> FileLookup {
        let place = FilePlace { path: PathBuf::new(), is_folder: true };
        let index = ["index.html".to_owned(), "index.htm".to_owned()].into();
        FileLookup { root: root.to_owned(), place, index, autoindex: true, symlinks, reads: true }
    }

    #[test]
    fn a_folder_is_its_first_index_or_a_list() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("sub")).expect("folders");
        std::fs::write(dir.path().join("secret"), "outside").expect("a file");
        for name in ["b", "a", ".hidden", "back\\slash"] {
            std::fs::write(root.join(name), name).expect("a file");
        }
        symlink("../secret", root.join("out")).expect("a link");
        symlink("a", root.join("in")).expect("a link");
        let names = |symlinks| match found(&lookup(&root, symlinks)) {
            Ok(FoundFile::List(all)) => {
                let names = all.iter().map(|one| String::from_utf8_lossy(&one.name).into_owned());
                names.collect::<Vec<_>>().join(" ")
            }
            other => format!("{other:?}"),
        };
        assert_eq!(names(Symlinks::Inside), "sub a b in");
        assert_eq!(names(Symlinks::Off), "sub a b");
        assert_eq!(names(Symlinks::Any), "sub a b in out");
        symlink("../../secret", root.join("sub/index.html")).expect("a link");
        let sub = FilePlace { path: "sub".into(), is_folder: true };
        let out = found(&FileLookup { place: sub, ..lookup(&root, Symlinks::Inside) });
        assert!(matches!(out, Err(Unopened::Failed(403))), "an index leads out no more than a file");
        std::fs::write(root.join("index.htm"), "second").expect("a file");
        std::fs::create_dir(root.join("index.html")).expect("a folder of that name");
        let Ok(FoundFile::File(opened)) = found(&lookup(&root, Symlinks::Inside)) else { panic!("a file") };
        assert_eq!((&opened.start[..], opened.index), (&b"second"[..], Some(1)));
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
