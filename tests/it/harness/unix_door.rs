//! A socket in the file system that leads to an origin.

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;

/// The socket; its file is gone once it is dropped.
pub struct UnixDoor {
    dir: TempDir,
    connections: Arc<AtomicU64>,
}

impl UnixDoor {
    /// Each connection to it is one to the origin.
    pub fn to(origin: SocketAddr) -> Self {
        let dir = TempDir::new().expect("a directory");
        let listener = UnixListener::bind(dir.path().join("app.sock")).expect("a socket");
        let connections = Arc::new(AtomicU64::new(0));
        let count = connections.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, Ordering::SeqCst);
                let far = TcpStream::connect(origin).expect("the origin");
                let _ = far.set_nodelay(true);
                join(near, far);
            }
        });
        UnixDoor { dir, connections }
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("app.sock")
    }

    /// As an upstream of a pool.
    pub fn label(&self) -> String {
        label(&self.path())
    }

    /// Connections so far, those of checks included.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

fn label(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// Passes bytes both ways, each to its end.
fn join(near: UnixStream, far: TcpStream) {
    let (mut from_near, mut to_far) = (near.try_clone().expect("a socket"), far.try_clone().expect("one"));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_near, &mut to_far);
        let _ = to_far.shutdown(Shutdown::Write);
    });
    let (mut from_far, mut to_near) = (far, near);
    std::thread::spawn(move || {
        let mut bytes = [0; 16 << 10];
        while let Ok(count @ 1..) = from_far.read(&mut bytes) {
            if std::io::Write::write_all(&mut to_near, &bytes[..count]).is_err() {
                break;
            }
        }
        let _ = to_near.shutdown(Shutdown::Both);
        let _ = from_far.shutdown(Shutdown::Both);
    });
}
