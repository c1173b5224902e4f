//! The table of nginx's directives in the documentation: what becomes of each.
//!
//! What is carried over stands here with a configuration that shows it; what nothing takes up is asked of
//! `known`.

use super::super::harmless;
use super::super::known;
use super::super::ledger::Level;
use super::super::parse::parse;
use super::super::tree::Directive;
use std::fmt::Write;

/// Directives, a part of a server that has them, what its import has then, and what that is called.
type Row = (&'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const CARRIED: &[Row] = &[
    ("http server listen", "listen 8080;", "address = \"0.0.0.0:8080\"", "`[[listeners]]`, `listeners` of routes"),
    ("location", "location = /x { return 204; }", "path = \"= /x\"", "`path` of routes, `within`"),
    ("return", "return 204;", "reply = { status = 204 }", "`reply`, `redirect`, `deny` of routes"),
    ("proxy_pass", "location / { proxy_pass http://h:1; }", "service = \"h-1\"", "`service` of a route, `upstreams` of a pool, `path_to`"),
    ("grpc_pass", "location / { grpc_pass grpc://h:1; }", "http2 = true", "`service` of a route, `http2` of a pool"),
    ("rewrite", "location /a { rewrite ^/a /b break; proxy_pass http://h:1; }", "rewrite = [", "`rewrite` of routes"),
    ("if", "if ($http_x = 1) { return 403; } location / { return 204; }", "when = ", "routes with `when` or `first`"),
    ("set", "set $a b; location / { return 200 $a; }", "body = \"b\"", "filled in where its variable stands"),
    ("break", "location / { set $a b; break; return 200 $a; }", "path = \"/\"", "the end of the rules"),
    ("limit_except", "location / { limit_except GET { deny all; } proxy_pass http://h:1; }", "methods", "`methods` of `when`"),
    ("root", "root /srv;", "files = { root = \"/srv\"", "`files.root` of routes"),
    ("alias", "location /a/ { alias /srv/; }", "alias = true", "`files.alias` of routes"),
    ("index", "root /srv; index a.html b.html;", "index = [\"a.html\", \"b.html\"]", "`files.index`"),
    ("try_files", "root /srv; location / { try_files $uri $uri.html /x; }", "try = [\"$path\", \"$path.html\"], fallback = \"/x\"", "`files.try`, `files.fallback`"),
    ("autoindex autoindex_format", "root /srv; autoindex on; autoindex_format json;", "autoindex = \"json\"", "`files.autoindex`"),
    ("disable_symlinks", "root /srv; disable_symlinks on;", "symlinks = \"off\"", "`files.symlinks`"),
    ("default_type", "root /srv; default_type text/html;", "default_type = \"text/html\"", "`files.default_type`, `reply.type`"),
    ("internal", "location /a { internal; proxy_pass http://h:1; }", "internal = true", "`internal` of routes, `accel` of pools"),
    ("error_page", "error_page 404 /404.html; return 204;", "404 = { path = \"/404.html\" }", "`error_pages`"),
    ("proxy_intercept_errors", "location / { proxy_intercept_errors on; proxy_pass http://h:1; }", "intercept = true", "`intercept` of routes"),
    ("allow deny", "location / { allow 10.0.0.0/8; deny all; proxy_pass http://h:1; }", "allow = [\"10.0.0.0/8\"]", "`allow`, `deny_from`, `deny` of routes"),
    ("auth_basic auth_basic_user_file", "location / { auth_basic x; auth_basic_user_file /srv/u; proxy_pass http://h:1; }", "basic_auth = { realm = \"x\", file = \"/srv/u\" }", "`basic_auth` of routes"),
    ("auth_request auth_request_set", "location / { auth_request /a; auth_request_set $u $upstream_http_x_user; proxy_set_header X-Name $u; proxy_pass http://h:1; } location = /a { proxy_pass http://h:2/c; }", "forward = [{ from = \"x-user\", to = \"X-Name\" }]", "`authorize` of routes"),
    ("satisfy", "location / { satisfy any; allow 10.0.0.0/8; deny all; auth_basic x; auth_basic_user_file /srv/u; proxy_pass http://h:1; }", "satisfy = \"any\"", "`satisfy` of routes"),
    ("valid_referers", "location / { valid_referers none a.example; if ($invalid_referer) { return 403; } proxy_pass http://h:1; }", "$http_referer", "`[maps]` of `$http_referer`"),
    ("set_real_ip_from real_ip_header real_ip_recursive", "set_real_ip_from 10.0.0.0/8; real_ip_header X-Real-IP; return 204;", "client_header = \"x-real-ip\"\nclient_hops = 1", "`trusted_proxies`, `client_header`, `client_hops`, `proxy_protocol` of listeners"),
    ("add_header", "add_header X-A b; return 204;", "\"X-A\" = { value = \"b\", on = \"success\" }", "`headers.response`"),
    ("expires", "expires 7d; return 204;", "expires = \"7d\"", "`expires` of routes"),
    ("proxy_set_header grpc_set_header", "location / { proxy_set_header X-A b; proxy_pass http://h:1; }", "\"X-A\" = \"b\"", "`headers.request`, `forwarded`"),
    ("proxy_hide_header proxy_pass_header", "location / { proxy_hide_header X-B; proxy_pass http://h:1; }", "\"X-B\"", "`headers.response.remove`"),
    ("proxy_redirect", "location /a/ { proxy_redirect http://h/ /a/; proxy_pass http://h:1; }", "relocate = [", "`relocate` of routes"),
    ("proxy_cookie_path", "location / { proxy_cookie_path /a /b; proxy_pass http://h:1; }", "cookie_paths", "`cookie_paths` of routes"),
    ("proxy_cookie_domain", "location / { proxy_cookie_domain a.b c.d; proxy_pass http://h:1; }", "cookie_domains", "`cookie_domains` of routes"),
    ("proxy_cookie_flags", "location / { proxy_cookie_flags sid secure; proxy_pass http://h:1; }", "cookie_flags = [{ name = \"sid\", secure = true }]", "`cookie_flags` of routes"),
    ("proxy_connect_timeout proxy_read_timeout proxy_send_timeout grpc_connect_timeout grpc_read_timeout grpc_send_timeout", "location / { proxy_read_timeout 9s; proxy_pass http://h:1; }", "read = \"9s\"", "`timeouts` of pools and routes"),
    ("proxy_buffering proxy_request_buffering", "location / { proxy_request_buffering off; proxy_pass http://h:1; }", "buffer = ", "`buffer` of pools"),
    ("proxy_next_upstream proxy_next_upstream_tries proxy_next_upstream_timeout", "location / { proxy_next_upstream error http_503; proxy_pass http://h:1; }", "retry = ", "`retry` of pools"),
    ("proxy_ssl_verify proxy_ssl_trusted_certificate proxy_ssl_name proxy_ssl_certificate proxy_ssl_certificate_key", "location / { proxy_ssl_verify on; proxy_ssl_trusted_certificate /srv/ca.pem; proxy_pass https://h:1; }", "ca = \"/srv/ca.pem\"", "`tls` of pools"),
    ("client_max_body_size", "client_max_body_size 7m; location / { proxy_pass http://h:1; }", "body = \"7M\"", "`limits.body` of listeners and routes"),
    ("client_header_timeout client_body_timeout send_timeout keepalive_timeout", "client_header_timeout 7s; return 204;", "header = \"7s\"", "`timeouts` of listeners"),
    ("keepalive_requests", "keepalive_requests 7; return 204;", "requests_per_connection = 7", "`limits.requests_per_connection` of listeners"),
    ("large_client_header_buffers", "large_client_header_buffers 4 8k; return 204;", "header_size = \"32k\"", "`limits.header_size` of listeners"),
    ("underscores_in_headers ignore_invalid_headers", "underscores_in_headers on; return 204;", "underscores = true", "`underscores` of listeners"),
    ("gzip gzip_types gzip_min_length gzip_comp_level gzip_vary gzip_proxied", "gzip on; gzip_types text/css; return 204;", "types = [\"text/html\", \"text/css\"]", "`[compression]`, `compression` of routes"),
    ("brotli brotli_types brotli_min_length brotli_comp_level", "brotli on; return 204;", "algorithms = [\"br\"]", "`[compression]`"),
    ("proxy_http_version proxy_ssl_server_name", "location / { proxy_http_version 1.1; proxy_pass http://h:1; }", "service = ", "always so: HTTP/1.1 with connections kept, and the name said by TLS"),
    ("grpc_ssl_verify grpc_ssl_trusted_certificate grpc_ssl_name", "location / { grpc_ssl_verify on; grpc_ssl_trusted_certificate /srv/ca.pem; grpc_pass grpcs://h:1; }", "ca = \"/srv/ca.pem\"", "`tls` of pools"),
    ("ssl_session_tickets", "listen 443 ssl; ssl_certificate a.pem; ssl_certificate_key a.key; ssl_session_tickets on; return 204;", "session_tickets = true", "`tls.session_tickets` of listeners"),
    ("access_log", "access_log off; return 204;", "access_log = false", "`[access_log]`, `access_log` of routes"),
    ("ssl_certificate ssl_certificate_key ssl_protocols", "listen 443 ssl; ssl_certificate a.pem; ssl_certificate_key a.key; ssl_protocols TLSv1.3; return 204;", "min_version = \"1.3\"", "`tls` of listeners"),
    ("ssl_client_certificate ssl_verify_client", "listen 443 ssl; ssl_certificate a.pem; ssl_certificate_key a.key; ssl_client_certificate ca.pem; ssl_verify_client on; return 204;", "client_ca = \"ca.pem\"", "`tls.client_ca` of listeners"),
];

/// In `http`, beside a server.
#[rustfmt::skip]
const AROUND: &[Row] = &[
    ("worker_processes", "worker_processes 3; http { server { return 204; } }", "threads = 3", "`server.threads`"),
    ("server_name", "server { return 204; } server { server_name a.example; return 204; }", "hosts = [\"a.example\"]", "`hosts` of routes"),
    ("upstream ip_hash least_conn hash random zone keepalive", "upstream u { least_conn; server a:1; } server { location / { proxy_pass http://u; } }", "balance = \"least_conn\"", "`[services.*.pools.*]`"),
    ("map", "map $host $m { default a; x b; } server { return 200 $m; }", "[maps.m]", "`[maps]`"),
    ("geo", "geo $g { default a; 10.0.0.0/8 b; } server { return 200 $g; }", "[maps.g]", "`[maps]` of `$remote_addr`"),
    ("split_clients", "split_clients $remote_addr $v { 10% b; * a; } upstream a { server a:1; } upstream b { server b:1; } server { location / { proxy_pass http://$v; } }", "cohort", "pools and a `cohort`"),
    ("limit_req limit_req_zone limit_req_status", "limit_req_zone $binary_remote_addr zone=z:1m rate=5r/s; server { location / { limit_req zone=z burst=2; proxy_pass http://h:1; } }", "[rate_limits.", "`[rate_limits]`, `limits.rates` of routes"),
    ("limit_conn limit_conn_zone limit_conn_status", "limit_conn_zone $binary_remote_addr zone=c:1m; server { location / { limit_conn c 5; proxy_pass http://h:1; } }", "connections_per_client = 5", "`limits.connections_per_client` of routes"),
];

#[test]
fn what_the_table_says_is_carried_over_is() {
    let whole =
        |text: &str| if text.contains("http {") { text.to_owned() } else { format!("http {{ {text} }}") };
    let around = AROUND.iter().map(|row| (row, whole(row.1)));
    let within = CARRIED.iter().map(|row| (row, format!("http {{ server {{ {} }} }}", row.1)));
    for ((names, _, has, _), text) in within.chain(around) {
        let imported = super::super::import_text(&text, "f").expect("it parses");
        assert!(imported.toml.contains(has), "{names}: {has} is not in\n{}", imported.toml);
    }
}

/// The names of all modules that nginx's own packages have for HTTP.
fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = harmless::names().chain(MORE.split_whitespace()).collect();
    names.extend(CARRIED.iter().chain(AROUND).flat_map(|row| row.0.split(' ')));
    names.sort_unstable();
    names.dedup();
    names
}

const MORE: &str = "
add_trailer auth_basic auth_request auth_request_set charset_map client_body_buffer_size client_body_in_file_only
client_body_temp_path dav_methods disable_symlinks fastcgi_pass fastcgi_param fastcgi_cache geoip_country
grpc_ssl_verify gunzip gzip_static http2_max_concurrent_streams image_filter keepalive_disable lingering_close
limit_rate limit_req_dry_run memcached_pass mirror mp4 open_file_cache perl proxy_bind proxy_cache proxy_cache_path
proxy_cache_valid proxy_ssl_server_name proxy_ssl_session_reuse random_index satisfy scgi_pass secure_link slice ssi
ssl_reject_handshake ssl_session_cache ssl_stapling sub_filter thread_pool userid uwsgi_pass worker_connections worker_processes
xslt_stylesheet zstd";

fn page() -> String {
    let mut page = String::from(START);
    let carried = CARRIED.iter().chain(AROUND);
    for name in names() {
        let row = carried.clone().find(|row| row.0.split(' ').any(|known| known == name));
        let cells = match row {
            Some((.., words)) => format!("carried over | {words}"),
            None => {
                let (fate, words) = known::fate(&directive(name));
                let level = match fate.level {
                    Level::Missing => "not carried over",
                    Level::Carried | Level::Noted => "noted",
                };
                let words = words.strip_prefix("not carried over; ").unwrap_or(&words);
                format!("{level} | {}", words.replace('|', "\\|").replace('<', "&lt;"))
            }
        };
        writeln!(page, "| `{name}` | {cells} |").expect("written");
    }
    page
}

fn directive(name: &str) -> Directive {
    parse(&format!("{name} on;"), "f").expect("it parses").remove(0)
}

const START: &str = "[From nginx](nginx-migration.md) · made by `make reference`

# nginx's directives

What `pointsman import nginx` makes of each. A directive that is carried over may still have what is not: the report says so, with
file and line. What is not known at all is taken for a protection, and what it stands around is denied.

| directive | | what it is here, or why it is not |
|---|---|---|
";

#[test]
fn the_table_of_directives_is_current() {
    let page = page();
    assert!(page.lines().count() <= 400, "{} lines; divide it", page.lines().count());
    assert!(!page.contains("the import does not know it"), "{page}");
    crate::config::tests::is_current("docs/nginx-directives.md", &page);
}
