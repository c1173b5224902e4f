//! `proxy_ssl_*` and `grpc_ssl_*` → `tls` of a pool.
//!
//! nginx accepts every certificate unless told otherwise. That is carried over as it is, and said: an
//! import must not break a site whose upstreams have certificates that nobody has ever looked at.

use super::Import;
use super::scope::Scope;
use super::site::{Pool, UpstreamTls};
use super::toml::{fixed, table};
use super::tree::Directive;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;

impl<'a> Import<'a> {
    /// For what `pass` sends over TLS.
    pub(super) fn upstream_tls(&self, scope: &Scope<'a>, pass: &'a Directive) -> UpstreamTls {
        let prefix = if pass.name == "grpc_pass" { "grpc_ssl" } else { "proxy_ssl" };
        let line = |name: &str| scope.last(&format!("{prefix}_{name}"));
        let is_on =
            |name: &str| line(name).inspect(|line| self.ledger.carried(line)).is_some_and(Directive::is_on);
        let mut tls = UpstreamTls {
            verify: is_on("verify"),
            sni: is_on("server_name"),
            name: line("name").and_then(|line| self.name_of_upstreams(line)),
            ..UpstreamTls::default()
        };
        if let Some(authority) = line("trusted_certificate") {
            match (tls.verify, self.file(authority)) {
                (true, file) => tls.ca = file,
                (false, _) => self.ledger.noted(authority, "it has no effect: nothing is verified"),
            }
        }
        let (cert, key) = (line("certificate"), line("certificate_key"));
        match (cert.filter(|cert| !cert.arg(0).is_empty()), key) {
            (Some(cert), Some(key)) => tls.client = self.file(cert).zip(self.file(key)),
            (Some(odd), None) | (None, Some(odd)) => {
                self.ledger.missing(odd, "a certificate needs its key, and a key its certificate");
            }
            (None, None) => {}
        }
        tls
    }

    fn name_of_upstreams(&self, line: &'a Directive) -> Option<String> {
        let name = line.arg(0);
        if name == "$proxy_host" {
            self.ledger.carried(line);
            return None;
        }
        if !is_name(name) {
            let why = "a pool has one name for all requests; set name in its tls";
            self.ledger.missing(line, why);
            return None;
        }
        self.ledger.carried(line);
        Some(name.to_owned())
    }

    fn file(&self, line: &'a Directive) -> Option<String> {
        let file = line.arg(0);
        if file.contains('$') || file.starts_with("data:") || file.starts_with("engine:") {
            self.ledger.missing(line, "certificates and keys are files; name one");
            return None;
        }
        self.ledger.carried(line);
        Some(file.to_owned())
    }

    /// The name that nginx asks a pool's upstreams for: its group's, where no other is said.
    pub(super) fn ask_by_name(&self, pool: &mut Pool, group: Option<&str>, pass: &'a Directive) {
        let Some(tls) = &mut pool.tls else { return };
        if let Some(group) = group.filter(|_| tls.name.is_none() && (tls.verify || tls.sni)) {
            tls.name = Some(group.to_owned()).filter(|name| is_name(name));
        }
        let by_name = pool.upstreams.iter().any(|upstream| upstream.address.parse::<SocketAddr>().is_err());
        if !tls.sni && (by_name || tls.name.is_some()) {
            let why =
                "the name is told to the upstream (SNI), which nginx does with proxy_ssl_server_name only";
            self.ledger.noted(pass, why);
        }
    }
}

impl UpstreamTls {
    /// What must be known of it before it serves.
    pub(super) fn warning(&self) -> &'static [&'static str] {
        match self.verify {
            true => &[],
            false => &[
                "verify = false: nginx accepts any certificate of an upstream unless proxy_ssl_verify is on;",
                "take it out, and name a ca for authorities that the system does not know, to be safe",
            ],
        }
    }

    /// As `tls` is written.
    pub(super) fn toml(&self) -> String {
        let pair = |(cert, key): &(String, String)| {
            format!("client = {{ cert = {}, key = {} }}", fixed(cert), fixed(key))
        };
        let mut keys = Vec::new();
        keys.extend((!self.verify).then(|| "verify = false".to_owned()));
        keys.extend(self.ca.as_ref().map(|ca| format!("ca = {}", fixed(ca))));
        keys.extend(self.name.as_ref().map(|name| format!("name = {}", fixed(name))));
        keys.extend(self.client.as_ref().map(pair));
        if keys.is_empty() { "true".to_owned() } else { table(&keys) }
    }
}

fn is_name(text: &str) -> bool {
    ServerName::try_from(text).is_ok()
}
