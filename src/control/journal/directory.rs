//! The state directory: ours alone, in files that nobody else may read, by one process at a time.

use super::JournalError;
use std::fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Names that are ours, by how they begin.
const OURS: [&str; 7] = ["state.db", "lock", "aborts", "commits", "stable.json", "secret", "acme"];
const STICKY: u32 = 0o1000;

/// Held as long as the store is open.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
    /// The directory itself: a file that was deleted would be locked twice.
    _dir: Option<File>,
}

/// Makes the directory if need be, and takes it for this process.
pub(super) fn take(dir: &Path) -> Result<Lock, JournalError> {
    let failed = |source| JournalError::Directory { path: dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let lock = lock(dir)?;
    tighten(dir);
    Ok(lock)
}

fn lock(dir: &Path) -> Result<Lock, JournalError> {
    let failed = |source| JournalError::Directory { path: dir.to_owned(), source };
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(failed)?;
    let whole = File::open(dir).map_err(failed)?;
    // Some file systems lock no directories; the file is locked all the same.
    let whole = match whole.try_lock() {
        Ok(()) => Some(whole),
        Err(TryLockError::WouldBlock) => return Err(in_use(dir, &mut file)),
        Err(TryLockError::Error(_)) => None,
    };
    if file.try_lock().is_err() {
        return Err(in_use(dir, &mut file));
    }
    // It is only told to others; a full disk must not keep us from coming back.
    let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    Ok(Lock { _file: file, _dir: whole })
}

fn in_use(dir: &Path, file: &mut File) -> JournalError {
    let mut owner = String::new();
    // Without a pid the message is still right.
    let _ = file.read_to_string(&mut owner);
    let owner = owner.trim().parse::<u32>().map_or(String::new(), |pid| format!(" (pid {pid})"));
    JournalError::InUse { path: dir.to_owned(), owner }
}

/// Takes away what others may do here. A directory with files of somebody else stays as it is, and that is
/// told: it might be `/tmp`.
fn tighten(dir: &Path) {
    let Ok(found) = std::fs::metadata(dir) else { return };
    if found.mode() & 0o077 != 0 {
        match is_ours_alone(dir) && found.mode() & STICKY == 0 {
            true => set_mode(dir, 0o700, found.mode()),
            false => tracing::warn!(
                "the state directory {} can be entered by others (mode {:o}) and holds other files, too; give \
                 Pointsman a directory of its own, of mode 700",
                dir.display(),
                found.mode() & 0o777
            ),
        }
    }
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let is_ours = OURS.iter().any(|ours| entry.file_name().to_string_lossy().starts_with(ours));
        // A link is somebody's choice; where it leads is not ours to change.
        let Ok(found) = entry.metadata() else { continue };
        if !is_ours || found.is_symlink() || found.mode() & 0o077 == 0 {
            continue;
        }
        let mode = if found.is_dir() { 0o700 } else { 0o600 };
        set_mode(&entry.path(), mode, found.mode());
        if found.is_dir() {
            let files = std::fs::read_dir(entry.path()).into_iter().flatten().flatten();
            for file in files {
                let Ok(found) = file.metadata() else { continue };
                if found.is_file() && found.mode() & 0o077 != 0 {
                    set_mode(&file.path(), 0o600, found.mode());
                }
            }
        }
    }
}

fn is_ours_alone(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir);
    entries.is_ok_and(|entries| {
        entries
            .flatten()
            .all(|entry| OURS.iter().any(|ours| entry.file_name().to_string_lossy().starts_with(ours)))
    })
}

fn set_mode(path: &Path, mode: u32, found: u32) {
    let (file, found) = (path.display(), found & 0o777);
    match std::fs::set_permissions(path, Permissions::from_mode(mode)) {
        Ok(()) => tracing::info!("{file}: others could open it (mode {found:o}), its mode is {mode:o} now"),
        Err(error) => {
            tracing::warn!(
                "{file}: others can open it (mode {found:o}), and that cannot be changed: {error}"
            );
        }
    }
}

/// Writes a file that nobody else may read: whole, or not at all.
pub(super) fn put_file(dir: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    let next = dir.join(format!("{name}.next"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(next, dir.join(name))?;
    File::open(dir)?.sync_all()
}
