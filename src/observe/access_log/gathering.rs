//! The lines of a worker until they go to the writer. They belong to its thread, so that no line takes a lock.

use super::format::{self, Stamps, When};
use super::{AGE, AccessLog, BATCH_BYTES, Batch, Entry};
use std::cell::RefCell;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::time::sleep;

/// What a batch has room for from its start: the line that makes it whole is seldom longer than the rest.
const ROOM_BYTES: usize = BATCH_BYTES + (4 << 10);

thread_local! {
    static GATHERED: RefCell<Gathered> = RefCell::default();
}

/// What it holds at the end of its thread goes to the writer, too.
#[derive(Default)]
struct Gathered {
    log: Option<AccessLog>,
    batch: Batch,
    stamps: Stamps,
    /// Says that there is a first line.
    begun: Arc<Notify>,
}

impl AccessLog {
    /// Takes a line; never waits.
    pub fn log(&self, entry: &Entry<'_>) {
        let taken = GATHERED.try_with(|gathered| {
            gathered.try_borrow_mut().map(|mut gathered| gathered.add(self, entry)).is_ok()
        });
        if !taken.unwrap_or_default() {
            self.state.lost(1);
        }
    }
}

/// Hands over the lines of this thread when they are old enough. To be run by each worker, for ever.
pub async fn hand_over_in_time() {
    let begun = GATHERED.with_borrow(|gathered| gathered.begun.clone());
    loop {
        begun.notified().await;
        sleep(AGE).await;
        GATHERED.with_borrow_mut(Gathered::hand_over_old);
    }
}

impl Gathered {
    fn add(&mut self, log: &AccessLog, entry: &Entry<'_>) {
        if self.batch.lines == 0 {
            self.begin(log);
        }
        let calendar = &log.state.calendar;
        let when = When {
            started_us: calendar.at(entry.started_us),
            written_us: calendar.now(entry.started_us.saturating_add(entry.request_us)),
        };
        format::line(&mut self.batch.text, log.state.format, entry, when, &mut self.stamps);
        self.batch.lines += 1;
        if self.batch.text.len() >= BATCH_BYTES {
            self.hand_over();
        }
    }

    /// There is one log in a process, so that a batch has lines of one.
    fn begin(&mut self, log: &AccessLog) {
        self.batch.text.reserve(ROOM_BYTES);
        self.log = Some(log.clone());
        self.begun.notify_one();
    }

    fn hand_over_old(&mut self) {
        let is_far_behind = self.log.as_ref().is_some_and(AccessLog::is_far_behind);
        match (self.batch.lines, is_far_behind) {
            (0, _) => (),
            // They are looked at again; by then there may be more of them.
            (_, true) => self.begun.notify_one(),
            (_, false) => self.hand_over(),
        }
    }

    fn hand_over(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if let Some(log) = &self.log {
            log.hand_over(batch);
        }
    }
}

impl Drop for Gathered {
    fn drop(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if let Some(log) = self.log.take().filter(|_| batch.lines > 0) {
            log.hand_over_at_the_end(batch);
        }
    }
}
