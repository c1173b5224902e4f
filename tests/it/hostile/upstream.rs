//! An upstream that does what its script says, byte by byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One step of a script.
#[derive(Clone, Debug)]
pub enum Step {
    Send(Vec<u8>),
    /// Byte by byte, so far apart, until all is sent or the other side closes.
    Drip(Vec<u8>, Duration),
    /// The same piece again and again, until the other side closes.
    Endless(Vec<u8>),
    Close,
    /// RST.
    Reset,
    /// Until the other side closes.
    Hang,
}

type Script = Arc<Mutex<Vec<Step>>>;

/// Plays its script for every request but `/probe`, which it answers properly.
pub struct Scripted {
    pub address: SocketAddr,
    script: Script,
    connections: Arc<AtomicUsize>,
    playing: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Scripted {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let upstream = Scripted {
            address: listener.local_addr().expect("an address"),
            script: Script::default(),
            connections: Arc::default(),
            playing: Arc::default(),
            stopped: Arc::default(),
        };
        let (script, connections, stopped) =
            (upstream.script.clone(), upstream.connections.clone(), upstream.stopped.clone());
        let playing = upstream.playing.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                connections.fetch_add(1, Ordering::SeqCst);
                let (script, playing) = (script.clone(), playing.clone());
                std::thread::spawn(move || serve(stream, &script, &playing));
            }
        });
        upstream
    }

    pub fn play(&self, steps: &[Step]) {
        *self.script.lock().expect("no panic") = steps.to_vec();
    }

    /// Whether a script is still being played.
    pub fn is_playing(&self) -> bool {
        self.playing.load(Ordering::SeqCst) > 0
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, script: &Script, playing: &AtomicUsize) {
    let _ = stream.set_nodelay(true);
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    while let Some(line) = head(&mut reader) {
        if line.contains(" /probe ") {
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nprobe").is_err() {
                return;
            }
            continue;
        }
        let steps = script.lock().expect("no panic").clone();
        playing.fetch_add(1, Ordering::SeqCst);
        let goes_on = steps.into_iter().all(|step| play(step, &mut stream));
        playing.fetch_sub(1, Ordering::SeqCst);
        if !goes_on {
            return;
        }
    }
}

/// Whether the connection goes on.
fn play(step: Step, stream: &mut TcpStream) -> bool {
    match step {
        Step::Send(bytes) => stream.write_all(&bytes).is_ok(),
        Step::Drip(bytes, pause) => bytes.chunks(1).all(|byte| {
            std::thread::sleep(pause);
            stream.write_all(byte).is_ok()
        }),
        Step::Endless(piece) => {
            while stream.write_all(&piece).is_ok() {}
            false
        }
        Step::Close => false,
        Step::Reset => {
            let socket = socket2::SockRef::from(&*stream);
            let _ = socket.set_linger(Some(Duration::ZERO));
            // The reader's handle is the same socket; shutting nothing down, the last close resets.
            false
        }
        Step::Hang => {
            while let Ok(1..) = stream.read(&mut [0; 1024]) {}
            false
        }
    }
}

/// The request line; the fields and a small body are read and dropped.
fn head(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut request = String::new();
    reader.read_line(&mut request).ok().filter(|count| *count > 0)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            break;
        }
    }
    // A large body stays unread: the answer comes before its end.
    if length > 0 && length < 1000 {
        reader.read_exact(&mut vec![0; length]).ok()?;
    }
    Some(request)
}
