//! nginx and Pointsman with the configuration that the import makes of nginx's, side by side before the same
//! application. What neither may show to a client that nginx refuses has the word `secret` in it.

use crate::harness::{Answer, Nginx, Origin, Pointsman, Printed, Reaction, Received, send};
use std::fs::{create_dir_all, write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use tempfile::TempDir;

pub struct Pair {
    pub nginx: SocketAddr,
    pub pointsman: SocketAddr,
    pub toml: String,
    pub app: Origin,
    _nginx: Nginx,
    _pointsman: Pointsman,
}

impl Pair {
    /// `@LISTEN@`, `@APP@` and `@DIR@` stand for an address to listen on, the application and a folder with
    /// files in `www`.
    pub fn start(http: &str) -> Self {
        let app = Origin::new(secret);
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
        let (one, two) = (listen(), listen());
        let address = |port: &TcpListener| port.local_addr().expect("an address");
        let (nginx, pointsman) = (address(&one), address(&two));
        let (nginx_dir, dir) = (furnished(), furnished());
        filled(http, nginx, &app, &nginx_dir);
        let toml = imported(http, pointsman, &app, &dir);
        drop((one, two));
        let _nginx = Nginx::serve(nginx_dir, vec![nginx]);
        let _pointsman = Pointsman::start_in(dir);
        Pair { nginx, pointsman, toml, app, _nginx, _pointsman }
    }

    /// nginx's answer and Pointsman's to `METHOD TARGET[; Name: value]…`.
    pub fn ask(&self, host: &str, request: &str) -> (Answer, Answer) {
        let mut parts = request.split("; ");
        let (method, target) = parts.next().and_then(|line| line.split_once(' ')).expect("a request");
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
        parts.for_each(|field| text.push_str(&format!("{field}\r\n")));
        text.push_str("\r\n");
        (send(self.nginx, &text), send(self.pointsman, &text))
    }
}

/// Pointsman alone, with what the import makes of a configuration that this nginx cannot read.
pub struct Alone {
    pub address: SocketAddr,
    pub toml: String,
    _app: Origin,
    _pointsman: Pointsman,
}

impl Alone {
    /// The same as [`Pair::start`].
    pub fn start(http: &str) -> Self {
        let app = Origin::new(secret);
        let port = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = port.local_addr().expect("an address");
        let dir = furnished();
        let toml = imported(http, address, &app, &dir);
        drop(port);
        Alone { address, toml, _app: app, _pointsman: Pointsman::start_in(dir) }
    }

    pub fn get(&self, host: &str, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    }

    pub fn send(&self, request: &str) -> Answer {
        send(self.address, request)
    }
}

/// The report of an import, and the configuration, ready to serve.
fn imported(http: &str, at: SocketAddr, app: &Origin, dir: &TempDir) -> String {
    filled(http, at, app, dir);
    let imported = Printed::of(&["import", "nginx", "nginx.conf"], dir.path());
    assert_eq!(imported.code, 0, "{}", imported.err);
    served(&imported.out, dir.path())
}

fn filled(http: &str, at: SocketAddr, app: &Origin, dir: &TempDir) {
    let text = http.replace("@LISTEN@", &at.to_string()).replace("@APP@", &app.address.to_string());
    let text = text.replace("@DIR@", &dir.path().display().to_string());
    write(dir.path().join("nginx.conf"), format!("events {{}}\nhttp {{\n{text}\n}}\n")).expect("a file");
}

/// What nginx refuses and Pointsman gives out.
pub fn is_opened(nginx: &Answer, pointsman: &Answer) -> bool {
    matches!(nginx.status, 0 | 401 | 403 | 404) && (200..300).contains(&pointsman.status)
}

/// The configuration, ready to serve in a directory.
pub fn served(toml: &str, dir: &Path) -> String {
    let toml = toml.replace("/var/lib/pointsman", "state").replace("127.0.0.1:9900", "127.0.0.1:0");
    let toml = toml.replace("threads = 0", "threads = 1");
    write(dir.join("pointsman.toml"), &toml).expect("a file");
    let checked = Printed::of(&["check", "--config", "pointsman.toml"], dir);
    assert_eq!(checked.code, 0, "{}\n{toml}", checked.err);
    toml
}

/// A directory whose `www` has files that nginx's workers, another user, can read.
pub fn furnished() -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a directory");
    for name in [
        "index.html",
        "secret.txt",
        "a.php",
        "index.php",
        "page.html",
        "50x.html",
        "app/x.txt",
        "app/x.php",
        "app/index.html",
        "admin/x.txt",
        "admin/index.html",
        "imagesx.txt",
        "images/x.txt",
        "up/x.php",
        "up/x.txt",
        "b/x.txt",
        "b/c/x.css",
        ".well-known/acme",
        "a.bak",
        "app/a.sql",
        "private/x.txt",
    ] {
        let path = dir.path().join("www").join(name);
        create_dir_all(path.parent().expect("a folder")).expect("a folder");
        write(path, format!("secret file {name} <?php password ?>")).expect("a file");
    }
    // Passwords that no test knows.
    write(dir.path().join("none"), "nobody:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n").expect("a file");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("permissions");
    dir
}

fn secret(request: &Received) -> Reaction {
    Reaction::ok(&format!("secret of {}", request.path()))
}
