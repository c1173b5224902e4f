//! The site's secret, kept in the state directory: made at the first start, and never changed by itself.
//!
//! Instances behind one address have to have the same one, so that it is a file that can be copied: 64
//! hexadecimal digits, readable to the process's user only. One that is damaged or gone is replaced, since a
//! site without a proxy is worse than users who are assigned again; but that is said.

use crate::core::secret::Secret;
use crate::observe::clock::wall;
use anyhow::Context;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const NAME: &str = "secret";
const CONSEQUENCE: &str = "a new one is in use: users are assigned again, and values issued to testers are void; copy it from another \
                           instance or a backup and restart to undo that";

/// Reads it, or makes one. The directory is the caller's alone. `is_first` is whether nothing has been served
/// from this directory before. Also returns what was wrong with the one that should be there.
///
/// # Errors
/// When it can be neither read nor written.
pub(super) fn open(dir: &Path, is_first: bool) -> anyhow::Result<(Secret, Option<String>)> {
    let path = dir.join(NAME);
    let shown = path.display();
    match std::fs::read(&path) {
        Ok(bytes) => match std::str::from_utf8(&bytes).ok().and_then(|text| Secret::of_digits(text.trim())) {
            Some(secret) => Ok((secret, None)),
            None => {
                let aside = format!("{NAME}.damaged-{}", wall().strftime("%Y%m%dT%H%M%S"));
                std::fs::rename(&path, dir.join(&aside))
                    .with_context(|| format!("{shown} cannot be replaced"))?;
                let why = format!("the secret {shown} was damaged and is kept as {aside}; {CONSEQUENCE}");
                Ok((made(dir)?, Some(why)))
            }
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let why = (!is_first).then(|| format!("the secret {shown} is gone; {CONSEQUENCE}"));
            Ok((made(dir)?, why))
        }
        Err(error) => Err(error).with_context(|| format!("{shown} cannot be read")),
    }
}

/// What was opened, or one for this process alone where nothing can be written.
pub(super) fn or_passing(opened: anyhow::Result<(Secret, Option<String>)>) -> (Secret, Option<String>) {
    opened.unwrap_or_else(|error| {
        let why = format!("{error:#}; another one is in use until the restart: users are assigned again");
        (Secret::new(rand::random()), Some(why))
    })
}

fn made(dir: &Path) -> anyhow::Result<Secret> {
    let bits: [u8; 32] = rand::random();
    write(dir, &bits).with_context(|| format!("{} cannot be written", dir.join(NAME).display()))?;
    Ok(Secret::new(bits))
}

/// Whole, or not at all.
fn write(dir: &Path, bits: &[u8; 32]) -> std::io::Result<()> {
    let new = dir.join("secret.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let text: String = bits.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(new, dir.join(NAME))?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_once_and_for_its_user_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(NAME);
        let (first, wrong) = open(dir.path(), true).expect("made");
        assert_eq!(wrong, None);
        let key = first.key("a", "b");
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(open(dir.path(), false).expect("read").0.key("a", "b"), key);
        std::fs::remove_file(path).expect("gone");
        let (other, wrong) = open(dir.path(), false).expect("made");
        assert!(other.key("a", "b") != key && wrong.expect("told").contains("is gone"));
    }

    #[test]
    fn what_is_none_is_kept_aside() {
        for text in ["", "abc", &"g".repeat(64), &"a".repeat(63)] {
            let dir = tempfile::tempdir().expect("a directory");
            std::fs::write(dir.path().join(NAME), text).expect("a file");
            let (made, wrong) = open(dir.path(), false).expect("made");
            assert!(wrong.expect("told").contains("was damaged"));
            assert_eq!(open(dir.path(), false).expect("read").0.key("a", "b"), made.key("a", "b"));
            let kept = std::fs::read_dir(dir.path()).expect("a directory").flatten();
            let mut kept = kept.filter(|entry| entry.file_name().to_string_lossy().contains("damaged"));
            let kept = kept.next().expect("kept").path();
            assert_eq!(std::fs::read_to_string(kept).expect("a text"), text);
        }
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join(NAME), format!("{}\n", "ab".repeat(32))).expect("a file");
        let (read, wrong) = open(dir.path(), false).expect("read");
        assert_eq!((read.key("a", "b"), wrong), (Secret::new([0xab; 32]).key("a", "b"), None));
    }
}
