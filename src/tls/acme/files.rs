//! Account and certificate on the disk: for our eyes only, and whole or not at all.

use super::super::load::load;
use super::AcmeError;
use crate::core::settings::{Acme, Certificate};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Takes a new certificate into use, if it is one.
///
/// # Errors
/// [`AcmeError`] when it cannot be used or written; the old one is still there.
pub(super) fn exchange(settings: &Acme, text: &str) -> Result<(), AcmeError> {
    let fresh = settings.dir.join("fresh.pem");
    write(&fresh, text)?;
    let files = Certificate { cert: fresh.clone(), key: fresh.clone(), ocsp: None };
    load(&files).map_err(AcmeError::Unusable)?;
    let certificate = settings.certificate().cert;
    fs::rename(&fresh, &certificate).and_then(|()| sync_dir(&certificate)).map_err(at(&certificate))
}

/// Writes a file that only we may read, in place of what is there.
///
/// # Errors
/// [`AcmeError::File`]; what was there is unchanged then.
pub(super) fn write(path: &Path, text: &str) -> Result<(), AcmeError> {
    let fault = at(path);
    let mut next = path.as_os_str().to_owned();
    next.push(".next");
    let next = Path::new(&next);
    put(path, next, text).map_err(fault)
}

fn put(path: &Path, next: &Path, text: &str) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    // One that a crash has left might have other permissions.
    match fs::remove_file(next) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(next)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(next, path)?;
    sync_dir(path)
}

fn sync_dir(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

pub(super) fn at(path: &Path) -> impl FnOnce(std::io::Error) -> AcmeError + use<> {
    let file = path.to_owned();
    move |source| AcmeError::File { file, source }
}
