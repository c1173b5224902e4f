//! How a fleet is shown, and how a member is forgotten: by the API, the command line, metrics and the dashboard.

use crate::harness::{Authority, EtcdCluster, Nginx, Pointsman, Printed, blue_green, eventually};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;

const SECRET: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";

/// A site of a fleet, and what its members are reached by.
struct Site {
    cluster: EtcdCluster,
    nginx: Nginx,
}

impl Site {
    fn new() -> Self {
        Site { cluster: EtcdCluster::start(1), nginx: Nginx::start(&["blue", "green"]) }
    }

    /// The configuration of a member: keys of `[fleet]`, those of `[fleet.etcd]`, and the rest of the file.
    fn config(&self, name: &str, (fleet, etcd, rest): (&str, &str, &str)) -> String {
        let endpoints = self.cluster.endpoints();
        let services = blue_green(self.nginx.addresses[0], self.nginx.addresses[1]);
        format!(
            "[fleet]\nname = \"{name}\"\nsecret = {{ env = \"FLEET_SECRET\" }}\nlease = \"2s\"\n{fleet}\n\
             [fleet.etcd]\nendpoints = {endpoints:?}\n{etcd}\n{services}{rest}"
        )
    }

    fn member(&self, name: &str, more: (&str, &str, &str)) -> Pointsman {
        Pointsman::start_told(&self.config(name, more), &[("FLEET_SECRET", SECRET)])
    }
}

const PLAIN: (&str, &str, &str) = ("", "", "");

fn view(of: &Pointsman) -> Value {
    let answer = of.get("/v1/fleet");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn status(of: &Pointsman) -> Printed {
    of.cli(&["fleet", "status"])
}

/// The value of a metric without labels.
fn metric(of: &Pointsman, name: &str) -> Option<f64> {
    let text = of.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.map(|value| value.parse().expect("a number"))
}

/// Waits until all say that all is well with so many members.
#[track_caller]
fn are_one(members: &[&Pointsman]) {
    let count = members.len();
    let words = format!("fleet: {count} of {count} members, ");
    for member in members {
        eventually("all is well", || {
            let printed = status(member);
            printed.code == 0 && printed.out.starts_with(&words)
        });
    }
}

#[test]
fn an_instance_alone_says_how_to_be_a_member() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = Pointsman::start(&blue_green(nginx.addresses[0], nginx.addresses[1]));
    for answer in [pointsman.get("/v1/fleet"), pointsman.call("DELETE", "/v1/fleet/members/edge-1", "")] {
        assert_eq!(answer.status, 404, "{}", answer.text());
        assert!(answer.text().contains("a section [fleet] in its configuration"), "{}", answer.text());
    }
    for command in [["fleet", "status"].as_slice(), &["fleet", "forget", "edge-1"]] {
        let printed = pointsman.cli(command);
        assert_eq!((printed.code, printed.out.as_str()), (1, ""), "{printed:?}");
        assert!(printed.err.contains("this instance is alone"), "{printed:?}");
    }
    assert!(!pointsman.cli(&["status"]).out.contains("fleet"), "nothing is said of what is not there");
    assert!(pointsman.get("/v1/instance").json().get("fleet").is_none());
    assert!(!pointsman.get("/metrics").text().contains("pointsman_fleet"));
}

#[test]
fn all_faces_show_the_same_until_a_member_is_gone_and_forgotten() {
    let site = Site::new();
    let names = ["edge-1", "edge-2", "edge-3"];
    let [first, second, third] = names.map(|name| site.member(name, PLAIN));
    are_one(&[&first, &second, &third]);
    let led: Vec<f64> =
        [&first, &second, &third].iter().filter_map(|of| metric(of, "pointsman_fleet_leading")).collect();
    assert_eq!(led.iter().sum::<f64>(), 1.0, "{led:?}");
    for member in [&first, &second, &third] {
        let shown = view(member);
        let members: Vec<_> =
            shown["members"].as_array().expect("members").iter().map(|of| &of["name"]).collect();
        assert_eq!(members, names, "{shown}");
        assert_eq!(member.get("/v1/instance").json()["fleet"]["members"], shown["members"]);
        let numbers = ["members", "missing", "connected"]
            .map(|name| metric(member, &format!("pointsman_fleet_{name}")));
        assert_eq!(numbers, [Some(3.0), Some(0.0), Some(1.0)]);
        let whole = member.cli(&["status"]);
        let line = whole.out.lines().find(|line| line.starts_with("fleet: ")).expect("a line");
        assert!(line.starts_with("fleet: 3 of 3 members, edge-") && line.ends_with(" leads"), "{line}");
        assert!(status(member).out.lines().all(|line| line.chars().count() <= 80));
        let printed = member.cli(&["--output", "json", "fleet", "status"]);
        let printed: Value = serde_json::from_str(&printed.out).expect("JSON");
        assert_eq!(printed["members"], shown["members"]);
    }
    a_member_that_is_there_stays(&first);
    drop(third.kill());
    for member in [&first, &second] {
        eventually("it is missed", || metric(member, "pointsman_fleet_missing") == Some(1.0));
        let printed = status(member);
        assert_eq!(printed.code, 1, "{printed:?}");
        assert!(printed.out.starts_with("fleet: 2 of 3 members, "), "{printed:?}");
        assert!(printed.out.contains("  ✗ edge-3 has not been heard of since 20"), "{printed:?}");
        assert!(member.cli(&["status"]).out.contains("edge-3 has not been heard of since"));
        eventually("the dashboard says so", || frame(member).contains("edge-3 has not been heard of since"));
    }
    let printed = second.cli(&["fleet", "forget", "edge-3"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(printed.out.starts_with("edge-3 is forgotten\nfleet: 2 of 2 members, "), "{printed:?}");
    are_one(&[&first, &second]);
    let again = first.call("DELETE", "/v1/fleet/members/edge-3", "");
    assert_eq!(again.status, 404, "{}", again.text());
}

fn a_member_that_is_there_stays(asked: &Pointsman) {
    let answer = asked.call("DELETE", "/v1/fleet/members/edge-2", "");
    assert_eq!(answer.status, 409, "{}", answer.text());
    let printed = asked.cli(&["fleet", "forget", "edge-2"]);
    assert!(printed.code == 1 && printed.err.contains("edge-2"), "{printed:?}");
    let unknown = asked.call("DELETE", "/v1/fleet/members/edge-9", "");
    assert_eq!(unknown.status, 404, "{}", unknown.text());
}

/// The first frame of the dashboard.
fn frame(of: &Pointsman) -> String {
    use std::io::{BufRead, BufReader, Write};
    let mut stream = std::net::TcpStream::connect(of.admin).expect("connected");
    write!(stream, "GET /v1/events?figures=true HTTP/1.1\r\nHost: {}\r\n\r\n", of.admin).expect("written");
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    lines.skip_while(|line| line != "event: figures").nth(1).expect("a frame")
}

#[test]
fn what_is_not_the_same_at_all_is_named() {
    let site = Site::new();
    let first = site.member("edge-1", PLAIN);
    are_one(&[&first]);
    let other = "[policies.default]\nerror_rate = { critical = \"2%\" }\n";
    let second = site.member("edge-2", ("", "", other));
    let told = "edge-2 has another configuration than edge-1: give both the same, and reload";
    for member in [&first, &second] {
        eventually("both say so", || status(member).out.contains(told));
    }
    assert_eq!(status(&first).code, 1);
    second.configure(&site.config("edge-2", PLAIN));
    assert_eq!(second.cli(&["reload"]).code, 0);
    are_one(&[&first, &second]);
    let printed = second.cli(&["--output", "json", "reload"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    second.configure(&site.config("edge-2", ("forget = \"1h\"", "", "")));
    let printed = second.cli(&["--output", "json", "reload"]);
    let report: Value = serde_json::from_str(&printed.out).expect("JSON");
    assert_eq!(report["needs_restart"], json!(["fleet"]), "{printed:?}");
}

/// `forget`: a member that stays away is none any more, though nobody has said so.
#[test]
fn a_member_that_stays_away_is_forgotten_by_itself() {
    let site = Site::new();
    let soon = ("forget = \"3s\"", "", "");
    let [first, second] = ["edge-1", "edge-2"].map(|name| site.member(name, soon));
    are_one(&[&first, &second]);
    drop(second.kill());
    are_one(&[&first]);
}

/// `missing`: the leader does not wait for a member that is gone.
#[test]
fn rollouts_go_on_without_a_member_where_that_is_configured() {
    let site = Site::new();
    let rollout = "[services.web.rollout]\nsteps = [{ weight = 50, hold = \"100ms\" }, { weight = 100 }]\n\
                   bake = \"100ms\"\nmin_attempts = 0\n";
    let more = ("missing = \"go_on\"", "", rollout);
    let [first, second] = ["edge-1", "edge-2"].map(|name| site.member(name, more));
    are_one(&[&first, &second]);
    drop(second.kill());
    eventually("it is missed", || metric(&first, "pointsman_fleet_missing") == Some(1.0));
    let id = first.start_rollout(r#"{"to": "green"}"#);
    assert_eq!(first.ended(&id)["outcome"], "promoted");
    assert_eq!(status(&first).code, 1, "it is missing all the same");
}

/// What a member of a later version has written, or somebody by mistake.
#[test]
fn a_list_of_members_that_cannot_be_read_is_named() {
    let site = Site::new();
    let member = site.member("edge-1", PLAIN);
    are_one(&[&member]);
    let base64 = |text: &str| BASE64_STANDARD.encode(text);
    let newer = json!({ "key": base64("pointsman/members"), "value": base64("{\"format\": 9}") });
    site.cluster.gateway("/v3/kv/put", &newer);
    let told = "pointsman/members has format 9, and this version knows 1 at most; update this instance";
    eventually("it says so", || status(&member).out.contains(told));
    assert_eq!(status(&member).code, 1);
}

/// `prefix`: two fleets in one store do not see each other.
#[test]
fn fleets_share_a_store_by_prefixes() {
    let site = Site::new();
    let [first, second] = [("edge-1", "a"), ("edge-2", "b/c/")]
        .map(|(name, prefix)| site.member(name, ("", &format!("prefix = \"{prefix}\""), "")));
    are_one(&[&first]);
    are_one(&[&second]);
    let range = |key: &str, end: &str| {
        let base64 = |text: &str| BASE64_STANDARD.encode(text);
        let body = json!({ "key": base64(key), "range_end": base64(end), "keys_only": true });
        site.cluster.gateway("/v3/kv/range", &body)["count"]
            .as_str()
            .map(|count| count.parse::<u32>().expect("a number"))
    };
    let all = range("\0", "\0").expect("keys");
    assert_eq!(range("a/", "a0").unwrap_or(0) + range("b/c/", "b/c0").unwrap_or(0), all);
    assert!(
        range("a/", "a0").is_some_and(|count| count > 0)
            && range("b/c/", "b/c0").is_some_and(|count| count > 0)
    );
}

/// `ca`, `cert`, `key`, and then `user` and `password`: etcd asks for both.
#[test]
fn a_fleet_goes_by_tls_and_by_users() {
    let authority = Authority::new();
    authority.write("edge", &["edge"]);
    let cluster = EtcdCluster::start_with(1, Some(&authority), &[]);
    let site = Site { cluster, nginx: Nginx::start(&["blue", "green"]) };
    let etcd = |more: &str| {
        format!(
            "ca = {:?}\ncert = {:?}\nkey = {:?}\n{more}",
            authority.path("ca.pem"),
            authority.path("edge.pem"),
            authority.path("edge.key")
        )
    };
    let by_certificate = etcd("");
    let first = site.member("edge-1", ("", &by_certificate, ""));
    are_one(&[&first]);
    add_user(&site.cluster);
    let by_password = etcd("user = \"front\"\npassword = \"${ETCD_PASSWORD}\"\n");
    let dir = TempDir::new().expect("a directory");
    let config = crate::harness::whole(&site.config("edge-2", ("", &by_password, "")));
    std::fs::write(dir.path().join("pointsman.toml"), config).expect("a file");
    let second = Pointsman::start_with(dir, &[("FLEET_SECRET", SECRET), ("ETCD_PASSWORD", "guess-what")]);
    eventually("the second is a member", || status(&second).out.starts_with("fleet: 2 of 2 members, "));
    assert!(!second.log().contains("guess-what"), "{}", second.log());
}

/// A user `front` with a password, who may use the fleet's keys.
fn add_user(cluster: &EtcdCluster) {
    let of = |path: &str, body| cluster.gateway(&format!("/v3/auth/{path}"), &body);
    let base64 = |text: &str| BASE64_STANDARD.encode(text);
    let range =
        json!({ "permType": "READWRITE", "key": base64("pointsman/"), "range_end": base64("pointsman0") });
    for name in ["root", "front"] {
        of("role/add", json!({ "name": name }));
    }
    of("role/grant", json!({ "name": "front", "perm": range }));
    // The certificate's name is a user, too.
    for (user, role) in [("root", "root"), ("front", "front"), ("edge", "front")] {
        of("user/add", json!({ "name": user, "password": "guess-what" }));
        of("user/grant", json!({ "user": user, "role": role }));
    }
    of("enable", json!({}));
}
