//! The configurations that are compared: the same upstream, kept connections, forwarded fields, and
//! timeouts. For the rest, buffers too, each has its defaults, but where a row says that nginx is tuned; none
//! puts what a client does not read into files, as nginx would.
//!
//! Health checks run where the free edition has them: in haproxy and Pointsman. Pointsman has a rollout at
//! 50 % under way as well, so that every outcome is held against the policy.

use super::tls::Certificate;
use std::net::SocketAddr;

/// What of a proxy differs between rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setup {
    pub workers: u8,
    /// The access log, as JSON with the same fields, in a file.
    pub is_logged: bool,
    /// nginx has wider buffers than by default, and gathers the lines of its log, as Pointsman does always.
    pub is_nginx_tuned: bool,
    /// A condition, a look-up that is found by a pattern, and three fields to the upstream made of variables.
    pub has_values: bool,
}

impl Setup {
    pub(super) const PLAIN: Setup =
        Setup { workers: 1, is_logged: false, is_nginx_tuned: false, has_values: false };
    pub(super) const LOGGED: Setup = Setup { is_logged: true, ..Setup::PLAIN };
    pub(super) const VALUES: Setup = Setup { has_values: true, ..Setup::PLAIN };
}

/// Where a proxy listens, and what it passes on to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    pub plain: SocketAddr,
    pub tls: SocketAddr,
    /// Pointsman's admin API.
    pub admin: SocketAddr,
    pub upstream: SocketAddr,
}

/// Fields of a line, as Pointsman has them.
const LOG_FORMAT: &str = r#"log_format line escape=json '{"time":"$time_iso8601","start":"$msec","client":"$remote_addr","method":"$request_method","host":"$host","uri":"$request_uri","protocol":"$server_protocol","status":$status,"bytes":$body_bytes_sent,"request_time":$request_time,"service":"web","pool":"o","upstream":"$upstream_addr","attempts":1,"upstream_connect_time":"$upstream_connect_time","upstream_header_time":"$upstream_header_time","upstream_response_time":"$upstream_response_time","user_agent":"$http_user_agent","referer":"$http_referer","request_id":"$request_id"}';"#;

/// By default there are eight of 4 KiB.
const WIDE_BUFFERS: &str = "proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_busy_buffers_size 64k;";

/// The load asks for hosts that are addresses.
const VALUES: &str = r#"
[maps.app]
of = "$host"
values = { "a.example" = "shop", '~^(?<net>\d+)[.]' = "net-$net" }
default = "none"
[[routes]]
when = { value = { of = "$request_method", equals = "GET" } }
service = "web"
headers = { request = { set = { X-App = "$app", X-Agent = "$http_user_agent/$cookie_plan", X-Site = "$scheme://$host" } } }
"#;
const NGINX_MAP: &str = "map $host $app { a.example shop; ~^(?<net>\\d+)[.] net-$net; default none; }\n";
const NGINX_FIELDS: &str = "if ($request_method = TRACE) { return 405; } proxy_set_header X-App $app;\
     proxy_set_header X-Agent \"$http_user_agent/$cookie_plan\"; proxy_set_header X-Site $scheme://$host;";
const HAPROXY_FIELDS: &str = " http-request set-header X-App net-%[hdr(host),field(1,.)] if METH_GET\n \
     http-request set-header X-Agent %[hdr(user-agent)]/%[cook(plan)]\n \
     http-request set-header X-Site http://%[hdr(host)]\n";

/// The head of every configuration of nginx, the origin's too.
pub(super) fn nginx(path: &str, workers: u8, servers: &str) -> String {
    let temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {path}/{kind};"));
    format!(
        "worker_processes {workers}; daemon off; pid {path}/pid; error_log {path}/error.log;\n\
         events {{ worker_connections 24000; }}\n\
         http {{ sendfile on; tcp_nopush on; keepalive_requests 100000000; keepalive_timeout 300s;\n\
         client_header_timeout 300s; send_timeout 300s; {}\n{servers}\n}}\n",
        temp.concat()
    )
}

pub(super) fn nginx_proxy(path: &str, places: &Places, certificate: &Certificate, setup: Setup) -> String {
    let Places { plain, tls, upstream, .. } = places;
    let Certificate { cert, key, .. } = certificate;
    let gathered = if setup.is_nginx_tuned { "buffer=64k flush=1s" } else { "" };
    let log = match setup.is_logged {
        true => format!("{LOG_FORMAT}\naccess_log {path}/log line {gathered};"),
        false => "access_log off;".to_owned(),
    };
    let buffers = if setup.is_nginx_tuned { WIDE_BUFFERS } else { "" };
    // Without it, the workers that are asleep take turns badly.
    let reuseport = if setup.workers > 1 { "reuseport" } else { "" };
    let (map, fields) = match setup.has_values {
        true => (NGINX_MAP, NGINX_FIELDS),
        false => ("", ""),
    };
    let servers = format!(
        "{log}\n{map}{buffers} proxy_max_temp_file_size 0;\n\
         upstream o {{ server {upstream}; keepalive 1024; keepalive_requests 100000000; }}\n\
         server {{ listen {plain} backlog=4096 {reuseport}; listen {tls} ssl http2 backlog=4096 {reuseport};\n\
         ssl_certificate {cert}; ssl_certificate_key {key}; client_max_body_size 100m;\n\
         location / {{ {fields} proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
         proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Request-Id $request_id; }} }}"
    );
    nginx(path, setup.workers, &servers)
}

pub(super) fn haproxy(places: &Places, certificate: &Certificate, setup: Setup) -> String {
    let Places { plain, tls, upstream, .. } = places;
    let fields = if setup.has_values { HAPROXY_FIELDS } else { "" };
    format!(
        "global\n nbthread {}\n maxconn 9000\n\
         defaults\n mode http\n option forwardfor\n option httpchk GET /small\n http-reuse always\n\
         timeout connect 1s\n timeout client 300s\n timeout server 60s\n timeout http-keep-alive 300s\n\
         unique-id-format %{{+X}}o%ci%cp%Ts%rt%pid\n unique-id-header X-Request-Id\n\
         frontend f\n bind {plain} backlog 4096\n\
         bind {tls} backlog 4096 ssl crt {} alpn h2,http/1.1\n\
         http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}\n\
         http-request set-header X-Forwarded-Proto http if !{{ ssl_fc }}\n\
         http-request set-header X-Real-IP %[src]\n{fields} default_backend b\n\
         backend b\n server o {upstream} check inter 2s maxconn 4096 pool-max-conn -1\n",
        setup.workers, certificate.both
    )
}

pub(super) fn pointsman(places: &Places, certificate: &Certificate, setup: Setup) -> String {
    let Places { plain, tls, admin, upstream } = places;
    let Certificate { cert, key, .. } = certificate;
    let log = if setup.is_logged { "[access_log]\npath = \"log\"\n" } else { "" };
    let values = if setup.has_values { VALUES } else { "" };
    let listener = "limits = { requests_per_connection = 100000000 }\n\
                    timeouts = { header = \"300s\", keepalive = \"300s\", write = \"300s\" }\n";
    let pool = format!("upstreams = [\"{upstream}\"]\nhealth = {{ path = \"/small\", interval = \"2s\" }}\n");
    format!(
        "[server]\nthreads = {}\nstate_dir = \"state\"\ngrace = \"1s\"\n[admin]\nlisten = \"{admin}\"\n{log}\
         [[listeners]]\naddress = \"{plain}\"\n{listener}\
         [[listeners]]\naddress = \"{tls}\"\n{listener}\
         tls = {{ certificates = [{{ cert = \"{cert}\", key = \"{key}\" }}] }}\n\
         {values}[[routes]]\nservice = \"web\"\n\
         [services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
         [services.web.pools.blue]\n{pool}[services.web.pools.green]\n{pool}\
         [services.web.rollout]\nsteps = [{{ weight = 50, hold = \"7d\" }}, {{ weight = 100 }}]\n\
         [policies.default]\nerror_rate = {{ warning = \"0.5%\", critical = \"1%\" }}\n\
         latency_p95 = {{ warning = \"1s\", critical = \"2s\" }}\n",
        setup.workers
    )
}
