//! A file, read piece by piece on threads that may wait for a disk.

use bytes::Bytes;
use pingora_error::{Error, ErrorType, OrErr, Result};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Most bytes that are read at once.
pub(super) const PIECE: usize = 128 << 10;

/// What is to be read of a file.
pub(in crate::proxy) struct Reading {
    file: Arc<File>,
    at: u64,
    end: u64,
    /// What has been read already, from the start of the file.
    first: Bytes,
}

impl Reading {
    /// Of `part` of the file; `first` is what has been read already, from its start.
    pub(super) fn new(file: Arc<File>, (at, end): (u64, u64), first: Bytes) -> Self {
        Reading { file, at, end, first }
    }

    pub(in crate::proxy) fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the disk fails, or the file has become shorter.
    pub(in crate::proxy) async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.is_empty() {
            return Ok(None);
        }
        let left = self.end - self.at;
        let piece = match usize::try_from(self.at).ok().and_then(|at| self.first.get(at..)) {
            Some(read) if !read.is_empty() => {
                let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(read.len());
                self.first.slice_ref(read.get(..wanted).unwrap_or_default())
            }
            _ => read(self.file.clone(), self.at, left).await?,
        };
        if piece.is_empty() {
            return Error::e_explain(ErrorType::ReadError, "the file has become shorter")
                .map_err(|error| error.into_in());
        }
        self.at += piece.len() as u64;
        Ok(Some(piece))
    }
}

/// Up to `most` bytes from `at`; none at the end of the file.
///
/// # Errors
/// When the disk fails.
async fn read(file: Arc<File>, at: u64, most: u64) -> Result<Bytes> {
    let read = spawn_blocking(move || piece(&file, at, most)).await;
    let failed = |e| Error::because(ErrorType::ReadError, "reading a file", e);
    read.or_err(ErrorType::InternalError, "reading a file")?.map_err(|error| failed(error).into_in())
}

pub(super) fn piece(file: &File, at: u64, most: u64) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(most).unwrap_or(PIECE).min(PIECE)];
    let mut filled = 0;
    while let Some(free) = bytes.get_mut(filled..).filter(|free| !free.is_empty()) {
        match file.read_at(free, at + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes.into())
}
