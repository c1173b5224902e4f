//! Files: candidates, lists of index names, lists of folders, links, conditions; beside nginx where it does the same.

use super::{ask, nginx, site, start};
use crate::harness::{Answer, Origin, send};
use std::os::unix::fs::symlink;
use std::process::Command;

const FILES: [(&str, &str); 9] = [
    ("www/page.html", "page"),
    ("www/both", "file"),
    ("www/both.html", "html"),
    ("www/docs/index.htm", "second index"),
    ("www/list/b.txt", "bb"),
    ("www/list/a&<b>.txt", "a"),
    ("www/list/.secret", "hidden"),
    ("www/list/sub/x.txt", "x"),
    ("www/down.html", "down"),
];

fn routes() -> &'static str {
    r#"
    [[routes]]
    files = { root = "www", try = ["$path", "$path.html", "$path/"], index = ["index.html", "index.htm"], autoindex = true, fallback = 410 }
    [[routes]]
    path = "/down/"
    files = { root = "www", try = ["/down.html"] }
    [[routes]]
    path = "/linked/"
    files = { root = "www", symlinks = "any" }
    [[routes]]
    path = "/unlinked/"
    files = { root = "www", symlinks = "off" }
    "#
}

#[test]
fn a_path_stands_for_what_nginx_takes_it_for() {
    let server = "root @DIR@/www; index index.html index.htm; autoindex on;
                  location / { try_files $uri $uri.html $uri/ =410; } location /down/ { try_files /down.html =404; }
                  location /list/ { autoindex_format json; }";
    let real = nginx(server, &FILES);
    let pointsman = start(&site(&Origin::named("web"), routes()), &FILES);
    for (line, headers) in [
        ("GET /page", ""),
        ("GET /page.html", ""),
        ("GET /both", ""),
        ("GET /docs", ""),
        ("GET /docs/", ""),
        ("HEAD /docs/", ""),
        ("GET /none", ""),
        ("GET /page/", ""),
        ("GET /down/anything/at/all", ""),
        ("GET /page", "If-Match: *\r\n"),
        ("GET /page", "If-Match: \"other\"\r\n"),
        ("GET /page", "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:01 GMT\r\n"),
        ("GET /page", "If-Unmodified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n"),
        ("GET /page", "If-Match: \"other\"\r\nIf-None-Match: *\r\n"),
        ("GET /page", "If-None-Match: *\r\nRange: bytes=0-0\r\n"),
        ("GET /list/a&%3Cb%3E.txt", ""),
    ] {
        let (theirs, ours) = (ask(real.addresses[0], line, headers), ask(pointsman.http(), line, headers));
        assert_eq!(ours.status, theirs.status, "{line} {headers}");
        if theirs.status < 300 {
            assert_eq!(ours.text(), theirs.text(), "{line} {headers}");
        }
    }
    let accept = "Accept: application/json\r\n";
    let (theirs, ours) =
        (ask(real.addresses[0], "GET /list/", accept).json(), ask(pointsman.http(), "GET /list/", accept));
    let rows = |list: &serde_json::Value| {
        let row = |row: &serde_json::Value| {
            (row["type"].to_string(), row["name"].to_string(), row["size"].to_string())
        };
        list.as_array().expect("a list").iter().map(row).collect::<Vec<_>>()
    };
    assert_eq!(rows(&ours.json()), rows(&theirs), "folders first");
    assert_eq!(
        (ours.header("content-type"), ours.header("vary")),
        (Some("application/json"), Some("Accept"))
    );
}

#[test]
fn a_list_is_a_page_whose_links_lead_to_its_files() {
    let pointsman = start(&site(&Origin::named("web"), routes()), &FILES);
    let page = ask(pointsman.http(), "GET /list/", "Accept: text/html\r\n").text();
    assert!(page.contains("Index of /list/") && page.contains("a&amp;&lt;b&gt;.txt"), "{page}");
    assert!(!page.contains("secret") && !page.contains("<b>"), "{page}");
    let links: Vec<&str> =
        page.split("href=\"./").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(links, ["sub/", "a%26%3Cb%3E.txt", "b.txt"]);
    for link in links {
        assert_eq!(ask(pointsman.http(), &format!("GET /list/{link}"), "").status, 200, "{link}");
    }
    let head = ask_head(&pointsman, "/list/");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(ask(pointsman.http(), "GET /list/.secret", "").status, 403,);
}

fn ask_head(pointsman: &crate::harness::Pointsman, path: &str) -> Answer {
    ask(pointsman.http(), &format!("HEAD {path}"), "")
}

#[test]
fn links_are_followed_as_the_route_says() {
    let pointsman = start(&site(&Origin::named("web"), routes()), &FILES);
    let root = pointsman.dir.path().join("www");
    std::fs::write(pointsman.dir.path().join("outside"), "outside").expect("a file");
    for folder in ["linked", "unlinked", "inside"] {
        std::fs::create_dir_all(root.join(folder)).expect("a folder");
        symlink("../../outside", root.join(folder).join("out")).expect("a link");
        symlink("../both", root.join(folder).join("in")).expect("a link");
    }
    for (path, status) in [
        ("/linked/out", 200),
        ("/linked/in", 200),
        ("/linked/../outside", 400),
        ("/linked/..%2f..%2foutside", 400),
        ("/unlinked/out", 403),
        ("/unlinked/in", 403),
        ("/inside/out", 403),
        ("/inside/in", 200),
    ] {
        assert_eq!(ask(pointsman.http(), &format!("GET {path}"), "").status, status, "{path}");
    }
    let page = ask(pointsman.http(), "GET /inside/", "Accept: text/html\r\n").text();
    assert!(page.contains("\"./in\"") && !page.contains("\"./out\""), "{page}");
}

/// What a request says of itself chooses a folder below the root, and none beside it.
#[test]
fn each_request_has_its_own_folder() {
    let routes = r#"
        [[routes]]
        path = "/pub/"
        files = { root = "www", below = "$arg_site/pub", alias = true, fallback = 410 }
        [[routes]]
        files = { root = "www", below = "$host" }
        "#;
    let files = [
        ("www/a.example/index.html", "a"),
        ("www/b.example/index.html", "b"),
        ("www/one/pub/x", "one"),
        ("www/one/two/pub/x", "two"),
        ("www/.hidden/pub/x", "hidden"),
        ("pub/x", "outside"),
    ];
    let pointsman = start(&site(&Origin::named("web"), routes), &files);
    let outside = format!("GET /pub/x?site={}", pointsman.dir.path().display());
    for (line, host, status, text) in [
        ("GET /", "a.example", 200, "a"),
        ("GET /", "B.example:8080", 200, "b"),
        ("GET /", "c.example", 404, ""),
        ("GET /pub/x?site=one", "h", 200, "one"),
        ("GET /pub/x?site=one/two", "h", 200, "two"),
        ("GET /pub/x?site=one/../one", "h", 410, ""),
        ("GET /pub/x?site=..", "h", 410, ""),
        ("GET /pub/x?site=%2e%2e", "h", 410, ""),
        ("GET /pub/x?site=one/..%2f..", "h", 410, ""),
        ("GET /pub/x?site=.hidden", "h", 410, ""),
        ("GET /pub/x?site=/one", "h", 410, ""),
        ("GET /pub/x?site=one//two", "h", 410, ""),
        ("GET /pub/x?site=", "h", 410, ""),
        ("GET /pub/x", "h", 410, ""),
        (&*outside, "h", 410, ""),
    ] {
        let answer = send(pointsman.http(), &format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(answer.status, status, "{line} of {host}");
        assert!(text.is_empty() || answer.text() == text, "{line} of {host}");
    }
}

/// A client that asked at a port is redirected to the same port.
#[test]
fn redirects_keep_the_host_and_the_port_asked_for() {
    let to = "[[routes]]\npath = \"= /here\"\nredirect = { to = \"/docs/?$args\" }\n";
    let pointsman = start(&site(&Origin::named("web"), &format!("{}{to}", routes())), &FILES);
    let port = pointsman.http().port();
    for (path, end) in [("/docs", "/docs/"), ("/docs?a=b", "/docs/?a=b"), ("/here?c=d", "/docs/?c=d")] {
        let curl = Command::new("curl")
            .args(["-sL", "-w", " %{url_effective}", "--resolve", &format!("shop.example:{port}:127.0.0.1")])
            .arg(format!("http://shop.example:{port}{path}"))
            .output()
            .expect("curl");
        let text = String::from_utf8_lossy(&curl.stdout).into_owned();
        assert_eq!(text, format!("second index http://shop.example:{port}{end}"), "{path}");
    }
}
