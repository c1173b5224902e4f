//! Directives that refuse nobody, or whose refusals the import carries over.
//!
//! A list of what is harmless, not of what protects: modules that ask for credentials, filter requests or run
//! code are without number, and a directive that is not here may be one of theirs.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Families of which no member refuses a request.
const PREFIXES: &[&str] = &[
    "accept_",
    "addition_",
    "autoindex_",
    "brotli",
    "charset_",
    "client_body_",
    "fastcgi_",
    "geoip",
    "grpc_",
    "gzip",
    "http2_",
    "http3_",
    "image_filter_",
    "init_by_lua",
    "init_worker_by_lua",
    "keepalive_",
    "limit_conn",
    "limit_req",
    "lingering_",
    "log_by_lua",
    "lua_",
    "map_hash_",
    "memcached_",
    "more_",
    "mp4_",
    "open_file_cache",
    "opentelemetry",
    "opentracing",
    "otel_",
    "pagespeed",
    "perl_",
    "proxy_cache_",
    "proxy_cookie_",
    "proxy_headers_hash_",
    "proxy_ssl_",
    "proxy_temp_",
    "quic_",
    "referer_hash_",
    "scgi_",
    "server_names_hash_",
    "ssi_",
    "ssl_session_",
    "ssl_stapling",
    "sub_filter",
    "thread_",
    "types_hash_",
    "userid",
    "uwsgi_",
    "variables_hash_",
    "vhost_traffic_status",
    "worker_",
    "xslt_",
    "zstd",
];

const NAMES: &str = "
absolute_redirect access_log add_after_body add_before_body add_header add_trailer aio aio_write alias allow
ancient_browser ancient_browser_value api auth_delay autoindex break charset chunked_transfer_encoding
client_header_buffer_size client_header_timeout client_max_body_size connection_pool_size content_by_lua_block
content_by_lua_file create_full_put_path daemon dav_access dav_methods debug_connection debug_points default_type
degradation degrade deny directio directio_alignment empty_gif env error_log error_page etag events expires f4f flv geo
gunzip hash health_check hls http http2 http3 if if_modified_since ignore_invalid_headers image_filter include index
internal ip_hash js_content js_import js_include js_path js_preload_object js_set js_var keyval keyval_zone
large_client_header_buffers least_conn least_time limit_except limit_rate limit_rate_after limit_zone listen load_module
location lock_file log_format log_not_found log_subrequest mail map master_process match max_errors max_headers max_ranges
memcached_pass merge_slashes min_delete_depth mirror mirror_request_body modern_browser modern_browser_value mp4
msie_padding msie_refresh multi_accept ntlm open_log_file_cache output_buffers override_charset pcre_jit perl pid
port_in_redirect post_action postpone_output preread_buffer_size proxy_bind proxy_buffer_size proxy_buffering
proxy_buffers proxy_busy_buffers_size proxy_cache proxy_connect_timeout proxy_force_ranges proxy_hide_header
proxy_http_version proxy_ignore_client_abort proxy_ignore_headers proxy_intercept_errors proxy_limit_rate
proxy_max_temp_file_size proxy_method proxy_next_upstream proxy_next_upstream_timeout proxy_next_upstream_tries
proxy_no_cache proxy_pass proxy_pass_header proxy_pass_request_body proxy_pass_request_headers proxy_read_timeout
proxy_redirect proxy_request_buffering proxy_send_lowat proxy_send_timeout proxy_set_body proxy_set_header
proxy_socket_keepalive proxy_store proxy_store_access queue random random_index read_ahead real_ip_header
real_ip_recursive recursive_error_pages request_pool_size reset_timedout_connection resolver resolver_timeout return
rewrite rewrite_log rtmp root satisfy send_lowat send_timeout sendfile sendfile_max_chunk server server_name
server_name_in_redirect server_tokens session_log session_log_format session_log_zone set set_real_ip_from slice
source_charset split_clients ssi ssl ssl_buffer_size ssl_certificate ssl_certificate_key ssl_ciphers
ssl_client_certificate ssl_conf_command ssl_crl ssl_dhparam ssl_early_data ssl_ecdh_curve ssl_engine ssl_ocsp
ssl_ocsp_cache ssl_ocsp_responder ssl_password_file ssl_prefer_server_ciphers ssl_protocols ssl_trusted_certificate
ssl_verify_client ssl_verify_depth state status status_zone sticky stream stub_status
subrequest_output_buffer_size tcp_nodelay tcp_nopush timer_resolution try_files types underscores_in_headers
uninitialized_variable_warn upstream upstream_conf use user working_directory xml_entities zone zone_sync
";

/// In them a script decides.
const SCRIPTS: &[&str] =
    &["fastcgi_cache_purge", "lua_check_client", "lua_access", "perl_access", "uwsgi_cache_purge"];

static HARMLESS: LazyLock<HashSet<&str>> = LazyLock::new(|| NAMES.split_whitespace().collect());

/// Those that are listed one by one.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.split_whitespace()
}

pub(super) fn is_harmless(name: &str) -> bool {
    let family = || PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !SCRIPTS.contains(&name);
    HARMLESS.contains(name) || family()
}

/// Files that distributions bring along, which hold parameters and nothing else.
pub(super) fn is_harmless_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let known =
        ["mime.types", "fastcgi_params", "fastcgi.conf", "uwsgi_params", "scgi_params", "proxy_params"];
    known.contains(&name)
        || name.ends_with("koi-utf")
        || name.ends_with("koi-win")
        || name.ends_with("win-utf")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_refuse_is_not_harmless() {
        for name in [
            "auth_basic",
            "auth_request",
            "auth_jwt",
            "access_by_lua_block",
            "rewrite_by_lua_file",
            "js_access",
            "modsecurity",
            "secure_link",
            "valid_referers",
            "set_by_lua",
            "header_filter_by_lua_block",
            "naxsi_x",
            "SecRulesEnabled",
            "ssl_reject_handshake",
            "testcookie",
            "limited",
            "disable_symlinks",
            "frobnicate",
            "",
        ] {
            assert!(!is_harmless(name), "{name}");
        }
        for name in [
            "proxy_pass",
            "gzip_types",
            "limit_req",
            "limit_req_zone",
            "ssl_session_cache",
            "more_set_headers",
        ] {
            assert!(is_harmless(name), "{name}");
        }
        assert!(is_harmless_file("/etc/nginx/mime.types") && !is_harmless_file("snippets/auth.conf"));
    }
}
