//! nginx and Pointsman side by side before the same origins.

use super::secured::Secured;
use crate::harness::{Answer, Connection, Nginx, Origin, Pointsman, Printed, Reaction, Received, send};
use std::fs::{create_dir_all, read_to_string, write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The names of listeners in a configuration.
const LISTENERS: [&str; 3] = ["HTTP", "HTTP2", "HTTPS"];

pub(super) struct Site {
    nginx: Nginx,
    pointsman: Pointsman,
    nginx_ports: Vec<SocketAddr>,
    ports: Vec<SocketAddr>,
    origins: Vec<(&'static str, Origin)>,
    /// Where the configuration names it.
    _secured: Option<Secured>,
}

/// What came of a request.
pub(super) struct Exchange {
    pub answer: Answer,
    pub host: String,
    /// Which origin got it, and as what.
    pub upstream: Option<(&'static str, Received)>,
}

impl Site {
    pub(super) fn start(file: &str) -> Self {
        let origins = vec![
            ("APP", Origin::new(app)),
            ("APP2", Origin::new(app)),
            ("WS", Origin::new(|_| Reaction::Upgrade)),
        ];
        let secured = source(file).contains("@TLS@").then(Secured::start);
        let marks = origins.iter().map(|(name, origin)| (*name, origin.address.to_string()));
        let marks: Vec<_> = marks.chain(secured.iter().flat_map(Secured::marks)).collect();
        let (nginx_dir, nginx_ports) = prepare(file, &marks);
        let (dir, ports) = prepare(file, &marks);
        let read = |name: &str| read_to_string(nginx_dir.path().join(name)).expect("a file");
        let mut conf = read("nginx.conf");
        if conf.contains("include sites/") {
            conf.push_str(&read("sites/20-site.conf"));
        }
        let used = |(index, _): &(usize, &&str)| conf.contains(&format!("{}", nginx_ports[*index]));
        let listening =
            LISTENERS.iter().enumerate().filter(used).map(|(index, _)| nginx_ports[index]).collect();
        import(dir.path(), file);
        let nginx = Nginx::serve(nginx_dir, listening);
        let pointsman = Pointsman::start_in(dir);
        Site { nginx, pointsman, nginx_ports, ports, origins, _secured: secured }
    }

    /// nginx's exchange and Pointsman's.
    pub(super) fn ask(&self, request: &str) -> (Exchange, Exchange) {
        assert!(!self.nginx.addresses.is_empty() && !self.pointsman.listeners.is_empty());
        (self.exchange(&self.nginx_ports, request), self.exchange(&self.ports, request))
    }

    fn exchange(&self, ports: &[SocketAddr], request: &str) -> Exchange {
        let (listener, rest) =
            request.strip_prefix('@').and_then(|r| r.split_once(' ')).unwrap_or(("HTTP", request));
        let index = LISTENERS.iter().position(|name| *name == listener).expect("a listener");
        let before: Vec<u64> = self.origins.iter().map(|(_, origin)| origin.requests()).collect();
        let ask = Ask::parse(rest);
        let answer = if listener == "HTTPS" { ask.by_tls(ports[index]) } else { ask.plainly(ports[index]) };
        let reached =
            self.origins.iter().zip(before).find(|((_, origin), before)| origin.requests() > *before);
        Exchange {
            answer,
            host: ask.host.to_owned(),
            upstream: reached.map(|((name, origin), _)| (*name, origin.last())),
        }
    }
}

/// A request, taken apart.
struct Ask<'a> {
    method: &'a str,
    host: &'a str,
    target: &'a str,
    fields: Vec<&'a str>,
    body: Option<usize>,
}

impl<'a> Ask<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split("; ");
        let mut line = parts.next().expect("a line").split(' ');
        let [method, host, target] = std::array::from_fn(|_| line.next().expect("three words"));
        let (sizes, fields): (Vec<&str>, Vec<&str>) = parts.partition(|part| part.starts_with("body="));
        let body = sizes.first().map(|size| size[5..].parse().expect("a size"));
        Ask { method, host, target, fields, body }
    }

    fn plainly(&self, address: SocketAddr) -> Answer {
        let Ask { method, host, target, .. } = self;
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
        self.fields.iter().for_each(|field| request.push_str(&format!("{field}\r\n")));
        if let Some(size) = self.body {
            request.push_str(&format!("Content-Length: {size}\r\n\r\n{}", "x".repeat(size)));
        } else {
            request.push_str("\r\n");
        }
        let is_upgrade = self.fields.iter().any(|field| field.starts_with("Upgrade"));
        if !is_upgrade {
            return send(address, &request);
        }
        let mut connection = Connection::open(address);
        let mut answer = connection.send(request.as_bytes());
        if answer.status == 101 {
            connection.write(b"to and fro").expect("written");
            answer.body = vec![0; 10];
            std::io::Read::read_exact(&mut connection.reader, &mut answer.body).expect("an echo");
        }
        answer
    }

    fn by_tls(&self, address: SocketAddr) -> Answer {
        let Ask { host, target, .. } = self;
        let port = address.port();
        let output = Command::new("curl")
            .args(["-sik", "--http1.1", "--max-time", "20", "--resolve", &format!("{host}:{port}:127.0.0.1")])
            .args(["-H", &format!("Host: {host}"), &format!("https://{host}:{port}{target}")])
            .output()
            .expect("curl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        let field = |line: &str| {
            line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        };
        Answer {
            status,
            headers: lines.filter_map(field).collect(),
            body: body.as_bytes().to_vec(),
            ..Answer::default()
        }
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/nginx")
}

fn source(file: &str) -> String {
    read_to_string(folder().join(file)).expect("a configuration")
}

/// A directory with the configuration, its ports and origins filled in, and what it refers to.
fn prepare(file: &str, marks: &[(&str, String)]) -> (TempDir, Vec<SocketAddr>) {
    let dir = tempfile::tempdir().expect("a directory");
    let here = dir.path();
    let held: Vec<_> = LISTENERS.iter().map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let ports: Vec<_> = held.iter().map(|port| port.local_addr().expect("an address")).collect();
    let source = folder();
    let fill = |from: &Path, to: &Path| {
        let mut text = read_to_string(from).expect("a configuration");
        for (name, address) in LISTENERS.iter().zip(&ports) {
            text = text.replace(&format!("@{name}@"), &address.port().to_string());
        }
        for (name, value) in marks {
            text = text.replace(&format!("@{name}@"), value);
        }
        text = text.replace("@DIR@", &here.display().to_string()).replace("@MIME@", "/etc/nginx/mime.types");
        write(to, text).expect("a file");
    };
    fill(&source.join(file), &here.join("nginx.conf"));
    create_dir_all(here.join("sites")).expect("a directory");
    for entry in std::fs::read_dir(source.join("sites")).expect("a directory") {
        let path = entry.expect("an entry").path();
        fill(&path, &here.join("sites").join(path.file_name().expect("a name")));
    }
    furnish(here);
    (dir, ports)
}

/// Files and certificates. nginx's workers run as another user.
fn furnish(here: &Path) {
    let www = here.join("www");
    create_dir_all(www.join("sub")).expect("a directory");
    for (name, text) in [
        ("index.html", "<p>index</p>"),
        ("robots.txt", "User-agent: *\n"),
        ("style.css", "p { color: red }"),
        ("50x.html", "<p>sorry</p>"),
        (".secret", "secret"),
        ("sub/index.html", "<p>sub</p>"),
        ("sub/page.html", "<p>page</p>"),
    ] {
        write(www.join(name), text).expect("a file");
    }
    for name in ["tls.example", "other.example"] {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
        write(here.join(format!("{name}.pem")), made.cert.pem()).expect("a file");
        write(here.join(format!("{name}.key")), made.signing_key.serialize_pem()).expect("a file");
    }
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(here, std::fs::Permissions::from_mode(0o755)).expect("permissions");
}

/// Imports with the binary; nothing may be missing, and the result passes `check`.
fn import(here: &Path, file: &str) {
    let imported = Printed::of(&["import", "nginx", "nginx.conf", "--strict"], here);
    assert_eq!(imported.code, 0, "{file}: {}", imported.err);
    let toml = imported.out.replace("/var/lib/pointsman", "state").replace("127.0.0.1:9900", "127.0.0.1:0");
    write(here.join("pointsman.toml"), toml.replace("threads = 0", "threads = 1")).expect("a file");
    let checked = Printed::of(&["check", "--config", "pointsman.toml"], here);
    assert_eq!(checked.code, 0, "{file}: {}\n{toml}", checked.err);
}

/// An application that says what it is for.
fn app(request: &Received) -> Reaction {
    let path = request.path().split('?').next().unwrap_or_default();
    let answer = |status: &str, fields: &str, body: &str| {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nServer: origin\r\nX-Powered-By: origin\r\n{fields}");
        let body = if request.line.starts_with("HEAD ") { "" } else { body };
        Reaction::Raw(format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes())
    };
    let host = request.header("host").unwrap_or_default();
    let long = "0123456789".repeat(100);
    match path.rsplit('/').next().unwrap_or_default() {
        "fail" => answer("500 Internal Server Error", "Content-Type: text/plain\r\n", "failed"),
        "moved" => answer("302 Found", "Location: https://elsewhere.example/x\r\n", ""),
        "to-v2" => answer("302 Found", &format!("Location: http://{host}/v2/there?x\r\n"), ""),
        "to-root" => answer("301 Moved Permanently", &format!("Location: http://{host}/there\r\n"), ""),
        "to-path" => answer("302 Found", "Location: /v2/there\r\n", ""),
        "to-other" => answer("302 Found", "Location: http://other.example:81/x\r\n", ""),
        "not-modified" => Reaction::Raw(b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".to_vec()),
        "hang" => Reaction::Hang,
        "long" => answer("200 OK", "Content-Type: text/plain\r\n", &long),
        "long-image" => answer("200 OK", "Content-Type: image/png\r\n", &long),
        _ => answer("200 OK", "Content-Type: text/plain\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n", "app"),
    }
}
