//! Of cohorts and testers, too.

use crate::config::{Faults, parse};
use crate::core::cohort::Cohort;
use crate::core::condition::{Requirement, ValueTest};
use crate::core::settings::{Config, Service};
use crate::core::tester::Wanted;
use std::path::Path;
use std::time::Duration;

fn read(server: &str, web: &str) -> Result<Config, Faults> {
    let text = format!(
        "[server]\n{server}\n[[listeners]]\naddress = \"127.0.0.1:80\"\n[[routes]]\nservice = \"web\"\n\
         [services.web.pools.blue]\nupstreams = [\"10.0.0.1:80\"]\n\
         [services.web.pools.green]\nupstreams = [\"10.0.0.2:80\"]\n[services.web]\nstable = \"blue\"\n{web}\n"
    );
    parse(&text, "test.toml", &|_| None, Path::new("/nowhere"))
}

fn web(keys: &str) -> Service {
    Service::clone(&read("", keys).expect("accepted").services["web"])
}

#[test]
fn cohorts_are_read_with_their_defaults() {
    assert_eq!(web("").cohort, Cohort::Request);
    assert_eq!(web("cohort = { by = \"request\" }").cohort, Cohort::Request);
    assert_eq!(web("cohort = { by = \"client_ip\" }").cohort, Cohort::ClientIp);
    let header = http::HeaderName::from_static("x-user");
    assert_eq!(web("cohort = { by = \"header\", name = \"X-User\" }").cohort, Cohort::Header(header));
    let cookie = |name: &str, s| Cohort::Cookie { name: name.into(), ttl: Duration::from_secs(s) };
    assert_eq!(web("cohort = { by = \"cookie\" }").cohort, cookie("pointsman", 3600));
    let own = "cohort = { by = \"cookie\", name = \"__Host-v\", ttl = \"30d\" }";
    assert_eq!(web(own).cohort, cookie("__Host-v", 30 * 86_400));
}

#[test]
fn testers_are_there_where_they_are_configured() {
    assert_eq!(web("").testers, None);
    let testers = web("[services.web.testers]").testers.expect("some");
    assert_eq!((testers.header.as_str(), &*testers.cookie), ("x-pointsman-pool", "pointsman-pool"));
    assert_eq!((&*testers.query, testers.networks.len()), ("pointsman-pool", 0));
    let own =
        "testers = { networks = [\"10.0.0.0/8\", \"::1\"], header = \"X-V\", cookie = \"v\", query = \"w\" }";
    let testers = web(own).testers.expect("some");
    assert_eq!((testers.header.as_str(), &*testers.cookie, &*testers.query), ("x-v", "v", "w"));
    assert_eq!(testers.networks.len(), 2);
}

#[test]
fn rules_are_read_in_their_order() {
    let rules = web(
        "[[services.web.rules]]\npool = \"green\"\nstrict = true\nheader = { name = \"X-Team\", equals = \"red\" }\n\
         methods = [\"POST\"]\nnetworks = [\"10.0.0.1\"]\n\
         [[services.web.rules]]\npool = \"candidate\"\ncookie = { name = \"plan\", matches = \"^gold\" }\n\
         query = { name = \"beta\" }",
    )
    .rules;
    let [first, second] = &rules[..] else { panic!("{rules:?}") };
    assert_eq!((&first.to, first.strict), (&Wanted::Pool("green".into()), true));
    assert_eq!((first.when.methods.len(), first.when.networks.len()), (1, 1));
    let value = ValueTest::Equals(b"red"[..].into());
    assert_eq!(
        first.when.header,
        Some(Requirement { of: http::HeaderName::from_static("x-team"), value, is_not: false })
    );
    assert_eq!((&second.to, second.strict), (&Wanted::Candidate, false));
    assert_eq!(
        second.when.query,
        Some(Requirement { of: "beta".into(), value: ValueTest::Any, is_not: false })
    );
    assert!(
        matches!(&second.when.cookie, Some(Requirement { of, value: ValueTest::Matches(_), is_not: false }) if &**of == "plan")
    );
}

#[test]
fn a_service_shows_its_pool_in_place_of_the_servers_way() {
    let shown = |server, keys| read(server, keys).expect("accepted").services["web"].expose_pool.clone();
    assert_eq!(shown("", ""), None);
    assert_eq!(shown("expose_pool = \"X-Pool\"", ""), Some(http::HeaderName::from_static("x-pool")));
    let own = shown("expose_pool = \"X-Pool\"", "expose_pool = \"x-version\"");
    assert_eq!(own, Some(http::HeaderName::from_static("x-version")));
}

/// Keys of the server and the service, and what is said of them.
const FAULTS: &[[&str; 3]] = &[
    [
        "",
        "cohort = {}",
        "services.web.cohort.by: is missing; write request, cookie, client_ip, header or text",
    ],
    ["", "cohort = { by = \"ip\" }", "cohort.by: \"ip\" is none of request, cookie, client_ip, header"],
    ["", "cohort = { by = \"header\" }", "cohort.name: is missing; which header names the user?"],
    ["", "cohort = { by = \"header\", name = \"a b\" }", "cohort.name: \"a b\" is no name of a header field"],
    ["", "cohort = { by = \"cookie\", name = \"a=b\" }", "cohort.name: \"a=b\" is no name of a cookie"],
    ["", "cohort = { by = \"cookie\", ttl = \"401d\" }", "cohort.ttl: must be from 1s to"],
    [
        "",
        "cohort = { by = \"client_ip\", name = \"x\" }",
        "cohort.name: has no effect without by = \"cookie\"",
    ],
    ["", "cohort = { by = \"header\", name = \"x\", ttl = \"1h\" }", "cohort.ttl: has no effect without"],
    ["", "cohort = { by = \"cookie\", tll = \"1h\" }", "cohort.tll: unknown key; did you mean ttl?"],
    ["", "testers = { network = [] }", "testers.network: unknown key; did you mean networks?"],
    ["", "testers = { networks = [\"10\"] }", "testers.networks[0]: \"10\" is no network"],
    ["", "testers = { query = \"\" }", "testers.query: is empty"],
    [
        "",
        "cohort = { by = \"cookie\", name = \"v\" }\ntesters = { cookie = \"v\" }",
        "testers: cookie is v, which is the cohort's; give it another name",
    ],
    [
        "",
        "[[services.web.rules]]\nmethods = [\"POST\"]",
        "rules[0].pool: is missing; where do these requests go?",
    ],
    [
        "",
        "[[services.web.rules]]\npool = \"red\"\nmethods = [\"POST\"]",
        "rules[0].pool: there is no pool red; there are: blue, green, and the roles stable and candidate",
    ],
    ["", "[[services.web.rules]]\npool = \"green\"", "rules[0]: has no condition; add one of header, cookie"],
    [
        "",
        "[[services.web.rules]]\npool = \"green\"\nmethods = [\"post\"]",
        "rules[0].methods[0]: \"post\" is no method; write for example POST",
    ],
    [
        "",
        "[[services.web.rules]]\npool = \"green\"\nheader = { equals = \"x\" }",
        "rules[0].header.name: is missing; which header?",
    ],
    [
        "",
        "[[services.web.rules]]\npool = \"green\"\nquery = { name = \"q\", matches = \"(\" }",
        "rules[0].query.matches: regex parse error",
    ],
    [
        "",
        "[[services.web.rules]]\npool = \"green\"\ncookie = { name = \"q\", matches = \"a\", equals = \"a\" }",
        "rules[0].cookie: has equals and matches; one of them",
    ],
    [
        "",
        "[[services.web.rules]]\npool = \"candidate\"\nstrict = true\nmethods = [\"GET\"]",
        "rules[0].strict: has no effect with the candidate",
    ],
    ["", "[[services.web.rules]]\npath = \"/x\"", "rules[0].path: unknown key"],
    ["expose_pool = \"content-length\"", "", "server.expose_pool: content-length frames the message"],
    ["", "expose_pool = \"a b\"", "services.web.expose_pool: \"a b\" is no name of a header field"],
];

#[test]
fn faults_name_the_key_and_the_remedy() {
    for [server, web, expected] in FAULTS {
        let text = read(server, web).expect_err(expected).to_string();
        assert!(text.contains(expected), "missing: {expected}\nin:\n{text}");
        assert!(text.starts_with("test.toml:"), "a place: {text}");
    }
}
