//! nginx as a proxy before an origin: what its own words for a request are.

use crate::harness::Nginx;
use std::net::{SocketAddr, TcpListener};

pub struct NginxFront(Nginx);

impl NginxFront {
    pub fn before(origin: SocketAddr) -> Self {
        let dir = tempfile::TempDir::new().expect("a directory");
        let address = TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
        let conf = format!(
            "worker_processes 1; events {{ worker_connections 64; }}\n\
             http {{ access_log off; server {{ listen {address}; location / {{ proxy_pass http://{origin}; \
             proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host; }} }} }}\n"
        );
        std::fs::write(dir.path().join("nginx.conf"), conf).expect("a file");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).expect("permissions");
        NginxFront(Nginx::serve(dir, vec![address]))
    }

    pub fn address(&self) -> SocketAddr {
        self.0.addresses[0]
    }
}
