//! The access log: one line a request, written by a thread of its own.
//!
//! A worker hands an entry to a bounded queue and goes on; if the queue is full, because the disk is
//! slow or full, the entry is dropped and counted. Formatting happens on the writer's thread.

mod format;

use crate::core::outcome::Outcome;
use crate::core::settings::{self, LogFormat};
use crate::observe::clock::{Calendar, Clock};
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Entries that may wait for the writer.
const QUEUE: usize = 8192;
/// How long a line may wait in the writer's buffer.
const FLUSH: Duration = Duration::from_millis(500);

/// One request, as it is logged. Owned, and built without formatting.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    pub client: Option<IpAddr>,
    pub method: http::Method,
    pub host: Vec<u8>,
    pub uri: Vec<u8>,
    pub version: http::Version,
    /// 0 where the client was gone before an answer began.
    pub status: u16,
    pub bytes_sent: u64,
    /// When its head had arrived, µs on the process clock.
    pub started_us: u64,
    /// From the end of the head to the end of the answer, µs.
    pub request_us: u64,
    /// Time to a connection, to the head of the answer and to its end, of the last attempt, µs.
    pub connect_us: Option<u64>,
    pub head_us: Option<u64>,
    pub response_us: Option<u64>,
    pub service: Option<Arc<str>>,
    pub pool: Option<Arc<str>>,
    /// What the pool was chosen by.
    pub by: Option<&'static str>,
    pub upstream: Option<Arc<str>>,
    pub attempts: u8,
    /// What the last attempt came to, and those before it.
    pub last: Option<Attempted>,
    pub earlier: Vec<Attempted>,
    /// Why it ended before its answer did, or without one, if it did.
    pub ended: Option<Cut>,
    pub user_agent: Vec<u8>,
    pub referer: Vec<u8>,
    pub request_id: Vec<u8>,
    pub forwarded_for: Vec<u8>,
}

/// What cut a request short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Its head, or its body, did not arrive in time.
    SlowHead,
    SlowBody,
    /// The head of the answer did not.
    LateAnswer,
    /// The client left, or took nothing of the answer for too long.
    ClientLeft,
    ClientStalled,
    /// The upstream broke an answer that had begun.
    UpstreamBroke,
    /// It was a long stream, and its pool or upstream had to be left.
    LeaveOrder,
    /// The process ended, or its grace was over.
    Shutdown,
    /// Its HTTP/2 connection was ended for a flood of control frames.
    Flood,
    /// There were too many requests on its HTTP/2 connection.
    RefusedStream,
}

impl Cut {
    pub fn label(self) -> &'static str {
        match self {
            Cut::SlowHead => "slow_head",
            Cut::SlowBody => "slow_body",
            Cut::LateAnswer => "late_answer",
            Cut::ClientLeft => "client_left",
            Cut::ClientStalled => "client_stalled",
            Cut::UpstreamBroke => "upstream_broke",
            Cut::LeaveOrder => "leave_order",
            Cut::Shutdown => "shutdown",
            Cut::Flood => "flood",
            Cut::RefusedStream => "refused_stream",
        }
    }
}

/// What one attempt came to: what a policy decides on, and so all that a replay needs.
#[derive(Clone, Debug)]
pub struct Attempted {
    pub pool: Option<Arc<str>>,
    /// Absent where none could take the request.
    pub upstream: Option<Arc<str>>,
    /// Of its answer, 0 without one; and that of gRPC, where it is one.
    pub status: u16,
    pub grpc: Option<u8>,
    pub outcome: Outcome,
    /// When it began, from the request's start, and how long it took from there until its outcome was
    /// known, and until its answer broke, µs.
    pub began_us: u64,
    pub took_us: u64,
    pub broke_us: Option<u64>,
    /// How long its answer took to its last byte, or until its client left, without the time that the client made it
    /// wait, µs.
    pub whole_us: Option<u64>,
    pub cut_us: Option<u64>,
}

/// The workers' end of the log; cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog {
    queue: SyncSender<Entry>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    dropped: AtomicU64,
    reopen: AtomicBool,
    closing: AtomicBool,
}

/// Ends the writer, after it has written what waits, when dropped.
#[derive(Debug)]
pub struct Guard {
    state: Arc<State>,
    writer: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Opens the log and starts its writer; `clock` is the one of the entries.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(settings: &settings::AccessLog, clock: Clock) -> io::Result<(AccessLog, Guard)> {
        let output = open(settings.path.as_deref())?;
        let (queue, entries) = sync_channel(QUEUE);
        let state = Arc::new(State::default());
        let writer = Writer {
            path: settings.path.clone(),
            output,
            format: settings.format,
            entries,
            state: state.clone(),
            calendar: Calendar::new(clock),
            line: Vec::new(),
            failing: false,
        };
        let thread = std::thread::Builder::new().name("access-log".into()).spawn(move || writer.run())?;
        Ok((AccessLog { queue, state: state.clone() }, Guard { state, writer: Some(thread) }))
    }

    /// Hands over an entry; never waits.
    pub fn log(&self, entry: Entry) {
        if self.queue.try_send(entry).is_err() {
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Entries lost so far.
    pub fn dropped(&self) -> u64 {
        self.state.dropped.load(Ordering::Relaxed)
    }

    /// Opens the file anew at the next line, after a rotation.
    pub fn reopen(&self) {
        self.state.reopen.store(true, Ordering::Relaxed);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.state.closing.store(true, Ordering::Relaxed);
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the access log's writer panicked");
        }
    }
}

struct Writer {
    path: Option<PathBuf>,
    output: BufWriter<Box<dyn Write + Send>>,
    format: LogFormat,
    entries: Receiver<Entry>,
    state: Arc<State>,
    calendar: Calendar,
    line: Vec<u8>,
    failing: bool,
}

impl Writer {
    fn run(mut self) {
        loop {
            let next = self.entries.recv_timeout(FLUSH);
            if self.state.reopen.swap(false, Ordering::Relaxed) {
                self.reopen();
            }
            match next {
                Ok(entry) => {
                    self.line.clear();
                    let now = self.calendar.now();
                    let when = format::When { started: self.calendar.at(entry.started_us), written: now };
                    format::line(&mut self.line, self.format, &entry, when);
                    let result = self.output.write_all(&self.line);
                    self.wrote(result, 1);
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.flush();
                    if self.state.closing.load(Ordering::Relaxed) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return self.flush(),
            }
        }
    }

    fn flush(&mut self) {
        let result = self.output.flush();
        self.wrote(result, 0);
    }

    /// After a failure the buffer is thrown away rather than written again: a full disk neither grows
    /// memory nor tears lines.
    fn wrote(&mut self, result: io::Result<()>, lines: u64) {
        let Err(error) = result else {
            if std::mem::take(&mut self.failing) {
                tracing::warn!("the access log is written again; some entries were lost");
            }
            return;
        };
        self.state.dropped.fetch_add(lines, Ordering::Relaxed);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!("the access log cannot be written: {error}");
        }
        if let Ok(fresh) = open(self.path.as_deref()) {
            let (_, _lost) = std::mem::replace(&mut self.output, fresh).into_parts();
        }
    }

    fn reopen(&mut self) {
        self.flush();
        match open(self.path.as_deref()) {
            Ok(fresh) => self.output = fresh,
            Err(error) => tracing::error!("the access log cannot be opened anew: {error}"),
        }
    }
}

fn open(path: Option<&Path>) -> io::Result<BufWriter<Box<dyn Write + Send>>> {
    let output: Box<dyn Write + Send> = match path {
        Some(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
        None => Box::new(io::stdout()),
    };
    Ok(BufWriter::with_capacity(64 * 1024, output))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_to(path: &Path) -> (AccessLog, Guard) {
        let settings = settings::AccessLog { path: Some(path.to_owned()), format: LogFormat::Json };
        AccessLog::open(&settings, Clock::start()).expect("opened")
    }

    #[test]
    fn every_entry_is_written_by_the_end_and_rotation_loses_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("access.log");
        let (log, guard) = log_to(&path);
        for n in 0..100 {
            log.log(Entry { uri: format!("/{n}").into_bytes(), status: 200, ..Entry::default() });
        }
        drop(guard);
        let text = std::fs::read_to_string(&path).expect("a log");
        assert_eq!(text.lines().count(), 100);
        assert_eq!(log.dropped(), 0);
    }

    #[test]
    fn a_full_disk_drops_and_counts() {
        let (log, guard) = log_to(Path::new("/dev/full"));
        for _ in 0..2000 {
            log.log(Entry { uri: vec![b'x'; 500], ..Entry::default() });
        }
        drop(guard);
        assert!(log.dropped() > 0);
    }
}
