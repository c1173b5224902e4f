//! nginx from Debian, as an origin, or as what Pointsman takes the place of.

use super::eventually;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Bytes of `/large`.
pub const LARGE: usize = 256 * 1024;

/// A running nginx; stopped when dropped.
pub struct Nginx {
    pub addresses: Vec<SocketAddr>,
    child: Child,
    _dir: TempDir,
}

impl Nginx {
    /// One server for each body; every path answers it, but `/large`.
    pub fn start(bodies: &[&str]) -> Self {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().display().to_string();
        // Held until all are chosen, so that no two are the same.
        let held: Vec<_> = bodies.iter().map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let addresses: Vec<_> = held.iter().map(|port| port.local_addr().expect("an address")).collect();
        drop(held);
        let server = |(address, body): (&SocketAddr, &&str)| {
            format!(
                "server {{ listen {address}; keepalive_requests 1000000; location / {{ return 200 \"{body}\"; }} location = /large {{ root {path}; }} }}\n"
            )
        };
        let servers: String = addresses.iter().zip(bodies).map(server).collect();
        let conf = format!(
            "worker_processes 1; events {{ worker_connections 4096; }}\n\
             http {{ access_log off; {servers} }}\n"
        );
        std::fs::write(dir.path().join("nginx.conf"), conf).expect("a file");
        std::fs::write(dir.path().join("large"), vec![b'x'; LARGE]).expect("a file");
        // The workers run as another user, who must be able to read.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).expect("permissions");
        Nginx::serve(dir, addresses)
    }

    /// Serves the `nginx.conf` of a directory, which listens on these addresses.
    pub fn serve(dir: TempDir, addresses: Vec<SocketAddr>) -> Self {
        let path = dir.path().display().to_string();
        let file = dir.path().join("nginx.conf");
        let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {path}/{kind};"))
            .concat();
        let conf = std::fs::read_to_string(&file).expect("a file");
        std::fs::write(&file, conf.replacen("http {", &format!("http {{ {temp}"), 1)).expect("a file");
        let main = format!("daemon off; pid {path}/pid; error_log {path}/error.log;");
        let child = Command::new("nginx")
            .args(["-e", &format!("{path}/error.log"), "-p", &path, "-c", &file.display().to_string()])
            .args(["-g", &main])
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is installed: make setup-test");
        let nginx = Nginx { addresses, child, _dir: dir };
        for address in &nginx.addresses {
            eventually("nginx listens", || TcpStream::connect(address).is_ok());
        }
        nginx
    }
}

impl Nginx {
    /// `kill -9`, the master first: it would start other workers.
    pub fn kill(mut self) {
        let workers = format!("/proc/{0}/task/{0}/children", self.child.id());
        let workers = std::fs::read_to_string(workers).unwrap_or_default();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = Command::new("kill").arg("-9").args(workers.split_whitespace()).status();
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        // SIGTERM: the master takes its workers along.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
