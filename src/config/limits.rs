//! `[rate_limits.*]`, and the limits of a route.

use super::listener::connections;
use super::reader::{Item, Section};
use super::service::named;
use crate::core::limit::rate::{MOST_BURST, Rate};
use crate::core::limit::{By, RateLimit};
use crate::core::route::RouteSpec;
use crate::core::template::{Template, Vocabulary};
use std::collections::BTreeMap;
use std::time::Duration;

pub(super) fn rate_limits(root: &Section<'_>) -> BTreeMap<String, RateLimit> {
    let entries = root.section("rate_limits").entries();
    let limit = |(name, item): &(String, Item<'_>)| {
        named(name, item)?;
        Some((name.clone(), rate_limit(&item.section()?)?))
    };
    entries.iter().filter_map(limit).collect()
}

fn rate_limit(section: &Section<'_>) -> Option<RateLimit> {
    let rate = section.need("rate", "for example \"60/s\" or \"100/m\"", |item| item.parsed(rate));
    let burst = section.read("burst", 0, |item| item.integer(0..=MOST_BURST)) as u32;
    let by = section.read("by", By::Client, |item| item.worded(false, None, by));
    let status = section.read("status", 429, |item| item.integer(400..=599)) as u16;
    let keys = section.read("size", 65_536, |item| item.integer(8..=1 << 24)) as usize;
    section.finish();
    let (requests, period) = rate?;
    Some(RateLimit { rate: Rate { requests, period, burst }, by, status, keys })
}

/// `60/s`, `100/m`; nginx's `60r/s`, too.
fn rate(text: &str) -> Result<(u32, Duration), String> {
    let wrong = || format!("\"{text}\" is no rate; write \"60/s\" or \"100/m\"");
    let (count, period) = text.split_once('/').ok_or_else(wrong)?;
    let period = match period.trim() {
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        _ => return Err(wrong()),
    };
    let count = count.trim();
    let requests: u32 = count.strip_suffix('r').unwrap_or(count).parse().map_err(|_| wrong())?;
    if !(1..=1_000_000).contains(&requests) {
        return Err(format!(
            "\"{text}\" must be from 1 to 1000000; a route that serves nobody has deny = true"
        ));
    }
    Ok((requests, period))
}

fn by(text: &str, vocabulary: &Vocabulary<'_>) -> Result<By, String> {
    let header = || http::HeaderName::try_from(text.strip_prefix("header:")?).ok();
    match text {
        "client_ip" => Ok(By::Client),
        "service" => Ok(By::Service),
        text if text.contains('$') => Template::parse(text, vocabulary).map(By::Text),
        text => header()
            .map(By::Header)
            .ok_or_else(|| format!("\"{text}\" is none of client_ip, service, header:NAME, and has no variable such as $http_x_key")),
    }
}

/// `limits` of a route; `rates` are those that there are, whether or not they are without fault.
pub(super) fn of_route(section: &Section<'_>, rates: &[String], spec: &mut RouteSpec) {
    spec.max_body = section.item("body").and_then(|item| item.size());
    spec.body_rate = section.item("body_rate").and_then(|item| item.size());
    spec.connections_per_client = section.read("connections_per_client", 0, connections);
    for item in section.item("rates").and_then(|item| item.array()).unwrap_or_default() {
        let Some(name) = item.string() else { continue };
        if !rates.contains(&name) {
            item.fault(&format!(
                "there is no rate limit {name}; add [rate_limits.{name}] with rate = \"60/s\""
            ));
        } else if spec.rates.contains(&name) {
            item.fault(&format!("{name} stands twice"));
        }
        spec.rates.push(name);
    }
    section.finish();
}

#[cfg(test)]
mod tests {
    use crate::config::{Faults, parse};
    use crate::core::compression::Algorithm;
    use crate::core::limit::By;
    use crate::core::settings::Config;
    use std::path::Path;
    use std::time::Duration;

    fn read(listener: &str, route: &str, pool: &str, more: &str) -> Result<Config, Faults> {
        let text = format!(
            "[[listeners]]\naddress = \"127.0.0.1:80\"\n{listener}\n[[routes]]\nservice = \"web\"\n{route}\n\
             [services.web.pools.blue]\nupstreams = [\"10.0.0.1:80\"]\n{pool}\n{more}\n"
        );
        parse(&text, "test.toml", &|_| None, Path::new("/nowhere"))
    }

    #[test]
    fn limits_are_read_with_their_defaults() {
        let route = "limits = { rates = [\"api\"], connections_per_client = 20, body_rate = \"0\" }\n\
                     timeouts = { body = \"off\" }\ncompression = false";
        let more = "[compression]\n[rate_limits.api]\nrate = \"60r/s\"\n[rate_limits.slow]\nrate = \"100/m\"\nburst = 7\nby = \"header:X-Key\"\n";
        let config =
            read("limits = { connections = 9 }", route, "slow_start = \"30s\"", more).expect("accepted");
        let spec = &config.routes.specs()[0];
        assert_eq!(
            (&spec.rates[..], spec.connections_per_client, spec.compression),
            (&["api".to_owned()][..], 20, false)
        );
        assert_eq!((spec.body_rate, spec.timeouts.body), (Some(0), Some(Duration::MAX)));
        let (api, slow) = (&config.rate_limits["api"], &config.rate_limits["slow"]);
        assert_eq!((api.rate.requests, api.rate.period, api.rate.burst), (60, Duration::from_secs(1), 0));
        assert_eq!((&api.by, api.status, api.keys), (&By::Client, 429, 65_536));
        assert_eq!(
            (slow.rate.requests, slow.rate.period, slow.rate.burst),
            (100, Duration::from_secs(60), 7)
        );
        assert_eq!(slow.by, By::Header(http::HeaderName::from_static("x-key")));
        let compression = config.compression.expect("some");
        assert_eq!(compression.algorithms, [Algorithm::Brotli, Algorithm::Gzip]);
        assert_eq!((compression.min_size, compression.gzip_level, compression.br_level), (256, 6, 5));
        let listener = &config.listeners[0];
        assert_eq!(
            (listener.max_connections, listener.connections_per_client, listener.proxy_protocol),
            (9, 0, false)
        );
        assert_eq!(config.services["web"].pools["blue"].slow_start, Duration::from_secs(30));
        assert!(read("", "", "", "").expect("accepted").compression.is_none());
    }

    #[test]
    fn the_process_has_limits_of_its_own() {
        let of = |more| read("", "", "", more).expect("accepted").limits.connections;
        assert_eq!((of(""), of("[limits]"), of("[limits]\nconnections = 20000")), (None, None, Some(20_000)));
        for (text, expected) in [
            ("[limits]\nconnections = 0", "limits.connections: must be from 1 to 10000000"),
            ("[limits]\nmemory = \"100k\"", "limits.memory: must be at least 1M"),
            ("[limits]\nmemory = \"much\"", "limits.memory: \"much\" is no size; write 512, 32k, 100M or 1G"),
            ("[limits]\nconnection = 5", "limits.connection: unknown key; did you mean connections?"),
        ] {
            let told = read("", "", "", text).expect_err(expected).to_string();
            assert!(told.contains(expected), "{told}");
        }
        let memory = |more| read("", "", "", more).expect("accepted").limits.memory;
        assert_eq!((memory(""), memory("[limits]\nmemory = \"192M\"")), (None, Some(192 << 20)));
        let (before, after) = ("[limits]\nconnections = 5", "[limits]\nconnections = 6");
        let config = |more| read("", "", "", more).expect("accepted");
        let (at_once, _) = crate::config::diff(&config(before), &config(after));
        assert_eq!(at_once, ["limits"]);
    }

    /// Keys of a listener, a route, a pool and the file, and what is said of them.
    const FAULTS: &[[&str; 5]] = &[
        [
            "proxy_protocol = true",
            "",
            "",
            "",
            "listeners[0].proxy_protocol: nobody could connect; name the balancers",
        ],
        [
            "",
            "limits = { rates = [\"apj\"] }",
            "",
            "",
            "routes[0].limits.rates[0]: there is no rate limit apj; add [rate_limits.apj]",
        ],
        ["limits = { streams = 0 }", "", "", "", "listeners[0].limits.streams: must be from 1 to 1000"],
        ["", "limits = { rate = [] }", "", "", "routes[0].limits.rate: unknown key; did you mean rates?"],
        [
            "",
            "",
            "balance = \"hash\"\nslow_start = \"5s\"",
            "",
            "pools.blue.slow_start: has no effect with balance",
        ],
        ["", "", "", "[rate_limits.a]\nburst = 1", "rate_limits.a.rate: is missing; for example \"60/s\""],
        [
            "",
            "",
            "",
            "[rate_limits.a]\nrate = \"60/h\"",
            "rate_limits.a.rate: \"60/h\" is no rate; write \"60/s\" or \"100/m\"",
        ],
        [
            "",
            "",
            "",
            "[rate_limits.a]\nrate = \"0/s\"",
            "rate_limits.a.rate: \"0/s\" must be from 1 to 1000000",
        ],
        [
            "",
            "",
            "",
            "[rate_limits.a]\nrate = \"1/s\"\nby = \"ip\"",
            "rate_limits.a.by: \"ip\" is none of client_ip, service, header:NAME, and has no variable such as $http_x_key",
        ],
        [
            "",
            "",
            "",
            "[rate_limits.a]\nrate = \"1/s\"\nstatus = 200",
            "rate_limits.a.status: must be from 400 to 599",
        ],
        ["", "", "", "[compression]\nalgorithms = []", "compression.algorithms: names no algorithm; write"],
        [
            "",
            "",
            "",
            "[compression]\nalgorithms = [\"zstd\"]",
            "compression.algorithms[0]: \"zstd\" is none of br, gzip",
        ],
        [
            "",
            "",
            "",
            "[compression]\ntypes = [\"text/*\"]",
            "compression.types[0]: \"text/*\" is no media type; write",
        ],
    ];

    #[test]
    fn faults_name_the_key_and_the_remedy() {
        for [listener, route, pool, more, expected] in FAULTS {
            let text = read(listener, route, pool, more).expect_err(expected).to_string();
            assert!(text.contains(expected), "missing: {expected}\nin:\n{text}");
        }
    }
}
