//! Floods of HTTP/2: what a client may make the proxy do and remember, while others are served.

use super::super::harness::{Origin, Pointsman, Reaction};
use super::h2::*;
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Most growth of the process, in bytes.
const MOST_GROWTH: u64 = 64 << 20;
/// Most lines of its log for one.
const MOST_LINES: usize = 50;

type Flood = fn(&mut H2) -> std::io::Result<()>;

/// Streams a client may open, one after the other.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|n| 2 * n + 1)
}

/// Writes frames in batches until the other side has had enough.
fn batches(h2: &mut H2, frames: impl Iterator<Item = Vec<u8>>) -> std::io::Result<()> {
    let mut batch = Vec::new();
    for frame in frames {
        batch.extend(frame);
        if batch.len() > 16_000 {
            h2.raw(&batch)?;
            batch.clear();
        }
    }
    h2.raw(&batch)
}

const FLOODS: &[(&str, Flood)] = &[
    ("rapid resets", |h2| {
        let request = get("/x");
        batches(
            h2,
            streams(30_000).map(|stream| {
                let mut frames = frame(HEADERS, END_HEADERS | END_STREAM, stream, &request);
                frames.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
                frames
            }),
        )
    }),
    ("rapid resets of what CONTINUATION ends", |h2| {
        let request = get("/x");
        batches(
            h2,
            streams(30_000).map(|stream| {
                let mut frames = frame(HEADERS, END_STREAM, stream, &request[..10]);
                frames.extend(frame(CONTINUATION, END_HEADERS, stream, &request[10..]));
                frames.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
                frames
            }),
        )
    }),
    ("CONTINUATION without end", |h2| {
        h2.frame(HEADERS, END_STREAM, 1, &get("/x"))?;
        let more = block(&[(b"x", &[b'y'; 1000])]);
        batches(h2, (0..30_000).map(|_| frame(CONTINUATION, 0, 1, &more)))
    }),
    ("empty CONTINUATION without end", |h2| {
        h2.frame(HEADERS, END_STREAM, 1, &get("/x"))?;
        batches(h2, (0..100_000).map(|_| frame(CONTINUATION, 0, 1, &[])))
    }),
    ("SETTINGS", |h2| batches(h2, (0..100_000).map(|_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255])))),
    ("PING", |h2| batches(h2, (0..100_000).map(|n: u64| frame(PING, 0, 0, &n.to_be_bytes())))),
    ("empty DATA", |h2| {
        h2.frame(HEADERS, END_HEADERS, 1, &request("POST", "/x", &[]))?;
        batches(h2, (0..100_000).map(|_| frame(DATA, 0, 1, &[])))
    }),
    ("DATA of one byte", |h2| {
        h2.frame(HEADERS, END_HEADERS, 1, &request("POST", "/hang", &[]))?;
        batches(h2, (0..100_000).map(|_| frame(DATA, 0, 1, b"x")))
    }),
    ("padding alone", |h2| {
        h2.frame(HEADERS, END_HEADERS, 1, &request("POST", "/x", &[]))?;
        let padding = [vec![255], vec![0; 255]].concat();
        batches(h2, (0..30_000).map(|_| frame(DATA, PADDED, 1, &padding)))
    }),
    ("resets by overflown windows", |h2| {
        let request = get("/hang");
        batches(
            h2,
            streams(30_000).map(|stream| {
                let mut frames = frame(HEADERS, END_HEADERS | END_STREAM, stream, &request);
                frames.extend(frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes()));
                frames
            }),
        )
    }),
    ("resets by malformed requests", |h2| {
        let request = request("GET", "/x", &[("X", "y")]);
        batches(h2, streams(30_000).map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &request)))
    }),
    ("resets by bodies too long", |h2| {
        let request = request("POST", "/hang", &[("content-length", "1")]);
        batches(
            h2,
            streams(30_000).map(|stream| {
                let mut frames = frame(HEADERS, END_HEADERS, stream, &request);
                frames.extend(frame(DATA, 0, stream, b"more"));
                frames
            }),
        )
    }),
    ("tiny WINDOW_UPDATE", |h2| {
        batches(h2, (0..100_000).map(|_| frame(WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes())))
    }),
    ("tiny WINDOW_UPDATE of a stream", |h2| {
        h2.get(1, "/hang")?;
        batches(h2, (0..100_000).map(|_| frame(WINDOW_UPDATE, 0, 1, &1u32.to_be_bytes())))
    }),
    ("tables of changing sizes", |h2| {
        batches(h2, (0..100_000).map(|n| frame(SETTINGS, 0, 0, &[0, 1, 0, 0, (n % 16) as u8, 0])))
    }),
    ("answers to PING", |h2| batches(h2, (0..100_000).map(|_| frame(PING, ACK, 0, &[0; 8])))),
    ("trailers with pseudo fields", |h2| {
        let request = request("POST", "/hang", &[]);
        batches(
            h2,
            streams(30_000).map(|stream| {
                let mut frames = frame(HEADERS, END_HEADERS, stream, &request);
                frames.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[(b":x", b"y")])));
                frames
            }),
        )
    }),
    ("PRIORITY", |h2| {
        batches(h2, streams(100_000).map(|stream| frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 16])))
    }),
    ("unknown frames", |h2| batches(h2, (0..30_000).map(|_| frame(0x42, 0xff, 0, &[0; 500])))),
    ("large answers that are not taken", |h2| {
        // No window for answers.
        h2.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])?;
        let request = get("/large");
        batches(h2, streams(100).map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &request)))?;
        // All of them are on their way when the next one is refused or answered.
        let _ = h2.status(1);
        Ok(())
    }),
    ("large answers of which nothing is read", |h2| {
        // All the window there is, and a socket that fills up.
        h2.frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])?;
        h2.frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes())?;
        let request = get("/large");
        batches(h2, streams(100).map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &request)))
    }),
    ("large answers of which little is taken", |h2| {
        h2.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])?;
        let request = get("/large");
        batches(h2, streams(100).map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &request)))?;
        let _ = h2.status(1);
        let bits = (0..50).flat_map(|_| streams(100));
        batches(h2, bits.map(|stream| frame(WINDOW_UPDATE, 0, stream, &1u32.to_be_bytes())))
    }),
    ("requests beyond the allowed streams", |h2| {
        let request = get("/hang");
        batches(h2, streams(30_000).map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &request)))
    }),
    ("a table that is referred to again and again", |h2| {
        let mut fields = get("/x");
        // One entry for the table, then a byte for each time it is meant.
        fields.extend_from_slice(&[0x40, 1, b'x', 127, 0xa1, 0x1e]);
        fields.extend(vec![b'y'; 4000]);
        fields.extend(vec![0xbe; 10_000]);
        batches(h2, streams(500).map(|stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields)))
    }),
];

/// Runs all floods; what did not go as it should.
pub fn failures() -> (usize, Vec<String>) {
    let origin = Origin::new(|request| match request.path() {
        "/hang" => Reaction::Hang,
        "/large" => Reaction::Answer(200, "y".repeat(1 << 20)),
        _ => Reaction::ok("ok"),
    });
    let dir = tempfile::tempdir().expect("a directory");
    let (tls, root) = certificate(dir.path());
    let config = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n{tls}\nlimits = {{ requests_per_connection = 1000000 }}\n\
         [services.web]\n[services.web.pools.blue]\npassive = {{ max_fails = 0 }}\nupstreams = [\"{}\"]\n",
        origin.address
    );
    let mut failed = Vec::new();
    for (name, flood) in FLOODS {
        // What one leaves behind would hide what the next one takes.
        let pointsman = Pointsman::start(&config);
        let before = resident(pointsman.pid());
        let (served, most) = under(*flood, &pointsman, &root);
        let growth = most.saturating_sub(before);
        let lines = pointsman.log().lines().count();
        println!("{name}: {} KiB more, {served} others served", growth >> 10);
        if growth > MOST_GROWTH {
            failed.push(format!("{name}: {} MiB more", growth >> 20));
        }
        if lines > MOST_LINES {
            failed.push(format!("{name}: {lines} lines of the log"));
        }
        if served < 3 {
            failed.push(format!("{name}: others were served {served} times"));
        }
    }
    (FLOODS.len(), failed)
}

/// How many times another client was served during a flood from two connections, and the most memory seen.
fn under(flood: Flood, pointsman: &Pointsman, root: &CertificateDer<'static>) -> (u64, u64) {
    let (over, served, most) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let address: SocketAddr = pointsman.http();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut good = H2::open(address, root).ok()?;
            for stream in streams(1_000_000) {
                good.get(stream, "/x").ok()?;
                if good.status(stream) != 200 {
                    return None;
                }
                let count = served.fetch_add(1, Ordering::SeqCst);
                most.fetch_max(resident(pointsman.pid()), Ordering::SeqCst);
                if over.load(Ordering::SeqCst) && count >= 5 {
                    break;
                }
            }
            Some(())
        });
        let floods: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut h2 = H2::open(address, root).expect("a connection");
                    // It ends when the other side has had enough.
                    let _ = flood(&mut h2);
                    most.fetch_max(resident(pointsman.pid()), Ordering::SeqCst);
                    h2
                })
            })
            .collect();
        let held: Vec<_> = floods.into_iter().map(|flood| flood.join().expect("no panic")).collect();
        over.store(true, Ordering::SeqCst);
        let fine = other.join().expect("no panic");
        drop(held);
        (fine.map_or(0, |()| served.load(Ordering::SeqCst)), most.load(Ordering::SeqCst))
    })
}

/// Bytes of memory a process has.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}
