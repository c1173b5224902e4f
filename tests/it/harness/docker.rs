//! Docker's API on a socket, as far as it is asked: containers are what the test says.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// A daemon that forgets nothing; its socket is gone while it is down.
pub struct Docker {
    dir: TempDir,
    daemon: Arc<Daemon>,
}

#[derive(Default)]
struct Daemon {
    containers: Mutex<BTreeMap<String, Value>>,
    stop_signals: Mutex<BTreeMap<String, String>>,
    streams: Mutex<Vec<UnixStream>>,
    listings: AtomicU64,
    is_down: AtomicBool,
    lists_nothing: AtomicBool,
}

impl Docker {
    pub fn start() -> Self {
        let docker =
            Docker { dir: TempDir::new().expect("a directory"), daemon: Arc::new(Daemon::default()) };
        docker.listen();
        docker
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("docker.sock")
    }

    fn listen(&self) {
        let listener = UnixListener::bind(self.socket()).expect("a socket");
        let daemon = self.daemon.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if daemon.is_down.load(Ordering::SeqCst) {
                    return;
                }
                let daemon = daemon.clone();
                std::thread::spawn(move || daemon.answer(stream));
            }
        });
    }

    /// The daemon ends; its containers live on.
    pub fn goes_down(&self) {
        self.daemon.is_down.store(true, Ordering::SeqCst);
        // The listener's thread sees that it is over.
        let _ = UnixStream::connect(self.socket());
        std::fs::remove_file(self.socket()).expect("a socket");
        for stream in self.daemon.streams.lock().expect("no panic").drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }

    pub fn comes_back(&self) {
        self.daemon.is_down.store(false, Ordering::SeqCst);
        self.listen();
    }

    /// Whether it says which containers there are; else it answers 500 to that alone.
    pub fn lists(&self, does: bool) {
        self.daemon.lists_nothing.store(!does, Ordering::SeqCst);
    }

    /// How often the containers were listed.
    pub fn listings(&self) -> u64 {
        self.daemon.listings.load(Ordering::SeqCst)
    }

    /// A container of a pool of `web` starts, or starts again elsewhere.
    pub fn runs(&self, id: &str, name: &str, pool: &str, at: SocketAddr) {
        let labels = json!({"pointsman.service": "web", "pointsman.pool": pool,
            "pointsman.port": at.port().to_string()});
        self.runs_with(id, name, labels, at);
    }

    pub fn runs_with(&self, id: &str, name: &str, labels: Value, at: SocketAddr) {
        let container = json!({
            "Id": id, "Names": [format!("/{name}")], "State": "running", "Labels": labels,
            "Ports": [], "HostConfig": {"NetworkMode": "app_default"},
            "NetworkSettings": {"Networks": {"app_default": {"IPAddress": at.ip().to_string()}}},
        });
        self.daemon.containers.lock().expect("no panic").insert(id.to_owned(), container);
        self.event(id, "start", "");
    }

    /// The signal that it is stopped by.
    pub fn is_stopped_by(&self, id: &str, signal: &str) {
        self.daemon.stop_signals.lock().expect("no panic").insert(id.to_owned(), signal.to_owned());
    }

    pub fn kill(&self, id: &str, signal: &str) {
        self.event(id, "kill", signal);
    }

    /// It ends by itself, or after a signal.
    pub fn dies(&self, id: &str) {
        if let Some(container) = self.daemon.containers.lock().expect("no panic").get_mut(id) {
            container["State"] = "exited".into();
            container["NetworkSettings"]["Networks"]["app_default"]["IPAddress"] = "".into();
        }
        self.event(id, "die", "");
    }

    pub fn is_removed(&self, id: &str) {
        self.daemon.containers.lock().expect("no panic").remove(id);
        self.event(id, "destroy", "");
    }

    fn event(&self, id: &str, action: &str, signal: &str) {
        let event = json!({"status": action, "id": id, "Type": "container", "Action": action,
            "Actor": {"ID": id, "Attributes": {"signal": signal}}, "scope": "local"});
        let line = format!("{event}\n");
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        for stream in self.daemon.streams.lock().expect("no panic").iter_mut() {
            let _ = stream.write_all(chunk.as_bytes());
        }
    }
}

impl Daemon {
    fn answer(&self, mut stream: UnixStream) {
        let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let _head = lines.take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty())).count();
        let path = first.split(' ').nth(1).unwrap_or_default();
        if path.starts_with("/events") {
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head.as_bytes());
            return self.streams.lock().expect("no panic").push(stream);
        }
        if path.starts_with("/containers/json") && self.lists_nothing.load(Ordering::SeqCst) {
            let _ = stream.write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
            return;
        }
        let body = if path.starts_with("/containers/json") {
            self.listings.fetch_add(1, Ordering::SeqCst);
            let all: Vec<Value> = self.containers.lock().expect("no panic").values().cloned().collect();
            Value::from(all)
        } else {
            let id = path.split('/').nth(2).unwrap_or_default();
            let signal = self.stop_signals.lock().expect("no panic").get(id).cloned();
            json!({"Id": id, "Config": {"StopSignal": signal.unwrap_or_default()}})
        };
        let body = body.to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = stream.write_all((head + &body).as_bytes());
    }
}
