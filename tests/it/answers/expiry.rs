//! `expires`, and fields of successes alone.

use super::{ask, nginx, site};
use crate::harness::{Answer, Origin, Pointsman, Reaction};

/// The seconds between an answer's `Date` and its `Expires`.
fn lifetime(answer: &Answer) -> i64 {
    let time = |name: &str| {
        let text = answer.header(name).unwrap_or_else(|| panic!("{name} of {answer:?}"));
        jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).expect("a date").as_second()
    };
    time("expires") - time("date")
}

fn statuses() -> Origin {
    Origin::new(|request| {
        let status = request.path().rsplit('/').next().and_then(|status| status.parse().ok()).unwrap_or(200);
        Reaction::Answer(status, "x".repeat(usize::from(!matches!(status, 204 | 304))))
    })
}

#[test]
fn successes_alone_have_fields_and_expiry_as_with_nginx() {
    let origin = statuses();
    let real = nginx(
        &format!(
            "location / {{ proxy_pass http://{}; expires 30d; add_header X-Some some; add_header X-All all always; }}",
            origin.address
        ),
        &[],
    );
    let routes = "[[routes]]\nservice = \"web\"\nexpires = \"30d\"\nheaders = { response = { set = { X-All = \"all\" }, \
                  add = { X-Some = { value = \"some\", on = \"success\" } } } }\n";
    let pointsman = Pointsman::start(&site(&origin, routes));
    for status in
        [200, 201, 202, 203, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 410, 500, 502, 503]
    {
        let line = format!("GET /{status}");
        let (theirs, ours) = (ask(real.addresses[0], &line, ""), ask(pointsman.http(), &line, ""));
        assert_eq!((theirs.status, ours.status), (status, status));
        for name in ["x-some", "x-all", "cache-control"] {
            assert_eq!(ours.header(name), theirs.header(name), "{name} of {status}");
        }
        assert_eq!(ours.header("expires").is_some(), theirs.header("expires").is_some(), "{status}");
    }
    let ours = ask(pointsman.http(), "GET /200", "");
    assert!((lifetime(&ours) - 2_592_000).abs() <= 1, "{ours:?}");
}

#[test]
fn expiry_takes_the_place_of_what_was_said() {
    let origin = Origin::new(|_| {
        let head = "HTTP/1.1 200 OK\r\nCache-Control: private\r\nExpires: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
        Reaction::Raw(format!("{head}Content-Length: 2\r\n\r\nok").into_bytes())
    });
    let route = |expires: &str| {
        format!("[[routes]]\npath = \"/{expires}/\"\nservice = \"web\"\nexpires = \"{expires}\"\n")
    };
    let routes: String = ["max", "epoch", "-1s", "off", "1h30m"].map(route).concat();
    let own = "[[routes]]\npath = \"/reply\"\nexpires = \"1h\"\nreply = { body = \"x\" }\n";
    let denied = "[[routes]]\npath = \"/denied\"\nexpires = \"1h\"\ndeny = true\n";
    let pointsman = Pointsman::start(&site(&origin, &format!("{routes}{own}{denied}")));
    let get = |path: &str| ask(pointsman.http(), &format!("GET {path}"), "");
    for (path, expires, control) in [
        ("/max/", Some("Thu, 31 Dec 2037 23:55:55 GMT"), "max-age=315360000"),
        ("/epoch/", Some("Thu, 01 Jan 1970 00:00:01 GMT"), "no-cache"),
        ("/off/", Some("Thu, 01 Jan 1970 00:00:00 GMT"), "private"),
        ("/-1s/", None, "no-cache"),
        ("/1h30m/", None, "max-age=5400"),
        ("/reply", None, "max-age=3600"),
    ] {
        let answer = get(path);
        assert_eq!(answer.header("cache-control"), Some(control), "{path}");
        assert!(
            expires.is_none_or(|expires| answer.header("expires") == Some(expires)),
            "{path}: {answer:?}"
        );
        let count =
            answer.headers.iter().filter(|(name, _)| name == "cache-control" || name == "expires").count();
        assert_eq!(count, 2, "{path}: set, not added");
    }
    assert!((-2..=0).contains(&lifetime(&get("/-1s/"))));
    assert!((5399..=5401).contains(&lifetime(&get("/1h30m/"))));
    assert_eq!(get("/denied").header("cache-control"), Some("no-store"), "an error is not kept");
}
