//! The thread that writes the log, a batch at a time.

use super::{Batch, State};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

pub(super) struct Writer {
    path: Option<PathBuf>,
    output: File,
    batches: Receiver<Batch>,
    state: Arc<State>,
    failing: bool,
    /// Whether the file ends in the middle of a line.
    is_torn: bool,
}

impl Writer {
    pub(super) fn open(
        path: Option<PathBuf>,
        batches: Receiver<Batch>,
        state: Arc<State>,
    ) -> io::Result<Self> {
        let output = open(path.as_deref())?;
        Ok(Writer { path, output, batches, state, failing: false, is_torn: false })
    }

    /// Writes until it has to end, and then what waits.
    pub(super) fn run(mut self) {
        while let Some(batch) = self.next() {
            if self.state.reopen.swap(false, Ordering::SeqCst) {
                self.reopen();
            }
            if batch.lines > 0 {
                self.write(&batch);
            }
            self.state.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn next(&self) -> Option<Batch> {
        match self.state.closing.load(Ordering::SeqCst) {
            true => self.batches.try_recv().ok(),
            false => self.batches.recv().ok(),
        }
    }

    /// What could not be written is thrown away rather than written again, so that a full disk does not grow memory.
    fn write(&mut self, batch: &Batch) {
        let (written, result) = self.write_whole(&batch.text);
        let Err(error) = result else {
            if std::mem::take(&mut self.failing) {
                tracing::warn!("the access log is written again; some entries were lost");
            }
            return;
        };
        let rest = batch.text.get(written..).unwrap_or_default();
        self.state.lost(memchr::memchr_iter(b'\n', rest).count() as u64);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!("the access log cannot be written: {error}");
        }
        if let Ok(fresh) = open(self.path.as_deref()) {
            self.output = fresh;
        }
    }

    /// How much of it has been written, and what came of the rest.
    fn write_whole(&mut self, text: &[u8]) -> (usize, io::Result<()>) {
        if self.is_torn && self.has_content() {
            if let Err(error) = self.output.write_all(b"\n") {
                return (0, Err(error));
            }
            self.is_torn = false;
        }
        let mut written = 0;
        while let Some(rest) = text.get(written..).filter(|rest| !rest.is_empty()) {
            match self.output.write(rest) {
                Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return (written, Err(error)),
            }
            self.is_torn = written > 0 && text.get(written - 1) != Some(&b'\n');
        }
        (written, Ok(()))
    }

    /// A new file has no line that was torn.
    fn has_content(&self) -> bool {
        self.output.metadata().map_or(true, |metadata| metadata.len() > 0)
    }

    fn reopen(&mut self) {
        match open(self.path.as_deref()) {
            Ok(fresh) => self.output = fresh,
            Err(error) => tracing::error!("the access log cannot be opened again: {error}"),
        }
    }
}

fn open(path: Option<&Path>) -> io::Result<File> {
    match path {
        Some(path) => OpenOptions::new().create(true).append(true).open(path),
        None => io::stdout().as_fd().try_clone_to_owned().map(File::from),
    }
}
