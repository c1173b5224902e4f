//! The site's secret, kept in the state directory: made at the first start, and never changed by itself.
//!
//! Instances behind one address have to have the same one, so that it is a file that can be copied: 64
//! hexadecimal digits, readable to the process's user only.

use crate::core::secret::Secret;
use anyhow::{Context, bail};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const NAME: &str = "secret";

/// Reads it, or makes one. The directory is the caller's alone.
///
/// # Errors
/// When it can be neither read nor written, or is something else.
pub(super) fn open(dir: &Path) -> anyhow::Result<Secret> {
    let path = dir.join(NAME);
    match std::fs::read_to_string(&path) {
        Ok(text) => match digits(text.trim()) {
            Some(bits) => Ok(Secret::new(bits)),
            None => bail!(
                "{} is no secret: 64 hexadecimal digits; copy it from another instance, or move it away to assign \
                 users anew",
                path.display()
            ),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let bits: [u8; 32] = rand::random();
            write(dir, &bits).with_context(|| format!("{} cannot be written", path.display()))?;
            Ok(Secret::new(bits))
        }
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
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

fn digits(text: &str) -> Option<[u8; 32]> {
    let mut bits = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bits.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_made_once_and_for_its_user_only() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(NAME);
        let first = open(dir.path()).expect("made").key("a", "b");
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(open(dir.path()).expect("read").key("a", "b"), first);
        let other = tempfile::tempdir().expect("a directory");
        assert_ne!(open(other.path()).expect("made").key("a", "b"), first);
    }

    #[test]
    fn what_is_none_is_not_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        for text in ["", "abc", &"g".repeat(64), &"a".repeat(63)] {
            std::fs::write(dir.path().join(NAME), text).expect("a file");
            let error = open(dir.path()).expect_err("refused").to_string();
            assert!(error.contains("is no secret: 64 hexadecimal digits"), "{error}");
        }
        std::fs::write(dir.path().join(NAME), format!("{}\n", "ab".repeat(32))).expect("a file");
        assert_eq!(open(dir.path()).expect("read").key("a", "b"), Secret::new([0xab; 32]).key("a", "b"));
    }
}
