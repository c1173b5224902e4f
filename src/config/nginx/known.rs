//! What is said of directives that no part of the import takes up.
//!
//! A table, so that a sentence is easy to add. A name that is not in it was not carried over: unknown
//! is never taken for harmless.

use super::ledger::Level::{self, Missing, Noted};
use super::ledger::{Fate, HARMLESS};
use super::tree::Directive;

const DEFAULTS: &str = "not needed: it is about nginx's own processes, sockets or buffers";
const TLS: &str = "the suites, curves and session resumption are those of rustls; see tls of the listener";
const NO_TLS: &str = "TLS to clients has nothing like it; see tls of the listener";
const STREAMS: &str =
    "buffer of the pool says how much of a body lies in memory; beyond, it is streamed, not written to files";
const UNUSED: &str = "nothing uses it: it is overridden, or stands where it has no effect";
const FILES: &str = "files are served as they are; leave it out, or serve them by a service";
const CACHE: &str = "Pointsman does not cache answers; keep the cache in a service behind it";
const TLS_UPSTREAM: &str =
    "of TLS towards upstreams, a pool has verify, ca, name and client; see tls of the pool";
const TLS_SUITES: &str =
    "not needed: upstreams are greeted with the TLS versions and suites of rustls, which are modern";
const GATEWAY: &str =
    "only HTTP upstreams are spoken to; put the application's own HTTP server in front of it";
const FASTCGI: &str = "FastCGI is not spoken: put a server that speaks it in front of php-fpm (FrankenPHP, Caddy, or nginx on \
                       127.0.0.1 with these lines), and name that as an upstream";
const BODY: &str = "answers are not rewritten; change it in the application";
const AUTH: &str =
    "not carried over; see basic_auth, authorize and satisfy of routes, or protect it in the application";
const BY_LISTENER: &str =
    "set by listener: what the default server of the address says holds for all, in its locations, too";
const VARIABLE: &str =
    "not carried over; write it under [maps] or [values]; what asks for this one says so where it stands";
const OTHER_PROTOCOL: &str = "only HTTP is proxied; keep nginx or another proxy for it";
const SCRIPT: &str = "no scripts are run; express it as routes, or do it in the application";

/// Names that begin so; the first that fits counts, so the longer ones come first.
const PREFIXES: &[(&str, Level, &str)] = &[
    ("proxy_ssl_", Missing, TLS_UPSTREAM),
    ("proxy_cache", Missing, CACHE),
    ("proxy_cookie_", Noted, UNUSED),
    ("proxy_temp_", Noted, STREAMS),
    ("proxy_headers_hash_", Noted, DEFAULTS),
    ("fastcgi_", Missing, FASTCGI),
    ("uwsgi_", Missing, GATEWAY),
    ("scgi_", Missing, GATEWAY),
    ("memcached_", Missing, GATEWAY),
    ("grpc_ssl_", Missing, TLS_UPSTREAM),
    ("grpc_", Missing, "of gRPC, the timeouts and the headers set are carried over"),
    ("auth_", Missing, AUTH),
    ("ssl_", Missing, NO_TLS),
    ("worker_", Noted, DEFAULTS),
    ("referer_hash_", Noted, DEFAULTS),
    ("open_file_cache", Noted, DEFAULTS),
    ("sub_filter", Missing, BODY),
    ("lua_", Missing, SCRIPT),
    ("js_", Missing, SCRIPT),
    ("perl", Missing, SCRIPT),
    ("more_", Missing, "the headers-more module; use [headers] set and remove"),
    ("zstd", Missing, "only gzip and brotli are compressed with; see [compression]"),
    (
        "http2_",
        Noted,
        "limits.streams of the listener bounds the streams; the other limits are built in, and nothing is pushed",
    ),
    ("geoip", Missing, "addresses are not located; do it in the application"),
    ("dav_", Missing, FILES),
    ("health_check", Missing, "add health = { path = \"/health\" } to the pool"),
];

#[rustfmt::skip]
const NAMES: &[(&[&str], Level, &str)] = &[
    (&["user"], Noted, "start pointsman as that user, by systemd or the container"),
    (&["pid", "daemon", "master_process", "lock_file", "pcre_jit", "thread_pool", "timer_resolution", "events",
       "use", "multi_accept", "accept_mutex", "accept_mutex_delay", "sendfile", "sendfile_max_chunk", "tcp_nopush",
       "tcp_nodelay", "aio", "directio", "output_buffers", "postpone_output", "reset_timedout_connection",
       "types_hash_max_size", "types_hash_bucket_size", "server_names_hash_bucket_size", "env",
       "server_names_hash_max_size", "variables_hash_max_size", "variables_hash_bucket_size",
       "map_hash_max_size", "map_hash_bucket_size", "limit_req_log_level", "limit_conn_log_level",
       "client_body_buffer_size", "client_body_temp_path", "client_header_buffer_size", "request_pool_size",
       "connection_pool_size", "lingering_close", "lingering_time", "lingering_timeout", "zone",
       "client_body_in_single_buffer", "log_not_found", "log_subrequest", "open_log_file_cache",
       "aio_write", "directio_alignment", "preread_buffer_size", "proxy_send_lowat", "send_lowat", "debug_points",
       "working_directory", "http", "degrade", "msie_padding", "msie_refresh", "keepalive_disable", "read_ahead", "subrequest_output_buffer_size", "debug_connection"], Noted, DEFAULTS),
    (&["worker_connections", "worker_rlimit_nofile"], Noted, "as many as the system gives the process descriptors for"),
    (&["max_headers"], Missing, "limits.headers of the listener says how many there may be"),
    (&["worker_shutdown_timeout"], Noted, "server.grace says how long"),
    (&["client_body_in_file_only"], Missing, "bodies are not written to files"),
    (&["ignore_invalid_headers"], Noted, "fields that HTTP does not allow are refused"),
    (&["ssl_ciphers", "ssl_prefer_server_ciphers", "ssl_session_cache", "ssl_session_timeout", "ssl_dhparam",
       "ssl_ecdh_curve", "ssl_buffer_size", "ssl_protocols", "ssl_session_tickets", "ssl_trusted_certificate",
       "ssl_client_certificate", "ssl_verify_client", "ssl_certificate", "ssl_certificate_key", "ssl_stapling",
       "ssl_stapling_verify", "ssl_stapling_file"], Noted, TLS),
    (&["ssl_early_data"], Missing, "early data is not taken, so that no request can be sent twice by others"),
    (&["load_module"], Missing, "there are no modules; what it was for is told where its directives stand"),
    (&["resolver", "resolver_timeout"], Noted, "names of upstreams are resolved by the system, again and again"),
    (&["proxy_buffers", "proxy_buffer_size", "proxy_busy_buffers_size", "proxy_max_temp_file_size"],
       Noted, STREAMS),
    (&["proxy_limit_rate"], Missing, "answers are passed on as fast as the client takes them"),
    (&["proxy_ignore_client_abort"], Missing, "a request to an upstream ends when its client goes"),
    (&["proxy_socket_keepalive", "proxy_force_ranges", "proxy_ignore_headers"], Missing, "there is nothing like it"),
    (&["proxy_ssl_protocols", "proxy_ssl_ciphers", "proxy_ssl_session_reuse", "proxy_ssl_verify_depth",
       "grpc_ssl_protocols", "grpc_ssl_ciphers", "grpc_ssl_session_reuse", "grpc_ssl_verify_depth"], Noted, TLS_SUITES),
    (&["proxy_store", "proxy_store_access", "slice", "proxy_no_cache"], Missing, CACHE),
    (&["mirror", "mirror_request_body"], Missing, "requests are not mirrored; use a rollout with a canary"),
    (&["proxy_bind", "proxy_method", "proxy_set_body", "proxy_pass_request_headers",
       "proxy_pass_request_body"], Missing, "requests are passed on as they are"),
    (&["recursive_error_pages"], Missing, "an error in place of an error has the built-in page"),
    (&["types", "default_type"], Noted, "files are served with the usual types of their names"),
    (&["charset", "source_charset", "override_charset", "charset_types", "charset_map"], Noted,
     "text in files is said to be UTF-8; what an application says of its answers stays"),
    (&["etag", "if_modified_since", "max_ranges"], Noted,
     "files have ETag and Last-Modified, and conditions and single ranges are answered by them"),
    (&["autoindex_exact_size", "autoindex_localtime", "autoindex_format"], Noted, UNUSED),
    (&["random_index", "create_full_put_path", "min_delete_depth", "f4f", "hls", "xml_entities",
        "gunzip", "flv", "mp4", "image_filter", "ssi", "xslt_stylesheet",
       "limit_rate", "limit_rate_after", "add_trailer", "addition_types", "add_before_body", "add_after_body"],
       Missing, FILES),
    (&["gzip_static", "brotli_static"], Noted,
     "files that lie there compressed are not looked for; what is compressed by the way is said in [compression]"),
    (&["gzip_disable", "gzip_buffers", "gzip_http_version", "gzip_window", "gzip_hash", "brotli_buffers",
       "brotli_window"], Noted, "not needed: the client's Accept-Encoding decides"),
    (&["merge_slashes"], Noted, "routes take doubled slashes for one, always; what goes to an upstream stays as it was sent"),
    (&["chunked_transfer_encoding"], Noted, "an answer of unknown length is sent in chunks"),
    (&["absolute_redirect", "port_in_redirect", "server_name_in_redirect"], Noted,
     "redirects go where `to` says"),
    (&["set", "if", "break", "rewrite_log", "uninitialized_variable_warn"], Missing,
     "not carried over; write routes with `when` or `first`, and names under [values] and [maps]"),
    (&["map", "geo", "split_clients", "keyval", "keyval_zone", "ancient_browser", "ancient_browser_value",
       "modern_browser", "modern_browser_value"], Missing, VARIABLE),
    (&["limit_except"], Missing, "not carried over; write routes with when = { methods = [\"GET\"] }"),
    (&["secure_link", "secure_link_md5", "secure_link_secret", "userid", "valid_referers"], Missing, AUTH),
    (&["post_action", "empty_gif", "degradation", "max_errors", "userid_service"], Missing, SCRIPT),
    (&["stream", "mail", "rtmp"], Missing, OTHER_PROTOCOL),
    (&["http3", "quic_retry", "quic_gso"], Missing, "there is no HTTP/3"),
    (&["server_tokens"], Noted, "no version is ever shown"),
    (&["error_log"], Noted, "errors go to standard error; POINTSMAN_LOG sets the level"),
    (&["log_format"], Noted, "the formats are json and combined, both with the times; fields of one's own are not in there"),
    (&["proxy_pass"], Noted, "another directive of its location answers first"),
    (&["include"], Noted, "what it names is in its place"),
    (&["status_zone", "api", "status", "stub_status", "upstream_conf", "session_log", "session_log_format",
       "session_log_zone"], Noted,
     "figures are at /metrics and /v1/services of the admin API"),
    (&["client_body_timeout", "client_header_timeout", "keepalive_timeout", "keepalive_requests", "keepalive_time",
       "send_timeout", "large_client_header_buffers", "real_ip_header", "real_ip_recursive", "set_real_ip_from"],
       Noted, BY_LISTENER),
    (&["underscores_in_headers"], Noted, BY_LISTENER),
    (&["upstream"], Noted, "no proxy_pass names it"),
    (&["ssl"], Missing, "nginx has it no more; write listen … ssl"),
    (&["limit_zone"], Missing, "nginx has it no more; write limit_conn_zone"),
    (&["limit_req_dry_run"], Missing, "limits hold; leave out those that are tried only"),
    (&["http2"], Noted, "HTTP/2 is for listeners with TLS; h2c of a listener is without"),
    (&["match"], Missing, "add health = { path = \"/health\" } to the pool, with status and match"),
    (&["zone_sync"], Missing, "what instances share is said in [fleet]"),
    (&["state", "ntlm", "sticky", "sticky_cookie_insert", "queue", "least_time"], Missing,
     "use balance = \"hash\" with hash_by for clients that must stay on an upstream"),
    (&["brotli", "brotli_comp_level", "brotli_types", "brotli_min_length", "gzip", "gzip_types",
       "gzip_min_length", "gzip_comp_level", "gzip_vary", "gzip_proxied", "add_header", "expires",
       "proxy_ssl_verify", "proxy_ssl_trusted_certificate", "proxy_ssl_name", "proxy_ssl_server_name",
       "proxy_ssl_certificate", "proxy_ssl_certificate_key", "grpc_ssl_verify", "grpc_ssl_trusted_certificate",
       "grpc_ssl_name", "grpc_ssl_server_name", "grpc_ssl_certificate", "grpc_ssl_certificate_key",
       "proxy_set_header", "proxy_hide_header", "proxy_pass_header", "proxy_connect_timeout",
       "proxy_read_timeout", "proxy_send_timeout", "proxy_http_version", "proxy_buffering",
       "proxy_request_buffering", "proxy_redirect", "proxy_intercept_errors", "auth_basic_user_file", "satisfy", "proxy_next_upstream", "proxy_next_upstream_tries",
       "proxy_next_upstream_timeout", "client_max_body_size",
       "root", "alias", "index", "autoindex", "disable_symlinks", "error_page", "limit_req", "limit_conn", "limit_req_zone", "limit_conn_zone",
       "limit_req_status", "limit_conn_status", "access_log", "allow", "deny", "try_files", "internal", "server_name", "location", "server", "return", "rewrite"],
       Noted, UNUSED),
];

/// What is off anyway.
const OFF: &[&str] = &[
    "auth_basic",
    "auth_request",
    "auth_jwt",
    "proxy_cache",
    "proxy_store",
    "proxy_ignore_client_abort",
    "proxy_force_ranges",
    "proxy_intercept_errors",
    "recursive_error_pages",
    "autoindex",
    "random_index",
    "gzip_static",
    "brotli_static",
    "gunzip",
    "ssi",
    "underscores_in_headers",
    "modsecurity",
    "http3",
    "mirror",
    "proxy_socket_keepalive",
    "ssl_early_data",
    "ssl_reject_handshake",
    "ssl_stapling",
    "image_filter",
    "sub_filter_once",
    "limit_req_dry_run",
];

/// The level of a directive that nobody has marked, and what to say.
pub(super) fn fate(directive: &Directive) -> (Fate, String) {
    let (level, detail) = level(directive);
    // What nobody had to take up is not missed.
    let fate = if level == Noted { HARMLESS } else { level.into() };
    (fate, detail)
}

fn level(directive: &Directive) -> (Level, String) {
    let name = directive.name.as_str();
    let is_only = |value: &str| directive.args.len() == 1 && directive.arg(0) == value;
    if (OFF.contains(&name) && is_only("off")) || (name == "satisfy" && is_only("all")) {
        return (Level::Carried, String::new());
    }
    let row = NAMES.iter().find(|(names, ..)| names.contains(&name)).map(|(_, level, why)| (*level, *why));
    let prefix = || PREFIXES.iter().find(|(prefix, ..)| name.starts_with(prefix));
    let found = row.or_else(|| prefix().map(|(_, level, why)| (*level, *why)));
    match found {
        Some((level, why)) => (level, why.to_owned()),
        None if name.contains("_by_lua") => (Missing, SCRIPT.to_owned()),
        None => {
            (Missing, "the import does not know it; see conf/pointsman.toml for what there is".to_owned())
        }
    }
}
