//! The whole of the import against configurations that nobody wrote.

use super::*;
use proptest::prelude::*;

const NAMES: &str = "
proxy_pass return root alias index add_header proxy_set_header expires allow deny limit_req
limit_conn gzip gzip_types error_page try_files rewrite internal listen server_name ssl_certificate
ssl_certificate_key ssl_protocols client_max_body_size access_log proxy_read_timeout
keepalive_timeout set_real_ip_from real_ip_header unknown_thing include limit_req_zone
limit_conn_zone client_header_timeout send_timeout keepalive_requests auth_basic if set http2 ssl proxy_redirect stub_status large_client_header_buffers
proxy_hide_header brotli grpc_pass default_type log_format hash least_conn proxy_ssl_name
proxy_ssl_server_name proxy_ssl_trusted_certificate
rewrite try_files proxy_pass
";

/// Arguments that mean something, and some that do not; separated by line ends.
const ARGS: &str = r#"on
off
80
[::]:443
proxy_protocol
slow_start=5s
ssl
http://up
https://up
http://10.0.0.1:80/x
http://$v
/a
/srv/$x
301
200
https://$host$request_uri
'text body$'
always
zone=z:1m
rate=5r/s
burst=3
zone=z
all
10.0.0.0/8
$binary_remote_addr
60s
7d
500ms
400d
10m
0
a.example
*.example.org
~^x
_
TLSv1.3
text/css
=404
@n
502
/50x.html
X-A
"v\"w"
$uri
'${host}x'
''
-1
^/(.*)$
/x/$1?a=$1
/x/../y%2
last
break
permanent
/index.html
é	"#;

fn directive() -> impl Strategy<Value = String> {
    let names = prop::sample::select(NAMES.split_whitespace().collect::<Vec<_>>());
    let arg = prop::sample::select(ARGS.lines().collect::<Vec<_>>());
    (names, prop::collection::vec(arg, 0..4)).prop_map(|(name, args)| format!("{name} {};", args.join(" ")))
}

fn block(
    name: &'static str,
    inner: impl Strategy<Value = String> + 'static,
) -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "/",
        "/a",
        "/a/",
        "= /b",
        "^~ /c/",
        "~ \\.php$",
        "~* ^/(x|y)",
        "@n",
        "x",
        "~ (",
    ]);
    (names, prop::collection::vec(inner, 0..5)).prop_map(move |(path, inner)| {
        let path = if name == "location" {
            path
        } else if name == "upstream" {
            "up"
        } else {
            ""
        };
        format!("{name} {path} {{ {} }}\n", inner.join(" "))
    })
}

fn configuration() -> impl Strategy<Value = String> {
    let nested = prop_oneof![4 => directive(), 1 => block("location", directive())];
    let in_server = prop_oneof![3 => directive(), 2 => block("location", nested)];
    let upstream_server = prop::sample::select(vec![
        "server a:1;",
        "server 10.0.0.1 weight=500 max_fails=x;",
        "server unix:/x;",
        "keepalive 3;",
    ]);
    let in_upstream = prop_oneof![2 => upstream_server.prop_map(str::to_owned), 1 => directive()];
    let in_http = prop_oneof![
        2 => directive(),
        3 => block("server", in_server),
        1 => block("upstream", in_upstream),
        1 => Just("split_clients $remote_addr $v { 10% up; * 10.0.0.9:80; }\n".to_owned()),
        1 => Just("map $http_upgrade $connection_upgrade { default upgrade; '' close; }\n".to_owned()),
    ];
    prop_oneof![block("http", in_http.boxed()).boxed(), block("server", directive()).boxed()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Every directive has one fate, and every note its place; what is made is TOML, and the same each time.
    #[test]
    fn every_directive_has_one_fate(text in configuration()) {
        let tree = include::read_text(&text, "n").expect("it parses");
        let imported = convert(&tree);
        fuzzing::nothing_is_dropped(&imported, tree.count);
        prop_assert_eq!(&imported, &convert(&tree));
        prop_assert!(imported.toml.parse::<::toml::Table>().is_ok(), "{}", imported.toml);
    }

    /// What is wrong with the result is only what nginx's configuration lacked, too, or files of this machine.
    #[test]
    fn what_is_made_is_sound(text in configuration()) {
        let imported = imported(&text);
        let others = fuzzing::unsound(&imported);
        prop_assert!(others.is_empty(), "{others:#?}\n{}\n{text}", imported.toml);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in r"[a-z/~=$\{\};' \n0-9_]{0,80}") {
        let _ = import_text(&String::from_utf8_lossy(&bytes), "n");
        let _ = import_text(&text, "n");
        let _ = import_text(&format!("server {{ {text} }}"), "n");
    }
}
