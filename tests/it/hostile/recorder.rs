//! An origin that keeps every byte it is sent, and takes only requests that have one reading.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// One whole request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Forwarded {
    pub line: String,
    /// As sent, without their line ends.
    pub fields: Vec<String>,
    pub body: Vec<u8>,
}

impl Forwarded {
    pub fn value(&self, name: &str) -> Option<&str> {
        self.fields.iter().find_map(|field| {
            let (known, value) = field.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// What came since the last look.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub whole: Vec<Forwarded>,
    /// Bytes that were no canonical request, and why.
    pub faults: Vec<String>,
    /// All bytes, those of whole requests included.
    pub bytes: usize,
}

/// What is answered to a request; `None`: the connection closes.
pub type React = dyn Fn(&Forwarded) -> Option<Vec<u8>> + Send + Sync;

pub struct Recorder {
    pub address: SocketAddr,
    log: Arc<Mutex<Log>>,
    stopped: Arc<AtomicBool>,
}

impl Recorder {
    /// Answers `ok`.
    pub fn start() -> Self {
        Recorder::reacting(|request| {
            let body = if request.line.starts_with("HEAD ") { "" } else { "ok" };
            Some(format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{body}").into_bytes())
        })
    }

    pub fn reacting(react: impl Fn(&Forwarded) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let react: Arc<React> = Arc::new(react);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (log, stopped) = (Arc::new(Mutex::new(Log::default())), Arc::new(AtomicBool::new(false)));
        let (shared, ending) = (log.clone(), stopped.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ending.load(Ordering::SeqCst) {
                    break;
                }
                let (log, react) = (shared.clone(), react.clone());
                std::thread::spawn(move || serve(stream, &log, &*react));
            }
        });
        Recorder { address, log, stopped }
    }

    /// What came since the last call; requests for `/fence` are left out.
    pub fn take(&self) -> Log {
        let mut log = std::mem::take(&mut *self.log.lock().expect("no panic"));
        log.whole.retain(|request| !request.line.starts_with("GET /fence"));
        log
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Log>, react: &React) {
    let _ = stream.set_nodelay(true);
    let (mut bytes, mut piece) = (Vec::new(), [0; 65536]);
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        bytes.extend_from_slice(&piece[..count]);
        // At once: what is left of one case must not be told of the next.
        log.lock().expect("no panic").bytes += count;
        loop {
            let (request, length) = match request(&bytes) {
                Ok(Some(whole)) => whole,
                Ok(None) => break,
                Err(fault) => {
                    let mut log = log.lock().expect("no panic");
                    log.faults.push(format!("{fault}: {}", bytes.escape_ascii()));
                    return;
                }
            };
            bytes.drain(..length);
            let fence = request.line.starts_with("GET /fence");
            let answer = react(&request);
            let mut log = log.lock().expect("no panic");
            log.bytes -= if fence { length } else { 0 };
            log.whole.push(request);
            drop(log);
            if answer.is_none_or(|answer| stream.write_all(&answer).is_err()) {
                return;
            }
        }
    }
}

/// The request at the front and its length; `None` where more is to come.
///
/// # Errors
/// What is wrong with it: a proxy's own requests leave nothing to interpret.
fn request(bytes: &[u8]) -> Result<Option<(Forwarded, usize)>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = &bytes[..end];
    let lone = |at: usize| {
        (head[at] == b'\n' && (at == 0 || head[at - 1] != b'\r'))
            || (head[at] == b'\r' && head.get(at + 1) != Some(&b'\n'))
    };
    if (0..head.len()).any(lone) {
        return Err("a lone CR or LF".into());
    }
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.split("\r\n").map(str::to_owned);
    let line = lines.next().unwrap_or_default();
    if line.split(' ').count() != 3 || !line.ends_with(" HTTP/1.1") {
        return Err(format!("the request line {line:?}"));
    }
    let request = Forwarded { line, fields: lines.collect(), body: Vec::new() };
    for field in &request.fields {
        let Some((name, value)) = field.split_once(':') else { return Err(format!("no field: {field:?}")) };
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let control = |c: char| (c < ' ' && c != '\t') || c == '\u{7f}';
        if name.is_empty() || !name.chars().all(token) || value.contains(control) {
            return Err(format!("the field {field:?}"));
        }
    }
    let count = |name: &str| {
        let named = |field: &&String| field.split(':').next().is_some_and(|n| n.eq_ignore_ascii_case(name));
        request.fields.iter().filter(named).count()
    };
    let (lengths, encodings) = (count("content-length"), count("transfer-encoding"));
    if lengths + encodings > 1 || count("host") > 1 {
        return Err("two lengths or two hosts".into());
    }
    body(request, &bytes[end + 4..]).map(|found| found.map(|(request, used)| (request, end + 4 + used)))
}

fn body(mut request: Forwarded, bytes: &[u8]) -> Result<Option<(Forwarded, usize)>, String> {
    if let Some(length) = request.value("content-length") {
        let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        let length: usize = length.parse().ok().filter(|_| digits).ok_or("the length")?;
        if bytes.len() < length {
            return Ok(None);
        }
        request.body = bytes[..length].to_vec();
        return Ok(Some((request, length)));
    }
    let Some(encoding) = request.value("transfer-encoding") else { return Ok(Some((request, 0))) };
    if encoding != "chunked" {
        return Err(format!("the encoding {encoding:?}"));
    }
    let mut at = 0;
    loop {
        let Some(line) = bytes[at..].windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(&bytes[at..at + line]).map_err(|e| e.to_string())?;
        let size = usize::from_str_radix(size, 16).map_err(|e| format!("{e}: chunk size {size:?}"))?;
        at += line + 2;
        if bytes.len() < at + size + 2 {
            return Ok(None);
        }
        request.body.extend_from_slice(&bytes[at..at + size]);
        if &bytes[at + size..at + size + 2] != b"\r\n" {
            return Err("a chunk without its end".into());
        }
        at += size + 2;
        if size == 0 {
            return Ok(Some((request, at)));
        }
    }
}
