//! Request lines and fields.

use super::case::{Case, arrives, either, forwarded, refused};

/// A GET with these field lines after its host.
fn get(fields: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

pub fn lines() -> Vec<Case> {
    let x = || arrives("GET /x");
    let line = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    let mut cases = vec![
        forwarded("a GET", line("GET /x HTTP/1.1"), [x().with("Host: a")]),
        forwarded("an empty line before it", format!("\r\n{}", line("GET /x HTTP/1.1")), [x()]),
        forwarded("HTTP/1.0", "GET /x HTTP/1.0\r\nHost: a\r\n\r\n", [x()]),
        forwarded("HTTP/1.0 without a host", "GET /x HTTP/1.0\r\n\r\n", [x()]),
        forwarded("HTTP/1.2", line("GET /x HTTP/1.2"), [x()]),
        forwarded("HTTP/1.10", line("GET /x HTTP/1.10"), [x()]),
        forwarded(
            "HTTP/1.0, kept alive",
            "GET /x HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n".repeat(2),
            [x(), x()],
        ),
        forwarded("a method of one's own", line("PURGE /x HTTP/1.1"), [arrives("PURGE /x")]),
        forwarded("a method with a dash", line("M-SEARCH /x HTTP/1.1"), [arrives("M-SEARCH /x")]),
        either("a method in lower case", line("get /x HTTP/1.1"), arrives("get /x")),
        refused("HTTP/0.9", "GET /x\r\n\r\n"),
        refused("HTTP/0.9 without CR", "GET /x\n\n"),
        refused("CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
        refused("CONNECT with a path", "CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n"),
        refused("an empty line of LF", format!("\n{}", line("GET /x HTTP/1.1"))),
        refused("a space before it", format!(" {}", line("GET /x HTTP/1.1"))),
        refused("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        refused("TLS on a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        refused("SSH", "SSH-2.0-OpenSSH_9.0\r\n\r\n"),
        refused("an answer", "HTTP/1.1 200 OK\r\n\r\n"),
        refused("nothing but a line end and a field", "\r\nHost: a\r\n\r\n"),
    ];
    let wrong = [
        "GET  /x HTTP/1.1",
        "GET /x  HTTP/1.1",
        "GET /x HTTP/1.1 ",
        "GET\t/x HTTP/1.1",
        "GET /x\tHTTP/1.1",
        "GET /x\u{b}HTTP/1.1",
        "GET /x HTTP/2.0",
        "GET /x HTTP/2",
        "GET /x HTTP/0.9",
        "GET /x HTTP/1",
        "GET /x HTTP/1.",
        "GET /x HTTP/.1",
        "GET /x HTTP/11",
        "GET /x HTTP/1.100",
        "GET /x HTTP/1.02",
        "GET /x HTTP/01.1",
        "GET /x http/1.1",
        "GET /x HTTP/1.1x",
        "GET /x HTTP 1.1",
        "GET /x HTTP/1,1",
        "GET /x HTTPS/1.1",
        "GET /x FTP/1.1",
        "GET /x",
        "GET",
        "",
        "/x HTTP/1.1",
        "GET HTTP/1.1",
        "G\0T /x HTTP/1.1",
        "G(T /x HTTP/1.1",
        "GET: /x HTTP/1.1",
        "GE\u{7f}T /x HTTP/1.1",
        "\u{e9} /x HTTP/1.1",
        "GET /x HTTP/1.1\r",
        "GET /x HTTP/1.1\0",
        "GET /x HTTP/1.1 HTTP/1.1",
        "GET /x y HTTP/1.1",
        "GET\r /x HTTP/1.1",
        "\"GET\" /x HTTP/1.1",
        "GET,POST /x HTTP/1.1",
    ];
    cases.extend(wrong.map(|text| refused(&format!("the line {text:?}"), line(text))));
    cases.push(refused(
        "a method without end",
        format!("{} /x HTTP/1.1\r\nHost: a\r\n\r\n", "A".repeat(5000)),
    ));
    cases
}

pub fn fields() -> Vec<Case> {
    let x = || arrives("GET /x");
    let mut cases = vec![
        forwarded("an empty value", get("X-Empty:\r\n"), [x()]),
        forwarded("a value with colons", get("X: a:b: c\r\n"), [x().with("X: a:b: c")]),
        forwarded("a tab in a value", get("X: a\tb\r\n"), [x().with("X: a\tb")]),
        forwarded("a name of odd letters", get("!#$%&'*+-.^`|~: y\r\n"), [x().with("!#$%&'*+-.^`|~: y")]),
        forwarded("bytes above ASCII in a value", get("X: \u{e9}\r\n"), [x()]),
        forwarded(
            "a name with an underscore is not passed on",
            get("X_Real_IP: 6.6.6.6\r\nX-Kept: y\r\n"),
            [x().without("x_real_ip").with("X-Kept: y")],
        ),
        forwarded("the same name twice", get("X: 1\r\nX: 2\r\n"), [x().with("X: 1").with("X: 2")]),
        forwarded(
            "what a client says of itself",
            get("X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n"),
            [x().with("X-Forwarded-For: 127.0.0.1").with("X-Real-IP: 127.0.0.1")],
        ),
    ];
    let wrong = [
        ("no colon", "X\r\n"),
        ("an empty name", ": y\r\n"),
        ("a space before the colon", "X : y\r\n"),
        ("a tab before the colon", "X\t: y\r\n"),
        ("a space in a name", "X Y: z\r\n"),
        ("a space before a name", " X: y\r\n"),
        ("a tab before a name", "\tX: y\r\n"),
        ("a folded value", "X: y\r\n z\r\n"),
        ("a value folded with a tab", "X: y\r\n\tz\r\n"),
        ("a fold of nothing", "X: y\r\n \r\n"),
        ("LF for a line end", "X: y\n"),
        ("LF, then CR", "X: y\n\r"),
        ("CR alone", "X: y\rZ: a\r\n"),
        ("two CR", "X: y\r\r\n"),
        ("CR in a name", "X\rY: z\r\n"),
        ("NUL in a name", "X\0: y\r\n"),
        ("NUL in a value", "X: y\0z\r\n"),
        ("NUL at the end of a value", "X: y\0\r\n"),
        ("BEL in a value", "X: \u{7}\r\n"),
        ("VT in a value", "X: a\u{b}b\r\n"),
        ("FF in a value", "X: a\u{c}b\r\n"),
        ("ESC in a value", "X: \u{1b}[2J\r\n"),
        ("DEL in a value", "X: \u{7f}\r\n"),
        ("BS in a value", "X: a\u{8}\r\n"),
        ("brackets in a name", "X[]: y\r\n"),
        ("a slash in a name", "X/Y: z\r\n"),
        ("a comma in a name", "X,Y: z\r\n"),
        ("a quote in a name", "\"X\": y\r\n"),
        ("an at sign in a name", "X@Y: z\r\n"),
        ("an equals sign in a name", "X=Y: z\r\n"),
        ("a brace in a name", "{X}: y\r\n"),
        ("bytes above ASCII in a name", "X\u{e9}: y\r\n"),
        ("DEL in a name", "X\u{7f}: y\r\n"),
        ("a second request line", "GET /smuggled HTTP/1.1\r\n"),
        ("an expectation of one's own", "Expect: miracles\r\n"),
        ("two expectations", "Expect: 100-continue, miracles\r\n"),
    ];
    cases.extend(wrong.map(|(name, fields)| refused(name, get(fields))));
    cases.push(refused("LF for the last line end", "GET /x HTTP/1.1\r\nHost: a\r\n\n"));
    cases.push(refused("LF for all line ends", "GET /x HTTP/1.1\nHost: a\n\n"));
    cases.push(refused("CR for all line ends", "GET /x HTTP/1.1\rHost: a\r\r\n\r\n"));
    cases.push(refused("a fold before any field", "GET /x HTTP/1.1\r\n Host: a\r\n\r\n"));
    cases
}

pub fn hosts() -> Vec<Case> {
    let x = || arrives("GET /x");
    let host = |host: &str| format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut cases = vec![
        forwarded("a name", host("shop.example"), [x().with("Host: shop.example")]),
        forwarded("a name and a port", host("shop.example:8080"), [x().with("Host: shop.example:8080")]),
        forwarded("an address", host("127.0.0.1"), [x()]),
        forwarded("an address of IPv6", host("[::1]:80"), [x()]),
        forwarded("a name with an underscore", host("a_b.example"), [x()]),
        refused("no host", "GET /x HTTP/1.1\r\n\r\n"),
        refused("two equal hosts", "GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        refused("two hosts", "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        refused("two hosts in two cases", "GET /x HTTP/1.1\r\nHost: a\r\nHOST: b\r\n\r\n"),
        refused("a host with a space before the colon", "GET /x HTTP/1.1\r\nHost : a\r\n\r\n"),
        refused("a folded host", "GET /x HTTP/1.1\r\nHost:\r\n a\r\n\r\n"),
        refused("two hosts in HTTP/1.0", "GET /x HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    ];
    let wrong = [
        "", " ", "a b", "a, b", "a,b", "a/b", "a\\b", "a?b", "a#b", "user@a", "http://a", "a\u{e9}", "a%00",
        "a<b", "a\0", "[", "[]", "a:", "a:99999", "a:80:90", "::1", "a..b", "a;b", "a|b", "a\tb", "a'b",
        "a\"b", "(a)", "{a}", "a^b", "a`b", "*",
    ];
    cases.extend(wrong.map(|text| refused(&format!("the host {text:?}"), host(text))));
    cases.push(refused("a host without end", host(&"a".repeat(300))));
    cases
}

pub fn targets() -> Vec<Case> {
    let target = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut cases = vec![
        forwarded("a query", target("/x?a=b&c=%20d"), [arrives("GET /x?a=b&c=%20d")]),
        forwarded("escapes stay", target("/a%2fb%2Fc%7e"), [arrives("GET /a%2fb%2Fc%7e")]),
        refused("an escaped NUL", target("/a%00")),
        forwarded("bytes above ASCII", target("/\u{e9}"), [arrives("GET /\u{c3}\u{a9}")]),
        forwarded("a broken UTF-8", b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", [arrives("GET /\u{ff}")]),
        forwarded("a quote", target("/\"x\""), [arrives("GET /\"x\"")]),
        forwarded("a backslash", target("/a\\b"), [arrives("GET /a\\b")]),
        forwarded("braces", target("/{a}|b^c"), [arrives("GET /{a}|b^c")]),
        forwarded("the same host in the target", target("http://a/x"), [arrives("GET /x").with("Host: a")]),
        // RFC 9112, 3.2.2: the field is to be ignored.
        forwarded("another host in the target", target("http://b/x"), [arrives("GET /x").with("Host: b")]),
        refused("a user in the target", target("http://u@a/x")),
        refused("an empty host in the target", target("http:///x")),
        refused("no path and no host", target("http://")),
    ];
    let wrong = [
        "*",
        "x",
        "a:443",
        "../x",
        "?a=b",
        "/a b",
        "/a\tb",
        "/x#y",
        "/\0",
        "/\u{7f}",
        "/\u{1}",
        "/a\rb",
        "/a\nb",
        "ftp://a/x",
        "file:///etc/passwd",
        "javascript:x",
        "#",
        "/x\r\nHost: b\r\n\r\n",
        "//b/x y",
        ":80/x",
        "%2fx",
        "\\x",
        "ht tp://a/x",
    ];
    cases.extend(wrong.map(|text| refused(&format!("the target {text:?}"), target(text))));
    cases
}

pub fn limits() -> Vec<Case> {
    let long = |length: usize| "y".repeat(length);
    let many: String = (0..61).map(|n| format!("X-{n}: y\r\n")).collect();
    vec![
        forwarded(
            "a long target",
            format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(8000)),
            [arrives(&format!("GET /{}", long(8000)))],
        ),
        forwarded(
            "a long field",
            get(&format!("X: {}\r\n", long(8000))),
            [arrives("GET /x").with(&format!("X: {}", long(8000)))],
        ),
        refused("a target beyond the limit", format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(20_000))),
        refused("a target without end", format!("GET /{}", long(40_000))),
        refused("a field beyond the limit", get(&format!("X: {}\r\n", long(20_000)))),
        refused("a field without end", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", long(40_000))),
        refused("a name beyond the limit", get(&format!("{}: x\r\n", long(20_000)))),
        refused("fields beyond the limit", get(&many)),
        refused("fields without end", get(&"X: y\r\n".repeat(5000))),
        refused("empty lines without end", "\r\n".repeat(10_000)),
    ]
}
