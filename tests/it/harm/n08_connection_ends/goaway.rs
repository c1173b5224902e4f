//! An origin of HTTP/2 that writes its own frames: it serves some requests of each connection and names
//! the last of them in a GOAWAY, when more have come already.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;

pub struct GoAway {
    pub address: SocketAddr,
    ended: Arc<AtomicU64>,
}

impl GoAway {
    /// Each connection serves so many requests, in turn; the next one on it is not processed.
    pub fn start(serves: &'static [u32]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let ended = Arc::new(AtomicU64::new(0));
        let count = ended.clone();
        std::thread::spawn(move || {
            for (stream, serves) in listener.incoming().map_while(Result::ok).zip(serves.iter().cycle()) {
                let count = count.clone();
                std::thread::spawn(move || {
                    if serve(stream, *serves).is_ok_and(|ended| ended) {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        GoAway { address, ended }
    }

    /// Connections that were ended by GOAWAY.
    pub fn ended(&self) -> u64 {
        self.ended.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, serves: u32) -> std::io::Result<bool> {
    stream.set_nodelay(true)?;
    let mut preface = [0; 24];
    stream.read_exact(&mut preface)?;
    write(&mut stream, SETTINGS, 0, 0, &[])?;
    let (mut last, mut begun) = (0_u32, 0);
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).is_err() {
            return Ok(false);
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload)?;
        match kind {
            SETTINGS if flags & 1 == 0 => write(&mut stream, SETTINGS, 1, 0, &[])?,
            PING if flags & 1 == 0 => write(&mut stream, PING, 1, 0, &payload)?,
            HEADERS => begun += 1,
            _ => {}
        }
        if matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0 {
            if begun > serves {
                let mut frame = last.to_be_bytes().to_vec();
                // NO_ERROR.
                frame.extend([0; 4]);
                write(&mut stream, GOAWAY, 0, 0, &frame)?;
                return Ok(true);
            }
            last = id;
            // `:status: 200`, of the static table.
            write(&mut stream, HEADERS, 4 | END_STREAM, id, &[0x88])?;
        }
    }
}

fn write(stream: &mut TcpStream, kind: u8, flags: u8, id: u32, payload: &[u8]) -> std::io::Result<()> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(id.to_be_bytes());
    frame.extend(payload);
    stream.write_all(&frame)
}
