//! What counts as alike.

use super::site::Exchange;
use crate::harness::{Answer, Received};
use std::collections::BTreeMap;

/// Where Pointsman differs on purpose, and why.
pub(super) const KNOWN: &[(&str, &str)] = &[
    ("Date, Server, Connection, Keep-Alive", "nginx names itself and its connection on every answer"),
    (
        "Content-Length, Transfer-Encoding",
        "how a body is framed is a matter between the two ends of a connection",
    ),
    ("Expires", "Cache-Control says the same, and better"),
    ("ETag, Last-Modified, Accept-Ranges of files", "each server has validators of its own"),
    ("pages of errors and redirects", "nginx has a built-in HTML page for them, Pointsman a text by Accept"),
    (
        "Retry-After, Cache-Control on own errors",
        "Pointsman says when to come back, and that errors are not to be kept",
    ),
    ("Location", "nginx makes a path absolute with its own port; it is compared as the client resolves it"),
    ("X-Forwarded-*, X-Real-IP, X-Request-Id", "Pointsman always sets them towards the upstream"),
    (
        "X-Original-*, X-Forwarded-Method, X-Forwarded-Uri",
        "a service that is asked who may come in is told what for",
    ),
    (
        "the path in a field",
        "as it was sent, escapes and all; nginx decodes $uri, and what a client puts there begins a line of its own",
    ),
    (
        "Range towards a service that is asked who may come in",
        "it is asked for an answer, not for a part of one",
    ),
    ("HTTP/1.1 towards upstreams", "nginx speaks HTTP/1.0 and closes, unless told otherwise"),
    (
        "the name told to upstreams by TLS (SNI)",
        "Pointsman always says one; nginx with proxy_ssl_server_name only",
    ),
    ("charset of text, Allow on 405", "Pointsman says both with files"),
    ("hop-by-hop fields", "what Connection names ends with the connection (RFC 9110); nginx passes it on"),
    ("dot segments of files", "a path that climbs is refused where files are served; nginx resolves it"),
    (
        "type of a file",
        "by the name of the file, where an alias says another one than the path; nginx goes by the path",
    ),
    ("type of a script", "text/javascript (RFC 9239)"),
    ("one Content-Type", "nginx adds a second one where add_header says it; an empty body has none"),
    (
        "what clients claim",
        "of a client that is not believed, X-Forwarded-* and X-Real-IP are replaced, and what else only proxies say is taken off, under whatever spelling",
    ),
    (
        "names of fields",
        "those that HTTP allows pass; nginx drops what has more than letters, digits and hyphens",
    ),
    ("lists of folders", "another page, or JSON by Accept; they name the same files"),
    (
        "405 where nothing answers",
        "404, or the error whose page is asked for, whatever the method; nginx says 405",
    ),
    (
        "502 of what is down",
        "503 once a check has found it so; nginx knows nothing of it before it has tried",
    ),
    ("hidden files", "403, but for those of /.well-known; nginx serves them unless told otherwise"),
    (
        "pages of errors are asked for alone",
        "by GET, without the body, its length, the range and the conditions of the request that failed",
    ),
    ("seconds", "Cache-Control counts from a file's time, and each server has a file of its own"),
    ("ranges of no known form", "are as if they were not there (RFC 9110); nginx answers 416"),
    ("times of conditions", "a file that is not newer is not sent again; nginx wants the very time"),
    (
        "Vary",
        "Pointsman sends it with every body of a type that is compressed; nginx when told to, beyond the least size",
    ),
    (
        "doubled slashes",
        "a path that is put together has single ones; nginx doubles them where two ends meet",
    ),
    (
        "a path put together climbs",
        "`/x..` put behind `/base/` would leave it; refused, where nginx passes the dot segment on",
    ),
    (
        "escapes of a path put together",
        "what a rule makes of a path is plain and encoded again: %2F becomes a slash",
    ),
    ("compressed bytes", "two encoders; that a body is compressed is compared"),
];

const ANSWER_FIELDS: &[&str] = &[
    "date",
    "server",
    "connection",
    "keep-alive",
    "content-length",
    "transfer-encoding",
    "expires",
    "etag",
    "last-modified",
    "accept-ranges",
    "retry-after",
    "allow",
];

const UPSTREAM_FIELDS: &[&str] = &["connection", "x-request-id"];

/// Set by Pointsman even where nginx was not told to.
const ADDED: &[&str] = &[
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-real-ip",
    "x-pointsman-hops",
    "x-forwarded-method",
    "x-forwarded-uri",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
];

type Fields = BTreeMap<String, Vec<String>>;

/// In words; none where the exchanges are alike.
pub(super) fn differences(nginx: &Exchange, pointsman: &Exchange) -> Vec<String> {
    let mut found = Vec::new();
    let mut differs = |what: &str, nginx: &dyn std::fmt::Debug, pointsman: &dyn std::fmt::Debug| {
        let (nginx, pointsman) = (format!("{nginx:?}"), format!("{pointsman:?}"));
        if nginx != pointsman {
            found.push(format!("{what}: nginx {nginx}, pointsman {pointsman}"));
        }
    };
    let (theirs, ours) = (nginx.answer.status, pointsman.answer.status);
    if is_refused_alike(nginx, pointsman) {
        return found;
    }
    differs("status", &theirs, &ours);
    let has_page = String::from_utf8_lossy(&nginx.answer.body).contains("<hr><center>nginx");
    // Of an application, an answer names it.
    let is_nginxs = nginx.upstream.is_none()
        || matches!(nginx.answer.status, 502..=504)
        || nginx.answer.body.is_empty() && nginx.answer.header("x-powered-by").is_none();
    let is_own = nginx.answer.status >= 300 && is_nginxs;
    let drop: &[&str] = if has_page || is_own { &["content-type", "cache-control"] } else { &[] };
    let lists = listed(&nginx.answer).zip(listed(&pointsman.answer));
    // By Accept.
    let drop = if lists.is_some() { &["content-type"] } else { drop };
    let fields = answer_fields(nginx, drop);
    differs("answer", &fields, &like(&fields, answer_fields(pointsman, drop), nginx));
    let encoded = nginx.answer.header("content-encoding").is_some();
    if let Some((theirs, ours)) = lists {
        differs("list", &theirs, &ours);
    } else if !has_page && !encoded {
        differs("body", &nginx.answer.text(), &pointsman.answer.text());
    }
    let name = |exchange: &Exchange| exchange.upstream.as_ref().map(|(name, _)| *name);
    differs("upstream", &name(nginx), &name(pointsman));
    let (exchange_sent, asked) = (&nginx.sent, &nginx.target);
    if let (Some((reached, nginx)), Some((_, pointsman))) = (&nginx.upstream, &pointsman.upstream) {
        let target = |received: &Received| received.line.rsplit_once(' ').map(|(line, _)| line.to_owned());
        differs("request line", &target(nginx), &target(pointsman));
        let is_page = theirs >= 300 && theirs_is_page(asked, nginx);
        if !is_page || !pointsman.body.is_empty() {
            differs("request body", &nginx.body, &pointsman.body);
        }
        let (sent, got) = received(*reached == "AUTH", is_page, exchange_sent, nginx, pointsman);
        differs("request", &sent, &got);
    }
    found
}

/// The fields that reach the upstream from each, without what is listed above.
fn received(
    is_asked: bool,
    is_page: bool,
    asked: &[(String, String)],
    nginx: &Received,
    pointsman: &Received,
) -> (Fields, Fields) {
    let claimed = claimed(asked, nginx);
    let of_failed: &[&str] = match (is_page, is_asked) {
        (true, _) => &["content-length", "range"],
        (_, true) => &["range"],
        _ => &[],
    };
    let sent = upstream_fields(nginx, &[&names(&claimed)[..], of_failed].concat());
    let added: Vec<&str> = ADDED.iter().copied().filter(|name| !sent.contains_key(*name)).collect();
    let of_authority: &[&str] = if is_asked { &["range"] } else { &[] };
    let mut got = upstream_fields(pointsman, &[&added[..], &names(&claimed), of_authority].concat());
    let chain =
        |fields: &Fields| fields.get("x-forwarded-for").map_or(String::new(), |chain| chain.join(", "));
    if chain(&got).starts_with(&chain(&sent)) {
        // Continued by Pointsman.
        let own = sent.get("x-forwarded-for").cloned().unwrap_or_default();
        got.insert("x-forwarded-for".to_owned(), own);
        got.retain(|_, values| !values.is_empty());
    }
    (sent, got)
}

/// Refused by both servers themselves: methods of what nobody answers anyway, and upstreams that are down.
fn is_refused_alike(nginx: &Exchange, pointsman: &Exchange) -> bool {
    let is_own = nginx.upstream.is_none() && pointsman.upstream.is_none();
    is_own && matches!((nginx.answer.status, pointsman.answer.status), (405, 404 | 503) | (502, 503))
}

/// Pointsman's fields without what is listed above as a difference of all answers.
fn like(theirs: &Fields, mut ours: Fields, nginx: &Exchange) -> Fields {
    if !theirs.contains_key("vary") && ours.get("vary").is_some_and(|vary| vary == &["Accept-Encoding"]) {
        ours.remove("vary");
    }
    let is_own = nginx.upstream.is_none() && !theirs.contains_key("vary");
    if is_own && ours.get("vary").is_some_and(|vary| vary == &["Accept"]) {
        ours.remove("vary");
    }
    let age = |fields: &Fields| {
        let text = fields.get("cache-control")?.first()?.strip_prefix("max-age=")?;
        text.parse::<u64>().ok()
    };
    if age(theirs).zip(age(&ours)).is_some_and(|(theirs, ours)| theirs.abs_diff(ours) <= 5) {
        ours.extend(theirs.get("cache-control").map(|age| ("cache-control".to_owned(), age.clone())));
    }
    let types = |fields: &Fields| fields.get("content-type").cloned().unwrap_or_default();
    let (their_types, our_types) = (types(theirs), types(&ours));
    let is_script = their_types == ["application/javascript"] && our_types == ["text/javascript"];
    let is_one_of_two = their_types.len() == 2 && our_types.iter().all(|kind| their_types.contains(kind));
    let is_of_nothing = our_types.is_empty() && nginx.answer.body.is_empty();
    if is_script || is_one_of_two || is_of_nothing {
        ours.remove("content-type");
        if !their_types.is_empty() {
            ours.insert("content-type".to_owned(), their_types);
        }
    }
    ours
}

/// Whether a request is for the page of an error: another target than what the client asked for.
fn theirs_is_page(asked: &str, nginx: &Received) -> bool {
    nginx.line.starts_with("GET ") && !nginx.path().ends_with(asked)
}

/// The names in a list of a folder; none where an answer is none.
fn listed(answer: &Answer) -> Option<Vec<String>> {
    let text = answer.text();
    if text.contains("<title>Index of ") {
        let links = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let links = links.filter(|link| *link != "../");
        return Some(links.map(|link| link.trim_start_matches("./").to_owned()).collect());
    }
    let rows: Vec<serde_json::Value> = serde_json::from_str(text.trim()).ok()?;
    let row = |row: &serde_json::Value| {
        let slash = if row["type"] == "directory" { "/" } else { "" };
        format!("{}{slash}", row["name"].as_str().unwrap_or_default())
    };
    rows.first()?.get("mtime")?;
    Some(rows.iter().map(row).collect())
}

fn names(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// The fields about the client that nginx passes on as the client said them.
fn claimed(sent: &[(String, String)], nginx: &Received) -> Vec<String> {
    let is_claim = |name: &str| {
        let name = name.replace('_', "-");
        ADDED.contains(&name.as_str()) || name.starts_with("x-forwarded-")
    };
    let passes = |(name, claim): &(String, String)| {
        let name = name.to_ascii_lowercase();
        let is_passed = is_claim(&name) && nginx.header(&name).is_some_and(|told| told.starts_with(claim));
        is_passed.then_some(name)
    };
    sent.iter().filter_map(passes).collect()
}

/// What Pointsman gives where nginx refuses or has nothing; no mark excuses it.
pub(super) fn leak(nginx: &Exchange, pointsman: &Exchange) -> Option<String> {
    let (theirs, ours) = (nginx.answer.status, pointsman.answer.status);
    // What asks under a condition is told that it does not hold; nobody is kept out by that.
    let refuses = nginx.upstream.is_none() && (theirs == 0 || theirs >= 400) && !matches!(theirs, 412 | 416);
    let reached = pointsman.upstream.as_ref().map(|(name, _)| *name).filter(|name| *name != "AUTH");
    let gives = (200..300).contains(&ours) || ours == 101 || reached.is_some();
    (refuses && gives).then(|| format!("nginx {theirs}, pointsman {ours} from {reached:?}"))
}

fn collect(fields: &[(String, String)], without: &[&str]) -> Fields {
    let mut collected = Fields::new();
    for (name, value) in fields.iter().filter(|(name, _)| !without.contains(&name.as_str())) {
        collected.entry(name.clone()).or_default().push(value.clone());
    }
    collected.values_mut().for_each(|values| values.sort());
    collected
}

fn answer_fields(exchange: &Exchange, drop: &[&str]) -> Fields {
    let Answer { headers, .. } = &exchange.answer;
    let mut fields = collect(headers, &[ANSWER_FIELDS, drop].concat());
    for kind in fields.get_mut("content-type").into_iter().flatten() {
        *kind = kind.trim_end_matches("; charset=utf-8").to_owned();
    }
    if let Some(places) = fields.get_mut("location") {
        places.iter_mut().for_each(|place| *place = resolved(place, &exchange.host));
    }
    fields
}

fn upstream_fields(received: &Received, without: &[&str]) -> Fields {
    let mut fields = collect(&received.headers, &[UPSTREAM_FIELDS, without].concat());
    // The ports of the tests.
    fields.entry("x-forwarded-port".to_owned()).and_modify(|ports| *ports = vec!["its own".to_owned()]);
    fields.retain(|name, _| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    // nginx sends a length with an empty body where the client did.
    fields.retain(|name, values| name != "content-length" || values != &["0"]);
    fields
}

/// As the client resolves it; without the ports of the tests.
fn resolved(place: &str, host: &str) -> String {
    let whole = if place.starts_with('/') { format!("http://{host}{place}") } else { place.to_owned() };
    let Some((scheme, rest)) = whole.split_once("://") else { return whole };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    format!("{scheme}://{}{path}", authority.split(':').next().unwrap_or_default())
}
