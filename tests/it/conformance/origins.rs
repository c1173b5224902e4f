//! What stands behind nginx and Pointsman: applications that say what they are for.

use crate::harness::{Origin, Reaction, Received, UnixDoor};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fs::{Permissions, set_permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

pub(super) struct Origins {
    /// By their marks in configurations.
    pub all: Vec<(&'static str, Origin)>,
    door: UnixDoor,
    /// Reserved, and nobody listens.
    dead: Reserved,
}

impl Origins {
    pub(super) fn start() -> Self {
        let all = vec![
            ("APP", Origin::new(app)),
            ("APP2", Origin::new(app)),
            ("APP3", Origin::new(app)),
            ("WS", Origin::new(sockets)),
            ("AUTH", Origin::new(authority)),
        ];
        let door = UnixDoor::to(all[0].1.address);
        // nginx's workers run as another user.
        let folder = door.path().parent().expect("a folder").to_owned();
        set_permissions(folder, Permissions::from_mode(0o755)).expect("permissions");
        set_permissions(door.path(), Permissions::from_mode(0o777)).expect("permissions");
        Origins { all, door, dead: Reserved::new() }
    }

    pub(super) fn dead(&self) -> SocketAddr {
        self.dead.address
    }

    /// What their marks stand for.
    pub(super) fn marks(&self) -> Vec<(&'static str, String)> {
        let addresses = self.all.iter().map(|(name, origin)| (*name, origin.address.to_string()));
        let ports = [("APP_PORT", 0), ("APP2_PORT", 1)];
        let ports = ports.map(|(name, index)| (name, self.all[index].1.address.port().to_string()));
        addresses
            .chain(ports)
            .chain([
                ("SOCK", self.door.path().display().to_string()),
                ("DEAD", self.dead.address.to_string()),
            ])
            .collect()
    }
}

/// An address that nobody else gets; who is told to may listen on it.
pub(super) struct Reserved {
    pub address: SocketAddr,
    _socket: Socket,
}

impl Reserved {
    pub(super) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("an option");
        let any: SocketAddr = "0.0.0.0:0".parse().expect("an address");
        socket.bind(&SockAddr::from(any)).expect("a port");
        let port = socket.local_addr().ok().and_then(|own| own.as_socket()).expect("an address").port();
        Reserved { address: SocketAddr::from(([127, 0, 0, 1], port)), _socket: socket }
    }
}

/// An answer of an application, which names itself in two fields.
fn answer(request: &Received, status: &str, fields: &str, body: &str) -> Reaction {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nServer: origin\r\nX-Powered-By: origin\r\n{fields}");
    let body = if request.line.starts_with("HEAD ") { "" } else { body };
    Reaction::Raw(format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes())
}

/// By the last part of the path.
fn app(request: &Received) -> Reaction {
    let path = request.path().split('?').next().unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    let host = request.header("host").unwrap_or_default();
    let answer = |status: &str, fields: &str, body: &str| answer(request, status, fields, body);
    let moved = |to: &str| answer("302 Found", &format!("Location: {to}\r\n"), "");
    if let Some(status) = last.strip_prefix("status-") {
        return answer(
            &format!("{status} Status"),
            "Content-Type: text/html\r\n",
            &format!("<p>{status}</p>"),
        );
    }
    match last {
        "fail" => answer("500 Internal Server Error", "Content-Type: text/plain\r\n", "failed"),
        "moved" => moved("https://elsewhere.example/x"),
        "to-v2" => moved(&format!("http://{host}/v2/there?x")),
        "to-root" => answer("301 Moved Permanently", &format!("Location: http://{host}/there\r\n"), ""),
        "to-path" => moved("/v2/there"),
        "to-other" => moved("http://other.example:81/x"),
        "not-modified" => Reaction::Raw(b"HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".to_vec()),
        "hang" => Reaction::Hang,
        "gone-away" => Reaction::Close,
        "cookies" => answer(
            "200 OK",
            "Content-Type: text/plain\r\nSet-Cookie: sid=1; Path=/app; Domain=app.internal; HttpOnly\r\n",
            "cookies",
        ),
        "accel" => answer(
            "200 OK",
            "Content-Type: text/plain\r\nContent-Disposition: attachment\r\nX-Accel-Redirect: /protected/report.txt\r\n",
            "not this",
        ),
        "accel-none" => answer("200 OK", "X-Accel-Redirect: /protected/none.txt\r\n", "not this"),
        "fresh" => {
            answer("200 OK", "Content-Type: text/html\r\nCache-Control: max-age=60\r\n", "<p>fresh</p>")
        }
        "cors" => answer("200 OK", "Content-Type: text/plain\r\nAccess-Control-Allow-Origin: *\r\n", "cors"),
        _ => plain(request, last),
    }
}

/// By the end of the name.
fn plain(request: &Received, name: &str) -> Reaction {
    let long = "0123456789".repeat(100);
    let kind = match name.rsplit_once('.').map(|(_, end)| end) {
        Some("js") => "application/javascript",
        Some("css") => "text/css",
        Some("json") => "application/json",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("html") => "text/html",
        _ if name == "long-image" => "image/png",
        _ => "text/plain",
    };
    let fields = format!("Content-Type: {kind}\r\n");
    match name {
        "long" | "long-image" => answer(request, "200 OK", &fields, &long),
        _ if kind != "text/plain" => answer(request, "200 OK", &fields, &long),
        _ => {
            let cookies = "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n";
            answer(request, "200 OK", &format!("{fields}{cookies}"), "app")
        }
    }
}

/// Echoes after an upgrade, and has nothing else.
fn sockets(request: &Received) -> Reaction {
    match request.header("upgrade") {
        Some(_) => Reaction::Upgrade,
        None => answer(request, "426 Upgrade Required", "Content-Type: text/plain\r\n", "a socket"),
    }
}

/// Says who may come in, by a cookie; its other pages are for everybody.
fn authority(request: &Received) -> Reaction {
    let cookie = request.header("cookie").unwrap_or_default();
    let path = request.path().split('?').next().unwrap_or_default();
    if !path.ends_with("auth") && !path.ends_with("verify") {
        return answer(request, "200 OK", "Content-Type: text/html\r\n", "<p>sign in</p>");
    }
    if cookie.contains("session=good") {
        let who = "X-Auth-Request-User: eve\r\nX-Auth-Request-Email: eve@example.org\r\nRemote-User: eve\r\n";
        return answer(request, "202 Accepted", who, "");
    }
    match cookie.contains("session=other") {
        true => answer(request, "403 Forbidden", "", ""),
        false => answer(request, "401 Unauthorized", "", ""),
    }
}
