use super::super::exchange::tests::{answered, nobody, origin};
use super::*;
use crate::core::pattern::Pattern;
use crate::core::settings::Statuses;
use http::HeaderMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

fn request() -> HttpCheck {
    HttpCheck {
        method: Method::GET,
        path: "/health".into(),
        host: None,
        headers: HeaderMap::new(),
        expect: Statuses::success(),
        matches: None,
    }
}

fn http(check: HttpCheck) -> Health {
    Health { kind: CheckKind::Http(check), timeout: Duration::from_secs(20), ..Health::connect(false) }
}

async fn result(health: Health, address: SocketAddr) -> Result<(), String> {
    Check::new(health, "app:80", None).passes(address.into()).await.map_err(|failed| failed.to_string())
}

#[tokio::test]
async fn answers_are_judged() {
    let origin = origin(|request| match request.split_whitespace().nth(1).unwrap_or_default() {
        "/ok" => answered(200, "ready\n"),
        "/moved" => Some(b"HTTP/1.1 302 X\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n".to_vec()),
        "/long" => answered(200, &"x".repeat(MAX_BODY + 1)),
        "/short" => Some(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab".to_vec()),
        "/strange" => Some(b"SSH-2.0-OpenSSH\r\n".to_vec()),
        "/silent" => None,
        _ => answered(503, ""),
    })
    .await;
    let at = |path: &str| HttpCheck { path: path.into(), ..request() };
    let matching = |path: &str, text: &str| HttpCheck {
        matches: Some(Pattern::new(text, false).expect("a pattern")),
        ..at(path)
    };
    for passing in [at("/ok"), matching("/ok", "^ready$"), at("/long"), matching("/long", "^x")] {
        assert_eq!(result(http(passing.clone()), origin).await, Ok(()), "{passing:?}");
    }
    let redirect = HttpCheck { expect: Statuses::new([(302, 302)]), ..at("/moved") };
    assert_eq!(result(http(redirect), origin).await, Ok(()));
    for (failing, why) in [
        (at("/moved"), "GET /moved: status 302 to /login, expected 200-299"),
        (at("/busy"), "GET /busy: status 503, expected 200-299"),
        (matching("/ok", "^ok"), "GET /ok: the body does not match \"^ok\""),
        (matching("/long", "y"), "GET /long: the body does not match \"y\""),
        (HttpCheck { method: Method::HEAD, ..at("/busy") }, "HEAD /busy: status 503, expected 200-299"),
    ] {
        assert_eq!(result(http(failing), origin).await, Err(why.to_owned()));
    }
    for (path, why) in
        [("/short", "GET /short: the body: "), ("/strange", "GET /strange: no proper answer: ")]
    {
        let told = result(http(at(path)), origin).await.expect_err("no answer");
        assert!(told.starts_with(why), "{told}");
    }
    let hasty = Health { timeout: Duration::from_millis(40), ..http(at("/silent")) };
    assert_eq!(result(hasty, origin).await, Err("GET /silent: no answer within 40ms".to_owned()));
}

#[tokio::test]
async fn a_closed_port_is_named_where_it_is_another() {
    let closed = nobody();
    for health in [http(request()), Health::connect(false)] {
        let told = result(health.clone(), closed).await.expect_err("nobody listens");
        assert!(told.starts_with("connect: "), "{told}");
        let health = Health { port: Some(closed.port()), ..health };
        let told = result(health, ([127, 0, 0, 1], 1).into()).await.expect_err("nobody listens");
        assert!(told.starts_with(&format!("port {}: connect: ", closed.port())), "{told}");
    }
}

#[tokio::test]
async fn another_port_is_asked_by_its_own_name() {
    let origin = origin(|request| {
        let port = request.split("\r\nhost: app:").nth(1).and_then(|rest| rest.split('\r').next());
        answered(if port == Some("80") { 200 } else { 503 }, port.unwrap_or_default())
    })
    .await;
    assert_eq!(result(http(request()), origin).await, Ok(()));
    let other = Health { port: Some(origin.port()), ..http(request()) };
    let told = result(other, ([127, 0, 0, 1], 1).into()).await;
    let why = format!("GET /health on port {}: status 503, expected 200-299", origin.port());
    assert_eq!(told, Err(why));
    assert_eq!(authority("[::1]:80", Some(9)), "[::1]:9");
    assert_eq!(authority("unix:/run/a:b.sock", None), "localhost");
    let socket: UpstreamAddress = "unix:/run/app.sock".parse().expect("a path");
    let no_port = Health { port: Some(9), ..Health::connect(false) };
    let told = Check::new(no_port, "unix:/run/app.sock", None).passes(socket).await;
    let told = told.expect_err("it has none").to_string();
    assert!(told.contains("port 9") && told.contains("has none"), "{told}");
}

#[tokio::test]
async fn a_connection_alone_is_ended_in_order_and_nothing_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    assert_eq!(result(Health::connect(false), address).await, Ok(()));
    let (mut stream, _) = listener.accept().await.expect("a client");
    // A reset would be an error here.
    assert_eq!(stream.read(&mut [0; 16]).await.expect("an end"), 0, "nothing is sent");
}
