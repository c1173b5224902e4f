//! Cohorts by a cookie that the proxy issues.

use super::super::harness::{Connection, Origin, Pointsman, Reaction, eventually};
use super::super::listeners::{certificate, curl};
use super::{ask, ask_once, set_cookies, set_weights, site};
use std::path::Path;

const BY_COOKIE: &str = "cohort = { by = \"cookie\", name = \"v\", ttl = \"1h\" }";

#[test]
fn the_first_request_is_assigned_and_users_move_with_the_weight() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = Pointsman::start(&site(&blue, &green, "", BY_COOKIE));
    let mut connection = Connection::open(pointsman.http());
    set_weights(&pointsman, 25.0);
    let mut users = Vec::new();
    for _ in 0..400 {
        let answer = ask(&mut connection, "/", &[]);
        let cookies = set_cookies(&answer);
        let (value, attributes) = &cookies["v"];
        assert_eq!(attributes, "Max-Age=3600; Path=/; HttpOnly; SameSite=Lax");
        let user = (format!("Cookie: theme=dark; v={value}"), answer.text());
        let next = ask(&mut connection, "/app.js", &[&user.0]);
        assert_eq!(next.text(), user.1, "the page's assets follow the page's version");
        assert!(set_cookies(&next).is_empty(), "it is fresh");
        users.push(user);
    }
    let mut last = 25.0;
    for weight in [25.0, 60.0, 5.0, 100.0, 0.0] {
        set_weights(&pointsman, weight);
        let mut on_green = 0;
        for (field, before) in &mut users {
            let now = ask(&mut connection, "/", &[field]).text();
            let towards = if weight > last { "green" } else { "blue" };
            assert!(now == *before || now == towards, "{before} to {now} at {weight} %");
            on_green += u32::from(now == "green");
            *before = now;
        }
        let share = weight / 100.0;
        let (expected, sd) = (400.0 * share, (400.0 * share * (1.0 - share)).sqrt());
        println!("by cookie, green at {weight} %: {on_green} of 400 users, {expected} expected (sd {sd:.1})");
        // The ids are drawn again each time, so that there is more room than by other kinds.
        assert!((f64::from(on_green) - expected).abs() <= 7.0 * sd);
        last = weight;
    }
    let seen = green.last();
    assert_eq!(seen.header("cookie"), Some("theme=dark"), "ours is for us");
}

#[test]
fn a_restart_forgets_nobody_and_services_share_a_cookie() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let routes = "[[routes]]\npath = \"/api\"\nservice = \"api\"\n[[routes]]\nservice = \"web\"\n";
    let api = format!(
        "[services.api]\n{BY_COOKIE}\n[services.api.pools.blue]\nupstreams = [\"{}\"]\n",
        blue.address
    );
    let pointsman = Pointsman::start(&(site(&blue, &green, routes, BY_COOKIE) + &api));
    set_weights(&pointsman, 50.0);
    let users: Vec<_> = (0..20)
        .map(|_| {
            let answer = ask_once(pointsman.http(), "/", &[]);
            (format!("Cookie: v={}", set_cookies(&answer)["v"].0), answer.text())
        })
        .collect();
    let other = ask_once(pointsman.http(), "/api", &[&users[0].0]);
    assert!(set_cookies(&other).is_empty(), "the other service knows the user");
    let mode = |file: &Path| {
        std::os::unix::fs::PermissionsExt::mode(&file.metadata().expect("a file").permissions())
    };
    assert_eq!(mode(&pointsman.dir.path().join("state/secret")) & 0o777, 0o600);
    let pointsman = pointsman.kill_and_restart();
    for (field, pool) in &users {
        let answer = ask_once(pointsman.http(), "/", &[field]);
        assert_eq!(answer.text(), *pool);
        assert!(set_cookies(&answer).is_empty());
    }
}

#[test]
fn what_we_have_not_issued_is_replaced_and_what_is_used_is_renewed() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let by = "cohort = { by = \"cookie\", name = \"v\", ttl = \"4s\" }";
    let pointsman = Pointsman::start(&site(&blue, &green, "", by));
    let mut connection = Connection::open(pointsman.http());
    let issued = set_cookies(&ask(&mut connection, "/", &[]))["v"].0.clone();
    let id = |value: &str| value.split('.').next().expect("an id").to_owned();
    for forged in [
        format!("0000000000000001{}", &issued[16..]),
        issued.to_uppercase() + "x",
        "0000000000000001".to_owned(),
        "1; v=2".to_owned(),
        String::new(),
    ] {
        let answer = ask(&mut connection, "/", &[&format!("Cookie: v={forged}")]);
        let fresh = set_cookies(&answer)["v"].0.clone();
        assert!(id(&fresh) != id(&issued) && !forged.contains(&id(&fresh)), "{forged}: {fresh}");
        assert_eq!(blue.last().header("cookie"), None);
    }
    // A second one of the same name does no harm.
    let both = format!("Cookie: v=old; v={issued}");
    let mut renewed = None;
    eventually("half of its time is over", || {
        let cookies = set_cookies(&ask(&mut connection, "/", &[&both]));
        renewed = cookies.get("v").cloned();
        renewed.is_some()
    });
    let (renewed, attributes) = renewed.expect("renewed");
    assert_eq!(id(&renewed), id(&issued), "the same user");
    assert_ne!(renewed, issued);
    assert!(attributes.starts_with("Max-Age=4; "), "{attributes}");
}

#[test]
fn errors_of_ours_carry_it_once_and_shared_caches_keep_none() {
    let (blue, green) = (Origin::named("blue"), Origin::named("green"));
    let pointsman = Pointsman::start(&site(&blue, &green, "", BY_COOKIE));
    let http = pointsman.http();
    blue.react(|_| {
        let head =
            "HTTP/1.1 200 OK\r\nSet-Cookie: own=1\r\nCache-Control: public, max-age=60\r\nContent-Length: 0";
        Reaction::Raw(format!("{head}\r\n\r\n").into_bytes())
    });
    let answer = ask_once(http, "/", &[]);
    assert_eq!(answer.header("cache-control"), Some("private, max-age=60"));
    let own = answer.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, line)| line.as_str());
    assert_eq!(own.clone().count(), 2, "{:?}", answer.headers);
    let ours = own.clone().find_map(|line| line.strip_prefix("v=")).expect("ours");
    let value = ours.split(';').next().expect("a value");
    let answer = ask_once(http, "/", &[&format!("Cookie: v={value}")]);
    assert_eq!(answer.header("cache-control"), Some("public, max-age=60"), "it carries none of ours");
    // Of our own making.
    blue.react(|_| Reaction::Close);
    let answer = ask_once(http, "/", &[]);
    assert_eq!((answer.status, set_cookies(&answer).len()), (502, 1));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[test]
fn over_tls_it_goes_by_tls_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let origin = Origin::named("blue");
    let certificates = certificate(dir.path(), "shop.example");
    let pointsman = Pointsman::start(&format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{ certificates = [{certificates}] }}\n\
         [services.web]\n{BY_COOKIE}\n[services.web.pools.blue]\nupstreams = [\"{}\"]\n",
        origin.address
    ));
    let [plain, tls] = pointsman.listeners[..] else { panic!("{:?}", pointsman.listeners) };
    for version in ["--http1.1", "--http2"] {
        let printed = curl(&["-i", version, &format!("https://{tls}/")]).to_lowercase();
        let line = printed.lines().find(|line| line.starts_with("set-cookie: v=")).expect("a cookie");
        assert!(line.ends_with("; httponly; samesite=lax; secure"), "{line}");
    }
    for (proto, is_secure) in [("https", true), ("https, http", true), ("http", false), ("HTTPS", true)] {
        let answer = ask_once(plain, "/", &[&format!("X-Forwarded-Proto: {proto}")]);
        assert_eq!(set_cookies(&answer)["v"].1.ends_with("; Secure"), is_secure, "{proto}");
    }
}
