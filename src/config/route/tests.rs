use crate::config::{Faults, parse};
use crate::core::headers::Value;
use crate::core::route::{Base, Fallback, PathSpec, Redirect, ReplyBody, RouteSpec, Routes, Target, Then};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A site with these routes besides what every site has, in the folder of the crate; keys of the top level
/// stand before a line of dashes.
fn read(text: &str) -> Result<Arc<Routes>, Faults> {
    let (first, text) = text.split_once("---\n").unwrap_or(("", text));
    let whole = format!(
        "{first}[[listeners]]\naddress = \"0.0.0.0:80\"\n[services.web.pools.blue]\nupstreams = [\"10.0.0.1:3000\"]\n{text}"
    );
    let base = Path::new(env!("CARGO_MANIFEST_DIR"));
    parse(&whole, "test.toml", &|_| None, base).map(|config| config.routes)
}

fn route(keys: &str) -> RouteSpec {
    let routes = read(&format!("[[routes]]\n{keys}\n")).unwrap_or_else(|faults| panic!("{faults}"));
    routes.spec(0).expect("a route").clone()
}

#[test]
fn a_route_leads_where_it_says() {
    let Target::Redirect(Redirect { status, .. }) =
        route("redirect = { to = \"https://$host$request_uri\" }").target
    else {
        panic!("a redirect")
    };
    assert_eq!(status, 301);
    assert!(route("service = \"web\"").measure && !route("service = \"web\"\nmeasure = false").measure);
    let Target::Reply(reply) = route("reply = { status = 200, body = \"healthy\\n\" }").target else {
        panic!("a reply")
    };
    assert_eq!(
        (reply.status, &reply.body, reply.content_type.as_bytes()),
        (200, &ReplyBody::Fixed("healthy\n".into()), &b"text/plain"[..])
    );
    let alias = route("path = \"/static/\"\nfiles = { root = \"conf\", alias = true }");
    let Target::Files(files) = alias.target else { panic!("files") };
    assert_eq!(
        (files.strip, &files.index[..], files.root.is_dir()),
        (8, &["index.html".to_owned()][..], true)
    );
    assert_eq!(route("path = \"~ /\\\\.\"\ndeny = true").target, Target::Deny);
    assert_eq!(route("service = \"web\"").path, PathSpec::Prefix { prefix: "/".into(), is_final: false });
}

#[test]
fn what_a_route_has_of_its_own_is_read() {
    let route = route(
        r#"service = "web"
listeners = ["0.0.0.0:80"]
allow = ["10.0.0.0/8"]
deny_from = ["10.6.6.6"]
access_log = false
timeouts = { read = "7d" }
limits = { body = "1M" }
headers = { response = { set = { "Cache-Control" = "no-store", "X-Id" = "$request_id" }, remove = ["Server"] } }"#,
    );
    assert_eq!(route.listeners, ["0.0.0.0:80".parse().expect("an address")]);
    assert!(route.clients.admit([10, 1, 1, 1].into()) && !route.clients.admit([10, 6, 6, 6].into()));
    assert_eq!((route.access_log, route.max_body), (false, Some(1 << 20)));
    assert_eq!((route.timeouts.connect, route.timeouts.read), (None, Some(Duration::from_secs(7 * 86_400))));
    let edits = route.headers.response.expect("its own");
    assert!(route.headers.request.is_none());
    assert_eq!((edits.remove.len(), edits.set.len(), edits.add.len()), (1, 2, 0));
    assert!(matches!(&edits.set[0].1, Value::Fixed(value) if value == "no-store"));
    assert!(matches!(&edits.set[1].1, Value::Template(_)));
}

#[test]
fn a_regex_within_a_prefix_and_pages_of_a_route_are_read() {
    let text = "[[routes]]\npath = \"/a/\"\nservice = \"web\"\n[[routes]]\npath = '~ \\.php$'\nwithin = \"/a/\"\ndeny = true\n\
                error_pages = { 403 = \"conf/minimal.toml\" }\n";
    let routes = read(text).unwrap_or_else(|faults| panic!("{faults}"));
    let route = routes.spec(1).expect("a route");
    assert_eq!(route.within.as_deref(), Some("/a/"));
    assert!(
        routes.error_page(Some(route), 403).is_some() && routes.error_page(routes.spec(0), 403).is_none()
    );
    for (within, told) in
        [("\"/b/\"", "there is no route whose path is this prefix"), ("\"a\"", "must begin with /")]
    {
        let faults =
            read(&text.replace("\"/a/\"\ndeny", &format!("{within}\ndeny"))).expect_err(within).to_string();
        assert!(faults.contains("routes[1].within: ") && faults.contains(told), "{faults}");
    }
    let faults = read(&text.replace("~ \\.php$", "/x")).expect_err("no regex").to_string();
    assert!(faults.contains("is for a path that is a regular expression"), "{faults}");
}

#[test]
fn what_holds_for_all_routes_is_read() {
    let routes = read(
        "[headers]\nresponse = { add = { \"Link\" = \"</a>\" } }\nrequest = { set = { Host = \"app\" } }\n\
         [error_pages]\n502 = \"conf/minimal.toml\"\n\"503\" = \"conf/minimal.toml\"\n[[routes]]\nservice = \"web\"\n",
    )
    .unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(routes.headers.response.as_ref().map(|edits| edits.add.len()), Some(1));
    assert_eq!(routes.headers.request.as_ref().map(|edits| edits.set.len()), Some(1));
    assert_eq!(routes.error_pages.keys().copied().collect::<Vec<_>>(), [502, 503]);
}

const FAULTY: &str = r#"error_pages = { "200" = "conf/minimal.toml", "502" = "conf" }
---
[headers]
response = { set = { "Content-Length" = "5", "X A" = "b", "Host" = "c" }, remove = ["upgrade"] }
request = { add = { "X-B" = "$request_body" }, remove = ["Host"], ad = {} }
[[routes]]
path = "/a"
[[routes]]
service = "web"
redirect = { to = "/b" }
[[routes]]
redirect = { to = "$request_uri", status = 305 }
[[routes]]
redirect = { to = "//evil.example/", status = 200 }
[[routes]]
redirect = { to = "https://$hots/" }
[[routes]]
reply = { status = 99, type = "plain" }
[[routes]]
reply = { status = 204, body = "x" }
[[routes]]
path = "/static"
files = { root = "no/such/folder", index = "../x", alias = true }
[[routes]]
deny = false
timeouts = { read = "1s" }
measure = false
[[routes]]
service = "wbe"
listeners = ["0.0.0.0:81"]
allow = ["ten"]
access_log = "off"
limits = { body = "1Q", bdy = 1 }
headers = { response = { set = { "X" = "a\nb" } } }
color = 1
"#;

const TOLD: [&str; 33] = [
    "error_pages.200: \"200\" is no status of an error",
    "error_pages.502: ",
    "headers.response.set.Content-Length: Content-Length frames the message",
    "headers.response.set.X A: \"X A\" is no name of a header field",
    "headers.response.set.Host: Host frames the message",
    "headers.response.remove[0]: upgrade frames the message",
    "headers.request.add.X-B: $request_body is none of $host, $remote_addr, $remote_user, $scheme",
    "headers.request.remove[0]: a request keeps its Host",
    "headers.request.ad: unknown key; did you mean add?",
    "routes[0]: leads nowhere; add service = \"web\", or one of redirect, reply, files, deny, onward and admin",
    "routes[1].redirect: a route leads to one place: service or redirect, not to both",
    "routes[2].redirect.to: \"$request_uri\" does not say where to",
    "routes[2].redirect.status: is none of 301, 302, 303, 307, 308",
    "routes[3].redirect.to: \"//evil.example/\" does not say where to",
    "routes[3].redirect.status: must be from 300 to 399",
    "routes[4].redirect.to: $hots is none of $host",
    "routes[5].reply.status: must be from 200 to 599",
    "routes[5].reply.type: \"plain\" is no media type",
    "routes[6].reply.body: an answer with status 204 has no body",
    "routes[7].files.root: ",
    "routes[7].files.index: \"../x\" is no name of a file",
    "routes[7].files.alias: takes the route's path off",
    "routes[8].deny: a route that denies nothing leads nowhere",
    "routes[8].timeouts: has no effect on a route that leads to no service",
    "routes[8].measure: has no effect on a route that leads to no service",
    "routes[9].service: there is no service wbe; there are: web",
    "routes[9].listeners[0]: there is no listener 0.0.0.0:81; there are: 0.0.0.0:80",
    "routes[9].allow[0]: \"ten\" is no network",
    "routes[9].access_log: is a string where true or false is expected",
    "routes[9].limits.body: \"1Q\" is no size",
    "routes[9].limits.bdy: unknown key; did you mean body?",
    "routes[9].headers.response.set.X: has a control character",
    "routes[9].color: unknown key",
];

#[test]
fn every_fault_of_every_route_is_told_at_once() {
    let text = read(FAULTY).expect_err("refused").to_string();
    for line in TOLD {
        assert!(text.contains(line), "missing: {line}\nin:\n{text}");
    }
}

#[test]
fn what_becomes_of_a_path_is_read() {
    let stripped = route("path = \"/api/\"\nservice = \"web\"\nstrip_prefix = \"/api/\"");
    assert_eq!(stripped.rewriting.base, Base::Stripped((*b"/api").into()));
    let replaced = route("path = \"^~ /api\"\nservice = \"web\"\npath_to = \"/v%20/\"");
    assert_eq!(replaced.rewriting.base, Base::Replaced { matched: 4, by: (*b"/v /").into() });
    let rules = route(
        "service = \"web\"\nrewrite = [{ match = '^/a/(.*)$', to = \"/b/$1\" }, { match = \"^/c\", to = \"/d\", then = \"route\" },\n\
         { match = \"^/e\", to = \"/f?\", then = \"next\" }, { match = \"^/(.*)/$\", to = \"/$1\", status = 308 }]",
    );
    let relocated =
        route("service = \"web\"\nrelocate = [{ from = \"http://app/\", to = \"$scheme://$host/\" }]");
    assert_eq!(relocated.relocations.first().map(|first| first.from.as_str()), Some("http://app/"));
    let upgraded = route("service = \"web\"\nrelocate = [{ from = \"http://\", to = \"https://\" }]");
    assert_eq!(upgraded.relocations.first().map(|first| first.from.as_str()), Some("http://"));
    let thens: Vec<_> = rules.rewriting.rules.iter().map(|rule| rule.then).collect();
    assert_eq!(thens, [Then::Stay, Then::Route, Then::Next, Then::Redirect(308)]);
}

#[test]
fn what_answers_in_place_of_a_file_is_read() {
    let files = |keys: &str| {
        let routes = read(&format!(
            "[[routes]]\nfiles = {{ root = \"conf\", {keys} }}\n[[routes]]\npath = \"@app\"\nservice = \"web\"\n"
        ));
        let routes = routes.unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!((routes.named("app"), routes.named("other")), (Some(1), None));
        match &routes.spec(0).expect("a route").target {
            Target::Files(files) => (files.folders, files.fallback.clone()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(files("index = \"a\""), (true, None));
    assert_eq!(files("fallback = 410, folders = false"), (false, Some(Fallback::Status(410))));
    assert_eq!(files("fallback = \"@app\"").1, Some(Fallback::Route("app".into())));
    assert!(matches!(files("fallback = \"/index.php?$args\"").1, Some(Fallback::Path(_))));
}

const FAULTY_PATHS: &str = r#"
[[routes]]
service = "web"
strip_prefix = "api"
path_to = "v2"
rewrite = [{ match = "(", to = "x" }, { to = "/x", the = 1 }, { match = "^", to = "/$1", then = "last" }]
[[routes]]
path = "/api/"
service = "web"
strip_prefix = "/v1"
rewrite = [{ match = "^", to = "https://", status = 305, then = "stay" }]
[[routes]]
path = "~ ^/x"
service = "web"
path_to = "/x"
[[routes]]
path = "/y"
service = "web"
path_to = "/x/../y?z"
[[routes]]
path = "/z"
deny = true
path_to = "/x"
rewrite = []
relocate = [{ from = "app", to = "x" }]
[[routes]]
path = "/f"
files = { root = "conf", fallback = "@none", folders = 1 }
[[routes]]
path = "/g"
files = { root = "conf", fallback = "index.html" }
[[routes]]
path = "/h"
files = { root = "conf", fallback = 200 }
[[routes]]
path = "@a"
hosts = ["x"]
service = "web"
limits = { connections_per_client = 1 }
[[routes]]
path = "@a"
service = "web"
[[routes]]
path = "@a b"
service = "web"
"#;

const TOLD_OF_PATHS: [&str; 27] = [
    "routes[4].relocate: has no effect on a route that leads to no service",
    "routes[4].relocate[0].from: \"app\" begins no place",
    "routes[4].relocate[0].to: \"x\" does not say where to",
    "routes[0].strip_prefix: \"api\" is no prefix of a path",
    "routes[0].path_to: strip_prefix says already",
    "routes[0].path_to: \"v2\" is no path; begin with /",
    "routes[0].rewrite[0].match: regex parse error",
    "routes[0].rewrite[0].to: \"x\" is no path; begin with /",
    "routes[0].rewrite[1].match: is missing; a regular expression",
    "routes[0].rewrite[1].the: unknown key; did you mean then?",
    "routes[0].rewrite[2].to: $1 is a group that the pattern does not have: it has 0",
    "routes[0].rewrite[2].then: \"last\" is none of stay, next, route",
    "routes[1].strip_prefix: no path of this route begins with it: they begin with /api/",
    "routes[1].rewrite[0].status: is none of 301",
    "routes[1].rewrite[0].then: status sends the client away",
    "routes[1].rewrite[0].to: \"https://\" names no host",
    "routes[2].path_to: takes the place of the route's own path",
    "routes[3].path_to: \"/x/../y?z\" is no path",
    "routes[4].path_to: has no effect on a route that leads to no service",
    "routes[4].rewrite: has no effect on a route that denies",
    "routes[5].files.fallback: there is no route @none; add [[routes]] with path = \"@none\"",
    "routes[5].files.folders: is an integer where true or false is expected",
    "routes[6].files.fallback: \"index.html\" is no path; begin with /",
    "routes[7].files.fallback: must be from 400 to 599",
    "routes[8].hosts: has no effect on a route with a name",
    "routes[8]: limits by client count once",
    "routes[8].path: several routes are called @a",
];

#[test]
fn every_fault_of_a_path_is_told() {
    let text = read(FAULTY_PATHS).expect_err("refused").to_string();
    for line in TOLD_OF_PATHS.iter().chain(&["routes[10].path: \"@a b\" is no name of a route"]) {
        assert!(text.contains(line), "missing: {line}\nin:\n{text}");
    }
}

#[test]
fn conditions_of_a_route_are_those_of_a_rule() {
    let read = |route: &str| {
        let text = format!(
            "[[listeners]]\naddress = \"127.0.0.1:80\"\n[[routes]]\n{route}\nservice = \"web\"\n\
             [services.web.pools.blue]\nupstreams = [\"10.0.0.1:80\"]\n"
        );
        crate::config::parse(&text, "test.toml", &|_| None, "/nowhere".as_ref()).map_err(|f| f.to_string())
    };
    let config = read("when = { methods = [\"POST\"], query = { name = \"beta\" } }").expect("accepted");
    let when = config.routes.specs()[0].when.as_ref().expect("conditions");
    assert_eq!((when.methods.len(), when.query.is_some(), when.header.is_none()), (1, true, true));
    for (route, expected) in [
        (
            "when = {}",
            "routes[0].when: has no condition; add one of header, cookie, query, methods, networks",
        ),
        ("when = { method = [\"GET\"] }", "routes[0].when.method: unknown key; did you mean methods?"),
        ("when = { methods = [\"get\"] }", "\"get\" is no method; write for example POST"),
        ("when = { header = { equals = \"a\" } }", "routes[0].when.header.name: is missing"),
        ("path = \"@x\"\nwhen = { methods = [\"GET\"] }", "has no effect on a route with a name"),
    ] {
        let faults = read(route).expect_err("refused");
        assert!(faults.contains(expected), "{expected} is not in {faults}");
    }
}

#[test]
fn a_page_that_is_not_there_is_built_in() {
    let text = "error_pages = { 502 = \"no such page\", 503 = \"conf/minimal.toml\" }\n\
        [[listeners]]\naddress = \"127.0.0.1:80\"\n[[routes]]\nservice = \"web\"\n\
        [services.web.pools.blue]\nupstreams = [\"10.0.0.1:80\"]\n";
    let config = crate::config::parse(text, "test.toml", &|_| None, env!("CARGO_MANIFEST_DIR").as_ref());
    let config = config.expect("accepted");
    assert_eq!(config.routes.error_pages.keys().copied().collect::<Vec<_>>(), [503]);
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(
        warning.contains("error_pages.502: there is no file") && warning.contains("built-in"),
        "{warning}"
    );
}
