//! `proxy_set_header X-Forwarded-…` behind proxies that are believed: what they say is continued and kept unless a
//! route says otherwise, and nginx puts its own in place of it.

use super::Import;
use super::scope::Scope;
use super::site::Lead;

/// Fields, each with the values of nginx that are its own, and with the key of `forwarded`.
const OWN: [(&str, &[&str], &str); 4] = [
    ("x-forwarded-for", &["$remote_addr"], "for"),
    ("x-forwarded-proto", &["$scheme"], "proto"),
    ("x-forwarded-host", &["$host", "$http_host"], "host"),
    ("x-forwarded-port", &["$server_port"], "port"),
];

impl Import<'_> {
    /// As the route has it, where anything differs.
    pub(super) fn forwarded(&self, scope: &Scope<'_>, lead: &Lead) -> Option<String> {
        let is_believing = !scope.all("set_real_ip_from").is_empty();
        if !is_believing || !matches!(lead, Lead::Service(_)) {
            return None;
        }
        let lines = scope.all("proxy_set_header");
        let is_own = |name: &str, values: &[&str]| {
            lines.iter().any(|line| line.arg(0).eq_ignore_ascii_case(name) && values.contains(&line.arg(1)))
        };
        let own = OWN.iter().filter(|(name, values, _)| is_own(name, values));
        let keys: Vec<String> = own.map(|(.., key)| format!("{key} = \"replace\"")).collect();
        (!keys.is_empty()).then(|| super::toml::table(&keys))
    }
}
