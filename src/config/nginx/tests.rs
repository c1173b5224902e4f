//! What is carried over and what the report says.

mod directives;
mod generated;
mod variables;

use super::*;

fn imported(text: &str) -> Imported {
    import_text(text, "n").expect("it parses")
}

/// A server on :80 with these lines.
fn server(lines: &str) -> Imported {
    imported(&format!("http {{ server {{ listen 80; {lines} }} }}"))
}

#[track_caller]
fn says(imported: &Imported, toml: &[&str]) {
    for line in toml {
        assert!(imported.toml.contains(line), "{line} is not in\n{}\n{:#?}", imported.toml, imported.notes);
    }
}

#[track_caller]
fn tells(imported: &Imported, directive: &str, level: Level) {
    let found =
        imported.notes.iter().any(|note| note.directive.starts_with(directive) && note.level == level);
    assert!(found, "{directive} is not told as {level:?} in\n{:#?}", imported.notes);
}

#[test]
fn upstreams_become_services() {
    let imported = imported(
        "upstream App.v1 { least_conn; server 10.0.0.1:3000 weight=2 max_fails=2 fail_timeout=5s;
           server 10.0.0.2 backup max_conns=7; server 10.0.0.3:1 down; keepalive_timeout 9s; server unix:/x; }
         server { location / { proxy_pass http://App.v1; } location /b { proxy_pass http://10.1.1.1:81; } }",
    );
    says(
        &imported,
        &[
            "[services.app-v1.pools.blue]",
            "balance = \"least_conn\"",
            "passive = { max_fails = 2, fail_timeout = \"5s\" }",
            "keepalive = \"9s\"",
            "{ address = \"10.0.0.1:3000\", weight = 2 }, { address = \"10.0.0.2:80\", backup = true, max_conns = 7 }, \"unix:/x\"]",
            "upstreams = [\"10.1.1.1:81\"]",
            "set = { \"Host\" = \"App.v1\" }",
        ],
    );
    tells(&imported, "server 10.0.0.3:1", Level::Noted);
}

#[test]
fn pools_buffer_as_nginx_does_unless_told_otherwise() {
    let buffer = |lines: &str| {
        let toml = server(lines).toml;
        toml.lines().find_map(|line| line.strip_prefix("buffer = ")).unwrap_or("none").to_owned()
    };
    for (lines, expected) in [
        ("location / { proxy_pass http://a; }", "{ request = \"1M\", response = \"1M\" }"),
        (
            "client_max_body_size 100m; location / { proxy_pass http://a; }",
            "{ request = \"1M\", response = \"1M\" }",
        ),
        (
            "client_max_body_size 0; location / { proxy_pass http://a; }",
            "{ request = \"1M\", response = \"1M\" }",
        ),
        (
            "client_max_body_size 64k; location / { proxy_pass http://a; }",
            "{ request = \"64k\", response = \"1M\" }",
        ),
        ("proxy_buffering off; location / { proxy_pass http://a; }", "{ request = \"1M\" }"),
        ("proxy_request_buffering off; location / { proxy_pass http://a; }", "{ response = \"1M\" }"),
        ("proxy_buffering off; proxy_request_buffering off; location / { proxy_pass http://a; }", "none"),
        (
            "location / { proxy_pass http://a; } location /b/ { proxy_buffering off; proxy_pass http://a; }",
            "{ request = \"1M\" }",
        ),
        ("location / { grpc_pass grpc://a; }", "none"),
        ("location / { return 204; }", "none"),
    ] {
        assert_eq!(buffer(lines), expected, "{lines}");
    }
    let told = server("location / { proxy_buffering on; proxy_pass http://a; }");
    tells(&told, "proxy_buffering on", Level::Noted);
}

#[test]
fn sockets_in_the_file_system_are_upstreams() {
    let imported = imported(
        "upstream app { server unix:/run/a.sock; server unix:run/b.sock; }
         server { listen 80; location /a/ { proxy_pass http://app; }
           location /b/ { proxy_pass http://unix:/run/B.sock:/c/; }
           location /d/ { proxy_pass http://unix:/run/b.sock; } }",
    );
    says(
        &imported,
        &[
            "upstreams = [\"unix:/run/a.sock\"]",
            "upstreams = [\"unix:/run/B.sock\"]",
            "upstreams = [\"unix:/run/b.sock\"]",
            "/c/",
            "set = { \"Host\" = \"localhost\" }",
        ],
    );
    tells(&imported, "server unix:run/b.sock", Level::Missing);
}

#[test]
fn balances() {
    for (line, expected) in [
        ("ip_hash;", "balance = \"hash\""),
        ("hash $request_uri consistent;", "hash_by = \"uri\""),
        ("hash $http_x_user;", "hash_by = \"header:x-user\""),
        ("random two least_conn;", "balance = \"p2c\""),
    ] {
        let text =
            format!("upstream u {{ {line} server a:1; }} server {{ location / {{ proxy_pass http://u; }} }}");
        says(&imported(&text), &[expected]);
    }
}

#[test]
fn split_clients_become_pools_and_say_their_weights() {
    let imported = imported(
        "split_clients $remote_addr $variant { 5% green; * blue; }
         upstream blue { server a:1; } upstream green { server b:1; }
         server { location / { proxy_pass http://$variant; } }",
    );
    says(
        &imported,
        &[
            "[services.variant.pools.green]",
            "stable = \"blue\"\ncohort = { by = \"client_ip\" }",
            "weights variant green=5 blue=95",
        ],
    );
    tells(&imported, "split_clients", Level::Noted);
    let by = |key: &str| {
        self::imported(&format!(
            "split_clients {key} $v {{ 5% green; * blue; }} upstream blue {{ server a:1; }}
             upstream green {{ server b:1; }} server {{ location / {{ proxy_pass http://$v; }} }}"
        ))
    };
    says(&by("$http_x_user"), &["cohort = { by = \"header\", name = \"x-user\" }"]);
    says(&by("$remote_addr$date_gmt"), &["goes by the weights for itself, not by $remote_addr$date_gmt"]);
}

#[test]
fn headers_are_inherited_as_nginx_does() {
    let imported = server(
        "add_header A 1 always; add_header B 2; location / { return 200 x; } location /own { add_header C 3 always; return 200 y; }
         location /c { expires 7d; return 204; }",
    );
    says(
        &imported,
        &[
            "response = { add = { \"A\" = \"1\", \"B\" = { value = \"2\", on = \"success\" } }, remove = [\"Server\"] }",
            "response = { add = { \"C\" = \"3\" }, remove",
            "reply = { status = 204 }\nexpires = \"7d\"",
        ],
    );
}

#[test]
fn locations_keep_their_precedence_and_close_what_cannot_be_told() {
    let imported = server(
        "location /a { proxy_pass http://h:1; location ~ \\.php$ { fastcgi_pass x; } } location ~* \\.(gif|jpg)$ { root /srv; }
         location ^~ /b/ { proxy_pass http://h:1; } location = /c { deny all; } location ~ (?=x) { return 200; }
         location /d { auth_basic on; proxy_pass http://h:1; } location /e { allow 10.0.0.0/8; deny all; proxy_pass http://h:1; }
         location /f/ { proxy_pass http://h:1/g/; } location @n { proxy_pass http://h:2; } location /t { try_files $uri @n; }",
    );
    says(
        &imported,
        &[
            "path = '~ \\.php$'\nwithin = \"/a\"\nreply = { status = 501",
            "path = \"~ (?=x)\"\nreply = { status = 200 }",
            "path = '~* \\.(gif|jpg)$'\nfiles = { root = \"/srv\", symlinks = \"any\", default_type = \"text/plain\" }",
            "path = \"^~ /b/\"\nservice",
            "path = \"= /c\"\ndeny = true",
            "path = \"/d\"\ndeny = true",
            "allow = [\"10.0.0.0/8\"]",
            "path = \"/f/\"\nservice = \"h-1\"\npath_to = \"/g/\"",
            "path = \"= /b\"\nredirect = { to = \"$scheme://$host/b/$is_args$args\", status = 301 }",
            "path = \"/t\"\nservice = \"h-2-2\"",
        ]
        .map(|line| if line.ends_with("h-2-2\"") { "path = \"/t\"\nservice = \"h-2\"" } else { line }),
    );
    let nested = imported.toml.find(".php").zip(imported.toml.find("gif")).expect("both");
    assert!(nested.0 < nested.1, "the nested regex goes first");
    for (directive, level) in
        [("auth_basic", Level::Missing), ("fastcgi_pass", Level::Missing), ("try_files", Level::Missing)]
    {
        tells(&imported, directive, level);
    }
}

#[test]
fn servers_are_told_apart_by_address_and_host() {
    let imported = imported(
        "http { server { listen 80 default_server; listen [::]:80; server_name _; return 301 https://$host$request_uri; }
         server { listen 443 ssl; http2 on; server_name a.example *.b.example; ssl_certificate a.pem; ssl_certificate_key a.key;
           ssl_protocols TLSv1.3; location / { return 200 a; } }
         server { listen 443 ssl; server_name .c.example ~^d; ssl_certificate c.pem; ssl_certificate_key c.key; location /x { return 200 c; } }
         server { listen 443 ssl; server_name ~^e; ssl_certificate c.pem; ssl_certificate_key c.key; } }",
    );
    says(
        &imported,
        &[
            "listeners = [\"0.0.0.0:80\", \"[::]:80\"]\nredirect = { to = \"https://$host$request_uri\", status = 301 }",
            "certificates = [{ cert = \"a.pem\", key = \"a.key\" }, { cert = \"c.pem\", key = \"c.key\" }], http2 = true",
            "path = \"/\"\nlisteners = [\"0.0.0.0:443\"]\nreply = { status = 200, body = \"a\"",
            "hosts = [\"a.example\", \"*.b.example\"]\npath = \"/\"",
            "hosts = [\"c.example\", \"*.c.example\", \"~^d\"]\npath = \"/x\"",
            "hosts = [\"c.example\", \"*.c.example\", \"~^d\"]\npath = \"/\"\nlisteners = [\"0.0.0.0:443\"]\nreply = { status = 404 }",
            "hosts = [\"~^e\"]\npath = \"/\"",
        ],
    );
    assert!(imported.notes.iter().all(|note| note.level != Level::Missing), "{:#?}", imported.notes);
}

#[test]
fn redirects_that_certbot_writes() {
    let imported = imported(
        "server { if ($host = www.a.example) { return 301 https://$host$request_uri; } listen 80; server_name www.a.example; return 404; }
         server { listen 80; server_name b.example; if ($scheme = http) { return 301 https://$host$request_uri; } }",
    );
    says(
        &imported,
        &[
            // Both servers say the same.
            "hosts = [\"www.a.example\", \"b.example\"]\npath = \"/\"\nredirect",
            "path = \"/\"\nreply = { status = 404 }",
        ],
    );
    assert!(imported.notes.iter().all(|note| note.level != Level::Missing), "{:#?}", imported.notes);
}

#[test]
fn a_redirect_to_https_holds_for_the_hosts_of_its_server() {
    let tls = "ssl_certificate a.pem; ssl_certificate_key a.key;";
    let imported = imported(&format!(
        "server {{ listen 80 default_server; listen 443 ssl default_server; {tls} return 404; }}
         server {{ listen 80; listen 443 ssl; {tls} server_name b.example; if ($scheme = http) {{ return 301 https://$host$request_uri; }}
           location / {{ return 200 b; }} }}"
    ));
    says(
        &imported,
        &[
            "hosts = [\"b.example\"]\npath = \"/\"\nlisteners = [\"0.0.0.0:80\"]\nredirect",
            "hosts = [\"b.example\"]\npath = \"/\"\nlisteners = [\"0.0.0.0:443\"]\nreply",
        ],
    );
}

#[test]
fn what_was_behind_a_listener_that_went_opens_nowhere_else() {
    let imported = imported(
        "server { listen 80; return 404; } server { listen 443 ssl; location /secret { return 200 secret; } }",
    );
    assert!(!imported.toml.contains("secret"), "{}", imported.toml);
    tells(&imported, "listen 443 ssl", Level::Missing);
    tells(&imported, "location /secret", Level::Missing);
}

#[test]
fn grpc_has_services_of_its_own() {
    let imported = imported(
        "upstream u { server a:1; keepalive_requests 9; } server { location / { proxy_pass http://u; }
         location /pkg.Service/ { grpc_pass grpc://u; grpc_read_timeout 9s; grpc_set_header X-A b; } location /t { grpc_pass grpcs://u; } }",
    );
    says(
        &imported,
        &[
            "service = \"u-2\"",
            "http2 = true",
            "requests_per_connection = 9",
            "read = \"9s\"",
            "\"X-A\" = \"b\"",
        ],
    );
    says(&imported, &["path = \"/t\"\nservice = \"u-3\"", "http2 = true\n# verify = false: nginx"]);
}

#[test]
fn tls_towards_upstreams_is_carried_over_with_what_it_verifies() {
    let imported = server(
        "proxy_ssl_ciphers HIGH; location /off { proxy_pass https://app:1; } location /default { proxy_pass https://10.0.0.1; }
         location /on { proxy_ssl_verify on; proxy_ssl_trusted_certificate ca.pem; proxy_ssl_name app.internal; proxy_ssl_server_name on;
           proxy_ssl_certificate c.pem; proxy_ssl_certificate_key c.key; proxy_pass https://app:1; }
         location /unverified { proxy_ssl_trusted_certificate ca.pem; proxy_ssl_name $host; proxy_ssl_server_name on;
           proxy_ssl_certificate data:x; proxy_ssl_certificate_key c.key; proxy_ssl_crl crl.pem; proxy_pass https://app:1; }
         location /plain { proxy_ssl_name x; proxy_pass http://app:1; }",
    );
    says(
        &imported,
        &[
            "path = \"/off\"\nservice = \"app-1\"",
            "tls = { verify = false }\nupstreams = [\"app:1\"]",
            "tls = { verify = false }\nupstreams = [\"10.0.0.1:443\"]",
            "\"Host\" = \"app:1\"",
            "tls = { ca = \"ca.pem\", name = \"app.internal\", client = { cert = \"c.pem\", key = \"c.key\" } }",
            "# verify = false: nginx accepts any certificate",
        ],
    );
    for (directive, level) in [
        ("proxy_pass https://app:1", Level::Noted),
        ("proxy_ssl_ciphers", Level::Noted),
        ("proxy_ssl_trusted_certificate", Level::Noted),
        ("proxy_ssl_name $host", Level::Missing),
        ("proxy_ssl_certificate data:x", Level::Missing),
        ("proxy_ssl_crl", Level::Missing),
        ("proxy_ssl_name x", Level::Noted),
    ] {
        tells(&imported, directive, level);
    }
}

#[test]
fn a_group_is_asked_for_by_its_name_where_nginx_does() {
    let group = "upstream app { server 10.0.0.1:443; } server { location / { ";
    for (lines, expected) in [
        ("proxy_ssl_verify on;", "tls = { name = \"app\" }"),
        ("proxy_ssl_server_name on;", "tls = { verify = false, name = \"app\" }"),
        ("proxy_ssl_verify on; proxy_ssl_name b.example;", "tls = { name = \"b.example\" }"),
        ("", "tls = { verify = false }"),
    ] {
        says(&imported(&format!("{group}{lines} proxy_pass https://app; }} }}")), &[expected]);
    }
}

#[test]
fn limits_compression_and_pages() {
    let imported = imported(
        "http { limit_req_zone $binary_remote_addr zone=a:1m rate=5r/m; limit_conn_zone $binary_remote_addr zone=c:1m; gzip on; gzip_types text/css;
         server { limit_conn c 3; client_max_body_size 2m; location / { limit_req zone=a burst=4; proxy_pass http://h:1; }
         location /up { client_max_body_size 0; gzip off; proxy_pass http://h:1; } error_page 502 /50x.html; location = /50x.html { root /srv; } } }",
    );
    says(
        &imported,
        &[
            "[rate_limits.a]\nrate = \"5/m\"\nburst = 4\nby = \"client_ip\"\nstatus = 503",
            "limits = { rates = [\"a\"], connections_per_client = 3 }",
            "limits = { body = \"1024G\", connections_per_client = 3 }\ncompression = false",
            "types = [\"text/html\", \"text/css\"]",
            "[error_pages]\n502 = { path = \"/50x.html\" }",
            "limits = { body = \"2M\" }",
        ],
    );
    tells(&imported, "limit_req zone=a", Level::Noted);
}

#[test]
fn access_cookies_retries_and_pages() {
    let imported = server(
        "underscores_in_headers on; error_page 404 = @app; error_page 500 503 /50x.html; error_page 403 https://$host/sorry; allow 10.0.0.0/8; deny all;
         auth_basic \"in here\"; auth_basic_user_file /srv/users; satisfy any;
         location / { proxy_pass http://h:1; proxy_next_upstream error http_503 non_idempotent; proxy_next_upstream_timeout 5s; proxy_intercept_errors on; }
         location /c/ { satisfy all; proxy_pass http://h:2/; proxy_cookie_path /a /c; proxy_cookie_domain .h.internal $host; proxy_cookie_flags ~ secure; }
         location /f/ { internal; alias /srv/f/; } location @app { proxy_pass http://h:3; }
         location = /ask { internal; proxy_pass http://h:4/check; proxy_pass_request_body off; }
         location /s/ { auth_basic off; auth_request /ask; auth_request_set $u $upstream_http_x_user; proxy_set_header X-User $u; proxy_pass http://h:5; }",
    );
    says(
        &imported,
        &[
            "underscores = true",
            "[error_pages]\n403 = { redirect = \"https://$host/sorry\" }\n404 = { route = \"@app\", status = \"answer\" }\n\"500, 503\" = { path = \"/50x.html\" }",
            "basic_auth = { realm = \"in here\", file = \"/srv/users\" }\nsatisfy = \"any\"\nintercept = true",
            "basic_auth = { realm = \"in here\", file = \"/srv/users\" }\ncookie_paths = [{ from = \"/a\", to = \"/c\" }]\ncookie_domains = [{ from = \".h.internal\", to = \"$host\" }]\ncookie_flags = { secure = true }",
            "retry = { on = [\"error\", 503], tries = 1, timeout = \"5s\", unsafe = true }\naccel = true",
            "authorize = { service = \"h-4\", path = \"/check\", forward = [\"X-User\"] }",
            "internal = true",
        ],
    );
    assert_eq!(fuzzing::unsound(&imported), []);
    let missing: Vec<_> = imported.notes.iter().filter(|note| note.level == Level::Missing).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn what_cannot_be_asked_stays_denied() {
    for lines in [
        "auth_basic x; location / { return 404; } location /a { proxy_pass http://h:1; }",
        "auth_basic x; auth_basic_user_file /u$host; location /a { proxy_pass http://h:1; }",
        "auth_request /none; location /a { proxy_pass http://h:1; } location /none { return 200; }",
        "auth_request /ask; location /a { proxy_pass http://h:1; } location = /ask { rewrite ^ /x break; proxy_pass http://h:2; }",
        "satisfy any; deny 10.0.0.1; auth_basic x; auth_basic_user_file /u; location /a { proxy_pass http://h:1; }",
        "auth_basic x; auth_basic_user_file /u; auth_jwt x; location /a { proxy_pass http://h:1; }",
    ] {
        says(&server(lines), &["path = \"/a\"\ndeny = true"]);
    }
}

#[test]
fn servers_that_say_the_same_are_one_and_what_is_off_is_no_alarm() {
    let imported = imported(
        "http { proxy_cache_path /c keys_zone=z:1m; upstream u { server h:1 fail_timeout=0; }
         server { listen 80; server_name a; proxy_cache_bypass $http_upgrade; location / { proxy_set_header X-A $http_x_a; proxy_pass http://u; } }
         server { listen 80; server_name b; autoindex_exact_size off; location / { proxy_set_header X-A $http_x_a; proxy_pass http://u; } } }",
    );
    says(
        &imported,
        &["hosts = [\"b\", \"a\"]\npath = \"/\"\nservice = \"u\"", "passive = { max_fails = 0,"][1..],
    );
    let missing: Vec<_> = imported.notes.iter().filter(|note| note.level == Level::Missing).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    let redirects = self::imported(
        "server { listen 80 default_server; return 404; } server { listen 80; server_name a; return 301 https://$host$request_uri; }
         server { listen 80; server_name b; return 301 https://$host$request_uri; }",
    );
    says(&redirects, &["hosts = [\"a\", \"b\"]\npath = \"/\"\nredirect"]);
}

#[test]
fn notes_have_their_weight_and_the_gravest_comes_first() {
    let imported = server(
        "sendfile on; proxy_limit_rate 1k; location /a { fastcgi_pass x; } location /b { auth_jwt x; proxy_pass http://h:1; }
         types { text/html html; text/css css; }",
    );
    let weights: Vec<Weight> = imported.notes.iter().map(|note| note.weight).collect();
    let mut sorted = weights.clone();
    sorted.sort();
    assert_eq!(weights, sorted);
    for weight in [Weight::Protection, Weight::Unanswered, Weight::Difference, Weight::Harmless] {
        assert!(weights.contains(&weight), "{weight:?} is not in {:#?}", imported.notes);
    }
    assert_eq!(imported.counts.apart, 2);
}

#[test]
fn nothing_is_dropped_silently() {
    let imported = imported(
        "http { frobnicate on; server { location / { shiny { inner 1; } return 200; } } } stream { server { listen 1; } }",
    );
    for directive in ["frobnicate on", "shiny", "inner 1", "stream", "server", "listen 1"] {
        tells(&imported, directive, Level::Missing);
    }
    let note = &imported.notes[0];
    assert_eq!((note.file.as_str(), note.line), ("n", 1));
    assert!(note.to_string().starts_with("n:1: frobnicate on: not carried over: "), "{note}");
}

#[test]
fn what_check_would_refuse_is_told_of_and_not_written() {
    let imported = imported(
        "server { gzip on; gzip_types text/css text/ plain; add_header X-A a\u{1}b; add_header X-B ok; proxy_hide_header Connection;
         location / { proxy_set_header 'X Y' ''; proxy_set_header HTTP2-Settings x; proxy_pass http://h:1; } } server { server_name b; '' x; }",
    );
    says(
        &imported,
        &[
            "types = [\"text/html\", \"text/css\"]",
            "add = { \"X-B\" = { value = \"ok\", on = \"success\" } }",
        ],
    );
    for directive in ["gzip_types", "add_header X-A", "proxy_set_header \"X Y\"", "\"\" x"] {
        tells(&imported, directive, Level::Missing);
    }
    assert_eq!(fuzzing::unsound(&imported), []);
}

#[test]
fn rewrites_become_rules_in_their_order() {
    let imported = server(
        r#"location /a { rewrite ^/a/(.*)$ /b/$1mp3 break; rewrite "^/b%20/(.*)" "/c%20/?x=$1" last; proxy_pass http://h:1; }
        location /d { rewrite ^/d/(\d+)$ /e?id=$1&; rewrite ^/d/(.*)/$ /d/$1? permanent; } location /w { rewrite ^/w/(.*)/$ /w/$1? permanent; rewrite ^/w /x; return 404; }
        location /f { rewrite ^/f/(.*)$ https://$host/$1$$ redirect; rewrite ^/g /h; proxy_pass http://h:1/i/; }
        location ~* ^/j/(.*)$ { proxy_pass http://h:1/k/$1$is_args$args; } location ~ ^/l/(.*)$ { proxy_pass http://h:1/$1; }
        location /m { rewrite ^/m/(.*)$ /n/$1 break; return 403; } location /o { rewrite (?x /y last; proxy_pass http://h:1; }
        location /p { rewrite ^/p /q/$cookie_a last; } location /r { proxy_pass http://h:1$request_uri; } location /s { deny all; rewrite ^/s /t last; }
        location /u/ { proxy_pass http://h:1/v?w=x; } "#,
    );
    says(
        &imported,
        &[
            "service = \"h-1\"\nrewrite = [\n  { match = \"^/a/(.*)$\", to = \"/b/$1mp3\" },\n  { match = \"^/b%20/(.*)\", to = \"/c%2520/?x=$1\", then = \"route\" },\n]",
            "path = \"/w\"\nreply = { status = 404 }\nrewrite = [{ match = \"^/w/(.*)/$\", to = \"/w/$1?\", status = 301 }]\n",
            "path = \"/d\"\nreply = { status = 404 }\nrewrite = [\n  { match = '^/d/(\\d+)$', to = \"/e?id=$1&\", then = \"next\" },\n  { match = \"^/d/(.*)/$\", to = \"/d/$1?\", status = 301 },\n]",
            "path_to = \"/i/\"\nrewrite = [\n  { match = \"^/f/(.*)$\", to = \"https://$host/$1$$$$\", status = 302 },\n  { match = \"^/g\", to = \"/h\", then = \"route\" },",
            "path = \"~* ^/j/(.*)$\"\nservice = \"h-1\"\nrewrite = [{ match = \"(?i)^/j/(.*)$\", to = \"/k/$1\" }]",
            "rewrite = [{ match = \"^/l/(.*)$\", to = \"/$1?\" }]",
            "path = \"/m\"\nreply = { status = 501",
            "path = \"/o\"\nreply = { status = 501",
            "path = \"/p\"\nreply = { status = 404 }\nrewrite = [{ match = \"^/p\", to = \"/q/$cookie_a\", then = \"route\" }]",
            "path = \"/r\"\nservice = \"h-1\"\n",
            "path = \"/s\"\ndeny = true\n",
            "path = \"/u/\"\nreply = { status = 501",
        ],
    );
    for directive in ["return 403", "rewrite (?x", "proxy_pass http://h:1/v"] {
        tells(&imported, directive, Level::Missing);
    }
}

#[test]
fn rewrites_of_a_server_are_routes_before_its_locations() {
    let imported = server(
        "rewrite ^/blog/(.*)$ https://blog.example/$1 permanent; rewrite ^/old/(.*)$ /new/$1 last; rewrite ^/a$ /b;
         rewrite (?x /y last; rewrite ^/exact https://x.example/ redirect;
         location = /exact { return 204; } location / { proxy_pass http://h:1; }",
    );
    let first = "first = true\nonward = true\nrewrite = [{ match =";
    says(
        &imported,
        &[
            &format!("{first} \"^/blog/(.*)$\", to = \"https://blog.example/$1\", status = 301 }}]"),
            &format!("{first} \"^/old/(.*)$\", to = \"/new/$1\", then = \"route\" }}]"),
            // The lines behind it see the new path.
            &format!("{first} \"^/a$\", to = \"/b\" }}]"),
            "path = \"~ ^\"\nfirst = true\nreply = { status = 501",
            &format!("{first} \"^/exact\", to = \"https://x.example/\", status = 302 }}]"),
        ],
    );
    tells(&imported, "rewrite (?x", Level::Missing);
    let all = server(
        "rewrite ^/a$ https://a.example/ permanent; rewrite ^/b$ /c last; rewrite ^ https://b.example$request_uri? permanent; location / { return 204; }",
    );
    says(
        &all,
        &[
            &format!("{first} \"^/a$\""),
            &format!("{first} \"^/b$\", to = \"/c\", then = \"route\" }}]"),
            "path = \"/\"\nredirect = { to = \"https://b.example$request_uri\", status = 301 }",
        ],
    );
}

#[test]
fn try_files_looks_below_the_folder_and_falls_back() {
    let imported = imported(
        "server { listen 80; root /srv; location / { try_files $uri $uri/ /index.html; } location /a/ { try_files $uri @app; }
           location /b/ { alias /x/; try_files $uri $uri/ =410; } location /c { try_files $uri /index.php?q=$uri&$args; }
           location /d { try_files $uri.html $uri @none; } location /e { try_files $uri =200; } location /f { try_files $uri @app; proxy_pass http://h:1; }
           location @app { limit_req zone=z; proxy_pass http://h:1; proxy_read_timeout 9s; } }
         server { listen 81; root /srv2; location / { try_files $uri @app; } location @app { rewrite ^/(.*)$ /app.php?p=$1 last; } }",
    );
    says(
        &imported,
        &[
            "path = \"/\"\nlisteners = [\"0.0.0.0:80\"]\nfiles = { root = \"/srv\", try = [\"$path\", \"$path/\"], fallback = \"/index.html\", symlinks = \"any\", default_type = \"text/plain\" }",
            "files = { root = \"/srv\", try = [\"$path\"], fallback = \"@app\", symlinks = \"any\", default_type = \"text/plain\" }",
            "files = { root = \"/x/\", alias = true, try = [\"$path\", \"$path/\"], fallback = 410, symlinks = \"any\", default_type = \"text/plain\" }",
            "fallback = \"/index.php?q=$path&$args\", symlinks = \"any\", default_type = \"text/plain\" }",
            "path = \"@app\"\nservice = \"h-1\"\n",
            "files = { root = \"/srv2\", try = [\"$path\"], fallback = \"@app-2\", symlinks = \"any\", default_type = \"text/plain\" }",
            "path = \"@app-2\"\nfiles = { root = \"/srv2\", symlinks = \"any\", default_type = \"text/plain\" }\nrewrite = [{ match = \"^/(.*)$\", to = \"/app.php?p=$1\", then = \"route\" }]",
        ],
    );
    assert_eq!(imported.toml.matches("path = \"@app\"").count(), 1, "{}", imported.toml);
    for directive in ["try_files $uri.html", "try_files $uri =200", "try_files $uri @app"] {
        tells(&imported, directive, Level::Missing);
    }
}
