//! Number 19: texts of others are bounded and plain, weak set-ups are refused or told, secrets stand in no
//! message, and the past is paged and bounded.

use crate::harness::{Nginx, Origin, Pointsman, Printed, Reaction, blue_green, eventually, whole};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_pointsman");
/// Clears the screen, sets a title by C1, turns the line around, begins a line, rings.
const HOSTILE: &str = "v1\u{1b}[2J\u{9b}0;x\u{202e}\u{2066}\u{200b}\nroot\u{7}\u{7f}";

fn acts(c: char) -> bool {
    (c.is_control() && c != '\n') || ('\u{200b}'..='\u{206f}').contains(&c) && c != '…'
}

fn start(nginx: &Nginx, more: &str) -> Pointsman {
    Pointsman::start(&(blue_green(nginx.addresses[0], nginx.addresses[1]) + more))
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn names_and_versions_are_bounded_and_plain() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = start(&nginx, "[services.web.testers]\n");
    let rollouts = "/v1/services/web/rollouts";
    let long = "v".repeat(257);
    for version in [&*long, HOSTILE, "a\nb", "\u{202e}v", "\u{85}"] {
        let body = json!({ "to": "green", "version": version }).to_string();
        let answer = pointsman.call("POST", rollouts, &body);
        assert_eq!(answer.status, 422, "{version:?}: {}", answer.text());
        assert_eq!(answer.json()["errors"][0]["path"], "version");
    }
    let huge = "x".repeat(60_000);
    for (method, path, body) in [
        ("POST", rollouts.to_owned(), json!({ "to": huge })),
        ("POST", rollouts.to_owned(), json!({ "to": "green", "policy": huge })),
        ("POST", rollouts.to_owned(), json!({ "to": "green", "strategy": huge })),
        ("POST", "/v1/services/web/flip".to_owned(), json!({ "to": huge })),
        ("PUT", "/v1/services/web/weights".to_owned(), json!({ huge.clone(): 100 })),
        ("POST", "/v1/services/web/testers".to_owned(), json!({ "to": huge })),
        ("PUT", "/v1/services/web/pools/green/upstreams".to_owned(), json!({ "upstreams": [huge] })),
    ] {
        let answer = pointsman.call(method, &path, &body.to_string());
        assert_eq!(answer.status, 422, "{path}: {}", answer.text());
        assert!(answer.body.len() < 20_000, "{path}: {} bytes", answer.body.len());
    }
    let id = pointsman.start_rollout(&json!({ "to": "green", "version": "v".repeat(256) }).to_string());
    assert_eq!(pointsman.call("POST", &format!("{rollouts}/{id}/abort"), "").status, 200);
    assert!(pointsman.history().iter().all(|row| row["text"].as_str().expect("a text").len() < 1000));
}

#[test]
fn the_words_of_a_hook_act_nowhere() {
    let nginx = Nginx::start(&["blue", "green"]);
    let hook = Origin::new(|_| Reaction::Answer(409, HOSTILE.repeat(100)));
    let more = format!(
        "[services.web.rollout]\nhooks = [{{ at = \"before-shifting\", url = \"http://{}/\" }}]\n",
        hook.address
    );
    let pointsman = start(&nginx, &more);
    let id = pointsman.start_rollout(r#"{"to": "green"}"#);
    let view = pointsman.ended(&id);
    let reason = view["reason"].as_str().expect("a reason");
    assert!(reason.contains("409") && !reason.chars().any(acts), "{reason:?}");
    assert!(reason.chars().count() < 600, "{reason}");
    let row = pointsman.row("aborted").to_string();
    let row: Value = serde_json::from_str(&row).expect("JSON");
    assert!(!row["text"].as_str().expect("a text").chars().any(acts), "{row}");
}

/// A server of ours sends no such texts; another version might, or somebody in between.
#[test]
fn nothing_that_a_server_says_acts_on_a_terminal() {
    let rollout = json!({
        "id": HOSTILE, "service": HOSTILE, "strategy": HOSTILE, "from": HOSTILE, "to": HOSTILE, "version": HOSTILE,
        "phase": HOSTILE, "step": 0, "steps": [], "weight": 5.0, "verdict": { "state": "hold", "reasons": [] },
        "started_at": HOSTILE, "updated_at": HOSTILE, "ended_at": null, "outcome": "aborted", "reason": HOSTILE,
        "revision": 1
    });
    let window = json!({
        "seconds": 1.0, "requests": 0, "failures": 0, "error_rate": 0.0,
        "latency_ms": { "mean": 0.0, "p50": 0.0, "p90": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0 }
    });
    let upstream = json!({
        "address": HOSTILE, "weight": 1, "state": HOSTILE, "detail": HOSTILE, "in_flight": 0
    });
    let pool =
        json!({ "weight": 100.0, "effective_weight": 100.0, "upstreams": [upstream], "window": window });
    let service = json!({
        "name": HOSTILE, "stable": HOSTILE, "candidate": HOSTILE, "previous": HOSTILE, "revision": 1,
        "pools": { HOSTILE: pool }, "rollout": rollout,
        "checks": [{ "name": HOSTILE, "ok": false, "detail": HOSTILE }]
    });
    let row = json!({
        "id": 1, "at": HOSTILE, "service": HOSTILE, "actor": HOSTILE, "action": HOSTILE, "text": HOSTILE,
        "figures": {}, "rollout": HOSTILE, "address": HOSTILE
    });
    let problem = |status: u16| json!({ "type": "x", "title": HOSTILE, "status": status, "detail": HOSTILE });
    let server = Origin::new(move |request| {
        let answer = |value: &Value| Reaction::Answer(200, value.to_string());
        match request.path() {
            "/readyz" => answer(&json!({ "status": HOSTILE, "reasons": [HOSTILE] })),
            "/v1/services" => answer(&json!([service])),
            path if path.starts_with("/v1/sets") => Reaction::Answer(404, problem(404).to_string()),
            path if path.contains("/history") => answer(&json!({ "history": [row] })),
            path if path.ends_with("/flip") => Reaction::Answer(409, problem(409).to_string()),
            path if path.contains("/rollouts") => answer(&rollout),
            _ => answer(&service),
        }
    });
    let commands: [&[&str]; 7] = [
        &["status"],
        &["status", "web"],
        &["history", "web"],
        &["rollout", "status", "web"],
        &["rollout", "watch", "web"],
        &["flip", "web", "--to", "green"],
        &["healthcheck", "--ready"],
    ];
    for command in commands {
        for output in ["text", "json"] {
            let mut all = vec!["--output", output];
            all.extend(command);
            let printed = Pointsman::cli_at(server.address, &all);
            let said = printed.out.clone() + &printed.err;
            assert!(said.contains("v1"), "{command:?}: {said}");
            assert!(!said.chars().any(acts), "{command:?} as {output}: {said:?}");
            assert!(!said.lines().any(|line| line.starts_with("root")), "{command:?} as {output}: {said}");
        }
    }
    let printed = Pointsman::cli_at(server.address, &["--output", "json", "status"]);
    let parsed: Value = serde_json::from_str(&printed.out).expect("JSON");
    assert_eq!(parsed[0]["stable"], HOSTILE, "as JSON it is the same");
}

/// What `check` says of a configuration: its code, and what it printed.
fn checked(text: &str, dir: &TempDir, env: &[(&str, &str)]) -> (i32, String) {
    std::fs::write(dir.path().join("p.toml"), text).expect("written");
    let mut command = Command::new(BINARY);
    command.args(["check", "--config", "p.toml"]).current_dir(dir.path()).envs(env.iter().copied());
    let output = command.output().expect("it runs");
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.code().expect("a code"), text)
}

fn site(admin: &str, listener: &str, route: &str) -> String {
    format!(
        "[server]\nstate_dir = \"state\"\n[admin]\n{admin}\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\n{listener}\n[[routes]]\n{route}\n\
         [services.web.pools.blue]\nupstreams = [\"127.0.0.1:1\"]\n"
    )
}

#[test]
fn weak_set_ups_are_refused_or_told() {
    let dir = TempDir::new().expect("a directory");
    std::fs::create_dir(dir.path().join("state")).expect("made");
    std::fs::write(dir.path().join("empty"), "\n").expect("written");
    std::fs::write(dir.path().join("open"), "a-token-that-nobody-guesses").expect("written");
    let mode = PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(dir.path().join("open"), mode).expect("set");
    let web = "service = \"web\"";
    let token = |key: &str| format!("tokens = [{{ name = \"ci\", role = \"deploy\", {key} }}]");
    let sha = |text: &str| token(&format!("sha256 = \"{}\"", hash(text)));
    let two = |one: &str, other: &str, names: [&str; 2]| {
        format!(
            "tokens = [{{ name = \"{}\", role = \"read\", sha256 = \"{}\" }}, {{ name = \"{}\", role = \"admin\", sha256 = \"{}\" }}]",
            names[0],
            hash(one),
            names[1],
            hash(other)
        )
    };
    let (one, other) = ("pm_0123456789abcdef", "pm_fedcba9876543210");
    let off = format!("listen = \"0.0.0.0:9900\"\n{}", sha(one));
    let cases = [
        (site(&sha(""), "", web), 1, "hash of nothing"),
        (site(&token("file = \"empty\""), "", web), 1, "is empty"),
        (site(&token("env = \"NOTHING\""), "", web), 1, "is empty"),
        (site(&two(one, one, ["a", "b"]), "", web), 1, "is the token of a, too"),
        (site("tokens = [{ name = \"\", role = \"read\", sha256 = \"0\" }]", "", web), 1, "name: is empty"),
        (site(&sha(one), "", web).replace("\"ci\"", "\"c\\u001bi\""), 1, "control character"),
        (site(&sha("password"), "", web), 0, "common word"),
        (site(&sha("Admin123"), "", web), 0, "common word"),
        (site(&sha("42"), "", web), 0, "common word or very short"),
        (site(&token("env = \"SHORT\""), "", web), 0, "is short and can be guessed"),
        (site(&two(one, other, ["a", "a"]), "", web), 0, "a stands twice"),
        (site(&token("file = \"open\""), "", web), 0, "can be read by everybody"),
        (site(&off, "", web), 0, "in the clear"),
        (site("", "trusted_proxies = [\"0.0.0.0/0\"]", web), 0, "everybody is trusted"),
        (site("", "trusted_proxies = [\"10.0.0.0/8\", \"::/0\"]", web), 0, "everybody is trusted"),
        (site("", "", "files = { root = \"/\" }"), 0, "whole file system"),
        (site("", "", "files = { root = \".\" }"), 0, "state directory lies in"),
        (site("", "", "files = { root = \"state\" }"), 0, "state directory lies in"),
        (
            site("", "", "files = { root = \"..\" }").replace("\"state\"", "\"/var/lib/pm-none\""),
            0,
            "configuration lies in",
        ),
    ];
    for (text, code, says) in cases {
        let (found, said) = checked(&text, &dir, &[("NOTHING", " "), ("SHORT", "sesame7-x")]);
        assert_eq!(found, code, "{text}\n{said}");
        assert!(said.contains(says), "{says} is not in {said}");
        assert!(!said.contains("sesame7"), "{said}");
        if code == 0 {
            let warned = said.lines().any(|line| line.starts_with("warning: p.toml:") && line.contains(says));
            assert!(warned && said.contains("ok: "), "{said}");
        }
    }
    let (code, said) = checked(&site(&sha(one), "trusted_proxies = [\"10.0.0.0/8\"]", web), &dir, &[]);
    assert_eq!((code, said.contains("warning")), (0, false), "{said}");
}

#[test]
fn what_check_warns_of_is_in_the_log_of_a_process_that_runs() {
    let nginx = Nginx::start(&["blue", "green"]);
    let listener = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"0.0.0.0/0\"]\n";
    let pointsman = start(&nginx, listener);
    assert!(pointsman.log().contains("everybody is trusted"), "{}", pointsman.log());
}

/// Every key that takes a text, with a secret of the environment that is wrong there.
#[test]
fn a_secret_of_the_environment_stands_in_no_message() {
    let dir = TempDir::new().expect("a directory");
    let secret = "Zq9-Qx7!Vb3\"\\Lm5";
    let tail = "[services.web.pools.blue]\nupstreams = [\"127.0.0.1:1\"]\n";
    let mut told = 0;
    for line in [
        "[server]\nstate_dir = \"state\"\ngrace = \"${SECRET}\"\n",
        "[server]\nexpose_pool = \"${SECRET} x\"\n",
        "[admin]\nlisten = \"${SECRET}\"\n",
        "[admin]\ntokens = [{ name = \"a\", role = \"${SECRET}\", sha256 = \"${SECRET}\" }]\n",
        "[admin]\ntokens = [{ name = \"a\", role = \"read\", env = \"${SECRET}\" }]\n",
        "[admin]\ntokens = [{ name = \"a\", role = \"read\", file = \"${SECRET}\" }]\n",
        "[[listeners]]\naddress = \"127.0.0.1:${SECRET}\"\n",
        "[[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"${SECRET}\"]\nlimits = { body = \"${SECRET}\" }\n",
        "[[routes]]\nservice = \"web\"\nhosts = [\"${SECRET}\"]\npath = \"~ (${SECRET}\"\n",
        "[[routes]]\npath = \"${SECRET}\"\nservice = \"${SECRET}\"\n",
        "[[routes]]\npath = \"/x\"\nfiles = { root = \"${SECRET}\" }\n",
        "[[routes]]\npath = \"/y\"\nredirect = { to = \"${SECRET}\" }\n",
        "[services.web]\nstable = \"${SECRET}\"\npolicy = \"${SECRET}\"\n",
        "[services.web]\ncohort = { by = \"${SECRET}\" }\nclose_streams = \"${SECRET}\"\n",
        "[services.web.pools.green]\nupstreams = [\"user:${SECRET}\"]\nhash_by = \"${SECRET}\"\nbalance = \"hash\"\n",
        "[services.web.pools.green]\nupstreams = [\"h:1\"]\nhealth = { path = \"${SECRET}\", expect = \"${SECRET}\" }\n",
        "[services.web.rollout]\nhooks = [{ at = \"before-shifting\", url = \"ftp://${SECRET}\" }]\n",
        "[services.web.rollout]\nsmoke = [{ path = \"${SECRET}\", match = \"(${SECRET}\", method = \"${SECRET}\" }]\n",
        "[[notify]]\nkind = \"slack\"\nurl = \"${SECRET}\"\n",
        "[[notify]]\nkind = \"github\"\nrepo = \"${SECRET}\"\ntoken = \"${SECRET}\"\napi = \"${SECRET}\"\n",
        "[[notify]]\nkind = \"webhook\"\nurl = \"http://x/\"\non = [\"${SECRET}\"]\nevery = \"${SECRET}\"\n",
        "[policies.default]\nerror_rate = { critical = \"${SECRET}\" }\n",
        "[policies.default]\nsignals = [{ name = \"${SECRET}\", from = \"${SECRET}\", at = \"${SECRET}\", critical = 1 }]\n",
        "[headers]\nresponse = { set = { \"X-A\" = \"a\\n${SECRET}\" } }\n",
        "[error_pages]\n502 = \"${SECRET}\"\n",
        "[rate_limits.api]\nrate = \"${SECRET}\"\nby = \"${SECRET}\"\n",
        "[maintenance]\npage = \"${SECRET}\"\nallow = [\"${SECRET}\"]\n",
    ] {
        let stable = if line.contains("pools.green") { "[services.web]\nstable = \"blue\"\n" } else { "" };
        let text = whole(&format!("{line}{stable}{tail}"));
        let (code, said) = checked(&text, &dir, &[("SECRET", secret)]);
        told += usize::from(code != 0);
        for at in 0..secret.len() - 6 {
            let piece = secret[at..at + 7].to_lowercase();
            assert!(!said.to_lowercase().contains(&piece), "{line}: {said}");
        }
    }
    println!("n19 {told} of 27 places refuse the secret, none shows it");
    assert!(told >= 25, "{told}");
}

#[test]
fn history_says_from_where() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = start(&nginx, "");
    assert_eq!(pointsman.call("POST", "/v1/services/web/flip", r#"{"to": "green"}"#).status, 200);
    let headers = "X-Forwarded-For: 198.51.100.7, 203.0.113.9\r\n";
    let flip = pointsman.call_with("POST", "/v1/services/web/flip", headers, r#"{"to": "blue"}"#);
    assert_eq!(flip.status, 200);
    let on = pointsman.call("PUT", "/v1/maintenance", r#"{"status": "maintenance"}"#);
    assert_eq!(on.status, 200);
    let rows = pointsman.history();
    let addresses: Vec<_> = rows.iter().map(|row| row["address"].as_str()).collect();
    assert_eq!(addresses, [Some("127.0.0.1"), Some("127.0.0.1 for 203.0.113.9"), Some("127.0.0.1")]);
    let printed = pointsman.cli(&["history", "web"]);
    assert!(printed.out.contains("(from 127.0.0.1)"), "{}", printed.out);
    let pointsman = pointsman.kill_and_restart();
    assert_eq!(pointsman.history()[2]["address"], "127.0.0.1");
    // What nobody asked for came from nowhere.
    let id = pointsman.start_rollout(r#"{"to": "green", "strategy": "blue-green"}"#);
    let path = format!("/v1/services/web/rollouts/{id}/promote");
    eventually("it shifts", || pointsman.weight("green") == 100.0);
    assert_eq!(pointsman.call("POST", &path, "").status, 200);
    let own = pointsman.history().into_iter().find(|row| row["actor"] == "pointsman");
    assert!(own.is_some_and(|row| row["address"].is_null()));
}

#[test]
fn a_key_belongs_to_one_body() {
    let nginx = Nginx::start(&["blue", "green"]);
    let mut pointsman = start(&nginx, "");
    let path = "/v1/services/web/rollouts";
    let ask = |pointsman: &Pointsman, body: &str| {
        pointsman.call_with("POST", path, "Idempotency-Key: build-17\r\n", body)
    };
    let first = ask(&pointsman, r#"{"to": "green", "version": "v1"}"#);
    assert_eq!(first.status, 201, "{}", first.text());
    for restarted in [false, true] {
        let same = ask(&pointsman, r#"{ "version": "v1", "to": "green" }"#);
        assert_eq!((same.status, &same.json()["id"]), (200, &first.json()["id"]), "restarted: {restarted}");
        let other = ask(&pointsman, r#"{"to": "green", "version": "v2"}"#);
        assert_eq!(other.status, 422, "restarted: {restarted}: {}", other.text());
        assert_eq!(other.json()["errors"][0]["path"], "Idempotency-Key");
        assert!(other.text().contains(first.json()["id"].as_str().expect("an id")), "{}", other.text());
        pointsman = pointsman.kill_and_restart();
    }
}

#[test]
fn lists_are_paged() {
    let nginx = Nginx::start(&["blue", "green"]);
    let pointsman = start(&nginx, "");
    let rollouts = "/v1/services/web/rollouts";
    let mut ids = Vec::new();
    for _ in 0..7 {
        let id = pointsman.start_rollout(r#"{"to": "green"}"#);
        assert_eq!(pointsman.call("POST", &format!("{rollouts}/{id}/abort"), "").status, 200);
        ids.insert(0, id);
    }
    let all = pages(&pointsman, &format!("{rollouts}?limit=3"), "rollouts");
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    let found: Vec<_> = all.iter().flatten().map(|view| view["id"].as_str().expect("an id")).collect();
    assert_eq!(found, ids);
    eventually("every row is written", || pointsman.history().len() >= 14);
    let whole = pages(&pointsman, "/v1/history?limit=5", "history");
    let rows: Vec<_> = whole.iter().flatten().map(|row| row["id"].as_u64().expect("an id")).collect();
    assert!(rows.len() >= 14 && rows.is_sorted_by(|one, other| one > other), "{rows:?}");
    for (path, says) in [
        (format!("{rollouts}?limit=0"), "limit"),
        (format!("{rollouts}?limit=501"), "limit"),
        (format!("{rollouts}?before=nothing"), "before"),
        (format!("{rollouts}?page=2"), "page"),
        ("/v1/history?limit=0".to_owned(), "limit"),
    ] {
        let answer = pointsman.get(&path);
        assert_eq!(answer.status, 422, "{path}: {}", answer.text());
        assert!(answer.text().contains(says), "{}", answer.text());
    }
}

/// Page by page, along `next`.
fn pages(pointsman: &Pointsman, first: &str, list: &str) -> Vec<Vec<Value>> {
    let mut next = Some(first.to_owned());
    let mut pages = Vec::new();
    while let Some(path) = next {
        let page = pointsman.get(&path);
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        pages.push(page.json()[list].as_array().expect("a list").clone());
        next = page.json()["next"].as_str().map(str::to_owned);
    }
    pages
}

#[test]
fn the_past_is_kept_by_number() {
    let nginx = Nginx::start(&["blue", "green"]);
    let server = "[server]\nstate_dir = \"state\"\nthreads = 1\nretention = { history = 6, rollouts = 2 }\n";
    let pointsman = start(&nginx, server);
    for _ in 0..5 {
        let id = pointsman.start_rollout(r#"{"to": "green"}"#);
        assert_eq!(pointsman.call("POST", &format!("/v1/services/web/rollouts/{id}/abort"), "").status, 200);
    }
    let rows = pointsman.history().len();
    let rollouts = || pointsman.get("/v1/services/web/rollouts").json()["rollouts"].as_array().map(Vec::len);
    eventually("what is beyond the numbers is gone", || {
        pointsman.history().len() == 6 && rollouts() == Some(2)
    });
    println!("n19 retention: {rows} rows and 5 rollouts before, 6 and 2 after");
    let pointsman = pointsman.kill_and_restart();
    assert_eq!(pointsman.history().len(), 6);
    let refused = Printed::of(&["check", "--config", "/nowhere"], pointsman.dir.path());
    assert_eq!(refused.code, 1);
}
