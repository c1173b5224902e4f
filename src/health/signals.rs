//! Signals: scraped from every upstream of every service whose policy watches some.
//!
//! Signals that stand in the same answer are read from one request, so that an endpoint is not asked five
//! times for five numbers. A value that could not be read is reported with its reason: whether silence holds
//! or fails a candidate is the policy's to say.

use super::exchange::{Ask, Failed};
use super::resolve::Resolver;
use super::targets::{self, Place, Work, begin, rounds};
use super::transport::Transport;
use crate::control::command::{Controller, Input};
use crate::core::own_limit::OwnLimit;
use crate::core::settings::{Config, Pool, Service, Upstream, UpstreamTls};
use crate::core::signal::{Locator, Signal};
use crate::core::upstream_address::UpstreamAddress;
use bytes::Bytes;
use http::{HeaderMap, Method};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The most of an answer's body that is read.
const MAX_BODY: usize = 1024 * 1024;

/// Scrapes the upstreams of the newest configuration, until the channel closes or the controller stops.
/// Scrapes that stay the same go on undisturbed.
pub async fn watch(controller: Controller, configs: Receiver<Arc<Config>>, resolver: Resolver) {
    targets::follow::<Scrapes>(controller, configs, resolver).await;
}

/// All scrapes of one upstream.
#[derive(Clone, Debug, PartialEq)]
struct Scrapes {
    /// The Host header of the pool's health check, where it has one; the upstream's address otherwise.
    host: Option<String>,
    http2: bool,
    tls: Option<Arc<UpstreamTls>>,
    scrapes: Vec<Scrape>,
}

/// How an upstream is spoken to.
#[derive(Clone)]
struct Server {
    host: String,
    transport: Transport,
}

/// One request, and the signals that stand in its answer.
#[derive(Clone, Debug, PartialEq)]
struct Scrape {
    from: String,
    interval: Duration,
    timeout: Duration,
    wanted: Vec<(Arc<str>, Locator)>,
}

/// What one round brought: each signal's value, or why it has none.
type Values = Vec<(Arc<str>, Result<f64, String>)>;

impl Work for Scrapes {
    fn wanted(service: &Service, pool: &Pool, _: &Upstream) -> Option<Self> {
        let signals = &service.policy.as_ref()?.signals;
        let host = pool.health.as_ref().and_then(|health| health.host()).map(str::to_owned);
        let (http2, tls) = (pool.http2, pool.tls.clone());
        (!signals.is_empty()).then(|| Scrapes { host, http2, tls, scrapes: Scrape::all(signals) })
    }

    async fn run(self, controller: Controller, place: Place, address: UpstreamAddress) {
        let mut scrapes = JoinSet::new();
        let host = self.host.unwrap_or_else(|| UpstreamAddress::authority_of(&place.upstream).to_owned());
        let transport = Transport::to(&place.upstream, self.http2, self.tls.as_deref());
        let server = Server { host, transport };
        for scrape in self.scrapes {
            scrapes.spawn(scrape.run(controller.clone(), place.clone(), address, server.clone()));
        }
        // Each ends when the controller stops.
        while scrapes.join_next().await.is_some() {}
    }
}

impl Scrape {
    fn all(signals: &[Signal]) -> Vec<Scrape> {
        let mut scrapes: Vec<Scrape> = Vec::new();
        for signal in signals {
            let Signal { from, interval, timeout, .. } = signal;
            let wanted = (signal.name.clone(), signal.at.clone());
            let same = |s: &&mut Scrape| (&s.from, &s.interval, &s.timeout) == (from, interval, timeout);
            match scrapes.iter_mut().find(same) {
                Some(scrape) => scrape.wanted.push(wanted),
                None => scrapes.push(Scrape {
                    from: from.clone(),
                    interval: *interval,
                    timeout: *timeout,
                    wanted: vec![wanted],
                }),
            }
        }
        scrapes
    }

    async fn run(self, controller: Controller, place: Place, address: UpstreamAddress, server: Server) {
        let mut rounds = rounds(&place, address, self.interval);
        loop {
            let began = begin();
            let values = match self.round(address, &server).await {
                Ok(values) => values,
                Err(limit) => {
                    // It says nothing about the upstream.
                    if !controller.tell(Input::OwnLimit { limit }).await {
                        return;
                    }
                    rounds.tick().await;
                    continue;
                }
            };
            let Place { service, pool, upstream } = place.clone();
            let told = Input::Signals { service, pool, upstream, address, began, values };
            if !controller.tell(told).await {
                return;
            }
            rounds.tick().await;
        }
    }

    /// Every signal's value, or the reason, which names the request.
    ///
    /// # Errors
    /// What this process is short of, so that nobody could be asked.
    async fn round(&self, address: UpstreamAddress, server: &Server) -> Result<Values, OwnLimit> {
        let body = match timeout(self.timeout, self.body(address, server)).await {
            Ok(Err(Failed::Ours(limit))) => return Err(limit),
            Ok(Err(Failed::Theirs(why))) => Err(why),
            Ok(Ok(body)) => Ok(body),
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        };
        let value = |at: &Locator| {
            let value = body.as_deref().map_err(Clone::clone).and_then(|body| at.find(body));
            value.map_err(|why| format!("GET {}: {why}", self.from))
        };
        Ok(self.wanted.iter().map(|(name, at)| (name.clone(), value(at))).collect())
    }

    async fn body(&self, address: UpstreamAddress, server: &Server) -> Result<String, Failed> {
        let ask = Ask {
            method: Method::GET,
            path: &self.from,
            host: &server.host,
            agent: "pointsman-signals",
            headers: HeaderMap::new(),
            body: Bytes::new(),
            limit: MAX_BODY,
            over: &server.transport,
        };
        let answer = ask.of(address).await?;
        match answer.status {
            200..=299 if answer.whole => Ok(String::from_utf8_lossy(&answer.body).into_owned()),
            200..=299 => Err(Failed::Theirs(format!("the body is longer than {} KiB", MAX_BODY / 1024))),
            status => Err(Failed::Theirs(format!("status {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::exchange::tests::{answered, nobody, origin};
    use super::*;
    use std::net::SocketAddr;
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::{mpsc, watch as channel};

    /// So long that no second round comes while a test runs.
    const NEVER: Duration = Duration::from_secs(1_000_000_000);

    fn signal(name: &str, from: &str) -> Signal {
        Signal {
            name: name.into(),
            from: from.to_owned(),
            at: Locator::Pointer(format!("/{name}")),
            warning: Some(1.0),
            critical: None,
            interval: NEVER,
            timeout: Duration::from_secs(20),
            count: 1,
        }
    }

    fn config(upstreams: &[String], signals: Vec<Signal>) -> Arc<Config> {
        let text = format!(
            "[admin]\nlisten = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
             [[routes]]\nservice = \"web\"\n[services.web]\nstable = \"blue\"\npolicy = \"default\"\n\
             [services.web.pools.blue]\nupstreams = {upstreams:?}\n"
        );
        let mut config = crate::config::parse(&text, "test", &|_| None, Path::new("/")).expect("valid");
        let service = config.services.get_mut("web").expect("a service");
        let policy = Arc::make_mut(service).policy.as_mut().expect("a policy");
        Arc::make_mut(policy).signals = signals;
        Arc::new(config)
    }

    type Told = (String, SocketAddr, Vec<(String, Result<f64, String>)>);

    async fn next(told: &mut mpsc::Receiver<Input>) -> Told {
        let Some(Input::Signals { service, pool, upstream, address, values, .. }) = told.recv().await else {
            panic!("signals")
        };
        assert_eq!((&*service, &*pool), ("web", "blue"));
        let address = address.ip().expect("no socket");
        (upstream.to_string(), address, values.into_iter().map(|(n, value)| (n.to_string(), value)).collect())
    }

    fn app() -> Server {
        Server { host: "app".into(), transport: Transport::to("app:80", false, None) }
    }

    #[tokio::test]
    async fn one_request_serves_all_that_stand_in_one_answer() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let address = origin(move |request| {
            count.fetch_add(1, Ordering::SeqCst);
            assert!(request.starts_with("GET /api/metrics HTTP/1.1\r\n"), "{request}");
            answered(200, "{\"a\": 12, \"b\": \"0.5\"}")
        })
        .await;
        let signals = ["a", "b", "c"].map(|name| signal(name, "/api/metrics"));
        let (_configs, configs) = channel::channel(config(&[address.to_string()], signals.into()));
        let (controller, mut told) = Controller::told();
        let watching = tokio::spawn(watch(controller, configs, Resolver::default()));
        let missing = "GET /api/metrics: there is nothing at \"/c\"".to_owned();
        let values = [("a", Ok(12.0)), ("b", Ok(0.5)), ("c", Err(missing))];
        let expected = values.map(|(name, value)| (name.to_owned(), value)).to_vec();
        assert_eq!(next(&mut told).await, (address.to_string(), address, expected));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        watching.abort();
    }

    #[test]
    fn another_path_or_pace_is_another_request() {
        let brisk = Signal { interval: Duration::from_secs(1), ..signal("c", "/a") };
        let hasty = Signal { timeout: Duration::from_secs(1), ..signal("d", "/a") };
        let scrapes = Scrape::all(&[signal("a", "/a"), signal("b", "/b"), brisk, hasty, signal("e", "/a")]);
        let names = |s: &Scrape| s.wanted.iter().map(|(name, _)| name.to_string()).collect::<String>();
        assert_eq!(scrapes.iter().map(names).collect::<Vec<_>>(), ["ae", "b", "c", "d"]);
    }

    #[tokio::test]
    async fn what_has_no_value_has_a_reason() {
        let long = || answered(200, &"1".repeat(MAX_BODY + 1));
        let origin = origin(move |request| match request.split_whitespace().nth(1) {
            Some("/busy") => answered(503, "{\"a\": 1}"),
            Some("/moved") => answered(302, "{\"a\": 1}"),
            Some("/long") => long(),
            _ => None,
        })
        .await;
        for (path, why) in [
            ("/busy", "GET /busy: status 503"),
            ("/moved", "GET /moved: status 302"),
            ("/long", "GET /long: the body is longer than 1024 KiB"),
            ("/silent", "GET /silent: no answer within 40ms"),
        ] {
            let time = Duration::from_millis(if path == "/silent" { 40 } else { 20_000 });
            let mut scrapes = Scrape::all(&[Signal { timeout: time, ..signal("a", path) }]);
            let values = scrapes.remove(0).round(origin.into(), &app()).await.expect("asked");
            assert_eq!(values, [("a".into(), Err(why.to_owned()))]);
        }
        let values =
            Scrape::all(&[signal("a", "/a")]).remove(0).round(nobody().into(), &app()).await.expect("asked");
        let why = values[0].1.clone().expect_err("nobody listens");
        assert!(why.starts_with("GET /a: connect: "), "{why}");
    }

    #[tokio::test]
    async fn scrapes_follow_a_reload_and_those_unchanged_go_on() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        let kept = origin(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            answered(200, "{\"a\": 1}")
        })
        .await;
        let added = origin(|_| answered(200, "{\"a\": 2, \"b\": 3}")).await;
        let kept_only = config(&[kept.to_string()], vec![signal("a", "/")]);
        let (configs, follows) = channel::channel(config(&[kept.to_string()], Vec::new()));
        let (controller, mut told) = Controller::told();
        let watching = tokio::spawn(watch(controller, follows, Resolver::default()));

        configs.send_replace(kept_only);
        assert_eq!(next(&mut told).await, (kept.to_string(), kept, vec![("a".into(), Ok(1.0))]));

        // A name may have more addresses than the one where the origin listens.
        let name = format!("localhost:{}", added.port());
        configs.send_replace(config(&[kept.to_string(), name.clone()], vec![signal("a", "/")]));
        let by_name = loop {
            let (upstream, address, values) = next(&mut told).await;
            assert_eq!(upstream, name);
            if address == added {
                break values;
            }
        };
        assert_eq!(by_name, [("a".into(), Ok(2.0))]);
        assert_eq!(asked.load(Ordering::SeqCst), 1, "unchanged");

        configs.send_replace(config(&[added.to_string()], vec![signal("b", "/")]));
        let changed = loop {
            let (upstream, _, values) = next(&mut told).await;
            if upstream == added.to_string() {
                break values;
            }
        };
        assert_eq!(changed, [("b".into(), Ok(3.0))]);
        drop(configs);
        watching.await.expect("it ends with the channel");
        assert!(told.recv().await.is_none(), "and so do the scrapes");
    }
}
