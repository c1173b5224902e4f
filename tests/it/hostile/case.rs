//! One case: bytes from a client, and what may come of them.

use super::super::harness::get;
use super::recorder::{Forwarded, Log, Recorder};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Bytes from a client, and what may come of them.
pub struct Case {
    pub name: String,
    bytes: Vec<u8>,
    allowed: Allowed,
    /// The client closes its side when it has sent all.
    closes: bool,
}

enum Allowed {
    /// A 4xx (or 501, 505), the connection closed, and not a byte passed on.
    Refused,
    /// Refused for what comes after a legal head: some of it may be on its way, but never a whole request.
    Broken,
    /// So passed on, each answered, in this order.
    Forwarded(Vec<Expected>),
    /// Either.
    Either(Vec<Expected>),
}

/// A request as it must arrive.
#[derive(Clone, Default)]
pub struct Expected {
    line: String,
    body: Vec<u8>,
    with: Vec<String>,
    without: Vec<String>,
}

impl Case {
    fn new(name: &str, bytes: impl Into<Vec<u8>>, allowed: Allowed) -> Self {
        Case { name: name.to_owned(), bytes: bytes.into(), allowed, closes: false }
    }

    pub fn may_leave_halves(&self) -> bool {
        matches!(self.allowed, Allowed::Broken)
    }

    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }
}

pub fn refused(name: &str, bytes: impl Into<Vec<u8>>) -> Case {
    Case::new(name, bytes, Allowed::Refused)
}

pub fn broken(name: &str, bytes: impl Into<Vec<u8>>) -> Case {
    Case::new(name, bytes, Allowed::Broken)
}

pub fn forwarded(
    name: &str,
    bytes: impl Into<Vec<u8>>,
    expected: impl IntoIterator<Item = Expected>,
) -> Case {
    Case::new(name, bytes, Allowed::Forwarded(expected.into_iter().collect()))
}

pub fn either(name: &str, bytes: impl Into<Vec<u8>>, expected: Expected) -> Case {
    Case::new(name, bytes, Allowed::Either(vec![expected]))
}

/// A request with this line, without its version.
pub fn arrives(line: &str) -> Expected {
    Expected { line: format!("{line} HTTP/1.1"), ..Expected::default() }
}

impl Expected {
    pub fn body(mut self, body: &str) -> Self {
        self.body = body.as_bytes().to_vec();
        self
    }

    /// Whether a request that arrived is this one.
    ///
    /// # Errors
    /// How it is not.
    pub fn matches(&self, request: &Forwarded) -> Result<(), String> {
        if request.line != self.line || request.body != self.body {
            return Err(format!("arrived as {:?} with {}", request.line, request.body.escape_ascii()));
        }
        let has = |field: &&String| {
            let (name, value) = field.split_once(": ").unwrap_or_default();
            request.fields.iter().any(|known| {
                known.split_once(": ").is_some_and(|(n, v)| n.eq_ignore_ascii_case(name) && v == value)
            })
        };
        let missing = self.with.iter().find(|field| !has(field));
        let unwanted = self.without.iter().find(|name| request.value(name).is_some());
        match missing.or(unwanted) {
            Some(field) => Err(format!("{field:?} in {:?}", request.fields)),
            None => Ok(()),
        }
    }

    /// A field, `Name: value`.
    pub fn with(mut self, field: &str) -> Self {
        self.with.push(field.to_owned());
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.without.push(name.to_owned());
        self
    }
}

/// How the bytes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Whole,
    Bytes,
}

/// Runs one case.
///
/// # Errors
/// What was not as it should be.
pub fn run(case: &Case, way: Way, proxy: SocketAddr, recorder: &Recorder) -> Result<(), String> {
    let waits_for = match &case.allowed {
        Allowed::Forwarded(expected) => Some(expected.len()),
        _ => None,
    };
    let seen = send(case, way, proxy, waits_for.filter(|_| !case.closes));
    // A request of our own, behind which nothing of the case is still on its way.
    let fence = get(proxy, "/fence").status;
    if fence != 200 {
        return Err(format!("the next client was answered {fence}"));
    }
    let log = recorder.take();
    if let Some(fault) = log.faults.first() {
        return Err(format!("forwarded with {fault}"));
    }
    match &case.allowed {
        Allowed::Refused => is_refused(&seen, &log),
        Allowed::Broken if case.closes => none_whole(&log),
        Allowed::Broken => is_refused_late(&seen, &log),
        Allowed::Forwarded(expected) => is_forwarded(&seen, &log, expected),
        Allowed::Either(expected) => is_refused(&seen, &log).or_else(|fault| {
            is_forwarded(&seen, &log, expected).map_err(|other| format!("{fault}; {other}"))
        }),
    }
}

/// What the client got.
struct Seen {
    statuses: Vec<u16>,
    closed: bool,
    bytes: Vec<u8>,
}

fn is_refused(seen: &Seen, log: &Log) -> Result<(), String> {
    is_refused_late(seen, log)?;
    match log.bytes {
        0 => Ok(()),
        bytes => Err(format!("{bytes} bytes went on")),
    }
}

fn is_refused_late(seen: &Seen, log: &Log) -> Result<(), String> {
    none_whole(log)?;
    match seen.statuses[..] {
        [400..=499 | 501 | 505] if seen.closed => Ok(()),
        _ => Err(format!("answered {:?}, closed: {}", seen.statuses, seen.closed)),
    }
}

fn none_whole(log: &Log) -> Result<(), String> {
    match log.whole.first() {
        None => Ok(()),
        Some(request) => Err(format!("forwarded {:?} {:?}", request.line, request.fields)),
    }
}

fn is_forwarded(seen: &Seen, log: &Log, expected: &[Expected]) -> Result<(), String> {
    if log.whole.len() != expected.len() {
        let lines: Vec<_> = log.whole.iter().map(|request| &request.line).collect();
        return Err(format!("forwarded {lines:?}; answered {}", seen.bytes.escape_ascii()));
    }
    for (request, expected) in log.whole.iter().zip(expected) {
        expected.matches(request)?;
    }
    let own: usize = log.whole.len();
    let answered = seen.statuses.iter().filter(|status| **status == 200).count();
    if answered != own || seen.statuses.len() > own + 1 {
        return Err(format!("answered {:?}", seen.statuses));
    }
    Ok(())
}

/// Sends the bytes, and reads until so many answers have come, or until the other side closes.
fn send(case: &Case, way: Way, proxy: SocketAddr, answers: Option<usize>) -> Seen {
    let mut stream = TcpStream::connect(proxy).expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
    let mut writer = stream.try_clone().expect("a socket");
    // The other side may have had enough before all is sent.
    match way {
        Way::Whole => drop(writer.write_all(&case.bytes)),
        Way::Bytes => {
            // Long cases are long for their size alone: the pieces grow with them.
            let piece = case.bytes.len().div_ceil(400);
            let _ = case.bytes.chunks(piece).try_for_each(|piece| writer.write_all(piece));
        }
    }
    if case.closes {
        let _ = writer.shutdown(Shutdown::Write);
    }
    let mut seen = Seen { statuses: Vec::new(), closed: false, bytes: Vec::new() };
    let mut piece = [0; 65536];
    // Only who is refused has to see the connection close.
    let answered = |seen: &Seen| match answers {
        Some(count) => seen.statuses.len() >= count,
        None => !case.closes && seen.statuses.first() == Some(&200),
    };
    while !answered(&seen) {
        match stream.read(&mut piece) {
            Ok(0) => seen.closed = true,
            Ok(count) => {
                seen.bytes.extend_from_slice(&piece[..count]);
                seen.statuses = statuses(&seen.bytes);
                continue;
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => seen.closed = true,
            Err(_) => {}
        }
        break;
    }
    seen
}

/// The final statuses among the answers.
fn statuses(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.match_indices("HTTP/1.").filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok());
    lines.filter(|status| *status >= 200).collect()
}
