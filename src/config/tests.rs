mod described;
mod digest;
mod documented;
mod reference;
mod samples;
mod schema;
mod short;

pub(in crate::config) use reference::is_current;

use super::*;
use crate::core::balance::{Balance, HashBy};
use crate::core::policy::{Limit, Mode, Policy, Reaction, RelativeReactions};
use crate::core::settings::UpstreamHost;
use crate::core::signal::Locator;
use crate::core::verdict::Level;
use crate::core::warm_up::WarmUp;
use std::sync::Arc;
use std::time::Duration;

fn env(name: &str) -> Option<String> {
    (name == "PORT").then(|| "3000".to_owned())
}

fn read_text(text: &str) -> Result<Config, Faults> {
    parse(text, "test.toml", &env, Path::new("/nowhere"))
}

const MINIMAL: &str = include_str!("../../conf/minimal.toml");
/// For texts that bring a table of the process themselves.
const MINIMAL_BUT_SERVER: &str = "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[routes]]\nservice = \"web\"\n\
    [services.web.pools.blue]\nupstreams = [\"10.0.0.1:3000\"]\n";

#[test]
fn every_example_is_accepted() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf");
    let mut seen = 0;
    for entry in std::fs::read_dir(dir).expect("conf/") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            // One names files of its server, which only `tests/it/tallow` has.
            let is_missing = |fault: &Fault| {
                path.ends_with("tallow.toml")
                    && (fault.detail.contains("No such file") || fault.detail.contains("no folder"))
            };
            if let Err(faults) = load(&path) {
                assert!(faults.faults.iter().all(is_missing), "{faults}");
            }
            seen += 1;
        }
    }
    assert!(seen >= 2);
}

#[test]
fn the_large_example_means_what_it_says() {
    let config = read_text(include_str!("../../conf/pointsman.toml")).expect("accepted");
    let web = &config.services["web"];
    let blue = &web.pools["blue"];
    assert_eq!((&*web.stable, blue.balance.clone()), ("blue", Balance::LeastConn));
    assert_eq!((blue.upstreams[1].weight, blue.upstreams[1].max_conns), (2, 512));
    assert_eq!(web.rollout.steps.iter().map(|s| s.weight.get()).collect::<Vec<_>>(), [500, 2500, 10_000]);
    let signaling = &config.services["signaling"].pools["blue"];
    assert_eq!(signaling.balance, Balance::Hash(HashBy::ClientIp));
    assert_eq!(signaling.timeouts.read, Duration::from_secs(7 * 86_400));
    let policy = web.policy.as_ref().expect("a policy");
    assert_eq!((policy.mode, policy.limits.len()), (Mode::Evidence, 4));
    let rules = (policy.relative, policy.relative_ratio, policy.on_shared_outage);
    assert_eq!(rules, (RelativeReactions::default(), 1.5, Reaction::Hold));
    assert_eq!((policy.min_clients, policy.health), (1, Some(Level::Critical)));
}

#[test]
fn a_service_is_shielded_unless_it_says_otherwise() {
    let shield = |key: &str| {
        let text = MINIMAL.replacen("[services.web]\n", &format!("[services.web]\n{key}\n"), 1);
        assert!(key.is_empty() || text.contains(key), "{text}");
        read_text(&text).map(|config| config.services["web"].shield.clone())
    };
    assert_eq!(shield("").expect("accepted"), Some(Arc::default()));
    assert_eq!(shield("shield = true").expect("accepted"), Some(Arc::default()));
    assert_eq!(shield("shield = false").expect("accepted"), None);
    let own =
        shield("shield = { budget = \"7.5%\", burst = 9, statuses = [500, \"502-504\"] }").expect("accepted");
    let own = own.expect("shielded");
    assert_eq!((own.budget.share.get(), own.budget.burst), (750, 9));
    assert_eq!(own.statuses, [(500, 500), (502, 504)]);
    for (wrong, place) in [
        ("shield = 5", "services.web.shield"),
        ("shield = { budget = \"120%\" }", "services.web.shield.budget"),
        ("shield = { burst = 0 }", "services.web.shield.burst"),
        ("shield = { statuses = [] }", "services.web.shield.statuses"),
        ("shield = { statuses = [404] }", "services.web.shield.statuses"),
        ("shield = { colour = 1 }", "services.web.shield"),
        ("close_streams = \"soon\"", "services.web.close_streams"),
    ] {
        let faults = shield(wrong).expect_err(wrong);
        assert!(faults.to_string().contains(place), "{wrong}: {faults}");
    }
}

fn policy_of(keys: &str) -> Result<Arc<Policy>, Faults> {
    let config = read_text(&format!("{MINIMAL}\n[policies.own]\n{keys}\n"))?;
    Ok(config.policies["own"].clone())
}

#[test]
fn a_policy_says_what_it_looks_at_beside_its_limits() {
    let policy = policy_of(
        "health = { warning = true }\nrelative = \"off\"\nrelative_ratio = 3\non_shared_outage = \"abort\"\nmin_clients = 16",
    )
    .expect("health alone is a condition");
    assert_eq!((policy.relative, policy.relative_ratio), (RelativeReactions::all(Reaction::Off), 3.0));
    assert_eq!((policy.on_shared_outage, policy.min_clients), (Reaction::Abort, 16));
    assert_eq!((policy.health, policy.limits.len()), (Some(Level::Warning), 0));
    let policy = policy_of("error_rate = { critical = \"1%\" }").expect("accepted");
    assert_eq!((policy.health, policy.relative, policy.min_clients), (None, RelativeReactions::default(), 1));
    assert!(read_text(MINIMAL).expect("accepted").policies["default"].health == Some(Level::Critical));
}

#[test]
fn a_policy_says_which_answers_fail_and_what_is_compared() {
    let policy = policy_of(
        "failures = { statuses = [404, \"502-504\"], grpc = [14, \"internal\"] }\ngroups = 8\n\
         relative = { latency = \"abort\", statuses = \"off\" }\n\
         abandoned = { warning = \"1%\", critical = \"5%\" }\nduration_p95 = { warning = \"5s\", critical = \"10s\" }",
    )
    .expect("accepted");
    let failures = policy.failures;
    assert!([404, 502, 503, 504].into_iter().all(|status| failures.has(status)) && !failures.has(500));
    assert!(failures.has_grpc(b"14") && failures.has_grpc(b"13") && !failures.has_grpc(b"2"));
    assert_eq!(policy.groups, 8);
    let expected = RelativeReactions {
        latency: Reaction::Abort,
        statuses: Reaction::Off,
        ..RelativeReactions::default()
    };
    assert_eq!(policy.relative, expected);
    let seconds = |n| Some(Duration::from_secs(n));
    assert_eq!(
        policy.limits,
        [
            Limit::Abandoned { warning: Some(0.01), critical: Some(0.05) },
            Limit::Duration { quantile: 0.95, warning: seconds(5), critical: seconds(10) },
        ]
    );
    assert_eq!(policy.thresholds(true).long.used(), [5_000_000, 10_000_000]);
    let only_grpc =
        policy_of("error_rate = { critical = \"1%\" }\nfailures = { statuses = [] }").expect("accepted");
    assert!(
        !only_grpc.failures.has(500) && only_grpc.failures.has_grpc(b"14"),
        "what is left out is as by default"
    );
    for (wrong, place) in [
        ("failures = { statuses = [99] }", "failures.statuses[0]"),
        ("failures = { statuses = [\"599-500\"] }", "failures.statuses[0]"),
        ("failures = { grpc = [0] }", "failures.grpc[0]"),
        ("failures = { grpc = [\"OK\"] }", "failures.grpc[0]"),
        ("failures = { http = [] }", "failures.http"),
        ("groups = 65", "policies.own.groups"),
        ("relative = { speed = \"hold\" }", "relative.speed"),
        ("relative = { errors = \"maybe\" }", "relative.errors"),
        ("abandoned = { critical = \"50%\" }", "abandoned.critical"),
        ("duration_p95 = { critical = \"2h\" }", "duration_p95.critical"),
    ] {
        let faults = policy_of(&format!("error_rate = {{ critical = \"1%\" }}\n{wrong}")).expect_err(wrong);
        assert!(faults.to_string().contains(place), "{wrong}: {faults}");
    }
}

#[test]
fn signals_are_read_with_their_defaults() {
    let policy = policy_of(
        r#"signals = [
  { name = "database_connections", from = "/api/metrics", at = "/database_connections", warning = 10, critical = 15 },
  { name = "pg", from = "/metrics", at = "pg_connections{db=\"main\"}", critical = 0.5, interval = "100ms", timeout = "50ms", count = 3 },
]"#,
    )
    .expect("accepted");
    let [first, second] = &policy.signals[..] else { panic!("{:?}", policy.signals) };
    assert_eq!((&*first.name, first.from.as_str()), ("database_connections", "/api/metrics"));
    assert_eq!(first.at, Locator::Pointer("/database_connections".into()));
    assert_eq!((first.warning, first.critical, first.count), (Some(10.0), Some(15.0), 2));
    assert_eq!((first.interval, first.timeout), (Duration::from_secs(5), Duration::from_secs(1)));
    assert!(
        matches!(&second.at, Locator::Sample { name, labels } if name == "pg_connections" && labels.len() == 1)
    );
    assert_eq!((second.warning, second.critical, second.count), (None, Some(0.5), 3));
    assert_eq!((second.interval, second.timeout), (Duration::from_millis(100), Duration::from_millis(50)));
}

#[test]
fn faults_of_a_policy_name_the_key() {
    let faults = policy_of(
        r#"relative = "maybe"
relative_ratio = 0.5
on_shared_outage = "off"
min_clients = 17
health = { fatal = true }
signals = [
  { name = "Db", from = "metrics", at = "9", warning = 5, critical = 5 },
  { name = "a", from = "/m", at = "/a" },
  { name = "b", from = "/m", at = "/b", critical = 1 },
  { name = "b", from = "/m", at = "/c", critical = 1, count = 0 },
  { name = "shared_outage", from = "/m", at = "/d", critical = 1 },
  { name = "c", at = "/d", critical = "1" },
]"#,
    )
    .expect_err("refused")
    .to_string();
    println!("{faults}");
    for line in [
        "policies.own.relative: \"maybe\" is none of hold, abort, off",
        "policies.own.relative_ratio: must be from 1 to 100",
        "policies.own.on_shared_outage: \"off\" is none of hold, abort",
        "policies.own.min_clients: must be from 1 to 16",
        "policies.own.health.fatal: unknown key; known here: warning, critical",
        "policies.own.signals[0].name: a name has 1 to 63 characters of a-z",
        "policies.own.signals[0].from: \"metrics\" must begin with /",
        "policies.own.signals[0].at: \"9\" is neither a JSON pointer",
        "policies.own.signals[0]: warning must be below critical",
        "policies.own.signals[1]: sets neither warning nor critical",
        "policies.own.signals[3]: a signal named b stands before it",
        "policies.own.signals[3].count: must be from 1 to 10",
        "policies.own.signals[4].name: shared_outage is the name of a metric that Pointsman measures itself",
        "policies.own.signals[5].from: is missing; add from = \"/api/metrics\"",
        "policies.own.signals[5].critical: is a string where a number is expected",
    ] {
        assert!(faults.contains(line), "missing: {line}\nin:\n{faults}");
    }
}

#[test]
fn variables_are_filled_in_and_names_are_upstreams() {
    let text = MINIMAL.replace("127.0.0.1:3100", "app:${PORT}");
    let config = read_text(&text).expect("accepted");
    let upstream = &config.services["web"].pools["green"].upstreams[0];
    assert_eq!(upstream.host, UpstreamHost::Name { host: "app".into(), port: 3000 });
}

const BROKEN: &str = r#"
[server]
thread = 4
grace = "soon"

[admin]
listen = "0.0.0.0:9900"

[[listeners]]
address = "8080"
limits = { body = "100X" }

[[routes]]
path = "~ ^/(api"
service = "wbe"

[services.web]
stable = "bleu"
policy = "strict"

[services.web.pools.blue]
upstreams = ["10.0.0.3", "10.0.0.1:80", "10.0.0.1:80", "${NOPE}:80"]
balance = "random"
health = { path = "health", rise = 0 }

[services.web.pools.Green]
upstreams = []

[services.web.rollout]
steps = [{ weight = 25 }, { weight = 5 }]

[policies.default]
error_rate = { warning = "2%", critical = "1%" }
latency_p95 = { critical = "2" }
"#;

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    let faults = read_text(BROKEN).expect_err("refused");
    let text = faults.to_string();
    println!("{text}");
    for line in [
        "test.toml:3:1: server.thread: unknown key; did you mean threads?",
        "test.toml:4:9: server.grace: \"soon\" is no duration; write 250ms, 10s, 5m, 1h or 7d",
        "test.toml:7:10: admin.listen: the admin API listens off loopback, so it needs a token",
        "test.toml:10:11: listeners[0].address: \"8080\" is no address with a port",
        "test.toml:11:19: listeners[0].limits.body: \"100X\" is no size",
        "test.toml:14:8: routes[0].path: regex parse error",
        "test.toml:15:11: routes[0].service: there is no service wbe",
        "test.toml:18:10: services.web.stable: there is no pool bleu; there are: blue",
        "test.toml:19:10: services.web.policy: there is no policy strict",
        "test.toml:22:14: services.web.pools.blue.upstreams[0]: \"10.0.0.3\" has no port; write 10.0.0.3:3000",
        "services.web.pools.blue.upstreams[2]: 10.0.0.1:80 stands twice in this pool",
        "services.web.pools.blue.upstreams[3]: the environment has no variable NOPE",
        "services.web.pools.blue.balance: \"random\" is none of round_robin, least_conn, p2c, hash",
        "services.web.pools.blue.health.path: \"health\" must begin with /",
        "services.web.pools.blue.health.rise: must be from 1 to 1000",
        "services.web.pools.Green: a name has 1 to 63 characters",
        "services.web.rollout: steps[1]: weight 5 % must be above the step before (25 %)",
        "services.web.rollout: steps[1]: the last step must have weight 100",
        "policies.default.error_rate: warning must be below critical",
        "policies.default.latency_p95.critical: \"2\" is no duration",
    ] {
        assert!(text.contains(line), "missing: {line}\nin:\n{text}");
    }
    let places: Vec<_> = faults.faults.iter().map(|fault| (fault.line, fault.column)).collect();
    assert!(places.is_sorted(), "in the order of the file: {places:?}");
}

#[test]
fn a_syntax_error_has_its_place() {
    let faults = read_text("[server]\nthreads = \n").expect_err("refused");
    assert_eq!(faults.faults[0].line, 2);
}

#[test]
fn what_is_missing_is_told_with_the_lines_to_add() {
    let text = read_text("").expect_err("refused").to_string();
    assert!(text.contains("add [[listeners]]") && text.contains("add [[routes]]"), "{text}");
    assert!(text.contains("there is no service"), "{text}");
}

#[test]
fn types_are_checked() {
    let text =
        read_text(&MINIMAL.replace("stable = \"blue\"", "stable = 5")).expect_err("refused").to_string();
    assert!(text.contains("services.web.stable: is an integer where a string is expected"), "{text}");
}

#[test]
fn a_wrong_value_is_told_with_how_the_key_is_written() {
    for (wrong, told) in [
        (
            "[server]\ngrace = 25",
            "server.grace: is an integer where a string is expected; write: grace = \"1m\"",
        ),
        ("[server]\nthreads = 900", "server.threads: must be from 0 to 256; write: threads = 4"),
        ("[server]\nlog = \"xml\"", "server.log: \"xml\" is none of text, json; write: log = \"json\""),
        ("[server]\ndrain_delay = \"2h\"", "drain_delay: must be from 0s to 1h; write: drain_delay = \"5s\""),
        (
            "[services.web.rollout]\nsteps = [{ weight = 500 }]",
            "steps[0].weight: must be from 0 to 100, with at most two decimals; write: weight = 5",
        ),
        (
            "[compression]\nalgorithms = [5]",
            "algorithms[0]: is an integer where a string is expected; write: algorithms = [\"gzip\"]",
        ),
        (
            "[[sets]]\nname = \"site\"",
            "sets[0].services: is missing; the services, in the order in which they go on; write: services = [\"web\", \"signaling\"]",
        ),
        ("[server]\ngrace = \"soon\"", "\"soon\" is no duration; write 250ms, 10s, 5m, 1h or 7d"),
    ] {
        let faults = read_text(&format!("{MINIMAL_BUT_SERVER}\n{wrong}")).expect_err(wrong);
        let ends = |fault: &&Fault| format!("{}: {}", fault.path, fault.detail).ends_with(told);
        let fault = faults.faults.iter().find(ends).unwrap_or_else(|| panic!("{wrong}: {faults}"));
        let example = fault.example.as_deref().unwrap_or_else(|| panic!("{fault:?}"));
        assert!(told.ends_with(example) || wrong.contains("soon"), "{fault:?}");
    }
    let beside = read_text(&format!(
        "{MINIMAL}\n[services.web.pools.red]\nupstreams = [\"10.0.0.1:1\"]\nhash_by = \"uri\""
    ));
    let faults = beside.expect_err("has no effect").faults;
    assert_eq!(
        (faults.len(), &faults[0].example),
        (1, &None),
        "what is wrong only beside other keys shows none"
    );
}

#[test]
fn tokens_come_hashed_from_text_variable_or_file() {
    let hash = "03ac674216f3e15c761ee1a5e255f067953623c8b388b4459e13f978d7c846f4";
    let admin =
        format!("{MINIMAL}\n[admin]\ntokens = [{{ name = \"ci\", role = \"deploy\", sha256 = \"{hash}\" }}]");
    let config = read_text(&admin).expect("accepted");
    assert_eq!(config.admin.tokens[0].sha256[0], 0x03);
    let from_env =
        format!("{MINIMAL}\n[admin]\ntokens = [{{ name = \"ci\", role = \"admin\", env = \"PORT\" }}]");
    assert_ne!(read_text(&from_env).expect("accepted").admin.tokens[0].sha256, [0; 32]);
    let none = format!("{MINIMAL}\n[admin]\ntokens = [{{ name = \"ci\", role = \"admin\" }}]");
    assert!(read_text(&none).expect_err("refused").to_string().contains("one of sha256, env and file"));
}

#[test]
fn a_diff_knows_what_needs_a_restart() {
    let old = read_text(MINIMAL).expect("accepted");
    let new = MINIMAL.replace("127.0.0.1:8080", "127.0.0.1:8081").replace("127.0.0.1:3100", "127.0.0.1:3200");
    let (changed, restart) = diff(&old, &read_text(&new).expect("accepted"));
    assert_eq!(
        (changed, restart),
        (vec!["services.web.pools.green".to_owned()], vec!["listeners".to_owned()])
    );
    assert_eq!(diff(&old, &old), (vec![], vec![]));
}

#[test]
fn rollouts_have_gates_tests_hooks_and_what_follows_them() {
    let keys = r#"
        [services.web.rollout]
        gate = true
        deadline = "4h"
        gate_timeout = "24h"
        warmup = { requests = 100, for = "30s" }
        steps = [{ weight = 5, gate = true }, { weight = 100 }]
        smoke = [
          { path = "/ready", method = "PUT", expect = 204, match = "^$", timeout = "2s", host = "app" },
          { path = "/login", body = '{"user": "a"}', headers = { X-Key = "7" } },
        ]
        hooks = [{ at = "before-shifting", url = "https://ci.example/ask?key=1", secret = "s" }]
        rolling = { max_unavailable = 2, drain = "5s", update = "1m", watch = "10s", hook = { url = "http://ci/up" } }
        after = { watch = "2h", rollback = true }
    "#;
    let config = read_text(&format!("{MINIMAL}{keys}")).expect("accepted");
    let web = &config.services["web"];
    let plan = &web.rollout;
    assert!(plan.gate && plan.steps[0].gate && !plan.steps[1].gate && plan.smoke);
    let hours = |n: u64| Some(Duration::from_secs(3600 * n));
    assert_eq!((plan.deadline, plan.gate_timeout), (hours(4), hours(24)));
    assert_eq!(web.warm_up, Some(WarmUp { requests: 100, for_us: 30_000_000 }));
    let [ready, login] = &web.smoke[..] else { panic!("{:?}", web.smoke) };
    assert_eq!((ready.expect.to_string(), ready.timeout), ("204".to_owned(), Duration::from_secs(2)));
    assert_eq!((ready.method.as_str(), ready.host.as_deref(), ready.headers.len()), ("PUT", Some("app"), 0));
    assert_eq!(
        (login.method.as_str(), &login.body[..]),
        ("POST", &br#"{"user": "a"}"#[..]),
        "a body is posted"
    );
    assert!(login.headers["x-key"] == "7" && login.headers["content-type"] == "application/json");
    assert_eq!(login.expect.to_string(), "200-299", "a redirect passes no test");
    assert_eq!(plan.hooks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["before-shifting"]);
    assert_eq!((plan.rolling.max_unavailable, plan.rolling.hook, web.update.is_some()), (2, true, true));
    assert_eq!((plan.after.watch, plan.after.rollback), (Duration::from_secs(7200), true));
    assert!(!format!("{config:?}").contains("key=1"), "URLs of hooks hold secrets");
}

#[test]
fn faulty_rollouts_are_refused_by_their_place() {
    let keys = r#"
        [services.web.rollout]
        smoke = [{ path = "ready", match = "(", method = "G E T" }, { expect = 900 },
          { path = "/", method = "HEAD", match = "a", body = "b" }]
        hooks = [{ at = "before-lunch", url = "ci" }, { at = "before-baking", url = "http://ci/" }, { at = "before-baking", url = "http://ci/" }]
        rolling = { max_unavailable = 0, color = 1 }
        after = { watch = "soon" }
        deadline = "30m"
        gate_timeout = "0s"
        warmup = { requests = 0, after = "1s" }
    "#;
    let faults = read_text(&format!("{MINIMAL}{keys}")).expect_err("refused");
    let paths: Vec<_> = faults.faults.iter().map(|fault| fault.path.as_str()).collect();
    for path in [
        "smoke[0].path",
        "smoke[0].match",
        "smoke[0].method",
        "smoke[1].path",
        "smoke[1].expect",
        "smoke[2].match",
        "smoke[2].body",
        "hooks[0].at",
        "hooks[0].url",
        "hooks[2].at",
        "rolling.max_unavailable",
        "rolling.color",
        "after.watch",
        "deadline",
        "gate_timeout",
        "warmup.requests",
        "warmup.for",
        "warmup.after",
    ] {
        let path = format!("services.web.rollout.{path}");
        assert!(paths.contains(&path.as_str()), "{path} is not in {paths:?}");
    }
}
