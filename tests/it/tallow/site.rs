//! The site with loopback addresses, certificates and upstreams of its own.

use crate::harness::{
    Answer, Authority, Connection, Origin, Pointsman, Printed, Reaction, Received, TlsClient,
};
use crate::tls::ocsp_response;
use std::fs::{create_dir_all, read_to_string, write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

pub(super) const HOST: &str = "tallow.example";

pub(super) struct Site {
    pub pointsman: Pointsman,
    pub authority: Authority,
    pub client: TlsClient,
    pub app: Origin,
    pub signaling: Origin,
    /// 80 and 443, IPv4 then IPv6.
    pub http: [SocketAddr; 2],
    pub https: [SocketAddr; 2],
}

/// What `pointsman import nginx` prints.
pub(super) fn imported() -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/nginx");
    Printed::of(&["import", "nginx", "tallow.conf"], &here).out
}

pub(super) fn polished() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/tallow.toml");
    // A checked upstream would be asked behind the tests' back.
    let text = read_to_string(path).expect("a file");
    text.replace("health = { path = \"/api/health\" }\n", "")
}

impl Site {
    pub(super) fn start(text: &str) -> Self {
        let (app, signaling) = (Origin::new(application), Origin::new(|_| Reaction::Upgrade));
        let authority = Authority::new();
        let dir = tempfile::tempdir().expect("a directory");
        let here = dir.path().display().to_string();
        authority.write("site", &[HOST, "www.tallow.example"]);
        write(authority.path("ocsp.der"), ocsp_response(&authority, "site")).expect("a file");
        for (folder, file, body) in [
            ("certbot/.well-known/acme-challenge", "token", "proof"),
            ("html", "50x.html", "<p>We will be back.</p>"),
            ("log", "none", ""),
        ] {
            let folder = dir.path().join(folder);
            create_dir_all(&folder).expect("a directory");
            write(folder.join(file), body).expect("a file");
        }
        let ports = ports();
        let authority_dir = authority.dir.path().display().to_string();
        let mut text = text.to_owned();
        for (from, to) in [
            ("\"0.0.0.0:80\"", format!("\"{}\"", ports[0])),
            ("\"[::]:80\"", format!("\"{}\"", ports[1])),
            ("\"0.0.0.0:443\"", format!("\"{}\"", ports[2])),
            ("\"[::]:443\"", format!("\"{}\"", ports[3])),
            ("/etc/letsencrypt/live/tallow.example/fullchain.pem", format!("{authority_dir}/site.pem")),
            ("/etc/letsencrypt/live/tallow.example/privkey.pem", format!("{authority_dir}/site.key")),
            ("/etc/letsencrypt/live/tallow.example/ocsp.der", format!("{authority_dir}/ocsp.der")),
            ("min_version = ", "reload = \"50ms\", min_version = ".to_owned()),
            ("/var/www/certbot", format!("{here}/certbot")),
            ("/usr/share/nginx/html", format!("{here}/html")),
            ("/var/log/nginx", format!("{here}/log")),
            ("/var/lib/pointsman", format!("{here}/state")),
            ("127.0.0.1:9900", "127.0.0.1:0".to_owned()),
            ("\"app-1:3000\", \"app-2:3000\"", format!("\"{}\"", app.address)),
            ("signaling:3001", signaling.address.to_string()),
            ("keepalive = \"65s\"", "keepalive = \"1s\"".to_owned()),
            ("body = \"1m\"", "body = \"400ms\"".to_owned()),
            ("body = \"60s\"", "body = \"400ms\"".to_owned()),
            ("read = \"30s\"", "read = \"300ms\"".to_owned()),
            ("threads = 0", "threads = 1".to_owned()),
        ] {
            text = text.replace(from, &to);
        }
        write(dir.path().join("pointsman.toml"), &text).expect("a file");
        let checked = Printed::of(&["check", "--config", "pointsman.toml"], dir.path());
        assert_eq!(checked.code, 0, "{}\n{text}", checked.err);
        let (client, pointsman) = (TlsClient::new(&authority), Pointsman::start_in(dir));
        let (http, https) = ([ports[0], ports[1]], [ports[2], ports[3]]);
        Site { pointsman, authority, client, app, signaling, http, https }
    }

    /// A request over TLS, with header lines that each end in CR LF.
    pub(super) fn ask(&self, method: &str, path: &str, fields: &str) -> Answer {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n");
        let mut connection = self.client.open(self.https[0], HOST).expect("a handshake");
        connection.0.send(request.as_bytes())
    }

    pub(super) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    pub(super) fn plain(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        Connection::open(self.http[0]).send(request.as_bytes())
    }

    pub(super) fn access_log(&self) -> String {
        read_to_string(self.pointsman.dir.path().join("log/access.log")).unwrap_or_default()
    }
}

/// Held until all are chosen, so that no two are the same.
fn ports() -> Vec<SocketAddr> {
    let held =
        ["127.0.0.1:0", "[::1]:0", "127.0.0.1:0", "[::1]:0"].map(|a| TcpListener::bind(a).expect("a port"));
    held.iter().map(|port| port.local_addr().expect("an address")).collect()
}

fn application(request: &Received) -> Reaction {
    let path = request.path();
    let answer = |kind: &str, body: &str| {
        let head = format!("HTTP/1.1 200 OK\r\nServer: next/1.2.3\r\nContent-Type: {kind}\r\n");
        Reaction::Raw(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    };
    let long = "tallow ".repeat(100);
    match path {
        "/api/slow" => Reaction::Hang,
        "/broken" => Reaction::Close,
        "/long" => answer("text/html", &long),
        "/long.png" => answer("image/png", &long),
        "/short" => answer("text/html", "short"),
        _ => answer("text/plain", "app"),
    }
}
