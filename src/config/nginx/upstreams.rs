//! `upstream` blocks and plain addresses → services.
//!
//! An upstream group becomes a service with one pool, `blue`, which is stable; a group's name in
//! `split_clients` becomes a pool of the service that the variable stands for.

use super::Import;
use super::ledger::Level;
use super::site::{Pool, Service, Speech, Upstream};
use super::tree::Directive;
use super::values::{self, stretch};
use crate::core::upstream_address::UpstreamAddress;
use std::net::SocketAddr;

/// The pool that an imported service begins with.
const FIRST_POOL: &str = "blue";

impl<'a> Import<'a> {
    /// The service for what a `proxy_pass` names after `http://`; `None` where it has no address.
    ///
    /// Upstreams that are spoken to in another way (HTTP/2, other settings of TLS) are another service's.
    pub(super) fn service(
        &mut self,
        authority: &str,
        pass: &'a Directive,
        speech: &Speech,
    ) -> Option<String> {
        let is_path = UpstreamAddress::is_path(authority);
        let known = if is_path { authority.to_owned() } else { authority.to_ascii_lowercase() };
        let key = (speech.clone(), known);
        if let Some((_, name)) = self.service_names.iter().find(|(known, _)| *known == key) {
            return Some(name.clone());
        }
        let (pool, from) = self.pool(FIRST_POOL, authority, pass, speech)?;
        let name = values::name(authority, self.site.services.iter().map(|service| service.name.as_str()));
        let comments = vec![format!(
            "a new version gets a pool beside it: [services.{name}.pools.green], then `pointsman rollout start {name} --to green`"
        )];
        let (stable, pools) = (FIRST_POOL.into(), vec![pool]);
        self.site.services.push(Service {
            from,
            comments,
            name: name.clone(),
            stable,
            cohort: None,
            buffer: None,
            retry: None,
            accel: false,
            pools,
        });
        self.service_names.push((key, name.clone()));
        Some(name)
    }

    /// The pool for an upstream group or an address, and where that stands.
    fn pool(
        &self,
        name: &str,
        authority: &str,
        pass: &'a Directive,
        speech: &Speech,
    ) -> Option<(Pool, super::tree::Place)> {
        let group = self.upstreams.iter().find(|group| group.arg(0).eq_ignore_ascii_case(authority));
        let mut pool = Pool {
            name: name.to_owned(),
            from: pass.place.clone(),
            balance: "round_robin",
            hash_by: None,
            timeouts: None,
            passive: None,
            keepalive: None,
            kept: None,
            tries: None,
            slow_start: None,
            requests: None,
            http2: speech.http2,
            tls: speech.tls.clone(),
            upstreams: Vec::new(),
        };
        match group {
            Some(group) if group.block().iter().any(|line| line.name.contains("_by_lua")) => {
                self.ledger.whole(
                    group,
                    Level::Missing,
                    "a script chooses its upstreams; list them in a pool",
                );
                return None;
            }
            Some(group) => {
                self.ledger.carried(group);
                pool.from = group.place.clone();
                group.block().iter().for_each(|directive| self.group_line(&mut pool, directive));
            }
            None => {
                let address = with_port(authority, if speech.tls.is_some() { 443 } else { 80 })?;
                pool.upstreams.push(Upstream { address, weight: 1, backup: false, max_conns: 0 });
            }
        }
        if pool.balance == "hash" && pool.slow_start.take().is_some() {
            let lines = group.into_iter().flat_map(|group| group.block());
            for line in lines.filter(|line| line.args.iter().any(|arg| arg.starts_with("slow_start="))) {
                self.ledger.missing(line, "a pool that hashes has no slow start");
            }
        }
        pool.tries = Some((pool.upstreams.len() as u64).clamp(1, 10)).filter(|tries| *tries != 2);
        self.ask_by_name(&mut pool, group.map(|group| group.arg(0)), pass);
        let from = pool.from.clone();
        (!pool.upstreams.is_empty()).then_some((pool, from))
    }

    fn group_line(&self, pool: &mut Pool, line: &'a Directive) {
        let ledger = &self.ledger;
        match line.name.as_str() {
            "server" => self.upstream(pool, line),
            "least_conn" => pool.balance = "least_conn",
            "ip_hash" => {
                pool.balance = "hash";
                ledger.noted(line, "by the whole address; nginx takes the first three bytes of an IPv4 one");
            }
            "random" => {
                pool.balance = "p2c";
                let two = line.arg(0) == "two";
                ledger.noted(
                    line,
                    if two {
                        "p2c: two at random, the less loaded one"
                    } else {
                        "p2c takes the less loaded one of two at random"
                    },
                );
            }
            "hash" => match hash_by(line.arg(0)).or_else(|| self.key(line.arg(0))) {
                Some(by) => {
                    pool.balance = "hash";
                    pool.hash_by = Some(by);
                    if line.arg(1) != "consistent" {
                        ledger.noted(line, "consistently, so that a change of upstreams moves few clients");
                    }
                }
                None => ledger.missing(
                    line,
                    "a pool hashes by client_ip, uri, header:NAME or a text that is known; this one goes round robin",
                ),
            },
            "keepalive" => match line.arg(0).parse() {
                Ok(kept @ 1..=1_000_000) => {
                    pool.kept = Some(kept);
                    ledger.noted(line, "counted for each upstream, over all workers");
                }
                _ => ledger.missing(line, "write keepalive_connections = 64 in the pool"),
            },
            "keepalive_timeout" => match stretch(line.arg(0)) {
                Some(idle) => pool.keepalive = Some(idle),
                None => ledger.missing(line, "write keepalive = \"60s\" in the pool"),
            },
            "keepalive_requests" => {
                pool.requests = line.arg(0).parse().ok().filter(|most| (1..=65_535).contains(most))
            }
            "keepalive_time" => {
                ledger.noted(line, "connections to upstreams are kept as long as they are used")
            }
            _ => return,
        }
        // A worse mark stays.
        ledger.carried(line);
    }

    fn upstream(&self, pool: &mut Pool, line: &'a Directive) {
        let Some(address) = with_port(line.arg(0), 80) else {
            return self.ledger.missing(
                line,
                "write an address with a port, a name, or the whole path of a socket: unix:/run/app.sock",
            );
        };
        let mut upstream = Upstream { address, weight: 1, backup: false, max_conns: 0 };
        let mut passive = (1, std::time::Duration::from_secs(10));
        let mut is_down = false;
        for option in line.args.iter().skip(1) {
            let (key, value) = option.split_once('=').unwrap_or((option, ""));
            let number = value.parse::<u64>().ok();
            match (key, number, stretch(value)) {
                ("weight", Some(weight), _) => {
                    upstream.weight = weight.clamp(1, 100);
                    if weight > 100 {
                        self.ledger.noted(line, "a weight is at most 100");
                    }
                }
                ("backup", ..) => upstream.backup = true,
                ("down", ..) => is_down = true,
                ("max_conns", Some(most), _) => upstream.max_conns = most.min(1_000_000),
                ("max_fails", Some(fails), _) => passive.0 = fails.min(1_000_000),
                ("fail_timeout", _, Some(time)) => passive.1 = time,
                // For no time at all: it is never left out.
                ("fail_timeout", ..) if values::time(value).is_some() => passive.0 = 0,
                ("slow_start", _, Some(time)) => pool.slow_start = Some(time),
                ("resolve", ..) => {}
                _ => self.ledger.missing(line, &format!("{option} has no counterpart")),
            }
        }
        if is_down {
            return self.ledger.noted(line, "left out, because it is down; add it when it is back");
        }
        if line
            .args
            .iter()
            .any(|option| option.starts_with("max_fails=") || option.starts_with("fail_timeout="))
        {
            if pool.passive.is_some_and(|other| other != passive) {
                self.ledger.noted(
                    line,
                    "max_fails and fail_timeout hold for the whole pool; the first ones are taken",
                );
            }
            pool.passive.get_or_insert(passive);
        }
        match pool.upstreams.iter_mut().find(|other| other.address == upstream.address) {
            Some(other) => {
                other.weight = (other.weight + upstream.weight).min(100);
                self.ledger.noted(line, "the same address again adds to its weight");
            }
            None => pool.upstreams.push(upstream),
        }
    }

    /// The service for a variable that `split_clients` sets to names of upstream groups.
    pub(super) fn choice(&mut self, variable: &str, pass: &'a Directive, speech: &Speech) -> Option<String> {
        let key = (speech.clone(), format!("${variable}"));
        if let Some((_, name)) = self.service_names.iter().find(|(known, _)| *known == key) {
            return Some(name.clone());
        }
        // A share of the traffic can be had by weights; what a map would choose is for nobody to guess.
        let is_its =
            |d: &&&'a Directive| d.name == "split_clients" && d.arg(1).strip_prefix('$') == Some(variable);
        let mut sources = self.choices.iter().filter(is_its);
        let source = sources.next().copied().filter(|_| sources.next().is_none())?;
        let mut pools: Vec<(f64, Pool, String)> = Vec::new();
        for line in source.block() {
            let group = line.arg(0);
            if pools.iter().any(|(.., known)| known == group) {
                continue;
            }
            let taken = pools.iter().map(|(_, pool, _)| pool.name.clone()).collect::<Vec<_>>();
            let name = values::name(group, taken.iter().map(String::as_str));
            let (pool, _) = self.pool(&name, group, pass, speech)?;
            pools.push((share(&line.name), pool, group.to_owned()));
        }
        let first = pools.iter().max_by(|(one, ..), (other, ..)| one.total_cmp(other))?;
        let stable = first.1.name.clone();
        let name = values::name(variable, self.site.services.iter().map(|service| service.name.as_str()));
        let cohort = cohort(source).or_else(|| {
            let text = self.key(source.arg(0))?;
            Some(format!("{{ by = \"text\", of = {} }}", super::toml::template(&text)))
        });
        let mut comments = self.choice_comments(source, &name, &stable, &pools);
        if cohort.is_none() {
            comments.push(format!("each request goes by the weights for itself, not by {}", source.arg(0)));
        }
        let pools = pools.into_iter().map(|(_, pool, _)| pool).collect();
        self.site.services.push(Service {
            from: source.place.clone(),
            comments,
            name: name.clone(),
            stable,
            cohort,
            buffer: None,
            retry: None,
            accel: false,
            pools,
        });
        self.service_names.push((key, name.clone()));
        Some(name)
    }

    fn choice_comments(
        &self,
        source: &'a Directive,
        name: &str,
        stable: &str,
        pools: &[(f64, Pool, String)],
    ) -> Vec<String> {
        let shown = |share: f64| format!("{share:.2}").trim_end_matches('0').trim_end_matches('.').to_owned();
        let rest = 100.0 - pools.iter().map(|(share, ..)| share.max(0.0)).sum::<f64>();
        let each = |(share, pool, _): &(f64, Pool, String)| {
            format!("{}={}", pool.name, shown(if *share > 100.0 { rest + 101.0 } else { *share }))
        };
        let weights = pools.iter().map(each).collect::<Vec<_>>().join(" ");
        let detail = format!(
            "weights are live state, not configuration: all traffic begins on {stable}; then `pointsman weights {name} {weights}`"
        );
        self.ledger.whole(source, Level::Noted, &detail);
        vec![detail]
    }
}

/// Percent of a line of `split_clients`; 101 for the rest, `*`.
fn share(key: &str) -> f64 {
    let rest = if key == "*" { 101.0 } else { 0.0 };
    key.strip_suffix('%').and_then(|number| number.parse().ok()).unwrap_or(rest)
}

/// By whom clients are split.
fn cohort(source: &Directive) -> Option<String> {
    let by = hash_by(source.arg(0))?;
    match by.strip_prefix("header:") {
        Some(name) => Some(format!("{{ by = \"header\", name = \"{name}\" }}")),
        None if by == "client_ip" => Some("{ by = \"client_ip\" }".to_owned()),
        None => None,
    }
}

fn hash_by(key: &str) -> Option<String> {
    match key {
        "$remote_addr" | "$binary_remote_addr" => Some("client_ip".to_owned()),
        "$request_uri" | "$uri" => Some("uri".to_owned()),
        _ => key.strip_prefix("$http_").map(|name| format!("header:{}", name.replace('_', "-"))),
    }
}

/// An address or name with a port, or a socket's path, as Pointsman takes it.
pub(super) fn with_port(text: &str, port: u16) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    if UpstreamAddress::is_path(text) {
        return text.parse::<UpstreamAddress>().is_ok().then(|| text.to_owned());
    }
    let bare_v6 = text.starts_with('[') && text.ends_with(']');
    let has_port = !bare_v6 && text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let whole = if has_port { text.to_owned() } else { format!("{text}:{port}") };
    let is_legal =
        whole.parse::<SocketAddr>().is_ok() || crate::core::settings::Upstream::place(&whole).is_ok();
    is_legal.then_some(whole)
}
