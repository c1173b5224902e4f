//! The access log: one line a request.
//!
//! A worker puts a line into words right away and gathers it with its others ([`gathering`]); a thread of its own
//! writes them ([`writer`]). They meet once for many lines: when there are [`BATCH_BYTES`] of them, or after [`AGE`], so
//! that the cost of waking a thread and of a write is shared by all of them. No worker waits for the disk, or for
//! another worker: where the writer is too far behind, because the disk is slow or full, lines are dropped, and counted.
//!
//! A line is in the file within [`AGE`] and the time that it takes to write it, whether or not other requests follow;
//! what ends the process without notice loses no more than that. An end with notice loses none.

#![warn(clippy::indexing_slicing)]

mod entry;
mod format;
mod gathering;
mod spans;
mod writer;

pub use entry::{Attempted, Cut, Entry};
pub use gathering::hand_over_in_time;
pub use spans::{SpanBatch, SpanCounts, SpanLog, hand_over_spans_in_time};

use crate::core::settings::{self, LogFormat};
use crate::observe::clock::{Calendar, Clock};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use writer::Writer;

/// How long a worker gathers lines.
const AGE: Duration = Duration::from_millis(100);
/// A worker's lines are handed over once they have so many bytes.
const BATCH_BYTES: usize = 60 << 10;
/// Batches that may wait for the writer, of all workers: 8 MiB.
const MOST_WAITING: usize = 128;
/// While so many wait, lines are handed over by size alone, so that few of them do not fill the queue.
const MANY_WAITING: usize = MOST_WAITING / 2;

/// The workers' end of the log; cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog {
    queue: SyncSender<Batch>,
    state: Arc<State>,
}

/// Whole lines of one worker.
#[derive(Debug, Default)]
struct Batch {
    text: Vec<u8>,
    lines: u64,
}

#[derive(Debug)]
struct State {
    format: LogFormat,
    calendar: Calendar,
    /// Batches on their way to the file.
    waiting: AtomicUsize,
    /// Lines.
    dropped: AtomicU64,
    reopen: AtomicBool,
    closing: AtomicBool,
}

/// Ends the writer, after it has written what waits, when dropped. What workers have gathered waits once their threads
/// have ended.
#[derive(Debug)]
pub struct Guard {
    log: AccessLog,
    writer: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Opens the log and starts its writer; `clock` is the one of the entries.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(settings: &settings::AccessLog, clock: Clock) -> io::Result<(AccessLog, Guard)> {
        let (queue, batches) = sync_channel(MOST_WAITING);
        let state = Arc::new(State {
            format: settings.format,
            calendar: Calendar::new(clock),
            waiting: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            reopen: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        });
        let writer = Writer::open(settings.path.clone(), batches, state.clone())?;
        let thread = std::thread::Builder::new().name("access-log".into()).spawn(move || writer.run())?;
        let log = AccessLog { queue, state };
        Ok((log.clone(), Guard { log, writer: Some(thread) }))
    }

    /// Lines lost so far.
    pub fn dropped(&self) -> u64 {
        self.state.dropped.load(Ordering::Relaxed)
    }

    /// Opens the file again, after a rotation: what has reached the writer is in the old one, all else comes into the
    /// new one.
    pub fn reopen(&self) {
        self.state.reopen.store(true, Ordering::SeqCst);
        self.hand_over(Batch::default());
    }

    /// Never waits. Where there is no room, the lines are dropped; the writer is busy then, and sees without being woken
    /// what it is asked for.
    fn hand_over(&self, batch: Batch) {
        let lines = batch.lines;
        self.state.waiting.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(batch).is_err() {
            self.state.waiting.fetch_sub(1, Ordering::Relaxed);
            self.state.lost(lines);
        }
    }

    /// Waits for room, as those may that serve no more requests.
    fn hand_over_at_the_end(&self, batch: Batch) {
        let lines = batch.lines;
        self.state.waiting.fetch_add(1, Ordering::Relaxed);
        if self.queue.send(batch).is_err() {
            self.state.waiting.fetch_sub(1, Ordering::Relaxed);
            self.state.lost(lines);
        }
    }

    fn is_far_behind(&self) -> bool {
        self.state.waiting.load(Ordering::Relaxed) >= MANY_WAITING
    }
}

impl State {
    fn lost(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.log.state.closing.store(true, Ordering::SeqCst);
        self.log.hand_over_at_the_end(Batch::default());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the access log's writer panicked");
        }
    }
}

#[cfg(test)]
mod tests;
