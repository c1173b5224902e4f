//! `X-Accel-Redirect`: an application of Node names what is sent in place of its answer, beside nginx.

use super::{ask, nginx, start};
use crate::harness::{Connection, Pointsman};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// Names the place that its query has, or sends it.
const APP: &str = r#"
const http = require('http');
let connections = 0;
const server = http.createServer((request, response) => {
  const url = new URL(request.url, 'http://app');
  if (url.pathname === '/connections') return response.end(String(connections));
  if (url.pathname.startsWith('/other/')) return response.end(`other ${request.method} ${request.url}`);
  const place = url.searchParams.get('to');
  response.statusCode = Number(url.searchParams.get('status') || 200);
  if (place) response.setHeader('X-Accel-Redirect', place);
  response.setHeader('Content-Type', 'application/pdf');
  response.setHeader('Content-Disposition', 'attachment; filename="a.pdf"');
  response.setHeader('Set-Cookie', ['a=1', 'b=2']);
  response.setHeader('Cache-Control', 'private, max-age=5');
  response.setHeader('X-App', 'not kept');
  response.setHeader('ETag', '"of the application"');
  request.on('data', () => {});
  request.on('end', () => response.end(request.method === 'HEAD' ? '' : 'of the application'));
});
server.on('connection', () => connections++);
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"#;

struct Node {
    address: SocketAddr,
    child: Child,
}

impl Node {
    fn start() -> Self {
        let mut child =
            Command::new("node").args(["-e", APP]).stdout(Stdio::piped()).spawn().expect("node is installed");
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut port).expect("its port");
        let port: u16 = port.trim().parse().expect("a port");
        Node { address: ([127, 0, 0, 1], port).into(), child }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const FILES: [(&str, &str); 3] = [
    ("files/protected/a b.txt", "0123456789"),
    ("files/protected/empty.txt", ""),
    ("files/protected/missing.html", "<h1>no such file</h1>"),
];

fn site(app: SocketAddr, accel: bool) -> String {
    format!(
        r#"
        [[routes]]
        path = "/app/"
        service = "app"
        [[routes]]
        path = "/other/"
        internal = true
        service = "app"
        [[routes]]
        path = "/protected/"
        internal = true
        files = {{ root = "files" }}
        [[routes]]
        path = "/pages/"
        internal = true
        files = {{ root = "files" }}
        error_pages = {{ 404 = {{ path = "/protected/missing.html" }} }}
        [[routes]]
        path = "@named"
        reply = {{ body = "named" }}
        [services.app.pools.blue]
        upstreams = ["{app}"]
        accel = {accel}
        "#
    )
}

fn asked(at: SocketAddr, line: &str, to: &str, headers: &str) -> crate::harness::Answer {
    let to = to.replace('%', "%25").replace(' ', "%20").replace('?', "%3f").replace('&', "%26");
    ask(at, &line.replace("@TO@", &to), headers)
}

#[test]
fn an_application_names_what_is_sent_in_its_place_as_with_nginx() {
    let node = Node::start();
    let app = node.address;
    let real = nginx(
        &format!(
            "location /app/ {{ proxy_pass http://{app}; }} location /other/ {{ internal; proxy_pass http://{app}; }}
             location /protected/ {{ internal; root @DIR@/files; }}
             location /pages/ {{ internal; root @DIR@/files; error_page 404 /protected/missing.html; }}
             location @named {{ return 200 named; }}"
        ),
        &FILES,
    );
    let pointsman = start(&site(app, true), &FILES);
    for (line, to, headers) in [
        ("GET /app/?to=@TO@", "/protected/a%20b.txt", ""),
        ("GET /app/?status=403&to=@TO@", "/protected/a%20b.txt", ""),
        ("GET /app/?status=204&to=@TO@", "/protected/a%20b.txt", ""),
        ("HEAD /app/?to=@TO@", "/protected/a%20b.txt", ""),
        ("GET /app/?to=@TO@", "/protected/a%20b.txt", "Range: bytes=2-4\r\n"),
        ("GET /app/?to=@TO@", "/protected/a%20b.txt", "Range: bytes=20-\r\n"),
        ("GET /app/?to=@TO@", "/protected/empty.txt", ""),
        ("GET /app/?to=@TO@", "/protected/none", ""),
        ("GET /app/?to=@TO@", "/pages/none", ""),
        ("GET /app/?to=@TO@", "/protected/../protected/a%20b.txt", ""),
        ("GET /app/?to=@TO@", "http://other.example/", ""),
        ("GET /app/?to=@TO@", "@named", ""),
        ("GET /app/?to=@TO@", "@nobody", ""),
        ("GET /app/?to=@TO@", "/other/x?a=b&c", ""),
        ("POST /app/?to=@TO@", "/other/x", "Content-Length: 0\r\n"),
        ("POST /app/?to=@TO@", "/protected/a%20b.txt", "Content-Length: 0\r\n"),
        ("GET /app/", "", ""),
        ("GET /protected/empty.txt", "", ""),
        ("GET /other/x", "", ""),
    ] {
        let (theirs, ours) =
            (asked(real.addresses[0], line, to, headers), asked(pointsman.http(), line, to, headers));
        let told = format!("{line} {to} {headers}\n{theirs:?}\n{ours:?}");
        // A name that nobody has is an error of the application's; nginx calls it one of its own.
        let expected = if to == "@nobody" { 404 } else { theirs.status };
        assert_eq!(ours.status, expected, "{told}");
        if !theirs.text().contains("<center>nginx") {
            assert_eq!(ours.text(), theirs.text(), "{told}");
            let names = ["content-type", "content-disposition", "cache-control", "content-range", "x-app"];
            // What was said of the file is not said of an error here.
            for name in names.into_iter().filter(|_| ours.status < 400) {
                assert_eq!(ours.header(name), theirs.header(name), "{name} of {told}");
            }
        }
        let cookies = |answer: &crate::harness::Answer| {
            answer.headers.iter().filter(|(name, _)| name == "set-cookie").count()
        };
        assert_eq!(cookies(&ours), cookies(&theirs), "{told}");
        assert_eq!(ours.header("x-accel-redirect"), None, "{told}");
    }
}

#[test]
fn an_answer_that_is_not_shown_leaves_its_connection_in_use() {
    let node = Node::start();
    let pointsman = start(&site(node.address, true), &FILES);
    let mut client = Connection::open(pointsman.http());
    for _ in 0..20 {
        let answer = client.get("/app/?to=/protected/a%2520b.txt");
        assert_eq!((answer.status, answer.text().as_str()), (200, "0123456789"));
    }
    // Checks have connections of their own.
    let made: u32 = ask(node.address, "GET /connections", "").text().parse().expect("a number");
    assert!(made < 15, "{made} connections for 20 requests");
    let counted = "pointsman_requests_total{code=\"2xx\",pool=\"blue\",service=\"app\"} 20";
    crate::harness::eventually("twenty successes", || pointsman.get("/metrics").text().contains(counted));
}

#[test]
fn applications_that_may_not_name_places_show_their_answers() {
    let node = Node::start();
    let pointsman: Pointsman = start(&site(node.address, false), &FILES);
    let answer = asked(pointsman.http(), "GET /app/?to=@TO@", "/protected/a%20b.txt", "");
    assert_eq!((answer.status, answer.text().as_str()), (200, "of the application"));
}

/// An application that names itself again and again gets an error, after ten changes.
#[test]
fn places_that_go_round_end() {
    let node = Node::start();
    let pointsman = start(&site(node.address, true), &FILES);
    let place = (0..20).fold(String::from("/app/"), |inner, _| {
        format!(
            "/app/?to={}",
            inner.replace('%', "%25").replace('?', "%3f").replace('&', "%26").replace('=', "%3d")
        )
    });
    let answer = ask(pointsman.http(), &format!("GET {place}"), "");
    assert_eq!(answer.status, 500, "{answer:?}");
}
