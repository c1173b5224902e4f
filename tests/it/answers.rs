//! What answers say and which ones are shown: fields of successes, expiry, error pages, internal places. Beside nginx
//! where it does the same.

mod accel;
mod error_pages;
mod expiry;
mod files;

use super::harness::{Answer, Nginx, Origin, Pointsman, send, whole};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

/// A site of these routes, with `web` before an origin.
fn site(origin: &Origin, routes: &str) -> String {
    format!("{routes}\n[services.web]\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n", origin.address)
}

fn ask(address: SocketAddr, line: &str, headers: &str) -> Answer {
    send(address, &format!("{line} HTTP/1.1\r\nHost: shop.example\r\n{headers}\r\n"))
}

/// nginx with this in its `server`; `@DIR@` is its folder, which holds the files.
fn nginx(server: &str, files: &[(&str, &str)]) -> Nginx {
    let dir = TempDir::new().expect("a directory");
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("an address");
    drop(held);
    write(dir.path(), files);
    let server = server.replace("@DIR@", &dir.path().display().to_string());
    let conf = format!(
        "worker_processes 1; events {{ worker_connections 512; }}\n\
         http {{ access_log off; types {{ text/html html; text/plain txt; }} server {{ listen {address}; {server} }} }}\n"
    );
    std::fs::write(dir.path().join("nginx.conf"), conf).expect("a file");
    Nginx::serve(dir, vec![address])
}

/// Pointsman with these files beside its configuration.
fn start(config: &str, files: &[(&str, &str)]) -> Pointsman {
    let dir = TempDir::new().expect("a directory");
    write(dir.path(), files);
    std::fs::write(dir.path().join("pointsman.toml"), whole(config)).expect("a file");
    Pointsman::start_in(dir)
}

/// Files that everybody can read.
fn write(dir: &Path, files: &[(&str, &str)]) {
    std::fs::set_permissions(dir, PermissionsExt::from_mode(0o755)).expect("permissions");
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, text).expect("a file");
    }
}
