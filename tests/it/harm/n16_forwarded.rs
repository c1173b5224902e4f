//! What is said of a client on the way: who it is, whoever wrote it down in which form; and what nobody but a
//! proxy may say.

use super::super::harness::{Origin, Pointsman, Reaction, send};
use std::process::Command;

const TRUSTING: &str = "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n";
const STRANGERS: &str = "[[listeners]]\naddress = \"127.0.0.1:0\"\nh2c = true\n";

fn service(origin: &Origin) -> String {
    format!("[services.web]\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n", origin.address)
}

fn get(pointsman: &Pointsman, path: &str, fields: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    send(pointsman.http(), &request).status
}

/// What the upstream was told under a name, all lines of it.
fn told(origin: &Origin, name: &str) -> Vec<String> {
    let last = origin.last();
    last.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
}

/// Every form in which proxies write a stranger's address, and what nobody can read.
#[test]
fn a_client_is_never_taken_for_the_balancer_however_it_is_written() {
    let origin = Origin::named("app");
    let routes = "[[routes]]\npath = \"/inner\"\nallow = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\nservice = \"web\"\n\
                  [[routes]]\npath = \"/everybody\"\nallow = [\"0.0.0.0/0\", \"::/0\"]\nservice = \"web\"\n\
                  [[routes]]\npath = \"/but\"\ndeny_from = [\"203.0.113.0/24\"]\nservice = \"web\"\n\
                  [[routes]]\nservice = \"web\"\n";
    let pointsman = Pointsman::start(&format!("{TRUSTING}{routes}{}", service(&origin)));
    let strangers = [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:51234", "203.0.113.7"),
        ("\"203.0.113.7:51234\"", "203.0.113.7"),
        ("for=203.0.113.7;proto=https", "203.0.113.7"),
        ("For=\"203.0.113.7:51234\"", "203.0.113.7"),
        (" , 203.0.113.7 ,,", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("2001:db8::7%eth0", "2001:db8::7"),
        ("127.0.0.1, 203.0.113.7:51234, 10.0.0.9:80", "203.0.113.7"),
    ];
    let mut let_in = 0;
    for (written, address) in strangers {
        let field = format!("X-Forwarded-For: {written}\r\n");
        let inner = get(&pointsman, "/inner", &field);
        let_in += usize::from(inner == 200);
        assert_eq!(get(&pointsman, "/", &field), 200);
        println!("{written:>48}: /inner {inner}, X-Real-IP {:?}", told(&origin, "x-real-ip"));
        if inner == 403 {
            assert_eq!(told(&origin, "x-real-ip"), [address], "{written}");
        }
    }
    for written in [
        "unknown",
        "_hidden",
        "127.0.0.1 x",
        "localhost",
        "127.0.0.1:http",
        "10.0.0.1.",
        "0.0.0.0",
        "\"127.0.0.1",
    ] {
        let field = format!("X-Forwarded-For: 127.0.0.1, {written}\r\n");
        let paths = ["/inner", "/everybody", "/but"].map(|path| get(&pointsman, path, &field));
        let_in += usize::from(paths[0] == 200);
        assert_eq!(get(&pointsman, "/", &field), 200);
        println!("{written:>48}: {paths:?}, X-Real-IP {:?}", told(&origin, "x-real-ip"));
        if paths[0] == 403 {
            assert_eq!(paths, [403; 3], "{written}: nobody knows whom");
            assert_eq!(told(&origin, "x-real-ip"), [""; 0], "{written}");
        }
    }
    println!("let into what is for insiders: {let_in} of 19");
    assert_eq!(let_in, 0);
    assert_eq!(get(&pointsman, "/inner", "X-Forwarded-For: 203.0.113.7, 127.0.0.1\r\n"), 403);
    assert_eq!(get(&pointsman, "/inner", "X-Forwarded-For: 10.1.1.1:80\r\n"), 200, "an insider with a port");
    assert_eq!(get(&pointsman, "/inner", ""), 200, "the balancer itself");
}

/// Fields that an application believes when a proxy stands before it.
const CLAIMS: [&str; 22] = [
    "Forwarded",
    "X-Forwarded",
    "X-Forwarded-Prefix",
    "X-Forwarded-Ssl",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-By",
    "X-Forwarded-Uri",
    "X-Forwarded-User",
    "X-Forwarded-Client-Cert",
    "X-Original-URL",
    "X-Original-Host",
    "X-Rewrite-URL",
    "X-Original-Forwarded-For",
    "True-Client-IP",
    "CF-Connecting-IP",
    "X-Client-IP",
    "X-Cluster-Client-IP",
    "Client-Cert",
    "X-SSL-Client-Verify",
    "Front-End-Https",
    "X-Accel-Mapping",
];

fn passed(origin: &Origin) -> Vec<&'static str> {
    let last = origin.last();
    CLAIMS.into_iter().filter(|name| last.header(&name.to_ascii_lowercase()).is_some()).collect()
}

#[test]
fn what_only_a_proxy_may_say_of_a_stranger_does_not_pass() {
    let origin = Origin::named("app");
    let fields: String = CLAIMS.iter().map(|name| format!("{name}: forged\r\n")).collect();
    let spoofed = "X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
                   X-Forwarded-Host: evil.example\r\nX-Forwarded-Port: 666\r\nX-Request-Id: forged\r\n\
                   Proxy: http://evil.example\r\nX_Forwarded_For: 6.6.6.6\r\n";
    for listener in [STRANGERS, TRUSTING] {
        let pointsman = Pointsman::start(&format!("{listener}{}", service(&origin)));
        let is_trusted = listener == TRUSTING;
        for connection in ["", "Connection: close, X-Forwarded-For, X-Real-IP, X-Forwarded-Proto\r\n"] {
            let status = get(&pointsman, "/", &format!("{fields}{spoofed}{connection}"));
            if status == 400 && !connection.is_empty() {
                // Nobody may have this proxy take its own fields off again.
                continue;
            }
            assert_eq!(status, 200);
            let passed = passed(&origin);
            println!("HTTP/1, trusted {is_trusted}: {} of {} passed", passed.len(), CLAIMS.len());
            assert_eq!(told(&origin, "proxy"), [""; 0], "of nobody");
            if is_trusted {
                assert_eq!(passed.len(), CLAIMS.len(), "a trusted proxy's word");
                continue;
            }
            assert_eq!(passed, [""; 0]);
            assert_eq!(told(&origin, "x-forwarded-for"), ["127.0.0.1"]);
            assert_eq!(told(&origin, "x-real-ip"), ["127.0.0.1"]);
            assert_eq!(told(&origin, "x-forwarded-proto"), ["http"]);
            assert_eq!(told(&origin, "x-forwarded-host"), ["localhost"]);
            assert_eq!(told(&origin, "x-forwarded-port"), [pointsman.http().port().to_string()]);
            assert_eq!(told(&origin, "x_forwarded_for"), [""; 0]);
        }
        let mut curl = Command::new("curl");
        curl.args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--http2-prior-knowledge",
            "--noproxy",
            "*",
        ]);
        for field in fields.lines().chain(spoofed.lines()) {
            curl.args(["-H", field]);
        }
        let output = curl.arg(format!("http://{}/", pointsman.http())).output().expect("curl");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "200");
        println!("HTTP/2, trusted {is_trusted}: {} of {} passed", passed(&origin).len(), CLAIMS.len());
        assert_eq!(passed(&origin).is_empty(), !is_trusted);
        assert_eq!(told(&origin, "proxy"), [""; 0]);
    }
}

/// `forwarded`, by pool and by route.
#[test]
fn a_pool_or_a_route_chooses_what_its_upstreams_are_told() {
    let origin = Origin::new(|_| Reaction::ok("app"));
    let routes = "[[routes]]\npath = \"/pool\"\nservice = \"web\"\n\
                  [[routes]]\npath = \"/trusted\"\nservice = \"web\"\nforwarded = \"trusted\"\n\
                  [[routes]]\npath = \"/append\"\nservice = \"web\"\nforwarded = \"append\"\n\
                  [[routes]]\npath = \"/off\"\nservice = \"web\"\nforwarded = \"off\"\n";
    for listener in [STRANGERS, TRUSTING] {
        let is_trusted = listener == TRUSTING;
        let config = format!("{listener}{routes}{}forwarded = \"replace\"\n", service(&origin));
        let pointsman = Pointsman::start(&config);
        let chain = |path: &str| {
            let fields =
                "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 203.0.113.7:4711\r\nForwarded: for=6.6.6.6\r\n";
            assert_eq!(get(&pointsman, path, fields), 200);
            told(&origin, "x-forwarded-for")
        };
        let whole = "6.6.6.6, 203.0.113.7:4711, 127.0.0.1";
        assert_eq!(chain("/append"), [whole], "whoever sends it");
        assert_eq!(chain("/trusted"), [if is_trusted { whole } else { "127.0.0.1" }]);
        assert_eq!(
            chain("/pool"),
            [if is_trusted { "203.0.113.7" } else { "127.0.0.1" }],
            "the client alone"
        );
        assert_eq!(chain("/off"), [""; 0]);
        for name in ["x-real-ip", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "forwarded"] {
            assert_eq!(told(&origin, name), [""; 0], "{name}");
        }
        assert_eq!(told(&origin, "x-request-id").len(), 1, "that is no word on the client");
        if is_trusted {
            assert_eq!(get(&pointsman, "/pool", "X-Forwarded-For: _hidden\r\n"), 200);
            assert_eq!(told(&origin, "x-forwarded-for"), ["unknown"], "not the balancer's own address");
        }
    }
}
