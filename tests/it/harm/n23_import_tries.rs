//! What is looked for, shown and asked for stays what nginx would.

use super::n22_import_closed::pair::{Alone, Pair, furnished};
use crate::harness::Printed;

const AROUND: &str = "access_log off; default_type text/html;
upstream app { server @APP@; }
map $http_x_to $backend { default app; other 127.0.0.1:1; }
server { listen @LISTEN@ default_server; return 404; }
";

/// Lines of a server, and requests: what nginx does not give out, the import does not either; and with `=`
/// before it, a request is answered with the same body.
const CASES: &[(&str, &[&str])] = &[
    (
        "root @DIR@/www; location / { try_files /dev/null @app; } location @app { proxy_pass http://app; }",
        &["=GET /secret.txt", "=GET /x?y"],
    ),
    (
        "root @DIR@/www; location / { try_files /nonexistent.html @app; } location @app { proxy_pass http://app; }",
        &["=GET /secret.txt"],
    ),
    (
        "root @DIR@/www; location / { try_files \"\" @app; } location @app { proxy_pass http://app; }",
        &["GET /secret.txt"],
    ),
    (
        "root @DIR@/www; location / { try_files /none /page.html; } location = /page.html { }",
        &["=GET /secret.txt", "=GET /page.html"],
    ),
    (
        "root @DIR@/www; location / { try_files /index.html =404; }",
        &["=GET /secret.txt", "=GET /private/x.txt", "=GET /"],
    ),
    ("root @DIR@/www; location / { try_files $uri.html =404; }", &["GET /secret.txt", "GET /page"]),
    (
        "root @DIR@/www; location / { try_files $uri/ @app; } location @app { proxy_pass http://app; }",
        &["=GET /secret.txt"],
    ),
    (
        "root @DIR@/www; location / { try_files /cache$uri /cache/$host$uri @app; } location @app { proxy_pass http://app; }",
        &["=GET /secret.txt"],
    ),
    ("root @DIR@/www; location / { try_files /50x.html $uri =404; }", &["GET /secret.txt"]),
    ("root @DIR@/www; location / { try_files /none =404; }", &["GET /secret.txt"]),
    ("root @DIR@/www; location / { try_files /none =403; }", &["GET /secret.txt"]),
    (
        "root @DIR@/www; location / { try_files /none /app.php?q=$uri; } location = /app.php { proxy_pass http://app; }",
        &["=GET /secret.txt?a=b"],
    ),
    ("root @DIR@/www; location / { try_files ${uri} =404; }", &["=GET /secret.txt", "GET /none"]),
    // Source.
    (
        "root @DIR@/www; error_page 404 /index.php; location / { } location ~ \\.php$ { fastcgi_pass 127.0.0.1:1; }",
        &["GET /none", "GET /index.php", "GET /a.php"],
    ),
    ("root @DIR@/www; error_page 404 /index.php; location / { }", &["GET /none"]),
    (
        "root @DIR@/www; error_page 404 /app/x.txt; location / { } location /app { proxy_pass http://127.0.0.1:1; }",
        &["GET /none"],
    ),
    (
        "root @DIR@/www; error_page 404 403 /private/x.txt; location / { } location /private { deny all; }",
        &["GET /none", "GET /private/x.txt"],
    ),
    (
        "root @DIR@/www; location / { uwsgi_pass 127.0.0.1:1; } location /app { scgi_pass 127.0.0.1:1; } location /up { set $memcached_key $uri; memcached_pass 127.0.0.1:1; }",
        &["GET /secret.txt", "GET /app/x.php", "GET /up/x.php"],
    ),
    (
        "root @DIR@/www; index index.php index.html; location / { } location ~ \\.php$ { fastcgi_pass 127.0.0.1:1; }",
        &["GET /", "GET /app/"],
    ),
    (
        "root @DIR@/www; location ~ \\.php$ { if ($uri !~ ^/safe) { fastcgi_pass 127.0.0.1:1; } }",
        &["GET /a.php"],
    ),
    (
        "root @DIR@/www; location ~ \\.php$ { try_files $uri =404; fastcgi_pass 127.0.0.1:1; }",
        &["GET /a.php", "GET /none.php"],
    ),
    ("root @DIR@/www; location / { ssi on; }", &["GET /none"]),
    // Upstreams by variable.
    (
        "location / { proxy_pass http://$backend; } location /s { set $to 127.0.0.1:1; proxy_pass http://$to; }",
        &["GET /; X-To: other", "GET /s"],
    ),
    (
        "resolver 127.0.0.1:1; resolver_timeout 1s; location / { proxy_pass http://app$http_x_to; } location /h { proxy_pass http://app.$host/; } location /g { proxy_pass http://app$host; }",
        &["GET /; X-To: .evil", "GET /h", "GET /g"],
    ),
    ("location / { proxy_pass http://app$request_uri; }", &["=GET /x?y"]),
    // Folders.
    ("location /images/ { alias @DIR@/www/images; }", &["GET /images/x.txt"]),
    ("location /images { alias @DIR@/www/images/; }", &["GET /images../secret.txt"]),
    ("location /images/ { alias @DIR@/www/images/; }", &["=GET /images/x.txt"]),
    (
        "root @DIR@/www/app; location /b { root @DIR@/www; } location = /x.txt { root @DIR@/www/images; }",
        &["=GET /b/x.txt", "=GET /x.txt", "GET /secret.txt"],
    ),
    (
        "location = /secret.txt { return 403; } location ~ \\.txt$ { root @DIR@/www; } location ^~ /private { return 404; }",
        &["GET /secret.txt", "GET /private/x.txt", "=GET /app/x.txt"],
    ),
    ("root @DIR@/www; return 410; location / { }", &["GET /secret.txt"]),
];

#[test]
fn what_is_not_looked_for_by_nginx_is_not_found() {
    let servers = CASES.iter().enumerate().map(|(index, (lines, _))| {
        format!("server {{ listen @LISTEN@; server_name s{index}.example; {lines} }}\n")
    });
    let pair = Pair::start(&format!("{AROUND}{}", servers.collect::<String>()));
    let (mut asked, mut wrong) = (0, Vec::new());
    for (index, (lines, requests)) in CASES.iter().enumerate() {
        for request in *requests {
            let (same, request) = request.strip_prefix('=').map_or((false, *request), |rest| (true, rest));
            let (nginx, pointsman) = pair.ask(&format!("s{index}.example"), request);
            asked += 1;
            let (theirs, ours) = (nginx.text(), pointsman.text());
            let leaks = ours.contains("secret") && ours != theirs;
            if leaks || (same && (nginx.status, &theirs) != (pointsman.status, &ours)) {
                let (one, two) = (nginx.status, pointsman.status);
                wrong.push(format!("{request}: {one} {theirs:?} but {two} {ours:?}: {lines}"));
            }
        }
    }
    println!(
        "import, tries: of {asked} requests {} are answered by what nginx does not look for",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pages_for_errors_belong_to_their_server_and_location() {
    let pair = Pair::start(&format!(
        "{AROUND}server {{ listen @LISTEN@; server_name a.example; root @DIR@/www; error_page 404 /50x.html; location /own {{ error_page 404 /page.html; }} location / {{ }} }}
         server {{ listen @LISTEN@; server_name b.example; root @DIR@/www; }}"
    ));
    let mut wrong = 0;
    for (host, path, page) in [
        ("a.example", "/none", "50x.html"),
        ("a.example", "/own/none", "page.html"),
        ("b.example", "/none", ""),
    ] {
        let (nginx, pointsman) = pair.ask(host, &format!("GET {path}"));
        let shows = |text: &str| match page {
            "" => !text.contains("secret"),
            page => text.contains(page),
        };
        assert!(nginx.status == 404 && shows(&nginx.text()), "{host}{path}: nginx {}", nginx.text());
        wrong += usize::from(pointsman.status != 404 || !shows(&pointsman.text()));
    }
    println!("import, pages: {wrong} of 3 errors have the page of another place");
    assert_eq!(wrong, 0, "{}", pair.toml);
}

#[test]
fn the_client_is_who_nginx_takes_for_it() {
    let around = "upstream app { server @APP@; } access_log off;";
    let place = "allow 203.0.113.0/24; deny all; location / { proxy_pass http://app; }";
    let spoofed = "GET /; X-Forwarded-For: 203.0.113.7";
    let (mut asked, mut let_in) = (0, 0);
    for (lines, requests) in [
        ("set_real_ip_from 127.0.0.0/8;", &[spoofed][..]),
        ("set_real_ip_from 127.0.0.0/8; real_ip_header X-Real-IP;", &[spoofed]),
        ("set_real_ip_from 127.0.0.0/8; real_ip_header CF-Connecting-IP;", &[spoofed]),
        (
            "set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For;",
            &["GET /; X-Forwarded-For: 203.0.113.7, 10.0.0.2"],
        ),
        ("set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For;", &[spoofed]),
    ] {
        let pair = Pair::start(&format!("{around} server {{ listen @LISTEN@; {lines} {place} }}"));
        for request in requests {
            let (nginx, pointsman) = pair.ask("a.example", request);
            assert_eq!(nginx.status, 403, "{lines}");
            asked += 1;
            let_in += usize::from(pointsman.status == 200);
        }
    }
    // The proxies of one server are not those of another on the same address.
    let pair = Pair::start(&format!(
        "{around} server {{ listen @LISTEN@; server_name a.example; set_real_ip_from 127.0.0.0/8; real_ip_header X-Forwarded-For; real_ip_recursive on; return 204; }}
         server {{ listen @LISTEN@; server_name b.example; {place} }}"
    ));
    let (nginx, pointsman) = pair.ask("b.example", spoofed);
    assert_eq!(nginx.status, 403);
    let_in += usize::from(pointsman.status == 200);
    println!("import, clients: {let_in} of {} who only say so are let in", asked + 1);
    assert_eq!(let_in, 0);
}

#[test]
fn certificates_of_clients_are_asked_for_by_their_server_only() {
    let dir = furnished();
    let tls = "listen 443 ssl; ssl_certificate a.pem; ssl_certificate_key a.key;";
    let verify = "ssl_verify_client on; ssl_client_certificate ca.pem;";
    let import = |one: &str, other: &str| {
        let conf = format!(
            "http {{ server {{ {tls} server_name one.example; {one} location / {{ proxy_pass http://a:1; }} }}
             server {{ {tls} server_name other.example; {other} location / {{ proxy_pass http://a:1; }} }} }}"
        );
        std::fs::write(dir.path().join("nginx.conf"), conf).expect("a file");
        Printed::of(&["import", "nginx", "nginx.conf"], dir.path()).out
    };
    let routes = |toml: &str, what: &str| toml.matches(what).count();
    for (one, other, asks, denied) in [
        (verify, verify, 1, 0),
        (verify, "", 0, 1),
        ("", verify, 0, 1),
        (verify, "ssl_verify_client on; ssl_client_certificate b.pem;", 0, 2),
    ] {
        let toml = import(one, other);
        assert_eq!(
            (routes(&toml, "client_ca"), routes(&toml, "deny = true")),
            (asks, denied),
            "{one}|{other}\n{toml}"
        );
    }
}

#[test]
fn hosts_and_addresses_that_cannot_be_told_apart_open_nothing() {
    let alone = Alone::start(
        "upstream app { server @APP@; }
         server { listen @LISTEN@ default_server; server_name named.example; location / { proxy_pass http://app; } }
         server { listen @LISTEN@; server_name ~^admin\\. www.example.*; deny all; location / { proxy_pass http://app; } }
         server { listen @LISTEN@; server_name twice.example; location / { return 403; } }
         server { listen @LISTEN@; server_name twice.example; location /in { proxy_pass http://app; } }
         server { listen @LISTEN@; server_name hosts.example old.example; if ($host != hosts.example) { return 301 http://hosts.example$request_uri; } location / { proxy_pass http://app; } }",
    );
    for (host, path, status) in [
        ("named.example", "/", 200),
        ("admin.example", "/", 403),
        ("www.example.org", "/", 403),
        ("twice.example", "/in", 403),
        ("hosts.example", "/", 200),
        ("old.example", "/", 301),
    ] {
        assert_eq!(alone.get(host, path).status, status, "{host}{path}\n{}", alone.toml);
    }
}
