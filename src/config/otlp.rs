//! `[otlp]`: where spans go, and those of how many requests.

use super::reader::{Item, Section};
use super::{headers, upstream_tls};
use crate::core::settings::{Otlp, Trust};
use crate::core::trace::{TraceMode, Tracing};
use std::time::Duration;

/// The collector, if the file names one: what is traced for it is said in `tracing` then.
pub(super) fn read(root: &Section<'_>, tracing: &mut Tracing) -> Option<Otlp> {
    let section = root.item("otlp")?.section()?;
    let (otlp, traced) = otlp(&section, tracing.mode);
    *tracing = traced;
    otlp
}

/// The collector, and what is traced for it.
fn otlp(section: &Section<'_>, mode: TraceMode) -> (Option<Otlp>, Tracing) {
    let sampled = section
        .read("sample", Tracing::ALL, |item| item.share(0.0..=1.0, "must be from 0% to 100%").map(sampled));
    let endpoint = section.need("endpoint", "for example \"http://127.0.0.1:4318/v1/traces\"", endpoint);
    let service = section.read("service", "pointsman".to_owned(), |item| {
        item.parsed(|text| if text.is_empty() { Err("is empty".into()) } else { Ok(text.to_owned()) })
    });
    let timeout = section.read("timeout", Duration::from_secs(10), |item| {
        item.duration(Duration::from_millis(1)..=Duration::from_secs(60))
    });
    let trust = section
        .item("ca")
        .map_or(Some(Trust::System), |item| upstream_tls::authorities(&item).map(Trust::Authorities));
    let headers = headers::of_own_requests(section);
    section.finish();
    if mode == TraceMode::Off {
        section.fault(
            "has nothing to send: write trace = \"propagate\" or \"inject\" in [server], or take [otlp] out",
        );
    }
    let otlp =
        endpoint.zip(trust).map(|(endpoint, trust)| Otlp { endpoint, headers, service, timeout, trust });
    (otlp, Tracing { mode, sampled })
}

fn endpoint(item: &Item<'_>) -> Option<String> {
    item.parsed(|text| {
        let url = reqwest::Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        // A collector answers 404 there, long after the start.
        let url = url.ok_or("is no URL; write http://127.0.0.1:4318/v1/traces")?;
        if url.path() == "/" {
            return Err("has no path; collectors take traces at /v1/traces".to_owned());
        }
        Ok(String::from(url))
    })
}

/// As parts of [`Tracing::ALL`].
fn sampled(share: f64) -> u32 {
    (share * f64::from(Tracing::ALL)).round() as u32
}

#[cfg(test)]
mod tests {
    use crate::core::settings::Config;
    use crate::core::trace::{TraceMode, Tracing};
    use std::path::Path;
    use std::time::Duration;

    const MINIMAL: &str = include_str!("../../conf/minimal.toml");

    fn read(trace: &str, otlp: &str) -> Result<Config, String> {
        let text = format!("{MINIMAL}\n[otlp]\n{otlp}\n");
        let text = match text.contains("[server]") {
            true => text.replace("[server]", &format!("[server]\ntrace = \"{trace}\"")),
            false => format!("[server]\ntrace = \"{trace}\"\n{text}"),
        };
        let env = |_: &str| Some("secret".to_owned());
        crate::config::parse(&text, "test", &env, Path::new("/nowhere")).map_err(|faults| faults.to_string())
    }

    #[test]
    fn what_is_written_is_meant() {
        let config = read(
            "inject",
            "endpoint = \"https://collector.example:4318/v1/traces\"\nsample = \"25%\"\n\
             service = \"front\"\ntimeout = \"2s\"\nheaders = { Authorization = \"Bearer ${TOKEN}\" }",
        );
        let config = config.expect("accepted");
        let otlp = config.otlp.expect("a collector");
        assert_eq!((otlp.service.as_str(), otlp.timeout), ("front", Duration::from_secs(2)));
        assert_eq!(otlp.endpoint, "https://collector.example:4318/v1/traces");
        assert_eq!(otlp.headers["authorization"], "Bearer secret");
        assert!(!format!("{otlp:?}").contains("secret"), "it is not shown");
        let sampled = Tracing::ALL / 4;
        assert_eq!(config.server.tracing, Tracing { mode: TraceMode::Inject, sampled });
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_the_remedy() {
        let good = "endpoint = \"http://127.0.0.1:4318/v1/traces\"\n";
        for (trace, otlp, expected) in [
            ("off", good.to_owned(), "otlp: has nothing to send: write trace"),
            ("inject", String::new(), "otlp.endpoint: is missing; for example"),
            ("inject", "endpoint = \"collector:4318\"".to_owned(), "otlp.endpoint: is no URL"),
            ("inject", "endpoint = \"http://c:4318\"".to_owned(), "otlp.endpoint: has no path"),
            ("inject", format!("{good}sample = \"101%\""), "otlp.sample: must be from 0% to 100%"),
            ("inject", format!("{good}ca = \"none.pem\""), "otlp.ca: "),
            ("inject", format!("{good}protocol = \"grpc\""), "otlp.protocol: "),
        ] {
            let faults = read(trace, &otlp).expect_err("refused");
            assert!(faults.contains(expected), "{expected} is not in {faults}");
        }
    }
}
