//! Sampled requests, on their way to the task that sends their spans: one line each, as the log has it in JSON, with what only
//! spans say. A worker pays for a line, and for the hand-over of many at a time; it never waits.

use super::format::{self, Stamps, When};
use super::{AGE, Entry};
use crate::core::settings::LogFormat;
use crate::core::trace::TraceContext;
use crate::observe::clock::{Calendar, Clock};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::sleep;

/// A worker's lines are handed over once they have so many bytes.
const HANDED_BYTES: usize = 60 << 10;
/// What has room in them from the start.
const ROOM_BYTES: usize = HANDED_BYTES + (4 << 10);
/// Batches that may wait, of all workers: 4 MiB.
const MOST_BATCHES: usize = 64;

/// The workers' end; cheap to clone.
#[derive(Clone, Debug)]
pub struct SpanLog {
    queue: Sender<SpanBatch>,
    calendar: Arc<Calendar>,
    counts: Arc<SpanCounts>,
}

/// Lines of one worker.
#[derive(Debug, Default)]
pub struct SpanBatch {
    pub text: Vec<u8>,
    /// How many.
    pub requests: u64,
}

/// What became of sampled requests.
#[derive(Debug, Default)]
pub struct SpanCounts {
    pub sent: AtomicU64,
    /// There was no room for them.
    pub dropped: AtomicU64,
    /// The collector did not take them.
    pub refused: AtomicU64,
}

thread_local! {
    static LINES: RefCell<Lines> = RefCell::default();
}

/// Those of this thread. What it holds at the end of its thread is handed over, too.
#[derive(Default)]
struct Lines {
    to: Option<SpanLog>,
    batch: SpanBatch,
    stamps: Stamps,
    /// Says that there is a first line.
    begun: Arc<Notify>,
}

impl SpanLog {
    /// With the other end; `clock` is the one of the entries.
    pub fn new(clock: Clock) -> (SpanLog, Receiver<SpanBatch>) {
        let (queue, batches) = channel(MOST_BATCHES);
        (SpanLog { queue, calendar: Arc::new(Calendar::new(clock)), counts: Arc::default() }, batches)
    }

    pub fn counts(&self) -> Arc<SpanCounts> {
        self.counts.clone()
    }

    /// Takes a sampled request that came by `scheme`.
    pub fn log(&self, entry: &Entry<'_>, trace: &TraceContext, scheme: &str) {
        let taken = LINES.try_with(|lines| {
            lines.try_borrow_mut().map(|mut lines| lines.add(self, entry, (trace, scheme))).is_ok()
        });
        if !taken.unwrap_or_default() {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    fn hand_over(&self, batch: SpanBatch) {
        let requests = batch.requests;
        if requests > 0 && self.queue.try_send(batch).is_err() {
            self.counts.dropped.fetch_add(requests, Relaxed);
        }
    }
}

/// Hands over the lines of this thread when they are old enough. To be run by each worker, for ever.
pub async fn hand_over_spans_in_time() {
    let begun = LINES.with_borrow(|lines| lines.begun.clone());
    loop {
        begun.notified().await;
        sleep(AGE).await;
        LINES.with_borrow_mut(Lines::hand_over);
    }
}

impl Lines {
    fn add(&mut self, to: &SpanLog, entry: &Entry<'_>, (trace, scheme): (&TraceContext, &str)) {
        if self.batch.requests == 0 {
            self.batch.text.reserve(ROOM_BYTES);
            self.to = Some(to.clone());
            self.begun.notify_one();
        }
        let when = When {
            started_us: to.calendar.at(entry.started_us),
            written_us: to.calendar.now(entry.started_us.saturating_add(entry.request_us)),
        };
        let out = &mut self.batch.text;
        format::line(out, LogFormat::Json, entry, when, &mut self.stamps);
        // Into the object that has just been closed, and its line ended.
        out.truncate(out.len().saturating_sub(2));
        append(out, b"span_id", &trace.span(0));
        if let Some(parent) = trace.parent() {
            append(out, b"parent_id", parent);
        }
        append(out, b"scheme", scheme.as_bytes());
        if let Some(last) = &entry.last {
            out.extend_from_slice(b",\"attempt_status\":");
            format::decimal(out, last.status);
        }
        out.extend_from_slice(b",\"numbers\":[");
        for (index, attempt) in entry.earlier.iter().chain(&entry.last).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            format::decimal(out, attempt.number);
        }
        out.extend_from_slice(b"]}\n");
        self.batch.requests += 1;
        if self.batch.text.len() >= HANDED_BYTES {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if let Some(to) = &self.to {
            to.hand_over(batch);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.hand_over();
    }
}

/// A text that needs no escapes.
fn append(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [b",\"", name, b"\":\"", value, b"\""] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Attempted;
    use super::*;
    use crate::core::outcome::Outcome;

    const ID: [u8; 32] = *b"0123456789abcdef0123456789abcdef";

    fn attempted(number: u8) -> Attempted<'static> {
        Attempted {
            pool: Some("blue"),
            upstream: Some("10.0.0.1:3000"),
            number,
            status: 200,
            grpc: None,
            outcome: Outcome::Success,
            is_aside: false,
            began_us: 0,
            took_us: 0,
            broke_us: None,
            whole_us: None,
            cut_us: None,
        }
    }

    #[test]
    fn a_line_is_an_object_with_the_spans_of_its_attempts() {
        let (log, mut batches) = SpanLog::new(Clock::start());
        let trace = TraceContext::begin(&ID, 7 << 32, true);
        let entry = Entry {
            method: "GET",
            trace_id: Some(trace.id()),
            last: Some(attempted(2)),
            earlier: vec![attempted(1)],
            ..Entry::default()
        };
        std::thread::scope(|scope| drop(scope.spawn(|| log.log(&entry, &trace, "https")).join()));
        let batch = batches.try_recv().expect("handed over at the end of the thread");
        let line: serde_json::Value = serde_json::from_slice(&batch.text).expect("an object");
        assert_eq!((batch.requests, &line["span_id"]), (1, &"0000000700000000".into()));
        assert_eq!((&line["scheme"], &line["numbers"]), (&"https".into(), &serde_json::json!([1, 2])));
        assert_eq!(line["attempt_status"], 200);
        assert_eq!((line["trace_id"].as_str(), line.get("parent_id")), (std::str::from_utf8(&ID).ok(), None));
    }

    #[test]
    fn what_has_no_room_is_dropped_and_counted() {
        let (log, batches) = SpanLog::new(Clock::start());
        for _ in 0..MOST_BATCHES + 3 {
            log.hand_over(SpanBatch { text: vec![b' '], requests: 5 });
        }
        assert_eq!(log.counts.dropped.load(Relaxed), 15);
        drop(batches);
        log.hand_over(SpanBatch { text: vec![b' '], requests: 1 });
        assert_eq!(log.counts.dropped.load(Relaxed), 16, "nobody sends them any more");
    }
}
