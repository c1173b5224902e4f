//! The configuration as TOML, each block under the line of nginx's it comes from.

use super::phrases::{buffer_of, by_page, edits_of, retry_of, timeouts_of, upstream_of};
use super::site::{Edits, Listener, LookupBlock, Pool, Service, Site};
use super::toml::{fixed, list, quoted, table, template};
use super::tree::Place;
use super::values::show_size;
use crate::core::duration::show;
use crate::core::template::mentions;

/// Text in the making.
pub(super) struct Page(String);

pub(super) fn write(site: &Site) -> String {
    let mut page = Page(String::new());
    page.line("# Imported from nginx. Read it, and the report of the import, before it serves;");
    page.line("# `pointsman check` says whether it holds together.");
    page.head(None, "server");
    page.line(&format!("threads = {}", site.threads));
    page.line("state_dir = \"/var/lib/pointsman\"");
    page.head(None, "admin");
    page.line("listen = \"127.0.0.1:9900\"");
    if let Some(log) = &site.access_log {
        page.head(log.from.as_ref(), "access_log");
        page.pair("path", &fixed(&log.path));
        page.pair("format", &quoted(log.format));
    }
    site.listeners.iter().for_each(|listener| page.listener(listener));
    page.shared(site);
    let mut behind = Page(String::new());
    site.routes.iter().for_each(|route| behind.route(route, site));
    site.services.iter().for_each(|service| behind.service(service));
    page.maps(&site.maps, &behind.0);
    page.0 + &behind.0
}

impl Page {
    pub(super) fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    pub(super) fn pair(&mut self, key: &str, value: &str) {
        self.line(&format!("{key} = {value}"));
    }

    pub(super) fn comment(&mut self, text: &str) {
        self.line(&format!("# {}", text.replace(char::is_control, " ")));
    }

    pub(super) fn head(&mut self, from: Option<&Place>, table: &str) {
        self.0.push('\n');
        if let Some(from) = from {
            self.comment(&format!("from {from}"));
        }
        self.line(&format!("[{table}]"));
    }

    fn listener(&mut self, listener: &Listener) {
        self.head(Some(&listener.from), "[listeners]");
        self.pair("address", &quoted(&listener.address));
        if listener.h2c {
            self.pair("h2c", "true");
        }
        if listener.underscores {
            self.pair("underscores", "true");
        }
        if listener.proxy_protocol {
            self.pair("proxy_protocol", "true");
        }
        if let Some(tls) = &listener.tls {
            let pair = |(cert, key, ocsp): &(String, String, Option<String>)| {
                let ocsp = ocsp.as_ref().map_or(String::new(), |ocsp| format!(", ocsp = {}", fixed(ocsp)));
                format!("{{ cert = {}, key = {}{ocsp} }}", fixed(cert), fixed(key))
            };
            let mut keys = vec![format!(
                "certificates = [{}]",
                tls.certificates.iter().map(pair).collect::<Vec<_>>().join(", ")
            )];
            keys.push(format!("http2 = {}", tls.http2));
            keys.extend(tls.min_version.map(|version| format!("min_version = {}", quoted(version))));
            keys.extend(tls.session_tickets.then(|| "session_tickets = true".to_owned()));
            keys.extend(tls.client_ca.as_ref().map(|ca| format!("client_ca = {}", fixed(ca))));
            self.pair("tls", &table(&keys));
        }
        let times = [
            ("header", listener.header_timeout),
            ("body", listener.body_timeout),
            ("write", listener.write_timeout),
            ("keepalive", listener.keepalive),
        ];
        let times: Vec<_> =
            times.iter().filter_map(|(key, time)| Some(format!("{key} = \"{}\"", show((*time)?)))).collect();
        if !times.is_empty() {
            self.pair("timeouts", &table(&times));
        }
        let mut limits = vec![format!("body = \"{}\"", show_size(listener.body))];
        limits.extend(listener.header_size.map(|size| format!("header_size = \"{}\"", show_size(size))));
        limits.extend(listener.requests.map(|count| format!("requests_per_connection = {count}")));
        self.pair("limits", &table(&limits));
        if !listener.trusted_proxies.is_empty() {
            self.pair("trusted_proxies", &list(&listener.trusted_proxies));
            listener.client_header.iter().for_each(|name| self.pair("client_header", &quoted(name)));
            if listener.is_last_hop {
                self.pair("client_hops", "1");
            }
        }
    }

    /// The look-ups that a text refers to, here or behind.
    fn maps(&mut self, maps: &[LookupBlock], behind: &str) {
        let mut asked = [mentions(&self.0), mentions(behind)].concat();
        let mut shown: Vec<&LookupBlock> = Vec::new();
        // Each refers to those before it alone.
        for map in maps.iter().rev() {
            if asked.contains(&map.name) {
                let texts = map.values.iter().map(|(_, text)| text).chain([&map.of, &map.default]);
                asked.extend(texts.flat_map(|text| mentions(text)));
                shown.push(map);
            }
        }
        for map in shown.into_iter().rev() {
            self.head(Some(&map.from), &format!("maps.{}", map.name));
            self.pair("of", &template(&map.of));
            let entry = |(key, text): &(String, String)| format!("{} = {}", quoted(key), template(text));
            let entries: Vec<_> = map.values.iter().map(entry).collect();
            if entries.len() < 3 {
                self.pair("values", &table(&entries));
            }
            if !map.default.is_empty() {
                self.pair("default", &template(&map.default));
            }
            if entries.len() >= 3 {
                self.line(&format!("[maps.{}.values]", map.name));
                entries.iter().for_each(|entry| self.line(entry));
            }
        }
    }

    /// What holds for all routes.
    fn shared(&mut self, site: &Site) {
        let edits = [("response", &site.headers.response), ("request", &site.headers.request)];
        let edits: Vec<_> = edits.iter().filter(|(_, edits)| **edits != Edits::default()).collect();
        if !edits.is_empty() {
            self.head(None, "headers");
            edits.into_iter().for_each(|(key, edits)| self.pair(key, &edits_of(edits)));
        }
        if !site.error_pages.is_empty() {
            self.head(None, "error_pages");
            by_page(&site.error_pages).iter().for_each(|(codes, page)| self.pair(codes, page));
        }
        if let Some(compression) = &site.compression {
            self.head(Some(&compression.from), "compression");
            let algorithms: Vec<String> =
                compression.algorithms.iter().map(|name| (*name).to_owned()).collect();
            self.pair("algorithms", &list(&algorithms));
            self.pair("types", &list(&compression.types));
            self.pair("min_size", &quoted(&show_size(compression.min_size)));
            compression.gzip_level.iter().for_each(|level| self.pair("gzip_level", &level.to_string()));
            compression.br_level.iter().for_each(|level| self.pair("br_level", &level.to_string()));
        }
        for limit in &site.rate_limits {
            self.head(Some(&limit.from), &format!("rate_limits.{}", limit.name));
            self.pair("rate", &quoted(&limit.rate));
            self.pair("burst", &limit.burst.to_string());
            self.pair("by", &quoted(&limit.by));
            self.pair("status", &limit.status.to_string());
        }
    }

    fn service(&mut self, service: &Service) {
        self.head(Some(&service.from), &format!("services.{}", service.name));
        service.comments.iter().for_each(|comment| self.comment(comment));
        self.pair("stable", &quoted(&service.stable));
        service.cohort.iter().for_each(|cohort| self.pair("cohort", cohort));
        service.pools.iter().for_each(|pool| self.pool(service, pool));
    }

    fn pool(&mut self, service: &Service, pool: &Pool) {
        self.head(Some(&pool.from), &format!("services.{}.pools.{}", service.name, pool.name));
        if pool.balance != "round_robin" {
            self.pair("balance", &quoted(pool.balance));
        }
        pool.hash_by.iter().for_each(|by| self.pair("hash_by", &quoted(by)));
        pool.timeouts.iter().for_each(|timeouts| self.pair("timeouts", &timeouts_of(timeouts, None)));
        if let Some((fails, stretch)) = pool.passive {
            self.pair("passive", &format!("{{ max_fails = {fails}, fail_timeout = \"{}\" }}", show(stretch)));
        }
        pool.keepalive.iter().for_each(|idle| self.pair("keepalive", &format!("\"{}\"", show(*idle))));
        pool.kept.iter().for_each(|most| self.pair("keepalive_connections", &most.to_string()));
        match service.retry.iter().flatten().next() {
            Some(retry) => self.pair("retry", &retry_of(retry, pool)),
            None => pool.tries.iter().for_each(|tries| self.pair("tries", &tries.to_string())),
        }
        if service.accel {
            self.pair("accel", "true");
        }
        pool.slow_start.iter().for_each(|time| self.pair("slow_start", &format!("\"{}\"", show(*time))));
        pool.requests.iter().for_each(|most| self.pair("requests_per_connection", &most.to_string()));
        if pool.http2 {
            self.pair("http2", "true");
        }
        service.buffer.iter().filter_map(buffer_of).for_each(|buffer| self.pair("buffer", &buffer));
        if let Some(tls) = &pool.tls {
            tls.warning().iter().for_each(|line| self.comment(line));
            self.pair("tls", &tls.toml());
        }
        let upstreams: Vec<_> = pool.upstreams.iter().map(upstream_of).collect();
        self.pair("upstreams", &format!("[{}]", upstreams.join(", ")));
        self.line("# health = { path = \"/health\" }   # asked by Pointsman itself; without it, for a connection alone");
    }
}
