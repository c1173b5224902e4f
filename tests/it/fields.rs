//! Fields to and from upstreams by choice: what they learn of clients, the Host, names with underscores, cookies.

use super::harness::{Nginx, Origin, Pointsman, Reaction, Received, get, run, send};
use std::process::Command;

const FORGED: &str = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: forged\r\nX-Forwarded-Host: forged\r\n\
                      X-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\n";
const NAMES: [&str; 5] =
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-real-ip"];

/// What an upstream gets of a request with these fields.
fn received(pointsman: &Pointsman, origin: &Origin, path: &str, fields: &str) -> Received {
    let answer =
        send(pointsman.http(), &format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n"));
    assert_eq!(answer.status, 200, "{path}");
    origin.last()
}

fn said(received: &Received) -> Vec<Option<&str>> {
    NAMES.iter().map(|name| received.header(name)).collect()
}

#[test]
fn what_upstreams_learn_is_chosen_field_by_field() {
    let origin = Origin::named("app");
    let route = |path: &str, forwarded: &str| {
        format!("[[routes]]\npath = \"{path}\"\nservice = \"web\"\nforwarded = {forwarded}\n")
    };
    for trusted in ["[]", "[\"127.0.0.1\"]"] {
        let pointsman = Pointsman::start(&format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = {trusted}\n\
             [[routes]]\nservice = \"web\"\n{}{}{}{}\
             [services.web.pools.blue]\nupstreams = [\"{}\"]\nforwarded = {{ for = \"off\" }}\n",
            route(
                "/each",
                "{ for = \"append\", proto = \"replace\", host = \"off\", port = \"keep\", real_ip = \"keep\" }"
            ),
            route("/keep", "\"keep\""),
            route("/off", "\"off\""),
            route("/append", "\"append\""),
            origin.address
        ));
        let port = pointsman.http().port().to_string();
        let believed = trusted != "[]";
        let of = |path: &str, fields: &str| received(&pointsman, &origin, path, fields);
        let (host, forged) = (Some("shop.example"), Some("6.6.6.6"));
        let each = of("/each", FORGED);
        assert_eq!(said(&each), [Some("6.6.6.6, 127.0.0.1"), Some("http"), None, Some("1"), forged]);
        assert_eq!(said(&of("/keep", FORGED)), [forged, Some("forged"), Some("forged"), Some("1"), forged]);
        assert_eq!(said(&of("/keep", "")), [None; 5], "nothing is made up");
        assert_eq!(said(&of("/off", FORGED)), [None; 5]);
        let own = [Some("http"), host, Some(&*port)];
        let told = [Some("forged"), Some("forged"), Some("1")];
        let others = if believed { told } else { own };
        let real = if believed { forged } else { Some("127.0.0.1") };
        assert_eq!(said(&of("/append", FORGED))[1..4], others);
        assert_eq!(said(&of("/append", FORGED))[4], real);
        let pool = of("/", &format!("{FORGED}Forwarded: for=6.6.6.6\r\n"));
        assert_eq!((pool.header("x-forwarded-for"), pool.header("forwarded")), (None, None));
        assert_eq!(said(&pool)[1..4], others, "what is left out is as always");
    }
}

#[test]
fn names_with_underscores_pass_where_they_may() {
    let origin = Origin::named("app");
    let fields = "api_key: k\r\nX_Tenant: t\r\nX_Real_IP: 6.6.6.6\r\nx_forwarded_for: 6.6.6.6\r\nContent_Length: 9\r\n";
    for (key, api_key) in [("", None), ("underscores = true\n", Some("k"))] {
        let pointsman = Pointsman::start(&format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n{key}[[routes]]\nservice = \"web\"\n\
             [services.web.pools.blue]\nupstreams = [\"{}\"]\n",
            origin.address
        ));
        let got = received(&pointsman, &origin, "/", fields);
        assert_eq!((got.header("api_key"), got.header("x_tenant").is_some()), (api_key, api_key.is_some()));
        let url = format!("http://{}/", pointsman.http());
        let curl = [
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--http2-prior-knowledge",
            "-H",
            "api_key: k",
            "-H",
            "x_real_ip: 6.6.6.6",
        ];
        assert_eq!(run(Command::new("curl").args(curl).arg(&url)).out, "200");
        assert_eq!(origin.last().header("api_key"), api_key);
        for request in [got, origin.last()] {
            assert!(
                ["x_real_ip", "x_forwarded_for", "content_length"]
                    .iter()
                    .all(|name| request.header(name).is_none())
            );
            assert_eq!(request.header("x-real-ip"), Some("127.0.0.1"));
        }
    }
}

#[test]
fn upstreams_are_asked_for_the_host_that_their_pool_says() {
    let origin = Origin::named("app");
    let port = origin.address.port();
    for (keys, expected) in [
        ("", "shop.example".to_owned()),
        ("host = \"client\"", "shop.example".to_owned()),
        ("host = \"upstream\"", format!("localhost:{port}")),
        ("host = \"app.example:8443\"", "app.example:8443".to_owned()),
    ] {
        let pointsman = Pointsman::start(&format!(
            "[[routes]]\nservice = \"web\"\n\
             [[routes]]\npath = \"/own\"\nservice = \"web\"\nheaders = {{ request = {{ set = {{ Host = \"own.example\" }} }} }}\n\
             [[routes]]\npath = \"/asked\"\nreply = {{ body = \"x\" }}\nauthorize = {{ service = \"web\" }}\n\
             [services.web.pools.blue]\nupstreams = [\"localhost:{port}\"]\nhealth = {{ path = \"/health\", host = \"check.example\", interval = \"50ms\" }}\n{keys}\n"
        ));
        let got = received(&pointsman, &origin, "/x", "");
        let request =
            |path: &str| origin.all().into_iter().rfind(|request| request.path() == path).expect("a request");
        assert_eq!(request("/x").header("host"), Some(&*expected), "{keys}");
        assert!(got.header("x-forwarded-host").is_none_or(|host| host == "shop.example"));
        received(&pointsman, &origin, "/own", "");
        assert_eq!(request("/own").header("host"), Some("own.example"), "{keys}");
        received(&pointsman, &origin, "/asked", "");
        assert_eq!(request("/").header("host"), Some(&*expected), "a service that is asked, too: {keys}");
        assert_eq!(request("/health").header("host"), Some("check.example"));
    }
}

#[test]
fn cookies_of_upstreams_are_as_the_route_says() {
    let origin = Origin::new(|_| {
        Reaction::Raw(
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/app/x; Domain=.app.internal; SameSite=None\r\n\
              set-cookie: b=2; Path=/other; HttpOnly\r\nContent-Length: 2\r\n\r\nok"
                .to_vec(),
        )
    });
    let pointsman = Pointsman::start(&format!(
        "[[routes]]\nservice = \"web\"\n\
         [[routes]]\npath = \"/x\"\nservice = \"web\"\ncookie_paths = [{{ from = \"/app/\", to = \"/\" }}]\n\
         cookie_domains = [{{ from = \"app.internal\", to = \"$host\" }}]\ncookie_flags = {{ secure = true, http_only = false, same_site = \"lax\" }}\n\
         [services.web]\ncohort = {{ by = \"cookie\" }}\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n",
        origin.address
    ));
    let cookies = |path: &str| {
        let answer = send(pointsman.http(), &format!("GET {path} HTTP/1.1\r\nHost: Shop.Example:80\r\n\r\n"));
        let lines = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
        lines.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    let plain = cookies("/");
    assert_eq!(
        plain[..2],
        ["a=1; Path=/app/x; Domain=.app.internal; SameSite=None", "b=2; Path=/other; HttpOnly"]
    );
    let ours = cookies("/x");
    assert_eq!(
        ours[..2],
        ["a=1; Path=/x; Domain=shop.example; Secure; SameSite=Lax", "b=2; Path=/other; Secure; SameSite=Lax"]
    );
    assert!(
        ours[2].starts_with("pointsman=") && ours[2].contains("; HttpOnly"),
        "ours are as always: {ours:?}"
    );
}

#[test]
fn the_host_is_the_authority_over_http_2() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let address =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
    let conf = format!(
        "events {{ worker_connections 64; }}\nhttp {{ access_log off; server {{ listen {address} http2; location / {{ return 200 \"$http_host\"; }} }} }}\n"
    );
    std::fs::write(dir.path().join("nginx.conf"), conf).expect("written");
    let nginx = Nginx::serve(dir, vec![address]);
    let port = nginx.addresses[0].port();
    let pointsman = Pointsman::start(&format!(
        "[[routes]]\nservice = \"web\"\n\
         [[routes]]\npath = \"/own\"\nservice = \"web\"\nheaders = {{ request = {{ set = {{ Host = \"own.example\" }} }} }}\n\
         [services.web.pools.blue]\nhttp2 = true\nhost = \"upstream\"\nupstreams = [\"localhost:{port}\"]\n"
    ));
    assert_eq!(get(pointsman.http(), "/").text(), format!("localhost:{port}"));
    assert_eq!(get(pointsman.http(), "/own").text(), "own.example");
}
